"""Intervals over data seeds, areas, calibration, stability, agreement: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xai_bench.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.floating]
SEED_COLUMNS = ("data_seed", "model_seed", "fold")
LEAST_DRAWS = 5
"""Draws below which a single value has no interval."""


class Interval(NamedTuple):
    """A mean of ``n`` values and its confidence interval; what is not defined is NaN."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval for the mean of independent ``values`` (n,).

    One value has no interval; equal values have one of width 0. A value that is NaN makes the result NaN: leave
    undefined values out knowingly, or not at all.

    Student's t at every n: simulated coverage at .95 of normal values is .95 (percentile bootstrap: .74 at n = 3,
    .90 at n = 10). The bootstrap with bias correction and acceleration (Efron 1987) is no better where it is
    recommended: at n = 20, t and BCa cover .95 and .92 of normal, .93 and .92 of beta(8, 1), .89 and .88 of
    lognormal values; at n = 50, .95 and .94, .95 and .94, .89 and .90. And t needs no random numbers.

    Raises
    ------
    ValueError
        If ``values`` are not one-dimensional or ``level`` is not in (0, 1).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not 0 < level < 1:
        raise ValueError(f"interval: expected values (n,) and 0 < level < 1, got shape {values.shape} and {level}")
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        return Interval(math.nan, math.nan, math.nan, n)
    if n == 1:
        return Interval(float(values[0]), math.nan, math.nan, 1)
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]), float(values[0]), n)
    from scipy.special import stdtrit  # the quantile alone: scipy.stats takes a second to load

    mean = float(values.mean())
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def bounded_interval(
    values: ArrayLike, low: float, high: float, chance: float, level: float = 0.95
) -> tuple[float, float] | None:
    """Confidence interval for the mean of independent ``values`` (n,) of a score between ``low`` and ``high``.

    Student's t with half a further draw at ``chance``: weights 1, ..., 1, 1/2, n - 1/2 degrees of freedom; widened to
    contain the mean of the values, clipped to the range. Equal values are thus no certainty: ten times an AUROC of 1
    give [.90, 1]. ``benchmarks/coverage_of_intervals.py`` measures its coverage.

    Returns
    -------
    (low, high), or None below five values, or where one of them is NaN

    Raises
    ------
    ValueError
        If ``values`` are not one-dimensional, or values or ``chance`` are outside of the range.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not 0 < level < 1:
        raise ValueError(f"bounded_interval: expected values (n,) and 0 < level < 1, got {x.shape} and {level}")
    if len(x) < LEAST_DRAWS or not np.isfinite(x).all():
        return None
    slack = 1e-9 * (high - low)
    if not low <= chance <= high or x.min() < low - slack or x.max() > high + slack:
        raise ValueError(
            f"bounded_interval: expected values and chance in [{low}, {high}], got {x.min()} to {x.max()} and {chance}"
        )
    from scipy.special import stdtrit

    mean, weights = float(x.mean()), np.append(np.ones(len(x)), 0.5)
    total, extended = weights.sum(), np.append(x, chance)
    centre = float(weights @ extended / total)
    variance = float(weights @ (extended - centre) ** 2) / (total - 1)
    half = float(stdtrit(total - 1, (1 + level) / 2)) * math.sqrt(variance / total)
    return max(low, min(centre - half, mean)), min(high, max(centre + half, mean))


def corrected_interval(values: ArrayLike, test_to_train: float, level: float = 0.95) -> tuple[float, float] | None:
    """Confidence interval for the mean of ``values`` (n,) on n splits of one table, whose rows they share.

    Student's t with the variance times 1/n + test rows / training rows in the place of 1/n. Source: Nadeau and Bengio
    2003, Machine Learning 52, section 4.

    Returns
    -------
    (low, high), or None below five values, or where one of them is NaN

    Raises
    ------
    ValueError
        If ``values`` are not one-dimensional, or the ratio is not above 0.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not 0 < level < 1 or not test_to_train > 0:
        raise ValueError(f"corrected_interval: expected values (n,) and a ratio > 0, got {x.shape} and {test_to_train}")
    if len(x) < LEAST_DRAWS or not np.isfinite(x).all():
        return None
    from scipy.special import stdtrit

    n, mean = len(x), float(x.mean())
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(x.std(ddof=1)) * math.sqrt(1 / n + test_to_train)
    return mean - half, mean + half


