"""The lines of a spectrum as a table: their relevance on every network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xai_bench.report.kit import comparisons, wording
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.shares import Floats, explained, shares
from xai_bench.report.kit.spectra import Mark, marks, name_of
from xai_bench.report.kit.tables import Body, Box, Column, Row, Table


class Lines(Section):
    """By line: its largest relevance, divided by the largest of all lines."""

    id, within, order, in_summary = "lines", "datasets", 70, False

    def needs(self) -> bool:
        if not self.draw or not marks(self.draw):
            return False
        return bool(comparisons.structural(self.frames, explained(self.frames, self.dataset)))

    def tables(self) -> list[Table]:
        known, mean_of = marks(self.draw), shares(self.frames, self.dataset)
        own = comparisons.structural(self.frames, mean_of)
        columns = [Column("Kind", text=True), Column("Absorber", text=True), Column("Wavelength")]
        columns += [Column("Role", text=True)] if known[0].role else []
        seeds = len(self.frames.data_seeds)
        for pair in own:
            n = mean_of[pair].n
            columns.append(Column(pair.model + (f" ({n} of {seeds} seeds)" if n < seeds else ""), pair.explainer))
        scores = {pair: scores_of(mean_of[pair].mean, known) for pair in own}
        rows = [Row(mark.name, [*_facts(mark), *[_box(float(scores[pair][i])) for pair in own]])
                for i, mark in enumerate(known)]  # fmt: skip
        caption = (
            "Relevance by line: the largest in its window, divided by the largest of all windows; mean over data seeds."
        )
        return [Table(caption, "Line", columns, [Body(rows)])]


def _facts(mark: Mark) -> list[Box]:
    boxes = [Box(name_of(mark.kind), text=True), Box(mark.element, text=True),
             Box(f"{mark.wavelength:.1f} Å", value=mark.wavelength)]  # fmt: skip
    return [*boxes, Box(mark.role, text=True)] if mark.role else boxes


def _box(value: float) -> Box:
    return Box(wording.number(value, 2), value=value, bar=value)


def scores_of(relevance: Floats, known: Sequence[Mark]) -> Floats:
    """(len(known),) largest relevance in each window, the largest of all being 1."""
    scores = np.array([relevance[np.asarray(mark.columns)].max() for mark in known])
    return scores / scores.max() if scores.max() > 0 else scores
