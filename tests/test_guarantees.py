"""Selections at a level: intervals against closed forms, counts against a slow version, what is stored."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from tests import stores
from tests.reference import guarantees as literal
from xai_bench import cli
from xai_bench.datasets.truth import GroundTruth
from xai_bench.errors import InputError
from xai_bench.proportions import clopper_pearson, clustered
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import show
from xai_bench.report.sections.guarantees import Guarantees
from xai_bench.results import guarantee_words, guarantees, records
from xai_bench.results.merging import merge
from xai_bench.results.records import CellResult, PlanRow
from xai_bench.results.store import Store, pack, read

ROLES = ("relevant", "relevant", "redundant", "suppressor", "noise", "noise")
GROUPS = ((1, 2),)
SEEDS, RUNS = range(8), 20


# -- intervals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "trials"), [(0, 12), (3, 12), (12, 12), (1, 400)])
def test_clopper_pearson_is_the_exact_interval(hits, trials):
    expected = stats.binomtest(hits, trials).proportion_ci(method="exact")
    np.testing.assert_allclose(clopper_pearson(hits, trials), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("hits", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_clopper_pearson_refuses_more_hits_than_trials(hits, trials):
    with pytest.raises(ValueError, match="0 <= hits <= trials"):
        clopper_pearson(hits, trials)


def test_a_draw_with_one_trial_is_a_trial():
    hits = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    found = clustered(hits, np.ones(10))
    assert found[:1] == (0.2,)
    np.testing.assert_allclose(found[1:3], stats.binomtest(2, 10).proportion_ci(method="exact"), rtol=1e-9)


def test_inputs_that_go_together_count_as_their_draws():
    found = clustered(np.repeat([7, 0], [3, 17]), np.full(20, 7))
    # Of 20 draws with 7 equal inputs: the variance is p (1 - p) / 19, that of independent inputs p (1 - p) / 139.
    size = 140 * 19 / 139 * (stats.t.ppf(0.975, 139) / stats.t.ppf(0.975, 19)) ** 2
    np.testing.assert_allclose(found[:3], (0.15, *clopper_pearson(0.15 * size, size)), rtol=1e-9)


def test_where_nothing_was_hit_each_draw_counts_as_one():
    found = clustered(np.zeros(50), np.full(50, 10))
    assert found.low == 0
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 50))  # .071: fifty draws can show .075
    assert clustered(np.full(5, 3), np.full(5, 3)).low == pytest.approx(0.025 ** (1 / 5))


def test_what_is_not_defined_is_nan():
    assert all(math.isnan(value) for value in clustered([], [])[:3])
    one = clustered([1], [4])
    assert one.value == 0.25
    assert math.isnan(one.high)
    assert clustered([1, 0], [4, 0]).draws == 1
    with pytest.raises(ValueError, match="0 <= hits <= trials"):
        clustered([3], [2])


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_interval_covers_shares_of_draws_that_hang_together(spread):
    """Beta-binomial hits: error .1, correlation 0 or .3 within a draw; 400 runs of 40 draws with 8 inputs."""
    rng, covered = np.random.default_rng(0), 0
    a, b = (0.1 * (1 / spread - 1), 0.9 * (1 / spread - 1)) if spread else (0, 0)
    for _ in range(400):
        p = rng.beta(a, b, 40) if spread else np.full(40, 0.1)
        found = clustered(rng.binomial(8, p), np.full(40, 8))
        covered += found.low <= 0.1 <= found.high
    assert covered / 400 >= 0.93  # .95, less two standard errors


# -- which inputs are null -------------------------------------------------------------------------


@pytest.mark.parametrize("null", ["marginal", "conditional"])
def test_null_inputs_are_those_of_the_slow_version(null):
    truth = GroundTruth(ROLES, groups=GROUPS)
    expected = [literal.is_null(j, ROLES, GROUPS, null) for j in range(6)]
    assert truth.null(null).tolist() == expected
    order = np.array([3, 0, 5, 2, 1, 4])
    assert truth.take(order).null(null).tolist() == [expected[j] for j in order]


def test_a_copy_is_null_given_its_original_and_not_alone():
    truth = GroundTruth(("relevant", "relevant", "relevant", "negligible"), groups=((0, 2), (1,)))
    assert truth.null("conditional").tolist() == [True, False, True, False]
    assert not truth.null("marginal").any()


# -- selections ------------------------------------------------------------------------------------


def test_benjamini_hochberg_is_scipys():
    p_values = np.random.default_rng(0).random(30) ** 2
    found = guarantees.benjamini_hochberg(p_values)
    np.testing.assert_allclose(found, stats.false_discovery_control(p_values))
    for level in (0.01, 0.05, 0.3):
        assert (found <= level).tolist() == literal.benjamini_hochberg(p_values.tolist(), level)


def test_null_runs_select_what_few_of_them_reach():
    rng = np.random.default_rng(1)
    nulls, found = rng.random((39, 5)).round(1), np.array([0.0, 0.5, 0.9, 1.0, 1.1])
    for level in (0.05, 0.2):
        selected = guarantees.exceeding(found, nulls) <= level
        assert selected.tolist() == literal.by_null_runs(found, nulls, level, largest=False)
    assert guarantees.exceeding(np.full(5, 2.0), nulls).tolist() == [1 / 40] * 5


def test_outcomes():
    assert guarantees.outcome(0.0, 0.075, 0.05) == "kept"
    assert guarantees.outcome(0.04, 0.09, 0.05) == "undecided"
    assert guarantees.outcome(0.08, 0.2, 0.05) == "exceeded"
    assert guarantees.outcome(math.nan, math.nan, 0.05) == ""


# -- a store by hand -------------------------------------------------------------------------------


def p_values(seed):
    return (np.random.default_rng([7, seed]).random(6) ** 3).tolist()


def relevance(seed, run=-1):
    return np.random.default_rng([seed, run + 1]).random(6) * (1 if run >= 0 else [3, 2, 1, 1, 1, 1])


def build(path, draws=True):
    suite = {**stores.SUITE, "data_seeds": list(SEEDS), "calibration": {"runs": RUNS // 2}}
    real = [PlanRow(f"{name}{s}", f"toy{s}", "", "toy", "", name, s, 0, -1) for s in SEEDS for name in ("tests", "ko")]
    null = [PlanRow(f"null{r}", f"toy0 {r}", "", "toy", "", "tests", 0, r, -1, r) for r in range(RUNS)]
    with Store(path) as store:
        number = store.begin(suite, [*real, *null], {"device": "cpu"}, stores.METRICS)
        for row in real:
            kind = "type1" if row.explainer == "tests" else "fdr"
            tested = records.Tested("conditional", kind, tuple(p_values(row.data_seed)))
            found = CellResult(row.cell, "done", relevance=relevance(row.data_seed), tested=tested)
            store.add([found], number, stores.draw("toy", row.data_seed, roles=ROLES, groups=GROUPS))
        store.add([CellResult(row.cell, "done", relevance=relevance(0, row.permutation)) for row in null], number)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read(build(tmp_path_factory.mktemp("guarantees") / "results.sqlite"))


def selections(rule, level):
    """One a draw, by the slow versions."""
    nulls = [relevance(0, run) for run in range(RUNS)]
    chosen = []
    for seed in SEEDS:
        own, found, runs = p_values(seed), relevance(seed), nulls
        if rule.endswith("_share"):
            found, runs = found / found.sum(), [run / run.sum() for run in nulls]
        if rule in ("p_values", "q_values"):
            chosen.append([p <= level for p in own])
        elif rule == "benjamini_hochberg":
            chosen.append(literal.benjamini_hochberg(own, level))
        else:
            chosen.append(literal.by_null_runs(found, runs, level, "largest" in rule))
    return chosen


@pytest.mark.parametrize(("level", "pooled"), [(0.05, False), (0.2, True)])
def test_shares_are_those_of_the_slow_version(results, level, pooled):
    frame = results.guarantees(level, pooled=pooled)
    assert set(frame["rule"]) == set(guarantee_words.RULES)
    assert len(frame) == 7 * 3
    for row in frame.to_dict("records"):
        expected = literal.shares(selections(row["rule"], level), ROLES, GROUPS, row["null"])
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, err_msg=f"{row['rule']} {row['null']} {name}")
            assert math.isnan(value) or row[f"{name}_low"] <= value <= row[f"{name}_high"]
        assert (row["draws"], row["of_draws"]) == (8, 8)
        assert row["null_runs"] == (RUNS if row["rule"].startswith("null") else 0)
        own = "both" if row["rule"].startswith("null") else "conditional"
        assert row["stated"] == (row["null"] == own)
        assert bool(row["outcome"]) == row["stated"]
        assert row["dataset"] == ("" if pooled else "toy")


def test_the_cells_of_a_method_with_p_values_have_a_power_and_an_error(results):
    found = results.selections(0.2).set_index(["explainer", "data_seed", "metric"])["value"]
    assert len(found) == 2 * 8
    for seed, chosen in zip(SEEDS, selections("p_values", 0.2), strict=True):
        expected = literal.shares([chosen], ROLES, GROUPS, "conditional")
        assert found["tests", seed, "power"] == expected["power"]
        assert found["tests", seed, "type1_error"] == expected["type1"]


def test_no_level_outside_of_0_and_1(results):
    with pytest.raises(InputError, match="between 0 and 1, got 1"):
        results.guarantees(1)


def test_a_missing_null_run_sets_no_threshold(results):
    fewer = replace(results, _cells=results._cells[results._cells["key"] != "null3"].reset_index(drop=True))
    assert not fewer.guarantees()["rule"].str.startswith("null").any()


def test_results_without_p_values_and_null_runs_have_no_rows(tmp_path):
    plain = read(stores.build(tmp_path / "results.sqlite"))
    assert plain.tested == {}
    assert plain.guarantees().empty
    assert "nothing is selected" in guarantee_words.sentences(plain)[0]


def test_null_inputs_are_counted(results):
    (row,) = guarantees.null_inputs(results).to_dict("records")
    counts = {"inputs": 6, "relevant": 2, "null_marginal": 3, "null_conditional": 4, "null_both": 2}
    assert row == {"dataset": "toy", **counts}


# -- what is stored --------------------------------------------------------------------------------


def test_p_values_survive_a_pack(results, tmp_path):
    packed = read(pack(results.folder, tmp_path / "a.xaipack"))
    assert packed.tested == results.tested
    assert packed.tested["tests3"] == records.Tested("conditional", "type1", tuple(p_values(3)))
    pd.testing.assert_frame_equal(packed.guarantees(), results.guarantees())


def test_other_p_values_are_another_result(results, tmp_path):
    other = build(tmp_path / "other" / "results.sqlite")
    with Store(other) as store:
        changed = records.Tested("conditional", "type1", (0.5,) * 6)
        store.add([CellResult("tests3", "done", relevance=relevance(3), tested=changed)], 1)
    with pytest.raises(InputError, match="tested"):
        merge(tmp_path / "both", results.folder, other)


# -- words, command line, page ---------------------------------------------------------------------


def test_sentences_say_what_is_kept(results):
    said = guarantee_words.sentences(results)
    assert said[0].startswith("Selections at level 0.05, on 1 dataset, 8 draws: a promise is kept if the upper bound")
    exceeded = guarantee_words.stated(results.guarantees()).query("outcome == 'exceeded'")
    assert len(said) == 1 + 7 + (len(exceeded) > 0)
    frame = guarantee_words.stated(results.guarantees(pooled=True)).set_index(["explainer", "rule"])
    own = frame.loc[("tests", "p_values")]
    assert f"{own['outcome']}: tests {own['error']:.3f} (power {own['power']:.2f})" in " ".join(said)
    assert own["error"] == own["type1"]


def test_what_all_datasets_hide_is_said(results, monkeypatch):
    monkeypatch.setattr(guarantees, "outcome", lambda low, high, level: "exceeded" if high > 0.3 else "kept")
    fresh = replace(results)
    row = guarantee_words.stated(fresh.guarantees()).query("outcome == 'exceeded'").iloc[0]
    expected = f"{row['explainer']} on toy {row['error']:.3f} ({guarantee_words.RULES[row['rule']]})"
    assert expected in guarantee_words.sentences(fresh)[-1]
    monkeypatch.setattr(guarantees, "outcome", lambda low, high, level: "kept")
    assert "single datasets" not in guarantee_words.sentences(replace(results))[-1]


@pytest.mark.parametrize(("trait", "null", "said"), [
    ("correlated", "marginal", True), ("correlated", "conditional", False), ("interacting", "marginal", False),
])  # fmt: skip
def test_noise_among_correlated_inputs_is_no_marginal_null(results, monkeypatch, trait, null, said):
    """An F test was said to exceed its level where noise inputs depend on the target through relevant ones."""
    monkeypatch.setattr(guarantees, "outcome", lambda low, high, level: "exceeded")
    stated = guarantee_words.stated
    monkeypatch.setattr(guarantee_words, "stated", lambda frame: stated(frame).assign(null=null))
    draws = {key: replace(facts, traits=(trait,)) for key, facts in results.draws.items()}
    found = replace(results, draws=draws)
    assert (guarantee_words.CORRELATED in guarantee_words.sentences(found)) == said


def test_the_command_prints_words_and_a_table(results, tmp_path):
    run = CliRunner().invoke(cli.app, ["guarantees", str(results.folder), "--level", "0.2"])
    assert run.exit_code == 0
    assert "Selections at level 0.2" in run.output
    assert "| tests |" in run.output
    out = tmp_path / "a.csv"
    run = CliRunner().invoke(cli.app, ["guarantees", str(results.folder), "--format", "csv", "--out", str(out)])
    assert run.exit_code == 0
    assert len(pd.read_csv(out)) == 21


def test_the_section_is_there_where_a_method_has_p_values(results, tmp_path):
    shown = show(Guarantees, Frames(results))
    assert shown.absent == ""
    for text in (
        "Which inputs count as false",
        "kept if the upper bound of the error is at most 0.075",
        "share against the largest",
    ):
        assert text in shown.html
    assert "failed" not in shown.summary
    assert show(Guarantees, Frames(read(stores.build(tmp_path / "results.sqlite")))) is None
