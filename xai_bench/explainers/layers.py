"""Which layers a model calls, and what it computes outside of them.

Methods that propagate layer by layer (DeepLIFT, LRP) see modules only: what a model computes with plain
functions, or with a layer used twice, passes them unseen and gives wrong numbers without an error.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xai_bench.models.folding import fold_batch_norm

RESHAPES = frozenset(
    {
        *("flatten", "unflatten", "reshape", "view", "squeeze", "unsqueeze", "contiguous", "to", "float", "clone"),
        *("transpose", "permute", "movedim", "swapaxes", "swapdims", "expand", "get"),
    }
)
"""``get`` is ``x.T``."""
PLACES = frozenset(
    {"cat", "concat", "stack", "getitem", "index_select", "select", "narrow", "split", "chunk", "unbind"}
)
"""Functions whose outputs are their inputs at other places, or some of them."""
SUMS = PLACES | {"add", "sub", "rsub", "neg", "sum", "mean"}
PRODUCTS = frozenset({"mul", "rmul", "matmul", "rmatmul", "linear", "mm", "bmm", "addmm", "div", "truediv"})

ONCE = "give each use a module of its own, which may hold the same weights"
"""What to do about a layer that is used twice."""
MODULES = {
    "relu": "nn.ReLU",
    "leaky_relu": "nn.LeakyReLU",
    "elu": "nn.ELU",
    "gelu": "nn.GELU",
    "silu": "nn.SiLU",
    "mish": "nn.Mish",
    "hardswish": "nn.Hardswish",
    "softplus": "nn.Softplus",
    "tanh": "nn.Tanh",
    "sigmoid": "nn.Sigmoid",
    "softmax": "nn.Softmax",
    "dropout": "nn.Dropout",
    "max_pool1d": "nn.MaxPool1d",
    "max_pool2d": "nn.MaxPool2d",
    "avg_pool1d": "nn.AvgPool1d",
    "avg_pool2d": "nn.AvgPool2d",
    "adaptive_avg_pool2d": "nn.AdaptiveAvgPool2d",
    "add": "Addition_Module of captum.attr._utils.custom_modules",
}
"""Functions that exist as modules."""


def as_layers(functions: Sequence[str]) -> str:
    """What to do about functions that a model calls outside of its layers, "" if nothing can be done."""
    found = [MODULES[name] for name in functions if name in MODULES]
    return f": use {', '.join(found)}" if len(found) == len(functions) else ""


@dataclass(frozen=True)
class LayerUse:
    """What one forward pass showed.

    Attributes
    ----------
    leaves : types of the modules without children that were called, in order
    reused : names of the types of those that were called more than once
    by_keyword : names of the types of those that were given their input by keyword, which hooks do not see
    linear_outside : functions outside of them that are linear in the input, reshapes excepted
    other_outside : functions outside of them that are not
    """

    leaves: tuple[type[nn.Module], ...]
    reused: tuple[str, ...]
    by_keyword: tuple[str, ...]
    linear_outside: tuple[str, ...]
    other_outside: tuple[str, ...]


def layer_use(model: nn.Module, X: Tensor) -> LayerUse:
    """Run ``model`` on ``X`` (n, d) and watch; the model is left as it was."""
    calls: list[nn.Module] = []
    by_keyword: dict[str, None] = {}
    watcher = _OutsideLayers()

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls.append(module)
        if not inputs:
            by_keyword[type(module).__name__] = None
        watcher.depth += 1

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        watcher.depth -= 1

    handles = []
    try:
        for module in model.modules():
            if next(module.children(), None) is None:
                # Other hooks on the layer (a counter, say) run between the two and count as inside.
                handles.append(module.register_forward_pre_hook(enter, prepend=True))
                handles.append(module.register_forward_hook(leave))
        with torch.enable_grad(), watcher:
            model(X.detach().clone().requires_grad_(True))
    finally:
        for handle in handles:
            handle.remove()
    counts = Counter(id(module) for module in calls)
    reused = {type(module).__name__: None for module in calls if counts[id(module)] > 1}
    return LayerUse(
        tuple(type(module) for module in calls),
        tuple(reused),
        tuple(by_keyword),
        tuple(dict.fromkeys(watcher.linear)),
        tuple(dict.fromkeys(watcher.other)),
    )


def never_negative(model: nn.Module, X: Tensor) -> list[nn.Module]:
    """The modules with weights of their own whose inputs are >= 0 on all rows of ``X`` (n, d): those behind a ReLU."""
    lowest: dict[nn.Module, float] = {}

    def enter(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        lowest[module] = min(lowest.get(module, 0.0), float(inputs[0].min()))

    layers = [m for m in model.modules() if next(m.parameters(recurse=False), None) is not None]
    handles = [layer.register_forward_pre_hook(enter) for layer in layers]
    try:
        with torch.no_grad():
            model(X)
    finally:
        for handle in handles:
            handle.remove()
    return [layer for layer in layers if lowest.get(layer) == 0.0]


def fold_every_batch_norm(model: nn.Module) -> nn.Module:
    """``fold_batch_norm`` on every nn.Sequential inside ``model`` (itself included) that allows it, in place."""
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            with contextlib.suppress(ValueError):  # it stays a layer of its own
                fold_batch_norm(module)
    return model


def out_of_place(model: nn.Module) -> nn.Module:
    """Let no layer overwrite its input, which methods that hook layers still need; changes ``model``."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010 (a plain attribute of some layers only)
    return model


def without_biases(model: nn.Module) -> nn.Module:
    """Set to 0 what layers add whatever their inputs are; changes ``model``."""
    for module in model.modules():
        for name in ("bias", "running_mean"):
            if isinstance(value := getattr(module, name, None), Tensor):
                value.detach().zero_()
    return model


class _OutsideLayers(TorchFunctionMode):
    """Records differentiable torch functions that are called while no leaf module runs."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0
        self.linear: list[str] = []
        self.other: list[str] = []

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # Asked before the call: an in-place function changes the answer.
        differentiable = [_differentiable(value) for value in (*args, *kwargs.values())]
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", str(func)).strip("_")
        if self.depth == 0 and _differentiable(result) and name not in RESHAPES and name != "requires_grad":
            of_one_factor = name in PRODUCTS and sum(differentiable) == 1
            if of_one_factor and name in ("div", "truediv"):
                of_one_factor = differentiable[0]
            (self.linear if name in SUMS or of_one_factor else self.other).append(name)
        return result


def _differentiable(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_differentiable(item) for item in value)
    return isinstance(value, Tensor) and value.requires_grad
