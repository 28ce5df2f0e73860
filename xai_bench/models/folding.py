"""Rewrites a model, in place, into layers that every attribution library knows; its outputs stay the same."""

from __future__ import annotations

import torch
from torch import nn

from xai_bench.models.spectral import SpectralLayer


def fold_spectral(model: nn.Module) -> nn.Module:
    """Replace every spectral layer inside ``model`` by the ordinary one with the same outputs; returns ``model``.

    A model that is itself one spectral layer cannot be changed in place and comes back as what it folds to.
    """
    if isinstance(model, SpectralLayer):
        plain = model.fold()
        plain._forward_hooks.update(model._forward_hooks)  # evaluations are counted by a hook on the model
        return plain
    folded: dict[nn.Module, nn.Module] = {}  # a layer that is used twice stays one layer
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, SpectralLayer):
                if child not in folded:
                    folded[child] = child.fold()
                setattr(module, name, folded[child])
    return model


def first_and_rest(model: nn.Module) -> tuple[nn.Linear, nn.Sequential] | None:
    """The first layer and the rest, with the hooks of ``model``, if it is a plain chain that begins with a Linear."""
    if not isinstance(model, nn.Sequential) or type(model).forward is not nn.Sequential.forward or not len(model):
        return None
    first, *others = model._modules.values()  # children() names a layer that is used twice once
    if not isinstance(first, nn.Linear):
        return None
    rest = nn.Sequential(*others)
    rest._forward_hooks.update(model._forward_hooks)  # evaluations are counted by a hook on the model
    return first, rest


def of_margins(model: nn.Module, n_outputs: int) -> nn.Module:
    """A model whose k-th output is the k-th logit of ``model`` less the mean of the others.

    The last layer takes it in where a chain ends with a Linear, in place; else a Linear comes behind the model.
    """
    margins = torch.eye(n_outputs) * (1 + 1 / (n_outputs - 1)) - 1 / (n_outputs - 1)
    reference = next(iter(model.state_dict().values()), margins)
    margins = margins.to(reference.device, reference.dtype)
    chain = isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward and len(model) > 0
    last = model[-1] if chain else None  # type: ignore[index]
    if type(last) is not nn.Linear or sum(module is last for module in model._modules.values()) > 1:
        return nn.Sequential(model, _linear(margins, margins.new_zeros(n_outputs)))
    bias = margins.new_zeros(n_outputs) if last.bias is None else last.bias.detach()
    model[-1] = _linear(margins @ last.weight.detach(), margins @ bias)  # type: ignore[operator]
    return model


def fold_batch_norm(model: nn.Sequential) -> nn.Sequential:
    """Merge every BatchNorm1d (in eval mode) into a neighbouring Linear, and drop Dropout; returns ``model``.

    y = x * s + t with s = gamma / sqrt(var + eps), t = beta - mean * s. Merged into the Linear before it if
    that is adjacent, else into the next one.

    Raises
    ------
    ValueError
        If a BatchNorm1d has no adjacent Linear on either side.
    """
    layers: list[nn.Module] = []
    waiting: tuple[torch.Tensor, torch.Tensor] | None = None
    for layer in model:
        if isinstance(layer, nn.Dropout | nn.Identity):
            continue
        if isinstance(layer, nn.BatchNorm1d):
            scale, shift = _scale_and_shift(layer)
            previous = layers[-1] if layers else None
            if isinstance(previous, nn.Linear):
                layers[-1] = _scaled_outputs(previous, scale, shift)
            elif waiting is None:
                waiting = scale, shift
            else:
                waiting = waiting[0] * scale, waiting[1] * scale + shift
            continue
        if waiting is not None:
            if not isinstance(layer, nn.Linear):
                raise ValueError(f"BatchNorm1d before {type(layer).__name__} cannot be folded into a Linear")
            layer, waiting = _scaled_inputs(layer, *waiting), None
        layers.append(layer)
    if waiting is not None:
        raise ValueError("BatchNorm1d at the end of a model cannot be folded into a Linear")
    for name in list(model._modules):
        del model._modules[name]
    for layer in layers:
        model.append(layer)
    return model


def _scale_and_shift(norm: nn.BatchNorm1d) -> tuple[torch.Tensor, torch.Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("BatchNorm1d without running statistics cannot be folded")
    scale = 1.0 / torch.sqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach()
    return scale, shift


def _scaled_outputs(linear: nn.Linear, scale: torch.Tensor, shift: torch.Tensor) -> nn.Linear:
    bias = torch.zeros_like(shift) if linear.bias is None else linear.bias.detach()
    return _linear(linear.weight.detach() * scale[:, None], bias * scale + shift)


def _scaled_inputs(linear: nn.Linear, scale: torch.Tensor, shift: torch.Tensor) -> nn.Linear:
    weight = linear.weight.detach()
    bias = weight @ shift
    if linear.bias is not None:
        bias = bias + linear.bias.detach()
    return _linear(weight * scale, bias)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return linear
