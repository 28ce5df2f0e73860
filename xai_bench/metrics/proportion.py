"""Is a relevance proportional to the graded truth, not only in its order?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.base import GroundTruth
from xai_bench.metrics.base import Metric
from xai_bench.metrics.recovery import reduced


def _pearson(relevance: NDArray, truth: GroundTruth) -> float | None:
    items = reduced(relevance, truth).with_order()
    if items is None or items.graded is None:
        return None
    x, y = items.relevance - items.relevance.mean(), items.graded - items.graded.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(np.clip(x @ y / spread, -1.0, 1.0)) if spread > 0 else 0.0


def _no_chance(truth: GroundTruth) -> float | None:
    return None


pearson = Metric("pearson", _pearson, _no_chance, -1.0, 1.0, "Pearson correlation", reads="values")
"""Pearson's correlation of the relevance with graded truth: how nearly the one is a straight line of the other."""
