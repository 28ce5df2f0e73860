"""``trust``: who is recommended, by what, and how the simulated targets are made and run."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import xai_bench
from tests.verdicts import ASKED, FAMILIES, LEADER, alike, verdict
from xai_bench import cli
from xai_bench.analysis import baselines, difficulty, simulations, trust, trust_words
from xai_bench.analysis.simulations import CHOOSING, Kind, kinds
from xai_bench.errors import InputError


@pytest.fixture(scope="module")
def clear():
    """One method is clearly better than the leader, in all kinds."""
    return verdict(alike((0.9, 0.5, 0.7)))


class TestRecommendation:
    def test_who_is_shown_to_be_better_than_the_leader_is_recommended(self, clear):
        found = clear
        assert found.recommended == found.choice.best == "good on mlp"
        assert found.choice.low > 0
        assert "Trust `good on mlp` here: it is shown to be better than `forest`" in found.words[0]
        assert "0.800 there" in found.words[0]

    def test_where_nothing_beats_the_leader_it_is_recommended_and_said(self):
        found = verdict(alike((0.74, 0.5, 0.7)), spread=0.1)
        assert found.choice.best != "forest"
        assert found.recommended == "forest"
        assert found.words[0].startswith("Nothing is shown to beat `forest`, the leader of `standard`")
        assert "undecided" in found.words[0]

    def test_targets_that_choose_do_not_score(self):
        """Who is lucky where a method is chosen gains nothing from it."""
        means = {("choose", f): (0.9, 0.5, 0.7) for f in FAMILIES} | {("score", f): (0.5, 0.9, 0.7) for f in FAMILIES}
        found = verdict(means)
        assert found.choice.best == "good on mlp"
        assert found.choice.score == pytest.approx(0.5, abs=0.05)
        assert found.choice.outcome == "worse"
        assert found.recommended == "forest"
        board = found.leaderboard()
        assert list(board["name"]) == ["bad on mlp", "forest", "good on mlp"]

    def test_few_draws_decide_nothing(self):
        found = verdict(alike((0.9, 0.5, 0.7)), draws=3)
        assert found.choice.outcome == "undecided"
        assert found.recommended == "forest"
        assert found.words[0].endswith("below 5 draws nothing is decided.")

    def test_the_leader_may_do_best(self):
        found = verdict(alike((0.5, 0.4, 0.7)))
        assert found.recommended == found.choice.best == "forest"
        assert "also did best" in found.words[0]

    def test_kinds_of_targets_are_decided_one_by_one(self):
        means = {
            (p, f): (0.9, 0.5, 0.7) if f == "additive" else (0.5, 0.4, 0.7)
            for p in ("choose", "score")
            for f in FAMILIES
        }
        found = verdict(means)
        rows = found.by_kind().set_index("kind")
        assert list(rows.index) == ["additive", "pairwise", "sparse", "dense"]
        assert rows.loc["additive", "recommended"] == "good on mlp"
        assert rows.loc["pairwise", "recommended"] == "forest"
        text = found.words[1]
        assert "additive: `good on mlp`" in text
        assert "Nothing beats it on: pairwise" in text

    def test_more_questions_at_once_have_wider_intervals(self, clear):
        one, several = clear._choice("additive", 1), clear._choice("additive", 5)
        assert several.high - several.low > one.high - one.low

    def test_differences_are_those_of_the_draws(self, clear):
        found = clear
        rows = found.values[found.values["purpose"] == "score"]
        means = (
            rows.groupby(["name", "family", "dataset"])["value"]
            .mean()
            .groupby(level=[0, 1])
            .mean()
            .groupby(level=0)
            .mean()
        )
        assert found.choice.difference == pytest.approx(means["good on mlp"] - means["forest"])

    def test_an_unknown_kind_is_one_line(self, clear):
        with pytest.raises(InputError, match="kind of target"):
            clear.leaderboard("additiv")

    def test_what_was_cut_short_is_said(self, clear):
        asked = dataclasses.replace(ASKED, draws=6, asked=10)
        assert "10 were asked for; the time was over" in trust_words._limits(dataclasses.replace(clear, asked=asked))
        assert "asked for" not in clear.words[-1]

    def test_how_hard_targets_are_is_said(self, clear):
        assert clear.words[2].startswith("A random forest predicts the simulated targets about as well as 'weight': R2")
        assert "R2 0.390 to 0.420 against 0.410" in clear.words[2]
        easy = dataclasses.replace(clear, difficulty=clear.difficulty.assign(real=0.9))
        assert "does not predict all simulated targets as well" in trust_words._difficulty(easy)
        hopeless = dataclasses.replace(clear, asked=dataclasses.replace(ASKED, real=-0.1))
        assert "no better than a constant guess" in trust_words._difficulty(hopeless)

    def test_it_shows_itself(self, clear):
        found = clear
        assert len(repr(found).splitlines()) == 3
        html = found._repr_html_()
        assert "<code>good on mlp</code>" in html
        assert html.count("<tr>") == 1 + 3 + 1 + 4
        assert str(found) == "\n".join(found.words)


class TestKinds:
    def test_sparse_and_dense_targets_of_three_orders(self):
        found = kinds(30)
        assert [one.name for one in found] == [
            *("additive, sparse", "additive, dense", "pairwise, sparse", "pairwise, dense"),
            *("higher order, sparse", "higher order, dense"),
        ]
        assert {one.relevant for one in found} == {3, 12}

    def test_few_inputs_allow_fewer_kinds(self):
        assert [one.name for one in kinds(4)] == ["additive, sparse", "pairwise, sparse"]
        with pytest.raises(InputError, match="at least 4 inputs that vary, got 3"):
            kinds(3)


class TestDifficulty:
    @pytest.fixture
    def reached(self, monkeypatch):
        """The forest scores the square of the signal."""
        monkeypatch.setattr(difficulty, "_forest", lambda data, score: data**2)
        return lambda aim: difficulty.signal_for(lambda s, seed: SimpleNamespace(load=lambda _: s), None, aim)

    def test_the_signal_is_that_of_the_score(self, reached):
        signal, level = reached(0.49)
        assert signal == pytest.approx(0.7)
        assert level == pytest.approx(0.49)
        assert reached((0.4**2 + 0.7**2) / 2)[0] == pytest.approx(0.55)

    def test_what_cannot_be_reached_is_approached(self, reached):
        assert reached(2.0)[0] == max(difficulty.SIGNALS)
        assert reached(-1.0)[0] == min(difficulty.SIGNALS)


class TestTime:
    @pytest.fixture
    def pieces(self, monkeypatch, standing_clock):
        """A run takes ten seconds a draw of two kinds."""
        found = []

        def run(suite, **options):
            found.append(len(options["datasets"]))
            time.sleep(10.0 * len(options["datasets"]) / 4)

        monkeypatch.setattr("xai_bench.running.run.run", run)
        return found

    def done(self, draws, seconds):
        suite = SimpleNamespace(datasets=[SimpleNamespace(label=str(i)) for i in range(4 * draws)])
        return simulations.run_within(suite, draws, seconds, None, ".", lambda line: None)[1]

    def test_all_draws_are_done_where_there_is_time(self, pieces):
        assert self.done(6, 1000) == 6
        assert sum(pieces) == 24
        assert pieces[0] == 4

    def test_no_draw_begins_that_would_not_be_done_in_time(self, pieces):
        assert self.done(10, 47) == 4
        assert sum(pieces) == 16

    def test_one_draw_is_done_in_any_case(self, pieces):
        assert self.done(10, 1) == 1


@pytest.fixture(scope="module")
def small():
    """Two data-only methods, small forests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "TREES", 5)
        patch.setattr(difficulty, "SIGNALS", (0.2, 0.9))
        patch.setattr(difficulty, "SEEDS", (2000,))
        patch.setattr(trust, "leader", lambda: dataclasses.replace(LEADER, explainer="f_test"))
        yield {"models": (), "explainers": ("lasso",), "draws": 5}


