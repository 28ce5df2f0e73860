"""What a method costs against what it finds, a panel a network."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

from xai_bench.report.kit import comparisons, drawing
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.drawing import GREY
from xai_bench.report.kit.frames import NO_MODEL, Frames, control, records
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.wording import seconds


class CostAgainstRecovery(Section):
    """CPU time given a model against the last headline score."""

    id, within, order = "cost_against_recovery", "datasets", 150

    def needs(self) -> bool:
        return bool(self._points)

    @cached_property
    def metric(self) -> str:
        return next(reversed(self.frames.headline(self.dataset)), "")

    @cached_property
    def _points(self) -> dict[Pair, tuple[float, dict[str, Any]]]:
        """Pair to its CPU seconds and the interval of its score."""
        points, frames = {}, self.frames
        times = frames.cost(["dataset", "model", "explainer"])
        for time in records(times[times["dataset"] == self.dataset]):
            pair = Pair(time["model"], time["explainer"])
            row = comparisons.value(frames.recovery, self.dataset, pair, self.metric)
            if row is not None:
                points[pair] = max(float(time["given_cpu"]), 1e-6), row
        return points

    def figures(self) -> list[Figure]:
        caption = "CPU time of set-up and explanation (median) against recovery; better is up and to the left."
        svg = panels(self.frames, self.dataset, self.metric, self._points, self.key)
        return [Figure(svg, f"Cost against recovery on {self.dataset}", caption)]


def panels(
    frames: Frames, dataset: str, metric: str, points: dict[Pair, tuple[float, dict[str, Any]]], key: str
) -> str:
    """A panel a network."""
    style, chance = drawing.styles(frames), control(frames.recovery, dataset, "random", metric)
    models = [m for m in (*frames.models, NO_MODEL) if any(pair.model == m for pair in points)]
    decades = range(
        math.floor(math.log10(min(t for t, _ in points.values()))),
        math.ceil(math.log10(max(t for t, _ in points.values()))) + 1,
    )
    ticks = [10.0**e for e in decades][:: 2 if len(decades) > 4 else 1]
    edges = 0.6 * 10.0 ** decades[0], 1.7 * 10.0 ** decades[-1]
    lows = [row["low"] if math.isfinite(row["low"]) else row["mean"] for _, row in points.values()]
    floor = min([max(min(lows), -0.1), *([chance["mean"]] if chance else [])])
    with drawing.style():
        figure, axes = drawing.new(2.6 * len(models) + 0.4, 3.4, 1, len(models), sharex=True, sharey=True)
        for axis, model in zip(axes[0], models, strict=True):
            if chance:
                axis.axhline(chance["mean"], color=GREY, ls=(0, (5, 2)), lw=1, zorder=1)
            for pair, (time, row) in points.items():
                if pair.model != model:
                    continue
                look = style[pair.explainer]
                if math.isfinite(row["low"]):
                    axis.plot(
                        [time, time], [row["low"], row["high"]], "-", color=look.color, lw=0.8, alpha=0.45, zorder=2
                    )
                axis.plot(
                    [time],
                    [row["mean"]],
                    look.marker,
                    color=look.color,
                    ms=8 if look.order == 6 else 5.5,
                    mew=0,
                    zorder=look.order,
                )
            axis.set_xscale("log")
            axis.set_title(model, weight="bold")
            axis.set_ylim(floor - 0.05, 1.04)
            axis.set_xlim(*edges)
            axis.set_xticks(ticks, [seconds(tick).replace(".0", "") for tick in ticks])
            axis.set_xticks([], minor=True)
        axes[0, 0].set_ylabel(f"{frames.title(metric)}, mean and 95 % interval")
        axes[0, len(models) // 2].set_xlabel("CPU time given a trained model")
        used = [name for name in style if any(pair.explainer == name for pair in points)]
        handles = [drawing.handle(marker=style[n].marker, color=style[n].color, mew=0, label=n) for n in used]
        if chance:
            handles.append(drawing.handle(label="random", color=GREY, ls=(0, (5, 2)), lw=1))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
        return drawing.svg(figure, key)