def by_data_seed(frame: pd.DataFrame, value: str, by: Sequence[str] = (), level: float = 0.95) -> pd.DataFrame:
    """Intervals of ``value`` over data seeds, for each combination of the columns ``by``.

    The unit of inference is the data seed: model seeds and folds share its data and are averaged first, so that
    more of them do not feign more evidence. A missing value makes its interval NaN.

    Parameters
    ----------
    frame : one row a measurement, with a column ``data_seed`` and usually ``model_seed`` and ``fold``

    Returns
    -------
    columns ``by``, ``mean``, ``low``, ``high``, ``n``; in the order of first appearance

    Raises
    ------
    InputError
        If a column does not exist, or rows share all of ``by``, data seed, model seed and fold.
    """
    import pandas as pd

    for column in (*by, "data_seed", value):
        if column not in frame.columns:
            raise unknown("column", column, map(str, frame.columns))
    keys = list(by)
    cell = [*keys, *(column for column in SEED_COLUMNS if column in frame.columns)]
    repeated = frame.duplicated(cell)
    if repeated.any() and all(column in frame.columns for column in SEED_COLUMNS):
        raise InputError(
            f"expected one row for each of {', '.join(cell)}, got {int(repeated.sum())} more: "
            "group by the columns that tell them apart"
        )
    # Plain means, and keys that are NULL kept: left alone, pandas drops both missing values and such rows.
    grouped = frame.groupby(keys, sort=False, dropna=False, observed=True) if keys else None
    group = np.zeros(len(frame), dtype=np.int64) if grouped is None else grouped.ngroup().to_numpy(np.int64)
    seed, seeds = pd.factorize(frame["data_seed"], use_na_sentinel=False)
    numbers = frame[value].to_numpy(np.float64, na_value=np.nan)
    draws, draw_of = np.unique(group * len(seeds) + seed, return_inverse=True)
    means = np.bincount(draw_of, numbers) / np.bincount(draw_of)
    _, first = np.unique(group, return_index=True)
    result = frame[keys].iloc[first].reset_index(drop=True) if keys else pd.DataFrame(index=[0])
    return result.assign(**_intervals(means, draws // max(len(seeds), 1), len(result), level))


def _intervals(values: Floats, group: NDArray[np.integer], groups: int, level: float) -> dict[str, NDArray]:
    """As ``interval``, of many groups at once. ``group`` (n,): that of each value, ascending from 0."""
    from scipy.special import stdtrit

    n = np.bincount(group, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(group, values, groups) / n
        squares = np.bincount(group, (values - mean[group]) ** 2, groups)
        half = stdtrit(n - 1, (1 + level) / 2) * np.sqrt(squares / (n - 1)) / np.sqrt(n)
    if len(values):
        starts = np.cumsum(n) - n
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        equal = (low == high) & np.isfinite(low)
        mean, half = np.where(equal, low, mean), np.where(equal, 0.0, half)
    mean = np.where(np.isfinite(mean), mean, np.nan)
    half = np.where(np.isfinite(mean) & (n > 1), half, np.nan)
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": n}


def log_area(ks: ArrayLike, values: ArrayLike) -> Floats:
    """Area (...) under ``values`` (..., K) over the logarithm of ``ks`` (K,), by trapezoids; 0 for K = 1.

    Over log k, the step from 1 to 2 inputs counts as much as that from 50 to 100.

    Raises
    ------
    ValueError
        If ``ks`` are not positive and ascending, or the shapes differ.
    """
    k, curve = np.asarray(ks, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if k.ndim != 1 or not len(k) or not (k > 0).all() or not (np.diff(k) > 0).all():
        raise ValueError(f"log_area: expected ks (K,) positive and ascending, got {k.tolist()}")
    if curve.shape[-1:] != k.shape:
        raise ValueError(f"log_area: expected values (..., {len(k)}), got shape {curve.shape}")
    return ((curve[..., 1:] + curve[..., :-1]) / 2 * np.diff(np.log(k))).sum(-1)


def ratio_of_sums(numerators: ArrayLike, denominators: ArrayLike, level: float = 0.95) -> Interval:
    """Sum of ``numerators`` (n,) over sum of ``denominators`` (n,), paired by draw, and its interval.

    The variance is the linearised jackknife's, that of the mean of (numerator - ratio * denominator) over the mean
    denominator (Cochran 1977, Sampling Techniques, section 6.4); Student's t. No draw is left out because its own
    denominator is small. Where the interval of the mean denominator includes 0, or n < 2, the ratio has no interval
    (NaN); where the sum is not above 0 there is no ratio either.

    Raises
    ------
    ValueError
        If the shapes differ or a value is not finite.
    """
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if top.ndim != 1 or top.shape != bottom.shape or not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        raise ValueError(f"ratio_of_sums: expected two times (n,) finite values, got {top.tolist()}, {bottom.tolist()}")
    n = len(top)
    if n == 0 or bottom.sum() <= 0:
        return Interval(math.nan, math.nan, math.nan, n)
    ratio = float(top.sum() / bottom.sum())
    known = interval(bottom, level)
    if n < 2 or not known.low > 0:
        return Interval(ratio, math.nan, math.nan, n)
    of_rest = interval((top - ratio * bottom) / bottom.mean(), level)
    return Interval(ratio, ratio + of_rest.low, ratio + of_rest.high, n)


def null_threshold(maxima: ArrayLike, level: float = 0.95) -> float:
    """The level that a further null run exceeds with a probability of at most 1 - ``level``.

    The ceil(level (n + 1))-th smallest of ``maxima`` (n,), the largest value of each of n null runs: a percentile that
    is valid at any n for a further run that is exchangeable with these. At n = 20 and .95 it is the largest.

    Raises
    ------
    ValueError
        If ``maxima`` are not one-dimensional and finite, or too few for the level: 19 at .95.
    """
    values = np.sort(np.asarray(maxima, dtype=np.float64))
    rank = math.ceil(round(level * (len(values) + 1), 9)) if values.ndim == 1 else 0
    if not 1 <= rank <= len(values) or not np.isfinite(values).all():
        raise ValueError(f"null_threshold: expected enough finite values (n,) for {level}, got {values.tolist()}")
    return float(values[rank - 1])


class Estimate(NamedTuple):
    """A number and its sampling variance; what is not defined is NaN."""

    value: float
    variance: float


def selection_stability(selected: ArrayLike) -> Estimate:
    """Nogueira's index of the stability of m selections of d inputs, and its variance.

    1: all selections are equal. 0: they agree as random selections of their sizes do. NaN where m < 2, or where
    nothing or everything is always selected. At equal sizes it is Kuncheva's index.

    Parameters
    ----------
    selected : (m, d) bool

    Source: Nogueira, Sechidis and Brown 2018, JMLR 18(174), definition 4 and theorem 7.
    """
    z = np.asarray(selected, dtype=np.float64)
    m, d = z.shape
    share, size = z.mean(0), z.sum(1)
    mean_size = float(share.sum())
    expected = mean_size / d * (1 - mean_size / d)
    if m < 2 or expected <= 0:
        return Estimate(math.nan, math.nan)
    index = 1 - m / (m - 1) * float((share * (1 - share)).mean()) / expected
    part = (
        z @ share / d
        - size * mean_size / d**2
        + index / 2 * (2 * size * mean_size / d**2 - size / d - mean_size / d + 1)
    ) / expected
    return Estimate(index, float(4 / m**2 * ((part - part.mean()) ** 2).sum()))


def rank_correlations(vectors: ArrayLike) -> Floats:
    """(m, m) Spearman correlations of the rows of ``vectors`` (m, d), ties at their mean rank.

    NaN for rows whose values are all equal.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.asarray(vectors, dtype=np.float64), axis=1)
    centred = ranks - ranks.mean(1, keepdims=True)
    length = np.sqrt((centred * centred).sum(1))
    unit = centred / np.where(length > 0, length, np.nan)[:, None]
    return np.clip(unit @ unit.T, -1, 1)


def mean_rank_correlation(vectors: ArrayLike) -> Estimate:
    """Mean Spearman correlation over pairs of rows of ``vectors`` (m, d), and its jackknife variance over rows.

    Rows whose values are all equal are left out. NaN for fewer than 2 others, the variance for fewer than 3.
    """
    correlations = rank_correlations(vectors)
    kept = np.isfinite(np.diag(correlations))
    correlations = correlations[np.ix_(kept, kept)]
    m = len(correlations)
    if m < 2:
        return Estimate(math.nan, math.nan)
    of_row = correlations.sum(1) - np.diag(correlations)
    total = of_row.sum() / 2
    mean = float(total / (m * (m - 1) / 2))
    if m < 3:
        return Estimate(mean, math.nan)
    without = (total - of_row) / ((m - 1) * (m - 2) / 2)
    return Estimate(mean, float((m - 1) / m * ((without - without.mean()) ** 2).sum()))


def combined(estimates: Sequence[Estimate], level: float = 0.95) -> Interval:
    """Mean of independent estimates with the normal interval that their variances give."""
    if not estimates:
        return Interval(math.nan, math.nan, math.nan, 0)
    from scipy.special import ndtri

    values, variances = np.array(estimates, dtype=np.float64).T
    mean = float(values.mean())
    half = float(ndtri((1 + level) / 2)) * math.sqrt(float(variances.sum())) / len(values)
    return Interval(mean, mean - half, mean + half, len(values))
