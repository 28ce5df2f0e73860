"""Thresholds from null runs: what a method finds where there is nothing, and what it finds above that."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.datasets.base import GroundTruth
from xai_bench.metrics.recovery import reduced
from xai_bench.report.shares import Floats, share
from xai_bench.report.tables import PAIR, Tables
from xai_bench.scoring import recovery
from xai_bench.statistics import by_data_seed, null_threshold

SCORES = ("precision", "recall", "noise_above")
ENDS = ("_low", "_high", "_n")
COLUMNS = [*PAIR, "runs", "judges", "threshold", "false_runs", "reason"]


def calibration(tables: Tables) -> pd.DataFrame:
    """One row a dataset, network and method that is calibrated, unsupported pairs left out.

    Relevances are divided by their sum; the columns of an attribute are summed, and of a group the best counts once.

    runs, judges : null runs that are done, of those that set the threshold and of those that judge it
    threshold : see ``statistics.null_threshold``, of the largest share of each run; NaN until all runs are done
    false_runs : judges in which any share is above the threshold
    reason : why there is no threshold
    precision, recall : of the selection above the threshold in the real runs, of relevant against noise inputs; NaN
        without a truth, and the precision where nothing is selected
    noise_above : share of the noise inputs that are above it
        These three with their intervals over data seeds, ``_low``, ``_high`` and ``_n``.
    """
    asked = tables.results.suite.get("calibration")
    cells = tables.null_cells
    rows = []
    if asked is None or cells.empty:
        return pd.DataFrame(columns=[*COLUMNS, *(f"{name}{end}" for name in SCORES for end in ("", *ENDS))])
    for key, group in cells.groupby(PAIR, sort=False):
        done = group[group["status"] == "done"]
        if (group["status"] == "unsupported").all():
            continue
        truth = _truth(tables, str(key[0]), group["data_seed"].iloc[0])
        largest = {
            int(number): float(items(tables.results.relevance[cell], truth).max())
            for cell, number in zip(done["cell"], done["permutation"], strict=True)
        }
        setting = [value for number, value in largest.items() if number < asked["runs"]]
        judging = [value for number, value in largest.items() if number >= asked["runs"]]
        row: dict[str, Any] = {**dict(zip(PAIR, key, strict=True)), "runs": len(setting), "judges": len(judging)}
        if len(setting) < asked["runs"]:
            row |= {
                "threshold": math.nan,
                "false_runs": math.nan,
                "reason": _reason(group, len(setting), asked["runs"]),
            }
        else:
            level = null_threshold(setting)
            row |= {"threshold": level, "false_runs": sum(value > level for value in judging), "reason": ""}
            row |= _selection(tables, key, level)
        rows.append(row)
    return pd.DataFrame(rows)


def items(relevance: Floats, truth: GroundTruth | None) -> Floats:
    """Shares (a,) of what is ranked."""
    return share(relevance) if truth is None else np.asarray(reduced(share(relevance), truth).relevance, np.float64)


def _truth(tables: Tables, dataset: str, data_seed: int) -> GroundTruth | None:
    cells = tables.cells
    keys = cells.loc[(cells["dataset"] == dataset) & (cells["data_seed"] == data_seed), "draw"]
    content = next((tables.results.draws[key] for key in keys if key in tables.results.draws), None)
    return None if content is None else recovery.truth_of(content)


def _reason(group: pd.DataFrame, done: int, runs: int) -> str:
    bad = group[group["status"] != "done"]
    told = [text for text in bad["reason"] if text]
    return f"{done} of {runs} null runs are done" + (f": {told[0]}" if told else "")


def _selection(tables: Tables, key: Sequence[Hashable], level: float) -> dict[str, float]:
    """Means and intervals of the three scores over the real runs of one dataset, network and method."""
    rows = tables.timed
    for name, value in zip(PAIR, key, strict=True):
        rows = rows[rows[name] == value]
    found = []
    for cell in rows.to_dict("records"):
        truth = recovery.truth_of(tables.results.draws[cell["draw"]])
        if truth is not None:
            seeds = {name: cell[name] for name in ("data_seed", "model_seed", "fold")}
            found.append({**seeds, **selected(tables.results.relevance[cell["cell"]], truth, level)})
    result: dict[str, float] = {}
    for name in SCORES:
        values = pd.DataFrame(found, columns=["data_seed", "model_seed", "fold", *SCORES])
        values = values[values[name].notna()]
        if values.empty:
            result |= {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan, f"{name}_n": 0}
        else:
            mean, low, high, n = by_data_seed(values, name).iloc[0]
            result |= {name: mean, f"{name}_low": low, f"{name}_high": high, f"{name}_n": int(n)}
    return result


def selected(relevance: Floats, truth: GroundTruth, level: float) -> dict[str, float]:
    """Precision, recall and the share of noise above, of the inputs whose share is above ``level``."""
    rest = reduced(share(relevance), truth)
    above = rest.relevance > level
    hits, misses = int((above & rest.relevant).sum()), int((above & rest.noise).sum())
    return {
        "precision": hits / (hits + misses) if hits + misses and rest.relevant.any() else math.nan,
        "recall": hits / int(rest.relevant.sum()) if rest.relevant.any() else math.nan,
        "noise_above": misses / int(rest.noise.sum()) if rest.noise.any() else math.nan,
    }
