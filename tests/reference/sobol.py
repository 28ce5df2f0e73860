"""Effects of single inputs by simulation, literally: one input is drawn again, the others stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Function = Callable[[NDArray], NDArray]


def total_indices(function: Function, X: NDArray, again: NDArray) -> NDArray:
    """(d,) total Sobol indices, by Jansen's estimator: half the mean square of what drawing input j again changes.

    ``X`` and ``again`` (n, d) are independent draws of independent inputs.
    """
    before = function(X)
    found = []
    for j in range(X.shape[1]):
        other = X.copy()
        other[:, j] = again[:, j]
        found.append(np.mean((before - function(other)) ** 2) / 2)
    return np.array(found) / before.var()


def absolute_effects(function: Function, X: NDArray, levels: NDArray) -> NDArray:
    """(d,) E |f - E(f | all inputs but j)|: for each row the mean over ``levels`` (m,) that input j may have."""
    before = function(X)
    found = []
    for j in range(X.shape[1]):
        mean = np.zeros(len(X))
        for level in levels:
            other = X.copy()
            other[:, j] = level
            mean += function(other) / len(levels)
        found.append(np.abs(before - mean).mean())
    return np.array(found)
