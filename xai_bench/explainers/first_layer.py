"""The layer through which a network reads its inputs: the one called first on the rows."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

ROWS = 16
"""Rows on which a network is watched."""


class FirstLayer(NamedTuple):
    """The layer, or None; and why its weights say nothing about the inputs, or None."""

    layer: nn.Module | None
    reason: str | None


def first_layer(model: nn.Module, X: Tensor) -> FirstLayer:
    """The layer with weights of its own that is called first on rows ``X`` (n, d), wherever the model holds it.

    Its columns belong to the inputs only where it is given the inputs themselves (reshapes and dropout in eval mode
    may stand before it, a standardisation may not), is used once, and is the only one that reads them. The model runs
    as a copy: it is left as it was, and no evaluation is counted.
    """
    X = X[:ROWS]
    watched = copy.deepcopy(model).requires_grad_(False)
    watched._forward_hooks.clear()  # those of the model itself count evaluations
    calls, outputs = _calls(watched, X)
    if not calls:
        return FirstLayer(None, "none of its layers has weights")
    name, given = calls[0]
    layer = dict(model.named_modules())[name]
    if not _same_values(given, X):
        return FirstLayer(layer, "its first layer is not given the inputs themselves")
    if getattr(layer, "in_features", X.shape[1]) != X.shape[1]:
        return FirstLayer(layer, "its first layer is not given all inputs at once")
    if [called for called, _ in calls].count(name) > 1:
        return FirstLayer(layer, "its first layer is used more than once")
    if not _only_reader(watched, name, X, outputs):
        return FirstLayer(layer, "its first layer is not the only one that reads the inputs")
    return FirstLayer(layer, None)


def _calls(model: nn.Module, X: Tensor) -> tuple[list[tuple[str, Tensor]], Tensor]:
    """(name, what it was given) of every call of a module without children and with weights; the outputs."""
    calls: list[tuple[str, Tensor]] = []
    handles = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None and next(module.parameters(recurse=False), None) is not None:

            def enter(_module: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
                if given and isinstance(given[0], Tensor):
                    calls.append((name, given[0]))

            handles.append(module.register_forward_pre_hook(enter))
    try:
        with torch.no_grad():
            outputs = model(X.clone())
    finally:
        for handle in handles:
            handle.remove()
    return calls, outputs


def _same_values(given: Tensor, X: Tensor) -> bool:
    return given.ndim > 1 and given.flatten(1).shape == X.shape and torch.equal(given.flatten(1).to(X.dtype), X)


def _only_reader(model: nn.Module, name: str, X: Tensor, outputs: Tensor) -> bool:
    """Whether other rows change nothing as long as the layer says what it says of ``X``."""
    layer = dict(model.named_modules())[name]
    with torch.no_grad():
        said = _output_of(layer, model, X)
        handle = layer.register_forward_hook(lambda _module, _given, _output: copy.deepcopy(said))
        try:
            return torch.equal(model(X.roll(1, 0)), outputs)
        finally:
            handle.remove()


def _output_of(layer: nn.Module, model: nn.Module, X: Tensor) -> Any:
    found: list[Any] = []
    handle = layer.register_forward_hook(lambda _module, _given, output: found.append(output))
    try:
        model(X.clone())
    finally:
        handle.remove()
    return found[0]
