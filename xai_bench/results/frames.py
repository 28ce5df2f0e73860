"""Results: what a run found, as tidy tables and relevance vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.decisions import MARGIN
from xai_bench.results import entrants
from xai_bench.results import settling as rule
from xai_bench.results.records import Costs, DrawFacts, MetricFacts, ModelFacts, SettlingFacts

KIND = ["family", "traits"]
"""What kind of dataset a row is about."""
SCORES = (
    *("train_score", "valid_score", "test_score", "test_mae", "chance", "ceiling", "p_value", "valid_loss"),
    *("train_cpu", "train_wall"),
)
"""The numbers of a network that may be missing; the seconds of one that was not trained here are."""


@dataclass
class Results:
    """What a run found, for the cells of its suite.

    Attributes
    ----------
    suite : the suite's ``config``
    relevance : cell key to (n_inputs,) relevances in canonical order
    column_relevance : cell key to (d,) relevances of the columns in canonical order, where an input has several; a pack
        does not have them
    draws : draw key to what is known of it (feature names, roles, graded truth, chance levels, ceiling ...)
    models : model key to what the network reached
    metrics : name of a metric to what it declared when it last scored here
    trained_again : model key to what one more training of that network showed
    provenance : one record a run, oldest first: library versions, times
    folder : where the store or the pack lies
    """

    suite: dict[str, Any]
    _plan: pd.DataFrame
    _cells: pd.DataFrame
    _measurements: pd.DataFrame
    models: dict[str, ModelFacts]
    draws: dict[str, DrawFacts]
    metrics: dict[str, MetricFacts]
    relevance: dict[str, NDArray[np.float64]]
    provenance: list[dict[str, Any]]
    folder: Path
    column_relevance: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    trained_again: dict[str, SettlingFacts] = field(default_factory=dict)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a planned cell, in the order of the suite.

        Columns: cell, draw, model_key, dataset, model ("" without one), explainer, entrant (its id), data_seed,
        model_seed, fold (-1 without folds), status (``missing`` if not run), reason, the fields of ``Costs``, family
        and traits of the dataset ("" until the draw is known; traits are joined by commas), and of the model:
        train_score, valid_score, test_score, chance, ceiling, p_value, learned, train_cpu, train_wall. ``settled``, the
        same for all networks of a label on a dataset, says whether their relevance has (see ``settling``), NA where
        that is not known. ``chosen`` and ``model_chosen`` (there if a model had a choice) hold settings that validation
        chose. ``model_reason`` (there if a score of a model is missing) says why. Null runs are not among them.
        """
        everything = self._every_cell
        return everything[everything["permutation"] < 0].drop(columns="permutation").reset_index(drop=True)

    @cached_property
    def null_cells(self) -> pd.DataFrame:
        """The cells of the null runs: as ``cells``, and ``permutation``, the number of the permuted targets."""
        everything = self._every_cell
        return everything[everything["permutation"] >= 0].reset_index(drop=True)

    @cached_property
    def _every_cell(self) -> pd.DataFrame:
        columns = [*Costs.__annotations__, "chosen"]
        costs = pd.DataFrame([json.loads(text) for text in self._cells["costs"]], columns=columns)
        stored = pd.concat([self._cells.drop(columns="costs"), costs], axis=1)
        frame = self._plan.merge(stored, how="left", left_on="cell", right_on="key").drop(columns=["key", "position"])
        frame["status"] = frame["status"].fillna("missing")
        frame["reason"] = frame["reason"].fillna("")
        frame["entrant"] = entrants.ids(frame)
        frame["family"] = [self.draws[key].family if key in self.draws else "" for key in frame["draw"]]
        frame["traits"] = [", ".join(self.draws[key].traits) if key in self.draws else "" for key in frame["draw"]]
        rows = {key: _of_model(facts) for key, facts in self.models.items()}
        models = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model_key").reset_index()
        numbers = [name for name in SCORES if name in models]
        models[numbers] = models[numbers].astype(float)  # None is NaN
        if len(models):
            frame = frame.merge(models, how="left", on="model_key")
        known = rule.of_networks(self.settling)
        settled = [known.get(pair) for pair in zip(frame["dataset"], frame["model"], strict=True)]
        return frame.assign(settled=pd.array(settled, dtype="boolean"))

    @cached_property
    def settling(self) -> pd.DataFrame:
        """Whether the relevance of the networks has settled: see ``results.settling.settling``."""
        return rule.settling(self._plan, self.trained_again)

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row a number: the columns of ``cells`` that name it, and metric, k (0 if none), value, reason."""
        names = ["cell", "draw", "dataset", "model", "explainer", "entrant", "data_seed", "model_seed", "fold", *KIND]
        done = self.cells.loc[self.cells["status"] == "done", names]
        return done.merge(self._measurements, on="cell", how="inner").sort_values(
            ["dataset", "model", "explainer", "data_seed", "model_seed", "fold", "metric", "k"],
            kind="stable",
            ignore_index=True,
        )

    def table(self) -> pd.DataFrame:
        """Tidy: one row a number, costs included.

        Columns: dataset, model, explainer, entrant, data_seed, model_seed, fold, family, traits, status, learned,
        settled, metric, k, value, reason. A cell that is not done has one row without a metric.
        """
        cell = ["cell", "dataset", "model", "explainer", "entrant", "data_seed", "model_seed", "fold"]
        names = [*cell, *KIND, "status"]
        frame = self.cells
        learned = frame["learned"] if "learned" in frame else pd.Series(pd.NA, index=frame.index)
        base = frame[names].assign(learned=learned.astype("boolean"), settled=frame["settled"])
        scores = base.merge(self._measurements, on="cell", how="inner")
        costs = frame.loc[frame["status"] == "done", ["cell", *Costs.__annotations__]]
        costs = costs.melt(id_vars="cell", var_name="metric", value_name="value").assign(k=0, reason="")
        costs["value"] = costs["value"].astype(float)
        costs = costs[costs["value"].notna() | (costs["metric"] != "rows_explained")]
        costs = base.merge(costs, on="cell", how="inner")
        other = base.assign(reason=frame["reason"], metric="", k=0, value=np.nan)[frame["status"] != "done"]
        parts = [part for part in (scores, costs, other) if len(part)]
        columns = [*names[1:], "learned", "settled", "metric", "k", "value", "reason"]
        if not parts:
            return pd.DataFrame(columns=columns)
        order = ["dataset", "model", "explainer", "data_seed", "model_seed", "fold", "metric", "k"]
        return pd.concat(parts)[columns].sort_values(order, kind="stable", ignore_index=True)

    def leaderboard(self, metric: str = "auroc", margin: float = MARGIN) -> pd.DataFrame:
        """Entrants by their mean score, with what the draws can tell apart: see ``results.entrants.leaderboard``."""
        return entrants.leaderboard(self, metric, margin)

    @property
    def report_folder(self) -> Path:
        """Where the report is written if no other place is named: ``reports/SUITE``.

        It lies beside ``runs`` for a run, in the folder of the file otherwise. A pack in such a folder has its report
        there.
        """
        folder, name = self.folder.resolve(), self.suite["name"]
        if folder.parent.name == "reports" and folder.name == name:
            return folder
        return (folder.parent.parent if folder.parent.name == "runs" else folder) / "reports" / name

    @property
    def failed(self) -> pd.DataFrame:
        """The cells that failed or ran out of time, null runs included, with their reasons."""
        everything = self._every_cell
        return everything[everything["status"].isin(["failed", "timed_out"])].drop(columns="permutation")


def _of_model(facts: ModelFacts) -> dict[str, Any]:
    """The columns of a model."""
    row = facts.to_json()
    reasons = row.pop("reasons", {})
    return row | ({"model_reason": "; ".join(f"{name}: {why}" for name, why in reasons.items())} if reasons else {})
