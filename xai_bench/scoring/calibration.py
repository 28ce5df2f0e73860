"""Thresholds from null runs: what a method finds where there is nothing, and what it finds above that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from xai_bench.results.records import DrawFacts
from xai_bench.results.selections import LIMITS, PAIR, Floats, limits, selected
from xai_bench.results.truth import truth_of
from xai_bench.statistics import by_data_seed

SEEDS = ["data_seed", "model_seed", "fold"]
SCORES = ("precision", "recall", "noise_above")
ENDS = ("_low", "_high", "_n")


def calibration(
    nulls: pd.DataFrame,
    cells: pd.DataFrame,
    relevance: Mapping[str, Floats],
    draws: Mapping[str, DrawFacts],
    runs: int | None,
) -> pd.DataFrame:
    """The thresholds of ``results.selections.limits``, and what is selected in the real runs.

    Returns
    -------
    the columns of ``limits``, and

    precision, recall : of the selection above the threshold in the real runs, of relevant against noise inputs; NaN
        without a truth, and the precision where nothing is selected
    noise_above : share of the noise inputs that are above it
        These three with their intervals over data seeds, ``_low``, ``_high`` and ``_n``.
    """
    found = limits(nulls, cells, relevance, draws, runs)
    columns = [f"{name}{end}" for name in SCORES for end in ("", *ENDS)]
    rows = [
        _selection(cells, relevance, draws, row, row["threshold"]) if row["reason"] == "" else {}
        for row in found.to_dict("records")
    ]
    return pd.concat([found, pd.DataFrame(rows, columns=columns, index=found.index)], axis=1)[[*LIMITS, *columns]]


def _selection(
    cells: pd.DataFrame,
    relevance: Mapping[str, Floats],
    draws: Mapping[str, DrawFacts],
    pair: Mapping[Any, Any],
    level: float,
) -> dict[str, float]:
    """Means and intervals of the three scores over the real runs of one dataset, network and method."""
    rows = cells[cells["status"] == "done"]
    for name in PAIR:
        rows = rows[rows[name] == pair[name]]
    scored = []
    for cell in rows.to_dict("records"):
        truth = truth_of(draws[cell["draw"]])
        if truth is not None:
            seeds = {name: cell[name] for name in SEEDS}
            scored.append({**seeds, **selected(relevance[cell["cell"]], truth, level)})
    result: dict[str, float] = {}
    for name in SCORES:
        values = pd.DataFrame(scored, columns=[*SEEDS, *SCORES])
        values = values[values[name].notna()]
        if values.empty:
            result |= {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan, f"{name}_n": 0}
        else:
            mean, low, high, n = by_data_seed(values, name).iloc[0]
            result |= {name: mean, f"{name}_low": low, f"{name}_high": high, f"{name}_n": int(n)}
    return result
