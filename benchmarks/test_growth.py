"""Time and memory against inputs, rows, explainers and seeds: every point in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from growth_case import EXPLAINERS

CASE = Path(__file__).with_name("growth_case.py")
INPUTS = (20, 64, 256, 1024, 4096, 10000)
ROWS = (1000, 10_000, 100_000)
GIB = 2**30


def point(benchmark: Any, case: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Run a case in its own process and keep what it measured."""
    found: dict[str, Any] = {}

    def measure() -> None:
        done = subprocess.run([sys.executable, str(CASE), json.dumps(case)], capture_output=True, text=True, check=True)
        found.update(json.loads(done.stdout.splitlines()[-1]))

    benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info.update(table="growth", **case, **facts, **found)
    return found


@pytest.mark.benchmark(group="growth with inputs")
@pytest.mark.parametrize("d", INPUTS)
@pytest.mark.parametrize("what", ["training", *EXPLAINERS])
def test_inputs(benchmark, what, d):
    """2000 rows. ``training``: 200 steps."""
    point(benchmark, {"what": what, "axis": "d", "d": d, "n": 2000})


@pytest.mark.benchmark(group="growth with rows")
@pytest.mark.parametrize("n", ROWS)
@pytest.mark.parametrize("what", ["training", *EXPLAINERS])
def test_rows(benchmark, what, n):
    """20 inputs. ``training``: the default number of epochs."""
    point(benchmark, {"what": what, "axis": "n", "d": 20, "n": n})


@pytest.mark.benchmark(group="growth with explainers")
@pytest.mark.parametrize("explainers", [1, 2, 4, 8, 12])
def test_explainers(benchmark, explainers):
    """A whole run with its store: xor, 20 inputs, 1000 rows."""
    point(benchmark, {"what": "run", "axis": "explainers", "d": 20, "n": 1000, "explainers": explainers})


@pytest.mark.benchmark(group="growth with seeds")
@pytest.mark.parametrize("seeds", [1, 2, 4, 8])
def test_seeds(benchmark, seeds):
    """The same with four explainers."""
    point(benchmark, {"what": "run", "axis": "seeds", "d": 20, "n": 1000, "seeds": seeds})


@pytest.mark.benchmark(group="large")
def test_large(benchmark):
    """10,000 inputs, 20,000 rows, four explainers, retention: the whole process stays within 4 GiB."""
    case = {"what": "run", "axis": "large", "d": 10_000, "n": 20_000, "explainers": 4, "retention": {}}
    found = point(benchmark, case, limit=4 * GIB)
    if found["peak"] is not None:
        assert found["peak"] < 4 * GIB
