"""Whether the relevance of the networks comes from the data, or still from their initial weights."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import records
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, counted, plain, text
from xai_bench.report.kit.wording import listed, plural
from xai_bench.results.entrants import NO_SIGNAL
from xai_bench.wording import are

KINDS = {"first_layer": "First layer", "saliency": "Saliency"}
COLUMNS = [
    Column("Dataset", text=True), Column("Relevance", text=True), Column("Share on copies"),
    Column("Second training", "Rank correlation"), Column("Initial weights", "Rank correlation"),
    Column("Same in the top k"), Column("Draws"), Column("Settled", text=True),
]  # fmt: skip


class Settling(Section):
    """Whether relevances have settled when a network is trained."""

    id, title = "settling", "Settled when the network is trained"
    label, order = "Settling", 105

    def needs(self) -> bool | str:
        if self.frames.results.suite.get("settling") == {"draws": 0}:
            return "networks were not trained once more (`[settling]`)"
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        """See ``results.settling.settling``."""
        return self.frames.settling

    def words(self) -> str:
        return (
            "Every network is trained once more, from other initial weights and with a copy of each input beside it "
            "whose rows are in another order. A relevance has settled if copies clearly get less than half of it "
            "(not asked of pictures, which have no copies), and if it agrees with that of the second training clearly "
            "more than not at all, and more than with that of its own initial weights."
        )

    def findings(self) -> list[str]:
        traits = self.frames.cells.drop_duplicates("dataset").set_index("dataset")["traits"]
        signal = ~self.frame["dataset"].map(traits).fillna("").str.contains(NO_SIGNAL)
        known = self.frame[self.frame["settled"].notna() & signal]
        paragraphs = []
        for kind, name in KINDS.items():
            rows = known[known["relevance"] == kind]
            poor = rows[~rows["settled"].astype(bool)]
            if len(rows) and len(poor):
                names = [f"`{row.model}` on `{row.dataset}`" for row in poor.itertuples()]
                paragraphs.append(
                    f"{name}: of {plural(len(rows), 'network')} by dataset with a signal, {len(poor)} "
                    f"{are(len(poor))} not shown to have settled: {listed(names, 12)}."
                )
            elif len(rows):
                paragraphs.append(f"{name}: the relevance of every network has settled.")
        unknown = self.frame[self.frame["settled"].isna() & (self.frame["draws"] > 0)]
        if len(unknown):
            paragraphs.append("Below three draws it is not said whether a relevance has settled.")
        return paragraphs

    def tables(self) -> list[Table]:
        rows = [Row(str(row["model"]), [text(str(row["dataset"])), *_boxes(row)]) for row in records(self.frame)]
        caption = "Signs of settling, over the draws on which networks were trained once more"
        return [Table(caption, "Network", COLUMNS, rows, fold=True)]


def _boxes(row: dict[str, Any]) -> list[Box]:
    numbers = [
        plain(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in ("share", "correlation", "initial")
    ]
    settled = text(row["reason"] or wording.settled(row["settled"]))
    draws = counted(row["draws"]) if row["draws"] else EMPTY
    return [text(KINDS[row["relevance"]]), *numbers, plain(row["top"]), draws, settled]
