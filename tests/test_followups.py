"""The contract of follow-ups: when each is due, what is stored of it, and that a new one is a class and no more."""

from __future__ import annotations

import itertools
import pickle
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from xai_bench import forecast, run
from xai_bench.component import canonical_json, sha256
from xai_bench.results.records import CellResult, Measurement
from xai_bench.results.store import Store
from xai_bench.running import followups, loop
from xai_bench.running.agenda import Agenda
from xai_bench.running.followups.base import FollowUp, Rows
from xai_bench.running.followups.retention import RetentionFollowUp
from xai_bench.scoring import retention
from xai_bench.suites import plan, reading
from xai_bench.workers import Started

LIMIT = 60
"""Seconds."""


@dataclass(frozen=True)
class SpreadTask:
    key: str
    relevances: Mapping[str, NDArray]
    ends: str = ""

    @property
    def cells(self):
        return tuple(self.relevances)

    def run(self) -> Iterator[tuple[str, float]]:
        for number, (cell, relevance) in enumerate(self.relevances.items()):
            if number == 2 and self.ends == "raised":
                raise RuntimeError("no luck")
            if number == 2 and self.ends == "over time":
                yield Started(cell, allowance=0.1 - LIMIT)
                while True:
                    time.sleep(0.01)
            yield cell, float(np.ptp(relevance))


@dataclass(frozen=True)
class Spread(FollowUp[SpreadTask, tuple[str, float]]):
    """The largest less the smallest relevance of every cell of a suite."""

    name: ClassVar[str] = "spread"
    version: ClassVar[int] = 1
    scope: ClassVar = "suite"
    reason_at: ClassVar[tuple[str, int]] = ("spread_range", 0)
    ends: ClassVar[str] = ""

    @classmethod
    def of(cls, suite):
        return cls()

    def covers(self, blocks):
        return True

    def due(self, blocks, stored):
        cells = [cell.key for block in blocks for cell in block.cells]
        key = f"spread {self.version}"
        relevances = stored.relevances(sorted(set(cells) - stored.followed(self.name, key, cells)))
        # As a worker process receives it.
        return pickle.loads(pickle.dumps(SpreadTask(key, relevances, self.ends))) if relevances else None

    def rows(self, task, result) -> Rows:
        cell, value = result
        return {cell: (Measurement("spread_range", value),)}


@pytest.fixture
def spread(monkeypatch):
    """The follow-up above is one that suites ask for."""
    monkeypatch.setattr(followups, "FOLLOW_UPS", (*followups.FOLLOW_UPS, Spread))


def spreads(results):
    rows = results.measurements
    return rows[rows["metric"] == "spread_range"].set_index("cell")


@pytest.fixture
def small(tiny):
    """One draw, one network, four relevances."""
    return {**tiny, "data_seeds": [0], "datasets": tiny["datasets"][:1], "models": tiny["models"][:1]}


@pytest.mark.usefixtures("spread")
def test_a_new_follow_up_is_one_class(small, tmp_path, monkeypatch):
    foreseen = forecast(small, out=tmp_path)
    assert foreseen.followups == (("retention", "draw", 1), ("spread", "suite", 1))
    assert "spread of 1 suite" in foreseen.plan()
    assert "spread" in foreseen.unknown
    results = run(small, out=tmp_path)
    rows = spreads(results)
    assert len(rows) == 5, "four methods and the oracle"
    assert rows["value"].to_dict() == {cell: np.ptp(values) for cell, values in results.relevance.items()}
    assert results.provenance[-1]["spent"]["spread"] > 0
    assert "spread" not in forecast(small, out=tmp_path).unknown
    with monkeypatch.context() as patched:
        patched.setattr(loop.Loop, "_store_followup", lambda *_: pytest.fail("it was computed again"))
        run(small, out=tmp_path)
    monkeypatch.setattr(Spread, "version", 2)
    assert forecast(small, out=tmp_path).followups[1].tasks == 1, "of another version"


@pytest.mark.usefixtures("spread")
@pytest.mark.parametrize(
    ("ends", "reason"), [("raised", "RuntimeError: no luck"), ("over time", "over the limit of 0.1 s")]
)
def test_what_was_finished_is_kept_and_the_rest_is_tried_again(small, tmp_path, monkeypatch, ends, reason):
    failures = []
    with monkeypatch.context() as patched:
        patched.setattr(Spread, "ends", ends)
        limits = {"limits": {"seconds": LIMIT}} if ends == "over time" else {}
        results = run({**small, **limits}, out=tmp_path, on_progress=lambda p: failures.append(p.followup_failures))
    (failure,) = failures[-1]
    assert failure.startswith(f"spread of the suite: {reason}")
    rows = spreads(results)
    assert rows["value"].notna().sum() == 2
    assert rows.loc[rows["value"].isna(), "reason"].str.startswith(reason).tolist() == [True] * 3
    computed = []
    due = Spread.due
    monkeypatch.setattr(Spread, "due", lambda *arguments: computed.append(due(*arguments)) or computed[-1])
    rows = spreads(run(small, out=tmp_path))
    assert len(computed[0].cells) == 3
    assert rows["value"].notna().all()


