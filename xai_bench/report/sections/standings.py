"""The other leaderboards: networks, every method on every network, and further scores of the methods."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import records
from xai_bench.report.kit.ranking import decided, joined, notes, percent, ranks, table
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, counted, valued

OTHERS = {"precision_at_p": "Precision at p", "somers_d": "Somers’ D"}
"""Scores of recovery that have a leaderboard of their own."""
COUNTS = {"better_than": "Better than", "worse_than": "Worse than", "equal": "Equal", "undecided": "Undecided"}
"""Of pairs."""


class Standings(Section):
    """Fewer questions decide more: networks are compared with networks only, methods with methods."""

    id, title, label, order = "standings", "Networks, entrants and other scores", "Standings", 20

    def needs(self) -> bool:
        return bool(len(self.frame) or self.frames.models)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Every method on every network."""
        return joined(self.frames, "entrants")

    def words(self) -> str:
        return (
            "Networks are averaged over the methods that explain them; an entrant is a method on a network, or one "
            "that needs none. Ranks run from 1 and the number of those shown to be better, to the number of all less "
            "those shown to be worse."
        )

    def tables(self) -> list[Table]:
        tables = (
            []
            if self.frames.board("networks").empty
            else [_small(self.frames.board("networks"), "Networks", "Network")]
        )
        if len(self.frame):
            tables.append(
                table(self.frames, self.frame, "Entrants: every method on every network", first="Entrant", fold=True)
            )
        for metric, title in OTHERS.items():
            board = self.frames.board("methods", metric)
            if len(board):
                tables.append(_small(board, f"Methods by {title}", "Method", title, fold=True))
        return tables

    def findings(self) -> list[str]:
        return notes(self.frames, self.frame)[:1]


def _small(board: pd.DataFrame, caption: str, first: str, title: str = "Recovery", *, fold: bool = False) -> Table:
    """Scores, ranks and counts of decided pairs."""
    ahead = decided(board)
    columns = [title, "Where it learned", "Rank", *COUNTS.values(), "Networks learned", "Families"]

    def boxes(row: dict[str, Any]) -> list[Box]:
        counts = [counted(int(row[name])) if row["ranked"] else EMPTY for name in COUNTS]
        scores = valued(row["score"]), valued(row["score_learned"])
        learned, families = valued(row["learned"], percent), counted(row["families"], row["of_families"])
        return [*scores, ranks(row, ahead), *counts, learned, families]

    rows = [
        Row(r["name"], boxes(r), "first" if ahead and r["ranked"] and r["first_group"] else "method")
        for r in records(board)
    ]
    return Table(caption, first, [Column(name) for name in columns], rows, fold, "board")
