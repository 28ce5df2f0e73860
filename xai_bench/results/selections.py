"""What is selected where a threshold is set by null runs: what a method finds where there is nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.datasets.base import GroundTruth
from xai_bench.metrics.recovery import reduced
from xai_bench.results.records import DrawFacts
from xai_bench.results.truth import truth_of
from xai_bench.statistics import null_threshold

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

Floats = NDArray[np.float64]
PAIR = ["dataset", "model", "explainer"]
LIMITS = [*PAIR, "runs", "judges", "threshold", "false_runs", "reason"]


def limits(
    nulls: pd.DataFrame,
    cells: pd.DataFrame,
    relevance: Mapping[str, Floats],
    draws: Mapping[str, DrawFacts],
    runs: int | None,
) -> pd.DataFrame:
    """One row a dataset, network and method that is calibrated, unsupported pairs left out.

    Relevances are divided by their sum; the columns of an attribute are summed, and of a group the best counts once.

    Parameters
    ----------
    nulls, cells : cells of null runs and of real ones: cell, draw, the pair, the seeds, status; ``permutation``, reason
    relevance, draws : cell key to relevances (n_inputs,), draw key to what is known of it
    runs : null runs that set a threshold; as many again judge it. None where no calibration was asked for

    Returns
    -------
    runs, judges : null runs that are done, of those that set the threshold and of those that judge it
    threshold : see ``statistics.null_threshold``, of the largest share of each run; NaN until all runs are done
    false_runs : judges in which any share is above the threshold
    reason : why there is no threshold
    """
    rows = []
    if runs is None or nulls.empty:
        return pd.DataFrame(columns=LIMITS)
    for key, group in nulls.groupby(PAIR, sort=False):
        done = group[group["status"] == "done"]
        if (group["status"] == "unsupported").all():
            continue
        truth = _truth(cells, draws, str(key[0]), group["data_seed"].iloc[0])
        largest = {
            int(number): float(items(relevance[cell], truth).max())
            for cell, number in zip(done["cell"], done["permutation"], strict=True)
        }
        setting = [value for number, value in largest.items() if number < runs]
        judging = [value for number, value in largest.items() if number >= runs]
        row: dict[str, Any] = {**dict(zip(PAIR, key, strict=True)), "runs": len(setting), "judges": len(judging)}
        if len(setting) < runs:
            row |= {"threshold": math.nan, "false_runs": math.nan, "reason": _reason(group, len(setting), runs)}
        else:
            level = null_threshold(setting)
            row |= {"threshold": level, "false_runs": sum(value > level for value in judging), "reason": ""}
        rows.append(row)
    return pd.DataFrame(rows, columns=LIMITS)


def share(relevance: Floats) -> Floats:
    """(d,) divided by its sum; zeros stay zeros."""
    total = relevance.sum()
    return relevance / total if total > 0 else np.zeros_like(relevance)


def items(relevance: Floats, truth: GroundTruth | None) -> Floats:
    """Shares (a,) of what is ranked."""
    return share(relevance) if truth is None else np.asarray(reduced(share(relevance), truth).relevance, np.float64)


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


def false_selections(results: Results) -> pd.DataFrame:
    """cell, value: the share of the noise inputs that are above the threshold of null runs, of every calibrated cell.

    Data without a truth, and without noise inputs, have none.
    """
    asked = results.suite.get("calibration")
    runs = asked["runs"] if asked else None
    found = limits(results.null_cells, results.cells, results.relevance, results.draws, runs)
    done = results.cells[results.cells["status"] == "done"]
    done = done.merge(found.loc[found["threshold"].notna(), [*PAIR, "threshold"]], on=PAIR)
    rows = []
    for cell, draw, level in zip(done["cell"], done["draw"], done["threshold"], strict=True):
        truth = truth_of(results.draws[draw])
        if truth is not None:
            rows.append((cell, selected(results.relevance[cell], truth, level)["noise_above"]))
    return pd.DataFrame(rows, columns=["cell", "value"]).dropna()


def _truth(cells: pd.DataFrame, draws: Mapping[str, DrawFacts], dataset: str, data_seed: int) -> GroundTruth | None:
    keys = cells.loc[(cells["dataset"] == dataset) & (cells["data_seed"] == data_seed), "draw"]
    facts = next((draws[key] for key in keys if key in draws), None)
    return None if facts is None else truth_of(facts)


def _reason(group: pd.DataFrame, done: int, runs: int) -> str:
    bad = group[group["status"] != "done"]
    told = [text for text in bad["reason"] if text]
    return f"{done} of {runs} null runs are done" + (f": {told[0]}" if told else "")
