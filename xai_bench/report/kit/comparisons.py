"""Comparisons that the prose states: one method against its counterpart, one network against one method."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xai_bench.report.kit.frames import CONTROLS, NO_MODEL, Frames, records, with_interval
from xai_bench.report.kit.wording import without_paths
from xai_bench.statistics import Interval, interval, mean_rank_correlation

FOCUS, COUNTERPART = "spectral", "column_norm"
"""Names (not labels) of the method under study, and of the same number on a plain network."""
POST_HOC = ("shap_deep", "shap_gradient", "integrated_gradients", "lrp", "deeplift", "saliency")
"""Names, in the order in which one of them is chosen to stand for all."""


class Pair(NamedTuple):
    model: str
    explainer: str


class Leader(NamedTuple):
    """The best mean of a score on a dataset, and who cannot be told from it.

    ``row``: of those with an interval where there are two. ``top``: pairs that share this mean. ``compared``: pairs
    with an interval. ``near``: those whose interval overlaps its interval, ``top`` included; None where fewer than two
    are compared. ``left_out``: how many others have a value, of one data seed.
    """

    row: dict[str, Any]
    top: list[Pair]
    near: list[Pair] | None
    compared: list[Pair]
    left_out: int


@dataclass(frozen=True)
class Spread:
    """How far methods on one network differ, beside how far networks differ under one method.

    Attributes
    ----------
    methods, networks : how many entered: methods that have a score on every network
    of_methods : standard deviation of the score over methods on one network (root mean square over networks)
    of_networks : the same over networks (models and seeds), for one method
    same_network, same_method : mean rank correlation of two relevance vectors of the same network (method)
    """

    methods: int
    networks: int
    of_methods: float
    of_networks: float
    same_network: float
    same_method: float


def labels(frames: Frames, axis: str, name: str) -> list[str]:
    """Labels under which a suite has the component ``name``."""
    return [without_paths(entry["label"]) for entry in frames.results.suite.get(axis, []) if entry.get("name") == name]


def focus(frames: Frames) -> Pair | None:
    """The spectral method on the first network it ran on, or None."""
    done = frames.timed
    for label in labels(frames, "explainers", FOCUS):
        models = done.loc[done["explainer"] == label, "model"].unique()
        if len(models):
            return Pair(str(models[0]), label)
    return None


def leader(frames: Frames, frame: pd.DataFrame, dataset: str, metric: str) -> Leader | None:
    """Of ``frame``, which is ``frames.recovery`` or ``frames.retention``; None without a value."""
    rows = frame[(frame["dataset"] == dataset) & (frame["metric"] == metric) & ~frame["explainer"].isin(CONTROLS)]
    if rows.empty:
        return None
    compared = with_interval(rows)
    ranked = compared if len(compared) > 1 else rows  # one interval alone is compared with nothing
    goodness = frames.sign(metric) * ranked["mean"]
    best = records(ranked)[int(goodness.argmax())]
    top = ranked[goodness >= goodness.max() - 1e-12]
    near = _pairs(compared[compared["near"]]) if len(compared) > 1 else None
    return Leader(best, _pairs(top), near, _pairs(compared), len(rows) - len(compared))


def _pairs(rows: pd.DataFrame) -> list[Pair]:
    return [Pair(str(model), str(explainer)) for model, explainer in zip(rows["model"], rows["explainer"], strict=True)]


def value(frame: pd.DataFrame, dataset: str, pair: Pair, metric: str) -> dict[str, Any] | None:
    """The interval of one pair."""
    rows = frame[
        (frame["dataset"] == dataset) & (frame["metric"] == metric)
        & (frame["model"] == pair.model) & (frame["explainer"] == pair.explainer)
    ]  # fmt: skip
    return records(rows)[0] if len(rows) else None


def difference(frames: Frames, dataset: str, metric: str, one: Pair, other: Pair) -> Interval | None:
    """Score of ``one`` less that of ``other`` on the ``n`` data seeds that both have; None if they share none."""
    rows = frames.scores
    rows = rows[(rows["dataset"] == dataset) & (rows["metric"] == metric) & rows["value"].notna()]

    def by_seed(pair: Pair) -> pd.Series:
        chosen = rows[(rows["model"] == pair.model) & (rows["explainer"] == pair.explainer)]
        return chosen.groupby("data_seed")["value"].mean()

    gaps = (by_seed(one) - by_seed(other)).dropna()
    return None if gaps.empty else interval(gaps.to_numpy(dtype=float))


def counterparts(frames: Frames) -> list[tuple[Pair, str]]:
    """``column_norm`` on every plain network it ran on, and how that network is penalised."""
    penalty = {
        without_paths(e["label"]): e.get("fields", {}).get("group_lasso")
        for e in frames.results.suite.get("models", [])
    }
    done = frames.timed
    norms = []
    for label in labels(frames, "explainers", COUNTERPART):
        for model in done.loc[done["explainer"] == label, "model"].unique():
            strength = penalty.get(str(model))
            kind = "" if strength is None else "unpenalised" if strength == 0 else "group penalty"
            norms.append((Pair(str(model), label), kind))
    return norms


def spread(frames: Frames, dataset: str, metric: str) -> Spread | None:
    """None with fewer than two networks or methods."""
    rows = frames.scores
    rows = rows[(rows["dataset"] == dataset) & (rows["metric"] == metric) & rows["value"].notna()]
    rows = rows[(rows["model"] != NO_MODEL) & ~rows["explainer"].isin(CONTROLS)]
    if rows.empty:
        return None
    network = ["model", "data_seed", "model_seed", "fold"]
    scores = rows.pivot_table(index=network, columns="explainer", values="value", sort=False).dropna(axis=1)
    if min(scores.shape) < 2:
        return None
    keys = rows.pivot(index=network, columns="explainer", values="cell").loc[scores.index, scores.columns]
    vectors = np.array([[frames.results.relevance[key] for key in row] for row in keys.to_numpy()])
    return Spread(
        methods=scores.shape[1],
        networks=scores.shape[0],
        of_methods=float(np.sqrt(scores.var(axis=1).mean())),
        of_networks=float(np.sqrt(scores.var(axis=0).mean())),
        same_network=float(np.nanmean([mean_rank_correlation(matrix).value for matrix in vectors])),
        same_method=float(np.nanmean([mean_rank_correlation(matrix).value for matrix in vectors.swapaxes(0, 1)])),
    )


def structural(frames: Frames, among: Collection[Pair]) -> list[Pair]:
    """Of each network the method that reads its first layer, ``among`` others: spectral, else the column norm."""
    names = [*labels(frames, "explainers", FOCUS), *labels(frames, "explainers", COUNTERPART)]
    chosen = []
    for model in frames.models:
        own = [Pair(model, name) for name in names if Pair(model, name) in among]
        chosen += own[:1]
    return chosen


def post_hoc(frames: Frames, among: Collection[Pair], model: str) -> Pair | None:
    """The method that stands for those that explain a trained network, where there is room for one only."""
    names = [label for name in POST_HOC for label in labels(frames, "explainers", name)]
    return next((Pair(model, name) for name in names if Pair(model, name) in among), None)
