"""What a worker computes: one block of cells, or the retention of one draw. No store, no shared disk."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from xai_bench import registry, retention, sanity, scoring, tuning
from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.errors import reason_of
from xai_bench.explainers.base import Explainer, Problem
from xai_bench.metrics.recovery import oracle_relevance, spearman_ceiling
from xai_bench.models.base import Architecture, FittedModel
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.plan import Block, Cell, Draw
from xai_bench.store import CellResult, Costs, DrawRecord, Measurement, ModelRecord
from xai_bench.suite import Retention
from xai_bench.workers import Started

WARM_UP = 60.0
"""Seconds more than the limit that imports and compilations may take once a process: they are not the method's."""
FEW_INPUTS = 40
"""Inputs whose histograms are kept."""
HISTOGRAM_BINS = 40

_warm: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Prepared:
    """What a block's cells share. ``draw`` is None in a null run, ``model`` if it was not trained here."""

    draw: DrawRecord | None
    model: ModelRecord | None
    notices: tuple[str, ...]


def set_up_worker(plugins: Sequence[registry.Plugin]) -> None:
    """One thread and no denormal numbers, which would make times incomparable; the plugins' components."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for plugin in plugins:
        registry.activate(plugin)


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
    truth = data.canonical_truth
    return {
        "dataset": source.name,
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
        "ceiling": source.ceiling(everything),
        "floor_mae": source.error_floor(),
        "views": views(data),
        **(scoring.truth_to_json(truth) if truth else {"roles": None, "graded": None, "resolution": None}),
        "n_relevant": truth.n_relevant if truth else None,
        "chance": {m.name: m.chance(truth) for m in scoring.metrics()} if truth else {},
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
    ceiling = block.draw.dataset.component.ceiling(np.ones(data.d, dtype=bool))
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
    return scoring.recovery(relevance, truth, scoring.metrics(), constant(data)) if truth else ()


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
    scores = scoring.random(truth, block.draw.key, block.rankings, scoring.metrics())
    return CellResult(cell.key, "done", measurements=scores)


def warm_up_training(device: str) -> None:
    """Once a process, train a tiny network on a CUDA device, untimed: starting it is not the first network's cost."""
    if device == "cpu" or ("", device) in _warm:
        return
    _warm.add(("", device))
    X, y = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32), np.arange(64) % 2
    tiny = Dataset(X, X, X, y, y, y, "classification", 2, ("a", "b", "c", "d"), np.arange(4))
    fit_many(SpectralMLP(hidden=(4,), epochs=1, min_steps=2, checkpoints=1), tiny, [0], chunk=1, device=device)


def warm_up(explainer: Explainer, device: str = "cpu") -> None:
    """Once a process, explain a tiny network, untimed: imports and compilations are not the method's cost."""
    identity = f"{type(explainer).__module__}.{type(explainer).__qualname__}", device
    if identity in _warm:
        return
    _warm.add(identity)
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(40, 4, generator=generator).to(device)
    architecture: MLP | SpectralMLP
    architecture = SpectralMLP(hidden=(4,)) if explainer.needs == "spectral" else MLP(hidden=(4,))
    model = architecture.build(4, 2, generator).to(device).eval()
    problem = Problem(model, X, (X[:, 0] > 0).long(), X, (X[:, 0] > 0).long(), "classification", 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if explainer.unsupported(problem) is None:
                explainer.explain(problem)
    except Exception:  # The real call will say what is wrong.
        return


def reset_peak_memory(device: str = "cpu") -> int | None:
    """Set this process's high-water mark to what it holds now; returns that, in bytes (Linux; else None).

    Memory that is free but kept by the allocator is handed back first: a method must not look frugal because
    the one before it was not. On a CUDA device it is this process's tensors on the device that count, not its
    resident memory.
    """
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return peak_memory()


def peak_memory(device: str = "cpu") -> int | None:
    """The high-water mark of this process's resident memory, or of its tensors on a CUDA device, bytes."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device)
    return _memory("VmHWM")


def _memory(field: str) -> int | None:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None


def limits_memory() -> bool:
    """Whether ``memory_limit`` can refuse memory on this system."""
    return sys.platform.startswith("linux") and _memory("VmData") is not None


@contextlib.contextmanager
def memory_limit(memory: int | None) -> Iterator[None]:
    """Inside, this process gets at most ``memory`` bytes above what it holds (Linux; elsewhere nothing is refused).

    Whoever asks for more gets a MemoryError, or what a library makes of it.
    """
    held = _memory("VmData")
    if memory is None or held is None or not limits_memory():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + memory
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if soft < 0 else min(wanted, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def out_of_memory(error: BaseException) -> bool:
    """Whether numpy, torch or another library was refused memory."""
    words = ("can't allocate memory", "bad_alloc", "Cannot allocate memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


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
