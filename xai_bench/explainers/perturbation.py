"""captum's methods that perturb rows: presets of the generic wrapper. They need outputs only, no gradients."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from xai_bench.explainers.base import Needs, Problem
from xai_bench.explainers.captum import Captum


class FeatureAblation(Captum):
    """Fall of the output when one input is set to the baseline. d + 1 passes a row."""

    name: ClassVar[str] = "feature_ablation"
    needs: ClassVar[Needs] = "predict"
    method: Literal["FeatureAblation"] = "FeatureAblation"


class Occlusion(Captum):
    """Fall of the output when a window of a picture is set to the baseline (Zeiler and Fergus, arXiv 1311.2901).

    A pixel gets the mean over the windows that cover it, in equal parts to its channels, which are covered together.
    About d / stride^2 passes a row.
    """

    name: ClassVar[str] = "occlusion"
    needs: ClassVar[Needs] = "predict"
    method: Literal["Occlusion"] = "Occlusion"
    window: Annotated[int, Field(ge=1)] = 3
    """Side of the window, in pixels; at most half of the picture's side."""
    stride: Annotated[int, Field(ge=1)] = 1
    """Pixels from one window to the next, at most a window's side."""

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and problem.feature_shape is None:
            return "it slides a window over pictures: these inputs have no rows and columns"
        if reason is None and len(problem.shape) == 1:
            return "it slides a window over pictures: the columns of these pixels are not ordered by channel"
        return reason

    def arguments(self, X: Tensor) -> dict[str, Any]:
        channels = tuple(X.shape[1:-2])
        sides = tuple(min(self.window, max(side // 2, 1)) for side in X.shape[-2:])
        strides = tuple(min(self.stride, side) for side in sides)
        return {"sliding_window_shapes": channels + sides, "strides": channels + strides}

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        shape = problem.shape
        pictures = nn.Sequential(nn.Flatten(), model)
        values = super().attribute(pictures, X.reshape(-1, *shape), target, problem).flatten(1)
        return values / shape[0] if len(shape) == 3 else values


class ShapleySampling(Captum):
    """Shapley values from random orders in which inputs replace the baseline (Strumbelj and Kononenko 2010).

    ``n_samples`` x d passes a row, of d inputs each: the cost grows as d^2.
    """

    name: ClassVar[str] = "shapley_sampling"
    needs: ClassVar[Needs] = "predict"
    completeness: ClassVar[bool] = True
    method: Literal["ShapleyValueSampling"] = "ShapleyValueSampling"
    rows: Annotated[int, Field(ge=1)] = 32
    n_samples: Annotated[int, Field(ge=1)] = 25
    """Orders, the same ones for all rows; captum's default."""

    def arguments(self, X: Tensor) -> dict[str, Any]:
        return {"n_samples": self.n_samples}


class CaptumKernelShap(Captum):
    """Kernel SHAP, captum's way: coalitions drawn by their Shapley weight (Lundberg and Lee, arXiv 1705.07874).

    Absent inputs are the baseline, one row; ``shap_kernel`` averages over a background. One regression a row: the
    cost grows as d^3.
    """

    name: ClassVar[str] = "captum_kernel_shap"
    needs: ClassVar[Needs] = "predict"
    completeness: ClassVar[bool] = True
    method: Literal["KernelShap"] = "KernelShap"
    rows: Annotated[int, Field(ge=1)] = 32
    n_samples: Annotated[int, Field(ge=1)] = 256
    """Perturbed copies of every row, at least 2d."""
    max_inputs: Annotated[int, Field(ge=1)] | None = 256

    def arguments(self, X: Tensor) -> dict[str, Any]:
        return {"n_samples": max(self.n_samples, 2 * X.shape[1])}

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        return "it needs at least two inputs" if reason is None and problem.d < 2 else reason


class Lime(Captum):
    """LIME: a sparse linear model of whether an input is kept (Ribeiro et al., arXiv 1602.04938).

    captum's defaults: inputs kept with probability 1/2, copies weighted by their cosine distance to the row, lasso of
    strength 0.01, which gives exact zeros where an input changes the output by little. Unlike captum's, the strength
    is relative: in standard deviations of the outputs of a row's copies, so that the unit of the outputs does not
    matter. One lasso a row, of at least 2d copies: the cost grows as d^2.
    """

    name: ClassVar[str] = "lime"
    needs: ClassVar[Needs] = "predict"
    method: Literal["Lime"] = "Lime"
    rows: Annotated[int, Field(ge=1)] = 32
    n_samples: Annotated[int, Field(ge=1)] = 256
    """Perturbed copies of every row, at least 2d."""
    max_inputs: Annotated[int, Field(ge=1)] | None = 256

    def arguments(self, X: Tensor) -> dict[str, Any]:
        return {"n_samples": max(self.n_samples, 2 * X.shape[1])}


PRESETS: tuple[type[Captum], ...] = (FeatureAblation, ShapleySampling, CaptumKernelShap, Lime)
