"""A metric: a plain function of (relevance, truth) and a record of its facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench import registry
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
    version : raise it when the same relevance and truth give another number: what is stored is then scored again
    depends_on : of a metric from outside the package: files that its numbers depend on (see ``Component``)
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
    version: int = 1
    depends_on: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """All that its numbers depend on, JSON-ready."""
        return {"name": self.name, "version": self.version, "reads": self.reads, "plugin": registry.code_of(self)}

    def __call__(self, relevance: NDArray, truth: GroundTruth) -> float | None:
        """The score of ``relevance`` (d,) in the column order of ``truth``. The function gets copies of both.

        Raises
        ------
        ValueError
            If the shapes differ or a relevance is not finite.
        """
        relevance = np.array(relevance, dtype=np.float64)
        if relevance.shape != (len(truth.roles),):
            raise ValueError(f"{self.name}: expected {len(truth.roles)} relevances, got shape {relevance.shape}")
        if not np.isfinite(relevance).all():
            raise ValueError(f"{self.name}: expected finite relevances")
        return self.function(relevance, _copy(truth))

    def chance_of(self, truth: GroundTruth) -> float | None:
        """The expected score of a random ranking, or None; ``chance`` gets a copy of the truth."""
        return self.chance(_copy(truth))


def _copy(truth: GroundTruth) -> GroundTruth:
    return truth if truth.relevance is None else replace(truth, relevance=truth.relevance.copy())
