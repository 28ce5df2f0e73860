"""Relevance read off the first layer: the spectral one of arXiv 2406.01183, and the plain column norm."""

from __future__ import annotations

from typing import ClassVar

from numpy.typing import NDArray
from torch import Tensor

from xai_bench.explainers.base import Explainer, Needs, Problem, first_layer
from xai_bench.models.spectral import SpectralLinear


class Spectral(Explainer):
    """Spectral eigenvalue relevance |lambda_j| ||phi_:j|| of the first layer (arXiv 2406.01183).

    Global, and free after training. It equals the column norm of the folded layer: what the spectral form adds
    comes through training and penalty, so ``column_norm`` on a plain network is its baseline.
    """

    name: ClassVar[str] = "spectral"
    needs: ClassVar[Needs] = "spectral"

    def relevance(self, problem: Problem) -> NDArray:
        layer = first_layer(problem.fitted)
        assert isinstance(layer, SpectralLinear)
        return layer.relevance().cpu().numpy()


class ColumnNorm(Explainer):
    """||w_:j|| of an ordinary dense first layer: what the spectral relevance is without the spectral form."""

    name: ClassVar[str] = "column_norm"
    needs: ClassVar[Needs] = "linear_first_layer"

    def relevance(self, problem: Problem) -> NDArray:
        weight = getattr(first_layer(problem.fitted), "weight", None)
        assert isinstance(weight, Tensor)
        return weight.detach().norm(dim=0).cpu().numpy()
