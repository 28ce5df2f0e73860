"""The question of retention: how accurate a model is that keeps only the top inputs of a method."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.report.kit import comparisons, prose, saturation
from xai_bench.report.kit.frames import AREAS, CONTROLS, control
from xai_bench.report.kit.markup import legend
from xai_bench.report.kit.matrix import matrix, standings
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, NO_BAR, Box, Row, Table, score
from xai_bench.report.kit.wording import listed, number, plural


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
    def scores(self) -> dict[str, str]:
        """Dataset to the area that the words compare, where it has a value."""
        retrained = set(self.methods.loc[self.methods["metric"] == AREAS[0], "dataset"])
        return {d: AREAS[0] for d in self.valued if d in retrained}

    def short(self) -> str:
        if not self.valued:
            return self.words()
        focus = comparisons.focus(self.frames)
        return prose.short(self.frames, self.frame, self.scores, focus, "a retained area of")

    def words(self) -> str:
        if not self.valued:
            return "No answer: " + (
                "retention was not asked for in this suite." if not self.frames.results.suite.get("retention")
                else "no area has a value; the reasons stand below." if len(self.frames.retention_reasons)
                else "retention has not been judged."
            )  # fmt: skip
        return (
            "The area under the test score over the logarithm of k, the number of inputs kept; 0 is a random choice, 1 "
            "is what all inputs reach at every k. Retrained: a judge network, trained on the kept inputs only; masked: "
            "the explained network, all other inputs at their mean."
        )

    def findings(self) -> list[str]:
        if not self.valued:
            return [self._without_value()]
        frames, focus = self.frames, comparisons.focus(self.frames)
        above = int((self.methods["mean"] > 1).sum())
        over = f"{plural(above, 'mean')} above 1, shown as they are: fewer inputs did better than all."
        return [
            prose.crowd(frames, self.frame, self.scores, focus),
            prose.counterpart(frames, self.scores, focus),
            *saturation.words(frames, self.valued),
            "Retention alone can be gamed, by inputs that predict without being needed; read it beside recovery. "
            + (over if above else "No mean is above 1."),
            self._without_value(),
        ]

    def _without_value(self) -> str:
        """Where no area is shown, and why."""
        notes = []
        for dataset, group in self.frames.retention_reasons.groupby("dataset", sort=False):
            seeds = listed([str(seed) for seed in sorted(group["data_seed"].unique())])
            notes.append(f"`{dataset}` (data seeds {seeds}; for example: {group['reason'].iloc[0]})")
        if not notes:
            return ""
        return (
            f"No value on {'; '.join(notes)}. These draws are left out of the mean; the number of seeds left is given."
        )

    def tables(self) -> list[Table]:
        areas = {d: list(AREAS) for d in self.frames.datasets}
        overview = standings(self.frames, self.frame, areas)
        shown = {d: metrics for d, metrics in areas.items() if d in set(self.frame["dataset"])}
        return [*([overview] if overview else []), *([self._matrix(shown)] if shown else [])]

    def _matrix(self, shown: dict[str, list[str]]) -> Table:
        seeds, places = len(self.frames.data_seeds), [(d, m) for d, metrics in shown.items() for m in metrics]
        # One network stands for all: what a control keeps, masked, depends on the network.
        oracle = [
            EMPTY if m == AREAS[1] else score(control(self.frame, d, "oracle", m), NO_BAR, seeds) for d, m in places
        ]
        rows = [
            Row("random", [Box(number(0.0), "by definition", 0.0)] * len(places), "control"),
            Row("oracle", oracle, "control"),
        ]
        caption = "Retained area: 0 is a random choice of inputs, 1 what all inputs reach; mean and 95 % interval."
        return matrix(self.frames, self.frame, shown, caption, rows)

    def html(self) -> str:
        if self.frame.empty:
            return ""
        return legend(
            "• the interval overlaps that of the highest mean of its column. Bars run from 0 (random) to 1 (all "
            "inputs). Oracle keeps the truly relevant inputs: a curve to compare with, not a bound. † some network of "
            "the row did not learn."
        )
