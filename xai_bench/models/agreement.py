"""The inputs on which folds agree, where some of them select one input and some another that can stand for it.

Two copies of a column, or the dummies of a category, say the same. Each fold keeps some of them; counted one by one,
all may lose. So a fold votes for what it selects and for what its inputs explain, and the likeness of two supports
counts what one explains of the other, as stability does for correlated features (Sechidis, Papangelou, Nogueira,
Weatherall and Brown, ECML PKDD 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xai_bench.datasets.base import Bools, Floats
from xai_bench.models.path import SparseSettings

HALF = 0.5
"""Share of the variance of an input that the inputs of a fold must explain to vote for it."""
CUTOFF = 1e-9
"""Eigenvalues of correlations below this share of the largest are 0: inputs that depend on each other."""


class Collinearity:
    """How much of each input sets of other inputs explain linearly.

    Attributes
    ----------
    correlation : (d, d) of the rows; 0 where an input is constant
    n : number of rows
    """

    def __init__(self, X: Floats, weight: Floats) -> None:
        """Of the rows ``X`` (n, d), which count ``weight`` (n,) each."""
        share = weight / weight.sum()
        centred = X - share @ X
        deviation = np.sqrt(share @ centred**2)
        scaled = centred / np.where(deviation > 0, deviation, np.inf)
        self.correlation = (scaled * share[:, None]).T @ scaled
        self.n = len(X)

    def explained(self, by: Bools) -> Floats:
        """(d,) adjusted R2 of every input given those of ``by`` (d,): 1 for these, 0 at the least.

        Inputs explain no others where there are as many of them as rows, or more.
        """
        k = int(by.sum())
        if not 0 < k < self.n - 1:
            return by.astype(float)
        among, to_all = self.correlation[np.ix_(by, by)], self.correlation[by]
        r2 = (to_all * (np.linalg.pinv(among, rcond=CUTOFF, hermitian=True) @ to_all)).sum(0)
        varies = self.correlation.diagonal() > 0
        adjusted = 1 - (1 - r2) * (self.n - 1) / (self.n - k - 1)
        return np.where(by, 1.0, np.where(varies, adjusted.clip(0, 1), 0.0))

    def overlap(self, a: Bools, b: Bools) -> float:
        """How far two supports (d,) are the same: the mean share of their inputs that the other one explains.

        Between 0 and 1; Dice's index of the two where inputs are not correlated.
        """
        total = a.sum() + b.sum()
        return float((self.explained(b)[a].sum() + self.explained(a)[b].sum()) / total) if total else 1.0

    def stability(self, support: Bools, supports: Bools) -> float:
        """The mean overlap of ``support`` (d,) with each of ``supports`` (folds, d)."""
        return float(np.mean([self.overlap(support, other) for other in supports]))


def voted(supports: Bools, settings: SparseSettings) -> Bools:
    """(d,) the inputs that enough of the (folds, d) supports hold."""
    return supports.sum(0) >= settings.votes


def stand_ins(supports: Bools, collinearity: Collinearity, settings: SparseSettings) -> list[Bools]:
    """Supports (d,) to compare with the voted one: of each fold the inputs for which enough folds vote.

    A fold votes for the inputs that it selects and for those whose variance they explain by half or more. What lies
    within the voted support is left out: where no input stands for another, nothing is left.
    """
    votes = sum((collinearity.explained(support) >= HALF).astype(int) for support in supports)
    found = [support & (votes >= settings.votes) for support in supports]
    return [support for support in found if (support & ~voted(supports, settings)).any()]


def or_best_fold(support: Bools, supports: Bools, losses: Sequence[float], settings: SparseSettings) -> Bools:
    """``support``, or the best of (folds, d) supports where it is far smaller than theirs: the folds disagree."""
    if support.sum() < settings.agreement * np.median(supports.sum(1)):
        return supports[int(np.argmin(losses))]
    return support


def agreed(supports: Bools, losses: Sequence[float], settings: SparseSettings) -> Bools:
    """(d,) the inputs with enough votes of (folds, d) supports; those of the best fold where the folds disagree."""
    return or_best_fold(voted(supports, settings), supports, losses, settings)
