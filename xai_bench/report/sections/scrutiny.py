"""The section Scrutiny: what a score is worth beyond its mean, in prose, tables, figures and CSV files."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from markupsafe import Markup

from xai_bench.report import calibration, comparisons, heatmap, relative, sanity, stability
from xai_bench.report.kit.prose import headline, on, ticked
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.stability import Agreement
from xai_bench.report.kit.frames import CONTROLS, NO_MODEL, Frames, records
from xai_bench.report.kit.tables import EMPTY, Body, Box, Column, Row, Table, kind_of
from xai_bench.report.kit.wording import bounds, interval_of, listed, number, plural, title

MANY = 40
"""Rows from which a table is folded away."""
POOR, EXCELLENT = 0.4, 0.75
"""Bounds of Nogueira's index: poor below, excellent above (Fleiss 2004, taken over by Nogueira et al. 2018)."""


@dataclass(frozen=True)
class Part:
    """One subject of the section."""

    id: str
    title: str
    paragraphs: list[str]
    table: Table | None = None
    figure: Markup | None = None
    caption: str = ""

    @property
    def long(self) -> bool:
        """Whether the table is folded away."""
        return self.table is not None and sum(len(body.rows) for body in self.table.bodies) > MANY


@dataclass(frozen=True)
class Scrutiny:
    """The section. ``absent``: what is not in it and why, in one sentence, or nothing."""

    parts: list[Part]
    absent: str


@dataclass(frozen=True)
class Frames:
    """The tidy frames of the section, each computed once."""

    frames: Frames

    @cached_property
    def recovery(self) -> pd.DataFrame:
        return relative.recovery(self.tables)

    @cached_property
    def calibration(self) -> pd.DataFrame:
        return calibration.calibration(self.tables)

    @cached_property
    def stability(self) -> pd.DataFrame:
        return stability.stability(self.tables)

    @cached_property
    def agreement(self) -> Agreement | None:
        return stability.agreement(self.tables)

    @cached_property
    def sanity(self) -> pd.DataFrame:
        return sanity.sanity(self.tables)

    def csv(self) -> dict[str, pd.DataFrame]:
        """File name to frame, those without rows left out."""
        frames = {
            "recovery.csv": self.recovery,
            "calibration.csv": self.calibration,
            "stability.csv": self.stability,
            "agreement.csv": stability.pairs(self.agreement) if self.agreement else pd.DataFrame(),
            "sanity.csv": self.sanity,
        }
        return {name: frame for name, frame in frames.items() if len(frame)}


def scrutiny(frames: Frames) -> Scrutiny:
    """What the stored data allow to say."""
    tables = frames.tables
    builders = (_relative, _calibration, _stability, _agreement, _sanity)
    parts = [part for build in builders if (part := build(frames)) is not None]
    suite, absent = frames.results.suite, []
    if not suite.get("calibration"):
        absent.append("null runs were not asked for (`[calibration]`)")
    if len(suite.get("model_seeds", [])) < 2:
        absent.append("stability needs at least two model seeds")
    if not suite.get("sanity"):
        absent.append("networks were not initialised anew (`[sanity]`)")
    text = f"Not in this report: {listed(absent)}." if absent else ""
    return Scrutiny(parts, text)


def _plain(mean: float, low: float = math.nan, high: float = math.nan, bar: float | None = None) -> Box:
    return Box(number(mean), bounds(low, high), mean, bar) if math.isfinite(mean) else EMPTY


def _of_seeds(row: dict[str, Any], name: str, n: str, seeds: int, bar: float | None = None) -> Box:
    """As ``_plain``, of the column ``name``; and how many data seeds it rests on, where they are not all."""
    beside = interval_of(row[f"{name}_low"], row[f"{name}_high"], int(row[n]), seeds)
    return Box(number(row[name]), beside, row[name], bar) if math.isfinite(row[name]) else EMPTY


def _bodies(
    frames: Frames, rows: pd.DataFrame, cells: Callable[[dict[str, Any]], list[Box]], columns: list[Column], text: str
) -> Table:
    """A body a dataset, a row a pair of method and network."""
    focus, bodies = comparisons.focus(frames), []
    for dataset in frames.datasets:
        by_pair = {(row["model"], row["explainer"]): row for row in records(rows[rows["dataset"] == dataset])}
        found = [
            Row(explainer, [Box(model, text=True), *cells(by_pair[model, explainer])], kind_of(explainer, focus))
            for model, explainer in frames.pairs
            if (model, explainer) in by_pair
        ]
        if found:
            bodies.append(Body(found, dataset))
    return Table(text, "Method, by dataset", [Column("Network", text=True), *columns], bodies)


