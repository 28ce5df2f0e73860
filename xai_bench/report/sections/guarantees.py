"""Selections at a level: power, errors, and whether they are as small as promised."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import records
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import BY_DATASET, Box, Column, Row, Table, by_dataset, kind_of, plain, text, valued
from xai_bench.results.guarantee_words import ERRORS, RULES, sentences, stated
from xai_bench.results.guarantees import MARGIN, null_inputs

LEVEL = 0.05
OUTCOME = [Column("Selected by", text=True), Column("Power"), Column("Controlled", text=True), Column("Error"),
           Column("Promise", text=True)]  # fmt: skip
NULLS = [Column("Inputs"), Column("Relevant"), Column("Marginal", "Null"), Column("Conditional", "Null"),
         Column("Both", "Null")]  # fmt: skip


class Guarantees(Section):
    """What is selected at a level."""

    id, title = "guarantees", "Selected at a level: are errors as rare as promised?"
    label, order = "Guarantees", 95

    def needs(self) -> bool:
        return bool(self.frames.results.tested) and len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All datasets together, of the hypotheses that are stated."""
        return stated(self.frames.results.guarantees(LEVEL, pooled=True))

    def words(self) -> str:
        return (
            f"Inputs are selected at level {LEVEL:g} by a method's own p-values, or where a relevance is above those "
            f"of null runs. A promise is kept if the upper bound of the error is at most {MARGIN * LEVEL:g}."
        )

    def findings(self) -> list[str]:
        return [
            *sentences(self.frames.results, LEVEL),
            "Null alone (marginal) are noise and suppressors; null given the other inputs (conditional) are noise, "
            "what is redundant, and copies. A method is judged by the hypothesis that it states; where null runs "
            "select, by the inputs that are null in both ways.",
        ]

    def tables(self) -> list[Table]:
        rows = [
            Row(row["explainer"], [text(row["model"]), *_boxes(row)], kind_of(self.frames, row["explainer"]))
            for row in records(self.frame)
        ]
        single = stated(self.frames.results.guarantees(LEVEL))
        nulls = [
            Row(row["dataset"], [valued(row[name], _count) for name in row if name != "dataset"])
            for row in records(null_inputs(self.frames.results))
        ]
        return [
            Table("All datasets together", "Method", [Column("Network", text=True), *OUTCOME], rows, fold=True),
            Table(
                "Every dataset", "Method", [*BY_DATASET, *OUTCOME], by_dataset(self.frames, single, _boxes), fold=True
            ),
            Table("Which inputs count as false", "Dataset", NULLS, nulls, fold=True),
        ]


def _boxes(row: dict[str, Any]) -> list[Box]:
    return [
        text(RULES[row["rule"]]),
        plain(row["power"], row["power_low"], row["power_high"]),
        text(ERRORS[row["controls"]]),
        plain(row["error"], row["low"], row["high"]),
        text(row["outcome"]),
    ]


def _count(value: float) -> str:
    return f"{value:g}"
