"""Decisions over all pairs of entrants: against literal versions, and where the truth is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from xai_bench import decisions
from xai_bench.decisions import Decisions, OneAgainstAll, Scores
from xai_bench.errors import InputError
from xai_bench.paired import Design


def scores(means, n=10, datasets=2, spread=0.05, seed=0, common=0.1) -> Scores:
    """Scores with these means; entrants share the ups and downs of a draw."""
    rng = np.random.default_rng(seed)
    values = [
        np.asarray(means) + common * rng.normal(size=(n, 1)) + spread * rng.normal(size=(n, len(means)))
        for _ in range(datasets)
    ]
    names = tuple("abcdefghij"[: len(means)])
    return Scores(names, tuple(f"d{k}" for k in range(datasets)), tuple(values))


def test_scores_from_a_frame():
    frame = pd.DataFrame(
        [("x", 0, "a", 1.0), ("x", 1, "a", 3.0), ("x", 0, "b", 2.0), ("y", 0, "b", 5.0), ("y", 0, "b", 7.0)],
        columns=["dataset", "draw", "entrant", "value"],
    )
    found = Scores.of(frame)
    assert found.entrants == ("a", "b")
    np.testing.assert_array_equal(found.values[0], [[1, 2], [3, np.nan]])
    np.testing.assert_array_equal(found.values[1], [[np.nan, 6]])
    with pytest.raises(InputError, match="unknown column 'draw'"):
        Scores.of(frame.drop(columns="draw"))


def test_differences_and_errors_are_the_literal_ones():
    given = scores([0.5, 0.6, 0.4], datasets=3)
    found = Decisions(given, replicates=10)
    variance, degrees = {}, 3 * 9
    for i, j in itertools.permutations(range(3), 2):
        paired = [x[:, i] - x[:, j] for x in given.values]
        assert found.difference[i, j] == pytest.approx(np.mean([p.mean() for p in paired]))
        variance[i, j] = sum(p.var(ddof=1) / len(p) for p in paired) / 9
    prior = np.mean(list(variance.values()))
    for (i, j), v in variance.items():
        assert found.error[i, j] ** 2 == pytest.approx((16 * prior + degrees * v) / (16 + degrees))


def test_missing_scores_are_left_out_by_pairs():
    given = scores([0.5, 0.6, 0.4], datasets=2)
    given.values[0][:, 2] = np.nan
    given.values[1][:3, 1] = np.nan
    found = Decisions(given, replicates=10)
    assert found.difference[0, 2] == pytest.approx((given.values[1][:, 0] - given.values[1][:, 2]).mean())
    expected = ((given.values[0][:, 0] - given.values[0][:, 1]).mean() +
                (given.values[1][3:, 0] - given.values[1][3:, 1]).mean()) / 2  # fmt: skip
    assert found.difference[0, 1] == pytest.approx(expected)
    assert found.comparable[0, 1]
    given.values[1][:6, 1] = np.nan
    assert not Decisions(given, replicates=10).comparable[0, 1]
    assert Decisions(given, replicates=10).outcomes[0, 1] == "undecided"


def test_families_weigh_alike():
    """Weights 1 / (families x datasets in the family), in the variance too."""
    given = scores([0.5, 0.6, 0.4], datasets=3)
    given = Scores(given.entrants, given.datasets, given.values, ("A", "B", "B"))
    found, variance, weights = Decisions(given, replicates=10), {}, (0.5, 0.25, 0.25)
    for i, j in itertools.permutations(range(3), 2):
        paired = [x[:, i] - x[:, j] for x in given.values]
        assert found.difference[i, j] == pytest.approx(sum(w * p.mean() for w, p in zip(weights, paired, strict=True)))
        variance[i, j] = sum(w**2 * p.var(ddof=1) / len(p) for w, p in zip(weights, paired, strict=True))
    prior = np.mean(list(variance.values()))
    for (i, j), v in variance.items():
        assert found.error[i, j] ** 2 == pytest.approx((16 * prior + 27 * v) / (16 + 27))
    given.values[2][:, 0] = np.nan
    expected = (given.values[0][:, 0] - given.values[0][:, 1]).mean() + (
        given.values[1][:, 0] - given.values[1][:, 1]
    ).mean()
    assert Decisions(given, replicates=10).difference[0, 1] == pytest.approx(expected / 2)


def test_what_is_complete_is_as_if_pair_by_pair():
    given = scores([0.5, 0.6, 0.4], datasets=3)
    given = Scores(given.entrants, given.datasets, given.values, ("A", "B", "B"))
    design = Design.of(given, np.arange(3))
    for fast, slow in zip(design._of_all(given.values), design._of_shared(given.values), strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-15)
    one = OneAgainstAll.later(given, "b", replicates=50)
    np.testing.assert_allclose(one.difference, Decisions(given, replicates=5).one("b").difference)


def test_problems_of_this_kind_need_fifteen_families():
    """Family means as the draws: Student's t over families, but for the moderation."""
    given = scores([0.5, 0.6], n=6, datasets=16)
    given = Scores(given.entrants, given.datasets, given.values, tuple("ABCDEFGHIJKLMNOO"))
    units = given.of_families()
    expected = np.array([x.mean(0) for x in given.values])
    expected = np.vstack([expected[:14], expected[14:].mean(0)])
    np.testing.assert_allclose(units.values[0], expected)
    with pytest.raises(InputError, match="expected at least 15 families, got 14"):
        Scores(given.entrants, given.datasets, given.values, tuple("ABCDEFGHIJKLMNNN")).of_families()


