"""What a worker computes: one block of cells, or the retention of one draw. No store, no shared disk."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from xai_bench import registry
from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.datasets.inputs import several_columns
from xai_bench.errors import FAILURES, reason_of
from xai_bench.explainers.base import Explainer, Explanation, Problem
from xai_bench.metrics.recovery import oracle_relevance
from xai_bench.models.base import FittedModel
from xai_bench.models.source import ModelSource
from xai_bench.models.streams import Task, initial
from xai_bench.results import gate
from xai_bench.results.records import CellResult, Costs, DrawRecord, Measurement, ModelFacts, ModelRecord, Tested
from xai_bench.running import scores, tuning
from xai_bench.running.describe import constant, load_checked, recorded
from xai_bench.running.process import (
    WARM_UP,
    memory_limit,
    out_of_memory,
    peak_memory,
    reset_peak_memory,
    warm_up,
    warm_up_training,
    warmed_as,
)
from xai_bench.running.state import guarded
from xai_bench.scoring import recovery
from xai_bench.suites.plan import Block, Cell, Draw
from xai_bench.workers import Spent, Started

LOADING = Started("", allowance=60.0)
"""Loading the data of a draw begins: it has the limit of a cell, and a minute."""
TRAINING = Started("", other=True)
"""Training begins."""


@dataclass(frozen=True)
class Prepared:
    """What a block's cells share. ``draw`` is None in a null run, ``model`` if it was not trained here.

    ``content_hash``: of the data that this process has.
    """

    draw: DrawRecord | None
    model: ModelRecord | None
    notices: tuple[str, ...]
    content_hash: str = ""


def run_block(
    block: Block, weights: bytes | None = None, content_hash: str | None = None, cold: Collection[str] = ()
) -> Iterator[Prepared | Started | CellResult]:
    """Load, fit (unless ``weights`` are given: then the block's model is the one that was chosen), explain and score.

    Yields what the cells share once it is there, ``Started`` when loading, training or an explainer begins, and every
    cell's result when it is finished. A failure is a result. ``content_hash``: what the data must be, if that is known.
    ``cold``: classes of explainers that are not warmed up (see ``process.warmed_as``).

    Raises
    ------
    Spent
        If this process cannot go on; the cells without a result are to be computed in another one.
    """
    try:
        if block.model is None or block.model.component.trains:
            warm_up_training(block.device)
        yield LOADING
        data = load_checked(block.draw, content_hash)
        record = None
        if block.draw.permutation is None:
            record = recorded(block.draw, tuple(recovery.identities().items()))
        yield TRAINING
        with guarded():
            data = for_model(block, data)
            reason = None if block.model is None else block.model.component.unsupported(data)
            model, trained = (None, None) if reason else _model(block, data, weights)
    except FAILURES as error:
        failure = reason_of(error)
        yield from (CellResult(cell.key, "failed", failure) for cell in block.cells)
        if isinstance(error, Spent):
            raise
        return
    notices = tuple(gate.text(notice) for notice in data.notices)
    yield Prepared(record, trained, notices, data.content_hash)
    if reason:
        yield from (gate.cell(CellResult(cell.key, "unsupported", reason)) for cell in block.cells)
        return
    for cell in block.cells:
        try:
            if cell.explainer is None:
                yield gate.cell(_control(cell, block, data))
                continue
            if warmed_as(cell.explainer) not in cold:
                yield Started(cell.key, WARM_UP)
                warm_up(cell.explainer, block.device)
            yield Started(cell.key)
            with guarded():
                result = _explain(cell, block, data, model)
            yield gate.cell(_scored(result, block, data))
        except Spent as lost:
            yield CellResult(cell.key, "failed", str(lost))
            raise
        except FAILURES as error:
            yield CellResult(cell.key, "failed", reason_of(error))


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
        inputs=data.inputs,
        memory=memory,
    )


def _model(block: Block, data: Dataset, weights: bytes | None) -> tuple[torch.nn.Module | None, ModelRecord | None]:
    if block.model is None:
        return None, None
    source: ModelSource = block.model.component
    if weights is not None:
        return from_weights(source, data, weights, block.device, block.model_seed), None
    if block.model.candidates:
        fitted, chosen = tuning.fit_best(block.model, data, block.model_seed, block.device)
    else:
        fitted, chosen = source.fit(data, block.model_seed, device=block.device), None
    ceiling = block.draw.dataset.component.best_score(np.ones(data.d, dtype=bool), data.canonical_truth)
    # Copies: layers may share their weights.
    state = {name: value.cpu().contiguous().clone() for name, value in fitted.module.state_dict().items()}
    facts = gate.facts(replace(_facts(fitted, ceiling), model_chosen=chosen))
    return fitted.module, ModelRecord(block.model_key, facts, safetensors.torch.save(state))


def _facts(fitted: FittedModel, ceiling: float | None) -> ModelFacts:
    names = FittedModel.__annotations__.keys() - {"module", "unscored"}
    reached = {name: getattr(fitted, name) for name in FittedModel.__annotations__ if name in names}
    parameters = sum(p.numel() for p in fitted.module.parameters())
    reasons = {name: fitted.unscored for name, value in reached.items() if name.endswith("_score") and value is None}
    return ModelFacts.from_json({**reached, "ceiling": ceiling, "parameters": parameters, "reasons": reasons})


def for_model(block: Block, data: Dataset) -> Dataset:
    """The data of a block as its network gets them: a given network knows the columns in their own order."""
    given = block.model is not None and not block.model.component.trains
    return data.in_canonical_order() if given else data


def from_weights(source: ModelSource, data: Dataset, weights: bytes, device: str, seed: int) -> torch.nn.Module:
    """The stored network, in eval mode, on ``device``; ``seed`` is the one it was trained with.

    It is built from the same generator again: what ``build`` drew, but did not register, is not among the weights.
    """
    init = initial(Task(seed, tuple(range(data.d))))
    module = source.network(data.shape, data.n_outputs, init, data.kind)
    module.to(torch.float32).load_state_dict(safetensors.torch.load(weights))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    module.to(device).eval()
    moved = not source.trains and (data.permutation != np.arange(data.d)).any()
    return InCanonicalOrder(module, data.permutation) if moved else module


class InCanonicalOrder(torch.nn.Module):
    """A network that knows the columns in canonical order, for rows with the columns of a draw.

    ``permutation`` (d,): see ``Dataset``.
    """

    def __init__(self, network: torch.nn.Module, permutation: NDArray) -> None:
        super().__init__()
        self.network, self.order = network, np.argsort(permutation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d) to what the network says of them."""
        return self.network(x[..., torch.from_numpy(self.order).to(x.device)])


def _asked(problem: Problem) -> Problem:
    """What somebody's ``unsupported`` may see: copies, since it is asked before ``explain`` makes its own."""
    rows = {name: getattr(problem, name).clone() for name in ("X_train", "y_train", "X_valid", "y_valid")}
    return replace(problem, model=copy.deepcopy(problem.model), **rows)


def _explain(cell: Cell, block: Block, data: Dataset, model: torch.nn.Module | None) -> CellResult:
    """A cell's relevance and costs, not scored yet."""
    memory = block.memory if block.device == "cpu" else None
    try:
        assert cell.explainer is not None
        explainer: Explainer = cell.explainer
        if cell.candidates:
            explainer = tuning.Tuned.of(cell.explainer, cell.candidates)
        problem = problem_of(data, model, block.device, block.memory)
        foreign = registry.is_foreign("explainers", cell.explainer.name)
        with guarded():
            reason = explainer.unsupported(_asked(problem) if foreign else problem)
        if reason is not None:
            return CellResult(cell.key, "unsupported", reason)
        start = reset_peak_memory(block.device)
        with warnings.catch_warnings(), memory_limit(memory):
            # captum and shap announce hooks that they take away again.
            warnings.simplefilter("ignore", UserWarning)
            # The stream depends on the cell only: companions change nothing.
            found = explainer.explain(problem, seed=stream_seed("explainer", cell.key))
        peak = peak_memory(block.device)
    except Spent:
        raise
    except FAILURES as error:
        over = f"over the limit of {memory / 2**30:.3g} GiB: " if memory and out_of_memory(error) else ""
        return CellResult(cell.key, "failed", over + reason_of(error))
    relevance = data.canonical_over_inputs(found.over_inputs)
    costs = {name: getattr(found, name) for name in Costs.__annotations__ if hasattr(found, name)}
    grown = None if start is None or peak is None else max(peak - start, 0)
    return CellResult(
        cell.key,
        "done",
        costs=Costs(**costs, peak_memory=grown),
        relevance=relevance,
        columns=data.canonical(found.relevance) if several_columns(data.inputs) else None,
        chosen=explainer.chosen if isinstance(explainer, tuning.Tuned) else None,
        tested=_tested(explainer, found, data),
    )


def _tested(explainer: Explainer, found: Explanation, data: Dataset) -> Tested | None:
    if found.p_values is None or explainer.promise is None:
        return None
    promise = explainer.promise
    return Tested(promise.null, promise.controls, tuple(data.canonical_over_inputs(found.p_values).tolist()))


def _scored(result: CellResult, block: Block, data: Dataset) -> CellResult:
    if result.relevance is None or block.draw.permutation is not None:
        return result
    return replace(result, measurements=_recovery(result.relevance, data))


def _recovery(relevance: NDArray, data: Dataset) -> tuple[Measurement, ...]:
    """Scores of a relevance of the inputs, in canonical order."""
    truth = data.truth_over_inputs
    return scores.of_relevance(relevance, truth, recovery.metrics(), constant(data)) if truth else ()


def _control(cell: Cell, block: Block, data: Dataset) -> CellResult:
    """The controls: the truth itself, and the mean over random rankings with its standard error."""
    truth = data.truth_over_inputs
    if cell.label == "oracle":
        if truth is None:
            return CellResult(cell.key, "unsupported", "the truth of this dataset is not known")
        relevance = oracle_relevance(truth).astype(np.float64)
        return CellResult(cell.key, "done", relevance=relevance, measurements=_recovery(relevance, data))
    if truth is None:
        return CellResult(cell.key, "done")
    found = _of_random(block.draw, block.rankings, tuple(recovery.identities().items()))
    return CellResult(cell.key, "done", measurements=found)


@functools.lru_cache(maxsize=2)
def _of_random(draw: Draw, rankings: int, metrics: tuple[tuple[str, str], ...]) -> tuple[Measurement, ...]:
    """The scores of random rankings of a draw, once for all its blocks; ``metrics``: identities of those there are."""
    truth = load_checked(draw, None).truth_over_inputs
    return () if truth is None else scores.of_random(truth, draw.key, rankings, recovery.metrics())
