"""The first screen: three sentences, the leaderboard of methods, and what recovery costs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench import plots
from xai_bench.report.kit import drawing, prose
from xai_bench.report.kit.drawing import GREY, INK
from xai_bench.report.kit.frames import Frames, records
from xai_bench.report.kit.ranking import joined, notes, table
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.tables import Table
from xai_bench.report.kit.wording import seconds

Floats = NDArray[np.float64]
WIDE, NARROW = (6.6, 0.1, 0.56), (4.9, 0.13, 0.42)
"""Width of the figure in inches, and the shares of it at which its axes begin and that they take; names stand at their
right. Beside the table, and on a phone."""


class Leaderboard(Section):
    """Methods, averaged over the networks that they explain."""

    id, label, order, look = "leaderboard", "Leaderboard", 10, "first"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """See ``ranking.joined``."""
        return joined(self.frames, "methods")

    def words(self) -> str:
        return " ".join(text for _, text in prose.sentences(self.frames))

    def figures(self) -> list[Figure]:
        points = self.frame[self.frame["score"].notna() & (self.frame["given_cpu"] > 0)]
        if points.empty:
            return []
        caption = "Recovery against the CPU time of explaining. On the line: no method is both cheaper and better."
        wide, narrow = (
            cost_against_recovery(self.frames, points, f"{self.key}{name}", *shape)
            for name, shape in (("", WIDE), ("-narrow", NARROW))
        )
        return [Figure(drawing.by_width(wide, narrow), "Recovery against cost, a mark a method", caption)]

    def tables(self) -> list[Table]:
        caption = "Methods, averaged over the networks that they explain"
        return [table(self.frames, self.frame, caption)] if len(self.frame) else []

    def findings(self) -> list[str]:
        return notes(self.frames, self.frame)


def stretched(score: Floats) -> Floats:
    """More room near 1, where the scores of good methods differ by little."""
    return -np.log10(np.maximum(1.03 - np.asarray(score, dtype=float), 1e-3))


def cost_against_recovery(
    frames: Frames, points: pd.DataFrame, key: str, width: float, left: float, across: float
) -> str:
    """A mark a method, its name at the right, the Pareto front as a line; of the size of ``WIDE`` or ``NARROW``."""
    line = points[plots.front(points["given_cpu"], points["score"])].sort_values("given_cpu")
    style = drawing.styles(frames)
    height = max(330.0, 14.0 * len(points))
    with drawing.style():
        figure, axes = drawing.new(width, (height + 60) / 72)
        figure.set_layout_engine("none")
        axis = axes[0, 0]
        axis.set_position((left, 50 / (height + 60), across, height / (height + 60)))
        axis.set_xscale("log")
        axis.set_yscale("function", functions=(stretched, lambda y: 1.03 - 10.0**-y))
        ends = points["given_cpu"].min() / 1.6, points["given_cpu"].max() * 1.6
        low, high = np.sort(stretched(points["score"].to_numpy(float)))[[0, -1]].tolist()
        room = 0.05 * max(high - low, 0.1)
        axis.set(xlim=ends, ylim=tuple(1.03 - 10.0 ** -np.array([low - room, high + room])))
        front = [*line["given_cpu"], ends[1]], [*line["score"], line["score"].max()]
        axis.step(*front, where="post", color=GREY, lw=1.1, zorder=1)
        _ticks(axis)
        leaders, names = set(line["name"]), list[plots.Name]()
        for row in records(points):
            look, name = style[row["explainer"]], row["name"]
            focus = look.order == 6
            axis.plot([row["given_cpu"]], [row["score"]], look.marker, color=look.color, ms=9 if focus else 7, mew=0,
                      zorder=look.order)  # fmt: skip
            type_ = {"color": look.color if focus else INK, "weight": "bold" if name in leaders else "normal"}
            names.append(plots.Name(row["given_cpu"], row["score"], name, look.color, type_))
        plots.names_beside(axis, names, drawing.NORMAL, marks=5)
        return drawing.svg(figure, key)


def _ticks(axis: Any) -> None:
    """Seconds on the one axis, round scores on the other."""
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    decades = [10.0**e for e in range(-7, 7) if left <= 10.0**e <= right]
    steps = decades if len(decades) > 1 else [left, right]
    axis.set_xticks(steps, [seconds(t).replace(".0", "") for t in steps])
    axis.set_xticks([], minor=True)
    wide = [s for s in (-1, -0.5, 0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0) if low <= s <= high]
    axis.set_yticks(
        wide if len(wide) > 1 else [low, high], [f"{s:.2f}" for s in (wide if len(wide) > 1 else [low, high])]
    )
    axis.set(xlabel="CPU time given a trained network", ylabel="recovery: 0 chance, 1 perfect")
