"""By what predictions are judged: a score that unequal classes do not flatter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench.models.learning import UNEQUAL
from xai_bench.statistics import Interval

CONSTANT = "constant"
"""The model that says the commonest class, or the mean."""

ScoreName = Literal["accuracy", "AUC", "balanced accuracy", "R2"]


@dataclass(frozen=True)
class Score:
    """A score of predictions, higher is better.

    Attributes
    ----------
    name : what it is called
    chance : what a constant guess reaches
    """

    name: ScoreName
    chance: float

    def of(self, y: NDArray, outputs: NDArray, weights: NDArray | None = None, guess: float | None = None) -> float:
        """Of outputs (n, classes), larger for likelier classes, or (n, 1) values; NaN where it is not defined.

        ``guess``: the constant that R2 is 0 for, such as the mean of training rows; None for the mean of ``y``.
        """
        from sklearn import metrics

        if not np.isfinite(outputs).all() or len(np.unique(y)) < 2:
            return math.nan
        if self.name == "R2":
            constant = np.average(y, weights=weights) if guess is None else guess
            error, total = (np.average((y - said) ** 2, weights=weights) for said in (outputs[:, 0], constant))
            return float(1 - error / total) if total > 0 else math.nan
        if self.name == "AUC":
            return float(metrics.roc_auc_score(y, outputs[:, 1] - outputs[:, 0], sample_weight=weights))
        said = outputs.argmax(1)
        if self.name == "accuracy":
            return float(metrics.accuracy_score(y, said, sample_weight=weights))
        return balanced_accuracy(y, said, weights)


def balanced_accuracy(y: NDArray, guess: NDArray, weights: NDArray | None = None) -> float:
    """Mean over the classes in y of the share of their rows that are guessed right."""
    w = np.ones(len(y)) if weights is None else weights
    shares = [np.average(guess[y == label] == label, weights=w[y == label]) for label in np.unique(y)]
    return float(np.mean(shares))


def score_for(y: NDArray, kind: str) -> Score:
    """R2 in regression; accuracy where classes are about equal, else AUC of two and balanced accuracy of more."""
    if kind == "regression":
        return Score("R2", 0.0)
    counts = np.bincount(y)
    counts = counts[counts > 0]
    if counts.max() < UNEQUAL * counts.min():
        return Score("accuracy", float(counts.max() / counts.sum()))
    return Score("AUC", 0.5) if len(counts) == 2 else Score("balanced accuracy", 1 / len(counts))


def over_trainings(values: NDArray, held_out: float) -> Interval:
    """Mean of scores or relevances (m,) over folds and seeds, and its interval.

    Trainings share rows, so that Student's t over them would be too narrow. Its variance is multiplied by
    1 + m * ``held_out``, the number of held-out rows over that of the others (Nadeau and Bengio 2003, Machine Learning
    52). NaN are left out; below two values there is no interval.
    """
    from scipy.special import stdtrit

    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    m = len(known)
    if m < 2:
        return Interval(float(known.mean()) if m else math.nan, math.nan, math.nan, m)
    half = stdtrit(m - 1, 0.975) * math.sqrt(known.var(ddof=1) * (1 / m + held_out))
    mean = float(known.mean())
    return Interval(mean, mean - half, mean + half, m)