def mice(n=60):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc")).assign(place=rng.choice(["n", "s", "w"], n))
    return X.assign(weight=X["a"] + (X["place"] == "n") + rng.normal(size=n))


@pytest.fixture(scope="module")
def found(small):
    return xai_bench.trust(mice(), "weight", **small)


class TestRun:
    def test_methods_are_scored_on_simulated_targets(self, found):
        assert found.asked.inputs == 4
        assert set(found.values["name"]) == {"lasso", "f_test"}
        assert found.recommended in {"lasso", "f_test"}
        assert set(found.leaderboard()["families"]) == {2}
        assert found.choice.draws == 5

    def test_seeds_that_choose_are_not_those_that_score(self, found):
        seeds = {purpose: set(rows["seed"]) for purpose, rows in found.values.groupby("purpose")}
        assert seeds == {"score": set(range(5)), "choose": set(range(CHOOSING, CHOOSING + 5))}

    def test_scores_are_those_of_the_results(self, found):
        rows = found.results.measurements.query("metric == 'auroc' and explainer == 'lasso'").set_index("dataset")[
            "value"
        ]
        own = found.values[(found.values["name"] == "lasso")].set_index(["dataset", "seed"])["value"]
        assert own["additive, sparse", 3] == pytest.approx(2 * rows["additive, sparse 3"] - 1)

    def test_the_difficulty_is_that_of_the_real_target(self, found):
        assert found.asked.score == "R2"
        assert found.difficulty["real"].nunique() == 1
        assert found.difficulty["signal"].between(0.2, 0.9).all()

    @pytest.mark.slow
    def test_the_same_again(self, found, small):
        again = xai_bench.trust(mice(), "weight", **small)
        pd.testing.assert_frame_equal(again.values, found.values)

    def test_inputs_alone(self, small, monkeypatch):
        monkeypatch.setattr(trust, "run_within", lambda suite, draws, *rest: (suite, 1))
        monkeypatch.setattr(trust, "scores", lambda suite, signals, draws: (suite, signals))
        suite, signals = xai_bench.trust(mice().drop(columns="weight"), **small).values
        assert set(signals.values()) == {0.5}
        assert {entry.component.kind for entry in suite.datasets} == {"regression"}
        assert {entry.label for entry in suite.explainers} == {"lasso", "f_test"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"draws": 4}, "draws: expected a whole number >= 5, got 4"),
            ({"seconds": 0}, "seconds: expected a number above 0, got 0"),
            ({"explainers": ("laso",)}, "unknown explainer 'laso'"),
        ],
    )
    def test_bad_arguments_are_one_line(self, small, options, message):
        with pytest.raises(InputError, match=message):
            xai_bench.trust(mice().drop(columns="weight"), **{**small, **options})


def test_methods_have_the_settings_of_standard():
    (forest, shap) = simulations.suite_rows("explainers", ["random_forest", "shap_permutation"])
    assert forest["trees"] == 100
    assert shap == {"name": "shap_permutation"}


def test_names_of_kinds():
    assert simulations.label(Kind(3, "dense", 12), 1004) == "higher order, dense 1004"


def test_the_command_line_asks_for_simulations(monkeypatch, tmp_path, capsys):
    asked = {}

    def explain(file, target, **options):
        asked.update(options)
        raise InputError("seen")

    monkeypatch.setattr("xai_bench.analysis.explain.explain", explain)
    monkeypatch.setattr("sys.argv", ["xai-bench", "explain", "a.csv", "--target", "y", "--simulate", "--seconds", "30"])
    with pytest.raises(SystemExit):
        cli.main()
    assert asked["simulate"] is True
    assert asked["seconds"] == 30
