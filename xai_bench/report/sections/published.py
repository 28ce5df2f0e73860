"""Published precision at p beside ours, for the datasets of Passemiers et al.: shown as published, never mixed in.

Source: Scientific Reports 2024, arXiv 2304.02383, the result files of the authors' repository (the anchor ``ring``).
"""

from __future__ import annotations

import math
from functools import cache, cached_property

import pandas as pd

from xai_bench.published.anchors import Anchor, Counterpart, anchor
from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, text, valued

METRIC = "precision_at_p"


@cache
def _known() -> dict[tuple[str, str], float]:
    """(data, method), by the names of their source, to the published precision at p."""
    return {(figure.data, figure.method): figure.value.mean for figure in ring().figures}


def ring() -> Anchor:
    """What was published."""
    return anchor("ring")


class Published(Section):
    """Published values beside those of this run."""

    id, label, title, order = "published", "Published figures", "Published figures beside ours", 120

    def needs(self) -> bool:
        return bool(self._tables)

    @cached_property
    def _tables(self) -> list[Table]:
        return tables_of(self.frames)

    def words(self) -> str:
        return (
            "The published values stand here as published, with their source, each of one draw of the data; no mean, "
            "interval or ranking of this report uses them."
        )

    def tables(self) -> list[Table]:
        return self._tables

    def findings(self) -> list[str]:
        """How each method that is shown is done there, and what was measured with one thing done as there."""
        there = {pair.theirs for found in datasets_of(self.frames).values() for pair in found.values()}
        shown = {row.name for table in self._tables for row in table.rows}
        return [
            " ".join(said)
            for entry in self.frames.results.suite.get("explainers", [])
            if wording.without_paths(entry["label"]) in shown
            and (said := said_of(wording.without_paths(entry["label"]), entry, there))
        ]


def said_of(label: str, entry: dict[str, object], data: set[str]) -> list[str]:
    """Sentences about a method of the suite: its note, and what was measured on these data."""
    found = []
    for pair in ring().methods:
        if not pair.fits(entry):
            continue
        found += [f"`{label}`: {pair.note}."] if pair.note else []
        for reason in ring().reasons:
            if reason.method == pair.theirs and reason.data in data:
                draws = wording.plural(reason.value.n or 1, "draw")
                ours, theirs = reason.value.mean, _known()[reason.data, reason.method]
                found.append(
                    f"On {reason.data} {reason.change} gives {wording.number(ours, 2)} ({draws}; published "
                    f"{wording.number(theirs, 2)})."
                )
    return found


def values(dataset: str, method: str) -> dict[int, float]:
    """Number of inputs to the published precision at p of a method, by our names; {} if there is none."""
    theirs = {pair.theirs for pair in ring().methods if pair.ours == method}
    return {
        pair.fields["d"]: value
        for pair in ring().data
        if pair.ours == dataset
        for name in theirs
        if (value := _known().get((pair.theirs, name))) is not None
    }


def ours(frames: Frames, labels: dict[int, str], model: str, explainer: str) -> dict[int, pd.Series]:
    """Number of inputs to our precision at p by draw, the mean over folds."""
    frame = frames.measurements
    frame = frame[(frame["metric"] == METRIC) & (frame["model"] == model) & (frame["explainer"] == explainer)]
    draws = {d: frame[frame["dataset"] == label].groupby("data_seed")["value"].mean() for d, label in labels.items()}
    return {d: values.dropna() for d, values in draws.items() if values.notna().any()}


def box(draws: pd.Series, *, counted: bool) -> Box:
    """The mean over draws, their range beside it; before it their number, where it is to be ``counted``."""
    parts = [wording.plural(len(draws), "draw")] if counted else []
    if len(draws) > 1:
        parts.append(f"{wording.number(draws.min())} to {wording.number(draws.max())}")
    return valued(float(draws.mean()), small=", ".join(parts))


def datasets_of(frames: Frames) -> dict[str, dict[str, Counterpart]]:
    """Name of a dataset to its labels in the suite, each with what was published of it."""
    found: dict[str, dict[str, Counterpart]] = {}
    for entry in frames.results.suite.get("datasets", []):
        label = wording.without_paths(entry["label"])
        for pair in ring().data:
            if pair.fits(entry) and label in frames.datasets:
                found.setdefault(pair.ours, {}).setdefault(label, pair)
    return found


def tables_of(frames: Frames) -> list[Table]:
    """A table for each published dataset of the suite; [] if there is none of a published size."""
    tables = []
    for name, found in datasets_of(frames).items():
        labels: dict[int, str] = {}
        for label, pair in found.items():
            labels.setdefault(pair.fields["d"], label)
        tables.append(_table(frames, name, labels))
    return [table for table in tables if table is not None]


def _table(frames: Frames, name: str, labels: dict[int, str]) -> Table | None:
    """Of each method our rows, a network each, then the published one; None where no method has both."""
    relevant = max((draw["n_relevant"] or 0 for label in labels.values() for draw in frames.draws(label)), default=0)
    rows, means = [], len(labels) > 1
    for entry in frames.results.suite.get("explainers", []):
        published, explainer = values(name, entry.get("name", "")), wording.without_paths(entry["label"])
        found = {m: own for m in (*frames.models, NO_MODEL) if (own := ours(frames, labels, m, explainer))}
        if not found or not published:
            continue
        unequal = len({len(draws) for own in found.values() for draws in own.values()}) > 1
        lines = {m: {d: box(draws, counted=unequal) for d, draws in own.items()} for m, own in found.items()}
        lines["published"] = {d: valued(value) for d, value in published.items()}
        common = [d for d in labels if d > relevant and all(d in boxes for boxes in lines.values())]
        for m, boxes in lines.items():
            row = _row(explainer, m, number(found.get(m, {})), boxes, labels, common)
            rows.append(row if means else Row(row.name, row.boxes[:-1], row.kind))
    if not rows:
        return None
    folds = wording.plural(frames.results.suite.get("folds") or 1, "fold")
    caption = (
        f"Precision at p on {name}, 1,000 rows. Ours: mean over {folds} of each draw and over the draws, with their "
        f"range. Published: {ring().source}; one draw, six folds."
    )
    columns = [Column("Source", text=True), Column("Draws"), *[Column(f"d = {d}") for d in labels]]
    if means:
        columns.append(Column(f"mean over d > {relevant}"))
        caption += (
            " The mean leaves out d = p, where every ranking has precision 1, and every d without a value in one of "
            "the rows of the method."
        )
    return Table(caption, "Method", columns, rows)


def number(own: dict[int, pd.Series]) -> str:
    """How many draws there are of a row."""
    counts = sorted({len(draws) for draws in own.values()}) or [1]
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _row(
    explainer: str, source: str, draws: str, boxes: dict[int, Box], labels: dict[int, str], common: list[int]
) -> Row:
    """``common``: the numbers of inputs above p for which every row of the method has a value."""
    mean = math.fsum(boxes[d].value or 0.0 for d in common) / len(common) if common else None
    last = valued(mean, small=f"{len(common)} of them")
    named = source if source == "published" else "ours" if source == NO_MODEL else f"ours, {source}"
    kind = "control" if source == "published" else "method"
    return Row(explainer, [text(named), Box(draws), *[boxes.get(d, EMPTY) for d in labels], last], kind)
