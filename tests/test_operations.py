"""What the parent of a run does grows with the cells, not with their square: operations are counted, not time."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.million import stubbed, suite_of
from xai_bench.results.opening import FILE
from xai_bench.results.records import Held, MetricFacts
from xai_bench.results.store import Store
from xai_bench.running import loop as loops
from xai_bench.running import run as runner
from xai_bench.running.ledger import Median
from xai_bench.running.request import Asked, Request
from xai_bench.running.runs import Runs

STEPS = 100
"""Instructions of SQLite that are counted together."""


class Counted:
    """Calls of Python's functions, and instructions of a database, by stage."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self._stage = "plan"

    def stage(self, name: str) -> None:
        self._stage = name

    def call(self, frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.of[f"{self._stage}: calls"] += 1

    def step(self) -> int:
        self.of[f"{self._stage}: SQL"] += 1
        return 0


def counted(draws: int, folder: Path) -> Counter[str]:
    """Operations of a run with so many draws of ten cells, and of their retention, that computes nothing."""
    count = Counted()
    content = {**suite_of(10 * draws), "retention": {"judge": {"epochs": 0.1}}}
    sys.setprofile(count.call)
    try:
        asked = Asked.of(Request(content, out=folder))
        with stubbed(), Store(asked.folder / FILE) as store:
            store._db.set_progress_handler(count.step, STEPS)
            count.stage("begin")
            loop = runner._loop(asked, store)
            facts = runner.provenance(1)
            runs = Runs(store, store.begin(asked.suite.config(), asked.rows(), facts), facts)
            count.stage("run")
            loop.run(1, runs, None)
            assert loop.progress.finished == 10 * draws
            assert loop.progress.followed == draws
            count.stage("again")
            runner._score_anew(store, asked.planned)
            again = runner._loop(asked, store)
            assert again.forecast(1).cells == 0
            count.stage("results")
            results = store.results()
            assert len(results.cells) == 10 * draws
            results.table()
    finally:
        sys.setprofile(None)
    return count.of


def test_nothing_that_the_parent_does_is_quadratic_in_cells(tmp_path, monkeypatch):
    """Twice as many draws more are twice as much work more; a square would be four times as much."""
    monkeypatch.setattr(loops, "LOOK_EVERY", 0.0)  # The rest is estimated behind every block.
    monkeypatch.setattr(loops, "LOOK_SHARE", float("inf"))
    counted(2, tmp_path / "first")  # What is made once in a process.
    few, more, many = (counted(draws, tmp_path / str(draws)) for draws in (5, 15, 35))
    assert {name.partition(":")[0] for name in many} == {"plan", "begin", "run", "again", "results"}
    for name in many:
        first, second = more[name] - few[name], many[name] - more[name]
        assert second <= 2.3 * first + 200, f"{name}: {few[name]}, {more[name]}, {many[name]}"
    assert few["run: SQL"] > 0


@pytest.mark.parametrize("numbers", [[3.0], [2.0, 1.0], [5.0, 1.0, 4.0, 1.0, 3.0], [0.0, 0.0, 7.5, -1.0]])
def test_the_running_median_is_the_median(numbers):
    from statistics import median

    running = Median()
    for count, number in enumerate(numbers, 1):
        running.add(number)
        assert running.value == median(numbers[:count])


def test_records_that_are_held_are_those_that_were_stored(monkeypatch):
    monkeypatch.setattr(Held, "LATEST", 2)
    records = {name: MetricFacts(name, name.upper(), 0.0, 1.0) for name in "abcde"}
    held = Held(MetricFacts, [(name, json.dumps(record.to_json())) for name, record in records.items()])
    assert dict(held) == records
    assert held["a"] is held["a"]
    held["a"] = held.pop("b")
    assert dict(held) == {name: records["b" if name == "a" else name] for name in "acde"}
    with pytest.raises(KeyError):
        held["b"]
    with pytest.raises(TypeError):
        Held(MetricFacts, [("a", "{}")])
