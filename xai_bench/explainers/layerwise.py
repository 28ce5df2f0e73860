"""captum's methods that propagate layer by layer, on modules that they know: presets of the generic wrapper.

Where a module has no rule, or the attributions do not add up to what they should, the method is unsupported.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.explainers.base import Problem
from xai_bench.explainers.captum import Captum
from xai_bench.explainers.completeness import miss
from xai_bench.explainers.kinds_of_layers import LINEAR, ONE_NUMBER, PASSING
from xai_bench.explainers.layers import (
    ONCE,
    PLACES,
    as_layers,
    fold_every_batch_norm,
    layer_use,
    never_negative,
    out_of_place,
    without_biases,
)
from xai_bench.models.folding import fold_spectral

LINEAR_LAYERS = (*LINEAR, *PASSING, nn.Dropout)
"""Linear (affine) in eval mode: DeepLIFT's multipliers are their gradients."""
BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
TRIED = 16
"""Validation rows on which sums are checked before a method is used."""


class Layerwise(Captum):
    """What these methods share: the layers that they need, each used once."""

    method: str

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        try:
            model = self.prepared(copy.deepcopy(problem.fitted))
        except ValueError as error:
            return f"captum's {self.method}: {error}"
        return _layerwise_reason(self.method, model, problem.X_train[:2])

    def prepared(self, model: nn.Module) -> nn.Module:
        return out_of_place(super().prepared(model))


class DeepLift(Layerwise):
    """DeepLIFT, rescale rule, against the baseline (Shrikumar et al., arXiv 1704.02685).

    captum's, with its rules for max pooling and softmax and its hooks mended (``captum_inside``). The attributions of
    every row are checked: their sum is its output less that of the baseline, within 1 % of the root mean square.
    """

    name: ClassVar[str] = "deeplift"
    completeness: ClassVar[bool] = True
    method: Literal["DeepLift"] = "DeepLift"

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or _incomplete(self, problem)

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        return _complete(self, super().attribute, model, X, target, problem)


class DeepLiftShap(Layerwise):
    """DeepLIFT averaged over background rows (Lundberg and Lee, arXiv 1705.07874): ``shap_deep``, captum's way.

    Mended and checked as ``deeplift``.
    """

    name: ClassVar[str] = "deeplift_shap"
    completeness: ClassVar[bool] = True
    method: Literal["DeepLiftShap"] = "DeepLiftShap"

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or _incomplete(self, problem)

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        return _complete(self, super().attribute, model, X, target, problem)


class GuidedBackprop(Layerwise):
    """Gradient that passes a ReLU only where it is positive (Springenberg et al., arXiv 1412.6806).

    On a network without ReLU it is the gradient.
    """

    name: ClassVar[str] = "guided_backprop"
    method: Literal["GuidedBackprop"] = "GuidedBackprop"


class Deconvolution(Layerwise):
    """Gradient with every ReLU applied on the way back instead (Zeiler and Fergus, arXiv 1311.2901).

    On a network without ReLU it is the gradient.
    """

    name: ClassVar[str] = "deconvolution"
    method: Literal["Deconvolution"] = "Deconvolution"


class LRP(Layerwise):
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
        reason = super().unsupported(problem) or self._unconserved(problem)
        if reason is not None or self.rule == "epsilon":
            return reason
        if self._ruled(self.prepared(copy.deepcopy(problem.fitted)), problem):
            return None
        return f"the {self.rule} rule is for layers whose inputs are never negative: the model has none"

    def prepared(self, model: nn.Module) -> nn.Module:
        folded = fold_every_batch_norm(super().prepared(model))
        # captum looks for layers among the children only
        return folded if next(folded.children(), None) is not None else nn.Sequential(folded)

    def _unconserved(self, problem: Problem) -> str | None:
        """Without biases, which take relevance of their own, the relevance of a row adds up to its output.

        In float64: shares of a sum that is nearly 0 are large, and cancel.
        """
        model = without_biases(self.prepared(copy.deepcopy(problem.fitted))).double()
        X, target = _some_rows(problem)
        X = X.double()
        values = Captum.attribute(LRP(target=self.target), model, X, target, problem)
        outputs = _explained(model, X, target)
        missed = miss(values.cpu().numpy(), outputs, outputs)
        return None if missed is None else f"captum's LRP loses relevance: {missed}"

    def built(self, model: nn.Module, problem: Problem) -> Any:
        from xai_bench.explainers import captum_inside

        if self.rule != "epsilon":
            for layer in self._ruled(model, problem):
                # captum looks for the rule on the layer and takes it away again.
                if self.rule == "gamma":
                    layer.rule = captum_inside.GammaRule()
                else:
                    layer.rule = captum_inside.Alpha1_Beta0_Rule(set_bias_to_zero=True)
        return super().built(model, problem)

    def _ruled(self, model: nn.Module, problem: Problem) -> list[nn.Module]:
        # The sign of the weight of a batch norm is not that of a contribution.
        return [layer for layer in never_negative(model, problem.X_train) if not isinstance(layer, BATCH_NORM)]