def _relative(frames: Frames) -> Part | None:
    """Recovery above chance, with and without the networks that did not learn."""
    tables, frame = frames.tables, frames.recovery
    frame = frame[~frame["explainer"].isin(CONTROLS)]
    if frame.empty:
        return None
    scores = {dataset: (headline(frames, dataset) or [""])[0] for dataset in frames.datasets}
    rows = frame[frame["metric"] == frame["dataset"].map(scores)]
    if rows.empty:
        return None

    seeds = len(frames.data_seeds)

    def cells(row: dict[str, Any]) -> list[Box]:
        level, trained = row["normalised"], row["model"] != NO_MODEL
        learned = f"{int(row['networks_learned'])} of {int(row['networks'])}"
        some = row["networks_learned"] < row["networks"]
        return [
            Box(title(row["metric"]), text=True),
            _plain(row["chance"]),
            _of_seeds(row, "normalised", "n", seeds, min(max(level, 0.0), 1.0)),
            _of_seeds(row, "learned_normalised", "learned_n", seeds),
            Box(learned, value=row["networks_learned"], unlearned=some) if trained else EMPTY,
            _plain(row["reach"]),
        ]

    columns = [
        Column("Score", text=True), Column("Chance"), Column("All networks", "(score − chance) / (1 − chance)"),
        Column("Those that learned", "(score − chance) / (1 − chance)"), Column("Learned", "Networks"),
        Column("Test score above chance, of what the ceiling allows", "Networks"),
    ]  # fmt: skip
    text = "Recovery above chance: 0 is a random ranking, 1 the best. Every other score: recovery.csv."
    table = _bodies(frames.tables, rows, cells, columns, text)
    words = [
        "A score is worth what it has above chance: (score − chance) / (1 − chance), chance by formula. Where every "
        "input is relevant there is nothing to find, and no score. Beside it stands the same of the network: its test "
        "score above chance as a share of what the ceiling allows, where that is known: a method cannot find what its "
        "network has not found.",
        _without(rows),
    ]
    return Part("chance", "Above chance, and with networks that learned only", words, table)


def _without(rows: pd.DataFrame) -> str:
    """What is left out with the networks that did not learn, dataset by dataset."""
    trained = rows[rows["model"] != NO_MODEL]
    poor = trained[trained["networks_learned"] < trained["networks"]]
    if trained.empty or poor.empty:
        return "Every network that was explained learned: nothing is left out." if len(trained) else ""
    clauses = []
    for dataset, group in poor.groupby("dataset", sort=False):
        networks = group.drop_duplicates("model")
        kept = group[group["networks_learned"] > 0]
        clause = f"`{dataset}` ({plural(int((networks['networks'] - networks['networks_learned']).sum()), 'network')}"
        if len(kept):
            all_, only = kept["normalised"].mean(), kept["learned_normalised"].mean()
            clause += f"; without them the mean of the pairs concerned is {number(only)} instead of {number(all_)}"
        clauses.append(f"{clause})")
    return f"Some networks did not learn: {listed(clauses, 12)}."


