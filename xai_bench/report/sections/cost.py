"""The question of cost: medians of every pair of method and network."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit import comparisons, wording
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import NO_MODEL, PAIR, records
from xai_bench.report.kit.markup import legend
from xai_bench.report.kit.prose import on
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Table, by_network
from xai_bench.report.kit.wording import plural, seconds, times

COLUMNS = [
    Column("Given a model", "CPU seconds"),
    Column("Set-up", "CPU seconds"),
    Column("Explain", "CPU seconds"),
    Column("Train", "CPU seconds"),
    Column("End to end", "CPU seconds"),
    Column("Given a model", "Wall seconds"),
    Column("End to end", "Wall seconds"),
    Column("Peak memory", "Memory"),
    Column("Rows explained", "Given to the method"),
    Column("Forward", "Rows through the model"),
    Column("Backward", "Rows through the model"),
    Column("Datasets", "Ran on"),
]


class Cost(Section):
    """What does it cost?"""

    id, label, title = "cost", "Cost", "What does it cost?"
    order, asks = 20, True

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.cost(["model", "explainer"])

    def csv(self) -> dict[str, pd.DataFrame]:
        return {"cost.csv": self.frames.cost(PAIR)}

    def short(self) -> str:
        if self.frame.empty:
            return self.words()
        focus = comparisons.focus(self.frames)
        if focus is None:
            return self._extremes()
        of_pair = (self.frame["model"] == focus.model) & (self.frame["explainer"] == focus.explainer)
        row = self.frame[of_pair].iloc[0]
        others = self.frame[self.frame["explainer"] != focus.explainer]["given_cpu"]
        text = f"`{focus.explainer}` takes {seconds(row.given_cpu)} of CPU time once its network is trained"
        if len(others) and 0 < row.given_cpu < others.median():
            middle = float(others.median())
            text += f"; the median of the other pairs is {seconds(middle)}, {times(middle / row.given_cpu)} as much"
        return text + (f". Training takes {seconds(row.train_cpu)}." if row.train_cpu > 0 else ".")

    def words(self) -> str:
        if self.frame.empty:
            return "No answer: no explanation is done."
        return f"Medians over seeds and datasets. {self._extremes()}"

    def _extremes(self) -> str:
        """The cheapest and the dearest pair."""
        given = self.frame["given_cpu"]
        fast, slow = self.frame.iloc[int(given.argmin())], self.frame.iloc[int(given.argmax())]
        return (
            f"Given a trained model, the least CPU time is {seconds(fast.given_cpu)} "
            f"({on(Pair(fast.model, fast.explainer))}), the most {seconds(slow.given_cpu)} "
            f"({on(Pair(slow.model, slow.explainer))})."
        )

    def findings(self) -> list[str]:
        return [] if self.frame.empty else [self._training(), self._clocks()]

    def _training(self) -> str:
        """Training, and what is left of the differences end to end."""
        trained = self.frames.trained
        if trained.empty:
            return ""
        trains = [
            f"{seconds(v)} for `{model}`"
            for model, v in trained.groupby("model", sort=False)["train_cpu"].median().items()
        ]
        whole = self.frame[(self.frame["datasets"] == self.frame["datasets"].max()) & (self.frame["model"] != NO_MODEL)]
        low, high = whole["end_cpu"].min(), whole["end_cpu"].max()
        return (
            f"Training takes {wording.listed(trains)}. End to end, pairs with a network that ran on "
            f"{plural(int(whole['datasets'].max()), 'dataset')} take {seconds(low)} to {seconds(high)}."
        )

    def _clocks(self) -> str:
        jobs = max((record.get("jobs") or 1 for record in self.frames.results.provenance), default=1)
        text = "A time is one measurement on one thread; short ones are noisy, and only large factors mean something."
        if jobs > 1:
            text += (
                f" Up to {jobs} jobs ran at once and shared caches and memory: CPU seconds are the fairer clock, wall "
                "seconds may be too long."
            )
        if self.frame["datasets"].nunique() > 1:
            text += (
                " A method that ran on fewer datasets has its medians over these only: compare it within the datasets."
            )
        return text

    def tables(self) -> list[Table]:
        if self.frame.empty:
            return []
        total = len(self.frames.datasets)
        positive = self.frame["given_cpu"][self.frame["given_cpu"] > 0]
        scale = (math.log(positive.min()), math.log(positive.max())) if len(positive) else (0.0, 0.0)
        rows = {(row["model"], row["explainer"]): row for row in records(self.frame)}

        def boxes(model: str, explainer: str) -> list[Box]:
            row = rows.get((model, explainer))
            return [EMPTY] if row is None else _boxes(row, scale, total)

        caption = "Cost: medians over seeds and datasets. Bars are on a logarithmic scale."
        return [Table(caption, "Method, by network", COLUMNS, by_network(self.frames, boxes), look="matrix")]

    def html(self) -> str:
        if self.frame.empty:
            return ""
        return legend(
            "Given a model: set-up and explanation. End to end: training as well. Rows explained: the rows that a "
            "method explains one by one; none for methods that read weights or data as a whole. The first bar is on a "
            "logarithmic scale. † some network of the row did not learn."
        )


def _boxes(row: dict[str, Any], scale: tuple[float, float], total: int) -> list[Box]:
    columns = ("setup_cpu", "explain_cpu", "train_cpu", "end_cpu", "given_wall", "end_wall")
    return [
        Box(seconds(row["given_cpu"]), value=row["given_cpu"], bar=_on_log(row["given_cpu"], scale)),
        *[Box(seconds(row[column]), value=row[column]) for column in columns],
        Box(wording.size(row["peak_memory"]), value=row["peak_memory"]),
        Box(wording.count(row["rows_explained"]), value=_known(row["rows_explained"])),
        Box(wording.count(row["forward_rows"]), value=row["forward_rows"]),
        Box(wording.count(row["backward_rows"]), value=row["backward_rows"]),
        Box(f"{row['datasets']} of {total}", value=row["datasets"]),
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _on_log(value: float, scale: tuple[float, float]) -> float | None:
    low, high = scale
    if value <= 0 or high <= low:
        return 0.0 if value <= 0 else None
    return 0.04 + 0.96 * (math.log(value) - low) / (high - low)
