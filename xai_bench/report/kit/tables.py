"""Tables as they are shown: page and summary render the same objects, so that they hold the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import pandas as pd

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import CONTROLS, SHARES, Frames, records
from xai_bench.report.kit.wording import DASH

LONG = 40
"""Rows above which a table is folded away."""
NO_BAR = (math.nan, math.nan)


@dataclass(frozen=True)
class Box:
    """What stands in one place of a table.

    ``value`` sorts, where the text alone is not the number; ``bar`` in [0, 1] is drawn below, ``shade`` in [-1, 1]
    colours the box, ``look`` is a class of the style sheet (minus: the other colour), ``link`` an address.
    ``unlearned`` marks a value of networks of which not all learned.
    """

    main: str
    small: str = ""
    value: float | None = None
    bar: float | None = None
    shade: float | None = None
    look: str = ""
    link: str = ""
    unlearned: bool = False
    text: bool = False

    def plain(self) -> str:
        """As text, for the summary."""
        return f"{self.main} {self.small}".strip() + (" †" if self.unlearned else "")

    @property
    def classes(self) -> str:
        """The classes of the element."""
        named = ("text" if self.text else "", "unlearned" if self.unlearned else "", self.look)
        return " ".join(name for name in named if name)

    @property
    def known(self) -> bool:
        """Whether there is a value to sort by."""
        return self.value is not None and math.isfinite(self.value)

    @property
    def tint(self) -> str:
        """How strong the shade is, in [0, 1]; empty where it could not be seen."""
        return f"{abs(self.shade):.2g}".removeprefix("0") if self.shade is not None and abs(self.shade) >= 0.01 else ""


EMPTY = Box(DASH)


@dataclass(frozen=True)
class Column:
    """``group`` is the heading above; equal neighbours share one. ``link``: an address behind the name."""

    name: str
    group: str = ""
    text: bool = False
    link: str = ""


@dataclass(frozen=True)
class Row:
    """``kind``: method, first (of the first group), focus or control."""

    name: str
    boxes: list[Box]
    kind: str = "method"
    link: str = ""


@dataclass(frozen=True)
class Table:
    """``first`` heads the names of the rows. ``fold``: it is folded away. ``look``: a class of the style sheet; of one
    that is ``plain`` nothing is sorted or searched, one that is ``long`` shows 20 rows at a time."""

    caption: str
    first: str
    columns: list[Column]
    rows: list[Row]
    fold: bool = False
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

    @property
    def valued(self) -> set[int]:
        """The columns that are sorted by values: then every box says one, or that it has none."""
        return {j for row in self.rows for j, box in enumerate(row.boxes) if box.value is not None}


def kind_of(frames: Frames, explainer: str, model: str = "") -> str:
    """The kind of the row of a method, or of a method on a network."""
    return "control" if explainer in CONTROLS else "focus" if frames.in_focus(explainer, model) else "method"


def text(words: str) -> Box:
    """Words, to the left."""
    return Box(words, text=True)


def plain(mean: float, low: float = math.nan, high: float = math.nan, bar: float | None = None) -> Box:
    """A number with its interval; empty where there is none."""
    return valued(mean, bar=bar, small=wording.bounds(low, high))


def valued(value: Any, form: Callable[[Any], str] = wording.number, bar: float | None = None, small: str = "") -> Box:
    """A number as ``form`` writes it; empty where there is none."""
    known = isinstance(value, Real) and math.isfinite(value)
    return Box(form(value), small, float(value), bar) if known else EMPTY


def counted(n: int, of: int | None = None) -> Box:
    """``3``, or ``3 of 5``."""
    return Box(str(n) if of is None else f"{n} of {of}", value=n)


def score(row: dict[str, Any] | None, scale: tuple[float, float], seeds: int, unlearned: bool = False) -> Box:
    """The mean of a score. ``scale``: where its bar begins and where it is full; NaN for none."""
    if row is None:
        return EMPTY
    shown = wording.of_score(row["mean"], row["metric"])
    return Box(shown, beside(row, seeds), row["mean"], share(row["mean"], *scale), unlearned=unlearned)


def share(value: float, empty: float, full: float) -> float | None:
    """How far ``value`` is on the way from ``empty`` to ``full``, in [0, 1]; None where that is not defined."""
    if not math.isfinite(full - empty) or full == empty or not math.isfinite(value):
        return None
    return min(max((value - empty) / (full - empty), 0.0), 1.0)


def beside(row: dict[str, Any], seeds: int) -> str:
    """What stands beside a mean: its interval, and how many of the suite's draws it rests on, unless all."""
    metric = row.get("metric", "")
    if "planned" not in row:
        return wording.interval_of(row["low"], row["high"], row["n"], seeds, metric)
    whole = row["n"] == seeds and row["parts"] == row["planned"]
    rests_on = "" if whole else wording.draws(int(row["n"]), seeds, int(row["parts"]), int(row["planned"]))
    return f"{wording.bounds(row['low'], row['high'], metric)} {rests_on}".strip()


def scale_of(frames: Frames, dataset: str, metric: str) -> tuple[float, float]:
    """Chance, and the best of a recovery score; of a gain 0, and the mean of what can be gained; of a share 0 and 1."""
    if metric in frames.declared:
        return frames.chance(dataset, metric), frames.declared[metric].best
    if metric in SHARES.values():
        return 0.0, 1.0
    gaps = frames.gaps
    gap = gaps.loc[(gaps["dataset"] == dataset) & (gaps["metric"] == metric), "mean"].mean()
    return (0.0, float(gap)) if gap > 0 else NO_BAR


def has_learned(frames: Frames, dataset: str, model: str) -> bool:
    """False if any of its trainings did not."""
    facts = frames.reached(dataset, model)
    return facts is None or facts["learned"] == facts["of"]


def by_dataset(frames: Frames, rows: pd.DataFrame, boxes: Callable[[dict[str, Any]], list[Box]]) -> list[Row]:
    """A row a dataset and pair of method and network, in the order of the suite; the first boxes are these two."""
    order = {d: i for i, d in enumerate(frames.datasets)}, {pair: i for i, pair in enumerate(frames.pairs)}
    found = [row for row in records(rows) if (row["model"], row["explainer"]) in order[1]]
    found.sort(key=lambda row: (order[0][row["dataset"]], order[1][row["model"], row["explainer"]]))
    return [
        Row(
            row["explainer"],
            [text(row["dataset"]), text(row["model"]), *boxes(row)],
            kind_of(frames, row["explainer"]),
        )
        for row in found
    ]


BY_DATASET = [Column("Dataset", text=True), Column("Network", text=True)]
"""The first columns of tables by dataset."""


def by_key(frame: pd.DataFrame) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """(dataset, model, explainer, metric) to row."""
    return {(row["dataset"], row["model"], row["explainer"], row["metric"]): row for row in records(frame)}
