"""What a method costs: medians of every method on every network."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import NO_MODEL, records
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, counted, kind_of, text, valued
from xai_bench.report.kit.wording import listed, plural, seconds

TIMES = {
    "given_cpu": ("Given a model", "CPU seconds"), "setup_cpu": ("Set-up", "CPU seconds"),
    "explain_cpu": ("Explain", "CPU seconds"), "train_cpu": ("Train", "CPU seconds"),
    "end_cpu": ("End to end", "CPU seconds"), "given_wall": ("Given a model", "Wall seconds"),
    "end_wall": ("End to end", "Wall seconds"),
}  # fmt: skip


class Cost(Section):
    """Times, memory, and rows sent through the network."""

    id, title, label, order = "cost", "What does it cost?", "Cost", 75

    def needs(self) -> bool:
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.cost(["model", "explainer"])

    def words(self) -> str:
        timed = self.frames.timed
        trained = timed[(timed["machine"] == self.frames.machine) & (timed["model"] != NO_MODEL)]
        trained = trained.drop_duplicates("model_key").dropna(subset="train_cpu")
        groups = trained.groupby("model", sort=False)["train_cpu"]
        trains = [f"{seconds(float(values.median()))} for `{model}`" for model, values in groups]
        text = "Medians over draws and datasets; given a model: set-up and explanation, end to end: training as well."
        return f"{text} Training takes {listed(trains)}." if trains else text

    def findings(self) -> list[str]:
        jobs = max((record.get("jobs") or 1 for record in self.frames.results.provenance), default=1)
        text = "A time is one measurement on one thread; short ones are noisy, and only large factors mean something."
        if jobs > 1:
            text += f" Up to {jobs} jobs ran at once and shared caches and memory: CPU seconds are the fairer clock."
        if self.frame["datasets"].nunique() > 1:
            text += f" Methods that did not run on all {len(self.frames.datasets)} datasets have medians over fewer."
        return [text, *self._machines()]

    def _machines(self) -> list[str]:
        """Whose costs these are, where several machines measured."""
        counts = self.frames.timed["machine"].value_counts()
        if len(counts) < 2:
            return []
        here, there = self.frames.machine, counts.drop(self.frames.machine)
        others = [f"{count:,} on {wording.without_paths(name)}" for name, count in there.items()]
        words = [
            "Costs of different machines cannot be compared: these are of "
            f"{plural(int(counts[here]), 'explanation')} on {wording.without_paths(here)}. Made elsewhere: "
            f"{'; '.join(others)} (`xai-bench export --table cost` has all, apart)."
        ]
        own = self.frames.timed[self.frames.timed["machine"] == here]
        foreign = int((~own["trained_on"].isin([here, ""])).sum())
        if foreign:
            words.append(
                f"Of these, {plural(foreign, 'explanation')} had a network that another machine trained, or it is not "
                "known which one did: training and end-to-end times leave them out."
            )
        return words

    def tables(self) -> list[Table]:
        positive = self.frame["given_cpu"][self.frame["given_cpu"] > 0]
        scale = (math.log(positive.min()), math.log(positive.max())) if len(positive) else (0.0, 0.0)
        rows = {(row["model"], row["explainer"]): row for row in records(self.frame)}
        columns = [Column(*TIMES[name]) for name in TIMES]
        columns += [Column("Peak memory"), Column("Rows explained"), Column("Forward", "Rows through the model"),
                    Column("Backward", "Rows through the model"), Column("Datasets")]  # fmt: skip
        total = len(self.frames.datasets)
        ran = [(m, e, _boxes(rows[m, e], scale, total)) for m, e in self.frames.pairs if (m, e) in rows]
        lines = [Row(e, [EMPTY if m == NO_MODEL else text(m), *own], kind_of(self.frames, e, m)) for m, e, own in ran]
        columns = [Column("Network", text=True), *columns]
        return [Table("Cost of every method on every network", "Method", columns, lines, fold=True)]


def _boxes(row: dict[str, Any], scale: tuple[float, float], total: int) -> list[Box]:
    return [
        *[valued(row[name], seconds, _on_log(row[name], scale) if name == "given_cpu" else None) for name in TIMES],
        valued(row["peak_memory"], wording.size),
        *[valued(row[name], wording.count) for name in ("rows_explained", "forward_rows", "backward_rows")],
        counted(row["datasets"], total),
    ]


def _on_log(value: float, scale: tuple[float, float]) -> float | None:
    low, high = scale
    if value <= 0 or high <= low:
        return 0.0 if value <= 0 else None
    return 0.04 + 0.96 * (math.log(value) - low) / (high - low)
