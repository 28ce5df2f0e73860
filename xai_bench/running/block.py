"""What a worker computes: one block of cells, or the retention of one draw. No store, no shared disk."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.errors import reason_of
from xai_bench.explainers.base import Explainer, Problem
from xai_bench.metrics.recovery import oracle_relevance
from xai_bench.models.base import Architecture, FittedModel
from xai_bench.models.training import fit_many
from xai_bench.results.records import CellResult, Costs, DrawRecord, Measurement, ModelRecord
from xai_bench.running import tuning
from xai_bench.running.describe import constant, describe, load
from xai_bench.running.process import (
    WARM_UP,
    memory_limit,
    out_of_memory,
    peak_memory,
    reset_peak_memory,
    warm_up,
    warm_up_training,
)
from xai_bench.scoring import recovery, retention, sanity
from xai_bench.suites.plan import Block, Cell, Draw
from xai_bench.suites.suite import Retention
from xai_bench.workers import Started


@dataclass(frozen=True)
class Prepared:
    """What a block's cells share. ``draw`` is None in a null run, ``model`` if it was not trained here."""

    draw: DrawRecord | None
    model: ModelRecord | None
    notices: tuple[str, ...]


def run_block(block: Block, weights: bytes | None = None) -> Iterator[Prepared | Started | CellResult]:
    """Load, fit (unless ``weights`` are given: then the block's model is the one that was chosen), explain and score.

    Yields what the cells share once it is there, ``Started`` when an explainer begins, and every cell's result when
    it is finished. Never raises: a failure is a result.
    """
    try:
        warm_up_training(block.device)
        data = load(block.draw)
        record = None
        if block.draw.permutation is None:
            record = DrawRecord(block.draw.key, describe(data, block.draw))
        model, trained = _model(block, data, weights)
    except Exception as error:
        reason = reason_of(error)
        yield from (CellResult(cell.key, "failed", reason) for cell in block.cells)
        return
    yield Prepared(record, trained, data.notices)
    for cell in block.cells:
        if cell.explainer is None:
            yield _control(cell, block, data)
            continue
        yield Started(cell.key, WARM_UP)
        warm_up(cell.explainer, block.device)
        yield Started(cell.key)
        explainer = tuning.Tuned.of(cell.explainer, cell.candidates) if cell.candidates else cell.explainer
        yield _explain(cell, explainer, problem_of(data, model, block.device, block.memory), data, block)


def problem_of(data: Dataset, model: torch.nn.Module | None, device: str = "cpu", memory: int | None = None) -> Problem:
    """What an explainer may see of a dataset, on ``device``: copies, so that what it overwrites is its own."""
    return Problem(
        model=model,
        X_train=torch.tensor(data.X_train, device=device),
        y_train=torch.tensor(data.y_train, device=device),
        X_valid=torch.tensor(data.X_valid, device=device),
        y_valid=torch.tensor(data.y_valid, device=device),
        kind=data.kind,
        n_outputs=data.n_outputs,
        feature_shape=data.feature_shape,
        memory=memory,
    )


def _model(block: Block, data: Dataset, weights: bytes | None) -> tuple[torch.nn.Module | None, ModelRecord | None]:
    if block.model is None:
        return None, None
    architecture: Architecture = block.model.component
    if weights is not None:
        return from_weights(architecture, data, weights, block.device), None
    if block.model.candidates:
        fitted, chosen = tuning.fit_best(block.model, data, block.model_seed, block.device)
    else:
        (fitted,), chosen = fit_many(architecture, data, [block.model_seed], chunk=1, device=block.device), None
    ceiling = block.draw.dataset.component.ceiling(np.ones(data.d, dtype=bool), data.canonical_truth)
    state = {name: value.cpu().contiguous() for name, value in fitted.module.state_dict().items()}
    facts = _facts(fitted, ceiling) | ({} if chosen is None else {"model_chosen": chosen})
    return fitted.module, ModelRecord(block.model_key, facts, safetensors.torch.save(state))


def _facts(fitted: FittedModel, ceiling: float | None) -> dict[str, Any]:
    facts = {name: getattr(fitted, name) for name in FittedModel.__annotations__ if name != "module"}
    return {**facts, "ceiling": ceiling, "parameters": sum(p.numel() for p in fitted.module.parameters())}


def from_weights(architecture: Architecture, data: Dataset, weights: bytes, device: str = "cpu") -> torch.nn.Module:
    """The stored network, in eval mode, on ``device``."""
    module = architecture.build(data.d, data.n_outputs, torch.Generator().manual_seed(0))
    module.load_state_dict(safetensors.torch.load(weights))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module.to(device).eval()


