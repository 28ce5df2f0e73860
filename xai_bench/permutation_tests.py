"""Tests of learning: do predictions do better than if they were dealt to the rows at random?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]
PERMUTATIONS = 1999
"""Of a test by permutation."""
CLEARLY_NOT = {99: 0.2, 499: 0.05}
"""After so many of them, a p-value above this is taken as it is."""
CONSTANT = 1e-6
"""Predictions that differ by no more standard deviations of the target are called constant."""
PERMUTED_VALUES = 2**21
"""Values that are permuted at once (16 MiB)."""


def better_than_shuffled_classes(labels: ArrayLike, predicted: ArrayLike, seed: int) -> float:
    """P-value of as many hits as these, or more, if the predicted classes were dealt to the rows at random.

    How often each class occurs, and how often each is predicted, is kept: whoever always says the majority class
    shows nothing. Exact for two classes (Fisher's test); for more, random tables with these margins.

    Parameters
    ----------
    labels, predicted : (n,) integers >= 0, of the same rows
    seed : of the random tables; equal arguments give equal p-values

    Returns
    -------
    In (0, 1]; 1 where all labels or all predictions are equal. Where hits are many enough for Chatterjee's bound (2007,
    Probab. Theory Relat. Fields 138, proposition 1.1) to be below the least p-value of the random tables, that bound.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    y, guess = np.asarray(labels), np.asarray(predicted)
    if y.shape != guess.shape or y.ndim != 1:
        raise ValueError(f"expected two times (n,) classes, got shapes {y.shape} and {guess.shape}")
    n = len(y)
    classes, codes = np.unique(np.concatenate([y, guess]), return_inverse=True)
    of_labels, of_guesses = (np.bincount(part, minlength=len(classes)) for part in np.split(codes, 2))
    if n == 0 or of_labels.max() == n or of_guesses.max() == n:
        return 1.0
    if len(classes) == 2:
        return _hypergeometric_tail(int(((y == guess) & (y == classes[1])).sum()), n, of_labels[1], of_guesses[1])
    hits, expected = int((y == guess).sum()), float(of_labels @ of_guesses) / n
    more = hits - expected
    bound = 2 * math.exp(-(more**2) / (4 * expected + 2 * more)) if more > 0 else 1.0
    if bound <= 1 / (PERMUTATIONS + 1):
        return bound
    from scipy.stats import random_table

    tables = random_table(of_labels, of_guesses)
    rng = np.random.default_rng(seed)
    return _monte_carlo(
        lambda count: int((np.trace(tables.rvs(count, random_state=rng), axis1=1, axis2=2) >= hits).sum())
    )


def better_than_shuffled_values(target: ArrayLike, predicted: ArrayLike, seed: int) -> float:
    """P-value of squared errors as small as these, or smaller, if the predictions were dealt to the rows at random.

    The sum of squared errors over the rows, and over the targets in units of their variance; among permutations it
    is the less, the larger the covariance of target and prediction is.

    Parameters
    ----------
    target, predicted : (n,), or (n, t) for t targets, of the same rows
    seed : of the permutations; equal arguments give equal p-values

    Returns
    -------
    In (0, 1]; 1 where nothing can be shown: targets or predictions that are constant, or predictions that are not
    finite. Where Markov's inequality, with the exact fourth moment over permutations (Pitman 1937, J. R. Stat. Soc.
    Suppl. 4), puts the p-value below the least one of random permutations, that bound.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    y, guess = np.asarray(target, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.shape != guess.shape or y.ndim not in (1, 2):
        raise ValueError(f"expected two times (n,) or (n, t) values, got shapes {y.shape} and {guess.shape}")
    n = len(y)
    if n < 2 or not np.isfinite(guess).all():
        return 1.0
    y, guess = y.reshape(n, -1), guess.reshape(n, -1)
    spread = y.std(0)
    varies = (np.ptp(y, axis=0) > 0) & (np.ptp(guess, axis=0) > CONSTANT * spread)
    if not varies.any():
        return 1.0
    y, guess = y[:, varies] / spread[varies], guess[:, varies] / spread[varies]
    guess = guess / np.abs(guess).max()  # squares of a diverged model's outputs would overflow
    y, guess = y - y.mean(0), guess - guess.mean(0)
    observed = float((y * guess).sum())
    if y.shape[1] == 1 and observed > 0:
        bound = _fourth_moment(y[:, 0], guess[:, 0]) / observed**4
        if bound <= 1 / (PERMUTATIONS + 1):
            return bound
    rng = np.random.default_rng(seed)
    least = observed - 1e-10 * math.sqrt(float((y * y).sum() * (guess * guess).sum()))  # equal but for rounding
    at_once = max(1, PERMUTED_VALUES // y.size)

    def exceeding(count: int) -> int:
        found = 0
        for first in range(0, count, at_once):
            order = rng.permuted(np.tile(np.arange(n), (min(at_once, count - first), 1)), axis=1)
            found += int((np.einsum("bnt,nt->b", y[order], guess) >= least).sum())
        return found

    return _monte_carlo(exceeding)


def _monte_carlo(exceeding: Callable[[int], int]) -> float:
    """The p-value (1 + those of m random permutations that reach what was observed) / (1 + m).

    Valid at every level up to .05: few permutations are enough where the p-value is clearly larger.
    """
    found = done = 0
    for count in (*CLEARLY_NOT, PERMUTATIONS):
        found, done = found + exceeding(count - done), count
        p_value = (1 + found) / (1 + done)
        if p_value > CLEARLY_NOT.get(done, 0.0):
            break
    return p_value


def _hypergeometric_tail(found: int, n: int, marked: int, drawn: int) -> float:
    """P(at least ``found`` of ``drawn`` rows are among the ``marked`` ones of n)."""
    from scipy.special import gammaln

    def log_choose(total: int, chosen: NDArray) -> Floats:
        return gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1)

    more = np.arange(found, min(marked, drawn) + 1)
    terms = log_choose(marked, more) + log_choose(n - marked, drawn - more) - log_choose(n, np.array(drawn))
    return min(1.0, float(np.exp(terms).sum()))


def _fourth_moment(a: Floats, b: Floats) -> float:
    """E (sum a_i b_s(i))^4 over all permutations s; a and b (n,) have mean 0. Infinite below four rows."""
    n = len(a)
    if n < 4:
        return math.inf
    (a2, a4), (b2, b4) = ((float((v**2).sum()), float((v**4).sum())) for v in (a, b))
    pairs = n * (n - 1)
    return (
        a4 * b4 / n
        + (4 * a4 * b4 + 3 * (a2**2 - a4) * (b2**2 - b4)) / pairs
        + 6 * (2 * a4 - a2**2) * (2 * b4 - b2**2) / (pairs * (n - 2))
        + 9 * (a2**2 - 2 * a4) * (b2**2 - 2 * b4) / (pairs * (n - 2) * (n - 3))
    )
