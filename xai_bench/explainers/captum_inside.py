"""Parts of captum that this package replaces or reads below its public names. Loading this module loads captum.

captum's DeepLIFT does not add up, or depends on the batch, in four places that are mended here. A layer's hook stands
on the tensor that it is given: the layer before has read its gradient by then, and whoever else uses the tensor (a
residual connection) loses its own. Max pooling lets the last of two overlapping windows win. Softmax subtracts a mean
over the batch.

captum's rules are used for more layers here: the rescale rule of DeepLIFT for any function of one number, the epsilon
rule of LRP for any linear layer and pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import captum.attr
import torch
from captum._utils.common import _register_backward_hook
from captum._utils.common import _run_forward as run_forward
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR, nonlinear
from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS
from captum.attr._utils.approximation_methods import SUPPORTED_METHODS
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule, PropagationRule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.hooks import RemovableHandle

from xai_bench.explainers.kinds_of_layers import FROM_ZERO, LINEAR, ONE_NUMBER, PASSING, POOLING

__all__ = [
    "LRP_LAYERS",
    "SUPPORTED_METHODS",
    "SUPPORTED_NON_LINEAR",
    "Addition_Module",
    "Alpha1_Beta0_Rule",
    "GammaRule",
    "method_class",
    "run_forward",
]

POOLS: dict[type[nn.Module], Any] = {
    nn.MaxPool1d: nn.functional.max_pool1d,
    nn.MaxPool2d: nn.functional.max_pool2d,
    nn.MaxPool3d: nn.functional.max_pool3d,
}
LRP_WITH_RULES = (*SUPPORTED_LAYERS_WITH_RULES, *LINEAR, *POOLING)
LRP_THROUGH = (*SUPPORTED_NON_LINEAR_LAYERS, *FROM_ZERO)
LRP_LAYERS = (*LRP_WITH_RULES, *LRP_THROUGH, *PASSING)
"""Layers that LRP knows."""
LASSO = 0.01
"""Strength of the lasso in LIME: captum's, in standard deviations of the outputs of a row's copies."""
CLOSE = 1e-8
"""Differences below this, in float64, count as none: a quotient of differences is then a derivative."""


def max_pool_multipliers(pool: Any, x: Tensor, x0: Tensor, received: Tensor) -> Tensor:
    """(n, ...) multipliers of the inputs ``x`` of a max pooling against ``x0``, given those of its outputs.

    A window whose maximum rises passes the rise to where ``x`` is largest, one whose maximum falls to where ``x0`` is:
    the input there differs by as much at the least. An input collects from all windows that it is in.
    """
    settings = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, True)
    y, where = POOLS[type(pool)](x, *settings)
    y0, where0 = POOLS[type(pool)](x0, *settings)
    spatial = y.ndim - 2
    gained = torch.zeros_like(x).flatten(-spatial)
    for values, places in ((received * (y - y0).clamp(min=0), where), (received * (y - y0).clamp(max=0), where0)):
        gained.scatter_add_(-1, places.flatten(-spatial), values.flatten(-spatial))
    gained = gained.view_as(x)
    return torch.where(gained == 0, 0.0, gained / (x - x0))


def softmax_multipliers(dim: int, x: Tensor, x0: Tensor, received: Tensor) -> Tensor:
    """(n, ...) multipliers of the inputs of a softmax over ``dim``, given those of its outputs.

    The rescale rule on the functions of one number that it consists of: p_k = exp(l_k), l_k = x_k - L and
    L = log S, S = sum_i exp(x_i). The softmax itself is no such function: p_k changes where x_k does not.
    """
    x, x0, received = x.double(), x0.double(), received.double()
    log_p, log_p0 = x.log_softmax(dim), x0.log_softmax(dim)
    of_log_p = received * _quotient(log_p.exp(), log_p0.exp(), log_p, log_p0, log_p.exp())
    shift = torch.maximum(x, x0).amax(dim, keepdim=True)
    e, e0 = (x - shift).exp(), (x0 - shift).exp()
    s, s0 = e.sum(dim, keepdim=True), e0.sum(dim, keepdim=True)
    log_s, log_s0 = (x - shift).logsumexp(dim, keepdim=True), (x0 - shift).logsumexp(dim, keepdim=True)
    of_log_s = _quotient(log_s, log_s0, s, s0, 1 / s) * _quotient(e, e0, x, x0, e)
    return of_log_p - of_log_p.sum(dim, keepdim=True) * of_log_s


def _quotient(y: Tensor, y0: Tensor, x: Tensor, x0: Tensor, derivative: Tensor) -> Tensor:
    """(y - y0) / (x - x0), or the derivative where x and x0 are close."""
    change = x - x0
    close = change.abs() <= CLOSE * torch.maximum(x.abs(), x0.abs()).clamp(max=1.0)
    return torch.where(close, derivative, (y - y0) / torch.where(close, 1.0, change))


class _OwnHooks:
    """Hooks on a copy of what a layer is given, which nobody else uses."""

    def _register_hooks(self, module: nn.Module, attribute_to_layer_input: bool = True) -> None:
        if self._can_register_hook(module):  # type: ignore[attr-defined]
            self.forward_handles += [  # type: ignore[attr-defined]
                module.register_forward_hook(self._forward_hook),  # type: ignore[attr-defined]
                module.register_forward_pre_hook(self._forward_pre_hook),  # type: ignore[attr-defined]
            ]
            self.backward_handles += gradient_hooks(module, self._backward_hook)  # type: ignore[attr-defined]


def gradient_hooks(module: nn.Module, hook: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> list[RemovableHandle]:
    """``hook(module, gradient of its input, gradient of its output)`` gives the gradient that goes on."""
    received: list[Tensor] = []

    def enter(_module: nn.Module, given: tuple[Tensor, ...]) -> Tensor:
        own = given[0].clone()
        own.register_hook(lambda gradient: hook(module, gradient, received[-1]))
        return own

    def leave(_module: nn.Module, _given: tuple[Tensor, ...], output: Tensor) -> None:
        output.register_hook(received.append)

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]


class _Rules(_OwnHooks):
    """What the two classes below add to captum's."""

    def _is_non_linear(self, module: nn.Module) -> bool:
        return type(module) in SUPPORTED_NON_LINEAR or type(module) in ONE_NUMBER

    def _backward_hook(self, module: Any, grad_input: Tensor, grad_output: Tensor) -> Tensor:
        if type(module) not in SUPPORTED_NON_LINEAR:
            x, y = module.input, module.output
            del module.input, module.output
            return nonlinear(module, x, y, grad_input, grad_output, eps=self.eps)  # type: ignore[attr-defined]
        if type(module) not in POOLS and not isinstance(module, nn.Softmax):
            return super()._backward_hook(module, grad_input, grad_output)  # type: ignore[misc]
        x, x0 = module.input.chunk(2)
        received = grad_output.chunk(2)[0]
        del module.input, module.output
        if isinstance(module, nn.Softmax):
            # torch's own choice where none was made.
            dim = (0 if x.ndim in (1, 3) else 1) if module.dim is None else module.dim
            multipliers = softmax_multipliers(dim, x, x0, received).to(grad_input.dtype)
        else:
            multipliers = max_pool_multipliers(module, x, x0, received)
        return torch.cat([multipliers, multipliers])


