"""Entrants: the unit of every comparison, a method on a network, or a method that needs none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from xai_bench.errors import InputError, unknown
from xai_bench.results import selections
from xai_bench.suites.suite import CONTROLS
from xai_bench.variance import variance_shares

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

Tier = Literal["compared", "control"]
RECOVERY, RETENTION, FALSE_SELECTIONS = "recovery", "retention", "false_selections"
STORED = {RECOVERY: "auroc", RETENTION: "retention_retrained_gain"}
"""Score of a leaderboard to the name that it is stored under, where that is another one."""
MASKED = "retention_masked_gain"
"""What ``retention`` is where no judge is trained anew: the explained network is the judge."""
NO_SIGNAL = "no_signal"
AXES = ["dataset", "family", "draw", "explainer", "model"]


@dataclass(frozen=True)
class Entrant:
    """A method on a network.

    Attributes
    ----------
    explainer : its label in the suite
    model : the network's label, None for a method that needs none
    tier : ``compared``, or ``control`` for random and oracle, which are never ranked
    """

    explainer: str
    model: str | None = None
    tier: Tier = "compared"

    @classmethod
    def of(cls, explainer: str, model: str) -> Entrant:
        """From the labels in a frame; ``model`` is "" for a method that needs none."""
        return cls(explainer, model or None, "control" if explainer in CONTROLS else "compared")

    @property
    def id(self) -> str:
        """``spectral on mlp``, or ``f_test`` alone."""
        return f"{self.explainer} on {self.model}" if self.model else self.explainer


def ids(frame: pd.DataFrame) -> pd.Series:
    """The id of the entrant of every row of a frame with the columns explainer and model."""
    return frame["explainer"].where(frame["model"] == "", frame["explainer"] + " on " + frame["model"])


def shown(metric: str) -> tuple[float, int]:
    """What a score is multiplied by where it is shown, and 1 where higher is better, else -1."""
    return (100.0 if metric == RETENTION else 1.0), (-1 if metric == FALSE_SELECTIONS else 1)


def values(results: Results, metric: str) -> pd.DataFrame:
    """The scores of all entrants on all draws where the metric is defined; controls left out.

    A recovery score is (value - chance) / (best - chance), never clipped: 2 AUROC - 1, for recovery. Retention is the
    gain over random inputs where the judge is trained anew, or, in a suite without a judge, on the explained network.
    Cells that failed or timed out count as chance, 0; of ``false_selections`` (see ``selections``) they have none, and
    data without a signal enter these only.

    Parameters
    ----------
    metric : ``recovery``, ``retention``, ``false_selections``, or the name of a metric that has a best value and is not
        descriptive

    Returns
    -------
    columns dataset, family, draw, explainer, model ("" without one), value (mean over the model seeds and folds of the
    draw; NaN where there is none), value_learned (over the networks that learned), learned (their share; NaN without a
    network), unsupported, reason (why there is no value), confirmatory, method_confirmed, network_confirmed; one row
    an entrant and draw

    Raises
    ------
    InputError
        If the metric was not measured, is descriptive, or has no best value.
    """
    return _averaged(results, scored(results, metric))


def scored(results: Results, metric: str) -> pd.DataFrame:
    """As ``values``, one row a cell: the columns of ``Results.cells``, value, reason (of the value), status_reason.

    Raises
    ------
    InputError
        See ``values``.
    """
    name = STORED.get(metric, metric)
    if metric == RETENTION and not judges(results):
        name = MASKED
    cells = results.cells[~results.cells["explainer"].isin(CONTROLS)]
    measured = _measured(results, metric, name)
    rows = cells.rename(columns={"reason": "status_reason"}).merge(measured, on="cell", how="left")
    if metric in (RETENTION, FALSE_SELECTIONS):
        rows = rows[_where_somebody_has_one(rows, metric)].assign(value=rows["value"].astype(float))
        rows = rows[~rows["traits"].str.contains(NO_SIGNAL)] if metric == RETENTION else rows
    else:
        chance, best = _ends(results, name, rows["draw"])
        rows = rows.assign(value=(rows["value"].astype(float) - chance) / (best - chance))
        rows = rows[chance.notna() & (chance != best)]
    if rows.empty:
        raise InputError(f"{metric} cannot be ranked: it is defined on no draw of this run")
    lost = rows["status"].isin(["failed", "timed_out"])
    family = rows["family"].where(rows["family"] != "", rows["dataset"])
    value = rows["value"] if metric == FALSE_SELECTIONS else rows["value"].where(~lost, 0.0)
    return rows.assign(value=value, family=family, lost=lost)


def judges(results: Results) -> tuple[str, ...]:
    """Who is trained anew on the kept inputs, to judge retention; () for nobody."""
    return tuple((results.suite.get("retention") or {}).get("judges", ("network",)))


def variance_by_dataset(results: Results, metric: str) -> pd.DataFrame:
    """Where a score of methods that explain a network varies: see ``variance.variance_shares``.

    Raises
    ------
    InputError
        See ``values``.
    """
    rows = scored(results, metric)
    rows = rows[(rows["model"] != "") & rows["value"].notna()]
    # Folds of a draw share its data: they are averaged first.
    means = rows.groupby(["dataset", "data_seed", "model_seed", "model", "explainer"], sort=False)["value"].mean()
    return variance_shares(means.reset_index().rename(columns={"data_seed": "draw"}))


def _measured(results: Results, metric: str, name: str) -> pd.DataFrame:
    """cell, value, reason of a score under the name that it is stored by."""
    if metric == FALSE_SELECTIONS:
        found = selections.false_selections(results).assign(reason="")
        if found.empty:
            raise InputError("false_selections: expected a suite with [calibration] whose null runs are done, got none")
        return found.drop_duplicates("cell")
    found = results.measurements
    found = found.loc[found["metric"] == name, ["cell", "value", "reason"]].drop_duplicates("cell")
    if found["value"].notna().sum() == 0:
        known = {*results.metrics, *STORED.values()} & set(results.measurements["metric"])
        raise unknown("metric", metric, sorted(known | {k for k, v in STORED.items() if v in known}))
    return found


def _where_somebody_has_one(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Draws with a value; of false selections the networks too, since null runs may be of some only."""
    by = ["draw", "model"] if metric == FALSE_SELECTIONS else ["draw"]
    return rows.groupby(by, sort=False)["value"].transform("count") > 0


