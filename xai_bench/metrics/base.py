"""A metric: a plain function of (relevance, truth) and a record of its facts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.base import GroundTruth


@dataclass(frozen=True)
class Metric:
    """How a recovery score is computed and read.

    Attributes
    ----------
    name : the word in the store, the CLI and the report
    function : (relevance (d,), truth) to a number, or None where it is not defined for this truth
    chance : truth to the expected score of a random ranking, or None where it is not defined
    lower, upper : bounds; ``upper`` is what the oracle reaches, unless the score is descriptive
    title : for tables and axes
    reads : what of a relevance the score depends on. ``ranks``: its order only, so that a random ranking has a
        score. ``values``: its sizes. ``support``: which inputs are exactly 0, except for those that the harness set to
        0 because they are constant on the training rows
    descriptive : the score says where inputs stand that need not be found: nothing to reach, never ranked
    better : which end of the scale is the better one
    headline : the score leads the tables of a report, and its words
    order : its place among the scores in tables; equal ones stand by name
    """

    family: ClassVar[str] = "metrics"

    name: str
    function: Callable[[NDArray, GroundTruth], float | None]
    chance: Callable[[GroundTruth], float | None]
    lower: float
    upper: float
    title: str
    reads: Literal["ranks", "values", "support"] = "ranks"
    descriptive: bool = False
    better: Literal["higher", "lower"] = "higher"
    headline: bool = False
    order: int = 1000

    def facts(self) -> dict[str, Any]:
        """What statistics and reports need to know of the score, JSON-ready; a bound that is not finite is None."""
        return {
            "title": self.title,
            "lower": self.lower if math.isfinite(self.lower) else None,
            "upper": self.upper if math.isfinite(self.upper) else None,
            "better": self.better,
            "reads": self.reads,
            "descriptive": self.descriptive,
            "headline": self.headline,
            "order": self.order,
        }

    def __call__(self, relevance: NDArray, truth: GroundTruth) -> float | None:
        """The score of ``relevance`` (d,) in the column order of ``truth``.

        Raises
        ------
        ValueError
            If the shapes differ or a relevance is not finite.
        """
        relevance = np.asarray(relevance, dtype=np.float64)
        if relevance.shape != (len(truth.roles),):
            raise ValueError(f"{self.name}: expected {len(truth.roles)} relevances, got shape {relevance.shape}")
        if not np.isfinite(relevance).all():
            raise ValueError(f"{self.name}: expected finite relevances")
        return self.function(relevance, truth)
