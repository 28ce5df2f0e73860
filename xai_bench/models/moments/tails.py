"""Logarithms of the upper tails of chi-square distributions, also where the tail itself underflows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNDERFLOWS = 1e-280
TERMS = 200
"""Of the continued fraction: far in the tail, where it is used, a few tens do."""


def minus_log_tail(statistic: ArrayLike, degrees: float) -> NDArray[np.float64]:
    """-log P(chi-square with ``degrees`` of freedom > statistic), element by element."""
    from scipy.special import gammaincc

    x, a = np.atleast_1d(np.asarray(statistic, dtype=np.float64)) / 2, degrees / 2
    tail = gammaincc(a, x)
    far = tail < UNDERFLOWS
    found = -np.log(np.where(far, 1.0, tail))
    found[far] = _far(x[far], a)
    return found


def _far(x: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """-log Q(a, x) by Legendre's continued fraction, from its end (x well above a)."""
    from scipy.special import gammaln

    rest = np.zeros_like(x)
    for k in range(TERMS, 0, -1):
        rest = k * (k - a) / (x + 2 * k + 1 - a - rest)
    return x - a * np.log(x) + gammaln(a) + np.log(x + 1 - a - rest)
