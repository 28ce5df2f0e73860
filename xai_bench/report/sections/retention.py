"""The question of retention: how accurate a model is that keeps only the top inputs of a method."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.report.kit import comparisons, prose, saturation
from xai_bench.report.kit.frames import CONTROLS, GAINS, MASKED, SHARES, control, records
from xai_bench.report.kit.markup import legend
from xai_bench.report.kit.matrix import matrix, standings
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, NO_BAR, Box, Row, Table, score
from xai_bench.report.kit.wording import bounds, listed, of_score, plural

REASONS = 4
"""Reasons that are spelled out."""


class Retention(Section):
    """How accurate is a model that keeps only its top inputs?"""

    id, label, title = "retention", "Retention", "How accurate is a model that keeps only its top inputs?"
    order, asks = 30, True

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.retention

    def csv(self) -> dict[str, pd.DataFrame]:
        files = {"retention.csv": self.frame}
        return {**files, "curves.csv": self.frames.curves} if self.frames.dense else files

    @cached_property
    def methods(self) -> pd.DataFrame:
        return self.frame[~self.frame["explainer"].isin(CONTROLS)]

    @cached_property
    def valued(self) -> list[str]:
        """Datasets with a value of some method."""
        return [d for d in self.frames.datasets if d in set(self.methods["dataset"])]

    @cached_property
    def measured(self) -> dict[str, list[str]]:
        """Dataset to its gains with a value, retrained first."""
        found = {d: set(self.methods.loc[self.methods["dataset"] == d, "metric"]) for d in self.valued}
        return {d: [gain for gain in GAINS if gain in metrics] for d, metrics in found.items()}

    @cached_property
    def scores(self) -> dict[str, str]:
        """Dataset to the gain that the words compare: a judge's, which sees nothing but the kept inputs."""
        return {d: gains[0] for d, gains in self.measured.items() if gains and gains[0] != MASKED}

    def short(self) -> str:
        if not self.valued:
            return self.words()
        focus = comparisons.focus(self.frames)
        return prose.short(self.frames, self.frame, self.scores, focus, "a gain over random inputs of")

    def words(self) -> str:
        if not self.valued:
            return "No answer: " + (
                "retention was not asked for in this suite." if not self.frames.results.suite.get("retention")
                else "no gain has a value; the reasons stand below." if len(self.frames.retention_reasons)
                else "retention has not been judged."
            )  # fmt: skip
        trees = "retention_trees_gain" in set(self.frame["metric"])
        return (
            "Gain: the test score with the top inputs less that with random inputs of the same draw, in points (100 "
            "points are 1.000), mean over the logarithm of the number of inputs kept. Retrained: a judge network, "
            f"trained on the kept inputs only{'; trees: a forest, trained likewise' if trees else ''}; masked: the "
            "explained network, all other inputs at their mean."
        )

    def findings(self) -> list[str]:
        if not self.valued:
            return [self._without_value()]
        frames, focus = self.frames, comparisons.focus(self.frames)
        return [
            prose.crowd(frames, self.frame, self.scores, focus),
            prose.counterpart(frames, self.scores, focus),
            *saturation.words(frames, self.valued),
            self._possible(),
            "Retention alone can be gamed, by inputs that predict without being needed; read it beside recovery. "
            f"{self._above()}".strip(),
            self._without_value(),
        ]

    def _above(self) -> str:
        """How many means are above what all inputs gain."""
        shares = self.methods[self.methods["metric"].isin(SHARES.values())]
        if shares.empty:
            return ""
        above = int((shares["mean"] > 1).sum())
        if not above:
            return "No share of the possible gain is above 1."
        return f"Above 1, since fewer inputs did better than all: {plural(above, 'share')} of the possible gain."

    def _possible(self) -> str:
        """Where it is not shown that all inputs do better than random ones."""
        gaps = self.frames.gaps
        unclear = gaps[gaps["low"].notna() & (gaps["low"] <= 0)].drop_duplicates(["dataset", "metric"])
        clauses = []
        for dataset, group in unclear.groupby("dataset", sort=False):
            sizes = [
                f"{self.frames.title(row['metric'])} {of_score(row['mean'], row['metric'])} "
                f"{bounds(row['low'], row['high'], row['metric'])}"
                for row in sorted(records(group), key=lambda row: GAINS.index(row["metric"]))
            ]
            clauses.append(f"`{dataset}` ({', '.join(sizes)} points)")
        if not clauses:
            return ""
        return (
            f"What all inputs reach above random ones has an interval that includes 0 on {listed(clauses)}: there a "
            "share of it has no interval. No draw is left out for this reason."
        )

    def _without_value(self) -> str:
        """Which draws have no value, and why."""
        reasons, folds = self.frames.retention_reasons, self.frames.results.suite.get("folds")
        notes = []
        for (dataset, reason), group in reasons.groupby(["dataset", "reason"], sort=False):
            named = []
            for seed, rows in group.groupby("data_seed"):
                lost = [str(fold) for fold in sorted(rows["fold"].unique())]
                named.append(f"{seed} (fold{'s' if len(lost) > 1 else ''} {listed(lost)})" if folds else str(seed))
            notes.append(f"`{dataset}`, data seed{'s' if len(named) > 1 else ''} {listed(named)}: {reason}")
        if not notes:
            return ""
        return f"Draws without a value: {listed(notes, REASONS)}. Beside every mean stands how many draws it rests on."

    def tables(self) -> list[Table]:
        overview = standings(self.frames, self.frame, self.measured)
        measured = set(zip(self.frame["dataset"], self.frame["metric"], strict=True))
        shown = {}
        for dataset in self.frames.datasets:
            pairs = [score for gain in GAINS for score in (gain, SHARES[gain]) if (dataset, gain) in measured]
            if pairs:
                shown[dataset] = pairs
        return [*([overview] if overview else []), *([self._matrix(shown)] if shown else [])]

    def _matrix(self, shown: dict[str, list[str]]) -> Table:
        seeds, places = len(self.frames.data_seeds), [(d, m) for d, metrics in shown.items() for m in metrics]
        # One network stands for all: what a control keeps, masked, depends on the network.
        masked = (MASKED, SHARES[MASKED])
        oracle = [
            EMPTY if m in masked else score(control(self.frame, d, "oracle", m), NO_BAR, seeds) for d, m in places
        ]
        rows = [
            Row("random", [Box(of_score(0.0, m), "by definition", 0.0) for _, m in places], "control"),
            Row("oracle", oracle, "control"),
        ]
        caption = (
            "Gain over random inputs in points: mean, 95 % interval and number of draws. Share of the possible gain: "
            "the sum of the gains of all draws over the sum of what all inputs gain; descriptive, never compared."
        )
        return matrix(self.frames, self.frame, shown, caption, rows)

    def html(self) -> str:
        if self.frame.empty:
            return ""
        return legend(
            "• the interval overlaps that of the highest mean of its column. Bars of gains run from 0 (random) to the "
            "mean of what all inputs gain, bars of shares from 0 to 1. Oracle keeps the truly relevant inputs: a curve "
            "to compare with, not a bound. † some network of the row did not learn."
        )
