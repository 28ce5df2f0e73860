"""``benchmarks/sparse_report.py``: what is concluded of the two forms, and what the steps of a path are."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SETTINGS = '{"most_levels":64}'


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("sparse_report")


def frame(report, exact, seeds=5, sizes=(4, 3, 2, 1, 0), changes=(1, 1, 1, 1)):
    """Runs of every set and seed; ``exact`` says of each method on how many seeds of a set its support is exact."""
    rows = [
        {
            "case": case,
            "method": method,
            "seed": seed,
            "exact": seed < number,
            "strengths": np.array([0, 0.1, 0.1005, 0.2, 0.3]),
            "sizes": np.array(sizes, dtype=float),
            "changes": np.array(changes, dtype=float),
            "settings": SETTINGS,
            "levels_walked": 5,
        }
        for case, (method, number), seed in itertools.product(report.CASES, exact.items(), range(seeds))
    ]
    runs = pd.DataFrame(rows)
    runs["method"] = pd.Categorical(runs["method"], list(report.METHODS))
    return runs


@pytest.mark.parametrize(
    ("spectral", "plain", "seeds", "expected", "excluded"),
    [
        (5, 3, 5, "the spectral form finds more exact supports than the group lasso", "fewer"),
        (3, 5, 5, "the spectral form finds fewer exact supports than the group lasso", "more exact"),
        (4, 4, 5, "It is not shown that the spectral form makes a difference", "exact supports than"),
        (4, 0, 4, "nothing is concluded", "exact supports than"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "steady_"])
def test_what_is_concluded_of_the_forms(report, spectral, plain, seeds, expected, excluded, prefix):
    runs = frame(report, {f"{prefix}spectral": spectral, f"{prefix}group_lasso": plain}, seeds)
    first = report.sentences(runs)[0]
    assert expected in first
    assert excluded not in first
    assert f"{7 * spectral} against {7 * plain} of {7 * seeds} common draws of 7 sets" in first
    assert ("same steady path" in first) == bool(prefix)


def test_a_set_with_too_few_draws_takes_the_conclusion_away(report):
    runs = frame(report, {"spectral": 5, "group_lasso": 0})
    short = runs[~((runs["case"] == "xor") & (runs["seed"] == 4))]
    assert "finds more" in report.sentences(runs)[0]
    assert "fewer than 5 draws of 1 set nothing is concluded" in report.sentences(short)[0]
    without = runs[runs["case"] != "xor"]
    assert "nothing is concluded" in report.sentences(without)[0]


def test_each_pair_of_forms_has_a_conclusion_of_its_own(report):
    runs = frame(report, {"spectral": 5, "group_lasso": 2, "steady_spectral": 5, "steady_group_lasso": 5})
    refined, steady = report.sentences(runs)[:2]
    assert "the spectral form finds more" in refined
    assert "same path" in refined
    assert "It is not shown" in steady
    assert "same steady path" in steady


def test_steps_are_told_apart(report):
    strengths = np.array([0, 0.1, 0.1005, 0.2, 0.2, 0.3, 0.303])
    sizes = np.array([60, 60, 50, 50, 44, 42, 41], dtype=float)
    changes = np.array([0, 10, 6, 6, 2, 2], dtype=float)  # in the third, three leave and three come back
    steps = report.Steps.of(strengths, sizes, changes)
    assert steps.larger.tolist() == [False, True, True, True, False, False]
    assert steps.close.tolist() == [False, True, False, True, False, True]
    assert steps.falls.tolist() == [False, True, False, True, False, False]


def test_the_step_that_ends_an_unfinished_path_does_not_count(report):
    run = frame(report, {"spectral": 1}, sizes=(4, 3, 2, 2, 2, 0), changes=(1, 1, 0, 0, 2)).iloc[0]
    assert not report.Steps.of_run(run).larger.any()
    assert len(report.Steps.of_run(run).changes) == 4


def test_the_conclusion_says_what_larger_steps_leave_open(report):
    fine = frame(report, {"spectral": 5, "group_lasso": 3})
    assert "Both paths are as fine as asked." in report.sentences(fine)[0]
    coarse = frame(report, {"group_lasso": 3}, sizes=(30, 30, 20, 20, 0), changes=(0, 10, 4, 20))
    one = pd.concat([fine[fine["method"] == "spectral"], coarse])
    said = report.sentences(one)
    assert (
        "One path is coarser than asked (steps that are larger: group lasso 105: 35 falls between strengths closer "
        "than 1 %, 35 falls where the allowance is used up, 35 times inputs come and go)."
    ) in said[0]
    assert said[0].endswith("was not measured.")
    both = pd.concat([one, frame(report, {"steady_spectral": 5, "steady_group_lasso": 5})])
    assert "was not measured" not in report.sentences(both)[0]
    assert any(
        "105 of 140 steps are larger, 35 of these remain at a ratio of strengths of 1.01 or less" in s for s in said
    )
    assert any("Spectral form: met: 35 of 35 paths keep to it; 0 of 140" in sentence for sentence in said)


def test_a_study_is_shown_where_there_is_one(report, tmp_path):
    assert report.study(tmp_path / "steps.csv") == (None, [])
    walk = {"method": "group_lasso", "seed": 1000, "trained": 90, "close": 2, "networks": 5.0, "cpu": 1.0}
    falling = {"speed": 0.9, "arrival": 20.0, "inputs": 16.0}
    rows = [
        {**walk, "case": case, "walk": label, "steps": 20, "larger": larger, "falls": 1, "largest": largest, **falling}
        for case, (label, larger, largest) in itertools.product(("a", "b"), [("refined", 8, 3.5), ("steady", 1, 1.5)])
    ]
    slow = {"walk": "slow", "larger": 0, "falls": 0, **dict.fromkeys(("networks", *falling), "")}
    pd.DataFrame([*rows, {**rows[0], **slow}]).to_csv(tmp_path / "steps.csv", index=False)
    table, said = report.study(tmp_path / "steps.csv")
    assert [row[0] for row in table.rows] == ["group lasso, refined", "group lasso, steady", "group lasso, slow"]
    assert table.rows[1][7:] == ["5.0", "0.90", "16", "20", "90", "1.0"]
    assert table.rows[2][7:] == ["–", "–", "–", "–", "90", "1.0"]
    assert said == [
        "Group lasso, larger steps on 2 sets, data seed 1000: refined 16 of 40 steps (2 falls, the largest "
        "step 3.5); steady 2 of 40 steps (2 falls, the largest step 1.5); slow 0 of 20 steps (0 falls, the largest "
        "step 3.5). Steady: the inputs that leave in larger steps, 16 a network, fall at 0.90 of the speed of the "
        "penalty alone and arrive at 0 within 20 gradient steps (medians). Hardly held by the data, they fall from one "
        "size at one speed, and strengths in between do not part them. Slow, with weak strengths as inputs arrive: 0 "
        "larger steps, at 90 strengths a path (median)."
    ]


def test_every_comparison_counts_in_the_family_of_tests(report):
    exact = {"spectral": 5, "group_lasso": 1, "l1": 0, "stg": 4, "lassonet": 5}
    runs = frame(report, exact)
    assert len(report.compared_pairs(runs)) == 4
    assert len(report.compared_pairs(runs[runs["method"] != "stg"])) == 3
    (of_gates,) = (sentence for sentence in report.sentences(runs) if "spectral form 35, STG 28" in sentence)
    # 7 draws on which only one is exact, 2 ** -6; of four p values it is the third: 28 and 35 draws come before it.
    assert "(exact sign test, Holm: p = 0.031)" in of_gates
    assert report.others(runs) == "L1 on linear models, stochastic gates (STG) and LassoNet bring further supports"
    assert report.others(runs[runs["method"] == "l1"]) == "L1 on linear models brings further supports"


def test_how_fast_inputs_fall(report):
    falling = importlib.import_module("sparse_steps").falling
    sizes = np.array([[1.0, 1.2, 2.0], [0.8, 1.1, 1.9], [0.5, 0.8, 1.9], [0.0, 0.2, 1.8], [0.0, 0.0, 1.8]])[:, None]
    taken, speed = np.array([0, 0.1, 0.4, 0.5, 0.5]), np.array([0, 0.01, 0.02, 0.05, 0.05])
    found = falling(sizes, taken, speed, np.array([[True, True, False]]))
    # The first falls .5 while the penalty takes .5, the second 1 while it takes 1; .5 and .8 stand .27 apart from the
    # 5th to the 95th per cent, at .05 a gradient step.
    assert found == {"speed": 1.0, "arrival": 5.4, "inputs": 2.0}
    assert falling(sizes, taken, speed, np.zeros((1, 3), bool)) == {"speed": "", "arrival": "", "inputs": ""}


def test_the_difference_of_scores_has_the_errors_of_rows_and_of_folds(report):
    gap_of = importlib.import_module("sparse_tables").Gap.of
    draws = np.random.default_rng(1000)
    folds = [draws.normal(0.1 * k, 1, n) for k, n in enumerate((40, 40, 39))]
    group = pd.DataFrame(
        {
            "held_out": [len(fold) for fold in folds],
            "gap": [fold.mean() for fold in folds],
            "gap_squared": [(fold**2).mean() for fold in folds],
        }
    )
    rows, means = np.concatenate(folds), [fold.mean() for fold in folds]
    expected = rows.mean(), rows.std() / np.sqrt(119), np.std(means, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(gap_of(group), expected, rtol=1e-12)
    assert np.isnan(gap_of(group[:1]).of_folds)
