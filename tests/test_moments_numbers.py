"""What is said of ``moments`` in words and tables: made from the scores, and by intervals that hold."""

from __future__ import annotations

import importlib
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import between, choose_moments_start, hard_numbers, moments_standard
from benchmarks.entrants import of_entrants
from xai_bench import registry
from xai_bench.results.store import read
from xai_bench.suites import reading

RNG = np.random.default_rng(0)


def scores(gaps: dict[str, list[float]]) -> pd.DataFrame:
    """Both entrants of the first pair on families, whose differences are given."""
    entrant, other = moments_standard.PAIRS[0]
    rows = [
        (family, seed, name, value, "0", 1)
        for family, values in gaps.items()
        for seed, gap in enumerate(values)
        for name, value in ((entrant, 0.5 + gap), (other, 0.5))
    ]
    return pd.DataFrame(rows, columns=list(moments_standard.COLUMNS))


def test_intervals_hold_for_all_families_at_once():
    gaps = {"a": RNG.normal(size=8).tolist(), "b": RNG.normal(size=6).tolist(), "c": [0.1] * 4}
    found = moments_standard.compared(scores(gaps), *moments_standard.PAIRS[0])
    for row, (family, values) in zip(found, gaps.items(), strict=True):
        assert (row.family, row.draws, row.lower) == (family, len(values), sum(gap < 0 for gap in values))
        assert row.worst == pytest.approx(min(values))
        if len(values) < 5:
            assert math.isnan(row.low)
            assert math.isnan(row.high)
            continue
        expected = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 3)
        assert (row.low, row.high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.1, "ahead"), (-0.049, 0.2, "no loss"), (0.0, 0.0, "no loss"), (-0.04, -0.01, "below by less"),
        (-0.051, 0.01, "undecided"), (-0.3, -0.01, "loss"), (math.nan, math.nan, "too few draws"),
    ],
)  # fmt: skip
def test_a_verdict_is_that_of_the_interval(low, high, verdict):
    assert moments_standard.Compared("a", 0.5, 0.5, (low + high) / 2, low, high, 20, 0, 0.0).verdict == verdict


def test_the_page_names_what_is_lost_and_what_is_undecided():
    alternating = [0.4, -0.4] * 10
    gaps = {"friedman1": [0.0] * 20, "lost": [-0.3 - 0.01 * (i % 2) for i in range(20)], "open": alternating}
    page = moments_standard.page(scores(gaps))
    assert "no loss on 1 (`friedman1`); loss on 1 (`lost`); undecided on 1 (`open`)" in page
    assert "The aim, no loss on every family, is missed." in page
    assert "whether or not a loss is shown, on `lost` (-0.305)." in page
    assert "| `friedman1` | 0.500 | 0.500 | +0.000 [+0.000, +0.000] | chosen on | 0 of 20 | +0.000 | no loss |" in page
    share = 1 - (0.05 / 3) ** (1 / 20)
    assert f"exclude only what happens in more than {share:.0%} of draws" in page
    assert "met." in moments_standard.page(scores({"a": gaps["friedman1"]}))
    assert "not shown." in moments_standard.page(scores({"a": gaps["open"]}))
    assert "## `column_norm" not in page, "what nobody has is left out"


def test_page_and_manual_are_made_from_the_committed_scores():
    found = moments_standard.committed()
    assert moments_standard.PAGE.read_text(encoding="utf-8") == moments_standard.page(found)
    manual = moments_standard.MANUAL.read_text(encoding="utf-8")
    said = between.found(manual, moments_standard.BEGIN, moments_standard.END)
    assert said == moments_standard.manual(found)


def test_the_page_of_starts_is_made_from_the_committed_losses():
    found = choose_moments_start.committed()
    page = choose_moments_start.PAGE.read_text(encoding="utf-8")
    assert page == choose_moments_start.page(found)
    assert set(found[found["waiting"] == 0]["even"].isna()) == {True}
    some = pd.DataFrame(
        [
            ("a", 1, 2, 0.5, 0.4, 0.3),
            ("a", 2, 1, 0.5, 0.2, 0.3),
            ("b", 1, 1, 0.5, 0.5, 0.5),
            ("c", 1, 0, None, None, None),
        ],
        columns=list(choose_moments_start.COLUMNS),
    )
    expected = stats.ttest_1samp([-0.2, 0.0], 0).confidence_interval(0.95)
    assert (
        f"`even` less `ignored`: -0.100 [{expected.low:+.3f}, {expected.high:+.3f}], not told apart."
        in choose_moments_start.page(some)
    )