def follow_up(of_scope, part):
    """A follow-up of that scope that is due wherever it covers the labels of ``part``; it says for which blocks."""

    class Recorded(Spread):
        name = of_scope
        scope = of_scope

        def covers(self, blocks):
            return any(not part or block.draw.dataset.label in part for block in blocks)

        def due(self, blocks, stored):
            return tuple(blocks)

    return Recorded


@pytest.mark.parametrize("part", [(), ("diabetes",)])
def test_follow_ups_are_due_when_all_blocks_of_their_scope_are_closed(tiny, part, monkeypatch):
    """Against a list of all blocks that is searched anew after every block."""
    monkeypatch.setattr(followups, "FOLLOW_UPS", tuple(follow_up(s, part) for s in ("draw", "network", "suite")))
    planned = plan.blocks(reading.from_dict({**tiny, "model_seeds": [0, 1]}))
    of = {
        "draw": lambda block: block.draw.key,
        "network": lambda block: (block.draw.key, block.model_key),
        "suite": lambda block: None,
    }

    def complete(scope, is_open):
        """The groups of blocks, none of which is open."""
        groups = {of[scope](block): [b for b in planned if of[scope](b) == of[scope](block)] for block in planned}
        chosen = [g for g in groups.values() if not part or any(b.draw.dataset.label in part for b in g)]
        return {tuple(map(id, group)) for group in chosen if not any(map(is_open, group))}

    todo = planned[3:]
    agenda = Agenda(reading.from_dict(tiny), planned, todo, None)
    known = {(scope, blocks) for scope in of for blocks in complete(scope, todo.__contains__)}
    assert {(due.followup.name, tuple(map(id, due.task))) for due in agenda.at_once()} == known
    whole = {(scope, blocks) for scope in of for blocks in complete(scope, lambda _: False)}
    assert {(followup.name, tuple(map(id, blocks))) for followup, blocks in agenda.later()} == whole - known
    order = np.random.default_rng(0).permutation(len(todo))
    for count, position in enumerate(order, start=1):
        closed = {id(todo[i]) for i in order[:count]}
        left = [block for block in todo if id(block) not in closed]
        now = {(scope, blocks) for scope in of for blocks in complete(scope, left.__contains__)}
        due = {(one.followup.name, tuple(map(id, one.task))) for one in agenda.closed(todo[position])}
        assert due == now - known
        known = now
    assert known == whole


def test_a_follow_up_takes_the_place_of_its_own_metrics_only(tmp_path):
    with Store(tmp_path / "results.sqlite") as store:
        others = [Measurement("retention", 1.0), Measurement("retentionx", 2.0), Measurement("sanity_top", 3.0, 1)]
        old = [Measurement("retention_masked", 4.0, 1), Measurement("retention_masked", 5.0, 2)]
        store.add([CellResult(cell, "done", measurements=(*others, *old)) for cell in "ab"], 1)
        store.add_followup("retention", "key", "retention_", {"a": [Measurement("retention_bayes", 6.0, 1)]})
        rows = store._db.execute("SELECT cell, metric, k, value FROM measurements").fetchall()
        kept = [(cell, m.metric, m.k, m.value) for cell in "ab" for m in others]
        assert set(rows) == {*kept, ("a", "retention_bayes", 1, 6.0), *(("b", m.metric, m.k, m.value) for m in old)}
        assert store.followed("retention", "key", "abc") == {"a"}
        assert store.followed("retention", "key", "bc") == set()
        assert all(store.followed("retention", other, "abc") == set() for other in ("", "a key", "other"))
        assert store.followed("sanity", "key", "abc") == set()
        store.add_followup("retention", "", "retention_", {"a": [Measurement("retention_bayes", None, 1, "no luck")]})
        assert store.followed("retention", "key", "abc") == set()


def test_the_version_of_retention_belongs_to_its_key(tiny, monkeypatch):
    suite = reading.from_dict(tiny)
    follow_up, draw = RetentionFollowUp.of(suite), plan.draws(suite)[0]
    keys = {follow_up.key(draw, networks) for networks in itertools.permutations(["x", "y"])}
    settings = suite.retention.model_dump(mode="json")
    del settings["datasets"], settings["data_seeds"]  # Which draws are judged changes the numbers of none.
    content = [retention.VERSION, retention.judge_key(draw, suite.retention), settings, ["x", "y"]]
    assert keys == {sha256(canonical_json(content))}
    fewer = reading.from_dict({**tiny, "retention": {**tiny["retention"], "datasets": ["diabetes"], "data_seeds": [1]}})
    assert RetentionFollowUp.of(fewer).key(draw, ["x", "y"]) in keys
    monkeypatch.setattr(RetentionFollowUp, "version", 99)
    assert follow_up.key(draw, ["x", "y"]) not in keys


@pytest.mark.parametrize("table", ["retention", "sanity"])
def test_a_follow_up_looks_at_the_draws_that_its_table_names(tiny, table):
    tiny[table] = {**tiny.get(table, {}), "datasets": ["diabetes"], "data_seeds": [1]}
    suite = reading.from_dict(tiny)
    (followup,) = [one for one in followups.asked_by(suite) if one.name == table]
    covered = {
        (block.draw.dataset.label, block.draw.data_seed)
        for block in plan.blocks(suite)
        if block.model and followup.covers([block])
    }
    assert covered == {("diabetes", 1)}
