"""Shares of inputs that were selected, over draws: the inputs of one draw are not independent of one another."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Share(NamedTuple):
    """A share, its confidence interval, and of how many draws; what is not defined is NaN."""

    value: float
    low: float
    high: float
    draws: int


def clopper_pearson(hits: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a binomial probability, by quantiles of beta distributions; whole numbers are not needed.

    Source: Clopper and Pearson 1934, Biometrika 26.

    Raises
    ------
    ValueError
        Unless 0 <= hits <= trials and trials > 0.
    """
    if not (0 <= hits <= trials and trials > 0):
        raise ValueError(f"clopper_pearson: expected 0 <= hits <= trials, got {hits} of {trials}")
    from scipy.special import betaincinv

    tail, misses = (1 - level) / 2, trials - hits
    low = 0.0 if hits == 0 else float(betaincinv(hits, misses + 1, tail))
    high = 1.0 if misses == 0 else float(betaincinv(hits + 1, misses, 1 - tail))
    return low, high


def clustered(hits: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Share:
    """The share sum(hits) / sum(trials) over draws, and its Clopper-Pearson interval with the draws as clusters.

    The inputs of a draw share its rows, so they count as fewer independent ones: their number is divided by the design
    effect, the variance of the share between draws (linearised ratio) over that of independent inputs, at least 1, and
    corrected by Student's t with as many degrees of freedom as there are draws less one. Where no input was hit, or
    all, the draws say nothing of the effect: then each draw counts as one. For shares between 0 and 1 that are their
    draw's only trial, such as the false share of what was selected, it is the interval of a coin of their mean, which
    varies the most. Source: Korn and Graubard 1998, Survey Methodology 24.

    Parameters
    ----------
    hits, trials : (draws,); 0 <= hits <= trials; draws without trials are left out

    Returns
    -------
    NaN where there are no trials; no interval of a single draw

    Raises
    ------
    ValueError
        If the shapes differ, or there are more hits than trials.
    """
    x, n = np.asarray(hits, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if x.ndim != 1 or x.shape != n.shape or (x < 0).any() or (x > n).any():
        raise ValueError(f"clustered: expected hits and trials (draws,), 0 <= hits <= trials, got {x} and {n}")
    x, n = x[n > 0], n[n > 0]
    draws, total = len(n), float(n.sum())
    if draws == 0:
        return Share(math.nan, math.nan, math.nan, 0)
    share = float(x.sum()) / total
    if draws == 1:
        return Share(share, math.nan, math.nan, 1)
    size = float(draws)
    if 0 < share < 1:
        from scipy.special import stdtrit

        variance = draws / (draws - 1) * float(((x - share * n) ** 2).sum()) / total**2
        effect = max(variance / (share * (1 - share) / (total - 1)), 1.0)
        both = (1 + level) / 2
        size = total / effect * float(stdtrit(total - 1, both) / stdtrit(draws - 1, both)) ** 2
    return Share(share, *clopper_pearson(share * size, size, level), draws)
