"""Sanity: the relevance of a network whose layers are initialised anew, one after the other.

Adebayo et al. 2018 (NeurIPS, arXiv 1810.03292), for relevances of inputs: if a relevance does not change when what
the network has learned is gone, it does not tell what the network has learned. Reported without a verdict: a
relevance may rightly stay (the data are the same), and Spearman's correlation is one way to compare of many.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.component import canonical_json, sha256, stream_seed
from xai_bench.explainers.base import Explainer, Problem
from xai_bench.explainers.first_layer import ROWS
from xai_bench.models.source import ModelSource
from xai_bench.results.records import Measurement
from xai_bench.statistics import rank_correlations

VERSION = 2
"""Raise it when the same networks and explainers give other numbers."""
DIRECTIONS = ("top", "bottom")
Stages = Literal["each", "all"]


def key(stages: Stages = "each") -> str:
    """The key under which it is stored that a cell's relevance was followed through the layers."""
    return sha256(canonical_json(["sanity", VERSION, *([] if stages == "each" else [stages])]))


def layers(module: nn.Module, X: Tensor) -> list[list[str]]:
    """Names of the modules of each layer, in the order in which they are first called on rows ``X`` (n, d).

    A layer begins with a module that owns a matrix; what follows without one (batch norm, say) belongs to it.
    """
    parts, found = dict(module.named_modules()), list[list[str]]()
    for name in _in_order_of_calls(module, X):
        own = list(parts[name].parameters(recurse=False))
        if not found or any(parameter.ndim >= 2 for parameter in own):
            found.append([name])
        else:
            found[-1].append(name)
    return found


def _in_order_of_calls(module: nn.Module, X: Tensor) -> list[str]:
    """Modules with parameters or buffers of their own; one that is never called stands behind the one before it."""
    watched = copy.deepcopy(module)
    watched._forward_hooks.clear()  # those of the module itself count evaluations
    calls: dict[str, int] = {}
    for name, part in watched.named_modules():

        def enter(_module: nn.Module, _given: Any, name: str = name) -> None:
            calls.setdefault(name, len(calls))

        part.register_forward_pre_hook(enter)
    with torch.no_grad():
        watched(X[:ROWS])
    names = [name for name, part in module.named_modules() if _owns(part)]
    place = -1
    places = {name: (place := calls.get(name, place)) for name in names}
    return sorted(names, key=places.__getitem__)


def _owns(part: nn.Module) -> bool:
    return next(part.parameters(recurse=False), None) is not None or next(part.buffers(recurse=False), None) is not None


def reinitialised(module: nn.Module, fresh: nn.Module, chosen: Sequence[Sequence[str]]) -> nn.Module:
    """A copy of ``module`` with the parameters and buffers of ``fresh`` in the chosen layers."""
    result = copy.deepcopy(module)
    with torch.no_grad():
        for layer in chosen:
            for name in layer:
                target, source = result.get_submodule(name), fresh.get_submodule(name)
                for kind in ("parameters", "buffers"):
                    values = dict(getattr(source, f"named_{kind}")(recurse=False))
                    for label, tensor in getattr(target, f"named_{kind}")(recurse=False):
                        tensor.copy_(values[label])
    return result.eval()


def stages(
    module: nn.Module, fresh: nn.Module, X: Tensor, which: Stages = "each"
) -> Iterator[tuple[tuple[str, ...], int, nn.Module]]:
    """(directions, number of layers, network) from one to all layers; all at once is the same from both sides.

    ``which``: each number of layers, or ``all`` of them at once only.
    """
    parts = layers(module, X)
    for direction in DIRECTIONS if which == "each" else ():
        order = parts[::-1] if direction == "top" else parts
        for k in range(1, len(parts)):
            yield (direction,), k, reinitialised(module, fresh, order[:k])
    yield DIRECTIONS, len(parts), reinitialised(module, fresh, parts)


def curves(
    explainer: Explainer,
    source: ModelSource,
    problem: Problem,
    original: NDArray,
    model_key: str,
    seed: int,
    which: Stages = "each",
) -> tuple[Measurement, ...]:
    """``sanity_top`` and ``sanity_bottom`` at k: Spearman's correlation with ``original`` after k layers are new.

    Parameters
    ----------
    problem : with the trained network
    original : (n_inputs,) relevance of that network, in the order of ``problem.partition``
    model_key : the new weights are a function of it: the same for all methods on a network
    seed : that of the original explanation, so that the same rows are explained
    which : see ``stages``

    Raises
    ------
    Exception
        Whatever the explainer raises.
    """
    generator = torch.Generator().manual_seed(stream_seed("sanity", model_key))
    fresh = source.network(problem.shape, problem.n_outputs, generator, problem.kind)
    fixed = problem.constant
    varying = np.array([not fixed[list(columns)].all() for columns in problem.partition])
    found = []
    for directions, k, network in stages(problem.fitted, fresh, problem.X_train, which):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            relevance = explainer.explain(replace(problem, model=network), seed=seed).over_inputs
        value = float(rank_correlations(np.array([original, relevance])[:, varying])[0, 1])
        defined = math.isfinite(value)
        reason = "" if defined else "all relevances are equal"
        found += [Measurement(f"sanity_{direction}", value if defined else None, k, reason) for direction in directions]
    return tuple(found)
