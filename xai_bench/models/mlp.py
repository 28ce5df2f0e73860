"""Multilayer perceptrons, plain and spectral: the family that ``fit_many`` trains in one batch."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.component import check_memory
from xai_bench.models.base import Architecture
from xai_bench.models.spectral import SpectralLinear, glorot_uniform

Activation = Literal["relu", "tanh"]
Strength = Annotated[float, Field(ge=0)]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


@dataclass(frozen=True)
class Layer:
    """One dense layer of a network and what follows it."""

    n_in: int
    n_out: int
    spectral: bool
    activation: Activation | None
    batch_norm: bool
    dropout: float


class MLPFamily(Architecture):
    """Dense layers, each followed by activation, batch norm and dropout (in this order, as published).

    In ``activations``, ``batch_norm`` and ``dropout`` the i-th value belongs to the i-th hidden layer, and
    the last value to all further ones. Weights are Glorot uniform, biases 0.
    """

    version: ClassVar[int] = 3

    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=1000)] = (100, 100, 50)
    activations: Annotated[tuple[Activation, ...], Field(min_length=1)] = ("tanh", "relu")
    batch_norm: Annotated[tuple[bool, ...], Field(min_length=1)] = (True, False)
    dropout: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1)] = (0.2, 0.0)

    def check_size(self) -> None:
        weights = sum(map(math.prod, itertools.pairwise((100, *self.hidden))))  # as of a hundred inputs
        # Beside the weights their gradients, and two moments of each.
        check_memory(self.name, f"a network of {weights} weights", 16.0 * weights)

    def spectral_layers(self) -> tuple[bool, ...]:
        """For every dense layer, the last one included: is it spectral?"""
        return (False,) * (len(self.hidden) + 1)

    def layers(self, d: int, n_outputs: int) -> tuple[Layer, ...]:
        """The layers of a network with ``d`` inputs."""
        spectral = self.spectral_layers()
        widths = (d, *self.hidden)
        hidden = [
            Layer(
                widths[i],
                widths[i + 1],
                spectral[i],
                self.activations[min(i, len(self.activations) - 1)],
                self.batch_norm[min(i, len(self.batch_norm) - 1)],
                self.dropout[min(i, len(self.dropout) - 1)],
            )
            for i in range(len(self.hidden))
        ]
        return (*hidden, Layer(widths[-1], n_outputs, spectral[-1], None, False, 0.0))

    def build(self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """nn.Sequential from (n, d) to (n, n_outputs), every module used once."""
        modules: list[nn.Module] = []
        for layer in self.layers(math.prod(shape), n_outputs):
            if layer.spectral:
                modules.append(SpectralLinear(layer.n_in, layer.n_out, generator=generator))
            else:
                linear = nn.Linear(layer.n_in, layer.n_out)
                with torch.no_grad():
                    linear.weight.copy_(glorot_uniform(layer.n_out, layer.n_in, generator))
                    linear.bias.zero_()
                modules.append(linear)
            if layer.activation:
                modules.append(ACTIVATIONS[layer.activation]())
            if layer.batch_norm:
                modules.append(nn.BatchNorm1d(layer.n_out))
            if layer.dropout:
                modules.append(nn.Dropout(layer.dropout))
        return nn.Sequential(*modules)

    def starts_from_moments(self) -> bool:
        """Whether the columns of the first layer start at a scale that the training rows suggest."""
        return False


def scale_inputs(module: nn.Sequential, scales: Tensor) -> None:
    """Multiply the columns of the first layer, or its eigenvalues, by ``scales`` (d,)."""
    first = next(module.children())
    columns = first.lambda_in if isinstance(first, SpectralLinear) else first.weight
    assert isinstance(columns, Tensor)
    with torch.no_grad():
        columns.mul_(scales.to(columns))


class MLP(MLPFamily):
    """The plain network, with the penalty that matches the spectral one's.

    Minimising a lambda_j^2 + b ||phi_j||^2 at a fixed product leaves 2 sqrt(ab) ||w_j||: L2 on the two
    factors of a spectral layer is a group lasso on the columns of a plain first layer.
    """

    name: ClassVar[str] = "mlp"
    later: ClassVar[tuple[str, ...]] = ("initial_columns",)

    group_lasso: Strength = 0.2
    """Strength of sum_j ||w_:j|| over the columns of the first layer's weight."""
    initial_columns: Literal["glorot", "moments"] = "glorot"
    """``moments``: Glorot uniform times what the eigenvalues of ``spectral_mlp`` would start at."""

    def starts_from_moments(self) -> bool:
        return self.initial_columns == "moments"

    def penalty(self, module: nn.Module) -> Tensor:
        """group_lasso * sum_j ||w_:j|| of the first layer."""
        weight = next(module.children()).weight
        assert isinstance(weight, Tensor)
        return self.group_lasso * weight.norm(dim=0).sum()


class SpectralMLP(MLPFamily):
    """The network of arXiv 2406.01183: its first layer (or every layer) is a SpectralLinear.

    The default penalty is a hundred times that published for digits: chosen on validation loss of small tables, see
    ``reports/schedules/summary.md``. The published ones stand in the suites ``paper`` and ``paper_full``.
    """

    name: ClassVar[str] = "spectral_mlp"

    all_layers: bool = False
    """Every layer is spectral, as published; the relevance needs the first one only."""
    l2_lambda: Strength = 1.0
    """Of sum lambda^2 of the first layer (no factor 1/2), added to the mean loss."""
    l2_phi: Strength = 1e-2
    """Of sum phi^2 of the first layer."""
    l1_lambda: Strength = 0.0
    l1_phi: Strength = 0.0
    initial_eigenvalues: Literal["ones", "moments"] = "ones"
    """``moments`` (ours, not the paper's): the logistic function of the evidence of the training rows for each input,
    no less than .05; see ``models.moments``."""

    def starts_from_moments(self) -> bool:
        return self.initial_eigenvalues == "moments"

    def spectral_layers(self) -> tuple[bool, ...]:
        return (True, *(self.all_layers for _ in self.hidden))

    def penalty(self, module: nn.Module) -> Tensor:
        """l2_lambda |lambda|^2 + l2_phi |phi|^2 + l1_lambda |lambda|_1 + l1_phi |phi|_1 of the first layer."""
        first = next(module.children())
        assert isinstance(first, SpectralLinear)
        eigenvalues, vectors = first.lambda_in, first.phi
        return (
            self.l2_lambda * eigenvalues.square().sum()
            + self.l2_phi * vectors.square().sum()
            + self.l1_lambda * eigenvalues.abs().sum()
            + self.l1_phi * vectors.abs().sum()
        )