class DeepLift(_Rules, captum.attr.DeepLift):
    """captum's, with the rules above."""


class DeepLiftShap(_Rules, captum.attr.DeepLiftShap):
    """captum's, with the rules above."""


class LRP(captum.attr.LRP):
    """captum's, with its epsilon rule for all linear layers and poolings; relevance is reshaped as activations are."""

    layers: list[nn.Module]

    def _get_layers(self, model: nn.Module) -> None:
        super()._get_layers(model)
        # The gradient through them, which carries relevance, is the relevance of what they are given.
        self.layers = [layer for layer in self.layers if type(layer) not in PASSING]

    def _check_and_attach_rules(self) -> None:
        for layer in self.layers:
            if type(layer) in LRP_WITH_RULES and not hasattr(layer, "rule"):
                layer.rule = EpsilonRule()
        every = self.layers
        self.layers = [layer for layer in every if type(layer) not in LRP_THROUGH]
        super()._check_and_attach_rules()
        for layer in every:
            if type(layer) in LRP_THROUGH:
                layer.rule = None  # type: ignore[assignment]
        self.layers = every

    def _register_forward_hooks(self) -> None:
        every = self.layers
        self.layers = [layer for layer in every if layer.rule is not None]
        super()._register_forward_hooks()
        self.layers = every
        for layer in every:
            if layer.rule is None:
                hook = PropagationRule.backward_hook_activation
                self.backward_handles.extend(_register_backward_hook(layer, hook, self))


class _OwnReLUHooks:
    """What the next two classes add to captum's: a gradient that passes beside a ReLU is not rectified."""

    def _register_hooks(self, module: nn.Module) -> None:
        if isinstance(module, nn.ReLU):
            self.backward_hooks += gradient_hooks(module, self._backward_hook)  # type: ignore[attr-defined]


class GuidedBackprop(_OwnReLUHooks, captum.attr.GuidedBackprop):
    """captum's, with own hooks."""


class Deconvolution(_OwnReLUHooks, captum.attr.Deconvolution):
    """captum's, with own hooks."""


class RelativeLasso(SkLearnLasso):
    """A lasso whose strength ``alpha`` counts in standard deviations of the outputs it is fitted to."""

    def fit(self, train_data: DataLoader, **kwargs: Any) -> Any:
        """Fit on rows (x, y, weight); the coefficients are in units of y."""
        x, y, weight = cast(TensorDataset, train_data.dataset).tensors
        share = (weight / weight.sum()).double()
        centred = y.double() - share @ y.double()
        spread = torch.sqrt(share @ centred.square())
        scaled = (centred / spread if spread > 0 else centred).to(x.dtype)
        result = super().fit(DataLoader(TensorDataset(x, scaled, weight), batch_size=len(x)), **kwargs)
        with torch.no_grad():
            self.linear.weight.mul_(spread)
        return result


class Lime(captum.attr.Lime):
    """captum's, with a lasso whose strength is relative to the outputs."""

    def __init__(self, forward_func: Any) -> None:
        super().__init__(forward_func, interpretable_model=RelativeLasso(alpha=LASSO))


def method_class(name: str) -> Any:
    """The class of that name in this module, else in ``captum.attr``."""
    own = (DeepLift, DeepLiftShap, LRP, GuidedBackprop, Deconvolution, Lime)
    return next((one for one in own if one.__name__ == name), None) or getattr(captum.attr, name)
