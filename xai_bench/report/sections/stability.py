"""Whether a method selects the same inputs when networks are trained anew on the same data."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import records
from xai_bench.report.kit.prose import names_of
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import BY_DATASET, Box, Column, Table, by_dataset, counted, plain
from xai_bench.report.kit.wording import listed, plural
from xai_bench.scoring.stability import MEASURES

POOR, EXCELLENT = 0.4, 0.75
"""Bounds of Nogueira's index: poor below, excellent above (Fleiss 2004, taken over by Nogueira et al. 2018)."""
COLUMNS = [
    *BY_DATASET, Column("Top p", "Nogueira’s index"), Column("Own support", "Nogueira’s index"),
    Column("Mean", "Rank correlation"), Column("In a draw", "Networks"),
]  # fmt: skip


class Stability(Section):
    """Stability over networks of one draw."""

    id, title = "stability", "Stable when networks are trained anew"
    label, order = "Stability", 100

    def needs(self) -> bool | str:
        if len(self.frames.results.suite.get("model_seeds", [])) < 2:
            return "stability needs at least two model seeds"
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.stability

    def words(self) -> str:
        return (
            "Networks that differ in their initial weights and the order of batches only: does a method select the "
            "same inputs? Nogueira’s index of the p highest ranked (p the number of relevant inputs; where they are "
            "not known a tenth of all, three at the least), and of a method’s own support where it gives exact zeros, "
            "is 1 where all selections are equal and 0 where they agree as random ones do."
        )

    def findings(self) -> list[str]:
        paragraphs = [
            "The interval of the index is the published one, of many selections, so of few networks it is rough. Rank "
            "correlation compares all inputs."
        ]
        known = self.frame[self.frame["top_p"].notna()]
        if len(known):
            high, low = known[known["top_p_low"] > EXCELLENT], known[known["top_p_high"] < POOR]
            paragraphs.append(
                f"Of {plural(len(known), 'method')} by network and dataset, the top p have an index above {EXCELLENT} "
                f"with the whole interval in {len(high)} (called excellent), below {POOR} in {len(low)} (called poor)"
                + (f": {names_of(low)}." if len(low) else ".")
            )
        return [*paragraphs, *self._always()]

    def _always(self) -> list[str]:
        """Of datasets without a truth: which inputs are always among the first."""
        open_ = self.frame[~self.frame["known"].astype(bool)]
        paragraphs = []
        for dataset, group in open_.groupby("dataset", sort=False):
            said = [f"{r['explainer']} on {r['model']}: {listed(r['always'])}" for r in records(group)]
            paragraphs.append(f"{dataset}: inputs that are among the first of every network, by {'; by '.join(said)}.")
        return paragraphs

    def tables(self) -> list[Table]:
        caption = "Stability over networks trained anew on the same data."
        return [Table(caption, "Method", COLUMNS, by_dataset(self.frames, self.frame, _boxes), fold=True)]


def _boxes(row: dict[str, Any]) -> list[Box]:
    measures = [plain(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in MEASURES]
    return [*measures, counted(row["networks"])]
