"""Residual networks for tables, plain and spectral.

Source: Gorishniy, Rubachev, Khrulkov and Babenko, "Revisiting Deep Learning Models for Tabular Data", NeurIPS 2021,
arXiv 2106.11959, section 3.2:

    ResNet(x)      = Prediction(ResNetBlock(... ResNetBlock(Linear(x))))
    ResNetBlock(x) = x + Dropout(Linear(Dropout(ReLU(Linear(BatchNorm(x))))))
    Prediction(x)  = Linear(ReLU(BatchNorm(x)))

The first Linear reads the inputs, alone and as they are: its columns are those of an ``mlp``, and w_ij = lambda_j
phi_ij makes sense there. The layers behind it read sums of hidden nodes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.models.base import Architecture
from xai_bench.models.mlp import Strength
from xai_bench.models.spectral import SpectralLinear, glorot_uniform, penalty_of_first

Share = Annotated[float, Field(ge=0, lt=1)]


class ResNetFamily(Architecture):
    """The first layer, ``blocks`` residual blocks of ``width`` nodes, and the prediction.

    Smaller than published (two blocks of 192 nodes): about as many weights as ``mlp``. The learning rate and the
    penalty are those of ``mlp``, which of those tried had the lowest validation loss
    (``benchmarks/choose_networks.py``).
    """

    blocks: Annotated[int, Field(ge=1)] = 2
    width: Annotated[int, Field(ge=1)] = 64
    hidden_factor: Annotated[float, Field(gt=0)] = 1.0
    """Hidden nodes of a block, over ``width``; published: 2."""
    hidden_dropout: Share = 0.2
    """Behind the ReLU of a block."""
    residual_dropout: Share = 0.0
    """Of what a block adds."""

    def build(self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """nn.Sequential from (n, d) to (n, n_outputs). Weights are Glorot uniform, biases 0."""
        hidden = max(1, round(self.hidden_factor * self.width))
        blocks = [
            ResidualBlock(self.width, hidden, self.hidden_dropout, self.residual_dropout, generator)
            for _ in range(self.blocks)
        ]
        prediction = nn.BatchNorm1d(self.width), nn.ReLU(), dense(self.width, n_outputs, generator)
        return nn.Sequential(self.first_layer(math.prod(shape), generator), *blocks, *prediction)

    @abstractmethod
    def first_layer(self, d: int, generator: torch.Generator) -> nn.Module:
        """The layer that reads the inputs, (n, d) to (n, width)."""


class ResidualBlock(nn.Module):
    """x + Dropout(Linear(Dropout(ReLU(Linear(BatchNorm(x)))))) for x (n, width)."""

    def __init__(self, width: int, hidden: int, inner: float, outer: float, generator: torch.Generator) -> None:
        super().__init__()
        layers = [nn.BatchNorm1d(width), dense(width, hidden, generator), nn.ReLU()]
        layers += [nn.Dropout(inner)] if inner else []
        layers += [dense(hidden, width, generator)]
        layers += [nn.Dropout(outer)] if outer else []
        self.added = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.added(x)


def dense(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """A Linear with Glorot uniform weights and biases of 0."""
    layer = nn.Linear(n_in, n_out)
    with torch.no_grad():
        layer.weight.copy_(glorot_uniform(n_out, n_in, generator))
        layer.bias.zero_()
    return layer


class ResNet(ResNetFamily):
    """The plain one, with the penalty of ``mlp`` on its first layer."""

    name: ClassVar[str] = "resnet"

    group_lasso: Strength = 0.2
    """Strength of sum_j ||w_:j|| over the columns of the first layer's weight."""

    def first_layer(self, d: int, generator: torch.Generator) -> nn.Linear:
        return dense(d, self.width, generator)

    def penalty(self, module: nn.Module) -> Tensor:
        """group_lasso * sum_j ||w_:j|| of the first layer."""
        first = next(module.children())
        assert isinstance(first, nn.Linear)
        return self.group_lasso * first.weight.norm(dim=0).sum()


class SpectralResNet(ResNetFamily):
    """The first layer is a SpectralLinear, with the penalty of ``spectral_mlp``."""

    name: ClassVar[str] = "spectral_resnet"

    l2_lambda: Strength = 1.0
    """Of sum lambda^2 of the first layer, added to the mean loss."""
    l2_phi: Strength = 1e-2
    """Of sum phi^2 of the first layer."""

    def first_layer(self, d: int, generator: torch.Generator) -> SpectralLinear:
        return SpectralLinear(d, self.width, generator=generator)

    def penalty(self, module: nn.Module) -> Tensor:
        """l2_lambda |lambda|^2 + l2_phi |phi|^2 of the first layer."""
        return penalty_of_first(module, self.l2_lambda, self.l2_phi)
