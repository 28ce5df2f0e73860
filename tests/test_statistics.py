"""Intervals, ranks and areas, against simulation and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from xai_bench import statistics
from xai_bench.errors import InputError


@pytest.mark.parametrize("n", [3, 10, 25])
def test_interval_equals_scipy(n):
    from scipy import stats

    values = np.random.default_rng(n).normal(size=n)
    for level in (0.5, 0.95):
        low, high = stats.t.interval(level, n - 1, loc=values.mean(), scale=stats.sem(values))
        np.testing.assert_allclose(statistics.interval(values, level), (values.mean(), low, high, n), rtol=1e-12)


@pytest.mark.parametrize(("n", "bootstrap"), [(3, 0.75), (10, 0.90)])
def test_interval_covers_the_mean_and_a_percentile_bootstrap_does_not(n, bootstrap):
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(4000, n))
    intervals = [statistics.interval(sample) for sample in samples]
    covered = np.mean([low <= 0 <= high for _, low, high, _ in intervals])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)
    means = np.array([sample[rng.integers(0, n, (300, n))].mean(1) for sample in samples[:2000]])
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < bootstrap + 0.03


def test_interval_of_few_or_equal_values():
    assert statistics.interval([0.1] * 7) == (0.1, 0.1, 0.1, 7)
    one = statistics.interval([0.3])
    assert (one.mean, one.n) == (0.3, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    for values, n in (([], 0), ([0.1, math.nan, 0.2], 3)):
        result = statistics.interval(values)
        assert result.n == n
        assert all(math.isnan(value) for value in result[:3])


@pytest.mark.parametrize(("values", "level"), [([[1.0]], 0.95), ([1.0], 95), ([1.0], 0)])
def test_interval_refuses(values, level):
    with pytest.raises(ValueError, match="interval: expected"):
        statistics.interval(values, level)


def table(**columns):
    """Rows for data seeds 0..2, model seeds 0..1, folds 0..1; the score is data seed + small effects."""
    rows = [
        {"data_seed": data, "model_seed": model, "fold": fold, "score": data + 10 * model + 100 * fold, **columns}
        for data, model, fold in itertools.product(range(3), range(2), range(2))
    ]
    return pd.DataFrame(rows)


def test_by_data_seed_averages_model_seeds_and_folds_first():
    frame = pd.concat([table(method="b"), table(method="a").assign(score=lambda rows: 2 * rows.score)])
    result = statistics.by_data_seed(frame, "score", ["method"])
    assert result.columns.tolist() == ["method", "mean", "low", "high", "n"]
    assert result.method.tolist() == ["b", "a"]
    np.testing.assert_allclose(result.iloc[0, 1:].astype(float), statistics.interval([55.0, 56.0, 57.0]))
    np.testing.assert_allclose(result.iloc[1, 1:].astype(float), statistics.interval([110.0, 112.0, 114.0]))


def test_intervals_of_many_groups_are_those_of_each():
    rng = np.random.default_rng(0)
    rows = [(c, seed, again, rng.normal()) for c in "abc" for seed in range(12) for again in range(3 if seed else 1)]
    rows += [
        ("alone", 0, 0, 0.3),
        ("equal", 0, 0, 0.7),
        ("equal", 1, 0, 0.7),
        ("lost", 0, 0, 1.0),
        ("lost", 1, 0, math.nan),
    ]
    rows += [("endless", 0, 0, math.inf), ("endless", 1, 0, 1.0), ("all endless", 3, 0, math.inf)]
    frame = pd.DataFrame(rows, columns=["case", "data_seed", "model_seed", "value"]).assign(fold=0)
    frame = frame.sample(frac=1, random_state=1)
    for level in (0.5, 0.95):
        found = statistics.by_data_seed(frame, "value", ["case"], level).set_index("case")
        assert list(found.index) == list(frame["case"].unique())
        for case, group in frame.groupby("case"):
            means = [np.mean(part) for _, part in group.groupby("data_seed")["value"]]
            expected = statistics.interval(means, level)
            np.testing.assert_allclose(found.loc[case].astype(float), expected, rtol=1e-12, err_msg=str(case))


def test_intervals_of_no_rows():
    frame = pd.DataFrame({"method": ["a"], "data_seed": [0], "value": [1.0]})[:0]
    assert statistics.by_data_seed(frame, "value", ["method"]).empty
    assert statistics.by_data_seed(frame, "value").n.tolist() == [0]


def test_by_data_seed_weighs_data_seeds_equally():
    frame = table().drop(index=[0, 1, 2])  # data seed 0 keeps one row: 110
    assert statistics.by_data_seed(frame, "score").loc[0, "mean"] == pytest.approx((110 + 56 + 57) / 3)


def test_by_data_seed_keeps_null_keys_and_missing_values():
    frame = table(model=None).assign(model_seed=None, score=1.0).drop_duplicates()
    result = statistics.by_data_seed(frame, "score", ["model"])
    assert result[["mean", "low", "high", "n"]].iloc[0].tolist() == [1.0, 1.0, 1.0, 3]
    frame = table().astype({"score": float})
    frame.loc[0, "score"] = math.nan
    for missing in (frame, frame.convert_dtypes()):
        assert math.isnan(statistics.by_data_seed(missing, "score").loc[0, "mean"])


def test_by_data_seed_refuses_mixed_rows_and_unknown_columns():
    mixed = pd.concat([table(method="a"), table(method="b")])
    with pytest.raises(InputError, match="12 more"):
        statistics.by_data_seed(mixed, "score")
    with pytest.raises(InputError, match="did you mean method"):
        statistics.by_data_seed(mixed, "score", ["metod"])


def test_log_area():
    ks = [1, 2, 4, 8]
    assert statistics.log_area(ks, np.ones(4)) == pytest.approx(math.log(8))
    assert statistics.log_area(ks, np.log(ks)) == pytest.approx(math.log(8) ** 2 / 2)
    assert statistics.log_area(ks, [1, 0, 0, 0]) == pytest.approx(math.log(2) / 2)
    assert statistics.log_area(ks, np.ones((5, 4))).shape == (5,)
    assert statistics.log_area([3], [2.0]) == 0


@pytest.mark.parametrize(("ks", "values"), [([1, 1], [0, 0]), ([2, 1], [0, 0]), ([0, 1], [0, 0]), ([1, 2], [0])])
def test_log_area_refuses(ks, values):
    with pytest.raises(ValueError, match="log_area: expected"):
        statistics.log_area(ks, values)


def test_ratio_of_sums_is_the_jackknife_of_the_pooled_ratio():
    """Many draws: the linearised jackknife and the one that leaves each draw out agree."""
    rng = np.random.default_rng(0)
    gaps = rng.gamma(2.0, 0.1, size=400)
    gains = 0.6 * gaps + rng.normal(0, 0.05, size=400)
    found = statistics.ratio_of_sums(gains, gaps)
    assert found.mean == pytest.approx(gains.sum() / gaps.sum())
    without = np.array([np.delete(gains, i).sum() / np.delete(gaps, i).sum() for i in range(400)])
    error = math.sqrt(399 / 400 * ((without - without.mean()) ** 2).sum())
    assert found.high - found.mean == pytest.approx(scipy.stats.t.ppf(0.975, 399) * error, rel=0.01)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_ratio_of_sums_covers_the_true_ratio():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        gaps = rng.gamma(4.0, 0.05, size=10)
        found = statistics.ratio_of_sums(0.7 * gaps + rng.normal(0, 0.05, size=10), gaps)
        inside += found.low <= 0.7 <= found.high
    assert 0.93 < inside / 2000 < 0.97


def test_ratio_of_sums_keeps_draws_with_a_small_denominator():
    found = statistics.ratio_of_sums([0.2, 0.1, 0.03], [0.3, 0.2, -0.01])
    assert found.n == 3
    assert found.mean == pytest.approx(0.33 / 0.49)


@pytest.mark.parametrize(
    ("gains", "gaps", "known"),
    [([0.1, 0.0], [0.1, -0.05], True), ([0.1], [0.2], True), ([0.1, 0.2], [0.0, 0.0], False), ([], [], False)],
)
def test_ratio_of_sums_has_no_interval_where_the_denominator_may_be_zero(gains, gaps, known):
    found = statistics.ratio_of_sums(gains, gaps)
    assert math.isfinite(found.mean) == known
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n == len(gains)


def test_ratio_of_sums_refuses():
    with pytest.raises(ValueError, match="ratio_of_sums: expected"):
        statistics.ratio_of_sums([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="ratio_of_sums: expected"):
        statistics.ratio_of_sums([math.nan], [1.0])


def test_import_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, xai_bench.statistics, xai_bench.metrics.recovery;"
        "print([m for m in ('torch', 'scipy', 'pandas', 'sklearn') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_bounded_intervals():
    """Ten times an AUROC of 1: the worked example. Else a literal weighted t, widened and clipped."""
    low, high = statistics.bounded_interval([1.0] * 10, 0, 1, 0.5)
    assert (round(low, 2), high) == (0.9, 1.0)
    values = np.array([0.6, 0.7, 0.9, 0.8, 1.0, 0.75])
    weights, extended = np.array([1, 1, 1, 1, 1, 1, 0.5]), np.append(values, 0.5)
    centre = np.average(extended, weights=weights)
    spread = math.sqrt((weights * (extended - centre) ** 2).sum() / 5.5 / 6.5)
    half = scipy.stats.t.ppf(0.975, 5.5) * spread
    assert statistics.bounded_interval(values, 0, 1, 0.5) == pytest.approx((centre - half, centre + half))
    assert statistics.bounded_interval(values[:4], 0, 1, 0.5) is None
    assert statistics.bounded_interval([*values, np.nan], 0, 1, 0.5) is None
    with pytest.raises(ValueError, match="expected values and chance in"):
        statistics.bounded_interval([2.0] * 5, 0, 1, 0.5)


def test_corrected_intervals_of_splits_of_one_table():
    """A literal corrected resampled t, and coverage where t itself fails: splits share the rows of one small table."""
    values = np.array([0.7, 0.72, 0.75, 0.69, 0.71, 0.74])
    half = scipy.stats.t.ppf(0.975, 5) * values.std(ddof=1) * math.sqrt(1 / 6 + 0.25)
    expected = (values.mean() - half, values.mean() + half)
    assert statistics.corrected_interval(values, 0.25) == pytest.approx(expected)
    assert statistics.corrected_interval(values[:4], 0.25) is None
    with pytest.raises(ValueError, match="a ratio > 0"):
        statistics.corrected_interval(values, 0.0)
    rng, hits = np.random.default_rng(0), np.zeros(2)
    for _ in range(300):
        rows = rng.normal(size=100)
        found = []
        for _ in range(10):
            order = rng.permutation(100)
            found.append(rows[order[:20]].mean() - rows[order[20:]].mean() / 2)
        plain, corrected = statistics.interval(found), statistics.corrected_interval(found, 0.25)
        hits += plain.low <= 0 <= plain.high, corrected[0] <= 0 <= corrected[1]
    assert hits[0] / 300 < 0.9
    assert hits[1] / 300 > 0.93
