"""Small problems for the conformance suite. Weights are drawn or set by hand: nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xai_bench.explainers.base import Kind, Problem
from xai_bench.models.base import Architecture
from xai_bench.models.ft_transformer import FTTransformer
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.spectral import SpectralLinear

Layers = Literal["plain", "spectral", "all_spectral", "tokens"]


@dataclass(frozen=True)
class Scene:
    """A kind of problem; ``problem()`` builds it anew, so that no check sees what another one did to it."""

    kind: Kind = "classification"
    d: int = 12
    n_outputs: int = 2
    layers: Layers = "plain"
    batch_norm: bool = False
    n_valid: int = 12
    n_train: int = 60
    scales: tuple[float, ...] | None = None
    """Column norms of the first layer, where they are set."""

    def problem(self) -> Problem:
        """Build it; equal scenes give equal bits."""
        generator = torch.Generator().manual_seed(7)
        model = self._model(generator)
        X_train, X_valid = (torch.randn(n, self.d, generator=generator) for n in (self.n_train, self.n_valid))
        y_train, y_valid = (
            outputs[:, 0] if self.kind == "regression" else outputs.argmax(1)
            for outputs in (model(X_train), model(X_valid))
        )
        return Problem(model, X_train, y_train, X_valid, y_valid, self.kind, self.n_outputs)

    def _source(self) -> Architecture:
        if self.layers == "tokens":
            return FTTransformer(d_token=8, heads=2)
        fields: dict[str, Any] = {"hidden": (6, 6)}
        if not self.batch_norm:
            fields |= {"batch_norm": (False,), "dropout": (0.0,)}
        plain = self.layers == "plain"
        return MLP(**fields) if plain else SpectralMLP(**fields, all_layers=self.layers == "all_spectral")

    def _model(self, generator: torch.Generator) -> nn.Module:
        model = self._source().network((self.d,), self.n_outputs, generator, self.kind).eval()
        for name, tensor in model.state_dict().items():  # as after a training
            if name.endswith(("bias", "running_mean")):
                tensor.normal_(0, 0.3, generator=generator)
            elif name.endswith(("lambda_in", "running_var")):
                tensor.uniform_(0.4, 1.6, generator=generator)
        model.requires_grad_(False)
        if self.scales:
            first = next(model.children())
            columns = first.phi if isinstance(first, SpectralLinear) else first.weight
            assert isinstance(columns, Tensor)
            columns.mul_(torch.tensor(self.scales) / columns.norm(dim=0))
        return model


REGRESSION = Scene(kind="regression", n_outputs=1)
BINARY = Scene()
FIVE_CLASSES = Scene(n_outputs=5)
TWO_INPUTS = Scene(d=2)
BATCH_NORM = Scene(batch_norm=True)
SPECTRAL = Scene(layers="spectral")
SPECTRAL_BATCH_NORM = Scene(layers="spectral", batch_norm=True)
ALL_SPECTRAL = Scene(layers="all_spectral", kind="regression", n_outputs=1)
ONE_VALIDATION_ROW = Scene(n_valid=1)
SPECTRAL_ONE_ROW = Scene(layers="spectral", d=2, n_valid=1)
SCENES = (
    *(REGRESSION, BINARY, FIVE_CLASSES, TWO_INPUTS, BATCH_NORM, SPECTRAL, SPECTRAL_BATCH_NORM, ALL_SPECTRAL),
    *(ONE_VALIDATION_ROW, SPECTRAL_ONE_ROW),
)
TOKENS = Scene(layers="tokens")
ANY_MODEL = (BINARY, SPECTRAL, REGRESSION, TWO_INPUTS, TOKENS)
"""Of these the first that a method supports; a transformer for methods that read nothing else."""
UNEQUAL = Scene(kind="regression", d=4, n_outputs=1, n_train=300, n_valid=40, scales=(0.3, 1.0, 0.1, 3.0))


@dataclass(frozen=True)
class LinearScene:
    """y = w . x, known exactly to the model: one layer with the weights, one that passes its value on."""

    weights: tuple[float, ...]
    layers: Layers = "plain"

    def problem(self) -> Problem:
        """Build it; equal scenes give equal bits."""
        generator = torch.Generator().manual_seed(11)
        d = len(self.weights)
        first = nn.Linear(d, 1, bias=False) if self.layers == "plain" else SpectralLinear(d, 1, bias=False)
        last = nn.Linear(1, 1, bias=False)
        model = nn.Sequential(first, last).eval().requires_grad_(False)
        (first.weight if isinstance(first, nn.Linear) else first.phi).copy_(torch.tensor([self.weights]))
        last.weight.fill_(1.0)
        X_train, X_valid = (torch.randn(n, d, generator=generator) for n in (300, 40))
        y_train, y_valid = model(X_train)[:, 0], model(X_valid)[:, 0]
        return Problem(model, X_train, y_train, X_valid, y_valid, "regression", 1)


Recipe = Scene | LinearScene
