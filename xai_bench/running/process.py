"""What is done to the process around an explanation: its settings, warming up, and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from xai_bench import places, registry
from xai_bench.datasets.base import Dataset
from xai_bench.errors import FAILURES
from xai_bench.explainers.base import Explainer, Problem
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.running.state import guarded, standardise
from xai_bench.workers import Spent

WARM_UP = 60.0
"""Seconds more than the limit that imports and compilations may take once a process: they are not the method's."""
_warm: set[tuple[str, str]] = set()


def set_up_worker(
    plugins: Sequence[registry.Plugin],
    codes: Mapping[registry.Named, str | None],
    metrics: bytes,
    files: Mapping[str, str] | None = None,
) -> None:
    """The state in which everything is computed; the plugins' components, the hashes that the parent made, and the
    metrics of its script. ``files``: see ``places.take_carried``."""
    standardise()
    places.take_carried(files or {})
    registry.take_codes(codes)
    for plugin in plugins:
        with guarded():
            registry.activate(plugin)
            path = list(sys.path)
        sys.path[:] = path  # It may import from there later.
    with guarded():
        registry.take(metrics)


def warm_up_training(device: str) -> None:
    """Once a process, train a tiny network, untimed: starting a device or compiling is not the first network's cost."""
    if ("", device) in _warm:
        return
    _warm.add(("", device))
    X, y = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32), np.arange(64) % 2
    tiny = Dataset(X, X, X, y, y, y, "classification", 2, ("a", "b", "c", "d"), np.arange(4))
    fit_many(SpectralMLP(hidden=(4,), epochs=1, min_steps=6, checkpoints=1), tiny, [0], chunk=1, device=device)


def warmed_as(explainer: Explainer) -> str:
    """The class of an explainer: what is warmed up once a process."""
    return f"{type(explainer).__module__}.{type(explainer).__qualname__}"


def warm_up(explainer: Explainer, device: str = "cpu") -> None:
    """Once a process, explain a tiny network, untimed: imports and compilations are not the method's cost."""
    identity = warmed_as(explainer), device
    if identity in _warm:
        return
    _warm.add(identity)
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(40, 4, generator=generator).to(device)
    architecture: MLP | SpectralMLP
    architecture = SpectralMLP(hidden=(4,)) if explainer.needs == "spectral" else MLP(hidden=(4,))
    model = architecture.network((4,), 2, generator).to(device).eval()
    problem = Problem(model, X, (X[:, 0] > 0).long(), X, (X[:, 0] > 0).long(), "classification", 2)
    try:
        with guarded(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if explainer.unsupported(problem) is None:
                explainer.explain(problem)
    except Spent:
        raise
    except FAILURES:  # The real call will say what is wrong.
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

    Whoever asks for more gets a MemoryError, or what a library makes of it. Not seen: memory that is shared with other
    processes, files that are mapped into memory, and what processes of its own take.
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
