"""Selections at a threshold from null runs: how often they are false, and what they find."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import records
from xai_bench.report.kit.prose import named, names_of
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import BY_DATASET, Box, Column, Table, by_dataset, counted, plain
from xai_bench.report.kit.wording import listed, plural
from xai_bench.scoring.calibration import SCORES
from xai_bench.wording import have

COLUMNS = [
    *BY_DATASET, Column("With a false selection", "Null runs"), Column("Threshold", "Null runs"),
    *[Column(name, "Real runs, above the threshold")
      for name in ("Inputs", "Precision", "Recall", "Share of noise inputs")],
]  # fmt: skip


class Calibration(Section):
    """Null runs."""

    id, title = "calibration", "Calibrated on null runs"
    label, order = "Null runs", 90

    def needs(self) -> bool | str:
        if not self.frames.results.suite.get("calibration"):
            return "null runs were not asked for (`[calibration]`)"
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.calibration

    def words(self) -> str:
        runs = self.frames.results.suite["calibration"]["runs"]
        return (
            f"How large is a relevance where there is nothing to find? The targets are permuted, and networks trained "
            f"anew and explained, {runs} times: the threshold is the level that a further such run exceeds with a "
            "probability of at most 5 %."
        )

    def findings(self) -> list[str]:
        runs = self.frames.results.suite["calibration"]["runs"]
        judged = self.frame[self.frame["threshold"].notna() & (self.frame["judges"] > 0)]
        few = judged[judged["false_runs"] <= 4 * judged["judges"] / 20]
        paragraphs = [
            f"{runs} other permutations judge it: about one in twenty may show a false selection, an input above the "
            "threshold. A relevance is divided by its sum, so the more inputs share it, the smaller each: where many "
            "are relevant, few can be above the threshold, and recall is low for that reason alone."
        ]
        if len(judged):
            false, all_ = int(judged["false_runs"].sum()), int(judged["judges"].sum())
            many = f"{false:,} of {plural(all_, 'null run')} {have(false)}"
            paragraphs.append(f"In all {many} a false selection.{self._silent()}")
            more = [f"{named(r)} ({int(r['false_runs'])} of {r['judges']})" for r in records(judged.drop(few.index))]
            paragraphs.append(
                f"False selections in at most one null run of five: {len(few)} of {plural(len(judged), 'pair')} of "
                f"method and network on {plural(judged['dataset'].nunique(), 'dataset')}."
                + (f" More: {listed(more)}." if more else "")
            )
        paragraphs += self._named()
        unset = self.frame[self.frame["threshold"].isna()]
        for reason, group in unset.groupby("reason", sort=False):
            paragraphs.append(f"Without a threshold, {reason}: {names_of(group)}.")
        return paragraphs

    def _silent(self) -> str:
        """A share is never above 1: who has such a threshold selects nothing, and nothing false."""
        gone = self.frame[self.frame["threshold"] >= 1]
        names = [f"`{name}`" for name in gone["explainer"].unique()]
        return f" A threshold of 1 selects nothing: {listed(names, 12)} have it on some data." if names else ""

    def _named(self) -> list[str]:
        """Of datasets without a truth: which inputs are above the threshold."""
        paragraphs = []
        rows = self.frame[self.frame["threshold"].notna()]
        for dataset, group in rows.groupby("dataset", sort=False):
            if not self._truth(str(dataset)):
                said = [f"{r['explainer']} on {r['model']}: {listed(r['names'])}" for r in records(group)]
                paragraphs.append(f"{dataset}: inputs above the threshold in most runs, by {'; by '.join(said)}.")
        return paragraphs

    def _truth(self, dataset: str) -> bool:
        """Whether the truth of a dataset is known."""
        cells, draws = self.frames.results.cells, self.frames.results.draws
        keys = cells.loc[cells["dataset"] == dataset, "draw"]
        return any(draws[key].roles is not None for key in keys if key in draws)

    def tables(self) -> list[Table]:
        rows = by_dataset(self.frames, self.frame[self.frame["threshold"].notna()], _boxes)
        caption = "Selections at a threshold from null runs, in shares of the total relevance."
        return [Table(caption, "Method", COLUMNS, rows, fold=True)] if rows else []


def _boxes(row: dict[str, Any]) -> list[Box]:
    false = counted(int(row["false_runs"]), row["judges"])
    return [
        false,
        plain(row["threshold"]),
        plain(row["inputs_above"]),
        *[plain(row[s], row[f"{s}_low"], row[f"{s}_high"]) for s in SCORES],
    ]
