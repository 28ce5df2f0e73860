"""Recovery relative to chance, and without the networks that did not learn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xai_bench.report.tables import PAIR, Tables
from xai_bench.statistics import by_data_seed

ENDS = ["mean", "low", "high"]


def measured(tables: Tables) -> pd.DataFrame:
    """One row a recovery score of a cell: the columns of ``Tables.measurements``, and

    chance : of a random ranking, by formula; NaN where none is defined
    normalised : (value - chance) / (1 - chance); NaN at a chance of 1, where there is nothing to find
    learned : whether the network did; True where there is none
    reach : (test score - chance) / (ceiling - chance) of the network, its own chance and ceiling; NaN where not known
    """
    rows = tables.measurements
    rows = rows[rows["metric"].isin(tables.metrics) & rows["value"].notna()].copy()
    known = {(draw, metric): level for draw, facts in tables.results.draws.items()
             for metric, level in facts.get("chance", {}).items() if level is not None}  # fmt: skip
    rows["chance"] = [known.get(key, np.nan) for key in zip(rows["draw"], rows["metric"], strict=True)]
    room = 1 - rows["chance"]
    rows["normalised"] = (rows["value"] - rows["chance"]) / room.where(room > 0)
    facts = tables.cells.drop_duplicates("cell").set_index("cell")
    without = {cell for cell, flag in facts["learned"].items() if not pd.isna(flag) and not flag}
    rows["learned"] = ~rows["cell"].isin(without)
    own = facts["ceiling"].astype(float) - facts["chance"].astype(float)
    reach = (facts["test_score"].astype(float) - facts["chance"].astype(float)) / own.where(own > 0)
    rows["reach"] = rows["cell"].map(reach)
    return rows


def recovery(tables: Tables) -> pd.DataFrame:
    """``Tables.recovery`` with what chance explains, and what networks that did not learn explain.

    Further columns: chance (mean over draws); normalised, normalised_low, normalised_high; learned_mean,
    learned_low, learned_high, learned_n: the score over networks that learned only, and their data seeds;
    learned_normalised, likewise relative to chance; networks, networks_learned; reach: (test score - chance) /
    (ceiling - chance), the mean over networks.
    """
    rows, by = measured(tables), [*PAIR, "metric"]
    result = tables.recovery
    if rows.empty:
        return result
    learned = rows[rows["learned"]]
    groups = rows.groupby(by, sort=False)
    counts = pd.DataFrame({
        "chance": groups["chance"].mean(), "networks": groups.size(), "networks_learned": groups["learned"].sum(),
        "reach": groups["reach"].mean(),
    })  # fmt: skip
    parts = [
        _intervals(rows, "normalised", by).rename(columns={"mean": "normalised", **_ends("normalised")}),
        _intervals(learned, "value", by, "n").rename(
            columns={"mean": "learned_mean", "n": "learned_n", **_ends("learned")}
        ),
        _intervals(learned, "normalised", by).rename(
            columns={"mean": "learned_normalised", **_ends("learned_normalised")}
        ),
        counts.reset_index(),
    ]
    for part in parts:
        result = result.merge(part, on=by, how="left")
    return result.assign(learned_n=result["learned_n"].fillna(0).astype(int))


def _ends(name: str) -> dict[str, str]:
    return {"low": f"{name}_low", "high": f"{name}_high"}


def _intervals(rows: pd.DataFrame, value: str, by: list[str], *more: str) -> pd.DataFrame:
    return by_data_seed(rows[rows[value].notna()], value, by)[[*by, *ENDS, *more]]
