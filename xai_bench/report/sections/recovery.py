"""The question of recovery: the headline scores of every pair of method and network."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.report.kit import comparisons, prose
from xai_bench.report.kit.frames import CONTROLS, control
from xai_bench.report.kit.markup import legend
from xai_bench.report.kit.matrix import matrix, standings
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import NO_BAR, Box, Row, Table, chance_of, score
from xai_bench.report.kit.wording import listed, number


class Recovery(Section):
    """Does it find the inputs that are truly relevant?"""

    id, label, title = "recovery", "Recovery", "Does it find the inputs that are truly relevant?"
    order, asks = 10, True

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.above_chance

    def csv(self) -> dict[str, pd.DataFrame]:
        return {"recovery.csv": self.frame}

    @cached_property
    def methods(self) -> pd.DataFrame:
        """The scores that are compared."""
        frame = self.frames.recovery
        return frame[~frame["explainer"].isin(CONTROLS) & ~frame["metric"].isin(self.frames.never_compared)]

    @cached_property
    def first(self) -> dict[str, str]:
        """Dataset to its first headline score, where methods were scored."""
        scored = set(self.methods["dataset"])
        return {d: self.frames.headline(d)[0] for d in self.frames.datasets if d in scored}

    @cached_property
    def last(self) -> dict[str, str]:
        """Dataset to its last headline score, which judges the order of the inputs where that is known."""
        return {d: self.frames.headline(d)[-1] for d in self.first}

    @cached_property
    def ordered(self) -> dict[str, str]:
        """``last`` where it is not ``first``."""
        return {d: metric for d, metric in self.last.items() if metric != self.first[d]}

    def short(self) -> str:
        if not self.first:
            return self.words()
        frames, frame, focus = self.frames, self.frames.recovery, comparisons.focus(self.frames)
        text = prose.short(frames, frame, self.first, focus, frames.title(next(iter(self.first.values()))))
        if focus:
            tops = prose.leaders(frames, frame, self.ordered)
            if gaps := prose.below(frames, tops, self.ordered, focus):
                top, worse = prose.extreme(frames, self.ordered)
                text += f" Paired by data seed, its order of the inputs is {worse} the {top} on {listed(gaps, 2)}."
        return f"{text} {prose.counterpart(frames, self.last, focus, brief=True)}".strip()

    def words(self) -> str:
        if not self.first:
            return (
                "No answer: no method was scored, since no truth is known on these datasets or no explanation is done."
            )
        seeds, most = self.frames.data_seeds, int(self.methods["n"].max())
        if most == 1:
            only = f"Every value rests on one of the {len(seeds)} data seeds only"
            only = f"There is one data seed only ({seeds[0]})" if len(seeds) == 1 else only
            return (
                f"{only}: no intervals, and no difference can be judged. "
                "Values are those of this seed, averaged over its model seeds and folds."
            )
        fewer = "up to " if (self.methods["n"] < len(seeds)).any() else ""
        return (
            f"Values are means over {fewer}{most} data seeds with their 95 % interval (Student’s t). A method whose "
            "interval overlaps that of the highest mean is marked •: it cannot be told from it here."
        )

    def findings(self) -> list[str]:
        if not self.first:
            return [self._unlearned()]
        frames, frame, focus = self.frames, self.frames.recovery, comparisons.focus(self.frames)
        return [
            self._restrictions(),
            prose.crowd(frames, frame, self.first, focus),
            prose.crowd(frames, frame, self.ordered, focus),
            prose.counterpart(frames, self.last, focus),
            prose.spread(frames, self.last),
            self._unlearned(),
        ]

    def _restrictions(self) -> str:
        """Where values rest on fewer data seeds, or do not exist."""
        sentences, seeds, n = [], len(self.frames.data_seeds), self.methods["n"]
        if n.max() > 1 and (n < seeds).any():
            sentences.append(
                f"Where a value rests on fewer than the suite’s {seeds} data seeds, their number is beside it."
            )
        if n.max() > 1 and (n == 1).any():
            sentences.append(
                "A mean of one draw has no interval: it is compared with no other, and the counts below leave it out."
            )
        if unknown := [d for d in self.frames.datasets if d not in self.first]:
            sentences.append(
                f"No truth, or no score, is known for {prose.ticked(unknown)}: nothing is said about recovery there."
            )
        return " ".join(sentences)

    def _unlearned(self) -> str:
        rows = self.frames.trained
        if rows.empty:
            return ""
        poor = rows[rows["learned"] < rows["of"]]
        if poor.empty:
            return "Every network learned its task (predictions dealt to the test rows at random do as well: p < .01)."
        names = [f"`{row.model}` on `{row.dataset}` ({row.learned} of {row.of} did)" for row in poor.itertuples()]
        return (
            f"Not every training learned: {listed(names, 12)}. An explanation of a network that has learned nothing "
            "says little about its method; such rows are marked †."
        )

    def tables(self) -> list[Table]:
        frames, scored = self.frames, set(self.frames.recovery["dataset"])
        headline = {d: frames.headline(d) for d in frames.datasets}
        overview = standings(frames, frames.recovery, headline)
        shown = {d: metrics for d, metrics in headline.items() if d in scored}
        return [*([overview] if overview else []), *([self._matrix(shown)] if shown else [])]

    def _matrix(self, shown: dict[str, list[str]]) -> Table:
        frames, seeds = self.frames, len(self.frames.data_seeds)
        places = [(d, metric) for d, metrics in shown.items() for metric in metrics]
        levels = [chance_of(frames, *place) for place in places]
        rows = [Row("chance, by formula", [Box(number(level), value=level) for level in levels], "control")]
        for name in CONTROLS:
            label = f"{name}, {frames.results.suite.get('rankings', '')} rankings" if name == "random" else name
            of_control = [control(frames.recovery, d, name, metric) for d, metric in places]
            rows.append(Row(label, [score(row, NO_BAR, seeds) for row in of_control], "control"))
        caption = "Recovery of the truly relevant inputs: mean and 95 % interval over data seeds."
        return matrix(frames, frames.recovery, shown, caption, rows)

    def html(self) -> str:
        if self.frames.recovery.empty:
            return ""
        return legend(
            "• the interval overlaps that of the highest mean of its column; nothing is ranked within these. Bars run "
            "from chance to the best score that is possible. Beside each network: its test score, chance, ceiling. All "
            "scores stand in the sections of the datasets. † some network of the row did not learn."
        )
