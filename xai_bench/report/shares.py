"""Relevances as shares: every vector divided by its sum, so that methods with different units can be drawn together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.report.comparisons import COUNTERPART, Pair, focus, labels
from xai_bench.report.tables import NO_MODEL, Tables

Floats = NDArray[np.float64]


class Share(NamedTuple):
    """Mean (d,) and standard deviation (d,) over ``n`` data seeds; the deviation is NaN for one seed."""

    mean: Floats
    sd: Floats
    n: int


def share(vector: Floats) -> Floats:
    """(d,) with sum 1; zeros stay zeros."""
    total = vector.sum()
    return vector / total if total > 0 else np.zeros_like(vector)


def shares(tables: Tables, dataset: str) -> dict[Pair, Share]:
    """Of every pair that has relevances, in the order of ``Tables.pairs``. Model seeds and folds are averaged first."""
    rows = tables.timed
    rows = rows[rows["dataset"] == dataset]
    found = {}
    for model, explainer in tables.pairs:
        own = rows[(rows["model"] == model) & (rows["explainer"] == explainer)]
        by_seed = [
            np.mean([share(tables.results.relevance[cell]) for cell in group["cell"]], axis=0)
            for _, group in own.groupby("data_seed")
        ]
        if by_seed:
            values = np.array(by_seed)
            sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
            found[Pair(model, explainer)] = Share(values.mean(axis=0), sd, len(values))
    return found


def truth(tables: Tables, dataset: str) -> tuple[Floats, bool] | None:
    """The truth (d,) as a share, and whether it is graded; None where it is not known."""
    draws = tables.draws(dataset)
    if not draws or draws[0].get("roles") is None:
        return None
    if draws[0].get("graded") is not None:
        return share(np.mean([facts["graded"] for facts in draws], axis=0)), True
    return share(np.array([role == "relevant" for role in draws[0]["roles"]], dtype=float)), False


def columns_of_methods(tables: Tables, found: dict[Pair, Share]) -> dict[str, list[Pair]]:
    """One column a network, the spectral method and its counterpart on top, so that lines of methods align."""
    chosen = focus(tables)
    first = {chosen.explainer if chosen else "", *labels(tables, "explainers", COUNTERPART)}
    result = {}
    for model in [*tables.models, NO_MODEL]:
        pairs = [pair for pair in found if pair.model == model]
        if pairs:
            result[model] = sorted(pairs, key=lambda pair: pair.explainer not in first)
    return result
