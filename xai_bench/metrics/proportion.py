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
    relevance = _near_one(items.relevance)
    x, y = relevance - relevance.mean(), items.graded - items.graded.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(np.clip(x @ y / spread, -1.0, 1.0)) if spread > 0 else 0.0


def _near_one(values: NDArray) -> NDArray:
    """Times a power of two, so that the largest is near 1: squares neither over- nor underflow, and no bit changes."""
    return np.ldexp(values, -np.frexp(np.abs(values).max())[1])


def _no_chance(truth: GroundTruth) -> float | None:
    return None


pearson = Metric("pearson", _pearson, _no_chance, -1.0, 1.0, "Pearson", reads="values", order=80)
"""Pearson's correlation of the relevance with graded truth: how nearly the one is a straight line of the other."""
