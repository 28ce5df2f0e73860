"""Relevances as shares: every vector divided by its sum, so that methods with different units can be drawn together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.report.kit.comparisons import COUNTERPART, Pair, focus, labels
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.results.selections import share

Floats = NDArray[np.float64]


SMALL = 40
"""Inputs that are drawn one by one; more are drawn as maps."""


class Share(NamedTuple):
    """Mean (d,) and standard deviation (d,) over ``n`` data seeds, or trainings; the deviation is NaN for one."""

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


def trainings(frames: Frames, dataset: str) -> dict[Pair, Share]:
    """Over the trainings on the first draw, where it has more than one: draws and splits are the same in all."""
    if len(frames.results.suite.get("model_seeds", [])) < 2 or frames.results.suite.get("folds"):
        return {}
    first = {pair: next(iter(by_seed.values())) for pair, by_seed in runs(frames, dataset).items()}
    return {
        pair: _over([share(vector) for vector in vectors])
        for pair, vectors in first.items()
        if len(vectors) > 1 and pair.model != NO_MODEL
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


def columns_of_methods(frames: Frames, pairs: Collection[Pair]) -> dict[str, list[Pair]]:
    """One column a network, the spectral method and its counterpart on top, so that lines of methods align."""
    chosen = focus(frames)
    first = {chosen.explainer if chosen else "", *labels(frames, "explainers", COUNTERPART)}
    result = {}
    for model in [*frames.models, NO_MODEL]:
        own = [pair for pair in pairs if pair.model == model]
        if own:
            result[model] = sorted(own, key=lambda pair: pair.explainer not in first)
    return result


def with_maps(draw: dict[str, Any]) -> bool:
    """Whether the inputs of a draw are too many to be drawn one by one, or form a picture."""
    return draw["d"] > SMALL or draw.get("feature_shape") is not None
