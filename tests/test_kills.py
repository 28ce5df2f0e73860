"""Runs that are killed at any moment: nothing that was finished is lost, nobody goes on, and the end is the same."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import SEED, TINY_SUITE
from tests.test_faults import lives
from tests.test_run import assert_same
from xai_bench import read, run
from xai_bench.errors import InputError
from xai_bench.results.records import SETTLED

KILLS = int(os.environ.get("XAI_BENCH_TEST_KILLS", "8"))
"""How many moments are drawn; 50 take some minutes."""
SUITE = {
    **TINY_SUITE,
    "datasets": [{"name": "xor", "n": 100, "d": 6}, {"name": "gaussian_correlated", "n": 100}],
    "models": [{**TINY_SUITE["models"][0], "min_steps": 5}],
    "retention": {"judge": {"epochs": 0.1, "min_steps": 5, "checkpoints": 1}},
}
LONGEST = 300.0
"""Seconds until a run that nobody kills must have ended."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]


def begun(jobs: int | None, out: Path) -> multiprocessing.process.BaseProcess:
    """A run in a process that leads a group."""
    process = multiprocessing.get_context("fork").Process(target=running, args=(jobs, out))
    process.start()
    return process


def running(jobs: int | None, out: Path) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        run(SUITE, out=out, jobs=jobs)


def children(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have started."""
    found = []
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, path.read_text().split()):
                found += [child, *children(child)]
    return found


def settled(out: Path) -> set[str]:
    """Keys of the cells that need not be computed again."""
    try:
        cells = read(out).cells
    except InputError as error:
        if not any(words in str(error) for words in ("no results", "no run is stored")):
            raise
        return set()
    return set(cells.loc[cells["status"].isin(SETTLED), "cell"])


def kill(process: multiprocessing.process.BaseProcess, whom: str, rng: random.Random) -> bool:
    """Kill the run, its group, or one of its workers; says whether the run is over."""
    assert process.pid is not None
    workers = children(process.pid)
    with contextlib.suppress(ProcessLookupError):
        if whom == "worker":
            if workers:
                os.kill(rng.choice(workers), signal.SIGKILL)
            return False
        number = signal.SIGTERM if whom == "term" else signal.SIGKILL
        (os.killpg if whom == "group" else os.kill)(process.pid, number)
    process.join(60)
    until = time.monotonic() + 60
    while any(map(lives, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [worker for worker in workers if lives(worker)], "they go on without the run"
    return True


def scenario(rng: random.Random, out: Path, kills: list[str], jobs: int | None, longest: float) -> None:
    """One suite, run again and again until nobody kills it any more."""
    known: set[str] = set()
    for _ in range(rng.randint(1, 4)):
        process = begun(jobs, out)
        over = False
        while not over and len(kills) < KILLS:
            process.join(rng.uniform(0.0, longest))
            if not process.is_alive():
                break
            whom = rng.choice(["run", "group", "term"] + (["worker"] * 3 if children(process.pid) else []))
            kills.append(whom)
            over = kill(process, whom, rng)
        process.join(LONGEST)
        assert not process.is_alive()
        now = settled(out)
        assert known <= now, "what was finished is lost"
        known = now


def test_kills_lose_nothing_and_change_nothing(tmp_path):
    rng = random.Random(int(os.environ[SEED]))
    begin = time.monotonic()
    reference = run(SUITE, out=tmp_path / "reference")
    took = time.monotonic() - begin
    kills: list[str] = []
    number = 0
    while len(kills) < KILLS:
        number += 1
        jobs = rng.choice([None] * 6 + [1, 2])  # Workers take seconds to start.
        out = tmp_path / str(number)
        scenario(rng, out, kills, jobs, took if jobs is None else 3 * took)
        assert_same(reference, run(SUITE, out=out))
        failed = read(out).failed
        assert failed.empty, failed["reason"].tolist()
    print(f"{len(kills)} kills in {number} runs: {sorted(kills)}")
