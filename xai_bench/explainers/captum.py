"""captum's attribution methods: one generic wrapper, and presets of it.

https://captum.ai; Kokhlikyan et al., arXiv 2009.07896.
"""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.errors import InputError, unknown
from xai_bench.explainers.base import LocalExplainer, Problem
from xai_bench.models.folding import fold_batch_norm

Parameters = dict[str, float | int | bool | str]
SET_HERE = ("inputs", "target", "baselines", "internal_batch_size", "self")


def method_class(name: str) -> Any:
    """A class of captum.attr by its name.

    Raises
    ------
    InputError
        If there is none; the nearest names are suggested.
    """
    import captum.attr as captum_attr

    known = {n for n, c in vars(captum_attr).items() if inspect.isclass(c) and issubclass(c, captum_attr.Attribution)}
    if name not in known:
        raise unknown("class of captum.attr", name, known)
    return getattr(captum_attr, name)


def call_counts(model: nn.Module, X: Tensor) -> Counter[nn.Module]:
    """How often each layer runs in one forward pass of ``X`` (n, d)."""
    counts: Counter[nn.Module] = Counter()
    handles = [
        layer.register_forward_hook(lambda layer, _inputs, _output: counts.update([layer]))
        for layer in model.modules()
        if next(layer.children(), None) is None
    ]
    try:
        with torch.no_grad():
            model(X)
    finally:
        for handle in handles:
            handle.remove()
    return counts


class Captum(LocalExplainer):
    """Any attribution method of captum, by the name of its class in ``captum.attr``.

    ``parameters`` are further arguments of its ``attribute`` method. All rows are one call; methods that repeat
    rows split them so that at most ``internal_batch_size`` are in memory at a time.
    """

    name: ClassVar[str] = "captum"

    method: str
    """Class in captum.attr, such as ``Saliency``."""
    baseline: Literal["mean", "zero"] = "mean"
    """What an input is compared with, where the method asks: the training mean, or 0."""
    parameters: Parameters = {}
    internal_batch_size: Annotated[int, Field(ge=1)] = 4096

    def unsupported(self, problem: Problem) -> str | None:
        accepted = _arguments(method_class(self.method))
        for key in self.parameters:
            if key not in accepted or key in SET_HERE:
                raise InputError(f"{self.name}: {unknown('parameter', key, set(accepted) - set(SET_HERE))}")
        reason = super().unsupported(problem)
        if reason or self.method not in ("DeepLift", "DeepLiftShap"):
            return reason
        reused = [layer for layer, n in call_counts(problem.fitted, problem.X_valid[:1]).items() if n > 1]
        if reused:
            return f"captum's {self.method} needs every layer used once: {type(reused[0]).__name__} is used again"
        return None

    def prepared(self, model: nn.Module) -> nn.Module:
        """The model as the method wants it, with the same outputs; ``model`` is a copy already."""
        return model

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        with problem.clock.setting_up():
            method = method_class(self.method)(self.prepared(model))
            accepted = _arguments(type(method))
            arguments: dict[str, Any] = dict(self.parameters)
            if "baselines" in accepted:
                mean = problem.X_train.mean(0, keepdim=True)
                arguments["baselines"] = mean if self.baseline == "mean" else torch.zeros_like(mean)
            if "internal_batch_size" in accepted:
                arguments["internal_batch_size"] = max(self.internal_batch_size, len(X))
        if "target" in accepted:
            arguments["target"] = 0 if target is None else target
        # captum leaves gradients on its input: the dataset keeps its own rows.
        values = method.attribute(X.clone().requires_grad_(True), **arguments)
        return values if isinstance(values, Tensor) else values[0]


def _arguments(method: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(method.attribute).parameters)


class Saliency(Captum):
    """Absolute gradient of the output (Simonyan et al., arXiv 1312.6034)."""

    name: ClassVar[str] = "saliency"
    method: Literal["Saliency"] = "Saliency"


class InputXGradient(Captum):
    """Input times gradient (Shrikumar et al., arXiv 1605.01713)."""

    name: ClassVar[str] = "input_x_gradient"
    method: Literal["InputXGradient"] = "InputXGradient"


class IntegratedGradients(Captum):
    """Gradients integrated along the line from the baseline (Sundararajan et al., arXiv 1703.01365)."""

    name: ClassVar[str] = "integrated_gradients"
    method: Literal["IntegratedGradients"] = "IntegratedGradients"
    parameters: Parameters = {"n_steps": 32}


class DeepLift(Captum):
    """DeepLIFT, rescale rule, against the baseline (Shrikumar et al., arXiv 1704.02685)."""

    name: ClassVar[str] = "deeplift"
    method: Literal["DeepLift"] = "DeepLift"


class LRP(Captum):
    """Layer-wise relevance propagation, epsilon rule (Bach et al., PLOS ONE 2015).

    Batch norm is merged into the neighbouring dense layers first: captum has no rule for it.
    """

    name: ClassVar[str] = "lrp"
    method: Literal["LRP"] = "LRP"

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason:
            return reason
        from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS

        from xai_bench.models.spectral import SpectralLinear

        known = {*SUPPORTED_LAYERS_WITH_RULES, *SUPPORTED_NON_LINEAR_LAYERS, SpectralLinear}
        if type(problem.model) is nn.Sequential:
            known |= {nn.BatchNorm1d, nn.Identity}
        for layer in problem.fitted.modules():
            if next(layer.children(), None) is None and type(layer) not in known:
                return f"captum's LRP has no rule for {type(layer).__name__}"
        return None

    def prepared(self, model: nn.Module) -> nn.Module:
        return fold_batch_norm(model) if type(model) is nn.Sequential else model
