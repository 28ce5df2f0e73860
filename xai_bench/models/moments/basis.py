"""Eight functions of one input that are orthonormal on the rows: its robust value, then waves of its rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FUNCTIONS = 8
CLIPPED = 3.5
"""Robust standard deviations of the first function at the most."""
NORMAL_IQR = 1.349
"""Interquartile range of a standard normal variable."""
KEPT = 0.05
"""Share of its norm that a function must keep when those before it are taken out; else it is 0."""
COLUMNS_AT_ONCE = 128


def basis(X: NDArray) -> NDArray[np.float32]:
    """(d, FUNCTIONS, n) of the columns of X (n, d): mean 0 and mean square 1, orthogonal within a column, or 0.

    psi_1 is (x - median) / (IQR / 1.349), clipped at 3.5 (the standard deviation takes the place of an IQR of 0), and
    psi_a = cos(a pi (rank - 1/2) / n) for a = 2 .. 8, with middle ranks for ties. By Gram-Schmidt in this order. A
    column of two values keeps the first function only, a constant one none.
    """
    n, d = X.shape
    found = np.empty((d, FUNCTIONS, n), dtype=np.float32)
    for start in range(0, d, COLUMNS_AT_ONCE):
        part = slice(start, start + COLUMNS_AT_ONCE)
        found[part] = orthonormal(_raw(X[:, part].T.astype(np.float64)))
    return found


def _raw(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, FUNCTIONS, n) of columns x (d, n), before Gram-Schmidt."""
    n = x.shape[1]
    low, median, high = np.quantile(x, (0.25, 0.5, 0.75), axis=1)
    scale = (high - low) / NORMAL_IQR
    scale = np.where(scale > 0, scale, x.std(1))
    scale = np.where((scale > 0) & (np.ptp(x, axis=1) > 0), scale, np.inf)
    raw = np.empty((len(x), FUNCTIONS, n))
    raw[:, 0] = np.clip((x - median[:, None]) / scale[:, None], -CLIPPED, CLIPPED)
    halves = twice_middle_ranks(x) - 1
    waves = np.cos(np.pi * np.outer(np.arange(2, FUNCTIONS + 1), np.arange(2 * n) / (2 * n)))
    for a in range(1, FUNCTIONS):
        raw[:, a] = waves[a - 1][halves]
    return raw


def twice_middle_ranks(x: NDArray[np.float64]) -> NDArray[np.int64]:
    """(d, n) twice the rank from 1 of each value in its row of x (d, n); equal values have the mean of theirs."""
    n = x.shape[1]
    order = np.argsort(x, axis=1, kind="stable")
    ordered = np.take_along_axis(x, order, axis=1)
    changes = ordered[:, 1:] != ordered[:, :-1]
    place, edge = np.arange(n), np.ones((len(x), 1), dtype=bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, changes]), place, 0), axis=1)
    last = np.minimum.accumulate(np.where(np.hstack([changes, edge]), place, n)[:, ::-1], axis=1)[:, ::-1]
    found = np.empty_like(first)
    np.put_along_axis(found, order, first + last + 2, axis=1)
    return found


def orthonormal(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, FUNCTIONS, n) by Gram-Schmidt within each column, the constant first; what keeps too little becomes 0.

    By the Cholesky factor of the products of the functions, with the same factors for all rows.
    """
    d, functions, n = raw.shape
    centred = raw - raw.mean(2, keepdims=True)
    products = centred @ centred.transpose(0, 2, 1) / n
    least = KEPT**2 * (raw**2).mean(2)
    # Row a of ``change`` gives the a-th function from the centred ones.
    change = np.zeros((d, functions, functions))
    for a in range(functions):
        row = np.zeros((d, functions))
        row[:, a] = 1.0
        for _ in range(2):  # once more for what rounding leaves
            shares = np.einsum("dbi,dij,dj->db", change[:, :a], products, row)
            row -= np.einsum("db,dbi->di", shares, change[:, :a])
        square = np.einsum("di,dij,dj->d", row, products, row)
        kept = (square > least[:, a]) & (least[:, a] > 0)
        change[:, a] = np.where(kept[:, None], row / np.sqrt(np.where(kept, square, 1.0))[:, None], 0.0)
    return change @ centred
