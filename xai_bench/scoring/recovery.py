"""Recovery scores of relevances and of the controls: what a cell's measurements are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xai_bench import registry
from xai_bench.component import canonical_json, sha256, stream_seed
from xai_bench.datasets.base import GroundTruth
from xai_bench.metrics.base import Metric
from xai_bench.metrics.recovery import random_scores
from xai_bench.results.records import Measurement, MetricFacts, WindowFacts

VERSION = 2
"""Raise it when the same metrics give other numbers here: what of a relevance they see, how rankings are drawn."""


def metrics() -> list[Metric]:
    """All known metrics, by name."""
    return [registry.get("metrics", name) for name in registry.names("metrics")]


def identities() -> dict[str, str]:
    """Name of every known metric to a hash of all that its numbers depend on."""
    return {metric.name: sha256(canonical_json([VERSION, metric.identity()]))[:16] for metric in metrics()}


def scores(
    relevance: NDArray, truth: GroundTruth, chosen: Iterable[Metric], constant: Sequence[int] = ()
) -> tuple[Measurement, ...]:
    """The scores of a relevance (d,) in the column order of ``truth``; without those that are not defined.

    ``constant``: inputs that the harness set to 0.
    """
    sparse = has_support(relevance, constant)
    scores = ((metric.name, metric(relevance, truth)) for metric in chosen if sparse or metric.reads != "support")
    return tuple(Measurement(name, value) for name, value in scores if value is not None)


def has_support(relevance: NDArray, constant: Sequence[int] = ()) -> bool:
    """Whether a relevance (d,) says which inputs count: it has exact zeros beside the ``constant`` inputs."""
    zero = np.asarray(relevance) == 0
    zero[list(constant)] = False
    return bool(zero.any())


def of_random(truth: GroundTruth, draw_key: str, rankings: int, chosen: Iterable[Metric]) -> tuple[Measurement, ...]:
    """Mean over random rankings, and its standard error as ``METRIC_se``: the same for every model of a draw.

    A ranking has neither sizes nor zeros: metrics that read these have no value.
    """
    found = []
    for metric in chosen:
        if metric.reads != "ranks":
            continue
        rng = np.random.default_rng(stream_seed("random", draw_key, metric.name))
        scores = random_scores(metric, truth, rankings, rng)
        if scores is None:
            continue
        with np.errstate(invalid="ignore"):  # a score that is not finite
            error = float(scores.std(ddof=1) / math.sqrt(len(scores)))
        found.append(Measurement(metric.name, float(scores.mean())))
        found.append(Measurement(f"{metric.name}_se", error))
    return tuple(found)


def facts_of(truth: GroundTruth) -> dict[str, Any]:
    """The fields of ``DrawFacts`` that hold a truth over inputs, in canonical order."""
    return {
        "roles": tuple(truth.roles),
        "graded": None if truth.relevance is None else tuple(truth.relevance.tolist()),
        "groups": tuple(map(tuple, truth.groups)),
        "blocks": tuple(map(tuple, truth.blocks)),
        "resolution": truth.resolution,
        "windows": tuple(WindowFacts(w.name, w.kind, w.role, tuple(w.columns)) for w in truth.windows),
    }


def declared() -> list[MetricFacts]:
    """What every known metric declares, as the store keeps it."""
    return [declaration(metric) for metric in metrics()]


def declaration(metric: Metric) -> MetricFacts:
    """What a metric declares of itself; a bound that is not finite is None."""
    declares = {one.name: getattr(metric, one.name) for one in fields(MetricFacts) if hasattr(metric, one.name)}
    bounds = {end: value if math.isfinite(value := declares[end]) else None for end in ("lower", "upper")}
    return MetricFacts(**{**declares, **bounds})
