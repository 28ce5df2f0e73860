"""How well relevant stretches of inputs are told from others, by method and network."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.report.kit import comparisons
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import records
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Body, Box, Column, Row, Table, has_learned, kind_of, scale_of, score

METRIC = "auroc_windows"


class Windows(Section):
    """Where stretches of inputs are named."""

    id, within, order = "windows", "datasets", 80

    def needs(self) -> bool:
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        rows = self.frames.recovery
        return rows[(rows["dataset"] == self.dataset) & (rows["metric"] == METRIC)]

    def tables(self) -> list[Table]:
        """A row a method, a column a network."""
        of_pair = {Pair(row["model"], row["explainer"]): row for row in records(self.frame)}
        pairs = self.frames.pairs
        models = [m for m in dict.fromkeys(m for m, _ in pairs) if any(pair.model == m for pair in of_pair)]
        focus, seeds = comparisons.focus(self.frames), len(self.frames.data_seeds)
        scale = scale_of(self.frames, self.dataset, METRIC)

        def box(pair: Pair) -> Box:
            unlearned = not has_learned(self.frames, self.dataset, pair.model)
            return score(of_pair.get(pair), scale, seeds, unlearned)

        names = dict.fromkeys(explainer for _, explainer in pairs)
        rows = [Row(name, [box(Pair(model, name)) for model in models], kind_of(name, focus)) for name in names]
        rows = [row for row in rows if any(one is not EMPTY for one in row.boxes)]
        caption = (
            "AUROC of relevant against noise windows, a window counting by its largest relevance; chance 0.5, best 1."
        )
        return [Table(caption, "Method", [Column(model, "Network") for model in models], [Body(rows)])]