def test_critical_value_of_two_entrants_without_moderation_is_students(monkeypatch):
    monkeypatch.setattr(decisions, "PRIOR_DEGREES", 0.0)
    found = Decisions(scores([0.0, 0.0], n=8, datasets=1), replicates=20000)
    assert found.critical == pytest.approx(scipy.stats.t.ppf(0.99, 7), rel=0.05)


def test_critical_value_of_many_entrants_is_that_of_the_studentised_range(monkeypatch):
    """Independent scores with a common variance, estimated very well: Tukey's range."""
    monkeypatch.setattr(decisions, "PRIOR_DEGREES", 1e9)
    found = Decisions(scores([0.0] * 6, n=150, datasets=1, common=0.0), replicates=1500, quantile=0.9)
    expected = scipy.stats.studentized_range.ppf(0.9, 6, 1e6) / math.sqrt(2)
    assert found.critical == pytest.approx(expected, rel=0.06)


def test_outcomes():
    given = scores([0.9, 0.6, 0.6, 0.57, 0.599], n=60, spread=0.01)
    found = Decisions(given)
    words = {(a, b): found.outcomes[i, j] for i, a in enumerate("abcde") for j, b in enumerate("abcde") if i != j}
    assert words["a", "b"] == "better"
    assert words["b", "a"] == "worse"
    assert words["b", "d"] == "slightly better"
    assert words["d", "b"] == "slightly worse"
    assert words["b", "e"] == "equal"
    assert Decisions(scores([0.5, 0.52], n=6, spread=0.2)).outcomes[0, 1] == "undecided"
    assert found.shares() == pytest.approx({"better": 0.4, "slightly better": 0.3, "equal": 0.3, "undecided": 0.0})


def test_equal_scores_are_no_certainty():
    given = scores([0.5, 0.5, 0.3], n=5, spread=0.1)
    for x in given.values:
        x[:, 1] = x[:, 0]
    found = Decisions(given)
    assert found.half_width[0, 1] > 0.01


def test_ranks_and_first_group():
    found = Decisions(scores([0.9, 0.895, 0.5, 0.1], n=30, spread=0.02))
    np.testing.assert_array_equal(found.ranks(), [[1, 2], [1, 2], [3, 3], [4, 4]])
    np.testing.assert_array_equal(found.not_worse_than_best, [True, True, False, False])


def test_one_focus_decides_more_than_all_pairs():
    given = scores([0.5, 0.43, 0.35, 0.5, 0.47, 0.44, 0.52, 0.46], n=10, spread=0.07, seed=3)
    found = Decisions(given)
    all_pairs = sum(o in ("better", "worse") for o in found.outcomes[0, 1:])
    one = found.one("a")
    assert sum(o in ("better", "worse") for o in one.step_down) > all_pairs
    assert one.others == tuple("bcdefgh")
    with pytest.raises(InputError, match="unknown entrant"):
        found.one("z")


def test_equal_input_gives_equal_decisions():
    given = scores([0.5, 0.6, 0.4])
    assert Decisions(given, seed=4).critical == Decisions(given, seed=4).critical
    assert Decisions(given, seed=4).critical != Decisions(given, seed=5).critical


def test_the_order_of_entrants_changes_no_sign():
    given = scores([0.5, 0.6, 0.4], n=12)
    turned = Scores(given.entrants[::-1], given.datasets, tuple(x[:, ::-1] for x in given.values))
    one, other = Decisions(given), Decisions(turned)
    np.testing.assert_allclose(one.difference, other.difference[::-1, ::-1])
    np.testing.assert_allclose(one.error, other.error[::-1, ::-1])


@pytest.mark.parametrize("atoms", [False, True])
def test_false_decisions_are_rare_where_all_are_equal(atoms):
    """Any false decision in at most .05 of the repeats, and an entrant that is as good as the best is left out in at
    most .05; with 2 standard errors of the simulation. With atoms at the best score, too."""
    repeats, wrong, left_out = 150, 0, 0.0
    for seed in range(repeats):
        given = scores([0.9] * 8, n=10, datasets=3, spread=0.15, common=0.15, seed=seed)
        if atoms:
            given = Scores(given.entrants, given.datasets, tuple(np.minimum(x, 1.0) for x in given.values))
        found = Decisions(given, replicates=300)
        wrong += not np.isin(found.outcomes, ("undecided", "equal")).all()
        left_out += (~found.not_worse_than_best).mean()
    most = 0.05 + 2 * math.sqrt(0.05 * 0.95 / repeats)
    assert wrong / repeats <= most
    assert left_out / repeats <= most
