"""Published precision at p beside ours, for the datasets of Passemiers et al.: shown as published, never mixed in.

Source: Scientific Reports 2024, arXiv 2304.02383, the result files of the authors' repository.
"""

from __future__ import annotations

import functools
import math
import tomllib
from importlib.resources import files

import pandas as pd

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, text, valued

ROWS = 1000
"""Rows of the published datasets."""
METRIC = "precision_at_p"


@functools.cache
def known() -> dict[str, dict[str, str]]:
    """``methods``: our name of a method to the published one; ``notes``: why a figure of ours is not comparable."""
    path = files("xai_bench.report.sections").joinpath("published_ring_family.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


class Published(Section):
    """Published values beside those of this run."""

    id, label, title, order = "published", "Published figures", "Published figures beside ours", 120

    def needs(self) -> bool:
        return bool(self._tables)

    @functools.cached_property
    def _tables(self) -> list[Table]:
        return tables_of(self.frames)

    def words(self) -> str:
        return (
            "The published values stand here as published, with their source, each of one draw of the data; no mean, "
            "interval or ranking of this report uses them. The mean over d leaves out d = p, where every ranking has "
            "precision 1, and every d without a value in one of the rows of the method."
        )

    def tables(self) -> list[Table]:
        return self._tables


@functools.cache
def _file() -> pd.DataFrame:
    path = files("xai_bench.report.sections").joinpath("published_ring_family.csv")
    with path.open(encoding="utf-8") as lines:
        return pd.read_csv(lines, comment="#")


def values(dataset: str, method: str) -> dict[int, float]:
    """Number of inputs to the published precision at p of a method, by our names; {} if there is none."""
    frame = _file()
    rows = frame[
        (frame["n"] == ROWS) & (frame["dataset"] == dataset) & (frame["method"] == known()["methods"].get(method))
    ]
    return {int(d): float(value) for d, value in zip(rows["d"], rows["best_p"], strict=True)}


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


def tables_of(frames: Frames) -> list[Table]:
    """A table for each published dataset of the suite; [] if there is none of a published size."""
    sizes = set(zip(_file()["dataset"], _file()["d"], strict=True))
    datasets: dict[str, dict[int, str]] = {}
    for entry in frames.results.suite.get("datasets", []):
        fields = entry.get("fields", {})
        name, label = entry.get("name"), wording.without_paths(entry["label"])
        if (name, fields.get("d")) in sizes and fields.get("n") == ROWS and label in frames.datasets:
            datasets.setdefault(name, {}).setdefault(fields["d"], label)
    return [table for name, labels in datasets.items() if (table := _table(frames, name, labels)) is not None]


def _table(frames: Frames, name: str, labels: dict[int, str]) -> Table | None:
    """Of each method our rows, a network each, then the published one; None where no method has both."""
    relevant = max((draw["n_relevant"] or 0 for label in labels.values() for draw in frames.draws(label)), default=0)
    rows, notes = [], []
    for entry in frames.results.suite.get("explainers", []):
        published, explainer = values(name, entry.get("name", "")), wording.without_paths(entry["label"])
        found = {m: own for m in (*frames.models, NO_MODEL) if (own := ours(frames, labels, m, explainer))}
        if not found or not published:
            continue
        unequal = len({len(draws) for own in found.values() for draws in own.values()}) > 1
        lines = {m: {d: box(draws, counted=unequal) for d, draws in own.items()} for m, own in found.items()}
        lines["published"] = {d: valued(value) for d, value in published.items()}
        common = [d for d in labels if d > relevant and all(d in boxes for boxes in lines.values())]
        rows += [_row(explainer, m, number(found.get(m, {})), boxes, labels, common) for m, boxes in lines.items()]
        notes += [known()["notes"][entry["name"]]] if entry["name"] in known()["notes"] else []
    if not rows:
        return None
    folds = wording.plural(frames.results.suite.get("folds") or 1, "fold")
    caption = (
        f"Precision at p on {name}, {ROWS:,} rows. Ours: mean over {folds} of each draw and over the draws, with their "
        "range. Published: Passemiers et al., Scientific Reports 2024 (arXiv 2304.02383), result files of the authors’ "
        f"repository; one draw, six folds. {' '.join(notes)}"
    )
    columns = [
        Column("Source", text=True),
        Column("Draws"),
        *[Column(f"d = {d}") for d in labels],
        Column(f"mean over d > {relevant}"),
    ]
    return Table(caption.strip(), "Method", columns, rows)


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
