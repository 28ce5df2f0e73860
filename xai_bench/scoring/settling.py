"""Settling: whether the relevance of a trained network comes from the data, or still from its initial weights.

One more network of the same architecture is trained with another seed, and with as many copies of the inputs beside
them, whose rows are in another order. Three signs follow, none of which needs a truth:

share
    of the relevance that falls on the copies. They are unrelated to the target, so .5 says that inputs and copies are
    alike to the network. It can be above .5 where a network overfits.
correlation
    Spearman's, of the relevances of the inputs in the two trainings; 0 if only the initial weights speak.
initial
    Spearman's, of the relevance of the network and of its own initial weights, before training.

The copies share one order of their rows. So they depend on each other as the inputs do: where inputs are correlated,
each of them competes with the others for relevance, and copies that were shuffled one by one would not.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xai_bench import registry
from xai_bench.component import canonical_json, sha256
from xai_bench.datasets.base import Dataset
from xai_bench.explainers.base import Explainer, Problem
from xai_bench.results.records import SettlingFacts, Signs
from xai_bench.statistics import rank_correlations

VERSION = 1
"""Raise it when the same networks give other numbers."""
METHODS = {"first_layer": ("spectral", "column_norm"), "saliency": ("saliency",)}
"""What is compared, and the explainers that it is read by: the first that supports the network."""
Relevances = dict[str, NDArray | str]
"""(n_inputs,) by every one of ``METHODS``, or why there is none."""
OUTSIDE = "no method reads the first layer of this network"


def key() -> str:
    """The key under which it is stored that a network was trained once more."""
    names = [name for names in METHODS.values() for name in names]
    return sha256(canonical_json(["settling", VERSION, *(_explainer(name).identity() for name in names)]))


def _explainer(name: str) -> Explainer:
    explainer: Explainer = registry.create("explainers", name, {})
    return explainer


def with_copies(data: Dataset, seed: int) -> Dataset:
    """The data (n, d) with a copy of every column behind them (n, 2 d), their rows in another order in each part.

    All copies of a part have the same order. The copies of an input are an input. There is no truth.
    """
    rng, d = np.random.default_rng(seed), data.d

    def beside(rows: NDArray) -> NDArray:
        return np.concatenate([rows, rows[rng.permutation(len(rows))]], axis=1)

    return replace(
        data,
        X_train=beside(data.X_train),
        X_valid=beside(data.X_valid),
        X_test=beside(data.X_test),
        input_mean=_twice(data.input_mean),
        input_std=_twice(data.input_std),
        feature_names=(*data.feature_names, *(f"copy of {name}" for name in data.feature_names)),
        feature_units=data.feature_units * 2,
        permutation=np.concatenate([data.permutation, data.permutation + d]),
        inputs=(*data.inputs, *(tuple(column + d for column in columns) for columns in data.inputs)),
        input_names=(*data.input_names, *(f"copy of {name}" for name in data.input_names)),
        truth=None,
    )


def _twice(values: NDArray | None) -> NDArray | None:
    return None if values is None else np.tile(values, 2)


def top_of(data: Dataset) -> int:
    """How many of the first inputs of two rankings are compared: the relevant ones, or a quarter of all."""
    n, truth = len(data.inputs), data.truth_over_inputs
    known = truth.n_relevant if truth is not None else 0
    return known if 0 < known < n else math.ceil(n / 4)


def relevances(problem: Problem, seed: int) -> Relevances:
    """Of the network of a problem."""
    found: Relevances = {}
    for what, names in METHODS.items():
        explainers = [_explainer(name) for name in names]
        reasons = [explainer.unsupported(problem) for explainer in explainers]
        fit = next((one for one, reason in zip(explainers, reasons, strict=True) if reason is None), None)
        if fit is None:
            found[what] = reasons[0] or "" if len(reasons) == 1 else OUTSIDE
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found[what] = fit.explain(problem, seed=seed).over_inputs
    return found


def compared(found: Sequence[Relevances], varying: NDArray[np.bool_], k: int, copies: bool) -> SettlingFacts:
    """The signs of every one of ``METHODS``; ``found``: of the network, the other training, the initial weights.

    ``varying``, ``k``: see ``signs``. ``copies``: whether they stand in the other training. Times are left out.
    """
    known: dict[str, Signs | None] = {}
    reasons: dict[str, str] = {}
    for what in METHODS:
        first, second, untrained = (relevance[what] for relevance in found)
        lacking = [one for one in (first, second, untrained) if isinstance(one, str)]
        if lacking:
            reasons[what] = lacking[0]
        else:
            known[what] = signs(np.asarray(first), np.asarray(second), np.asarray(untrained), varying, k)
    return SettlingFacts(
        first_layer=known.get("first_layer"), saliency=known.get("saliency"), k=k, copies=copies, reasons=reasons
    )


def signs(first: NDArray, second: NDArray, untrained: NDArray, varying: NDArray[np.bool_], k: int) -> Signs:
    """The signs of settling of one relevance.

    Parameters
    ----------
    first, untrained : (n_inputs,) of the network, and of its initial weights
    second : (n_inputs,) of the other training, or (2 n_inputs,) with the copies behind
    varying : (n_inputs,) False for inputs that are constant on the training rows
    k : how many of the first inputs are compared
    """
    n = len(first)
    total = float(second.sum())
    share = float(second[n:].sum()) / total if len(second) > n and total > 0 else None
    correlations = rank_correlations(np.array([first, second[:n], untrained])[:, varying])
    correlation, initial = float(correlations[0, 1]), float(correlations[0, 2])
    return Signs(
        share=share,
        correlation=correlation if math.isfinite(correlation) else None,
        initial=initial if math.isfinite(initial) else None,
        top=_in_both(first, second[:n], k),
    )


def _in_both(first: NDArray, second: NDArray, k: int) -> float:
    """The share of the k highest of ``first`` that are among the k highest of ``second``; ties count in part."""
    return float(np.minimum(_membership(first, k), _membership(second, k)).sum()) / k


def _membership(values: NDArray, k: int) -> NDArray[np.float64]:
    """(n,) 1 for the k highest, 0 for the others; those that tie for the last places share them."""
    last = np.sort(values)[-k]
    above, tied = values > last, values == last
    return above + tied * (k - above.sum()) / tied.sum()
