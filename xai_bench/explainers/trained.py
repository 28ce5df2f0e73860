"""Selectors that train a network of their own in the package's ordinary loop, and read what it selects."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.explainers.base import Problem, Selection, Selector, score_on_valid
from xai_bench.explainers.forests import seed_of
from xai_bench.explainers.moments import rows_of
from xai_bench.models.mlp import MLPFamily
from xai_bench.models.path import Rows
from xai_bench.models.training import fit_one

Count = Annotated[int, Field(ge=1)]


class Perceptron(MLPFamily):
    """What a selector trains: a multilayer perceptron, perhaps behind gates."""

    def width(self, d: int) -> int:
        """Numbers that the gates hand on, of d inputs."""
        return d

    def gates(self, d: int, generator: torch.Generator) -> nn.Module | None:
        """The layer before the perceptron, from (n, d) to (n, width), if there is one."""
        return None

    def build(self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """nn.Sequential from (n, d) to (n, n_outputs): the gates, then the perceptron."""
        d = math.prod(shape)
        gates = self.gates(d, generator)
        layers = super().build((self.width(d),), n_outputs, generator)
        return layers if gates is None else nn.Sequential(gates, *layers)


class TrainedSelector(Selector):
    """A network is trained on the training rows; ``network`` says which, and ``read`` what it selects.

    Adam, a cosine schedule and batches of 128 rows, as the networks of a suite. Targets are standardised in regression,
    since strengths are relative to the loss. ``valid_score`` is that of the network.
    """

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 32)
    steps: Count = 2000
    """Gradient steps."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    """Of Adam, at the first step."""

    @abstractmethod
    def network(self, d: int) -> Perceptron:
        """What is trained on ``d`` inputs."""

    @abstractmethod
    def read(self, module: nn.Module, X: Tensor, y: Tensor, problem: Problem) -> Tensor:
        """(d,) relevances >= 0 of the trained network in eval mode; X, y: validation rows, as it was trained on."""

    def settings(self) -> dict[str, Any]:
        """Fields of ``network``: the size, and a schedule of just so many steps."""
        return {
            "hidden": self.hidden,
            "activations": ("relu",),
            "batch_norm": (False,),
            "dropout": (0.0,),
            "epochs": 1e-9,
            "min_steps": self.steps,
            "learning_rate": self.learning_rate,
        }

    def select(self, problem: Problem) -> Selection:
        X, y = rows_of(problem)
        train, mean, scale = len(problem.X_train), 0.0, 1.0
        if problem.kind == "regression":
            mean, scale = float(y[:train].mean(dtype=np.float64)), float(y[:train].std(dtype=np.float64)) or 1.0
            y = ((y - mean) / scale).astype(np.float32)
        rows = Rows(X, y, problem.kind, problem.n_outputs, np.ones(len(X)))
        data, _ = rows.split(np.arange(train), np.arange(train, len(X)))
        fitted = fit_one(self.network(problem.d), data, seed_of(problem), device=problem.device)
        with torch.no_grad():
            outputs = fitted.module(problem.X_valid)
        predicted = outputs.argmax(1) if problem.kind == "classification" else outputs[:, 0].double() * scale + mean
        targets = torch.from_numpy(y[train:]).to(problem.device)
        found = self.read(fitted.module, problem.X_valid, targets, problem).detach().cpu().numpy()
        return Selection(found, score_on_valid(problem, predicted.cpu().numpy()))
