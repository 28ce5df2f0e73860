"""Thresholds from null runs: what a method finds where there is nothing, and what it finds above that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.results.records import DrawFacts
from xai_bench.results.selections import LIMITS, PAIR, Floats, limits, selected, share
from xai_bench.results.truth import truth_of
from xai_bench.statistics import by_data_seed

SEEDS = ["data_seed", "model_seed", "fold"]
SCORES = ("precision", "recall", "noise_above")
ENDS = ("_low", "_high", "_n")
ABOVE = ("inputs_above", "names")
OFTEN = 0.5
"""Share of the real runs from which an input is named."""


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
    inputs_above : mean number of inputs that are above it in the real runs
    names : without a truth, the inputs that are above it in half of the real runs or more, the most frequent first
    """
    found = limits(nulls, cells, relevance, draws, runs)
    columns = [*(f"{name}{end}" for name in SCORES for end in ("", *ENDS)), *ABOVE]
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
) -> dict[str, Any]:
    """What is above the threshold in the real runs of one dataset, network and method."""
    rows = cells[cells["status"] == "done"]
    for name in PAIR:
        rows = rows[rows[name] == pair[name]]
    scored = []
    for cell in rows.to_dict("records"):
        truth = truth_of(draws[cell["draw"]])
        if truth is not None:
            seeds = {name: cell[name] for name in SEEDS}
            scored.append({**seeds, **selected(relevance[cell["cell"]], truth, level)})
    result: dict[str, Any] = _above(rows, relevance, draws, level)
    for name in SCORES:
        values = pd.DataFrame(scored, columns=[*SEEDS, *SCORES])
        values = values[values[name].notna()]
        if values.empty:
            result |= {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan, f"{name}_n": 0}
        else:
            mean, low, high, n = by_data_seed(values, name).iloc[0]
            result |= {name: mean, f"{name}_low": low, f"{name}_high": high, f"{name}_n": int(n)}
    return result


def _above(
    rows: pd.DataFrame, relevance: Mapping[str, Floats], draws: Mapping[str, DrawFacts], level: float
) -> dict[str, Any]:
    """How many inputs are above the threshold, and, where no truth is known, which."""
    if rows.empty:
        return {"inputs_above": math.nan, "names": ()}
    facts = draws[rows["draw"].iloc[0]]
    above = np.array([share(relevance[cell]) > level for cell in rows["cell"]])
    often = above.mean(0)
    order = np.argsort(-often, kind="stable")
    names = () if truth_of(facts) else tuple(facts.feature_names[j] for j in order if often[j] >= OFTEN)
    return {"inputs_above": float(above.sum(1).mean()), "names": names}
