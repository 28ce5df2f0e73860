"""Results: what a run found, as tidy tables and relevance vectors."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import InputError, unknown
from xai_bench.rank_tests import RankTests
from xai_bench.results import anchors, claims, comparison, entrants, guarantees, packing, tables
from xai_bench.results import settling as rule
from xai_bench.results.comparison import Comparison, Unit
from xai_bench.results.records import NOT_KNOWN, Costs, DrawFacts, MetricFacts, ModelFacts, SettlingFacts, Tested
from xai_bench.suites.suite import CONTROLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figure = Literal["leaderboard", "cost", "pairs", "retention", "agreement", "relevance"]
KIND = ["family", "traits"]
"""What kind of dataset a row is about."""
SCORES = (
    *(
        "train_score",
        "valid_score",
        "test_score",
        "test_mae",
        "test_balanced",
        "chance",
        "ceiling",
        "p_value",
        "valid_loss",
    ),
    *("train_cpu", "train_wall"),
)
"""The numbers of a network that may be missing; the seconds of one that was not trained here are."""


@dataclass(repr=False)
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
    models: Mapping[str, ModelFacts]
    draws: Mapping[str, DrawFacts]
    metrics: dict[str, MetricFacts]
    relevance: dict[str, NDArray[np.float64]]
    provenance: list[dict[str, Any]]
    folder: Path
    column_relevance: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _compared: dict[tuple[str, str, bool], Comparison] = field(default_factory=dict, init=False, repr=False)
    trained_again: dict[str, SettlingFacts] = field(default_factory=dict)
    _selected: dict[tuple[float, str], pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a planned cell, in the order of the suite.

        Columns: cell, draw, model_key, dataset, model ("" without one), explainer, entrant (its id), data_seed,
        model_seed, fold (-1 without folds), status (``missing`` if not run), reason, run (its index in ``provenance``;
        NaN if not run), machine (see ``machines``), trained_on (the machine that trained the network, "" where nothing
        was trained, "not known" where several explained it and none is recorded), the fields of ``Costs``, family and
        traits of the dataset ("" until the draw is known; traits are joined by commas), and of the model:
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
        costs = _costs(self._cells["costs"])
        stored = pd.concat([self._cells.drop(columns="costs"), costs], axis=1)
        frame = self._plan.merge(stored, how="left", left_on="cell", right_on="key").drop(columns=["key", "position"])
        frame["status"] = frame["status"].fillna("missing")
        frame["reason"] = frame["reason"].fillna("")
        frame["machine"] = frame["run"].map(dict(enumerate(self.machines))).fillna("")
        frame["entrant"] = entrants.ids(frame)
        kinds = {key: (facts.family, ", ".join(facts.traits)) for key, facts in self.draws.items()}
        for place, name in enumerate(KIND):
            frame[name] = [kinds[key][place] if key in kinds else "" for key in frame["draw"]]
        rows = {key: _of_model(facts) for key, facts in self.models.items()}
        models = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model_key").reset_index()
        numbers = [name for name in SCORES if name in models]
        models[numbers] = models[numbers].astype(float)  # None is NaN
        if len(models):
            frame = frame.merge(models, how="left", on="model_key")
        frame["trained_on"] = _trained_on(frame)
        known = rule.of_networks(self.settling)
        settled = [known.get(pair) for pair in zip(frame["dataset"], frame["model"], strict=True)]
        return frame.assign(settled=pd.array(settled, dtype="boolean"))

    @cached_property
    def settling(self) -> pd.DataFrame:
        """Whether the relevance of the networks has settled: see ``results.settling.settling``."""
        return rule.settling(self._plan, self.trained_again)

    @property
    def machines(self) -> list[str]:
        """The machine of every run of ``provenance``, in words. Costs of different ones cannot be compared."""
        return [machine(record) for record in self.provenance]

    @cached_property
    def devices(self) -> list[str]:
        """The devices that scores come from: of the runs that computed planned cells, or what follows on them."""
        every = self._every_cell
        used = set(every.loc[every["run"].notna(), "run"].astype(int))
        used |= {i for i, record in enumerate(self.provenance) if any((record.get("spent") or {}).values())}
        return list(dict.fromkeys(str(self.provenance[i].get("device", "cpu")) for i in sorted(used)))

    @property
    def _scores(self) -> pd.DataFrame:
        """The measurements with texts in place of categories."""
        return self._measurements.astype(dict.fromkeys(("cell", "metric", "reason"), str))

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row a number: the columns of ``cells`` that name it, and metric, k (0 if none), value, reason."""
        names = ["cell", "draw", "dataset", "model", "explainer", "entrant", "data_seed", "model_seed", "fold", *KIND]
        done = self.cells.loc[self.cells["status"] == "done", names]
        return done.merge(self._scores, on="cell", how="inner").sort_values(
            ["dataset", "model", "explainer", "data_seed", "model_seed", "fold", "metric", "k"],
            kind="stable",
            ignore_index=True,
        )

    def table(self) -> pd.DataFrame:
        """Tidy: one row a number, costs included.

        Columns: dataset, model, explainer, entrant, data_seed, model_seed, fold, family, traits, status, learned,
        settled, metric, k, value, reason, and machine (see ``cells``; there if several have measured). A cell that is
        not done has one row without a metric.
        """
        cell = ["cell", "dataset", "model", "explainer", "entrant", "data_seed", "model_seed", "fold"]
        frame = self.cells
        machines = ["machine"] if frame.loc[frame["machine"] != "", "machine"].nunique() > 1 else []
        names = [*cell, *KIND, "status"]
        learned = frame["learned"] if "learned" in frame else pd.Series(pd.NA, index=frame.index)
        base = frame[[*names, *machines]].assign(learned=learned.astype("boolean"), settled=frame["settled"])
        scores = base.merge(self._scores, on="cell", how="inner")
        costs = frame.loc[frame["status"] == "done", ["cell", *Costs.__annotations__]]
        costs = costs.melt(id_vars="cell", var_name="metric", value_name="value").assign(k=0, reason="")
        costs["value"] = costs["value"].astype(float)
        costs = costs[costs["value"].notna() | (costs["metric"] != "rows_explained")]
        costs = base.merge(costs, on="cell", how="inner")
        other = base.assign(reason=frame["reason"], metric="", k=0, value=np.nan)[frame["status"] != "done"]
        parts = [part for part in (scores, costs, other) if len(part)]
        columns = [*names[1:], "learned", "settled", "metric", "k", "value", "reason", *machines]
        if not parts:
            return pd.DataFrame(columns=columns)
        order = ["dataset", "model", "explainer", "data_seed", "model_seed", "fold", "metric", "k"]
        return pd.concat(parts)[columns].sort_values(order, kind="stable", ignore_index=True)

    def compare(self, of: Unit = "methods", metric: str = "recovery", *, whole_kind: bool = False) -> Comparison:
        """What is behind ``leaderboard`` and ``pairs``: shares decided, the smallest detectable difference.

        Parameters
        ----------
        of, metric : see ``leaderboard``
        whole_kind : family means are the unit, which says something of further problems of this kind; from fifteen
            families on. Else families are fixed, and what is said holds on these problems

        Raises
        ------
        InputError
            See ``leaderboard``.
        """
        key = (of, metric, whole_kind)
        if key not in self._compared:
            self._compared[key] = comparison.compare(self, of, metric, whole_kind=whole_kind)
        return self._compared[key]

    def leaderboard(self, of: Unit = "methods", metric: str = "recovery") -> pd.DataFrame:
        """Who leads, and what the draws can tell apart; best first, those that are not ranked last.

        The score is the mean over the draws and datasets of a family, then over families. Ranked is who has a score in
        every family. Below five draws nothing is decided.

        Parameters
        ----------
        of : ``methods`` (averaged over networks, within a draw), ``networks`` (averaged over the methods that ran on
            all of them), or ``entrants`` (methods on a network)
        metric : ``recovery`` (2 AUROC - 1 of relevant against noise inputs; 0 is chance), ``precision_at_p``,
            ``somers_d`` or another recovery score (relative to chance, 1 is the best), ``retention`` (points gained
            over random inputs, the judge trained anew), or ``false_selections`` (share of noise inputs above the
            threshold of null runs; lower is better)

        Returns
        -------
        name
        explainer, model : labels; None where averaged, or where there is none
        score : in points for ``retention``
        rank_low, rank_high : the ranks that the decided pairs leave, NA if not ranked
        first_group : not shown to be worse than the best (comparisons with the best)
        better_than, worse_than, equal, undecided : numbers of pairs, decided as ``pairs`` says
        families, of_families : in which there is a score, of how many
        draws : of the dataset that has the fewest
        ranked, reason : "n of F families" where not ranked
        learned : share of the networks that learned; NaN without one
        score_learned, families_learned : over networks that learned, and in how many families one did; not ranked
        confirmatory : listed in the suite, or nobody is; anyone else is compared with these only
        networks : how many a method was averaged over

        Raises
        ------
        InputError
            If ``of`` or the metric is not known or cannot be ranked, or there are fewer than two names.
        """
        return self.compare(of, metric).leaderboard()

    def pairs(self, of: Unit = "methods", metric: str = "recovery") -> pd.DataFrame:
        """Every pair of the leaderboard that was looked at, the higher score first.

        Two methods are compared on the networks that both explain, so ``difference`` need not be that of the scores.

        Returns
        -------
        first, second
        difference, low, high : with its simultaneous interval, in units of the score; the ends are NaN below five draws
        outcome : better, slightly better (by less than the margin of .05, or 5 points), equal, slightly worse, worse or
            undecided; of the first. Of two methods that explain no network in common: different networks
        networks : on how many two methods are compared; NA where one of them needs none
        families, draws : that both have; the latter on the dataset that has the fewest
        wins : share of the draws in which the first is the better one, equal scores count half; a description

        Raises
        ------
        InputError
            See ``leaderboard``.
        """
        return self.compare(of, metric).pairs()

    @cached_property
    def tested(self) -> dict[str, Tested]:
        """Cell key, also of null runs, to the p-values of its inputs, where its method has some."""
        spent = zip(self._cells["key"], self._cells["costs"], strict=True)
        found = {key: json.loads(text).get("tested") for key, text in spent if '"tested"' in text}
        return {key: Tested.from_json(content) for key, content in found.items() if content}

    def guarantees(self, level: float = 0.05, *, pooled: bool = False) -> pd.DataFrame:
        """What is selected at a level, and how often falsely: see ``results.guarantees.guarantees``."""
        key = level, "pooled" if pooled else "datasets"
        if key not in self._selected:
            self._selected[key] = guarantees.guarantees(self, level, pooled=pooled)
        return self._selected[key].copy()

    def selections(self, level: float = 0.05) -> pd.DataFrame:
        """Power and type-1 error of every cell that has p-values: see ``results.guarantees.by_cell``."""
        if (level, "cells") not in self._selected:
            self._selected[level, "cells"] = guarantees.by_cell(self, level)
        return self._selected[level, "cells"].copy()

    def relevances(self) -> pd.DataFrame:
        """Every relevance under the name of its input, one row an input: see ``results.tables.relevances``."""
        return tables.relevances(self)

    def plot(
        self,
        kind: Figure,
        *,
        of: Unit | None = None,
        metric: str | None = None,
        dataset: str | None = None,
        ax: Axes | None = None,
    ) -> Any:
        """Draw a figure; returns matplotlib's Axes, of ``agreement`` seaborn's ClusterGrid.

        Parameters
        ----------
        kind : ``leaderboard``; ``cost`` (against a score, with the Pareto front); ``pairs`` (matrix of differences and
            what is decided); ``retention`` (curves on one dataset); ``agreement`` (rank correlation of methods,
            clustered); ``relevance`` (against the truth of one dataset)
        of, metric : of the first three, see ``leaderboard``; metric of ``retention``: ``retention_retrained`` (if
            None), ``retention_masked`` or ``retention_trees``
        dataset : of the last and of ``retention``; None for the first one
        ax : axes to draw on; None for a new figure

        Raises
        ------
        InputError
            If the kind, the metric or the dataset is not known, or there is nothing to draw.
        """
        from xai_bench import plots

        return plots.plot(self, kind, of=of, metric=metric, dataset=dataset, ax=ax)

    @property
    def focus(self) -> str:
        """The method, network or entrant that the report compares with all others; "" for none."""
        return str(self.suite.get("focus") or "")

    def focused(self, name: str) -> Results:
        """The same results with another focus.

        Raises
        ------
        InputError
            If no explainer, model or entrant is called so.
        """
        cells = self.cells[~self.cells["explainer"].isin(CONTROLS)]
        known = {str(label) for column in ("explainer", "model", "entrant") for label in cells[column] if label}
        if name not in known:
            raise unknown("explainer, model or entrant", name, sorted(known))
        return replace(self, suite={**self.suite, "focus": name})

    def against(self, name: str = "", metric: str = "recovery") -> pd.DataFrame:
        """One method, network or entrant compared with all others of its kind, step-down; see ``leaderboard``.

        It asks fewer questions than ``pairs`` does, and so decides more.

        Parameters
        ----------
        name : the focus of the results if none is given

        Returns
        -------
        columns second, difference, outcome (of ``name``); in the order of the leaderboard

        Raises
        ------
        InputError
            If there is no such name, or none at all; see ``leaderboard``.
        """
        name = name or self.focus
        if not name:
            raise InputError("focus: expected the name of a method, network or entrant, got none")
        cells = self.focused(name).cells
        of: Unit = "methods" if name in set(cells["explainer"]) else "entrants"
        return self.compare("networks" if name in set(cells["model"]) else of, metric).against(name)

    def in_words(self, of: Unit = "methods", file: str = "") -> list[str]:
        """What the leaderboards show, in at most three sentences: see ``results.claims``."""
        return claims.claims(self, of, file)

    def anchor(self, name: str = "") -> anchors.Agreement:
        """Published figures beside those of this run: that of its suite if no ``name`` is given.

        Raises
        ------
        InputError
            If there is no such anchor, or the suite names none.
        """
        return anchors.agreement(self, name)

    def rank_tests(self, metric: str = "recovery") -> RankTests | str:
        """Tests on ranks of up to twelve entrants, or why they are left out: see ``comparison.ranked_by_families``."""
        return comparison.ranked_by_families(self, metric)

    def variance_shares(self, metric: str = "recovery") -> pd.DataFrame:
        """Where a score varies, on every dataset: see ``entrants.variance_by_dataset``."""
        return entrants.variance_by_dataset(self, metric)

    def __repr__(self) -> str:
        counts = self.cells["status"].value_counts()
        done = f"{counts.get('done', 0):,} of {len(self.cells):,} cells done"
        methods = set(self.cells["explainer"]) - set(CONTROLS)
        axes = [f"{self.cells['dataset'].nunique()} datasets", f"{len(methods)} methods"]
        names = sorted(set(self.measurements["metric"])) if counts.get("done", 0) else []
        scores = ", ".join(name for name in self.metrics if name in names) or "none"
        return f"Results of {self.suite['name']}: {', '.join(axes)}, {done}\nfolder: {self.folder}\nscores: {scores}"

    def _repr_html_(self) -> str:
        """The leaderboard of methods by the first score that can be ranked."""
        for metric in ("recovery", "retention"):
            try:
                board = self.leaderboard("methods", metric)
            except InputError:
                continue
            shown = board[["name", "score", "rank_low", "rank_high", "first_group", "families", "draws", "reason"]]
            words = html.escape(" ".join(self.in_words()))
            return f"<p>{words}</p>\n{shown.to_html(index=False, float_format='{:.3f}'.format, na_rep='', border=0)}"
        return f"<pre>{html.escape(repr(self))}</pre>"

    @property
    def report_folder(self) -> Path:
        """Where the report is written if no other place is named: ``reports/SUITE``.

        It lies beside ``runs`` for a run, in the folder of the file otherwise. A pack in such a folder has its report
        there, and no other results have: theirs is the folder ``report`` beside them.
        """
        folder, name = self.folder.resolve(), self.suite["name"]
        if folder.parent.name == "reports" and folder.name == name:
            return folder
        return report_place(folder.parent.parent if folder.parent.name == "runs" else folder, name, folder)

    @property
    def failed(self) -> pd.DataFrame:
        """The cells that failed or ran out of time, null runs included, with their reasons."""
        everything = self._every_cell
        return everything[everything["status"].isin(["failed", "timed_out"])].drop(columns="permutation")


