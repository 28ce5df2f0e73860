"""Tables as they are shown: page and summary render the same objects, so that they hold the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from xai_bench.report.kit import comparisons, wording
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import CONTROLS, NO_MODEL, SHARES, Frames, records
from xai_bench.report.kit.wording import DASH


@dataclass(frozen=True)
class Box:
    """What stands in one place of a table.

    ``value`` sorts, ``bar`` in [0, 1] shades, ``near`` marks what cannot be told from the best, ``unlearned`` a value
    of a network that did not learn.
    """

    main: str
    small: str = ""
    value: float | None = None
    bar: float | None = None
    near: bool = False
    unlearned: bool = False
    text: bool = False

    def plain(self) -> str:
        """As text, for the summary."""
        marks = (" •" if self.near else "") + (" †" if self.unlearned else "")
        return f"{self.main} {self.small}".strip() + marks


EMPTY = Box(DASH)


@dataclass(frozen=True)
class Column:
    """``group`` is the heading above; equal neighbours share one."""

    name: str
    group: str = ""
    text: bool = False


@dataclass(frozen=True)
class Row:
    name: str
    boxes: list[Box]
    kind: str = "method"
    """method, focus (the spectral method) or control."""


@dataclass(frozen=True)
class Body:
    """Rows under one heading; ``facts`` (text, span) stand beside it, one for each group of columns."""

    rows: list[Row]
    heading: str = ""
    facts: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """``first`` heads the names of the rows. ``fold``: the line under which it is folded away. ``look``: a class of the
    style sheet."""

    caption: str
    first: str
    columns: list[Column]
    bodies: list[Body]
    fold: str = ""
    look: str = ""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(heading, number of columns) of neighbours with the same group; [] without headings."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(name for name, _ in spans) else []


NO_BAR = (math.nan, math.nan)
LONG = 40
"""Rows above which a table is folded away."""


def kind_of(explainer: str, focus: Pair | None) -> str:
    return "control" if explainer in CONTROLS else "focus" if focus and explainer == focus.explainer else "method"


def plain(mean: float, low: float = math.nan, high: float = math.nan, bar: float | None = None) -> Box:
    """A number with its interval; empty where there is none."""
    return Box(wording.number(mean), wording.bounds(low, high), mean, bar) if math.isfinite(mean) else EMPTY


def of_seeds(row: dict[str, Any], name: str, n: str, seeds: int, bar: float | None = None) -> Box:
    """As ``plain``, of the column ``name``; and how many data seeds it rests on, where they are not all."""
    beside_it = wording.interval_of(row[f"{name}_low"], row[f"{name}_high"], int(row[n]), seeds)
    return Box(wording.number(row[name]), beside_it, row[name], bar) if math.isfinite(row[name]) else EMPTY


def mean_of(row: dict[str, Any], seeds: int) -> Box:
    """A mean, its interval, and how many of the suite's data seeds it rests on, unless all."""
    metric = row.get("metric", "")
    return Box(wording.of_score(row["mean"], metric), beside(row, seeds), row["mean"])


def score(row: dict[str, Any] | None, scale: tuple[float, float], seeds: int, unlearned: bool = False) -> Box:
    """The mean of a score. ``scale``: where its bar begins and where it is full; NaN for none."""
    if row is None:
        return EMPTY
    bar = share(row["mean"], *scale)
    shown = wording.of_score(row["mean"], row["metric"])
    return Box(shown, beside(row, seeds), row["mean"], bar, bool(row["near"]), unlearned)


def share(value: float, empty: float, full: float) -> float | None:
    """How far ``value`` is on the way from ``empty`` to ``full``, in [0, 1]; None where that is not defined."""
    if not math.isfinite(full - empty) or full == empty:
        return None
    return min(max((value - empty) / (full - empty), 0.0), 1.0)


