"""The randomness and the schedule of one training: what a network becomes depends on nothing else but its data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from xai_bench.component import stream_seed
from xai_bench.models.base import Architecture
from xai_bench.models.dropout import dropout_key


@dataclass(frozen=True)
class Task:
    """One network: the seed and the inputs that it sees."""

    seed: int
    columns: tuple[int, ...]  # sorted


def initial(task: Task) -> torch.Generator:
    """What a network is built from."""
    return _generator("weights", task)


def _generator(name: str, task: Task) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(name, task.seed, task.columns))


class Streams:
    """The randomness of one network: initial weights, batch order and dropout apart."""

    def __init__(self, task: Task, n: int, rows: int) -> None:
        self._task = task
        self.init, self._order = initial(task), _generator("batches", task)
        self._n, self._rows = n, rows
        self._left = torch.empty(0, rows, dtype=torch.int64)

    def batches(self, steps: int) -> Tensor:
        """(steps, rows): the row numbers of the next batches; an incomplete last batch of an epoch is left out."""
        parts, n, rows = [], self._n, self._rows
        while steps:
            if not len(self._left):
                order = torch.randperm(n, generator=self._order)
                self._left = order[: n - n % rows].view(-1, rows)
            part, self._left = self._left[:steps], self._left[steps:]
            parts.append(part)
            steps -= len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def dropout_key(self, which: int) -> int:
        """The key of the masks of the network's dropout layer number ``which``, from 0."""
        return dropout_key(self._task.seed, self._task.columns, which)


def learning_rate(architecture: Architecture, step: int, steps: int) -> float:
    """The learning rate of a step (from 0) of so many."""
    if architecture.schedule == "constant":
        return architecture.learning_rate
    return architecture.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))


def checkpoint_steps(architecture: Architecture, n: int) -> set[int]:
    """Numbers of steps done, on ``n`` rows, at which the validation loss is looked at, the last one included."""
    steps = architecture.steps(n)
    count = min(architecture.checkpoints, steps)
    return {round(steps * (i + 1) / count) for i in range(count)}


def batch_rows(architecture: Architecture, n: int) -> int:
    """Rows of a batch: the architecture's, or all; whole vector registers where there are enough rows."""
    rows = min(architecture.batch_size, n)
    return rows - rows % 32 if rows > 32 else rows
