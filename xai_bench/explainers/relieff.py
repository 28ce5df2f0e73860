"""ReliefF: does an input differ more between near rows of other classes than between near rows of one's own?"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import Join, Problem, Selection, Selector, elements_at_once

LEAST = 1e-6
"""What the order of the weights <= 0 is worth beside those above."""


class ReliefF(Selector):
    """ReliefF, and RReliefF in regression (Robnik-Sikonja and Kononenko, Machine Learning 53, 2003).

    Every training row R meets its k nearest rows H of its own class and M of every other class C. The weight of input
    j is the mean of sum_C P(C) / (1 - P(class of R)) diff(R_j, M_j) - diff(R_j, H_j), with diff(a, b) = |a - b| over
    the range of the input; the rows are near in the sum of diff over inputs. In regression, with the k nearest rows
    whatever their target, it is N_dC&dA / N_dC - (N_dA - N_dC&dA) / (m - N_dC), equations 31 to 33. It sees what acts
    together, as long as the nearest rows are near in what matters. Weights below 0 say nothing, and keep their order:
    the relevance is max(W, 0) + 1e-6 (1 + W). Nothing is fitted. The cost grows as rows^2 d: .1 CPU seconds for 800
    rows of 64 inputs.
    """

    name: ClassVar[str] = "relieff"
    joins: ClassVar[Join] = "max"
    predicts: ClassVar[bool] = False

    neighbours: Annotated[int, Field(ge=1)] = 10
    """k, as published."""
    rows: Annotated[int, Field(ge=10)] = 2000
    """Training rows at the most."""

    def select(self, problem: Problem) -> Selection:
        chosen = np.sort(problem.generator.permutation(len(problem.X_train))[: self.rows])
        X, y = problem.X_train.double().cpu().numpy()[chosen], problem.y_train.double().cpu().numpy()[chosen]
        span = np.ptp(X, axis=0)
        X = np.divide(X - X.min(0), span, out=np.zeros_like(X), where=span > 0)
        at_once = max(1, elements_at_once(problem.memory) // max(len(X), self.neighbours * problem.d))
        if problem.kind == "classification":
            weights = of_classes(X, y, self.neighbours, at_once)
        else:
            weights = of_values(X, y, self.neighbours, at_once)
        return Selection(weights.clip(0) + LEAST * (1 + weights))


def of_classes(X: NDArray, y: NDArray, k: int, at_once: int) -> NDArray[np.float64]:
    """(d,) weights from rows (n, d) in 0 .. 1 with classes (n,). ``at_once``: rows whose neighbours are held."""
    weights, n = np.zeros(X.shape[1]), len(X)
    classes, counts = np.unique(y, return_counts=True)
    for own, of_own in zip(classes, counts, strict=True):
        for other, of_other in zip(classes, counts, strict=True):
            hits = own == other
            factor = -1.0 if hits else of_other / (n - of_own)
            among = np.flatnonzero(y == other)
            for rows in np.array_split(np.flatnonzero(y == own), max(1, -(-of_own // at_once))):
                near = nearest(X, rows, among, k)
                if near.shape[1]:
                    weights += factor * np.abs(X[near] - X[rows][:, None]).mean(1).sum(0) / n
    return weights


def of_values(X: NDArray, y: NDArray, k: int, at_once: int) -> NDArray[np.float64]:
    """(d,) weights of RReliefF from rows (n, d) in 0 .. 1 with values (n,), each neighbour with the weight 1/k."""
    n, span = len(X), float(np.ptp(y))
    if span == 0 or n < 2:
        return np.zeros(X.shape[1])
    everything, of_target, of_inputs, of_both = np.arange(n), 0.0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows in np.array_split(everything, -(-n // at_once)):
        near = nearest(X, rows, everything, k)
        targets = np.abs(y[near] - y[rows][:, None]) / span
        inputs = np.abs(X[near] - X[rows][:, None])
        of_target += targets.mean(1).sum()
        of_inputs += inputs.mean(1).sum(0)
        of_both += (inputs * targets[:, :, None]).mean(1).sum(0)
    apart = max(n - of_target, np.finfo(float).tiny)
    return of_both / max(of_target, np.finfo(float).tiny) - (of_inputs - of_both) / apart


def nearest(X: NDArray, rows: NDArray, among: NDArray, k: int) -> NDArray[np.intp]:
    """(rows, k or fewer) the nearest of the rows ``among``, without the row itself; of equally near ones the first."""
    from scipy.spatial.distance import cdist

    far = cdist(X[rows], X[among], "cityblock")
    far[rows[:, None] == among] = np.inf
    others = len(among) - int(np.isin(rows, among).any())
    return among[np.argsort(far, axis=1, kind="stable")[:, : min(k, others)]]
