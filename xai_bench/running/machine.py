"""What a run records of the machine and the installation that computed it."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xai_bench.component import canonical_json, sha256

LIBRARIES = ("torch", "captum", "shap", "numpy", "scipy", "scikit-learn", "pandas", "xai-bench")
PACKAGE = Path(__file__).parents[1]


def recorded(device: str = "cpu") -> dict[str, Any]:
    """Versions and settings of this process that a result may depend on; no host, user or path.

    ``device``: where it computes, with its name.
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": device,
        "versions": versions(LIBRARIES),
    }


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Name of a distribution to its version here, ``unknown`` where it is not installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@functools.cache
def code() -> str:
    """A hash of the code of this package: two of one version may differ while they are worked on."""
    files = sorted(PACKAGE.rglob("*.py"))
    return sha256(canonical_json([[str(file.relative_to(PACKAGE)), sha256(file.read_bytes())] for file in files]))


def _processor() -> str:
    """The name of the processor; "" where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor())
