"""Stochastic gates at many strengths, side by side: the explainer ``stg``, trained once a strength, in one stack.

Every strength is a network of its own: equal initial weights, batches and noise, as the explainer has with one seed,
and no weight of one reaches another. Side by side they take a sixth of the time that they take one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.devices import seeded
from xai_bench.explainers.gates import STG, StochasticGates
from xai_bench.models.losses import Tensors, loss
from xai_bench.models.stack import ADAM_BETAS, ADAM_EPS
from xai_bench.models.streams import Streams, Task, batch_rows, learning_rate


class Opened(nn.Module):
    """A network behind stochastic gates, with the mean probability that a gate is open beside its outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        gates, *layers = network.children()
        assert isinstance(gates, StochasticGates)
        self.gates, self.layers = gates, nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, d) to (n, n_outputs) and a scalar."""
        return self.layers(self.gates(x)), self.gates.open().mean()


def gates_at(data: Dataset, strengths: Sequence[float], seed: int, settings: STG | None = None) -> Tensor:
    """(strengths, d) relevances as ``stg`` has them, 0 where a gate is closed, after a training on the training rows.

    ``seed``: of the network, as ``training.fit_one`` takes it. ``settings``: all but the strength.
    """
    d = data.d
    network = (settings or STG()).network(d)
    tensors, task = Tensors(data, torch.float32, torch.device("cpu")), Task(seed, tuple(range(d)))
    X, y = tensors.X_train, tensors.y_train
    if data.kind == "regression":  # strengths are relative to the loss
        y = (y - y.mean()) / y.std(correction=0)
    streams = Streams(task, len(X), batch_rows(network, len(X)))
    module = Opened(network.network((d,), data.n_outputs, streams.init, data.kind)).train()
    weights = {
        name: value.detach().expand(len(strengths), *value.shape).clone().requires_grad_()
        for name, value in module.named_parameters()
    }
    outputs_of = vmap(lambda own, x: functional_call(module, own, (x,)), in_dims=(0, None), randomness="same")
    optimiser = torch.optim.Adam(weights.values(), betas=ADAM_BETAS, eps=ADAM_EPS)
    by, steps = torch.tensor(strengths), network.steps(len(X))
    with seeded(stream_seed("dropout", seed, task.columns)):
        for step in range(steps):
            index = streams.batches(1)[0]
            outputs, opened = outputs_of(weights, X[index])
            optimiser.zero_grad()
            (loss(outputs, y[index][None], data.kind) + by * opened).sum().backward()
            optimiser.param_groups[0]["lr"] = learning_rate(network, step, steps)
            optimiser.step()
    mu = weights["gates.mu"].detach()
    return torch.where(mu > 0, torch.special.ndtr(mu / network.sigma), 0.0)
