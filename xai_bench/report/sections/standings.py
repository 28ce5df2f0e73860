"""The other leaderboards: networks, every method on every network, and further scores of the methods."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import Frames, records
from xai_bench.report.kit.ranking import decided, joined, notes, percent, ranks, table
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, counted, kind_of, valued
from xai_bench.report.kit.wording import number

BOTH = {"recovery": "Recovery", "retention": "Retention, points"}
OTHERS = {"precision_at_p": "Precision at p", "somers_d": "Somers’ D"}
"""Scores of recovery that have a leaderboard of their own."""
COUNTS = {"better_than": "Better than", "worse_than": "Worse than", "equal": "Equal", "undecided": "Undecided"}
"""Of pairs."""


class Standings(Section):
    """Fewer questions decide more: networks are compared with networks only, methods with methods."""

    id, title, label, order = "standings", "Networks, entrants and other scores", "Standings", 20

    def needs(self) -> bool:
        one = len(self.frames.models) < 2 and not self.frames.metrics  # then it says what the leaderboard says
        return bool(len(self.frame) or self.frames.models) and not one

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
        if (by_network := _by_network(self.frames)) is not None:
            tables.append(by_network)
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


def _by_network(frames: Frames) -> Table | None:
    """Both scores of every method on every network; None with fewer than two networks."""
    if len(frames.models) < 2:
        return None
    found = {title: frames.board("entrants", metric) for metric, title in BOTH.items()}
    scores = {
        title: {(r["explainer"], r["model"]): r["score"] for r in records(board)} for title, board in found.items()
    }
    names = [
        name
        for name in frames.ranked
        if any((name, model) in own for own in scores.values() for model in frames.models)
    ]
    columns = [Column(model, title) for title, own in scores.items() if own for model in frames.models]

    def box(title: str, name: str, model: str) -> Box:
        return valued(scores[title].get((name, model)), partial(number, digits=1 if title == BOTH["retention"] else 3))

    rows = [
        Row(name, [box(column.group, name, column.name) for column in columns], kind_of(frames, name)) for name in names
    ]
    return Table("Methods on each network", "Method", columns, rows) if rows else None


def _where_learned(row: dict[str, Any]) -> Box:
    """The score over networks that learned, and in how many families where not in all."""
    part = f"{row['families_learned']} of {row['of_families']} families"
    return valued(row["score_learned"], small=part if row["families_learned"] < row["families"] else "")


def _small(board: pd.DataFrame, caption: str, first: str, title: str = "Recovery", *, fold: bool = False) -> Table:
    """Scores, ranks and counts of decided pairs."""
    ahead = decided(board)
    columns = [title, "Where it learned", "Rank", *COUNTS.values(), "Networks learned", "Families"]

    def boxes(row: dict[str, Any]) -> list[Box]:
        counts = [counted(int(row[name])) if row["ranked"] else EMPTY for name in COUNTS]
        scores = valued(row["score"]), _where_learned(row)
        learned, families = valued(row["learned"], percent), counted(row["families"], row["of_families"])
        return [*scores, ranks(row), *counts, learned, families]

    rows = [
        Row(r["name"], boxes(r), "first" if ahead and r["ranked"] and r["first_group"] else "method")
        for r in records(board)
    ]
    return Table(caption, first, [Column(name) for name in columns], rows, fold, "board")
