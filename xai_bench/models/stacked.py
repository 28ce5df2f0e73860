"""Training of a group of networks of the MLP family, side by side: by the engine for the device and the precision."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from xai_bench.devices import synchronise
from xai_bench.models.base import Architecture
from xai_bench.models.engine import REGISTER, Engine
from xai_bench.models.graph_engine import GraphEngine
from xai_bench.models.losses import Tensors
from xai_bench.models.mlp import MLP, MLPFamily, SpectralMLP, scale_inputs
from xai_bench.models.moments.rounds import starting_scales
from xai_bench.models.stack import padded
from xai_bench.models.streams import Streams, Task, checkpoint_steps, learning_rate
from xai_bench.models.torch_engine import TorchEngine

CHUNK = 16
"""Networks side by side at the most, on a CPU."""
DEVICE_CHUNK = 256
"""Networks side by side at the most on a CUDA device, where they fit into ``DEVICE_SHARE`` of its memory."""
DEVICE_SHARE = 0.25
PAIR = 2
"""Networks side by side at the least in torch's stack, filled up with a copy: a product alone may round otherwise."""
GATHERED_VALUES = 2**26
"""Gathered training values of a chunk at the most (256 MiB in float32)."""
STEPS_AT_ONCE = 16
"""Steps whose batch order is drawn in one go."""


class Training(Protocol):
    """m networks in training, and the best weights that each had so far."""

    def load(self, slot: int, module: nn.Sequential) -> None:
        """Copy the initial weights of a module."""

    def step(self, index: Tensor, step: int, rate: float) -> None:
        """Step number ``step``, from 0, on the rows ``index`` (m, rows), with a learning rate."""

    def look(self) -> None:
        """Keep the weights of the networks whose validation loss is lower than before."""

    def store(self, slot: int, module: nn.Sequential) -> float:
        """Copy the best weights of a network back into its module; returns their validation loss."""

    def outputs(self, slot: int, part: str) -> Tensor:
        """(n, n_outputs) of a network at its best weights, on the rows of train, valid or test."""


@dataclass(frozen=True)
class Trained:
    """One network of a group: its best weights, their outputs on every part, and its share of the cost in seconds."""

    module: nn.Module
    outputs: dict[str, Tensor]
    valid_loss: float
    cpu: float
    wall: float


def is_served(architecture: Architecture) -> bool:
    """Whether the gradients written by hand are those of this architecture: no subclass has changed what they know."""
    if not isinstance(architecture, MLP | SpectralMLP):
        return False
    kind, known = type(architecture), MLP if isinstance(architecture, MLP) else SpectralMLP
    return all(getattr(kind, name) is getattr(known, name) for name in ("build", "layers", "penalty"))


def has_compiled_engine(data: Tensors) -> bool:
    """The compiled engine computes in float32 on the CPU; everything else is torch's."""
    return data.device.type == "cpu" and data.dtype == torch.float32


def engine_for(data: Tensors) -> Callable[..., Training]:
    """The class that trains on this device in this precision; float64 is torch's, one operation after the other."""
    if has_compiled_engine(data):
        return Engine
    return GraphEngine if data.device.type == "cuda" and data.dtype == torch.float32 else TorchEngine


def values_of_a_network(architecture: MLPFamily, data: Tensors, width: int, rows: int, cut: bool) -> int:
    """Numbers that a network holds in torch's stack in training, roughly; ``cut``: it sees some columns only."""
    layers = architecture.layers(width, data.n_outputs)
    parameters = sum(layer.n_out * (layer.n_in + 4) for layer in layers)
    outputs = sum(layer.n_out for layer in layers)
    dropped = sum(layer.n_out for layer in layers if layer.dropout)
    n_train, n_valid = len(data.X_train), len(data.X_valid)
    gathered = (n_train + n_valid) * width if cut else 0
    # Values, gradient, two moments, the best; activations and their gradients; masks of 16 steps; validation rows.
    return 8 * parameters + rows * (8 * outputs + 16 * dropped + 2 * width) + 3 * n_valid * outputs + gathered


