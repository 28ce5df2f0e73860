"""Relevances as shares: every vector divided by its sum, so that methods with different units can be drawn together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.wording import without_paths
from xai_bench.results.selections import share

Floats = NDArray[np.float64]
SMALL = 40
"""Inputs that are shown one by one; more are drawn as maps as well."""
FIRST_LAYER = ("spectral", "column_norm")
"""Names (not labels) of the methods that read the weights of the first layer."""


class Pair(NamedTuple):
    model: str
    explainer: str


class Share(NamedTuple):
    """Mean (d,) and standard deviation (d,) over ``n`` data seeds; the deviation is NaN for one."""

    mean: Floats
    sd: Floats
    n: int


def runs(frames: Frames, dataset: str) -> dict[Pair, dict[int, list[Floats]]]:
    """The relevances (d,) of every pair of which some are stored, by data seed: one a model seed and fold.

    In the order of ``Frames.pairs``.
    """
    rows = frames.with_relevance
    grouped = dict(iter(rows[rows["dataset"] == dataset].groupby(["model", "explainer"], sort=False)))
    return {
        Pair(*pair): {
            int(str(seed)): [frames.results.relevance[cell] for cell in group["cell"]]
            for seed, group in grouped[pair].groupby("data_seed")
        }
        for pair in frames.pairs
        if pair in grouped
    }


def explained(frames: Frames, dataset: str) -> list[Pair]:
    """The pairs of which a relevance is stored, in the order of ``Frames.pairs``."""
    rows = frames.with_relevance
    stored = set(zip(*(rows.loc[rows["dataset"] == dataset, axis] for axis in ("model", "explainer")), strict=True))
    return [Pair(*pair) for pair in frames.pairs if pair in stored]


def shares(frames: Frames, dataset: str) -> dict[Pair, Share]:
    """Over the draws of a dataset. Model seeds and folds of a draw are averaged first."""
    return {
        pair: _over([np.mean([share(vector) for vector in vectors], axis=0) for vectors in by_seed.values()])
        for pair, by_seed in runs(frames, dataset).items()
    }


def _over(vectors: list[Floats]) -> Share:
    values = np.array(vectors)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
    return Share(values.mean(axis=0), sd, len(values))


def truth(frames: Frames, dataset: str) -> tuple[Floats, bool] | None:
    """The truth (d,) as a share, and whether it is graded; None where it is not known."""
    draws = frames.draws(dataset)
    if not draws or draws[0].get("roles") is None:
        return None
    if draws[0].get("graded") is not None:
        return share(np.mean([facts["graded"] for facts in draws], axis=0)), True
    return share(np.array([role == "relevant" for role in draws[0]["roles"]], dtype=float)), False


def by_network(frames: Frames, pairs: Collection[Pair]) -> dict[str, list[Pair]]:
    """Network to its pairs, in the order of the leaderboard."""
    order = {name: i for i, name in enumerate(frames.ranked)}
    found = {
        m: sorted((p for p in pairs if p.model == m), key=lambda p: order[p.explainer])
        for m in (*frames.models, NO_MODEL)
    }
    return {model: own for model, own in found.items() if own}


def shown(frames: Frames, among: Collection[Pair]) -> list[tuple[Pair, Pair | None]]:
    """Of each network the method that reads its first layer, or the first of the leaderboard; and the best other one.

    The method in focus takes the first place wherever it ran.
    """
    entries = frames.results.suite.get("explainers", [])
    first = {without_paths(entry["label"]) for entry in entries if entry.get("name") in FIRST_LAYER}
    chosen = []
    for model, own in by_network(frames, among).items():
        if model != NO_MODEL or len(frames.models) == 0:
            own = sorted(own, key=lambda pair: (not frames.in_focus(pair.explainer), pair.explainer not in first))
            others = [pair for pair in own[1:] if pair.explainer not in first]
            chosen.append((own[0], others[0] if others else None))
    return chosen


def with_maps(draw: dict[str, Any]) -> bool:
    """Whether the inputs of a draw are too many to be drawn one by one, or form a picture."""
    return draw["d"] > SMALL or draw.get("feature_shape") is not None
