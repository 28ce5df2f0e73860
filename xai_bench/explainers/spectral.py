"""Relevance read off the first layer: the spectral one of arXiv 2406.01183, and the plain column norm.

``first_layer`` says which layer that is. Its columns must belong to the inputs as they are: behind a batch norm or
another standardisation they are in other units, and the method is unsupported.
"""

from __future__ import annotations

from typing import ClassVar

from numpy.typing import NDArray
from torch import nn

from xai_bench.explainers.base import Explainer, Join, Needs, Problem
from xai_bench.explainers.first_layer import first_layer
from xai_bench.models.spectral import SpectralLinear


class Spectral(Explainer):
    """Spectral eigenvalue relevance |lambda_j| ||phi_:j|| of the first layer (arXiv 2406.01183).

    Global, and free after training. It equals the column norm of the folded layer: what the spectral form adds
    comes through training and penalty, so ``column_norm`` on a plain network is its baseline.
    """

    name: ClassVar[str] = "spectral"
    needs: ClassVar[Needs] = "spectral"
    joins: ClassVar[Join] = "norm"
    version: ClassVar[int] = 2

    def relevance(self, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            layer, _ = first_layer(problem.fitted, problem.X_train)
        assert isinstance(layer, SpectralLinear)
        return layer.relevance().cpu().numpy()


class ColumnNorm(Explainer):
    """||w_:j|| of an ordinary dense first layer: what the spectral relevance is without the spectral form."""

    name: ClassVar[str] = "column_norm"
    needs: ClassVar[Needs] = "linear_first_layer"
    joins: ClassVar[Join] = "norm"
    version: ClassVar[int] = 2

    def relevance(self, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            layer, _ = first_layer(problem.fitted, problem.X_train)
        assert isinstance(layer, nn.Linear)
        return layer.weight.detach().norm(dim=0).cpu().numpy()