def most_at_once(architecture: MLPFamily, data: Tensors, chunk: int | None, width: int, rows: int, cut: bool) -> int:
    """Networks side by side: ``chunk``, or as many as the device is for; ``cut``: they see some columns only."""
    if data.device.type == "cuda":
        memory = DEVICE_SHARE * torch.cuda.get_device_properties(data.device).total_memory
        size = data.X_train.element_size() * values_of_a_network(architecture, data, width, rows, cut)
        return max(1, min(chunk or DEVICE_CHUNK, int(memory) // size))
    most = chunk or CHUNK
    return max(1, min(most, GATHERED_VALUES // (len(data.X_train) * padded(width, REGISTER)))) if cut else most


def fit_stacked(
    architecture: MLPFamily, data: Tensors, tasks: Sequence[Task], chunk: int | None, width: int | None, rows: int
) -> Iterator[tuple[Task, Trained]]:
    """Train every distinct network once, ``chunk`` side by side at the most; yields each group when it is there.

    Parameters
    ----------
    chunk : None for what the device is for, see ``most_at_once``
    width : columns that the inputs of each are padded to; None for the next power of two
    rows : of a batch
    """
    d = data.X_train.shape[1]
    groups: dict[int, list[Task]] = defaultdict(list)
    for task in dict.fromkeys(tasks):
        groups[width or bucket(len(task.columns), d)].append(task)
    for columns, group in groups.items():
        cut = any(len(task.columns) < d for task in group)
        size = most_at_once(architecture, data, chunk, columns, rows, cut)
        for start in range(0, len(group), size):
            part = group[start : start + size]
            slots = len(part) if has_compiled_engine(data) else max(len(part), min(size, PAIR))
            yield from zip(part, fit_group(architecture, data, part, columns, slots, rows), strict=True)


def bucket(k: int, d: int) -> int:
    """The padded number of columns: the next power of two from 4 on, or d."""
    return min(d, max(4, 1 << (k - 1).bit_length()))


def fit_group(
    architecture: MLPFamily, data: Tensors, tasks: Sequence[Task], width: int, slots: int, rows: int
) -> list[Trained]:
    """Train networks side by side, in ``slots`` at the least: what is left over is filled with copies of the first.

    ``width``: columns that all have, padding included; ``rows``: of a batch.
    """
    synchronise(data.device)
    cpu, wall = time.process_time(), time.perf_counter()
    filled = [*tasks, *[tasks[0]] * (slots - len(tasks))]
    n = len(data.X_train)
    streams = [Streams(task, n, rows) for task in filled]
    columns = [task.columns for task in filled]
    modules = initial_networks(architecture, data, columns, streams)
    looks = checkpoint_steps(architecture, n)
    with one_thread(data.device), torch.inference_mode():
        training = engine_for(data)(architecture, data, columns, streams, width, rows)
        for slot, module in enumerate(modules):
            training.load(slot, module)
        for _ in advance(training, architecture, streams, looks, architecture.steps(n), data.device):
            training.look()
        share = len(tasks)
        losses = [training.store(slot, module) for slot, module in enumerate(modules[:share])]
        synchronise(data.device)
        cpu, wall = (time.process_time() - cpu) / share, (time.perf_counter() - wall) / share
        outputs = [{part: training.outputs(slot, part) for part in ("train", "valid", "test")} for slot in range(share)]
    return [Trained(*one, cpu, wall) for one in zip(modules[:share], outputs, losses, strict=True)]


def initial_networks(
    architecture: MLPFamily, data: Tensors, columns: Sequence[tuple[int, ...]], streams: Sequence[Streams]
) -> list[nn.Sequential]:
    """Networks for some columns each, with the weights that training starts from."""
    modules = [
        architecture.build((len(chosen),), data.n_outputs, stream.init).to(data.device, data.dtype)
        for chosen, stream in zip(columns, streams, strict=True)
    ]
    if architecture.starts_from_moments():
        scales = {chosen: starting_scales(data, chosen) for chosen in dict.fromkeys(columns)}
        for module, chosen in zip(modules, columns, strict=True):
            scale_inputs(module, scales[chosen])
    return modules


def advance(
    training: Training,
    architecture: MLPFamily,
    streams: Sequence[Streams],
    stops: Collection[int],
    steps: int,
    device: torch.device,
) -> Iterator[int]:
    """Train for ``steps`` steps; yields how many are done wherever that is one of ``stops``."""
    for step in range(steps):
        at = step % STEPS_AT_ONCE
        if at == 0:
            order = on(device, torch.stack([s.batches(min(STEPS_AT_ONCE, steps - step)) for s in streams], 1))
        training.step(order[at], step, learning_rate(architecture, step, steps))
        if step + 1 in stops:
            yield step + 1


def on(device: torch.device, order: Tensor) -> Tensor:
    """Row numbers on a device; the host does not wait for what a CUDA device still has to do."""
    return order.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else order.to(device)


@contextlib.contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """One thread on a CPU: bits and costs do not depend on how many the process has, and matrices are small."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
