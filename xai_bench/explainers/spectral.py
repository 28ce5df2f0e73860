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
from xai_bench.models.spectral import SpectralLayer
from xai_bench.models.tokens import FeatureTokenizer


class Spectral(Explainer):
    """Spectral eigenvalue relevance |lambda_j| ||phi_:j|| of the first layer (arXiv 2406.01183).

    Global, and free after training. It equals the column norm of the folded layer: what the spectral form adds
    comes through training and penalty, so ``column_norm`` on a plain network is its baseline. Of a layer with one
    eigenvalue a channel, every column of a channel has its relevance.
    """

    name: ClassVar[str] = "spectral"
    needs: ClassVar[Needs] = "spectral"
    reads: ClassVar[tuple[type[nn.Module], ...]] = (SpectralLayer,)
    joins: ClassVar[Join] = "norm"
    version: ClassVar[int] = 2

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        layer, _ = first_layer(problem.fitted, problem.X_train)
        assert isinstance(layer, SpectralLayer)
        each = problem.d // layer.lambda_in.numel()
        alike = {tuple(sorted(column // each for column in columns)) for columns in problem.partition}
        return None if len(alike) > 1 else "all inputs share the same eigenvalues: one a channel tells no pixels apart"

    def relevance(self, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            layer, _ = first_layer(problem.fitted, problem.X_train)
        assert isinstance(layer, SpectralLayer)
        found = layer.relevance().flatten()
        return found.repeat_interleave(problem.d // len(found)).cpu().numpy()


class ColumnNorm(Explainer):
    """||w_:j|| of an ordinary dense first layer: what the spectral relevance is without the spectral form.

    Of an FT-Transformer, ||w_j|| of the vector by which input j enters its token.
    """

    name: ClassVar[str] = "column_norm"
    needs: ClassVar[Needs] = "linear_first_layer"
    reads: ClassVar[tuple[type[nn.Module], ...]] = (FeatureTokenizer,)
    joins: ClassVar[Join] = "norm"
    version: ClassVar[int] = 2

    def relevance(self, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            layer, _ = first_layer(problem.fitted, problem.X_train)
        assert isinstance(layer, nn.Linear | FeatureTokenizer)
        return layer.weight.detach().norm(dim=0 if isinstance(layer, nn.Linear) else 1).cpu().numpy()
