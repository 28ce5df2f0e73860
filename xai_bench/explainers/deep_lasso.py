"""Deep Lasso: a network that is to move its loss with few inputs."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.explainers.base import Join, Problem
from xai_bench.explainers.trained import Count, Perceptron, TrainedSelector
from xai_bench.models.losses import loss

SMALL = 1e-8
"""Below the root of each sum of squares, as in the authors' code: its slope is finite where all gradients are 0."""


class DeepLassoNetwork(Perceptron):
    """A perceptron, trained on (1 - w) loss + w sum_j ||d loss / d x_:j|| over the rows of a batch."""

    name: ClassVar[str] = "deep_lasso_network"
    penalises_gradients: ClassVar[bool] = True

    strength: float

    def gradient_penalty(self, loss: Tensor, rows: Tensor) -> Tensor:
        (slopes,) = torch.autograd.grad(loss, rows, create_graph=True)
        return self.strength * ((slopes.square().sum(0) + SMALL).sqrt().sum() - loss)


class DeepLasso(TrainedSelector):
    """Deep Lasso (Cherepanova et al., NeurIPS 2023, arXiv 2311.05877): group lasso on the gradients by the inputs.

    A network is trained on (1 - w) L + w sum_j ||dL / dx_:j||, the norm over the rows of a batch. The relevance is
    ||dL / dx_:j|| over the validation rows, as in the authors' code; of the weights at ten points of the training those
    with the lowest validation loss are taken. w is the geometric mean of the range that the authors tune it in, .01 to
    .5. 1000 steps, each of which differentiates twice: about 3 CPU seconds.
    """

    name: ClassVar[str] = "deep_lasso"
    joins: ClassVar[Join] = "norm"

    steps: Count = 1000
    """Gradient steps: half of those of other selectors, since each differentiates twice."""
    strength: Annotated[float, Field(ge=0, lt=1)] = 0.07
    """w."""

    def network(self, d: int) -> DeepLassoNetwork:
        return DeepLassoNetwork(strength=self.strength, **{**self.settings(), "checkpoints": 10})

    def read(self, module: nn.Module, X: Tensor, y: Tensor, problem: Problem) -> Tensor:
        rows = X.clone().requires_grad_(True)
        with torch.enable_grad():
            total = loss(module(rows)[None], y[None], problem.kind)[0]
            (slopes,) = torch.autograd.grad(total, rows)
        return slopes.double().square().sum(0).sqrt()
