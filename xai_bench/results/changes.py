"""Differences of scores between two runs, paired by draw, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from xai_bench.results.records import MetricFacts
from xai_bench.statistics import LEAST_DRAWS, bounded_interval, interval

COLUMNS = ["name", "metric", "first", "second", "difference", "low", "high", "draws", "cells"]


def differences(values: pd.DataFrame, declared: Mapping[str, MetricFacts]) -> pd.DataFrame:
    """Second less first of every name and metric whose values are not all equal.

    Model seeds and folds are averaged within a draw, draws within a dataset, then datasets. The interval is over the
    data seeds that all datasets have, whose differences are averaged over datasets; there is none below five.

    Parameters
    ----------
    values : one row a cell: name, metric, dataset, data_seed, first, second
    declared : metric to its bounds, which the interval keeps, and which differences are ordered by

    Returns
    -------
    name, metric, first, second, difference, low, high, draws, cells (those whose values differ); largest first,
    relative to the range of the metric
    """
    rows = values.assign(difference=values["second"] - values["first"])
    found = []
    for (name, metric), group in rows.groupby(["name", "metric"], sort=False):
        changed = int((group["difference"] != 0).sum())
        if changed:
            width = _range(declared.get(str(metric)))
            of_draws = group.groupby(["dataset", "data_seed"], sort=False)[["first", "second", "difference"]].mean()
            means = of_draws.groupby(level="dataset", sort=False).mean().mean()
            over = _over_seeds(of_draws["difference"])
            found.append((name, metric, *means, *_interval(over, width), len(over), changed, width))
    frame = pd.DataFrame(found, columns=[*COLUMNS, "width"])
    ranges = frame["width"].astype(float).replace(math.inf, 1.0)
    size = frame["difference"].astype(float).abs() / ranges
    return frame.loc[size.sort_values(ascending=False, kind="stable").index, COLUMNS].reset_index(drop=True)


def _over_seeds(differences: pd.Series) -> np.ndarray:
    """Mean over datasets of every data seed that all of them have. ``differences``: by dataset and data seed."""
    table = differences.unstack("data_seed")
    return table.dropna(axis=1).mean().to_numpy(np.float64)


def _range(facts: MetricFacts | None) -> float:
    if facts is None or facts.lower is None or facts.upper is None:
        return math.inf
    return facts.upper - facts.lower


def _interval(values: np.ndarray, width: float) -> tuple[float, float]:
    if len(values) < LEAST_DRAWS:
        return math.nan, math.nan
    if math.isinf(width):
        return interval(values)[1:3]
    return bounded_interval(values, -width, width, 0.0) or (math.nan, math.nan)
