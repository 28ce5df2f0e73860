"""The gate in front of the store: whatever a plugin returns, the parent stores it or says why not."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import stores
from xai_bench.errors import reason_of
from xai_bench.results import gate
from xai_bench.results.records import (
    CellResult,
    Costs,
    DrawFacts,
    Histograms,
    Measurement,
    MetricFacts,
    ModelFacts,
    Picture,
    Views,
    WindowFacts,
)
from xai_bench.results.store import Store

FLOATS = st.floats(allow_subnormal=False)  # the tests run without subnormal numbers, as workers do
SINGLES = st.floats(width=32, allow_subnormal=False)
ANY_TEXT = st.text(st.characters(), max_size=50)  # lone surrogates and control characters included
NUMBERS = st.one_of(
    FLOATS,
    st.integers(),
    st.booleans(),
    SINGLES.map(np.float32),
    st.floats(width=16, allow_subnormal=False).map(np.float16),
    st.integers(-(2**31), 2**31 - 1).map(np.int32),
    st.booleans().map(np.bool_),
    FLOATS.map(np.array),
    FLOATS.map(torch.tensor),
    st.fractions(),
    st.sampled_from([10**400, np.longdouble("1e4000"), -np.inf, np.nan]),
)
OTHERS = st.one_of(
    ANY_TEXT,
    st.builds(complex, FLOATS, FLOATS),
    st.binary(max_size=8),
    st.lists(FLOATS, max_size=3),
    st.lists(FLOATS, max_size=3).map(np.array),
    st.sampled_from([object(), float, np.ma.masked, np.datetime64("2020"), Decimal("0.5"), {}, np.array(["x"])]),
)


class Broken:
    """Nothing can be asked of it."""

    shape = ()

    def __str__(self):
        raise RuntimeError("no text")

    __float__ = item = __str__


@settings(deadline=None)
@given(NUMBERS)
def test_a_number_is_finite_or_none_with_a_reason(value):
    found, reason = gate.number(value)
    if found is None:
        assert reason
    else:
        assert type(found) is float
        assert found == float(value)
        assert reason == ""


@settings(deadline=None)
@given(OTHERS)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(gate.Refused):
        gate.number(value)


def test_numbers_by_hand():
    assert gate.number(np.float32(0.5)) == (0.5, "")
    assert gate.number(Fraction(1, 4)) == (0.25, "")
    assert gate.number(True) == (1.0, "")
    assert gate.number(-math.inf) == (None, "the value is -inf")
    assert gate.number(np.float32("nan")) == (None, "the value is not a number")
    assert gate.number(None) == (None, "not defined")
    with pytest.raises(gate.Refused, match="got a Broken"):
        gate.number(Broken())


@settings(deadline=None)
@given(ANY_TEXT)
def test_a_text_is_one_line_that_can_be_written(value):
    found = gate.text(value)
    found.encode("utf-8")
    assert len(found) == len(value)
    assert len(found.splitlines()) <= 1
    assert gate.text(found) == found
    assert all(a == b for a, b in zip(value, found, strict=True) if a.isalnum())


def test_a_text_does_not_turn_what_follows():
    assert gate.text("a\u202eb\u2067c\u200f") == "a b c\u200f"


def test_a_text_is_cut_and_anything_has_one():
    assert gate.text("x" * 5000) == "x" * (gate_longest() - 1) + "…"
    assert gate.text(Broken()) == "a Broken"
    assert gate.text("a\udc80\x00\nb") == "a\ufffd  b"


def gate_longest():
    from xai_bench.errors import LONGEST

    return LONGEST


@settings(deadline=None)
@given(st.recursive(st.one_of(NUMBERS, OTHERS, st.none()), lambda part: st.one_of(
    st.lists(part, max_size=3), st.dictionaries(ANY_TEXT, part, max_size=3)), max_leaves=8))  # fmt: skip
def test_what_passes_is_json_that_other_programs_read(value):
    try:
        written = gate.json_text(value)
    except gate.Refused:
        return
    written.encode("utf-8")

    def never(word):
        raise AssertionError(f"{word} is no JSON")

    assert gate.plain(json.loads(written, parse_constant=never)) == json.loads(written)


def test_what_never_ends_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(gate.Refused, match="in one another"):
        gate.plain(endless)


MEASUREMENTS = st.builds(
    Measurement,
    st.one_of(ANY_TEXT, st.none()),
    st.one_of(NUMBERS, OTHERS, st.none()),
    st.one_of(st.integers(), st.sampled_from([np.int64(3), 2.0, 0.5, "1", None])),
    ANY_TEXT,
)
RELEVANCES = st.one_of(
    st.none(),
    st.lists(FLOATS, max_size=4).map(np.array),
    st.lists(SINGLES, max_size=4).map(lambda v: np.array(v, np.float32)),
    st.sampled_from(
        [np.zeros((2, 2)), np.array(["a"]), np.array([1j]), np.array([None, 1.0]), "abc", [1, [2]], Broken()]
    ),
)
CELLS = st.builds(
    CellResult,
    key=st.just("a"),
    status=st.sampled_from(["done", "unsupported", "failed", "timed_out", "finished", "\udc80", None]),
    reason=st.one_of(ANY_TEXT, st.just(Broken())),
    costs=st.builds(Costs, *[st.one_of(NUMBERS, st.none(), st.just("x")) for _ in Costs.__annotations__]),
    relevance=RELEVANCES,
    measurements=st.lists(MEASUREMENTS, max_size=3).map(tuple),
    chosen=st.one_of(st.none(), st.dictionaries(ANY_TEXT, st.one_of(NUMBERS, OTHERS), max_size=2)),
)


@settings(max_examples=15, deadline=None)  # a store each
@given(CELLS)
def test_every_cell_is_stored_and_read(result):
    with Store.in_memory() as store:
        number = store.begin(stores.SUITE, [stores.PlanRow("a", "d", "", "toy", "", "x", 0, 0, -1)], {})
        (passed,) = store.add([result], number, stores.draw())
        results = store.results()
    (status,) = results.cells["status"]
    assert status == passed.status
    assert status == result.status or (status == "failed" and passed.reason)
    table = results.table()
    assert np.isfinite(table["value"].dropna().astype(float)).all()
    table.to_csv().encode("utf-8")
    none = results.measurements[results.measurements["value"].isna()]
    assert (none["reason"] != "").all()
    assert all(np.isfinite(vector).all() and vector.ndim == 1 for vector in results.relevance.values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"relevance": np.array([1.0, np.inf])}, "expected finite relevances"),
        ({"relevance": np.zeros((2, 2))}, r"shape \(d,\), got shape \(2, 2\)"),
        ({"chosen": {"depth": object()}}, "expected a number, got a object"),
        ({"status": "finished"}, "expected a status of done, unsupported"),
    ],
)
def test_what_cannot_be_stored_is_a_failed_cell_with_the_reason(changes, reason):
    from dataclasses import replace

    passed = gate.cell(replace(stores.cell("a"), **changes))
    assert (passed.status, passed.relevance, passed.measurements) == ("failed", None, ())
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(passed.reason)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Measurement("auroc", 1j), "auroc: expected a number, got a complex"),
        (Measurement("auroc", "high"), "auroc: expected a number, got a str"),
        (Measurement("auroc", np.ones(3)), "auroc: expected a number, got a ndarray"),
        (Measurement("auroc", 0.5, 1.5), "auroc: expected a whole number, got 1.5"),
    ],
)
def test_a_cell_is_done_although_a_metric_returns_no_number(found, reason):
    from dataclasses import replace

    passed = gate.cell(replace(stores.cell("a"), measurements=(found, Measurement("ap", 0.5))))
    assert passed.status == "done"
    assert passed.relevance is not None
    assert passed.measurements == (Measurement("auroc", None, reason=reason), Measurement("ap", 0.5))


def test_later_scores_that_are_no_numbers_are_none_with_the_reason():
    with Store.in_memory() as store:
        number = store.begin(stores.SUITE, [stores.PlanRow("a", "toy0", "", "toy", "", "x", 0, 0, -1)], {})
        store.add([stores.cell("a")], number, stores.draw())
        store.add_scores(
            stores.draw(chance={"new": np.float32(0.5)}), {"a": {"new": "1"}}, {"a": [Measurement("new", 1j)]}
        )
        results = store.results()
    assert results.draws["toy0"].chance == {"new": 0.5}
    (row,) = results.measurements.query("metric == 'new'").to_dict("records")
    assert math.isnan(row["value"])
    assert row["reason"] == "new: expected a number, got a complex"


def test_scores_of_a_network_and_of_chance_that_are_not_finite_have_a_reason():
    with Store.in_memory() as store:
        plan = [stores.PlanRow("a", "toy0", "toy0net", "toy", "net", "x", 0, 0, -1)]
        number = store.begin(stores.SUITE, plan, {})
        draw = stores.draw(chance={"auroc": np.float32(0.5), "odd": math.nan}, ceiling=np.float64(0.9))
        store.add([stores.cell("a")], number, draw, stores.network("toy0net", test_score=-math.inf, p_value=math.nan))
        results = store.results()
        assert store.train_seconds() == {"toy0net": (1.5, None)}
    facts = results.models["toy0net"]
    assert (facts.test_score, facts.p_value) == (None, None)
    assert facts.reasons == {"test_score": "the value is -inf", "p_value": "the value is not a number"}
    assert results.cells["test_score"].isna().all()
    assert "test_score: the value is -inf" in results.cells["model_reason"].iloc[0]
    known = results.draws["toy0"]
    assert known.chance == {"auroc": 0.5, "odd": None}
    assert known.reasons == {"chance.odd": "the value is not a number"}


def test_retention_that_is_not_a_number_is_none_with_a_reason_and_judged_again():
    with Store.in_memory() as store:
        number = store.begin(stores.SUITE, [stores.PlanRow("a", "toy0", "", "toy", "", "x", 0, 0, -1)], {})
        store.add([stores.cell("a")], number, stores.draw())
        values = [Measurement("retention_masked", math.nan, 2)]
        store.add_judgements("judge", {"00": (math.nan, 0.1), "01": (-math.inf, 0.1), "02": (0.5, 0)})
        store.add_followup("retention", "key", "retention_", {"a": values}, "judge")
        (row,) = store.results().measurements.query("metric == 'retention_masked'").to_dict("records")
        assert row["reason"] == "the value is not a number"
        assert store.judgements("judge") == {"02": (0.5, 0.0)}


FACTS = [
    DrawFacts(
        "toy", "classification", 2, 2, 10, 5, 5, ("a", "b"), "rings", ("interacting", "picture"), ("m", "m"), (1, 2),
        ("no", "yes"), "y", "", 1.0, (1,), "hash", 0.9, None,
        Views(Histograms(((0.0, 1.0),) * 2, (((3,), (4,)),) * 2), (Picture("no", (0, 255)),), (0.5, 0.25)),
        ("relevant", "noise"), (1.0, 0.0), ((0, 1),), ((0, 1),), 0.5,
        (WindowFacts("H", "line", "relevant", (0, 1)),), 1, {"auroc": 0.5, "odd": None}, {"auroc": "ab"}, 0.8,
        ("look",), ("a", "b"), ((0,), (1,)), {"odd": "why"},
        {"later": [1, {"x": None}]},
    ),
    ModelFacts("regression", None, 0.5, 0.4, 0.0, 0.01, True, 1.0, 2.0, 0.1, 0.2, None, 7, {"depth": 3},
               {"train_score": "!"}),
    MetricFacts("top", "Top", 0.0, 10.0, "values", True),
    stores.draw().facts,
]  # fmt: skip


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: type(facts).__name__)
def test_facts_survive_json_and_pickle(facts):
    import pickle

    again = type(facts).from_json(json.loads(json.dumps(facts.to_json(), allow_nan=False)))
    assert again == facts
    assert pickle.loads(pickle.dumps(facts)) == facts
    assert gate.facts(facts) == facts


def test_facts_are_read_like_the_json_object():
    facts = FACTS[0]
    assert facts["roles"] == ["relevant", "noise"]
    assert facts["views"]["pictures"] == [{"class": "no", "pixels": [0, 255]}]
    assert facts.get("later") == [1, {"x": None}]
    assert facts.get("absent", 3) == 3
    assert "absent" not in facts
    assert {**facts} == facts.to_json()


def test_facts_of_an_earlier_version_take_defaults():
    facts = DrawFacts.from_json(
        {k: v for k, v in stores.draw().facts.items() if k not in ("views", "constant", "windows")}
    )
    assert (facts.family, facts.traits, facts.constant, facts.views, facts.windows) == ("", (), (), Views(), ())


class NoText(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (RuntimeError("\udc80"), "RuntimeError: \ufffd"),
        (RuntimeError("a\x1b[2Jb"), "RuntimeError: a [2Jb"),
        (NoText(), "NoText: "),
    ],
)
def test_reasons_can_be_written(error, begins):
    reason = reason_of(error)
    reason.encode("utf-8")
    assert reason.startswith(begins)
    assert len(reason_of(RuntimeError("x" * 10**6))) < 3000


def test_a_refused_measurement_has_a_k_that_a_store_holds():
    (kept,) = gate.measurements([Measurement(None, None, 2**63, "")])  # type: ignore[arg-type]
    assert (kept.k, kept.value) == (0, None)