def beside(row: dict[str, Any], seeds: int) -> str:
    """What stands beside a mean: its interval, and how many of the suite's data seeds it rests on, unless all.

    Of retention the number of draws always stands there.
    """
    metric = row.get("metric", "")
    if "planned" not in row:
        return wording.interval_of(row["low"], row["high"], row["n"], seeds, metric)
    rests_on = wording.draws(int(row["n"]), seeds, int(row["parts"]), int(row["planned"]))
    return f"{wording.bounds(row['low'], row['high'], metric)} {rests_on}".strip()


def scale_of(frames: Frames, dataset: str, metric: str) -> tuple[float, float]:
    """Chance, and the best of a recovery score; of a gain 0, and the mean of what can be gained; of a share 0 and 1."""
    if metric in frames.declared:
        return chance_of(frames, dataset, metric), frames.declared[metric].best
    if metric in SHARES.values():
        return 0.0, 1.0
    gaps = frames.gaps
    gap = gaps.loc[(gaps["dataset"] == dataset) & (gaps["metric"] == metric), "mean"].mean()
    return (0.0, float(gap)) if gap > 0 else NO_BAR


def chance_of(frames: Frames, dataset: str, metric: str) -> float:
    """By formula, the mean over draws; NaN where it is not defined."""
    levels = [facts.get("chance", {}).get(metric) for facts in frames.draws(dataset)]
    return mean_fact(level for level in levels if level is not None)


def mean_fact(values: Iterable[float]) -> float:
    """The mean of what is known; NaN if nothing is."""
    known = list(values)
    return sum(known) / len(known) if known else math.nan


def reached(frames: Frames, dataset: str, model: str) -> str:
    """What the network reached beside chance and ceiling, and whether it learned: one line."""
    facts = frames.reached(dataset, model)
    if facts is None:
        return "" if model == NO_MODEL else "not trained"
    ceiling = f", ceiling {wording.number(facts['ceiling'])}" if math.isfinite(facts["ceiling"]) else ""
    learned = "learned" if facts["learned"] == facts["of"] else f"learned {facts['learned']} of {facts['of']}"
    score = f"test {wording.number(facts['mean'])} (chance {wording.number(facts['chance'])}{ceiling})"
    return ", ".join(filter(None, (score, learned, wording.unsettled(facts["settled"]))))


def has_learned(frames: Frames, dataset: str, model: str) -> bool:
    """False if any of its trainings did not."""
    facts = frames.reached(dataset, model)
    return facts is None or facts["learned"] == facts["of"]


def by_network(frames: Frames, boxes: Callable[[str, str], list[Box]]) -> list[Body]:
    """A body a network, the spectral method first. Rows with nothing but empty ``boxes`` are left out."""
    focus, bodies = comparisons.focus(frames), []
    for model in dict.fromkeys(model for model, _ in frames.pairs):
        names = [explainer for network, explainer in frames.pairs if network == model]
        rows = [Row(name, boxes(model, name), kind_of(name, focus)) for name in names]
        rows = [row for row in rows if any(box is not EMPTY for box in row.boxes)]
        if rows:
            bodies.append(Body(sorted(rows, key=lambda row: row.kind != "focus"), model))
    return bodies


def by_dataset(frames: Frames, rows: pd.DataFrame, boxes: Callable[[dict[str, Any]], list[Box]]) -> list[Body]:
    """A body a dataset, a row a pair of method and network; the first box is the network."""
    focus, bodies = comparisons.focus(frames), []
    for dataset in frames.datasets:
        of_pair = {(row["model"], row["explainer"]): row for row in records(rows[rows["dataset"] == dataset])}
        shown = [
            Row(explainer, [Box(model, text=True), *boxes(of_pair[model, explainer])], kind_of(explainer, focus))
            for model, explainer in frames.pairs
            if (model, explainer) in of_pair
        ]
        if shown:
            bodies.append(Body(shown, dataset))
    return bodies


def by_key(frame: pd.DataFrame) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """(dataset, model, explainer, metric) to row."""
    return {(row["dataset"], row["model"], row["explainer"], row["metric"]): row for row in records(frame)}


def fold_long(table: Table) -> Table:
    """The table, folded away if it has more than ``LONG`` rows."""
    return replace(table, fold=table.caption) if sum(len(body.rows) for body in table.bodies) > LONG else table
