"""All scores of a dataset, one row a pair of method and network."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from xai_bench.report.kit import comparisons, wording
from xai_bench.report.kit.frames import CONTROLS, GAINS, LEAST_FIRST, MASKED, SHARES, control, records
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import (
    EMPTY,
    NO_BAR,
    Body,
    Box,
    Column,
    Row,
    Table,
    by_key,
    chance_of,
    has_learned,
    kind_of,
    mean_fact,
    reached,
    scale_of,
    score,
)


class Everything(Section):
    """With what the network of a row reached."""

    id, within, order = "everything", "datasets", 160

    def needs(self) -> bool:
        return bool(self._times)

    @cached_property
    def _times(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Pair to its median seconds."""
        rows = self.frames.cost(["dataset", "model", "explainer"])
        return {(row["model"], row["explainer"]): row for row in records(rows[rows["dataset"] == self.dataset])}

    @cached_property
    def metrics(self) -> list[str]:
        rows = self.frames.recovery
        measured = set(rows.loc[rows["dataset"] == self.dataset, "metric"])
        return [metric for metric in self.frames.metrics if metric in measured]

    @cached_property
    def gains(self) -> list[str]:
        """Scores of retention."""
        rows = self.frames.retention
        measured = set(rows.loc[rows["dataset"] == self.dataset, "metric"])
        return [score for score in (*GAINS, *SHARES.values(), *LEAST_FIRST) if score in measured]

    def tables(self) -> list[Table]:
        title = self.frames.title
        columns = [
            Column("Network", text=True),
            *[Column(title(metric), "Recovery") for metric in self.metrics],
            *[Column(title(gain), "Retention: gain in points") for gain in self.gains],
            Column("Given a model", "CPU time"),
            Column("End to end", "CPU time"),
            Column("Network’s test score", text=True),
        ]
        bodies = [Body(self._methods())]
        if self.metrics:
            bodies.append(
                Body([self._chance(), *map(self._control, CONTROLS), *self._ceiling()], "controls, not ranked")
            )
        fold = f"All scores on {self.dataset}, one row a pair of method and network"
        return [Table(f"All scores on {self.dataset}.", "Method", columns, bodies, fold)]

    def _methods(self) -> list[Row]:
        frames, dataset, seeds = self.frames, self.dataset, len(self.frames.data_seeds)
        scores, focus = by_key(frames.recovery) | by_key(frames.retention), comparisons.focus(frames)
        scales = {metric: scale_of(frames, dataset, metric) for metric in (*self.metrics, *self.gains)}
        rows = []
        for model, explainer in frames.pairs:
            if (time := self._times.get((model, explainer))) is None:
                continue
            unlearned = not has_learned(frames, dataset, model)
            boxes = [score(scores.get((dataset, model, explainer, m)), scales[m], seeds, unlearned) for m in scales]
            times = [Box(wording.seconds(time[column]), value=time[column]) for column in ("given_cpu", "end_cpu")]
            network = Box(reached(frames, dataset, model), text=True)
            rows.append(Row(explainer, [Box(model, text=True), *boxes, *times, network], kind_of(explainer, focus)))
        return rows

    def _row(self, name: str, scores: list[Box], gains: list[Box] | None = None) -> Row:
        """A control: no network, no times."""
        gains = gains or [EMPTY] * len(self.gains)
        return Row(name, [EMPTY, *scores, *gains, EMPTY, EMPTY, EMPTY], "control")

    def _chance(self) -> Row:
        levels = [chance_of(self.frames, self.dataset, metric) for metric in self.metrics]
        return self._row("chance, by formula", [Box(wording.number(level)) for level in levels])

    def _control(self, name: str) -> Row:
        frames, seeds = self.frames, len(self.frames.data_seeds)
        scores = [score(control(frames.recovery, self.dataset, name, m), NO_BAR, seeds) for m in self.metrics]
        # What a control keeps, masked, depends on the network.
        judged = [control(frames.retention, self.dataset, name, g) if g in GAINS else None for g in self.gains]
        gains = [EMPTY if g == MASKED else score(row, NO_BAR, seeds) for g, row in zip(self.gains, judged, strict=True)]
        return self._row(name, scores, gains)

    def _ceiling(self) -> list[Row]:
        """Of Spearman's correlation, where truths are equal."""
        draws = self.frames.draws(self.dataset)
        values = [facts["spearman_ceiling"] for facts in draws if facts.get("spearman_ceiling") is not None]
        if not values or "spearman" not in self.metrics:
            return []
        boxes = [Box(wording.number(mean_fact(values))) if m == "spearman" else EMPTY for m in self.metrics]
        return [self._row("ceiling of a ranking without ties", boxes)]
