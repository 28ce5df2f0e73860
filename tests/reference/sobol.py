"""Effects of single inputs by simulation, literally: one input is drawn again, the others stay."""

from __future__ import annotations

import itertools
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


def absolute_shapley(function: Function, k: int, levels: NDArray) -> NDArray:
    """(k,) mean absolute Shapley values where every input takes each of ``levels`` (m,) equally often.

    Of every point, over all orders in which inputs become known: what knowing one more changes in the expectation.
    """
    points = np.array(list(itertools.product(levels, repeat=k)))
    said = function(points)

    def expectation(kept: frozenset[int], point: NDArray) -> float:
        alike = np.ones(len(points), dtype=bool)
        for j in kept:
            alike &= points[:, j] == point[j]
        return said[alike].mean()

    values = np.zeros((len(points), k))
    orders = list(itertools.permutations(range(k)))
    for row, point in enumerate(points):
        for order in orders:
            for at, j in enumerate(order):
                before = frozenset(order[:at])
                values[row, j] += (expectation(before | {j}, point) - expectation(before, point)) / len(orders)
    return np.abs(values).mean(0)