def report_place(root: Path, suite: str, folder: Path) -> Path:
    """``reports/SUITE`` below ``root``; if a pack has its report there, ``report`` in the results' own ``folder``."""
    place = root / "reports" / suite
    return folder / "report" if any(place.glob(f"*{packing.SUFFIX}")) else place


def machine(record: Mapping[str, Any]) -> str:
    """The machine that a run was on, in words, from its record: processor, cores, system, and a device but the CPU."""
    device = record.get("device", "cpu")
    cores = record.get("cores")
    parts = [
        record.get("processor") or "processor not recorded", f"{cores} cores" if cores else "",
        record.get("system", ""), device if device != "cpu" else "",
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


def _costs(texts: pd.Series) -> pd.DataFrame:
    """Costs and choices from their JSON, one row each; column by column, as rows would take four times the memory."""
    columns: dict[str, list[Any]] = {name: [] for name in (*Costs.__annotations__, "chosen")}
    for text in texts:
        found = json.loads(text)
        for name, values in columns.items():
            values.append(found.get(name, np.nan))
    return pd.DataFrame(columns)


def _trained_on(frame: pd.DataFrame) -> pd.Series:
    """The machine that trained the network of every cell; where none is recorded, the only one that explained it."""
    if "trained_on" not in frame:
        return pd.Series("", index=frame.index)
    used = frame.loc[frame["machine"] != "", ["model_key", "machine"]].drop_duplicates()
    alone = used.drop_duplicates("model_key", keep=False).set_index("model_key")["machine"]
    recorded = frame["trained_on"].fillna("")
    return recorded.where(recorded != NOT_KNOWN, frame["model_key"].map(alone).fillna(NOT_KNOWN))


def _of_model(facts: ModelFacts) -> dict[str, Any]:
    """The columns of a model."""
    row = facts.to_json()
    reasons = row.pop("reasons", {})
    known = NOT_KNOWN if facts.trained_on is None else machine(facts.trained_on)
    row["trained_on"] = "" if facts.train_cpu is None else known
    return row | ({"model_reason": "; ".join(f"{name}: {why}" for name, why in reasons.items())} if reasons else {})