def _ends(results: Results, name: str, draws: pd.Series) -> tuple[pd.Series, float]:
    """The score of chance on these draws, NaN where it is not defined, and the best one."""
    facts = results.metrics.get(name)
    if facts is None or facts.descriptive or not np.isfinite(facts.best):
        raise InputError(f"{name} cannot be ranked: expected a metric with a best value that is not descriptive")
    levels = {key: draw.chance.get(name) for key, draw in results.draws.items()}
    return draws.map(levels).astype(float), facts.best


def _averaged(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """Means over model seeds and folds, within a draw of the data."""
    value, lost = rows["value"], rows["lost"]
    network = rows["model"] != ""
    known = rows["learned"] if "learned" in rows else pd.Series(np.nan, index=rows.index)
    # A network that was not trained has not learned.
    learned = known.astype(float).where(~(lost & known.isna()), 0.0).where(network)
    reason = rows["status_reason"].where(rows["status"] != "missing", "not run")
    reason = reason.where(rows["status"] != "done", rows["reason"].fillna("")).where(value.isna(), "")
    frame = rows.assign(
        draw=rows["data_seed"], learned=learned, value_learned=value.where(learned > 0),
        unsupported=rows["status"] == "unsupported", why=reason,
    )  # fmt: skip
    found = frame.groupby(AXES, sort=False).agg(
        value=("value", "mean"), value_learned=("value_learned", "mean"), learned=("learned", "mean"),
        unsupported=("unsupported", "all"), reason=("why", "first"),
    ).reset_index()  # fmt: skip
    return found.assign(**_confirmed(results, found))


def _confirmed(results: Results, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Whether a row's entrant, method and network are among the confirmatory ones of the suite."""
    listed = results.suite.get("entrants") or {}
    found = {}
    for axis, name in (("explainers", "method"), ("models", "network")):
        column, labels = rows[axis.removesuffix("s")], listed.get(axis) or ()
        found[f"{name}_confirmed"] = column.isin(labels) | (column == "") if labels else column == column
    found["confirmatory"] = found["method_confirmed"] & found["network_confirmed"]
    return found
