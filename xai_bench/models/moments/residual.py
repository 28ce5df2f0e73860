"""What the rounds explain: the target as numbers, and what a fit leaves of it, whitened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROBUST_SDS = 4.0
"""A numeric target is clipped so far from its median."""
CLIPPED = 3.0
"""A whitened residual is clipped there."""
PASSES = 3
LEAST = 1e-6
"""Share of its norm below which a column tells nothing that those before it do not tell."""
NORMAL_MAD = 0.6745
"""Median absolute deviation of a standard normal variable."""


def target(y: NDArray, classes: int | None) -> Floats:
    """(n, C) the target as the rounds see it.

    Parameters
    ----------
    y : (n,) classes from 0; (n,) values, or (n, C) values of several targets
    classes : how many there are, None for values

    Returns
    -------
    One column a class, 1 where a row has it, else 0; or the values, clipped at their median +- 4 robust standard
    deviations (1.4826 times the median absolute deviation; the standard deviation where that is 0).
    """
    if classes is not None:
        return np.eye(classes)[y]
    values = y.astype(np.float64).reshape(len(y), -1)
    centred = values - np.median(values, axis=0)
    sd = np.median(np.abs(centred), axis=0) / NORMAL_MAD
    sd = np.where(sd > 0, sd, values.std(0))
    return np.clip(centred, -ROBUST_SDS * sd, ROBUST_SDS * sd)


def whitened(residual: Floats, against: Floats) -> Floats:
    """(C', n) of a residual (n, C): mean 0, covariance the unit matrix, clipped at 3 and whitened again, three times.

    Columns that the others determine (the last class) are left out, and so is what is less than 1e-6 of the norm of
    ``against`` (n, C), the target: rounding.
    """
    least = LEAST * np.linalg.norm(against - against.mean(0), axis=0).max(initial=0.0)
    found = _orthonormal(residual.T, least)
    for _ in range(PASSES):
        found = _orthonormal(np.clip(found, -CLIPPED, CLIPPED), 0.0)
    return found


def _orthonormal(rows: Floats, least: float) -> Floats:
    """Rows of mean 0 and mean square 1, orthogonal, by Gram-Schmidt; those that keep too little are left out."""
    n = rows.shape[1]
    taken = [np.full(n, n**-0.5)]
    for row in rows:
        rest = row
        for _ in range(2):
            before = np.array(taken)
            rest = rest - (before @ rest) @ before
        norm, bound = float(np.linalg.norm(rest)), LEAST * float(np.linalg.norm(row))
        if norm > max(least, bound):
            taken.append(rest / norm)
    return np.array(taken[1:]).reshape(-1, n) * n**0.5
