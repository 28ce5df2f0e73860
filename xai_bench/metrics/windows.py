"""Recovery by window: named stretches of inputs, such as spectral lines, are ranked by their largest relevance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.base import GroundTruth
from xai_bench.metrics.base import Metric
from xai_bench.metrics.ranking import area_under_roc


def _auroc_windows(relevance: NDArray, truth: GroundTruth) -> float | None:
    if _chance(truth) is None:
        return None
    judged = [window for window in truth.windows if window.role in ("relevant", "noise")]
    largest = np.array([relevance[list(window.columns)].max() for window in judged])
    return float(area_under_roc(largest, np.array([window.role == "relevant" for window in judged])))


def _chance(truth: GroundTruth) -> float | None:
    return 0.5 if {"relevant", "noise"} <= {window.role for window in truth.windows} else None


auroc_windows = Metric("auroc_windows", _auroc_windows, _chance, 0.0, 1.0, "AUROC, windows", order=30, headline=True)
"""The chance that a relevant window ranks above a noise window, each by its largest relevance; others are left out."""
