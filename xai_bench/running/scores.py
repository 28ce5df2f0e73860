"""Scores of relevances by metrics whose code may be anybody's: guarded, and a failure is a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from numpy.typing import NDArray

from xai_bench import registry
from xai_bench.datasets.base import GroundTruth
from xai_bench.errors import FAILURES, reason_of
from xai_bench.metrics.base import Metric
from xai_bench.results.records import Measurement
from xai_bench.running.state import guarded
from xai_bench.scoring import recovery
from xai_bench.workers import Spent


def _guard(metric: Metric) -> contextlib.AbstractContextManager[None]:
    return guarded() if registry.is_foreign("metrics", metric.name) else contextlib.nullcontext()


def of_relevance(
    relevance: NDArray, truth: GroundTruth, metrics: Iterable[Metric], constant: Sequence[int]
) -> tuple[Measurement, ...]:
    """The scores of a relevance (d,) in the order of ``truth``; see ``scoring.recovery.scores``."""
    return _of_each(metrics, lambda metric: recovery.scores(relevance, truth, [metric], constant))


def of_random(truth: GroundTruth, draw_key: str, rankings: int, metrics: Iterable[Metric]) -> tuple[Measurement, ...]:
    """The scores of random rankings; see ``scoring.recovery.of_random``."""
    return _of_each(metrics, lambda metric: recovery.of_random(truth, draw_key, rankings, [metric]))


def _of_each(metrics: Iterable[Metric], score: Callable[[Metric], tuple[Measurement, ...]]) -> tuple[Measurement, ...]:
    """What every metric says; of one that fails the reason."""
    found: list[Measurement] = []
    for metric in metrics:
        try:
            with _guard(metric):
                scored = score(metric)
        except Spent:
            raise
        except FAILURES as error:
            scored = (Measurement(metric.name, None, reason=reason_of(error)),)
        found += scored
    return tuple(found)


def chances(truth: GroundTruth, metrics: Iterable[Metric]) -> dict[str, float | None]:
    """Metric to the expected score of a random ranking; None where it is not defined, or its function fails."""
    found: dict[str, float | None] = {}
    for metric in metrics:
        try:
            with _guard(metric):
                value = metric.chance_of(truth)
                found[metric.name] = None if value is None else float(value)
        except Spent:
            raise
        except FAILURES:
            found[metric.name] = None
    return found
