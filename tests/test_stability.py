"""Thresholds of null runs, stability of selections and rankings: literal versions, published identities, coverage."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from tests.reference import stability as literal
from xai_bench import statistics
from xai_bench.scoring.stability import over_rows


def test_a_null_threshold_is_exceeded_as_seldom_as_it_says():
    rng = np.random.default_rng(0)
    runs = rng.exponential(size=(20_000, 21))
    above = np.mean([run[20] > statistics.null_threshold(run[:20]) for run in runs])
    assert abs(above - 1 / 21) < 4 * math.sqrt(1 / 21 * 20 / 21 / len(runs))


@pytest.mark.parametrize(("n", "level", "rank"), [(19, 0.95, 19), (20, 0.95, 20), (39, 0.95, 38), (99, 0.9, 90)])
def test_null_threshold_is_an_order_statistic(n, level, rank):
    values = np.random.default_rng(n).permutation(n) + 1.0
    assert statistics.null_threshold(values, level) == rank


@pytest.mark.parametrize("maxima", [np.ones(18), np.ones((5, 20)), [math.nan] * 20, []])
def test_null_threshold_refuses(maxima):
    with pytest.raises(ValueError, match="null_threshold: expected"):
        statistics.null_threshold(maxima)


@pytest.mark.parametrize("m", [2, 3, 8])
def test_stability_equals_the_literal_version(m):
    rng = np.random.default_rng(m)
    for _ in range(20):
        selected = rng.random((m, 9)) < rng.uniform(0.2, 0.8, 9)
        selected[0, :2] = True, False
        np.testing.assert_allclose(
            statistics.selection_stability(selected), literal.nogueira(selected.tolist()), rtol=1e-10, atol=1e-12
        )


def test_stability_at_equal_sizes_is_that_of_kuncheva():
    rng = np.random.default_rng(1)
    for k in (1, 3, 6):
        selected = np.array([rng.permutation(10) < k for _ in range(7)])
        found = statistics.selection_stability(selected).value
        assert found == pytest.approx(literal.kuncheva(selected.tolist()), abs=1e-12)


def test_stability_of_equal_and_of_random_selections():
    assert statistics.selection_stability([[1, 1, 0, 0]] * 5) == (1.0, 0.0)
    rng = np.random.default_rng(2)
    values = [statistics.selection_stability(rng.random((4, 30)) < 0.3).value for _ in range(2000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values)) + 2e-3  # of order 1 / (m d) below 0
    for undefined in ([[1, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]):
        assert math.isnan(statistics.selection_stability(undefined).value)


def test_the_published_interval_covers_the_index_of_many_selections():
    """A selection takes the top 5 of 20 noisy sizes: the index of 20,000 selections is the truth."""
    rng = np.random.default_rng(3)
    sizes = np.r_[np.linspace(2, 0.5, 8), np.zeros(12)]

    def draw(m):
        noisy = sizes + rng.normal(size=(m, 20))
        return noisy >= np.sort(noisy, axis=1)[:, [-5]]

    truth = statistics.selection_stability(draw(20_000)).value
    found = [statistics.combined([statistics.selection_stability(draw(40))]) for _ in range(600)]
    covered = np.mean([row.low <= truth <= row.high for row in found])
    assert 0.90 < covered < 0.98


def test_rank_correlations_equal_scipy():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(4)
    vectors = rng.integers(0, 6, (4, 30)).astype(float)
    np.testing.assert_allclose(statistics.rank_correlations(vectors), spearmanr(vectors, axis=1).statistic, atol=1e-12)
    vectors[2] = 1.0
    found = statistics.rank_correlations(vectors)
    assert np.isnan(found[2]).all()
    assert np.isfinite(np.delete(np.delete(found, 2, 0), 2, 1)).all()


def test_mean_rank_correlation_equals_the_literal_version():
    vectors = np.random.default_rng(5).normal(size=(5, 12)) + 0.8 * np.arange(12)
    np.testing.assert_allclose(statistics.mean_rank_correlation(vectors), literal.jackknife(vectors), rtol=1e-9)
    with_constant = np.vstack([vectors, np.zeros(12)])
    assert statistics.mean_rank_correlation(with_constant) == statistics.mean_rank_correlation(vectors)
    two = statistics.mean_rank_correlation(vectors[:2])
    assert math.isfinite(two.value)
    assert math.isnan(two.variance)
    assert math.isnan(statistics.mean_rank_correlation(vectors[:1]).value)


def test_combined_estimates():
    from scipy.stats import norm

    found = statistics.combined([statistics.Estimate(0.2, 0.01), statistics.Estimate(0.4, 0.03)])
    half = norm.ppf(0.975) * math.sqrt(0.04) / 2
    np.testing.assert_allclose(found, (0.3, 0.3 - half, 0.3 + half, 2), rtol=1e-9)
    assert math.isnan(statistics.combined([]).mean)


def test_stability_over_rows_is_that_of_networks_that_were_not_trained_here():
    rng = np.random.default_rng(3)
    relevance = {f"{name}{part}": rng.random(6) for name in "abc" for part in range(3)}
    rows = [
        {"cell": f"{name}{part}", "dataset": "rows", "model": "net", "explainer": name, "model_key": f"k{part}",
         "train_cpu": math.nan if name != "c" else 1.0}
        for name in "abc" for part in range(3) if (name, part) != ("b", 2)
    ]  # fmt: skip
    found = over_rows(pd.DataFrame(rows), relevance).set_index("explainer")
    assert found["draws"].to_dict() == {"a": 3, "b": 2}
    pairs = [spearmanr(relevance[f"a{i}"], relevance[f"a{j}"])[0] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.loc["a", "spearman"] == pytest.approx(np.mean(pairs))
    assert found.loc["a", "lowest"] == pytest.approx(min(pairs))
    assert found.loc["b", "spearman"] == found.loc["b", "lowest"]
    assert over_rows(pd.DataFrame(rows[:1]), relevance).empty
