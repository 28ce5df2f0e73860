"""One training seen at several moments: what a shorter one would have given, at the cost of the longest.

At a constant learning rate the weights after s steps are those of a training of s steps, bit by bit. With ``cosine``
they are a moment of the one training, no training of their own.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xai_bench.datasets.base import Dataset
from xai_bench.models.engine import Engine
from xai_bench.models.losses import Tensors
from xai_bench.models.mlp import MLPFamily
from xai_bench.models.stacked import advance, initial_networks, one_thread
from xai_bench.models.streams import Streams, Task, batch_rows


@dataclass(frozen=True)
class Snapshot:
    """One network after ``steps`` steps, its validation loss, and its share of the CPU seconds of training so far."""

    steps: int
    valid_loss: float
    cpu: float
    _engine: Engine
    _slot: int
    _values: Tensor

    def network(self) -> nn.Module:
        """In eval mode, without gradients of its parameters."""
        engine = self._engine
        width = engine.layers[0].n_in
        module = engine.architecture.build((width,), engine.data.n_outputs, torch.Generator())
        with torch.inference_mode():
            engine.best[self._slot] = self._values
        engine.store(self._slot, module)
        return module.eval().requires_grad_(False)


def snapshots(
    architecture: MLPFamily, data: Dataset, seeds: Sequence[int], at: Collection[int]
) -> Iterator[list[Snapshot]]:
    """Train one network a seed, on all inputs, as ``fit_many`` does in float32 on the CPU.

    Parameters
    ----------
    architecture : ``schedule`` is what counts; the training ends at the last step of ``at``, which takes the place of
        ``epochs``, ``min_steps`` and ``checkpoints``
    data : standardised as wished
    at : numbers of steps done, from 1

    Yields
    ------
    The networks after each number of steps, in the order of ``seeds``. Seconds are those of the training alone.
    """
    tensors, columns = Tensors(data, torch.float32, torch.device("cpu")), tuple(range(data.d))
    n, rows = len(data.X_train), batch_rows(architecture, len(data.X_train))
    streams = [Streams(Task(seed, columns), n, rows) for seed in seeds]
    start = time.process_time()
    with one_thread(tensors.device), torch.inference_mode():
        modules = initial_networks(architecture, tensors, [columns] * len(seeds), streams)
        engine = Engine(architecture, tensors, [columns] * len(seeds), streams, data.d, rows)
        for slot, module in enumerate(modules):
            engine.load(slot, module)
    moments = advance(engine, architecture, streams, set(at), max(at), tensors.device)
    cpu = time.process_time() - start
    while True:
        start = time.process_time()
        with one_thread(tensors.device), torch.inference_mode():
            step = next(moments, None)
        cpu += time.process_time() - start
        if step is None:
            return
        with one_thread(tensors.device), torch.inference_mode():
            values, losses = engine.values.clone(), engine.losses()
        share = cpu / len(seeds)
        yield [Snapshot(step, loss, share, engine, slot, values[slot]) for slot, loss in enumerate(losses)]