def test_the_committed_scores_are_those_of_the_explainers_of_today():
    found = moments_standard.committed().groupby("entrant")["explainer_version"].agg(set)
    for entrant, versions in found.items():
        assert versions == {registry.get("explainers", moments_standard.KEPT[entrant][0]).version}, entrant


def test_the_manual_names_the_verdicts_of_all_families():
    gaps = {"fine": [0.0] * 20, "lost": [-0.3 - 0.01 * (i % 2) for i in range(20)]}
    said = moments_standard.manual(scores(gaps))
    assert "of 2 families: no loss on 1 (`fine`); loss on 1 (`lost`)." in said
    assert "no loss on every family, is missed (20 draws each" in said
    assert said.endswith("\n")


def test_new_scores_take_the_place_of_equal_draws_and_of_other_versions():
    entrant, other = moments_standard.PAIRS[0]
    before = scores({"a": [0.1, 0.2, 0.3], "b": [0.1]})
    new = before[(before["entrant"] == entrant) & (before["data_seed"] == 1)].assign(recovery=0.9)
    found = moments_standard.updated(before, new).set_index(["family", "data_seed", "entrant"])["recovery"]
    assert len(found) == len(before)
    assert found["a", 1, entrant] == 0.9
    assert found["a", 0, entrant] == pytest.approx(0.6)
    found = moments_standard.updated(before, new.assign(explainer_version=2))
    assert found[found["entrant"] == entrant]["recovery"].tolist() == [0.9]
    assert (found["entrant"] == other).sum() == 4
    assert list(found.columns) == list(moments_standard.COLUMNS)


def test_scores_of_the_standard_pack_are_those_that_are_kept():
    if not moments_standard.STANDARD.is_file():
        pytest.skip("reports/standard has no pack")
    found, kept = moments_standard.scores(read(moments_standard.STANDARD)), moments_standard.committed()
    index = ["family", "data_seed", "entrant"]
    both = found.merge(kept, on=index, suffixes=("", "_kept"))
    assert set(both["entrant"]) == {"spectral", "column_norm"}
    np.testing.assert_allclose(both["recovery"], both["recovery_kept"], atol=1e-6)
    assert (both["explainer_version"] == both["explainer_version_kept"]).all()


def test_rows_are_named_by_explainer_and_network():
    rows = pd.DataFrame(
        {"explainer": ["moments", "spectral", "spectral"], "model": ["", "mlp", "spectral_mlp"], "value": [1, 2, 3]}
    )
    found = of_entrants(rows, moments_standard.KEPT)
    assert list(zip(found["entrant"], found["value"], strict=True)) == [("moments", 1), ("spectral", 3)]


def test_the_families_are_those_of_standard_with_relevant_inputs():
    own = {entry["name"] for entry in moments_standard.suite()["datasets"]}
    standard = {entry.label for entry in reading.load("standard").datasets}
    assert standard - own == {"null", "digits", "breast_cancer", "diabetes"}
    assert own <= standard
    assert set(moments_standard.SEEN) <= own


def test_the_committed_summary_of_moments_is_made_from_its_runs(monkeypatch):
    monkeypatch.syspath_prepend(hard_numbers.ROOT / "benchmarks")
    summary = importlib.import_module("moments_summary")
    folder = hard_numbers.ROOT / "reports" / "moments"
    assert (folder / "summary.md").read_text(encoding="utf-8") == summary.text(summary.read(folder / "runs.csv"))


SETS, SIZES, FOLDS = ("ring", "xor"), (8, 32, 128), 2


@pytest.fixture
def hard():
    """Results of two sets at three sizes, of moments and the forest, three draws in two folds; and the values."""
    datasets = [
        {"name": name, "label": f"{name} (d={d})", "fields": {"n": 1000, "d": d}} for name in SETS for d in SIZES
    ]
    rows = [
        (entry["label"], "", explainer, seed, fold, "precision_at_p", float(RNG.uniform(low, 1)))
        for entry in datasets
        for explainer, low in (("moments", 0.99), ("random_forest", 0.2))
        for seed in range(3)
        for fold in range(FOLDS)
    ]
    columns = ["dataset", "model", "explainer", "data_seed", "fold", "metric", "value"]
    networks = pd.DataFrame({"model_key": ["1"], "model": ["mlp"], "dataset": ["ring (d=8)"], "test_score": [0.75]})
    suite = {"datasets": datasets, "folds": FOLDS}
    return SimpleNamespace(suite=suite, measurements=pd.DataFrame(rows, columns=columns), cells=networks)


