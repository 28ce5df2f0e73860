"""Networks whose eigenvalues start from the evidence and are pruned while they train: fifteen side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Floats
from xai_bench.models.base import Kind
from xai_bench.models.losses import loss_gradient
from xai_bench.models.mlp import SpectralMLP
from xai_bench.models.path import soft_threshold
from xai_bench.models.stack import Adam, Stack
from xai_bench.models.stacked import one_thread
from xai_bench.models.streams import Streams, Task, batch_rows

FOLDS = 5
MEMBERS = 3
"""Networks a fold, which differ by their seeds; each trains on the other folds."""
RATE = 5e-3
"""Of Adam on everything but the eigenvalues, at its height."""
RISE, FIRST, LAST = 0.3, 1 / 25, 1 / 250_000
"""One cycle: the share of the steps in which the rate rises, and where it begins and ends, relative to its height."""
EIGENVALUE_RATE = 0.05
"""Of plain gradient steps on the eigenvalues."""
THRESHOLD = 0.02
"""Strength of the L1 penalty on them, by its proximal step."""
NETWORK = SpectralMLP(
    hidden=(48, 48),
    activations=("relu",),
    batch_norm=(False,),
    dropout=(0.0,),
    l2_lambda=0.0,
    l2_phi=0.0,
    batch_size=128,
    learning_rate=RATE,
)


@dataclass(frozen=True, eq=False)
class Trained:
    """What the networks of an ensemble rely on.

    Attributes
    ----------
    relevance : (d,) the mean of |lambda_j| ||phi_:j|| over them
    held_out : (n, n_outputs) for every row the mean output of the networks that have not seen it
    """

    relevance: Floats
    held_out: Floats


def train(X: NDArray, y: NDArray, kind: Kind, n_outputs: int, start: Floats, seed: int, steps: int = 800) -> Trained:
    """Train the networks on columns X (n, d), standardised inside, whose eigenvalues start at ``start`` (d,).

    ``y``: (n,) classes from 0, or values of about unit variance. ``seed``: of folds, weights and batches.

    Raises
    ------
    ValueError
        If a weight is not finite at the end.
    """
    ensemble = Ensemble(X, y, kind, n_outputs, start, seed)
    with one_thread(torch.device("cpu")), torch.no_grad():
        for step in range(steps):
            ensemble.step(one_cycle(step, steps))
        return ensemble.result()


def one_cycle(step: int, steps: int) -> float:
    """The rate of Adam at a step (from 0) of so many: up along half a cosine, and down along another one."""
    top = RISE * steps
    low, at = (FIRST, 1 - step / top) if step < top else (LAST, (step - top) / (steps - top))
    return RATE * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * at)))


class Ensemble:
    """The networks in training, as one stack; their order is fold by fold."""

    def __init__(self, X: NDArray, y: NDArray, kind: Kind, n_outputs: int, start: Floats, seed: int) -> None:
        n, d = X.shape
        self.kind = kind
        self.X = torch.from_numpy(_standardised(X))
        self.y = torch.from_numpy(y).to(torch.int64 if kind == "classification" else torch.float32)
        order = np.random.default_rng(stream_seed("moments folds", seed)).permutation(n)
        self.fold = np.empty(n, dtype=np.int64)
        self.fold[order] = np.arange(n) % FOLDS
        self.training = [torch.from_numpy(np.flatnonzero(self.fold != k)) for k in range(FOLDS) for _ in range(MEMBERS)]
        rows = batch_rows(NETWORK, min(map(len, self.training)))
        tasks = [Task(stream_seed("moments", seed, slot), tuple(range(d))) for slot in range(FOLDS * MEMBERS)]
        self.streams = [Streams(task, len(seen), rows) for task, seen in zip(tasks, self.training, strict=True)]
        self.stack = Stack(NETWORK, len(tasks), d, n_outputs, torch.float32, torch.device("cpu"))
        for slot, stream in enumerate(self.streams):
            self.stack.load(slot, NETWORK.build((d,), n_outputs, stream.init))
        first = self.stack.states[0]
        self.eigenvalues, self._gradient = first.value["lambda_in"], first.grad["lambda_in"]
        self.eigenvalues.copy_(torch.from_numpy(start))
        self.adam = Adam(self.stack)

    def step(self, rate: float) -> None:
        """A step of Adam, with this rate, on all but the eigenvalues, and a gradient and a proximal step on those."""
        chosen = [seen[stream.batches(1)[0]] for seen, stream in zip(self.training, self.streams, strict=True)]
        index = torch.stack(chosen)
        outputs = self.stack.forward(self.X[index], [None] * len(self.stack.layers))
        self.stack.backward(loss_gradient(outputs, self.y[index], self.kind))
        before = self.eigenvalues.clone()
        self.adam.step(rate)  # what it does to the eigenvalues is overwritten
        moved = before - EIGENVALUE_RATE * self._gradient
        self.eigenvalues.copy_(soft_threshold(moved, EIGENVALUE_RATE * THRESHOLD))

    def result(self) -> Trained:
        """What the networks rely on, and say of rows that they have not seen."""
        phi = self.stack.states[0].value["matrix"]
        relevance = (self.eigenvalues.abs() * phi.norm(dim=1)).double().mean(0).numpy()
        if not np.isfinite(relevance).all():
            raise ValueError("the training diverged: a weight is not finite")
        outputs = self.stack.predict(self.X[None]).double()
        return Trained(relevance, self._held_out(outputs))

    def _held_out(self, outputs: Tensor) -> Floats:
        by_fold = outputs.unflatten(0, (FOLDS, MEMBERS)).mean(1).numpy()
        return by_fold[self.fold, np.arange(len(self.fold))]


def _standardised(X: NDArray) -> NDArray[np.float32]:
    X = X.astype(np.float64)
    std = X.std(0)
    return ((X - X.mean(0)) / np.where(std > 0, std, 1.0)).astype(np.float32)
