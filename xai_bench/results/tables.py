"""The tables that can be exported: frames at full precision, one function each, and their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xai_bench.errors import InputError, unknown
from xai_bench.results import means
from xai_bench.results.comparison import UNITS, Unit
from xai_bench.results.entrants import RETENTION
from xai_bench.results.records import MetricFacts

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

BOARDS = ("leaderboard", "pairs")
"""Tables that compare methods, networks or entrants."""
WITH_METRIC = (*BOARDS, "recovery")
PLACE = ["dataset", "model", "explainer", "entrant"]
SECONDS = ["train_cpu", "given_cpu", "end_cpu"]


def table(results: Results, name: str, of: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """The table of that name, one of ``NAMES``, at full precision.

    Parameters
    ----------
    of : ``methods`` (if None), ``networks`` or ``entrants``, of a leaderboard or of pairs
    metric : of a leaderboard or of pairs (``recovery`` if None: see ``Results.leaderboard``); of the table ``recovery``
        the name of the one metric that is wanted

    Raises
    ------
    InputError
        If there is no such table, it has no such choice, or the metric was not measured.
    """
    if name not in NAMES:
        raise unknown("table", name, NAMES)
    if of is not None and name not in BOARDS:
        raise InputError(
            f"of: expected a leaderboard or pairs, got the table {name!r}, which is of entrants: leave it out"
        )
    if metric is not None and name not in WITH_METRIC:
        raise InputError(f"metric: expected {', '.join(WITH_METRIC)}, got the table {name!r}: leave it out")
    if of is not None and of not in UNITS:
        raise unknown("kind of leaderboard", of, UNITS)
    if name in BOARDS:
        unit: Unit = of or "methods"  # type: ignore[assignment]
        chosen = metric or "recovery"
        return results.leaderboard(unit, chosen) if name == "leaderboard" else results.pairs(unit, chosen)
    if name == "recovery":
        return recovery(results, metric)
    return _ALONE[name](results)


def headline(results: Results) -> str:
    """The metric of recovery that leads tables: the first that a run measured and that is not descriptive."""
    measured = set(results.measurements["metric"])
    known = [facts for name, facts in results.metrics.items() if name in measured and not facts.descriptive]
    if not known:
        raise InputError("recovery: expected scores of relevant inputs, got none: no dataset of this run has a truth")
    return min(known, key=lambda facts: (not facts.headline, facts.order, facts.name)).name


def recovery(results: Results, metric: str | None = None) -> pd.DataFrame:
    """Means over draws of what metrics say of every entrant on every dataset.

    Returns
    -------
    dataset, model, explainer, entrant, metric, mean, low, high, draws; for the 95 % interval see ``means.Intervals``

    Raises
    ------
    InputError
        If the metric was not measured.
    """
    rows = results.measurements
    measured = [name for name in results.metrics if name in set(rows["metric"])]
    if metric is not None and metric not in measured:
        raise unknown("metric", metric, measured)
    wanted = measured if metric is None else [metric]
    rows = rows[rows["metric"].isin(wanted) & (rows["k"] == 0)]
    return _means(results, rows, results.metrics)


def retention(results: Results) -> pd.DataFrame:
    """Points gained over random inputs, and the share of the draws that have a value: as ``recovery``, in points."""
    rows = results.measurements
    rows = rows[rows["metric"].str.fullmatch(r"retention_\w+_gain") & (rows["k"] == 0)]
    rows = rows.assign(value=100 * rows["value"].astype(float))
    return _means(results, rows, {})


def networks(results: Results) -> pd.DataFrame:
    """What networks reached: dataset, model, mean, low, high (test score), chance, ceiling, learned (share), train_cpu
    (median on the machine that trained the most), draws."""
    cells = results.cells
    rows = cells[(cells["model"] != "") & cells.get("test_score", pd.Series(np.nan, index=cells.index)).notna()]
    rows = rows.drop_duplicates(["dataset", "model", "data_seed", "model_seed", "fold"])
    rows = rows.assign(metric="test_score", value=rows.get("test_score"), explainer="", entrant=rows["model"])
    found = _means(results, rows, {})
    by = ["dataset", "model"]
    if found.empty:
        return found
    facts = rows.assign(learned=rows["learned"].astype(float)).groupby(by, sort=False)
    here = means.trained_most(rows).groupby(by, sort=False)["train_cpu"]
    more = pd.DataFrame({
        "chance": facts["chance"].mean(), "ceiling": facts["ceiling"].mean(), "learned": facts["learned"].mean(),
    }).join(here.median())  # fmt: skip
    return found.drop(columns=["explainer", "entrant", "metric"]).merge(more.reset_index(), on=by)


def cost(results: Results) -> pd.DataFrame:
    """Medians over the explanations of every entrant on one machine, which alone can be compared.

    Training counts where the same machine trained the network.

    Returns
    -------
    machine, model, explainer, entrant, train_cpu, given_cpu (set-up and explanation), end_cpu (training as well):
    seconds; peak_memory: bytes; rows_explained, cells, datasets
    """
    by = ["machine", "model", "explainer", "entrant"]
    return means.medians(means.timed(results.cells), by, [*SECONDS, "peak_memory", "rows_explained"])


def relevances(results: Results) -> pd.DataFrame:
    """Every relevance of a cell that is done, one row an input, in canonical order.

    Columns: dataset, model ("" without one), explainer, entrant, data_seed, model_seed, fold, input (its name),
    position (from 0), relevance, and of the truth role ("" where it is not known) and graded (NaN where it is not).
    """
    seeds = ["data_seed", "model_seed", "fold"]
    cells = results.cells[results.cells["cell"].isin(results.relevance.keys())]
    values = [results.relevance[key] for key in cells["cell"]]
    facts = [results.draws[key] for key in cells["draw"]]
    sizes = [len(one) for one in values]
    frame = cells.loc[cells.index.repeat(sizes), [*PLACE, *seeds]].reset_index(drop=True)
    return frame.assign(
        input=[name for one in facts for name in one.feature_names],
        position=[j for d in sizes for j in range(d)],
        relevance=np.concatenate(values) if values else [],
        role=[role for one, d in zip(facts, sizes, strict=True) for role in one.roles or [""] * d],
        graded=[grade for one, d in zip(facts, sizes, strict=True) for grade in one.graded or [math.nan] * d],
    )


_ALONE: dict[str, Callable[[Any], pd.DataFrame]] = {
    "numbers": lambda results: results.table(), "retention": retention, "networks": networks, "cost": cost,
    "relevances": relevances,
}  # fmt: skip
NAMES = (*BOARDS, "recovery", *_ALONE)


def _means(results: Results, rows: pd.DataFrame, declared: Mapping[str, MetricFacts]) -> pd.DataFrame:
    """Means over data seeds, model seeds and folds averaged within one. ``declared``: metrics with bounds."""
    rows = rows.assign(value=rows["value"].astype(float)).dropna(subset=["value"])
    known = _chance(results, rows, declared)
    splits = means.splits(results.cells, results.draws)
    intervals = means.Intervals(splits, declared, lambda dataset, metric: known.get((dataset, metric), math.nan))
    frame = means.over_draws(rows, "value", [*PLACE, "metric"], intervals).rename(columns={"n": "draws"})
    order = {column: {label: i for i, label in enumerate(results.cells[column].unique())} for column in PLACE}
    keys = frame.apply(lambda column: column.map(order[column.name]) if column.name in order else column)
    return frame.loc[keys.sort_values(["dataset", "model", "explainer", "metric"]).index].reset_index(drop=True)


def _chance(results: Results, rows: pd.DataFrame, declared: Mapping[str, MetricFacts]) -> dict[tuple[str, str], float]:
    """(dataset, metric) to the mean score of chance over draws."""
    levels: dict[tuple[str, str], list[float]] = {}
    for dataset, draw in rows[["dataset", "draw"]].drop_duplicates().itertuples(index=False):
        for metric, level in results.draws[draw].chance.items() if draw in results.draws else ():
            if level is not None and metric in declared:
                levels.setdefault((dataset, metric), []).append(level)
    return {key: float(np.mean(known)) for key, known in levels.items()}


def is_points(metric: str) -> bool:
    """Whether a score is in points, hundredths of a test score."""
    return metric == RETENTION or (metric.startswith("retention_") and metric.endswith("_gain"))
