"""Whether a method says the same of a network that was not trained here when it explains other rows."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import records
from xai_bench.report.kit.prose import named
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import BY_DATASET, Box, Column, Table, by_dataset, counted, valued
from xai_bench.report.kit.wording import number

COLUMNS = [
    *BY_DATASET, Column("Mean", "Rank correlation"), Column("Lowest", "Rank correlation"), Column("Draws"),
]  # fmt: skip


class StabilityOverRows(Section):
    """Stability over disjoint parts of the rows, on one network."""

    id, title, order = "stability_rows", "Stable over rows", 101

    def needs(self) -> bool:
        return bool(self.frame["spearman"].notna().any())

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.stability_over_rows

    def words(self) -> str:
        known = self.frame[self.frame["spearman"].notna()].sort_values("spearman", ascending=False, kind="stable")
        most, least = records(known)[0], records(known)[-1]
        return (
            "The same network, explained by other rows: rank correlation of what a method says, averaged over pairs of "
            f"draws. It is highest for {named(most)} ({number(most['spearman'], 2)}) and lowest for {named(least)} "
            f"({number(least['spearman'], 2)})."
        )

    def tables(self) -> list[Table]:
        caption = "Stability over rows of one network."
        return [Table(caption, "Method", COLUMNS, by_dataset(self.frames, self.frame, _boxes), fold=True)]


def _boxes(row: dict[str, Any]) -> list[Box]:
    shown = [valued(row[name], partial(number, digits=2)) for name in ("spearman", "lowest")]
    return [*shown, counted(row["draws"])]
