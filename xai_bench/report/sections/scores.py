"""All scores of a dataset, one row a method on a network."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import (
    CONTROLS,
    GAINS,
    LEAST_FIRST,
    MASKED,
    NO_MODEL,
    SHARES,
    control,
    mean_of,
    records,
)
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import (
    EMPTY,
    NO_BAR,
    Box,
    Column,
    Row,
    Table,
    by_key,
    has_learned,
    kind_of,
    scale_of,
    score,
    text,
    valued,
)


class Scores(Section):
    """Recovery, retention and cost on one dataset."""

    id, title, within, order = "scores", "Scores", "datasets", 30

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

    def words(self) -> str:
        text = (
            "Means over draws, with 95 % intervals from five draws on. Bars run from chance to the best possible score."
        )
        return (
            text
            if all(has_learned(self.frames, self.dataset, m) for m in self.frames.models)
            else f"{text[:-1]}; †: not every network learned."
        )

    def findings(self) -> list[str]:
        rows = self.frames.retention_reasons
        seeds = rows[rows["dataset"] == self.dataset].groupby("reason", sort=False)["data_seed"].unique()
        lost = {why: wording.listed([str(seed) for seed in sorted(found)]) for why, found in seeds.items()}
        reached = {model: self.frames.reached(self.dataset, model) for model in self.frames.models}
        unsettled = [
            f"`{model}`: {why}"
            for model, facts in reached.items()
            if facts is not None and (why := wording.unsettled(facts["settled"]))
        ]
        return [
            *([f"{wording.listed(unsettled)}."] if unsettled else []),
            *(f"Draws without a value of retention (data seeds {found}): {why}." for why, found in lost.items()),
        ]

    def tables(self) -> list[Table]:
        title = self.frames.title
        columns = [
            Column("Network", text=True),
            *[Column(title(metric), "Recovery") for metric in self.metrics],
            *[Column(title(gain), "Retention: gain in points") for gain in self.gains],
            Column("Given a model", "CPU time"),
            Column("End to end", "CPU time"),
        ]
        controls = [self._chance(), *map(self._control, CONTROLS), *self._ceiling()] if self.metrics else []
        rows = [self._row(*pair) for pair in self.frames.pairs if pair in self._times]
        return [Table(f"Scores on {self.dataset}", "Method", columns, [*rows, *controls], look="fixed")]

    def _row(self, model: str, explainer: str) -> Row:
        frames, dataset, seeds = self.frames, self.dataset, len(self.frames.data_seeds)
        metrics, unlearned = (*self.metrics, *self.gains), not has_learned(frames, dataset, model)
        boxes = [
            score(self._scores.get((dataset, model, explainer, m)), scale_of(frames, dataset, m), seeds, unlearned)
            for m in metrics
        ]
        time = self._times[model, explainer]
        times = [valued(time[column], wording.seconds) for column in ("given_cpu", "end_cpu")]
        return Row(explainer, [EMPTY if model == NO_MODEL else text(model), *boxes, *times], kind_of(frames, explainer))

    @cached_property
    def _scores(self) -> dict[tuple[str, str, str, str], dict[str, Any]]:
        return by_key(self.frames.recovery) | by_key(self.frames.retention)

    def _of_control(self, name: str, scores: list[Box], gains: list[Box] | None = None) -> Row:
        """No network, no times."""
        gains = gains or [EMPTY] * len(self.gains)
        return Row(name, [EMPTY, *scores, *gains, EMPTY, EMPTY], "control")

    def _chance(self) -> Row:
        levels = [valued(self.frames.chance(self.dataset, metric)) for metric in self.metrics]
        return self._of_control("chance, by formula", levels)

    def _control(self, name: str) -> Row:
        frames, seeds = self.frames, len(self.frames.data_seeds)
        scores = [score(control(frames.recovery, self.dataset, name, m), NO_BAR, seeds) for m in self.metrics]
        # What a control keeps, masked, depends on the network.
        judged = [control(frames.retention, self.dataset, name, g) if g in GAINS else None for g in self.gains]
        gains = [EMPTY if g == MASKED else score(row, NO_BAR, seeds) for g, row in zip(self.gains, judged, strict=True)]
        return self._of_control(name, scores, gains)

    def _ceiling(self) -> list[Row]:
        """Of Spearman's correlation, where truths are equal."""
        draws = self.frames.draws(self.dataset)
        values = [facts["spearman_ceiling"] for facts in draws if facts.get("spearman_ceiling") is not None]
        if not values or "spearman" not in self.metrics:
            return []
        boxes = [valued(mean_of(values)) if m == "spearman" else EMPTY for m in self.metrics]
        return [self._of_control("ceiling of a ranking without ties", boxes)]
