"""What a report is written from: stored results as tidy frames, at full precision.

The unit of inference is the data seed. The controls ``random`` and ``oracle`` are never compared with methods.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import InputError
from xai_bench.report.kit.declared import declared
from xai_bench.report.kit.wording import FORMS, GAIN_TITLES, SHARE_TITLES, without_paths
from xai_bench.results import means
from xai_bench.results.comparison import BOARD, Comparison, Unit
from xai_bench.results.records import MetricFacts
from xai_bench.results.shown import records as records
from xai_bench.scoring import calibration, stability
from xai_bench.scoring.stability import Agreement
from xai_bench.statistics import LEAST_DRAWS, by_data_seed, ratio_of_sums
from xai_bench.suites.suite import CONTROLS

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

Floats = NDArray[np.float64]
FOLLOW_UPS = ("retention_", "sanity_")
"""What is measured beside recovery: the names of its scores begin so."""
GAINS = tuple(f"retention_{form}_gain" for form in FORMS)
"""Mean score over log k with the top inputs, less that with random inputs."""
MASKED = "retention_masked_gain"
GAPS = {gain: gain.replace("_gain", "_gap") for gain in GAINS}
"""Gain to what can be gained: the score with all inputs, less the mean score with random inputs."""
SHARES = {gain: gain.replace("_gain", "_share") for gain in GAINS}
"""Gain to its descriptive share: the sum of the gains over the sum of what can be gained. It is not stored."""
LEAST_FIRST = tuple(f"retention_{form}_{what}" for form in FORMS for what in ("least_gain", "spread"))
"""Gains where the least relevant inputs are kept, and by how much those of the most relevant ones are larger."""
CURVES = (*(f"retention_{form}{which}" for form in FORMS for which in ("", "_least")), "retention_bayes")
NO_MODEL = "no model"
SECONDS = ("train", "setup", "explain", "given", "end")
"""``given`` a model: set-up and explain. ``end`` to end: training as well."""
MAE = ("mae", "mae_low", "mae_high")
PAIR = ["dataset", "model", "explainer"]


@dataclass(frozen=True)
class Frames:
    """The frames that the sections of a report are written from.

    Every frame has ``model`` as the label of the suite, "no model" for explainers that need none.
    """

    results: Results

    def in_focus(self, explainer: str, model: str = "") -> bool:
        """Whether a method (on a network) is what the suite looks at."""
        focus = without_paths(self.results.focus)
        whole = focus in (explainer, f"{explainer} on {model}") if model else focus.partition(" on ")[0] == explainer
        return bool(focus) and whole

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Planned cells, free of paths; the columns of a trained model are there even if none was trained."""
        frame = self.results.cells.copy()
        frame["reason"] = _without_paths(frame["reason"])
        for column in ("train_score", "valid_score", "test_score", "chance", "ceiling", "p_value", "learned",
                       "train_cpu", "train_wall", "parameters", "test_mae"):  # fmt: skip
            if column not in frame:
                frame[column] = np.nan
        return _named(frame)

    @cached_property
    def null_cells(self) -> pd.DataFrame:
        """Planned cells of null runs, free of paths."""
        frame = self.results.null_cells.copy()
        frame["reason"] = frame["reason"].map(without_paths)
        return _named(frame)

    @cached_property
    def measurements(self) -> pd.DataFrame:
        frame = self.results.measurements.copy()
        frame["reason"] = _without_paths(frame["reason"].fillna(""))
        return _named(frame)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The measurements without curves: one row a cell and metric."""
        return self.measurements[self.measurements["k"] == 0]

    @property
    def dense(self) -> bool:
        """Does the suite name the numbers of inputs that are kept? Then curves are shown in more detail."""
        return bool((self.results.suite.get("retention") or {}).get("ks"))

    @cached_property
    def datasets(self) -> list[str]:
        """Labels in the order of the suite, those without a planned cell left out."""
        return [str(label) for label in self.cells["dataset"].unique()]

    @cached_property
    def addresses(self) -> dict[str, str]:
        """Dataset to the address of its page from that of the report: by its label alone, unless two would be alike."""
        plain = {label: re.sub(r"[^a-z0-9_]+", "-", label.lower()).strip("-") for label in self.datasets}
        slugs = {label: slug[:100] or "dataset" for label, slug in plain.items()}
        alike = Counter(slugs.values())
        return {
            label: f"datasets/{slug}{'-' + sha256(label.encode()).hexdigest()[:8] if alike[slug] > 1 else ''}.html"
            for label, slug in slugs.items()
        }

    @cached_property
    def ranked(self) -> list[str]:
        """Methods, the first of the leaderboard first; then those that are not on it."""
        return list(dict.fromkeys([*self.board()["explainer"], *(explainer for _, explainer in self.pairs)]))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(model, explainer) in the order of the suite, controls left out, explainers without model last."""
        planned = self.cells.loc[~self.cells["explainer"].isin(CONTROLS), ["model", "explainer"]].drop_duplicates()
        order = [*self.models, NO_MODEL]
        ranked = planned.assign(at=planned["model"].map(order.index)).sort_values("at", kind="stable")
        return list(zip(ranked["model"], ranked["explainer"], strict=True))

    @cached_property
    def models(self) -> list[str]:
        """Labels of the models with planned cells, in the order of the suite."""
        return [str(label) for label in self.cells["model"].unique() if label != NO_MODEL]

    @cached_property
    def data_seeds(self) -> list[int]:
        return sorted(int(seed) for seed in self.cells["data_seed"].unique())

    def draws(self, dataset: str) -> list[dict[str, Any]]:
        """What is known of the draws of a dataset, by data seed."""
        return self._draws.get(dataset, [])

    @cached_property
    def _draws(self) -> dict[str, list[dict[str, Any]]]:
        known = self.cells[self.cells["draw"].isin(self.results.draws.keys())]
        ordered = known[["dataset", "data_seed", "fold", "draw"]].drop_duplicates().sort_values(["data_seed", "fold"])
        return {
            str(d): [self.results.draws[key].to_json() for key in rows["draw"]]
            for d, rows in ordered.groupby("dataset")
        }

    @cached_property
    def declared(self) -> dict[str, MetricFacts]:
        """Recovery scores that were measured, and what each declares of itself; in the order of tables."""
        measured = {str(name) for name in self.scores["metric"].unique() if not str(name).startswith(FOLLOW_UPS)}
        return declared(measured - {f"{name}_se" for name in measured}, self.results.metrics)

    @property
    def metrics(self) -> list[str]:
        """Names of the recovery scores that were measured, in the order of tables."""
        return list(self.declared)

    def title(self, score: str) -> str:
        """The name of a recovery score, or of a score of retention, in tables."""
        if score in self.declared:
            return without_paths(self.declared[score].title)
        return (GAIN_TITLES | SHARE_TITLES).get(score, score)

    @cached_property
    def recovery(self) -> pd.DataFrame:
        """dataset, model, explainer, metric, mean, low, high, n: one row an interval over data seeds."""
        rows = self.scores
        rows = rows[rows["metric"].isin(self.metrics) & rows["value"].notna()]
        return self._over_draws(rows, "value", [*PAIR, "metric"])

    @cached_property
    def retention(self) -> pd.DataFrame:
        """As ``recovery``, of gains and their shares, and the number of draws that they rest on.

        Gains are in units of the test score. ``n`` counts the data seeds with a value, ``parts`` the data seeds and
        folds with one, ``planned`` those of the suite. A share without ``low`` and ``high`` rests on one data seed, or
        the interval of what can be gained includes 0.
        """
        frame, by = self.scores, [*PAIR, "metric"]
        rows = frame[frame["metric"].isin((*GAINS, *LEAST_FIRST)) & frame["value"].notna()]
        draws = rows.drop_duplicates([*by, "data_seed", "fold"])
        of_gains = draws.groupby(by, sort=False).size().rename("parts").reset_index()
        of_shares = of_gains.assign(metric=of_gains["metric"].map(SHARES)).dropna()
        found = [part for part in (self._intervals(rows), self._shares()) if len(part)] or [self._intervals(rows)]
        counted = pd.concat(found, ignore_index=True).merge(pd.concat([of_gains, of_shares]), on=by, how="left")
        return counted.assign(planned=len(self.data_seeds) * max(self.results.suite.get("folds") or 0, 1))

    def _shares(self) -> pd.DataFrame:
        """The share of what can be gained over all draws: rows as those of ``_intervals``."""
        rows, by = self.scores, [*PAIR, "data_seed"]
        found = []
        for gain, gap in GAPS.items():
            both = rows[rows["metric"].isin((gain, gap))].pivot(index=["cell", *by], columns="metric", values="value")
            if both.empty or both.shape[1] < 2:
                continue
            # Model seeds and folds of one data seed share its data: they are averaged first.
            means = both.dropna().groupby(level=by, sort=False)[[gain, gap]].mean()
            for key, group in means.groupby(level=PAIR, sort=False):
                share = ratio_of_sums(group[gain], group[gap])
                if math.isfinite(share.mean):
                    found.append((*key, SHARES[gain], *share))
        shares = pd.DataFrame(found, columns=[*PAIR, "metric", "mean", "low", "high", "n"])
        shares.loc[(shares["n"] < LEAST_DRAWS) | shares["dataset"].isin(self.splits), ["low", "high"]] = np.nan
        return shares

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """What can be gained: dataset, model, metric (that of the gain), mean, low, high, n; one row an interval.

        Of the masked form it depends on the network; elsewhere the rows of a dataset are equal.
        """
        rows = self.scores[self.scores["metric"].isin(GAPS.values()) & self.scores["value"].notna()]
        rows = rows.drop_duplicates(["dataset", "model", "data_seed", "model_seed", "fold", "metric"])
        found = self._over_draws(rows, "value", ["dataset", "model", "metric"])
        return found.assign(metric=found["metric"].map({gap: gain for gain, gap in GAPS.items()}))

    @cached_property
    def retention_reasons(self) -> pd.DataFrame:
        """Gains without a value: dataset, model, explainer, data_seed, fold, metric, reason, one row a cell."""
        frame = self.scores
        rows = frame[frame["metric"].isin(GAINS) & frame["value"].isna()]
        return rows[[*PAIR, "data_seed", "fold", "metric", "reason"]].reset_index(drop=True)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Retained scores: dataset, model, explainer, metric, k, mean, low, high, n; one row an interval over seeds."""
        frame = self.measurements
        rows = frame[frame["metric"].isin(CURVES) & frame["value"].notna()]
        return by_data_seed(rows, "value", [*PAIR, "metric", "k"])

    def curve(self, dataset: str, metric: str) -> pd.DataFrame:
        """The rows of ``curves`` of one dataset and form."""
        return self.curves[(self.curves["dataset"] == dataset) & (self.curves["metric"] == metric)]

    @cached_property
    def trained(self) -> pd.DataFrame:
        """What the networks reached: dataset, model, mean, low, high (test score), train, valid, chance, ceiling,
        learned, of, p_value (the largest), train_cpu, train_wall (medians of those trained on ``machine``), parameters,
        settled (NA where it is not known whether the relevance has); mae, mae_low, mae_high: mean absolute error on
        the test rows in units of the target, NaN in classification."""
        networks = self.cells[(self.cells["model"] != NO_MODEL) & self.cells["test_score"].notna()]
        networks = networks.drop_duplicates(["dataset", "model", "data_seed", "model_seed", "fold"])
        columns = ["dataset", "model", "mean", "low", "high", "n"]
        if networks.empty:
            return pd.DataFrame(columns=[*columns, "train", "valid", "chance", "ceiling", "learned", "of", "p_value",
                                         "train_cpu", "train_wall", "parameters", "settled", *MAE])  # fmt: skip
        by = ["dataset", "model"]
        groups = networks.groupby(by, sort=False)
        here = networks[networks["trained_on"] == self.machine].groupby(by, sort=False)[["train_cpu", "train_wall"]]
        facts = pd.DataFrame({
            "train": groups["train_score"].mean(), "valid": groups["valid_score"].mean(),
            "chance": groups["chance"].mean(), "ceiling": groups["ceiling"].mean(),
            "learned": groups["learned"].apply(lambda v: int(v.astype(bool).sum())), "of": groups.size(),
            "p_value": groups["p_value"].max(), "parameters": groups["parameters"].median(),
            "settled": groups["settled"].first(),
        }).join(here.median())  # fmt: skip
        networks = networks.assign(test_mae=networks["test_mae"].astype(float))
        errors = self._over_draws(networks, "test_mae", by).drop(columns="n")
        errors = errors.rename(columns={"mean": "mae", "low": "mae_low", "high": "mae_high"})
        reached = self._over_draws(networks, "test_score", by)
        reached["high"] = reached["high"].clip(upper=1.0)
        return reached.merge(facts.reset_index(), on=by).merge(errors, on=by)

    def reached(self, dataset: str, model: str) -> dict[str, Any] | None:
        """The row of ``trained``, or None."""
        return self._reached.get((dataset, model))

    @cached_property
    def _reached(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(row["dataset"], row["model"]): row for row in records(self.trained)}

    @cached_property
    def timed(self) -> pd.DataFrame:
        """See ``results.means.timed``."""
        return means.timed(self.cells)

    @cached_property
    def with_relevance(self) -> pd.DataFrame:
        """The rows of ``timed`` whose relevances are stored."""
        return self.timed[self.timed["cell"].isin(self.results.relevance.keys())]

    @cached_property
    def machine(self) -> str:
        """The machine whose costs are shown: costs of several cannot be compared, and it has measured the most."""
        return str(self.timed["machine"].mode().iloc[0]) if len(self.timed) else ""

    def cost(self, by: Sequence[str]) -> pd.DataFrame:
        """Medians over explanations on ``machine`` that share ``by``: seconds, bytes, rows; ``datasets``: how many."""
        values = [f"{part}_{clock}" for clock in ("cpu", "wall") for part in SECONDS]
        values += ["peak_memory", "rows_explained", "forward_rows", "backward_rows"]
        frame = self.timed[self.timed["machine"] == self.machine]
        return means.medians(frame, by, values)

    def problems(self, dataset: str | None = None) -> list[dict[str, Any]]:
        """Cells that are not done, one row a status and reason: explainers, models, how many.

        That there is no oracle where no truth is known, is no problem.
        """
        frame = self.cells[self.cells["status"] != "done"]
        frame = frame[~(frame["explainer"].isin(CONTROLS) & (frame["status"] == "unsupported"))]
        if dataset is not None:
            frame = frame[frame["dataset"] == dataset]
        rows = []
        for (status, reason), group in frame.groupby(["status", "reason"], sort=True):
            rows.append({
                "status": status, "reason": reason or ("not run yet" if status == "missing" else "no reason was given"),
                "explainers": [str(e) for e in group["explainer"].unique()],
                "models": [str(m) for m in group["model"].unique()], "cells": len(group),
            })  # fmt: skip
        return sorted(rows, key=lambda row: ("failed", "timed_out", "missing", "unsupported").index(row["status"]))

    def comparison(self, of: Unit = "methods", metric: str = "recovery") -> Comparison | None:
        """``Results.compare``; None where there is nothing to compare."""
        try:
            return self.results.compare(of, metric)
        except InputError:
            return None

    @cached_property
    def _boards(self) -> dict[tuple[str, str], pd.DataFrame]:
        return {}

    def board(self, of: Unit = "methods", metric: str = "recovery") -> pd.DataFrame:
        """``Results.leaderboard``, free of paths; without rows where there is nothing to compare."""
        if (of, metric) not in self._boards:
            found = self.comparison(of, metric)
            board = pd.DataFrame(columns=BOARD) if found is None else found.leaderboard()
            for column in ("name", "explainer", "model", "reason"):
                board[column] = board[column].map(without_paths, na_action="ignore")
            self._boards[of, metric] = board
        return self._boards[of, metric]

    @cached_property
    def calibration(self) -> pd.DataFrame:
        """Thresholds of null runs, and what is found above them: see ``scoring.calibration``."""
        asked = self.results.suite.get("calibration")
        relevance, draws = self.results.relevance, self.results.draws
        return calibration.calibration(self.null_cells, self.cells, relevance, draws, asked["runs"] if asked else None)

    @cached_property
    def stability(self) -> pd.DataFrame:
        """Of networks trained anew: see ``scoring.stability``."""
        return stability.stability(self.timed, self.results.relevance, self.results.draws)

    @cached_property
    def stability_over_rows(self) -> pd.DataFrame:
        """Of networks that were not trained here: see ``scoring.stability.over_rows``."""
        with_relevance = self.cells[self.cells["cell"].isin(self.with_relevance["cell"])]
        return stability.over_rows(with_relevance, self.results.relevance)

    @cached_property
    def settling(self) -> pd.DataFrame:
        """Whether the relevance of networks has settled: see ``results.settling.settling``."""
        frame = self.results.settling.copy()
        for column in ("dataset", "model", "reason"):
            frame[column] = _without_paths(frame[column])
        return frame

    @cached_property
    def agreement(self) -> Agreement | None:
        """Between methods on one network: see ``scoring.stability``."""
        names = list(dict.fromkeys(explainer for _, explainer in self.pairs))
        return stability.agreement(self.with_relevance, names, self.results.relevance)

    def _intervals(self, frame: pd.DataFrame) -> pd.DataFrame:
        return self._over_draws(frame[frame["value"].notna()], "value", [*PAIR, "metric"])

    @cached_property
    def splits(self) -> dict[str, float]:
        """See ``results.means.splits``."""
        return means.splits(self.cells, self.results.draws)

    def chance(self, dataset: str, metric: str) -> float:
        """The score of chance, by formula, the mean over draws; NaN where it is not defined."""
        levels = [facts.get("chance", {}).get(metric) for facts in self.draws(dataset)]
        return mean_of(level for level in levels if level is not None)

    def _over_draws(self, rows: pd.DataFrame, value: str, by: list[str]) -> pd.DataFrame:
        """See ``results.means.over_draws``."""
        return means.over_draws(rows, value, by, means.Intervals(self.splits, self.declared, self.chance))


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Labels free of paths, and a name for the absence of a model."""
    for column in ("dataset", "model", "explainer"):
        frame[column] = _without_paths(frame[column])
    frame["model"] = frame["model"].replace("", NO_MODEL)
    return frame


def _without_paths(texts: pd.Series) -> pd.Series:
    """Few different texts stand in many rows: each is cut once."""
    return texts.map({text: without_paths(text) for text in texts.unique()})


def mean_of(values: Iterable[float]) -> float:
    """The mean of what is known; NaN if nothing is."""
    known = list(values)
    return sum(known) / len(known) if known else math.nan


def control(frame: pd.DataFrame, dataset: str, explainer: str, metric: str) -> dict[str, Any] | None:
    """A control's interval on a dataset; its rows under different models are the same draws, the first counts."""
    rows = frame[(frame["dataset"] == dataset) & (frame["explainer"] == explainer) & (frame["metric"] == metric)]
    return records(rows)[0] if len(rows) else None
