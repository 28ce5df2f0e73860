"""Relevance after layers are initialised anew: curves over datasets, shown without a verdict."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit import drawing
from xai_bench.report.kit.drawing import GREY
from xai_bench.report.kit.frames import PAIR, Frames, records
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.wording import listed, number
from xai_bench.statistics import by_data_seed

DIRECTIONS = {"sanity_top": "from the output", "sanity_bottom": "from the inputs"}


class Sanity(Section):
    """Relevance after layers are initialised anew."""

    id, title = "sanity", "After layers are initialised anew"
    label, order = "Sanity", 115

    def needs(self) -> bool | str:
        if not self.frames.results.suite.get("sanity"):
            return "networks were not initialised anew (`[sanity]`)"
        return len(self._measured) > 0

    @property
    def _measured(self) -> pd.DataFrame:
        rows = self.frames.measurements
        return rows[rows["metric"].isin(DIRECTIONS)]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """dataset, model, explainer, metric (direction), k (layers initialised anew), mean, low, high, n."""
        rows = self._measured
        return by_data_seed(rows[rows["value"].notna()], "value", [*PAIR, "metric", "k"])

    def words(self) -> str:
        if self.frames.results.suite["sanity"].get("stages") == "all":
            return (
                "All layers of the network are initialised anew, and it is explained again: how much of the ranking "
                "stays?"
            )
        return (
            "Layers of a trained network are initialised anew, one after the other, from the output or from the "
            "inputs, and the network is explained again. The curves show how much of the ranking stays."
        )

    def findings(self) -> list[str]:
        paragraphs = [
            "No verdict follows: a relevance that is read off the first layer stays until that layer changes, inputs "
            "of unequal variance rank alike on any network, and a low correlation does not make a method right."
        ]
        if len(self.frame):
            ends = self.frame.loc[self.frame.groupby([*PAIR, "metric"])["k"].idxmax()]
            mean = ends[ends["metric"] == "sanity_top"].groupby("explainer", sort=False)["mean"].mean()
            if len(mean):
                paragraphs.append(
                    "With all layers new, the mean rank correlation with the original lies between "
                    f"{number(mean.min(), 2)} (`{mean.idxmin()}`) and {number(mean.max(), 2)} (`{mean.idxmax()}`)."
                )
        rows = self._measured
        why = records(rows.loc[rows["value"].isna(), [*PAIR, "reason"]].drop_duplicates(ignore_index=True))
        if why:
            names = [f"`{row['explainer']}` on `{row['model']}`, `{row['dataset']}`: {row['reason']}" for row in why]
            paragraphs.append(f"Without a value: {listed(names)}.")
        return paragraphs

    def figures(self) -> list[Figure]:
        if self.frame.empty:
            return []
        caption = (
            "Spearman correlation with the relevance of the trained network against the number of layers initialised "
            "anew, mean over datasets and data seeds; above from the output, below from the inputs."
        )
        return [Figure(curves_by_layer(self.frames, self.frame, self.key), self.title, caption)]


def curves_by_layer(frames: Frames, frame: pd.DataFrame, key: str) -> str:
    """A column a network, from the output above, from the inputs below; a curve a method, the mean over datasets."""
    curves = frame.groupby(["model", "explainer", "metric", "k"], sort=False)["mean"].mean().reset_index()
    models = [model for model in frames.models if model in set(curves["model"])]
    style, drawn = drawing.styles(frames), dict[str, Any]()
    with drawing.style():
        width = drawing.across(len(models))
        figure, axes = drawing.new(width, 5.6, 2, len(models), sharey=True)
        for i, (direction, words) in enumerate(DIRECTIONS.items()):
            for j, model in enumerate(models):
                axis = axes[i, j]
                axis.axhline(0, color=GREY, lw=0.6)
                shown = curves[(curves["metric"] == direction) & (curves["model"] == model)]
                for explainer, line in shown.groupby("explainer", sort=False):
                    own = style[str(explainer)]
                    look = {"color": own.color, "ls": own.dash, "lw": own.width, "marker": own.marker, "ms": 3.5}
                    drawn[str(explainer)] = look
                    line = line.sort_values("k")
                    axis.plot([0, *line["k"]], [1, *line["mean"]], zorder=own.order, **look)
                last = int(shown["k"].max()) if len(shown) else 1
                axis.set(xlim=(-0.15, last + 0.15), ylim=(min(-0.05, _floor(curves)), 1.04))
                axis.set_xticks(range(last + 1))
                axis.set_xlabel(f"layers initialised anew, {words}")
                if i == 0:
                    axis.set_title(model, weight="bold")
            axes[i, 0].set_ylabel("rank correlation")
        drawing.legend(figure, [drawing.handle(label=name, **look) for name, look in drawn.items()])
        return drawing.svg(figure, key)


def _floor(curves: pd.DataFrame) -> float:
    lowest = float(curves["mean"].min())
    return math.floor(10 * lowest) / 10 - 0.04