def test_a_cell_is_the_mean_of_its_draws_and_the_interval_is_over_cells(hard):
    cells = hard_numbers.of_cells(hard_numbers.of_runs(hard))
    assert cells.shape == (len(SETS) * len(SIZES), 2)
    rows = hard.measurements
    expected = rows[(rows["dataset"] == "xor (d=32)") & (rows["explainer"] == "random_forest")]["value"].mean()
    assert cells.loc[("xor", 32), "`random_forest`"] == pytest.approx(expected)
    found = hard_numbers.over_cells(cells["`random_forest`"])
    ends = stats.ttest_1samp(cells["`random_forest`"], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert math.isnan(hard_numbers.over_cells(cells["`moments`"].iloc[:4]).low)


def test_published_figures_are_of_the_same_cells(hard):
    theirs = hard_numbers.published(hard)
    assert set(theirs.index) == {(name, d) for name in SETS for d in SIZES}
    assert theirs.loc[("ring", 32), "random_forest"] == 1.0
    text = hard_numbers.text(hard)
    mean = theirs["random_forest"].mean()
    assert f"`random_forest` {mean:.3f}" in text
    assert any(
        line.startswith("| published: `random_forest`") and f"**{mean:.3f}**" in line for line in text.split("\n")
    )
    assert "| plain | 0.750 | 0.750 |" in text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0] * 6, "met (lower end"), ([1.0, 1.0, 1.0, 1.0, 1.0, 0.9], "not shown to be met"),
        ([0.9, 0.91] * 3, "missed"), ([1.0] * 4, "not decided below 5 cells"),
    ],
)  # fmt: skip
def test_the_aim_is_judged_by_the_interval(values, said):
    cells = pd.DataFrame({"`moments`": values})
    (line,) = hard_numbers.aims(cells, pd.DataFrame({"entrant": "`moments`", "value": values}))
    assert said in line
    assert f"{sum(value == 1 for value in values)} of {len(values)} rankings" in line


def test_differences_over_cells_are_told_by_their_intervals(hard):
    cells = pd.DataFrame({
        "`spectral_moments`": [0.9, 0.91, 0.9, 0.91, 0.9], "`moments`": [0.9, 0.92, 0.89, 0.91, 0.9],
        "`random_forest`": [0.5, 0.51, 0.52, 0.5, 0.51], "`column_norm`": [0.1] * 5,
    })  # fmt: skip
    above, open_ = hard_numbers.differences(cells)
    assert above.startswith("`spectral_moments` less `random_forest`: +0.396 [")
    assert above.endswith("], above.")
    assert open_.endswith("], not told apart.")
    assert all(line.endswith("too few to say.") for line in hard_numbers.differences(cells.iloc[:4]))


def test_what_is_said_of_hard_is_of_the_committed_pack():
    said = between.found(hard_numbers.MANUAL.read_text(encoding="utf-8"), hard_numbers.BEGIN, hard_numbers.END)
    if not hard_numbers.PACK.is_file():
        assert said == "", "reports/hard has no pack"
        return
    assert said == hard_numbers.today()


def test_its_methods_and_networks_are_those_of_the_suite():
    suite = reading.load("hard")
    explainers, models = ({entry.label for entry in axis} for axis in (suite.explainers, suite.models))
    assert {explainer for explainer, _ in hard_numbers.ENTRANTS.values()} == explainers
    assert (
        {model for _, model in hard_numbers.ENTRANTS.values()} - {""} == models == set(hard_numbers.NETWORKS.values())
    )
    assert {name for pair in hard_numbers.PAIRS for name in pair} <= set(hard_numbers.ENTRANTS)


def test_hard_full_holds_what_hard_holds():
    few, all_of = reading.load("hard"), reading.load("hard_full")
    assert {entry.label for entry in few.datasets} < {entry.label for entry in all_of.datasets}
    assert {entry.label for entry in few.explainers} < {entry.label for entry in all_of.explainers}
