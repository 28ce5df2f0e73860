"""Means over draws with their intervals, and medians of costs: one place for the page and the exported tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.results.records import NOT_KNOWN, DrawFacts, MetricFacts
from xai_bench.statistics import LEAST_DRAWS, bounded_interval, by_data_seed, corrected_interval, interval
from xai_bench.suites.suite import CONTROLS

Floats = NDArray[np.float64]
Ends = tuple[float, float]
NONE: Ends = (math.nan, math.nan)
WIDEST: Ends = (-math.inf, math.inf)


@dataclass(frozen=True)
class Intervals:
    """How the interval of a mean over draws is made; there is none below five draws.

    Attributes
    ----------
    splits : datasets whose draws are splits of one table, to the ratio of test to training rows: their interval is
        corrected for the rows that splits share
    declared : metric to what it declares; elsewhere the interval stays within the bounds of the metric
    chance : of a dataset and a metric, NaN where it is not defined; without it an interval is Student's t
    level : of confidence
    """

    splits: Mapping[str, float] = field(default_factory=dict)
    declared: Mapping[str, MetricFacts] = field(default_factory=dict)
    chance: Callable[[str, str], float] = lambda dataset, metric: math.nan
    level: float = 0.95

    def of(self, values: Floats, dataset: str, metric: str = "") -> Ends:
        """(low, high) of the mean of values (n,), one a draw."""
        if len(values) < LEAST_DRAWS or not np.isfinite(values).all():
            return NONE
        low, high = self._bounds(metric)
        if dataset in self.splits:
            ends = corrected_interval(values, self.splits[dataset], self.level) or NONE
            return max(ends[0], low), min(ends[1], high)
        within = low <= values.min() and values.max() <= high
        if math.isfinite(high - low) and within and low <= (chance := self.chance(dataset, metric)) <= high:
            return bounded_interval(values, low, high, chance, self.level) or NONE
        return interval(values, self.level)[1:3]

    def _bounds(self, metric: str) -> Ends:
        facts = self.declared.get(metric)
        return WIDEST if facts is None or facts.lower is None or facts.upper is None else (facts.lower, facts.upper)


def over_draws(rows: pd.DataFrame, value: str, by: Sequence[str], intervals: Intervals) -> pd.DataFrame:
    """The mean of ``value`` over data seeds and its interval; model seeds and folds are averaged within a draw first.

    Parameters
    ----------
    rows : one row a measurement, without missing values
    by : columns that tell means apart, ``dataset`` among them and perhaps ``metric``

    Returns
    -------
    columns ``by``, mean, low, high, n (data seeds)
    """
    found = by_data_seed(rows, value, by)
    ends = {
        key: intervals.of(values, place["dataset"], place.get("metric", ""))
        for key, values in _by_draw(rows, value, by)
        for place in (dict(zip(by, key, strict=True)),)
    }
    own = [ends[key] for key in found[[*by]].itertuples(index=False, name=None)]
    return found.assign(low=[low for low, _ in own], high=[high for _, high in own])


def _by_draw(rows: pd.DataFrame, value: str, by: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Floats]]:
    """The values of each group, one a data seed."""
    numbers = rows.assign(number=rows[value].astype(float))
    means = numbers.groupby([*by, "data_seed"], sort=False)["number"].mean()
    for key, group in means.groupby(level=[*by], sort=False):
        yield tuple(str(part) for part in key), group.to_numpy()  # type: ignore[union-attr]


def splits(cells: pd.DataFrame, draws: Mapping[str, DrawFacts]) -> dict[str, float]:
    """Datasets whose draws are splits of one table, to the ratio of test to training rows."""
    known = cells.loc[cells["draw"].isin(draws.keys()), ["dataset", "draw"]].drop_duplicates("dataset")
    facts = {str(dataset): draws[draw] for dataset, draw in known.itertuples(index=False)}
    return {dataset: one.n_test / one.n_train for dataset, one in facts.items() if "real" in one.traits}


def timed(cells: pd.DataFrame) -> pd.DataFrame:
    """Explanations that were done, controls left out, with ``given`` a network (set-up and explain) and ``end`` to end
    (training as well) for both clocks; training counts 0 where there is no network, and is NaN, as ``end``, where the
    network was trained on another machine than that of the explanation."""
    rows = cells[(cells["status"] == "done") & ~cells["explainer"].isin(CONTROLS)]
    for clock in ("cpu", "wall"):
        train = rows[f"train_{clock}"].astype(float) if f"train_{clock}" in rows else 0.0
        trained = np.where(rows["trained_on"] == rows["machine"], train, np.nan)
        rows = rows.assign(train=np.where(rows["model_key"] == "", 0.0, trained))
        rows = rows.assign(given=rows[f"setup_{clock}"] + rows[f"explain_{clock}"])
        rows = rows.assign(end=rows["given"] + rows["train"]).drop(columns=f"train_{clock}", errors="ignore")
        rows = rows.rename(columns={part: f"{part}_{clock}" for part in ("train", "given", "end")})
    return rows


def trained_most(networks: pd.DataFrame) -> pd.DataFrame:
    """The rows, one a network, of those that were trained on the machine that trained the most."""
    known = networks.loc[~networks["trained_on"].isin(["", NOT_KNOWN]), "trained_on"]
    return networks[networks["trained_on"].isin(known.mode()[:1])]


def medians(rows: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Medians of costs: columns ``by``, ``values``, cells and datasets (how many)."""
    groups = rows.astype(dict.fromkeys(values, float)).groupby([*by], sort=False)
    counts = pd.DataFrame({"cells": groups.size(), "datasets": groups["dataset"].nunique()})
    return groups[[*values]].median().join(counts).reset_index()