def _calibration(frames: Frames) -> Part | None:
    frame = frames.calibration
    if frame.empty:
        return None
    runs = frames.frames.results.suite["calibration"]["runs"]

    def cells(row: dict[str, Any]) -> list[Box]:
        false = Box(f"{int(row['false_runs'])} of {row['judges']}", value=row["false_runs"])
        scores = [_plain(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in calibration.SCORES]
        return [false, _plain(row["threshold"]), *scores]

    columns = [
        Column("With a false selection", "Null runs"), Column("Threshold", "Null runs"),
        *[Column(name, "Real runs, above the threshold") for name in ("Precision", "Recall", "Share of noise inputs")],
    ]  # fmt: skip
    text = "Selections at a threshold from null runs, in shares of the total relevance."
    open_ = frame[frame["threshold"].isna()]
    table = _bodies(frames.tables, frame.drop(open_.index), cells, columns, text)
    judged = frame[frame["threshold"].notna() & (frame["judges"] > 0)]
    few = judged[judged["false_runs"] <= 4 * judged["judges"] / 20]
    words = [
        f"How large is a relevance where there is nothing to find? The targets are permuted, networks trained anew and "
        f"explained, {runs} times; the threshold is the level that a further such run exceeds with a probability of at "
        f"most 5 %. {runs} other permutations judge it: about one in twenty may show a false selection, an input above "
        "the threshold. A relevance is divided by its sum, so the more inputs share it, the smaller each: where many "
        "are relevant, few can be above the threshold, and recall is low for that reason alone.",
        f"False selections in at most one null run of five: {len(few)} of {plural(len(judged), 'pair')} of method and "
        f"network on {plural(judged['dataset'].nunique(), 'dataset')}." + _above(judged.drop(few.index))
        if len(judged)
        else "",
    ]
    for reason, group in open_.groupby("reason", sort=False):
        words.append(f"Without a threshold, {reason}: {_names(group)}.")
    return Part("calibration", "Calibrated on null runs", words, table if table.bodies else None)


def _above(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    names = [f"{_name(row)} ({int(row['false_runs'])} of {row['judges']})" for row in records(rows)]
    return f" More: {listed(names)}."


def _stability(frames: Frames) -> Part | None:
    frame = frames.stability
    if frame.empty:
        return None

    def cells(row: dict[str, Any]) -> list[Box]:
        found = [_plain(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in stability.MEASURES]
        return [*found, Box(str(row["networks"]), value=row["networks"])]

    columns = [
        Column("Top p", "Nogueira’s index"), Column("Own support", "Nogueira’s index"),
        Column("Mean", "Rank correlation"), Column("In a draw", "Networks"),
    ]  # fmt: skip
    table = _bodies(frames.tables, frame, cells, columns, "Stability over networks trained anew on the same data.")
    words = [
        "Networks that differ in their initial weights and the order of batches only: does a method select the same "
        "inputs? Nogueira’s index of the p highest ranked (p the number of relevant inputs), and of a method’s own "
        "support where it gives exact zeros, is 1 where all selections are equal and 0 where they agree as random "
        "ones do; its interval is the published one, of many selections, so of few networks it is rough. Rank "
        "correlation compares all inputs."
    ]
    known = frame[frame["top_p"].notna()]
    if len(known):
        high, low = known[known["top_p_low"] > EXCELLENT], known[known["top_p_high"] < POOR]
        words.append(
            f"Of {plural(len(known), 'method')} by network and dataset, the top p have an index above {EXCELLENT} "
            f"with the whole interval in {len(high)} (called excellent), below {POOR} in {len(low)} (called poor)"
            + (f": {_names(low)}." if len(low) else ".")
        )
    return Part("stability", "Stable when networks are trained anew", words, table)


def _names(rows: pd.DataFrame) -> str:
    return listed([_name(row) for row in records(rows)])


def _name(row: dict[str, Any]) -> str:
    return f"{on(Pair(row['model'], row['explainer']))}, `{row['dataset']}`"


def _agreement(frames: Frames) -> Part | None:
    found = frames.agreement
    if found is None:
        return None
    frame = stability.pairs(found)
    frame = frame[frame["spearman"].notna()]
    if frame.empty:
        return None
    most, least = (records(frame.sort_values("spearman", ascending=up, kind="stable"))[0] for up in (False, True))
    text = (
        f"Rank correlation of relevances on the same network, averaged over networks and datasets: from "
        f"{number(least['spearman'], 2)} (`{least['explainer']}` and `{least['other']}`) to "
        f"{number(most['spearman'], 2)} (`{most['explainer']}` and `{most['other']}`). Methods that agree are not "
        "several witnesses: they may share an error."
    )
    same = [ticked(group) for group in found.same]
    text += (
        f" Identical rankings on every network: {'; '.join(same)}."
        if same
        else " No two methods rank identically on every network."
    )
    svg = heatmap.agreement(found, "sa")
    caption = (
        "Mean Spearman correlation between methods on the same network, ordered by average linkage of one minus it. A "
        "method without a network is compared on every network of its draw. Grey: the two never had the same network."
    )
    return Part("agreement", "Which methods agree", [text], None, Markup(svg) if svg else None, caption)


def _sanity(frames: Frames) -> Part | None:
    frame, why = frames.sanity, sanity.reasons(frames.tables)
    if frame.empty and why.empty:
        return None
    words = [
        "Layers of a trained network are initialised anew, one after the other, from the output or from the inputs, "
        "and the network is explained again. The curves show how much of the ranking stays. No verdict follows: a "
        "relevance that is read off the first layer stays until that layer changes, inputs of unequal variance rank "
        "alike on any network, and a low correlation does not make a method right."
    ]
    ends = frame.loc[frame.groupby(["dataset", "model", "explainer", "metric"])["k"].idxmax()] if len(frame) else frame
    ends = ends[ends["metric"] == "sanity_top"]
    if len(ends):
        mean = ends.groupby("explainer", sort=False)["mean"].mean()
        words.append(
            f"With all layers new, the mean rank correlation with the original lies between {number(mean.min(), 2)} "
            f"(`{mean.idxmin()}`) and {number(mean.max(), 2)} (`{mean.idxmax()}`)."
        )
    if len(why):
        names = [
            f"`{row['explainer']}` on `{row['model']}`, `{row['dataset']}`: {row['reason']}" for row in records(why)
        ]
        words.append(f"Without a value: {listed(names)}.")
    svg = sanity.figure(frames.tables, frame, "ss")
    caption = (
        "Spearman correlation with the relevance of the trained network against the number of layers initialised anew, "
        "mean over datasets and data seeds; above from the output, below from the inputs."
    )
    return Part("sanity", "After layers are initialised anew", words, None, Markup(svg) if svg else None, caption)
