"""The data of a draw, and what the store keeps of them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.metrics.recovery import spearman_ceiling
from xai_bench.scoring import recovery
from xai_bench.suites.plan import Draw

FEW_INPUTS = 40
"""Inputs whose histograms are kept."""
HISTOGRAM_BINS = 40


@functools.lru_cache(maxsize=2)
def load(draw: Draw) -> Dataset:
    """A draw's dataset, its targets permuted in a null run, standardised if the suite says so."""
    data: Dataset = draw.dataset.component.load(draw.data_seed, draw.fold)
    if draw.permutation is not None:
        data = data.with_permuted_targets(np.random.default_rng(stream_seed("permutation", draw.key)))
    return data.standardised() if draw.standardise else data


def describe(data: Dataset, draw: Draw) -> dict[str, Any]:
    """What the store keeps of a dataset, in canonical column order, JSON-ready."""
    source = draw.dataset.component
    everything = np.ones(data.d, dtype=bool)
    order = np.argsort(data.permutation)
    truth, family = data.canonical_truth, source.family_of(data)
    return {
        "dataset": source.name,
        "family": family.id,
        "traits": list(family.traits),
        "kind": data.kind,
        "d": data.d,
        "n_outputs": data.n_outputs,
        "n_train": len(data.y_train),
        "n_valid": len(data.y_valid),
        "n_test": len(data.y_test),
        "feature_names": [data.feature_names[j] for j in order],
        "feature_units": [data.feature_units[j] for j in order] if data.feature_units else [],
        "feature_shape": data.feature_shape,
        "class_names": list(data.class_names),
        "target_name": data.target_name,
        "target_units": data.target_units,
        "target_std": data.target_std,
        "constant": constant(data),
        "content_hash": data.content_hash,
        "ceiling": source.ceiling(everything, truth),
        "floor_mae": source.error_floor(),
        "views": views(data),
        **(recovery.truth_to_json(truth) if truth else {"roles": None, "graded": None, "resolution": None}),
        "n_relevant": truth.n_relevant if truth else None,
        "chance": {m.name: m.chance(truth) for m in recovery.metrics()} if truth else {},
        "spearman_ceiling": spearman_ceiling(truth) if truth else None,
        "notices": list(data.notices),
    }


def views(data: Dataset) -> dict[str, Any]:
    """What a figure of the data needs, JSON-ready: canonical column order, original units, training rows only.

    ``histograms`` of every input by class (few inputs), ``pictures``: one of each class, as bytes, or the ``mean``
    row (many inputs).
    """
    if data.feature_shape is not None:
        if data.kind == "regression":
            return {}
        first = [int(np.flatnonzero(data.y_train == label)[0]) for label in np.unique(data.y_train)]
        pixels = np.rint(255 * data.canonical(data.X_train[first])).astype(int)
        names = [data.class_names[data.y_train[i]] if data.class_names else str(data.y_train[i]) for i in first]
        return {"pictures": [{"class": n, "pixels": p.tolist()} for n, p in zip(names, pixels, strict=True)]}
    rows = data.canonical(data.in_original_units(data.X_train))
    if data.d > FEW_INPUTS:
        return {"mean": rows.mean(0).tolist()}
    if data.kind == "regression":
        return {}
    edges = [np.histogram_bin_edges(column, HISTOGRAM_BINS) for column in rows.T]
    counts = [
        [np.histogram(rows[data.y_train == label, j], edges[j])[0].tolist() for j in range(data.d)]
        for label in range(data.n_outputs)
    ]
    return {"histograms": {"edges": [e.tolist() for e in edges], "counts": counts}}


def constant(data: Dataset) -> list[int]:
    """Inputs that are constant on the training rows, whose relevance is set to 0; canonical columns."""
    return np.flatnonzero(data.canonical((data.X_train == data.X_train[0]).all(0))).tolist()