def _layerwise_reason(method: str, model: nn.Module, X: Tensor) -> str | None:
    """Why a method that propagates layer by layer cannot explain ``model``, or None."""
    use = layer_use(model, X)
    if use.reused:
        again = ", ".join(use.reused)
        return f"captum's {method} needs every layer to be used once: {again} is used again: {ONCE}"
    if use.by_keyword:
        names = ", ".join(use.by_keyword)
        return f"captum's {method} sees what layers are given by position: {names} is called by keyword"
    mixing = next((m for m in model.modules() if isinstance(m, BATCH_NORM) and m.running_mean is None), None)
    if method == "LRP" and mixing is not None:
        return f"captum's {method}: {type(mixing).__name__} without running statistics mixes rows"
    sums = tuple(name for name in use.linear_outside if name not in PLACES) if method == "LRP" else ()
    outside = use.other_outside + sums
    if outside:
        calls, remedy = ", ".join(outside), as_layers(outside)
        return f"captum's {method} sees layers only: the model calls {calls} outside of them{remedy}"
    if method == "LRP":
        from xai_bench.explainers.captum_inside import LRP_LAYERS

        # captum looks at all layers, called or not.
        leaves = dict.fromkeys(type(m) for m in model.modules() if next(m.children(), None) is None)
        strange = [t for t in leaves if t not in LRP_LAYERS]
    elif method in ("DeepLift", "DeepLiftShap"):
        from xai_bench.explainers.captum_inside import SUPPORTED_NON_LINEAR, Addition_Module

        called = dict.fromkeys(use.leaves)
        known = (*SUPPORTED_NON_LINEAR, *ONE_NUMBER, *LINEAR_LAYERS, Addition_Module)
        strange = [t for t in called if t not in known]
    else:
        strange = []
    return f"captum's {method} has no rule for {', '.join(t.__name__ for t in strange)}" if strange else None


def _some_rows(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """The first validation rows and their classes, None in regression."""
    return problem.X_valid[:TRIED], problem.y_valid[:TRIED] if problem.kind == "classification" else None


def _explained(model: nn.Module, X: Tensor, target: Tensor | None) -> NDArray[np.float64]:
    """(n,) the outputs that are explained."""
    with torch.no_grad():
        outputs = model(X)
    classes = torch.zeros(len(X), dtype=torch.int64, device=X.device) if target is None else target
    return outputs.gather(1, classes[:, None])[:, 0].double().cpu().numpy()


Attribute = Callable[[nn.Module, Tensor, Tensor | None, Problem], Tensor]


def _complete(
    explainer: Captum, attribute: Attribute, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem
) -> Tensor:
    """DeepLIFT's attributions; ValueError where they do not add up to the differences of the outputs.

    The outputs are those of its own passes: pairs of a row and a baseline, rows first.
    """
    passes: list[Tensor] = []
    # Before captum's own hook, which puts rows and baselines side by side.
    handle = model.register_forward_hook(lambda _module, _given, output: passes.append(output.detach()))
    try:
        values = attribute(model, X, target, problem)
    finally:
        handle.remove()
    halves = [output.chunk(2) for output in passes]
    of_rows, of_baselines = (torch.cat(half) for half in zip(*halves, strict=True))
    classes = torch.zeros(len(X), dtype=torch.int64, device=X.device) if target is None else target
    classes = classes.repeat_interleave(len(of_rows) // len(X))[:, None]
    outputs, baselines = (o.gather(1, classes).view(len(X), -1).double().mean(1) for o in (of_rows, of_baselines))
    missed = miss(values.cpu().numpy(), (outputs - baselines).cpu().numpy(), outputs.cpu().numpy())
    if missed is not None:
        raise ValueError(f"captum's {explainer.method}: {missed}")
    return values


def _incomplete(explainer: Captum, problem: Problem) -> str | None:
    """Why the attributions of some rows do not add up, or None."""
    X, target = _some_rows(problem)
    model = fold_spectral(copy.deepcopy(problem.fitted)).requires_grad_(False)
    try:
        explainer.attribute(model, X, target, replace(problem, generator=np.random.default_rng(0)))
    except ValueError as error:
        return str(error)
    return None


PRESETS: tuple[type[Captum], ...] = (DeepLift, DeepLiftShap, GuidedBackprop, Deconvolution, LRP)
