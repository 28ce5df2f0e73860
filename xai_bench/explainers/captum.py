"""captum's attribution methods: one generic wrapper, and presets of it.

https://captum.ai; Kokhlikyan et al., arXiv 2009.07896. Those that perturb rows are in ``perturbation``.
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
from xai_bench.explainers.base import BaselineName, LocalExplainer, Problem, rows_at_once
from xai_bench.explainers.layers import fold_every_batch_norm, layer_use, never_negative, out_of_place
from xai_bench.models.folding import fold_spectral

Parameters = dict[str, bool | int | float | str]

GIVEN = ("inputs", "baselines", "target", "additional_forward_args", "internal_batch_size")
"""Arguments of ``attribute`` that this package sets."""
NOT_OFFERED = (
    *("feature_mask", "custom_attribution_func", "return_convergence_delta", "return_input_shape"),
    *("show_progress", "verbose", "nt_samples_batch_size", "draw_baseline_from_distrib"),
)
MANY_BASELINES = ("DeepLiftShap", "GradientShap")
"""Methods that compare with many rows, a background."""
ROW_BY_ROW = ("KernelShap", "Lime")
"""Methods that perturb one row at a time, the others all of them."""
LAYERWISE = ("DeepLift", "DeepLiftShap", "LRP", "GuidedBackprop", "Deconvolution")
"""Methods that see modules only, each once."""
LINEAR_LAYERS = (
    *(nn.Linear, nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
"""Linear (affine) in eval mode: DeepLIFT's multipliers are their gradients."""


@functools.cache
def methods() -> dict[str, Any]:
    """The classes of ``captum.attr`` that need a model, rows and perhaps baselines only, by name."""
    import captum.attr

    found = {}
    for name in captum.attr.__all__:
        value = getattr(captum.attr, name)
        if inspect.isclass(value) and hasattr(value, "attribute"):
            built_from = _required(inspect.signature(value))
            asked = _required(inspect.signature(value.attribute))
            if built_from in (["model"], ["forward_func"]) and asked in (
                ["self", "inputs"],
                ["self", "inputs", "baselines"],
            ):
                found[name] = value
    return found


def _required(signature: inspect.Signature) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in kinds
    ]


def _check_method(name: str) -> None:
    """Raise InputError unless the generic wrapper knows the method."""
    core = core_of(name)
    if name == "Occlusion":
        raise InputError("Occlusion needs a window and pictures: use 'occlusion' instead")
    if name == "NoiseTunnel":
        raise InputError("NoiseTunnel goes around another method: write 'NoiseTunnel(Saliency)', say")
    if core not in methods():
        raise unknown("captum method", core, methods())
    if core != name and core in MANY_BASELINES:
        raise InputError(f"NoiseTunnel cannot go around {core}, which draws its own baselines: use {core} alone")


def core_of(method: str) -> str:
    """``Saliency`` of ``NoiseTunnel(Saliency)``; any other name itself."""
    return method.removeprefix("NoiseTunnel(").removesuffix(")") if method.startswith("NoiseTunnel(") else method


@functools.cache
def _arguments(method: str) -> dict[str, Any]:
    """Names and defaults of the arguments of a method's ``attribute``."""
    import captum.attr

    core = core_of(method)
    classes = [getattr(captum.attr, core)] + ([captum.attr.NoiseTunnel] if core != method else [])
    parameters = [p for c in classes for p in inspect.signature(c.attribute).parameters.values()]
    return {p.name: p.default for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD}


