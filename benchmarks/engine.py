"""A training step of the shipped network: plain loop, torch's stack as first released, and the compiled engine.

    OMP_NUM_THREADS=1 python benchmarks/engine.py          # prints the table, with the aims

All are timed in turn, on one thread: whole trainings at the defaults. CPU seconds, which other processes disturb least,
are divided by networks and steps.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from plain import PlainLoop
from torch import Tensor

from xai_bench import registry
from xai_bench.datasets.base import Dataset
from xai_bench.models import stacked
from xai_bench.models.mlp import MLP
from xai_bench.models.torch_engine import TorchEngine
from xai_bench.models.training import fit_many
from xai_bench.running.process import warm_up_training

STACKS = {20: (8, 16), 64: (8, 16), 784: (2, 4)}
"""Networks side by side: of 2, 4, 8 and 16 the best two for so many inputs."""
ROUNDS = 5
ALONE_AIM, STACK_AIM = {20: 3.5, 64: 3.5, 784: 2.0}, {20: 8.0, 64: 8.0, 784: 4.5}
SHARE_AIM = 0.3


class FirstReleased(TorchEngine):
    """Masks by torch's generator, 16 steps at once, and norms of columns as version 0.1 had them."""

    def _masks(self, step: int) -> list[Tensor | None]:
        if step % 16 == 0:
            self.generator = torch.Generator().manual_seed(step)
            self.drawn = [
                torch.empty(16, self.stack.m, self.rows, layer.n_out)
                .bernoulli_(1 - layer.dropout, generator=self.generator)
                .div_(1 - layer.dropout)
                if layer.dropout
                else None
                for layer in self.stack.layers
            ]
            self.stack._penalise = self._penalise  # type: ignore[method-assign]
        return [None if mask is None else mask[step % 16] for mask in self.drawn]

    def _penalise(self) -> None:
        first, strength = self.stack.states[0], self.stack.architecture.group_lasso  # type: ignore[attr-defined]
        norms = first.value["matrix"].norm(dim=1, keepdim=True)
        first.grad["matrix"].addcmul_(first.value["matrix"], torch.where(norms > 0, strength / norms, 0.0))


def multiplications(architecture: MLP, d: int, n_outputs: int, rows: int) -> float:
    """Floating-point operations of the matrix products of one step of one network."""
    widths = [d, *architecture.hidden, n_outputs]
    products = [a * b for a, b in itertools.pairwise(widths)]
    # Forward, gradient of the weights, gradient of the inputs of all layers but the first.
    return 2.0 * rows * (3 * sum(products) - products[0])


def limit() -> float:
    """What a large matrix product reaches now, floating-point operations a second."""
    x, out = torch.randn(1024, 1024), torch.empty(1024, 1024)
    torch.mm(x, x, out=out)
    start = time.process_time()
    for _ in range(5):
        torch.mm(x, x, out=out)
    return 5 * 2 * 1024**3 / (time.process_time() - start)


def contenders(data: Dataset) -> dict[str, tuple[Callable[[], Any], int]]:
    """Name to a training and the number of its networks."""
    architecture = MLP()
    loop = PlainLoop(architecture, data)

    def first_released() -> None:
        with patch.object(stacked, "Engine", FirstReleased):
            fit_many(architecture, data, [0], chunk=1)

    def together(m: int) -> Callable[[], Any]:
        return lambda: fit_many(architecture, data, range(m), chunk=m)

    return {
        "plain loop": (lambda: loop.fit(0), 1),
        "first released, alone": (first_released, 1),
        "alone": (together(1), 1),
        **{f"stack of {m}": (together(m), m) for m in STACKS[data.d]},
    }


def measured(d: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """CPU seconds a network-step of every contender in every round, limit and operations beside them."""
    torch.set_num_threads(1)
    warm_up_training("cpu")
    data = registry.create("datasets", "xor", {"n": 5000, "d": d}).load(0).standardised()
    architecture, trained = MLP(), contenders(data)
    seconds: dict[str, list[float]] = {name: [] for name in trained}
    limits = []
    for turn in range(rounds + 1):
        limits.append(limit())
        for name, (train, m) in trained.items():
            start = time.process_time()
            train()
            if turn:  # the first one warms up
                seconds[name].append((time.process_time() - start) / m / architecture.steps(len(data.X_train)))
    flops = multiplications(architecture, d, data.n_outputs, architecture.batch_size)
    return {"table": "engine", "d": d, "seconds": seconds, "limit": limits[1:], "flops": flops}


def found(record: dict[str, Any]) -> dict[str, Any]:
    """Medians of the rounds: the best stack, the ratios of the aims, and the share of the matrix product's limit."""
    seconds, d = {name: np.array(values) for name, values in record["seconds"].items()}, record["d"]
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    best = min((name for name in medians if name.startswith(("alone", "stack"))), key=lambda name: medians[name])
    return {
        "medians": medians,
        "best": best,
        "alone": float(np.median(seconds["first released, alone"] / seconds["alone"])),
        "stack": float(np.median(seconds["plain loop"] / seconds[best])),
        "share": float(np.median(record["flops"] / seconds[best] / np.array(record["limit"]))),
        "aims": (ALONE_AIM[d], STACK_AIM[d], SHARE_AIM),
    }


def cells(record: dict[str, Any]) -> list[str]:
    """A row of the table: microseconds a network-step, and ratios with their aims."""
    what = found(record)
    medians, (alone, stack, share) = what["medians"], what["aims"]
    rate = record["flops"] / medians[what["best"]] / 1e9
    return [
        f"d = {record['d']}",
        *(f"{1e6 * medians[name]:.0f}" for name in ("plain loop", "first released, alone", "alone")),
        f"{1e6 * medians[what['best']]:.0f} ({what['best']})",
        f"{what['alone']:.2f} (aim {alone:g})",
        f"{what['stack']:.2f} (aim {stack:g})",
        f"{rate:.0f} GFLOP/s, {100 * what['share']:.0f} % (aim {100 * share:.0f} %)",
    ]


HEAD = [
    "µs a network-step",
    "plain loop",
    "first released, alone",
    "alone",
    "best stack",
    "alone: times faster than as released",
    "stack: times faster than the loop",
    "of the limit",
]


def main() -> None:
    """Print the table, and every median."""
    for d in ALONE_AIM:
        record = measured(d)
        for name, value in zip(HEAD, cells(record), strict=True):
            print(f"{name:40} {value}")
        for name, value in found(record)["medians"].items():
            print(f"    {name:36} {1e6 * value:.0f}")
        print(f"    {'limit, GFLOP/s':36} {np.median(record['limit']) / 1e9:.0f}", flush=True)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
