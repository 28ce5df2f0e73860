"""How much noise simulated targets get: so much that a forest predicts them about as well as the real target."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from xai_bench.analysis.baselines import fitted_outputs, models
from xai_bench.analysis.rows import Rows, Split
from xai_bench.analysis.score import Score
from xai_bench.analysis.trainings import split_data
from xai_bench.datasets.base import Dataset
from xai_bench.datasets.simulated import Simulated
from xai_bench.datasets.table import Table

REFERENCE = "random forest"
SIGNALS = (0.1, 0.4, 0.7, 0.95)
"""Shares of the variance that are tried."""
SEEDS = (2000, 2001)
"""Truth seeds of the targets on which they are tried: none of them chooses or scores a method."""
UNKNOWN = 0.5
"""Share where there is no real target."""


def real_score(table: Table, rows: Rows, chosen: Sequence[Split], score: Score) -> float:
    """The mean score of the forest on the held-out rows of some splits of the real target."""
    found = []
    for split in chosen:
        data, _ = split_data(table, rows, split)
        found.append(_forest(data, score))
    return float(np.nanmean(found)) if np.isfinite(found).any() else score.chance


def signal_for(source: Callable[[float, int], Simulated], score: Score, aim: float) -> tuple[float, float]:
    """The signal at which the forest reaches ``aim``, and what it reaches there, by linear interpolation.

    Parameters
    ----------
    source : from a signal and a truth seed to a simulated dataset
    score : what is reached
    aim : the forest's score on the real target. What cannot be reached is approached as far as the signals go
    """
    reached = np.array(
        [np.nanmean([_forest(source(signal, seed).load(0), score) for seed in SEEDS]) for signal in SIGNALS]
    )
    rising = np.maximum.accumulate(reached)
    signal = float(np.interp(aim, rising, SIGNALS))
    return signal, float(np.interp(signal, SIGNALS, rising))


def _forest(data: Dataset, score: Score) -> float:
    X, y = np.concatenate([data.X_train, data.X_valid]), np.concatenate([data.y_train, data.y_valid])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = fitted_outputs(models(data.kind, score, 0)[REFERENCE], X, y, None, data.X_test, data.n_outputs)
    return math.nan if outputs is None else score.of(data.y_test, outputs)
