"""Recovery relative to chance, and without the networks that did not learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.statistics import by_data_seed

BY = ["dataset", "model", "explainer", "metric"]
ENDS = ["mean", "low", "high"]


def measured(
    scores: pd.DataFrame, cells: pd.DataFrame, draws: Mapping[str, Mapping[str, Any]], best: Mapping[str, float]
) -> pd.DataFrame:
    """One row a recovery score of a cell: the columns of ``scores``, and

    chance : of a random ranking, by formula; NaN where none is defined
    normalised : (value - chance) / (best - chance); NaN where chance is the best, so that there is nothing to find
    learned : whether the network did; True where there is none
    reach : (test score - chance) / (ceiling - chance) of the network, its own chance and ceiling; NaN where not known

    Parameters
    ----------
    scores : measurements of recovery scores: cell, draw, metric, value and the seeds
    cells : columns cell, learned, ceiling, chance, test_score
    draws : draw key to what is known of it; ``chance`` by score
    best : score to its bound at the better end
    """
    rows = scores[scores["value"].notna()].copy()
    known = {(draw, metric): level for draw, facts in draws.items()
             for metric, level in facts.get("chance", {}).items() if level is not None}  # fmt: skip
    rows["chance"] = [known.get(key, np.nan) for key in zip(rows["draw"], rows["metric"], strict=True)]
    room = rows["metric"].map(best).astype(float) - rows["chance"]
    rows["normalised"] = (rows["value"] - rows["chance"]) / room.where(room != 0)
    facts = cells.drop_duplicates("cell").set_index("cell")
    without = {cell for cell, flag in facts["learned"].items() if not pd.isna(flag) and not flag}
    rows["learned"] = ~rows["cell"].isin(without)
    own = facts["ceiling"].astype(float) - facts["chance"].astype(float)
    reach = (facts["test_score"].astype(float) - facts["chance"].astype(float)) / own.where(own > 0)
    rows["reach"] = rows["cell"].map(reach)
    return rows


def above_chance(
    recovery: pd.DataFrame,
    scores: pd.DataFrame,
    cells: pd.DataFrame,
    draws: Mapping[str, Mapping[str, Any]],
    best: Mapping[str, float],
) -> pd.DataFrame:
    """``recovery`` (one row a dataset, model, explainer and metric) with what chance and idle networks explain.

    Further columns: chance (mean over draws); normalised, normalised_low, normalised_high; learned_mean,
    learned_low, learned_high, learned_n: the score over networks that learned only, and their data seeds;
    learned_normalised, likewise relative to chance; networks, networks_learned; reach, the mean over networks. The
    other parameters, and what the columns mean: see ``measured``.
    """
    rows, result = measured(scores, cells, draws, best), recovery
    learned = rows[rows["learned"]]
    groups = rows.groupby(BY, sort=False)
    counts = pd.DataFrame({
        "chance": groups["chance"].mean(), "networks": groups.size(), "networks_learned": groups["learned"].sum(),
        "reach": groups["reach"].mean(),
    })  # fmt: skip
    parts = [
        _intervals(rows, "normalised").rename(columns={"mean": "normalised", **_ends("normalised")}),
        _intervals(learned, "value", "n").rename(
            columns={"mean": "learned_mean", "n": "learned_n", **_ends("learned")}
        ),
        _intervals(learned, "normalised").rename(columns={"mean": "learned_normalised", **_ends("learned_normalised")}),
        counts.reset_index(),
    ]
    for part in parts:
        result = result.merge(part, on=BY, how="left")
    return result.assign(learned_n=result["learned_n"].fillna(0).astype(int))


def _ends(name: str) -> dict[str, str]:
    return {"low": f"{name}_low", "high": f"{name}_high"}


def _intervals(rows: pd.DataFrame, value: str, *more: str) -> pd.DataFrame:
    return by_data_seed(rows[rows[value].notna()], value, BY)[[*BY, *ENDS, *more]]