def _explain(cell: Cell, explainer: Explainer, problem: Problem, data: Dataset, block: Block) -> CellResult:
    memory = block.memory if block.device == "cpu" else None
    try:
        reason = explainer.unsupported(problem)
        if reason is not None:
            return CellResult(cell.key, "unsupported", reason)
        start = reset_peak_memory(block.device)
        with warnings.catch_warnings(), memory_limit(memory):
            # captum and shap announce hooks that they take away again.
            warnings.simplefilter("ignore", UserWarning)
            # The stream depends on the cell only: companions change nothing.
            found = explainer.explain(problem, seed=stream_seed("explainer", cell.key))
        peak = peak_memory(block.device)
    except Exception as error:
        over = f"over the limit of {memory / 2**30:.3g} GiB: " if memory and out_of_memory(error) else ""
        return CellResult(cell.key, "failed", over + reason_of(error))
    relevance = data.canonical(found.relevance)
    costs = {name: getattr(found, name) for name in Costs.__annotations__ if name != "peak_memory"}
    grown = None if start is None or peak is None else max(peak - start, 0)
    return CellResult(
        cell.key,
        "done",
        costs=Costs(**costs, peak_memory=grown),
        relevance=relevance,
        measurements=() if block.draw.permutation is not None else _recovery(relevance, data),
        chosen=explainer.chosen if isinstance(explainer, tuning.Tuned) else None,
    )


def _recovery(relevance: NDArray, data: Dataset) -> tuple[Measurement, ...]:
    """Scores of a relevance in canonical order."""
    truth = data.canonical_truth
    return recovery.scores(relevance, truth, recovery.metrics(), constant(data)) if truth else ()


def _control(cell: Cell, block: Block, data: Dataset) -> CellResult:
    """The controls: the truth itself, and the mean over random rankings with its standard error."""
    truth = data.canonical_truth
    if cell.label == "oracle":
        if truth is None:
            return CellResult(cell.key, "unsupported", "the truth of this dataset is not known")
        relevance = oracle_relevance(truth).astype(np.float64)
        return CellResult(cell.key, "done", relevance=relevance, measurements=_recovery(relevance, data))
    if truth is None:
        return CellResult(cell.key, "done")
    scores = recovery.of_random(truth, block.draw.key, block.rankings, recovery.metrics())
    return CellResult(cell.key, "done", measurements=scores)


@dataclass(frozen=True)
class RetentionTask:
    """The rankings of one draw that are to be judged, and the networks they are masked on.

    ``models``: key to (architecture, weights). ``known``: masks that the judge has scored before. ``device``: where
    judges are trained and masks are scored.
    """

    key: str
    judge: str
    draw: Draw
    settings: Retention
    ranked: tuple[retention.Ranked, ...]
    models: Mapping[str, tuple[Architecture, bytes]]
    known: Mapping[str, tuple[float, float]]
    device: str = "cpu"


def run_retention(task: RetentionTask) -> Iterator[retention.Judged]:
    """Judge every ranking of one draw; yields one thing."""
    data = load(task.draw)
    models = {key: from_weights(architecture, data, w, task.device) for key, (architecture, w) in task.models.items()}
    yield retention.judge(data, task.draw, task.settings, task.ranked, models, task.known, task.device)


SanityFound = dict[str, tuple[Measurement, ...] | str]


@dataclass(frozen=True)
class SanityTask:
    """The relevances of one network that are to be followed while its layers are initialised anew.

    ``block`` holds the cells in question; ``relevances``: cell key to (d,) relevances in canonical order.
    """

    block: Block
    weights: bytes
    relevances: Mapping[str, NDArray]


def run_sanity(task: SanityTask) -> Iterator[SanityFound]:
    """Cell key to its measurements, or to the reason why there are none; yields one thing."""
    assert task.block.model is not None
    architecture: Architecture = task.block.model.component
    data = load(task.block.draw)
    device = task.block.device
    model = from_weights(architecture, data, task.weights, device)
    found: SanityFound = {}
    for cell in task.block.cells:
        assert cell.explainer is not None
        original, seed = data.shuffled(task.relevances[cell.key]), stream_seed("explainer", cell.key)
        problem = problem_of(data, model, device, task.block.memory)
        try:
            found[cell.key] = sanity.curves(cell.explainer, architecture, problem, original, task.block.model_key, seed)
        except Exception as error:
            found[cell.key] = reason_of(error)
    yield found
