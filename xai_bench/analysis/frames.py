"""From trainings to the frames of an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.analysis.score import CONSTANT, over_trainings
from xai_bench.analysis.trainings import NETWORKS, Entrant, Training, entrants, mean_shares
from xai_bench.explainers.selectors import PermutationImportance
from xai_bench.statistics import rank_correlations

MEASURED_BY = PermutationImportance.name
"""The method by which an input stands above chance. The gradients of a network that has found something are larger
everywhere than those of one that has not; by what share of it the loss rises is comparable."""
FIRST = 3
"""Inputs that methods are asked to have in common."""


def scores(trainings: Sequence[Training], baselines: Mapping[str, NDArray], ratio: float) -> pd.DataFrame:
    """Networks and baselines, best first, and how far networks are from the best baseline and from a constant guess."""
    of = {network.name: np.array([t.score for t in trainings if t.network == network.name]) for network in NETWORKS}
    means = {name: float(np.nanmean(values)) for name, values in baselines.items() if np.isfinite(values).any()}
    best = max((name for name in means if name != CONSTANT), key=means.__getitem__, default="")
    rows = []
    for name, values in {**of, **baselines}.items():
        mean, low, high, n = over_trainings(values, ratio)
        row = {"model": name, "kind": "network" if name in of else "baseline", "score": mean, "low": low, "high": high}
        row |= {"trainings": n, "against": "", "difference": math.nan, "difference_low": math.nan}
        row |= {"difference_high": math.nan, "above_constant_low": math.nan}
        if name in of and best:
            paired = over_trainings(values[: len(baselines[best])] - baselines[best], ratio)
            row |= dict(zip(("difference", "difference_low", "difference_high"), paired, strict=False)) | {
                "against": best
            }
            row["above_constant_low"] = over_trainings(
                values[: len(baselines[CONSTANT])] - baselines[CONSTANT], ratio
            ).low
        rows.append(row)
    return pd.DataFrame(rows).sort_values("score", ascending=False, kind="stable", ignore_index=True)


def inputs(
    names: Sequence[str],
    trainings: Sequence[Training],
    thresholds: Mapping[Entrant, float],
    p_values: NDArray,
    cluster: NDArray,
    ratio: float,
) -> pd.DataFrame:
    """One row an input, most relevant first."""
    shares = mean_shares(trainings)
    above = np.mean(
        [v > thresholds[e] for t in trainings for e, v in t.against_chance.items() if e.method == MEASURED_BY], axis=0
    )
    rows = []
    for j, name in enumerate(names):
        mean, low, high, _ = over_trainings(shares[:, j], ratio)
        rows.append((name, mean, max(low, 0.0), high, float(above[j]), float(p_values[j]), int(cluster[j])))
    columns = ["input", "relevance", "low", "high", "above_chance", "p_value", "cluster"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("relevance", ascending=False, kind="stable", ignore_index=True)


def methods(
    names: Sequence[str], trainings: Sequence[Training], thresholds: Mapping[Entrant, float], ratio: float
) -> pd.DataFrame:
    """One row an input, network and method."""
    rows = []
    for entrant in entrants():
        own = [t for t in trainings if entrant in t.relevances]
        shares = np.stack([t.shares[entrant] for t in own])
        above = np.mean([t.against_chance[entrant] > thresholds[entrant] for t in own], axis=0)
        for j, name in enumerate(names):
            mean, low, high, _ = over_trainings(shares[:, j], ratio)
            rows.append((name, entrant.network, entrant.method, mean, max(low, 0.0), high, float(above[j])))
    return pd.DataFrame(rows, columns=["input", "network", "method", "relevance", "low", "high", "above_chance"])


def tidy(names: Sequence[str], trainings: Sequence[Training]) -> pd.DataFrame:
    """One row an input, method and training."""
    parts = [
        pd.DataFrame(
            {
                "network": one.network,
                "seed": one.split.seed,
                "fold": one.split.fold,
                "method": entrant.method,
                "input": list(names),
                "relevance": shares,
            }
        )
        for one in trainings
        for entrant, shares in one.shares.items()
    ]
    return pd.concat(parts, ignore_index=True)


def clusters(names: Sequence[str], trainings: Sequence[Training], cluster: NDArray, ratio: float) -> pd.DataFrame:
    """Clusters of several inputs, with the sum of the shares of their inputs, most relevant first."""
    shares = mean_shares(trainings)
    rows = []
    for number in np.unique(cluster):
        members = np.flatnonzero(cluster == number)
        if len(members) > 1:
            mean, low, high, _ = over_trainings(shares[:, members].sum(axis=1), ratio)
            rows.append((int(number), tuple(names[j] for j in members.tolist()), mean, max(low, 0.0), min(high, 1.0)))
    frame = pd.DataFrame(rows, columns=["cluster", "inputs", "relevance", "low", "high"])
    return frame.sort_values("relevance", ascending=False, kind="stable", ignore_index=True)


def agreement(trainings: Sequence[Training]) -> pd.DataFrame:
    """Mean rank correlation of every two methods on the same rows: the mean over trainings."""
    order = entrants()
    of_split: dict[tuple[int, int], dict[Entrant, NDArray]] = {}
    for one in trainings:
        of_split.setdefault((one.split.seed, one.split.fold), {}).update(one.shares)
    matrices = [rank_correlations([shares[e] for e in order]) for shares in of_split.values()]
    known = np.isfinite(matrices).sum(axis=0)
    mean = np.nansum(matrices, axis=0) / np.where(known > 0, known, np.nan)
    frame = pd.DataFrame(mean, columns=[str(e) for e in order])
    frame.insert(0, "network", [e.network for e in order])
    frame.insert(1, "method", [e.method for e in order])
    return frame


def common(by_method: pd.DataFrame) -> tuple[str, ...]:
    """Inputs that every method on every network has among its first three, in the order of the table."""
    firsts = [
        set(part.nlargest(FIRST, "relevance", keep="first")["input"])
        for _, part in by_method.groupby(["network", "method"], sort=False)
    ]
    shared = set.intersection(*firsts) if firsts else set()
    return tuple(name for name in dict.fromkeys(by_method["input"]) if name in shared)