class Captum(LocalExplainer):
    """Any attribution method of captum that needs a model and rows only, by the name of its class.

    Rows go through the network in large batches, of at most ``internal_batch_size`` rows, and fewer where the inputs
    are many, or the memory of a suite is small (``base.rows_at_once``).
    """

    name: ClassVar[str] = "captum"
    later: ClassVar[tuple[str, ...]] = ("background",)

    method: str
    """Class in captum.attr, such as ``GuidedBackprop``, or ``NoiseTunnel(...)`` around one."""
    baseline: BaselineName = "mean"
    """What an input is compared with, where the method asks for one row: the training mean, or 0."""
    background: Annotated[int, Field(ge=2)] = 64
    """Training rows to compare with, where the method asks for many (DeepLiftShap, GradientShap)."""
    parameters: Parameters = {}
    """Further arguments of the method's ``attribute``."""
    internal_batch_size: Annotated[int, Field(ge=1)] = 4096
    """Rows in one pass of the network at the most."""

    @model_validator(mode="after")
    def _known_names(self) -> Captum:
        # The presets must not load captum before they run.
        if self.method != type(self).model_fields["method"].default:
            _check_method(self.method)
        if self.parameters:
            fields = set(type(self).model_fields) - set(Captum.model_fields)
            accepted = [a for a in _arguments(self.method) if a not in (*GIVEN, *NOT_OFFERED, *fields)]
            for name in self.parameters:
                if name in fields:
                    raise InputError(f"{name!r} is a field of {self.name}: set it beside 'parameters', not inside")
                if name not in accepted:
                    raise InputError(
                        f"unknown entry {name!r} in 'parameters': {self.method} takes {', '.join(accepted) or 'none'}"
                    )
        return self

    def arguments(self, X: Tensor) -> dict[str, Any]:
        """Keyword arguments of the method's ``attribute`` on the rows ``X`` (n, ...) that are not ``GIVEN``."""
        return {}

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None or core_of(self.method) not in LAYERWISE:
            return reason
        try:
            model = self.prepared(copy.deepcopy(problem.fitted))
        except ValueError as error:
            return f"captum's {core_of(self.method)}: {error}"
        return _layerwise_reason(core_of(self.method), model, problem.X_train[:2])

    def prepared(self, model: nn.Module) -> nn.Module:
        """The model as the method wants it, with the same outputs; ``model`` is a copy already."""
        core, folded = core_of(self.method), fold_spectral(model)
        if core in LAYERWISE:
            out_of_place(folded)
        if core == "LRP":
            folded = fold_every_batch_norm(folded)
            if next(folded.children(), None) is None:
                folded = nn.Sequential(folded)  # captum looks for layers among the children only
        return folded

    def built(self, model: nn.Module, problem: Problem) -> Any:
        """captum's object around a prepared model."""
        import captum.attr

        core = core_of(self.method)
        found = getattr(captum.attr, core)(model)
        if hasattr(found, "gradient_func"):  # captum leaves it to be replaced
            found.gradient_func = gradients_of_sum
        return found if core == self.method else captum.attr.NoiseTunnel(found)

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        with problem.clock.setting_up():
            model = self.prepared(model)
            keywords = {**self.arguments(X), **self.parameters, **self._baselines(X, problem)}
            limit = rows_at_once(self.internal_batch_size, problem.d, problem.memory)
            chunk = min(max(limit // self._passes(keywords), 1), len(X))
            known = _arguments(self.method)
            if "internal_batch_size" in known:
                keywords["internal_batch_size"] = limit
            if "perturbations_per_eval" in known:
                most = limit if core_of(self.method) in ROW_BY_ROW else min(limit // chunk, problem.d)
                keywords.setdefault("perturbations_per_eval", max(most, 1))
            if "return_input_shape" in known:
                keywords["return_input_shape"] = False  # captum would loop over the inputs of every row
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # announcements of hooks that are taken away again
            for start in range(0, len(X), chunk):
                rows = X[start : start + chunk].detach().requires_grad_(True)
                classes = 0 if target is None else target[start : start + chunk]
                values = self.built(model, problem).attribute(rows, target=classes, **keywords)
                # Some come with their graph, which would keep every batch in memory.
                found.append(values.detach().reshape(rows.shape))
        return torch.cat(found) if len(found) > 1 else found[0]

    def _baselines(self, X: Tensor, problem: Problem) -> dict[str, Tensor]:
        if "baselines" not in _arguments(self.method):
            return {}
        if self.method in MANY_BASELINES:
            return {"baselines": problem.background(self.background)}
        mean = problem.X_train.mean(0, keepdim=True).reshape(1, *X.shape[1:])
        return {"baselines": mean if self.baseline == "mean" else torch.zeros_like(mean)}

    def _passes(self, keywords: dict[str, Any]) -> int:
        """Rows that go through the network at once for every explained row, where captum does not bound them."""
        given, core = {**_arguments(self.method), **keywords}, core_of(self.method)
        if core == "GradientShap":
            return int(given["n_samples"])
        pairs = {"DeepLift": 2, "DeepLiftShap": 2 * self.background}.get(core, 1)
        return pairs * (1 if core == self.method else int(given["nt_samples"]))


class Saliency(Captum):
    """Absolute gradient of the output (Simonyan et al., arXiv 1312.6034)."""

    name: ClassVar[str] = "saliency"
    method: Literal["Saliency"] = "Saliency"


class SmoothGrad(Captum):
    """Gradient averaged over noisy copies of a row (Smilkov et al., arXiv 1706.03825): NoiseTunnel over Saliency.

    As in the paper the average is over signed gradients, and the standard deviation of the noise a share of the range
    of a row's inputs (here of its mean over rows).
    """

    name: ClassVar[str] = "smoothgrad"
    method: Literal["NoiseTunnel(Saliency)"] = "NoiseTunnel(Saliency)"
    nt_samples: Annotated[int, Field(ge=1)] = 50
    """Noisy copies of every row; the paper sees little change beyond 50."""
    noise: Annotated[float, Field(ge=0)] = 0.15
    """Standard deviation, as a share of the range; the paper recommends 0.1 to 0.2."""

    def arguments(self, X: Tensor) -> dict[str, Any]:
        spread = float((X.amax(1) - X.amin(1)).mean())
        return {"nt_samples": self.nt_samples, "stdevs": self.noise * spread, "abs": False}


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

    def arguments(self, X: Tensor) -> dict[str, Any]:
        return {"n_steps": self.n_steps}


class GradientShap(Captum):
    """Expected gradients, captum's way: random points between a row and random background rows.

    Erion et al. (2021); Lundberg and Lee, arXiv 1705.07874. The same quantity as ``shap_gradient``.
    """

    name: ClassVar[str] = "gradient_shap"
    method: Literal["GradientShap"] = "GradientShap"
    rows: Annotated[int, Field(ge=1)] = 128
    n_samples: Annotated[int, Field(ge=1)] = 50
    """Points a row, each with a background row drawn anew."""

    def arguments(self, X: Tensor) -> dict[str, Any]:
        return {"n_samples": self.n_samples}


class DeepLift(Captum):
    """DeepLIFT, rescale rule, against the baseline (Shrikumar et al., arXiv 1704.02685)."""

    name: ClassVar[str] = "deeplift"
    method: Literal["DeepLift"] = "DeepLift"


class DeepLiftShap(Captum):
    """DeepLIFT averaged over background rows (Lundberg and Lee, arXiv 1705.07874): ``shap_deep``, captum's way."""

    name: ClassVar[str] = "deeplift_shap"
    method: Literal["DeepLiftShap"] = "DeepLiftShap"
    rows: Annotated[int, Field(ge=1)] = 128


class GuidedBackprop(Captum):
    """Gradient that passes a ReLU only where it is positive (Springenberg et al., arXiv 1412.6806).

    On a network without ReLU it is the gradient.
    """

    name: ClassVar[str] = "guided_backprop"
    method: Literal["GuidedBackprop"] = "GuidedBackprop"


class Deconvolution(Captum):
    """Gradient with every ReLU applied on the way back instead (Zeiler and Fergus, arXiv 1311.2901).

    On a network without ReLU it is the gradient.
    """

    name: ClassVar[str] = "deconvolution"
    method: Literal["Deconvolution"] = "Deconvolution"


class LRP(Captum):
    """Layer-wise relevance propagation (Bach et al., PLOS ONE 2015; rules: Montavon et al. 2019).

    Batch norm is merged into the neighbouring dense layers first: captum has no rule for it. On a network of ReLUs
    without biases the epsilon rule ranks exactly as ``input_x_gradient``.
    """

    name: ClassVar[str] = "lrp"
    later: ClassVar[tuple[str, ...]] = ("background", "rule")
    method: Literal["LRP"] = "LRP"
    rule: Literal["epsilon", "gamma", "alpha_beta"] = "epsilon"
    """Of the layers whose inputs are never negative on the training rows: behind a ReLU, or pictures. The others keep
    epsilon: captum's ``gamma`` (0.25) and ``alpha_beta`` (alpha 1, beta 0, without biases) change weights by their
    sign, which stands for the sign of a contribution only where inputs are >= 0."""

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None or self.rule == "epsilon":
            return reason
        if self._ruled(self.prepared(copy.deepcopy(problem.fitted)), problem):
            return None
        return f"the {self.rule} rule is for layers whose inputs are never negative: the model has none"

    def built(self, model: nn.Module, problem: Problem) -> Any:
        from captum.attr._utils import lrp_rules

        if self.rule != "epsilon":
            for layer in self._ruled(model, problem):
                # captum looks for the rule on the layer and takes it away again.
                if self.rule == "gamma":
                    layer.rule = lrp_rules.GammaRule()
                else:
                    layer.rule = lrp_rules.Alpha1_Beta0_Rule(set_bias_to_zero=True)
        return super().built(model, problem)

    def _ruled(self, model: nn.Module, problem: Problem) -> list[nn.Module]:
        return never_negative(model, problem.X_train)


def gradients_of_sum(
    forward_fn: Any, inputs: tuple[Tensor, ...], target_ind: Any = None, additional_forward_args: Any = None
) -> tuple[Tensor, ...]:
    """What captum's ``compute_gradients`` returns, by the sum of the outputs; captum makes a list of every row's."""
    from captum._utils.common import _run_forward

    with torch.enable_grad():
        outputs = _run_forward(forward_fn, inputs, target_ind, additional_forward_args)
        return torch.autograd.grad(outputs.sum(), inputs)


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
    elif method in ("DeepLift", "DeepLiftShap"):
        from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR

        called = dict.fromkeys(use.leaves)
        strange = [t for t in called if t not in SUPPORTED_NON_LINEAR and t not in LINEAR_LAYERS]
    else:
        strange = []
    return f"captum's {method} has no rule for {', '.join(t.__name__ for t in strange)}" if strange else None
