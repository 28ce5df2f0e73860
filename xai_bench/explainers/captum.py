"""captum's attribution methods: one generic wrapper, and presets of it.

https://captum.ai; Kokhlikyan et al., arXiv 2009.07896.
"""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from xai_bench.errors import InputError, unknown
from xai_bench.explainers.base import BaselineName, LocalExplainer, Problem
from xai_bench.explainers.layers import fold_every_batch_norm, layer_use, out_of_place
from xai_bench.models.folding import fold_spectral

Parameters = dict[str, bool | int | float | str]

GIVEN = ("inputs", "baselines", "target", "additional_forward_args", "internal_batch_size")
"""Arguments of ``attribute`` that this package sets."""
NOT_SCALAR = ("feature_mask", "custom_attribution_func", "return_convergence_delta", "return_input_shape")
LAYERWISE = ("DeepLift", "LRP", "GuidedBackprop", "Deconvolution")
"""Methods that see modules only, each once."""
LINEAR_LAYERS = (
    *(nn.Linear, nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
"""Linear (affine) in eval mode: DeepLIFT's multipliers are their gradients."""


@functools.cache
def methods() -> dict[str, Any]:
    """The classes of ``captum.attr`` that need a model and rows only, by name."""
    import captum.attr

    found = {}
    for name in captum.attr.__all__:
        value = getattr(captum.attr, name)
        if inspect.isclass(value) and hasattr(value, "attribute"):
            built_from = _required(inspect.signature(value))
            asked = _required(inspect.signature(value.attribute))
            if built_from in (["model"], ["forward_func"]) and asked == ["self", "inputs"]:
                found[name] = value
    return found


def _required(signature: inspect.Signature) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in kinds
    ]


def _arguments(method: str) -> list[str]:
    """Names of the arguments of a method's ``attribute``."""
    parameters = inspect.signature(methods()[method].attribute).parameters.values()
    return [p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD]


class Captum(LocalExplainer):
    """Any attribution method of captum that needs a model and rows only, by the name of its class.

    All rows are one call; methods that repeat rows split them so that at most ``internal_batch_size`` are in
    memory at a time. Those that take many baselines (GradientShap, DeepLiftShap) are ``shap_gradient`` and
    ``shap_deep`` here.
    """

    name: ClassVar[str] = "captum"

    method: str
    """Class in captum.attr, such as ``GuidedBackprop``."""
    baseline: BaselineName = "mean"
    """What an input is compared with, where the method asks: the training mean, or 0."""
    parameters: Parameters = {}
    """Further arguments of the method's ``attribute``."""
    internal_batch_size: Annotated[int, Field(ge=1)] = 4096
    """Rows in one forward pass, where the method lets them be bounded (never fewer than are explained)."""

    @model_validator(mode="after")
    def _known_names(self) -> Captum:
        # The presets must not load captum before they run.
        if "method" in self.model_fields_set and self.method not in methods():
            distributions = {"GradientShap": "shap_gradient", "DeepLiftShap": "shap_deep"}
            if self.method in distributions:
                raise InputError(f"{self.method} needs many baselines: use {distributions[self.method]!r} instead")
            raise unknown("captum method", self.method, methods())
        if self.parameters:
            fields = set(type(self).model_fields) - set(Captum.model_fields)
            accepted = [a for a in _arguments(self.method) if a not in (*GIVEN, *NOT_SCALAR, *fields)]
            for name in self.parameters:
                if name in fields:
                    raise InputError(f"{name!r} is a field of {self.name}: set it beside 'parameters', not inside")
                if name not in accepted:
                    raise InputError(
                        f"unknown entry {name!r} in 'parameters': {self.method} takes {', '.join(accepted) or 'none'}"
                    )
        return self

    def arguments(self) -> dict[str, Any]:
        """Further keyword arguments for the method's ``attribute``."""
        return dict(self.parameters)

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None or self.method not in LAYERWISE:
            return reason
        try:
            model = self.prepared(copy.deepcopy(problem.fitted))
        except ValueError as error:
            return f"captum's {self.method}: {error}"
        return _layerwise_reason(self.method, model, problem.X_train[:2])

    def prepared(self, model: nn.Module) -> nn.Module:
        """The model as the method wants it, with the same outputs; ``model`` is a copy already."""
        folded = fold_spectral(model)
        if self.method in LAYERWISE:
            out_of_place(folded)
        if self.method == "LRP":
            folded = fold_every_batch_norm(folded)
            if next(folded.children(), None) is None:
                folded = nn.Sequential(folded)  # captum looks for layers among the children only
        return folded

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        with problem.clock.setting_up():
            method = methods()[self.method]
            known = _arguments(self.method)
            model = self.prepared(model)
            keywords = self.arguments()
            if "baselines" in known:
                mean = problem.X_train.mean(0, keepdim=True)
                keywords["baselines"] = mean if self.baseline == "mean" else torch.zeros_like(mean)
            if "internal_batch_size" in known:
                keywords["internal_batch_size"] = max(self.internal_batch_size, len(X))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # announcements of hooks that are taken away again
            return method(model).attribute(
                X.clone().requires_grad_(True), target=0 if target is None else target, **keywords
            )


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
    n_steps: Annotated[int, Field(ge=1)] = 32
    """Points of the Gauss-Legendre rule along the way."""

    def arguments(self) -> dict[str, Any]:
        return {"n_steps": self.n_steps, **self.parameters}


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


def _layerwise_reason(method: str, model: nn.Module, X: Tensor) -> str | None:
    """Why a method that propagates layer by layer cannot explain ``model``, or None."""
    use = layer_use(model, X)
    if use.reused:
        return f"captum's {method} needs every layer to be used once: {', '.join(use.reused)} is used again"
    outside = use.other_outside + (use.linear_outside if method == "LRP" else ())
    if outside:
        return f"captum's {method} sees layers only: the model calls {', '.join(outside)} outside of them"
    if method == "LRP":
        from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS

        # captum looks at all layers, called or not.
        leaves = dict.fromkeys(type(m) for m in model.modules() if next(m.children(), None) is None)
        strange = [t for t in leaves if t not in SUPPORTED_LAYERS_WITH_RULES and t not in SUPPORTED_NON_LINEAR_LAYERS]
    elif method == "DeepLift":
        from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR

        called = dict.fromkeys(use.leaves)
        strange = [t for t in called if t not in SUPPORTED_NON_LINEAR and t not in LINEAR_LAYERS]
    else:
        strange = []
    return f"captum's {method} has no rule for {', '.join(t.__name__ for t in strange)}" if strange else None
