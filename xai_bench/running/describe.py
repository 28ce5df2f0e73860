"""The data of a draw, and what the store keeps of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xai_bench.component import canonical_json, stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.datasets.inputs import several_columns
from xai_bench.errors import InputError
from xai_bench.metrics.recovery import spearman_ceiling
from xai_bench.results import gate
from xai_bench.results.records import DrawFacts, DrawRecord, Histograms, Picture, Views
from xai_bench.running import scores
from xai_bench.running.state import guarded
from xai_bench.scoring import recovery
from xai_bench.suites.plan import Draw

FEW_INPUTS = 40
"""Inputs whose histograms are kept."""
HISTOGRAM_BINS = 40


@functools.lru_cache(maxsize=2)
def load(draw: Draw) -> Dataset:
    """A draw's dataset, its targets permuted in a null run, standardised if the suite says so."""
    with guarded():
        data: Dataset = draw.dataset.component.load(draw.data_seed, draw.fold)
        if draw.files is not None and canonical_json(draw.dataset.component.fingerprint()) != draw.files:
            raise InputError(f"{draw.dataset.label}: a file that it reads changed since the run began: run it again")
    if draw.permutation is not None:
        data = data.with_permuted_targets(np.random.default_rng(stream_seed("permutation", draw.key)))
    return data.standardised() if draw.standardise else data


def load_checked(draw: Draw, content_hash: str | None) -> Dataset:
    """A draw's dataset, which must be the one of that ``content_hash`` (None: any).

    Raises
    ------
    InputError
        If it is another one.
    """
    data = load(draw)
    if content_hash is not None and data.content_hash != content_hash:
        raise InputError(other_data(draw))
    return data


def other_data(draw: Draw) -> str:
    """Why data that differ from others under the same key are not used."""
    return (
        f"{draw.dataset.label}, data seed {draw.data_seed}: other data than before under the same key: expected a draw "
        "that depends on its fields and on rng only; correct it, raise its version, or use --fresh"
    )


@functools.lru_cache(maxsize=2)
def recorded(draw: Draw, metrics: tuple[tuple[str, str], ...]) -> DrawRecord:
    """What is stored of a draw, made once for all its blocks in a process; ``metrics``: the identities of all."""
    with guarded():
        return DrawRecord(draw.key, gate.facts(describe(load(draw), draw)))


def describe(data: Dataset, draw: Draw) -> DrawFacts:
    """What the store keeps of a dataset: of its inputs, in canonical order."""
    source = draw.dataset.component
    everything = np.ones(data.d, dtype=bool)
    order = np.argsort(data.input_permutation)
    truth, family = data.truth_over_inputs, source.family_of(data)
    facts = DrawFacts(
        dataset=source.name,
        kind=data.kind,
        d=len(data.inputs),
        n_outputs=data.n_outputs,
        n_train=len(data.y_train),
        n_valid=len(data.y_valid),
        n_test=len(data.y_test),
        feature_names=tuple(data.input_names[j] for j in order),
        family=family.id,
        traits=family.traits,
        feature_units=tuple(_unit(data, data.inputs[j]) for j in order) if data.feature_units else (),
        feature_shape=_picture(data),
        class_names=tuple(data.class_names),
        target_name=data.target_name,
        target_units=data.target_units,
        target_std=data.target_std,
        constant=tuple(constant(data)),
        content_hash=data.content_hash,
        ceiling=source.best_score(everything, data.canonical_truth),
        floor_mae=source.error_floor(),
        views=views(data),
        notices=tuple(data.notices),
    )
    if several_columns(data.inputs):
        columns = tuple(data.feature_names[j] for j in np.argsort(data.permutation))
        facts = replace(facts, columns=columns, inputs=data.canonical_inputs)
    if truth is None:
        return facts
    return replace(
        facts,
        **recovery.facts_of(truth),
        n_relevant=truth.n_relevant,
        chance=scores.chances(truth, recovery.metrics()),
        metrics=recovery.identities(),
        spearman_ceiling=spearman_ceiling(truth),
    )


def _picture(data: Dataset) -> tuple[int, int] | None:
    """(rows, columns) where every pixel is an input; None where an input has several pixels, or none."""
    shape = data.feature_shape
    return shape if shape is not None and math.prod(shape) == len(data.inputs) else None


def _unit(data: Dataset, columns: Sequence[int]) -> str:
    """The unit of an input; "" where its columns have several."""
    units = {data.feature_units[column] for column in columns}
    return units.pop() if len(units) == 1 else ""


def views(data: Dataset) -> Views:
    """What a figure of the data needs: inputs in canonical order, original units, training rows only.

    ``histograms`` of every input by class (few inputs), ``pictures``: one of each class, as bytes, or the ``mean``
    row (many inputs).
    """
    several = several_columns(data.inputs)
    if _picture(data) is not None:
        if data.kind == "regression":
            return Views()
        first = [int(np.flatnonzero(data.y_train == label)[0]) for label in np.unique(data.y_train)]
        rows = data.canonical(data.X_train[first])
        if several:
            rows = np.stack([rows[:, list(columns)].mean(1) for columns in data.canonical_inputs], axis=1)
        if rows.min() < 0 or rows.max() > 1:  # not shares of black and white, as after a normalisation
            rows = (rows - rows.min()) / max(float(rows.max() - rows.min()), 1e-30)
        pixels = np.rint(255 * rows).astype(int)
        names = [data.class_names[data.y_train[i]] if data.class_names else str(data.y_train[i]) for i in first]
        return Views(pictures=tuple(Picture(n, tuple(p.tolist())) for n, p in zip(names, pixels, strict=True)))
    rows = data.canonical(data.in_original_units(data.X_train))
    if several:
        shown = (
            rows[:, columns[0]] if len(columns) == 1 else rows[:, columns].argmax(1)
            for columns in data.canonical_inputs
        )
        rows = np.stack([values.astype(np.float64) for values in shown], axis=1)
    if rows.shape[1] > FEW_INPUTS:
        return Views(mean=tuple(rows.mean(0).tolist()))
    if data.kind == "regression":
        return Views()
    edges = [np.histogram_bin_edges(column, HISTOGRAM_BINS) for column in rows.T]
    counts = [
        tuple(tuple(np.histogram(rows[data.y_train == label, j], edges[j])[0].tolist()) for j in range(rows.shape[1]))
        for label in range(data.n_outputs)
    ]
    return Views(Histograms(tuple(tuple(e.tolist()) for e in edges), tuple(counts)))


def constant(data: Dataset) -> list[int]:
    """Inputs that are constant on the training rows, whose relevance is set to 0, by their canonical numbers."""
    fixed = (data.X_train == data.X_train[0]).all(0)
    over_inputs = np.array([fixed[list(columns)].all() for columns in data.inputs])
    return np.flatnonzero(data.canonical_over_inputs(over_inputs)).tolist()
