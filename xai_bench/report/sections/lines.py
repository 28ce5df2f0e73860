"""The lines of a spectrum as tables: their relevance, and how well relevant ones are told from others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xai_bench.report import comparisons, wording
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.shares import Floats, shares
from xai_bench.report.kit.spectra import KINDS, Mark, marks
from xai_bench.report.kit.frames import Frames, records
from xai_bench.report.kit.tables import EMPTY, Body, Box, Column, Row, Table, beside, has_learned, kind_of


def scores(frames: Frames, dataset: str) -> Table | None:
    """A row a line: its largest relevance, divided by the largest of all lines, for each network."""
    draws, found = frames.draws(dataset), shares(frames, dataset)
    known = marks(draws[0]) if draws else []
    own = comparisons.structural(frames, found)
    if not known or not own:
        return None
    columns = [Column("Kind", text=True), Column("Absorber", text=True), Column("Wavelength", hint="Å in air")]
    columns += [Column("Role", text=True)] if known[0].role else []
    seeds = len(frames.data_seeds)
    for pair in own:
        fewer = f" ({found[pair].n} of {seeds} seeds)" if found[pair].n < seeds else ""
        columns.append(Column(f"{pair.model}{fewer}", pair.explainer))
    found_scores = {pair: scores_of(found[pair].mean, known) for pair in own}
    rows = []
    for i, mark in enumerate(known):
        facts = [Box(name_of(mark.kind), text=True), Box(mark.element, text=True),
                 Box(f"{mark.wavelength:.1f} Å", value=mark.wavelength)]  # fmt: skip
        facts += [Box(mark.role, text=True)] if mark.role else []
        values = [float(found_scores[pair][i]) for pair in own]
        rows.append(Row(mark.name, [*facts, *[Box(wording.number(v, 2), value=v, bar=v) for v in values]]))
    caption = (
        "Relevance by line: the largest in its window, divided by the largest of all windows; mean over data seeds."
    )
    return Table(caption, "Line", columns, [Body(rows)])


def name_of(kind: str) -> str:
    """Balmer is a name; other kinds are words."""
    return KINDS["balmer"][0] if kind == "balmer" else kind


def scores_of(relevance: Floats, known: Sequence[Mark]) -> Floats:
    """(len(known),) largest relevance in each window, the largest of all being 1."""
    scores = np.array([relevance[np.asarray(mark.columns)].max() for mark in known])
    return scores / scores.max() if scores.max() > 0 else scores


def windows(frames: Frames, dataset: str) -> Table | None:
    """A row a method, a column a network: AUROC of relevant against noise windows."""
    rows = frames.recovery
    rows = rows[(rows["dataset"] == dataset) & (rows["metric"] == "auroc_windows")]
    if rows.empty:
        return None
    found = {Pair(row["model"], row["explainer"]): row for row in records(rows)}
    models = [model for model in dict.fromkeys(m for m, _ in frames.pairs) if any(p.model == model for p in found)]
    focus = comparisons.focus(frames)

    def cell(pair: Pair) -> Box:
        if (row := found.get(pair)) is None:
            return EMPTY
        return Box(wording.number(row["mean"]), beside(row, len(frames.data_seeds)), row["mean"],
                    min(max(2 * row["mean"] - 1, 0.0), 1.0), bool(row["near"]),
                    not has_learned(frames, dataset, pair.model))  # fmt: skip

    names = dict.fromkeys(explainer for _, explainer in frames.pairs)
    shown = [Row(name, [cell(Pair(model, name)) for model in models], kind_of(name, focus)) for name in names]
    shown = [row for row in shown if any(c is not EMPTY for c in row.cells)]
    caption = "AUROC of relevant against noise windows, a window counting by its largest relevance; chance 0.5, best 1."
    return Table(caption, "Method", [Column(model, "Network") for model in models], [Body(shown)])
