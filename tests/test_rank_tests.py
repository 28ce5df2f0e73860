"""Tests on ranks: the worked example of Demsar 2006, and scipy."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.stats

from xai_bench.paired import Scores
from xai_bench.rank_tests import RankTests, left_out, rank_tests
from xai_bench.report.sections import critical

# AUC of four variants of C4.5 on fourteen datasets, table 6 there. On the last but one, two that print alike have the
# ranks 2 and 3.
C45 = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip
NAMES = ("c45", "c45+m", "c45+cf", "c45+m+cf")


def of(table, names=NAMES) -> Scores:
    """Every row is a family with one draw."""
    return Scores(names, tuple(f"f{i}" for i in range(len(table))), tuple(row[None] for row in table))


def test_the_worked_example():
    found = rank_tests(of(C45))
    assert isinstance(found, RankTests)
    assert found.mean_ranks.to_dict() == pytest.approx(
        dict(zip(NAMES, (3.143, 2.0, 2.893, 1.964), strict=True)), abs=1e-3
    )
    assert found.statistic == pytest.approx(scipy.stats.friedmanchisquare(*C45.T).statistic)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.families == 14
    below = found.nemenyi.to_numpy() < 0.05
    ranks = found.mean_ranks[list(NAMES)].to_numpy()
    apart = np.abs(ranks[:, None] - ranks[None, :]) > found.critical_difference
    np.testing.assert_array_equal(below, apart)


def test_wilcoxon_is_scipys_with_holm():
    table = np.random.default_rng(0).normal((0.0, 0.4, 2.0), size=(15, 3))
    found = rank_tests(of(table, ("a", "b", "c")))
    single = {
        (i, j): scipy.stats.wilcoxon(table[:, i], table[:, j], zero_method="zsplit").pvalue
        for i in range(3) for j in range(i)
    }  # fmt: skip
    order, running = sorted(single, key=single.get), 0.0
    for step, (i, j) in enumerate(order):
        running = max(running, min(1.0, single[i, j] * (3 - step)))
        assert found.wilcoxon.iloc[i, j] == pytest.approx(running)


def test_what_is_left_out_says_why():
    assert "8 families are too few for 12 entrants" in left_out(8, 12)
    assert "0.0078" in left_out(8, 12)
    assert left_out(15, 12) == ""
    assert left_out(6, 2) == ""
    assert left_out(5, 2) != ""
    assert left_out(30, 13) == "expected at most 12 entrants, got 13"
    assert left_out(30, 1) == "expected at least two entrants, got 1"
    table = np.random.default_rng(0).normal(size=(15, 3))
    table[3, 1] = np.nan
    assert rank_tests(of(table, ("a", "b", "c"))) == "not in every family: b"


def test_the_diagram_names_everyone():
    drawn = critical.diagram(rank_tests(of(C45)), "c45")
    assert drawn.lstrip().startswith("<svg")
    assert [name for name in NAMES if f"{name} (" not in drawn and f") {name}" not in drawn] == []


def test_bars_are_drawn_from_left_to_right():
    """Their members are a set: without an order the bytes of a page would change from process to process."""
    drawn = critical.diagram(rank_tests(of(C45)), "c45")
    bars = [re.findall(r"[\d.]+", path)[2:] for path in re.findall(r'd="(M[\d. ]+(?:H[\d.]+){2,})"', drawn)]
    assert bars
    assert all(list(map(float, bar)) == sorted(map(float, bar)) for bar in bars)
