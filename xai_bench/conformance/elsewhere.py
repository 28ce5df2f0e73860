"""What a data source draws in another process, where sets of texts have another order."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys

import numpy as np

from xai_bench import registry
from xai_bench.datasets.base import DataSource

CALL = "from xai_bench.conformance.elsewhere import answer; answer()"
LONGEST = 600.0
"""Seconds that a draw may take."""


def drawn_with(hashes: int, source: DataSource, seed: int = 0) -> str | None:
    """The digest of what ``source`` draws in a process with that seed of hashes; None if none could draw it."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        question = pickle.dumps((registry.plugins(), pickle.dumps(source), seed))
        found = subprocess.run(
            [sys.executable, "-c", CALL], input=question, env=environment, capture_output=True, timeout=LONGEST
        )
    except (pickle.PicklingError, AttributeError, TypeError, OSError, subprocess.TimeoutExpired):
        return None
    return None if found.returncode else found.stdout.decode().split()[-1]


def answer() -> None:
    """Read from the standard input what is to be drawn, and print the digest: the other process."""
    plugins, pickled, seed = pickle.load(sys.stdin.buffer)
    for plugin in plugins:
        registry.activate(plugin)
    table = pickle.loads(pickled).draw(np.random.default_rng(seed))
    digest = hashlib.sha256()
    for array in (table.X, table.y):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr((tuple(table.feature_names), table.truth and table.truth.roles)).encode())
    print(digest.hexdigest())
