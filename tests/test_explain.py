"""``explain``: the pieces against slow versions, and tables with a planted answer."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency, kruskal, norm
from sklearn.metrics import balanced_accuracy_score, r2_score

from tests.cases.tables import TABLES
from tests.verdicts import alike, verdict
from xai_bench import cli, explain
from xai_bench.analysis import baselines, evidence, frames, kept, trainings
from xai_bench.analysis.answer import Answer
from xai_bench.analysis.clusters import association, clusters
from xai_bench.analysis.explain import _in_part, _possible, _untested
from xai_bench.analysis.given import given_table
from xai_bench.analysis.page import page
from xai_bench.analysis.rows import Rows, how_permuted, permuted, splits
from xai_bench.analysis.score import balanced_accuracy, over_trainings, score_for
from xai_bench.analysis.words import brief, words
from xai_bench.commands.table import MOST_LINES, listed
from xai_bench.errors import InputError
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.tables.between import LEAK
from xai_bench.tables.columns import AS_IT_IS

FAST = {"folds": 3, "seeds": 1, "permutations": 99, "null_trainings": 19}


def rows_of(n=60, **options):
    return Rows(np.arange(n) % 2, "classification", **options)


class TestRows:
    def test_every_row_is_held_out_once_a_seed(self):
        found = splits(rows_of(), seeds=2, folds=5)
        for seed in (0, 1):
            tested = np.concatenate([s.parts.test for s in found if s.seed == seed])
            assert sorted(tested) == list(range(60))
        for split in found:
            assert sorted(np.concatenate(split.parts)) == list(range(60))
            assert np.mean(np.arange(60)[split.parts.test] % 2) == 0.5

    def test_groups_stay_in_one_part(self):
        groups = np.arange(60) // 5
        for split in splits(rows_of(groups=groups), seeds=2, folds=3):
            parts = [set(groups[part]) for part in split.parts]
            assert parts[0] & parts[1] == parts[0] & parts[2] == parts[1] & parts[2] == set()

    def test_later_rows_are_held_out(self):
        time = np.random.default_rng(0).permutation(60)
        for split in splits(rows_of(time=time), seeds=1, folds=3):
            train, valid, test = (time[part] for part in split.parts)
            assert train.max() < valid.min()
            assert valid.max() < test.min()

    def test_a_permuted_target_keeps_what_groups_have(self):
        rng = np.random.default_rng(0)
        groups, y = np.arange(60) // 6, rng.integers(0, 2, 60)
        within = permuted(Rows(y, "classification", groups=groups), rng)
        assert [within[groups == g].sum() for g in range(10)] == [y[groups == g].sum() for g in range(10)]
        assert (within != y).any()
        of_group = np.arange(10)
        across = permuted(Rows(of_group[groups], "regression", groups=groups), rng)
        assert all(len(set(across[groups == g])) == 1 for g in range(10))
        assert sorted(across[::6]) == list(range(10))
        assert (across != of_group[groups]).any()

    def test_a_permuted_target_stays_in_its_stretch_of_time(self):
        y, time = np.arange(100.0), np.random.default_rng(1).permutation(100)
        shuffled = permuted(Rows(y[time], "regression", time=time), np.random.default_rng(0))
        assert (shuffled // 10 == time // 10).all()
        assert (shuffled != time).mean() > 0.5


class TestScore:
    def test_unequal_classes_are_not_judged_by_accuracy(self):
        assert score_for(np.arange(60) % 2, "classification").name == "accuracy"
        assert score_for((np.arange(600) % 20 == 0).astype(int), "classification").name == "AUC"
        assert score_for(np.repeat([0, 1, 2], [30, 20, 5]), "classification").name == "balanced accuracy"

    def test_balanced_accuracy_is_that_of_scikit_learn(self):
        rng = np.random.default_rng(0)
        y, guess, w = rng.integers(0, 3, 50), rng.integers(0, 3, 50), rng.random(50)
        assert balanced_accuracy(y, guess) == pytest.approx(balanced_accuracy_score(y, guess))
        assert balanced_accuracy(y, guess, w) == pytest.approx(balanced_accuracy_score(y, guess, sample_weight=w))

    def test_r2_is_that_of_scikit_learn_or_0_for_another_guess(self):
        rng = np.random.default_rng(0)
        y, said, w = rng.normal(size=30), rng.normal(size=(30, 1)), rng.random(30)
        score = score_for(y, "regression")
        assert score.of(y, said) == pytest.approx(r2_score(y, said))
        assert score.of(y, said, w) == pytest.approx(r2_score(y, said, sample_weight=w))
        assert score.of(y, np.full((30, 1), 2.0), w, 2.0) == 0
        expected = 1 - np.sum(w * (y - said[:, 0]) ** 2) / np.sum(w * (y - 2) ** 2)
        assert score.of(y, said, w, 2.0) == pytest.approx(expected)

    def test_a_constant_guess_has_an_r2_of_0_where_groups_are_held_out(self, monkeypatch):
        """Each group has a mean of its own: by the mean of the held-out rows the constant would be far below 0."""
        rng = np.random.default_rng(0)
        monkeypatch.setattr(baselines, "TREES", 3)
        groups = np.repeat(np.arange(6), 10)
        frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"]).assign(y=5.0 * groups + rng.normal(size=60))
        given = given_of(frame, "y", groups=groups, weights=rng.random(60))
        chosen = splits(given.rows, 1, 3)
        score = score_for(given.rows.y, "regression")
        found = baselines.baseline_scores(given.table, given.rows, chosen, score, lambda line: None)
        assert found["constant"] == pytest.approx([0, 0, 0], abs=1e-6)

    def test_an_interval_over_trainings_counts_shared_rows(self):
        values = np.array([0.7, 0.8, 0.9, 0.75])
        wide = over_trainings(values, 0.25)
        half = 3.182446 * np.sqrt(values.var(ddof=1) * (1 / 4 + 0.25))
        assert (wide.low, wide.high) == pytest.approx((values.mean() - half, values.mean() + half))


class TestEvidence:
    @pytest.mark.parametrize("kind", ["classification", "regression"])
    def test_statistics_are_those_of_pearson_and_kruskal(self, kind):
        rng = np.random.default_rng(0)
        bins = [rng.integers(0, 4, 80), rng.integers(0, 2, 80)]
        y = rng.integers(0, 3, 80) if kind == "classification" else np.round(rng.normal(size=80), 1)
        found = evidence._Design(bins).statistics(evidence._coded(y, kind)[None])[0]
        for one, value in zip(bins, found, strict=True):
            if kind == "classification":
                expected, _, freedom, _ = chi2_contingency(pd.crosstab(one, y), correction=False)
            else:
                expected, freedom = kruskal(*(y[one == b] for b in np.unique(one)))[0], one.max()
            assert norm.sf(value) == pytest.approx(chi2.sf(expected, freedom), abs=0.02)

    def test_p_values_against_a_literal_version(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(50, 4))
        y = (X[:, 0] + rng.normal(size=50) > 0).astype(int)
        rows = Rows(y, "classification")
        bins = evidence.bins_of(X, ((0,), (1,), (2,), (3,)))
        found = evidence.p_values(bins, rows, 99, seed=3)
        again, design = np.random.default_rng(3), evidence._Design(bins)
        observed = design.statistics(evidence._coded(y, "classification")[None])[0]
        null = [design.statistics(evidence._coded(permuted(rows, again), "classification")[None])[0] for _ in range(99)]
        expected = [(1 + sum(one.max() >= value - 1e-9 for one in null)) / 100 for value in observed]
        np.testing.assert_allclose(found, expected)

    def test_nothing_is_found_where_nothing_is(self):
        rng = np.random.default_rng(0)
        wrong = 0
        for _ in range(60):
            X, y = rng.normal(size=(30, 6)), rng.integers(0, 2, 30)
            bins = evidence.bins_of(X, tuple((j,) for j in range(6)))
            wrong += (evidence.p_values(bins, Rows(y, "classification"), 99) <= 0.05).any()
        assert wrong <= 8  # of 60 at a level of .05: more has a chance of .3 %

    def test_bins_of_an_input(self):
        X = np.array([[0.0, 1, 0], [1, 0, 1], [np.nan, 0, 1], [1, 1, 0]])
        number, category = evidence.bins_of(X, ((0,), (1, 2)))
        assert list(number) == [0, 1, 2, 1]
        assert list(category) == [0, 1, 1, 0]


def test_clusters_are_inputs_that_stand_for_one_another():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    X[:, 3] = -(X[:, 0] ** 3)
    X[:, 4] = X[:, 1] + 0.1 * rng.normal(size=200)
    assert list(clusters(association(X, ((0,), (1,), (2,), (3,), (4,))))) == [0, 1, 2, 0, 1]
    assert list(clusters(association(X, ((0, 2), (1,), (3,), (4,))))) == [0, 1, 0, 1]


def planted(n=300, seed=0):
    """A category, a number with holes and a date tell something; the rest does not, or is a trap."""
    rng = np.random.default_rng(seed)
    place, dose = rng.choice(["north", "south", "west"], n), rng.normal(size=n)
    days = rng.integers(0, 700, n)
    value = 1.5 * dose + 2 * (place == "south") + days / 200 + 0.3 * rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "place": place,
            "dose": np.where(rng.random(n) < 0.05, np.nan, dose),
            "visit": (pd.Timestamp("2021-01-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d"),
            "colour": rng.choice(["red", "green"], n),
            **{f"noise_{j}": rng.normal(size=n) for j in range(4)},
            "patient_id": np.arange(n),
            "leak": 3 * value + 1,
            "value": value,
        }
    )
    return pd.concat([frame, frame.head(n // 6).assign(patient_id=range(n, n + n // 6))], ignore_index=True)


@pytest.fixture(scope="module")
def small():
    """Small networks, trained briefly."""
    fields = {"hidden": (16,), "epochs": 0.1, "min_steps": 200, "checkpoints": 10, "learning_rate": 0.03}
    fields |= {"dropout": (0.0,), "batch_norm": (False,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            trainings, "NETWORKS", (SpectralMLP(**fields, l2_lambda=0.03, l2_phi=1e-4), MLP(**fields, group_lasso=2e-3))
        )
        patch.setattr(trainings, "SETTINGS", {"spectral_mlp": ({}, {"checkpoints": 2}), "mlp": ({},)})
        patch.setattr(baselines, "TREES", 20)
        patch.setattr(kept, "RANDOM_ORDERS", 2)
        yield


@pytest.fixture(scope="module")
def answer(small):
    return explain(planted(), "value", **FAST)


class TestAnswer:
    def test_planted_inputs_come_first(self, answer):
        relevant = {"place", "dose", "visit"}
        assert set(answer.inputs["input"].head(3)) == relevant
        for method in ("spectral", "permutation_importance", "gradient_shap"):
            own = answer.found.methods.query(f"method == '{method}' and network == 'spectral_mlp'")
            assert set(own.nlargest(3, "relevance")["input"]) == relevant
        assert set(answer.found.informative) == relevant
        above = answer.inputs.set_index("input")["above_chance"]
        assert above[list(relevant)].min() > 0.6
        assert above.drop(list(relevant)).max() < 0.4

    def test_traps_are_flagged(self, answer):
        told = answer.columns.set_index("column")
        assert not told.loc[["patient_id", "leak"], "used"].any()
        assert "identifier" in told["why"]["patient_id"]
        assert "equals the target" in told["why"]["leak"]
        assert any("rows repeat: 100 of 350 rows" in line for line in answer.notices)

    def test_words_are_those_of_the_numbers(self, answer):
        text = str(answer)
        assert "3 of 8 inputs carry information about 'value'" in text
        assert "R2" in text
        assert f"{answer.scores['score'].max():.3f}" in text

    def test_files(self, answer, tmp_path):
        page = answer.write(tmp_path / "answer")
        html = page.read_text(encoding="utf-8")
        assert len(html) < 10**6
        assert "<h1>" in html
        assert all(name in html for name in ("patient_id", "leak", "gradient boosting"))
        table = pd.read_csv(tmp_path / "answer" / "inputs.csv")
        assert len(table) == 8 * 7
        assert (tmp_path / "answer" / "summary.md").read_text(encoding="utf-8").startswith("# What tells")
        assert "<html" not in answer._repr_html_()

    def test_which_method_to_trust_stands_on_the_page(self, answer, tmp_path):
        assert answer.trust is None
        asked = Answer(replace(answer.found, trust=verdict(alike((0.9, 0.5, 0.7)))))
        page = asked.write(tmp_path).read_text(encoding="utf-8")
        assert "Which method to trust here" in page
        assert "Which method to trust here" not in (answer.write(tmp_path / "without")).read_text(encoding="utf-8")
        summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
        score = asked.trust.leaderboard()["score"].iloc[0]
        assert f"| good on mlp | {score:.3f} | 1 |" in summary
        assert "| additive | good on mlp |" in summary
        assert "Trust `good on mlp` here" in str(asked)

    @pytest.mark.slow
    def test_the_same_again(self, answer, small):
        again = explain(planted(), "value", **FAST)
        pd.testing.assert_frame_equal(again.found.trainings, answer.found.trainings)
        pd.testing.assert_frame_equal(again.scores, answer.scores)


def test_what_a_large_table_is_spared():
    """A forest that sees all 500 columns at every split takes minutes a split."""
    forest = baselines.models("regression", score_for(np.arange(9.0), "regression"), 0, large=True)["random forest"]
    assert forest.max_features == pytest.approx(1 / 3)
    assert baselines.models("regression", None, 0)["random forest"].max_features == 1.0
    found = {what: (taken, of) for what, taken, of, _ in _in_part("regression", 500, 5, 15, 39)}
    assert found["columns that a split of the forest sees"] == (166, 500)
    assert found["splits of the baselines"] == (5, 15)
    assert list(_in_part("classification", 500, 5, 5, 19)) == []


def test_none_is_an_answer(small, monkeypatch):
    rng = np.random.default_rng(1)
    asked = []
    monkeypatch.setattr("xai_bench.analysis.explain.of_given", lambda given, how: asked.append((given, how)) or "trust")
    answer = explain(rng.normal(size=(60, 3)), rng.integers(0, 2, 60), **FAST, simulate=True, seconds=30, jobs=2)
    ((given, how),) = asked
    assert answer.trust == "trust"
    assert (len(given.rows), how.seconds, how.jobs) == (60, 30.0, 2)
    assert answer.found.informative == []
    assert "clearly better than a constant guess" in words(answer.found)[0]
    assert "None of the 3 inputs was shown to carry information" in words(answer.found)[1]


def network_scores(X, y, folds=3, **roles):
    """Of every network on every split."""
    given = given_table(X, y, None, {"groups": None, "time": None, "weights": None, **roles}, (), (), ())
    score = score_for(given.rows.y, given.rows.kind)
    found = trainings.trained(
        trainings.NETWORKS, given.table, given.rows, splits(given.rows, 1, folds), score, lambda line: None
    )
    return np.array([one.score for one in found])


def given_of(frame, target, drop=(), **roles):
    return given_table(frame, target, None, {"groups": None, "time": None, "weights": None, **roles}, drop, (), ())


class TestGiven:
    def test_rows_without_a_target_are_left_out(self):
        frame = pd.DataFrame({"a": np.arange(40.0) ** 2, "b": np.arange(40) % 3, "g": np.arange(40) % 4})
        frame["y"] = ["x", "z"] * 20
        frame.loc[[3, 7], "y"] = None
        given = given_of(frame, "y", groups="g", weights=np.arange(40))
        assert len(given.rows) == 38
        assert list(given.rows.weights) == [w for w in range(40) if w not in (3, 7)]
        assert given.found.notices[0].startswith("2 of 40 rows left out: the target 'y' has no value there")
        with pytest.raises(InputError, match="expected a target in every row, got 40 missing values"):
            given_of(frame.assign(y=None), "y")

    def test_names_that_repeat_may_be_groups(self):
        frame = pd.DataFrame({"who": [f"p{i % 40}" for i in range(60)], "y": np.arange(60.0)})
        frame["a"], frame["b"] = frame["y"] ** 2, frame["y"] ** 3
        (line,) = [line for line in given_of(frame, "y").found.notices if "'who'" in line]
        assert "an identifier; if rows that share one belong together, name the column with groups" in line

    def test_with_groups_nobody_is_told_to_name_them(self):
        frame = pd.DataFrame({"a": np.repeat(np.arange(30.0) ** 2, 2), "g": np.repeat(np.arange(30), 2)})
        frame["b"], frame["y"] = frame["a"] ** 2, np.arange(60.0)
        repeated = [line for line in given_of(frame, "y", groups="g").found.notices if "rows repeat" in line]
        assert repeated == ["rows repeat: 60 of 60 rows have a twin in all inputs"]
        assert "name their column with groups" in str(given_of(frame, "y", drop=["g"]).found.notices)

    def test_true_and_false_are_no_numbers(self):
        frame = pd.DataFrame({"a": np.arange(40.0) ** 2, "b": np.arange(40) % 3, "y": np.arange(40) % 2 == 0})
        assert given_of(frame, "y").found.notices == ("the target 'y' is read as classes",)

    def test_what_is_dropped_is_said(self):
        frame = pd.DataFrame({"a": np.arange(40.0) ** 2, "b": 1.0, "c": np.arange(40) % 3, "y": np.arange(40.0)})
        assert given_of(frame, "y", drop=[" b"]).found.notices[-1] == "left out, as was said: 'b'"


def test_where_a_target_is_permuted_is_said():
    groups = np.arange(60) // 6
    assert how_permuted(rows_of()) == ("", 0)
    assert how_permuted(rows_of(time=np.arange(60))) == ("within stretches of time", 0)
    assert how_permuted(Rows(groups.astype(float), "regression", groups=groups)) == ("between groups", 0)
    groups = np.where(groups == 0, 100 + np.arange(60), groups)
    assert how_permuted(rows_of(groups=groups)) == ("within groups", 6)
    assert _possible(rows_of(groups=groups), 5) == (5, [])
    alone = np.minimum(np.arange(60), 40)
    (line,) = _possible(rows_of(groups=alone), 5)[1]
    assert line == "the target is permuted within groups: 40 of 60 rows are alone in theirs and tell the test nothing"
    assert _possible(rows_of(groups=np.arange(60) // 15), 5) == (4, ["4 folds instead of 5: there are 4 groups"])


def test_against_chance_a_loss_that_rises_counts_as_a_share_of_it():
    """On a table of cars (R2 .87) networks on permuted targets, with ten times the loss, had rises as large."""
    entrants = [trainings.Entrant("mlp", name) for name in ("permutation_importance", "saliency")]
    relevances = {entrant: np.array([0.4, 0.1]) for entrant in entrants}
    split = splits(rows_of(), 1, 3)[0]
    good, bad = (trainings.Training("mlp", split, 0.9, relevances, loss) for loss in (0.1, 1.0))
    assert good.against_chance[entrants[0]] == pytest.approx([4.0, 1.0])
    assert bad.against_chance[entrants[0]] == pytest.approx([0.4, 0.1])
    assert good.against_chance[entrants[1]] == pytest.approx([0.4, 0.1])
    shown = frames.inputs(["a", "b"], [good], dict.fromkeys(entrants, 0.5), np.zeros(2), np.arange(2), 0.25)
    assert list(shown.set_index("input")["above_chance"][["a", "b"]]) == [1, 1]


def test_what_is_the_same_in_all_rows_of_a_group_cannot_be_tested_within():
    rng = np.random.default_rng(0)
    groups = np.arange(60) // 4
    income = np.where(groups == 3, np.nan, groups**2.0)
    frame = pd.DataFrame({"income": income, "kind": np.array(list("abc"))[groups % 3], "cost": rng.normal(size=60)})
    frame["y"] = np.arange(60) % 2
    (line,) = _untested(given_of(frame, "y", groups=groups))
    assert line.endswith("says nothing of it: income and kind")
    assert _untested(given_of(frame, "y")) == []
    assert _untested(given_of(frame.assign(y=groups % 2), "y", groups=groups)) == []


class TestBrief:
    def test_three_lines(self, answer):
        assert len(answer.brief) == 3
        assert answer.words[:3] == answer.brief
        first = answer.inputs.iloc[0]
        share = (
            f"{first['input']} {100 * first['relevance']:.0f} % [{100 * first['low']:.0f}, {100 * first['high']:.0f}]"
        )
        assert share in answer.brief[2]

    def test_networks_that_are_below_the_forest_come_first(self, answer):
        scores = answer.scores.assign(difference=-0.2, difference_low=-0.3, difference_high=-0.1, against="linear")
        networks = scores["kind"] == "network"
        scores.loc[~networks, ["difference", "difference_low", "difference_high"]] = np.nan
        line, *_ = brief(replace(answer.found, scores=scores))
        assert line.startswith("The networks are clearly below linear: R2 ")
        assert "a difference of 0.200 [0.100, 0.300] and 0.200 [0.100, 0.300]. What they rely on" in line
        scores.loc[scores["model"] == "mlp", "difference_high"] = 0.1
        line, *_ = brief(replace(answer.found, scores=scores))
        assert line.startswith("The network spectral_mlp is clearly below linear: R2 ")

    def test_where_networks_learn_nothing_no_order_is_given(self, answer):
        scores = answer.scores.assign(above_constant_low=-0.1)
        lines = brief(replace(answer.found, scores=scores))
        assert "No network predicts 'value' clearly better than a constant guess" in lines[0]
        assert "no order of the inputs is given" in lines[2]
        shown = page(replace(answer.found, scores=scores))
        table = shown[shown.index("The inputs, lowest p first") :]
        by_p = answer.inputs.sort_values("p_value", kind="stable")["input"]
        assert [table.index(f"<th>{name}</th>") for name in by_p] == sorted(table.index(f"<th>{n}</th>") for n in by_p)
        assert "With fewer inputs" not in shown
        assert "With fewer inputs" in page(answer.found)

    def test_inputs_that_tell_something_and_are_spared(self, answer):
        inputs = answer.inputs.assign(above_chance=[0.2, *[0.9] * 7], p_value=[0.001] * 2 + [0.5] * 6)
        text = " ".join(words(replace(answer.found, inputs=inputs)))
        name = answer.inputs["input"][0]
        assert f"Carries information, but not more relevant than chance gives in most trainings: {name}." in text


def test_rows_of_a_group_do_not_help_each_other(small):
    """Each mouse has a target of its own and fifteen rows: what is learned by heart does not count by group."""
    rng = np.random.default_rng(0)
    mouse = np.repeat(np.arange(20), 15)
    X = pd.DataFrame(rng.normal(size=(20, 12))[mouse] + 0.01 * rng.normal(size=(300, 12)), columns=list("abcdefghijkl"))
    y = rng.permutation(np.arange(20) % 2)[mouse]
    assert network_scores(X, y).mean() > 0.9
    assert network_scores(X, y, groups=mouse).mean() < 0.75


def test_weights_count(small):
    """Rows of weight 0 follow another rule, which nobody learns and nobody is judged by."""
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(200, 3)), np.arange(200) % 2
    y = (np.where(weights == 1, X[:, 0], -X[:, 0]) > 0).astype(int)
    assert network_scores(X, y, weights=weights).min() > 0.85
    assert network_scores(X, y).mean() < 0.7


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"y": "z"}, "unknown column 'z'"),
        ({"groups": "z"}, "unknown column 'z'"),
        ({"groups": "a", "time": "b"}, "expected groups or time, got both"),
        ({"groups": [0, 1]}, "groups: expected 60 values"),
        ({"weights": [-1] * 60}, "weights: expected numbers >= 0"),
        ({"time": ["x", "z"] * 30}, "time: expected numbers or dates"),
        ({"folds": 1}, "folds: expected a whole number >= 2, got 1"),
        ({"null_trainings": 5}, "null_trainings: expected a whole number >= 19"),
        ({"kind": "ranking"}, "kind: expected 'classification' or 'regression'"),
        ({"X": "nowhere.csv"}, "expected a file at 'nowhere.csv', found nothing"),
        ({"X": [1, 2]}, "X: expected a DataFrame, an array"),
    ],
)
def test_bad_input_is_one_line(options, line):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("aby"))
    with pytest.raises(InputError) as caught:
        explain(**{"X": frame, "y": "y", **options})
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_command(answer, tmp_path, monkeypatch, capsys):
    calls = []

    def stand_in(file, target, **options):
        calls.append((file.name, target, options["groups"], options["drop"], options["missing_codes"]))
        return answer

    monkeypatch.setattr("xai_bench.analysis.explain.explain", stand_in)
    command = ["xai-bench", "explain", "t.csv", "--target", "value", "--out", str(tmp_path / "answer")]
    monkeypatch.setattr(sys, "argv", [*command, "--drop", "b, c", "--missing-codes", "-999"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert calls == [("t.csv", "value", None, ["b", "c"], [-999.0])]
    printed = capsys.readouterr().out
    assert re.search(r"place +category +one input of 3 columns \(one-hot\)", printed)
    assert "3 of 8 inputs carry information" in printed
    assert "index.html" in printed
    monkeypatch.setattr(sys, "argv", [*command, "-q"])
    with pytest.raises(SystemExit):
        cli.main()
    quiet = capsys.readouterr().out
    assert quiet.startswith("The networks reach")
    assert quiet in printed
    assert "index.html" not in quiet


def test_a_leak_is_in_the_words(answer):
    columns = answer.found.columns.assign(why=[f"it alone tells all: {LEAK}", *answer.found.columns["why"][1:]])
    text = words(replace(answer.found, columns=columns))[3]
    assert text.startswith(f"{columns['column'][0]} is nearly the target")
    assert "nearly the target" not in " ".join(words(answer.found))


def test_half_of_the_trainings_are_not_most(answer):
    inputs = answer.inputs.assign(above_chance=[0.5, *[0.6] * 7], p_value=0.5)
    text = " ".join(words(replace(answer.found, inputs=inputs)))
    assert f"{inputs['input'][0]} (50 %" not in text
    assert f"{inputs['input'][1]} (60 %" in text


def test_the_command_looks_where_it_writes_before_it_computes(tmp_path, monkeypatch, capsys):
    (tmp_path / "taken").write_text("")
    place = str(tmp_path / "taken" / "a")
    monkeypatch.setattr(sys, "argv", ["xai-bench", "explain", "no.csv", "--target", "y", "--out", place])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "--out: expected a folder at" in capsys.readouterr().err


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "t.csv").write_text(TABLES["title above the header"], encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["xai-bench", "explain", str(tmp_path / "t.csv"), "--target", "y"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "line 2 looks like the header" in capsys.readouterr().err


def test_of_many_columns_those_that_are_used_as_they_are_are_counted():
    names = [f"c{i}" for i in range(MOST_LINES + 1)]
    columns = pd.DataFrame({"column": names, "kind": "number", "done": AS_IT_IS, "why": ""})
    columns.loc[3, ["done", "why"]] = "left out", "a constant"
    assert list(listed(columns)) == ["c3  number  left out (a constant)", f"{MOST_LINES} columns  {AS_IT_IS}"]
    assert len(list(listed(columns.head(MOST_LINES)))) == MOST_LINES
    assert len(list(listed(columns, most=len(columns)))) == len(columns)
