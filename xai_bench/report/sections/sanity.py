"""Relevance after layers are initialised anew: curves over datasets, shown without a verdict."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from xai_bench.report import drawing
from xai_bench.report.kit.drawing import GREY
from xai_bench.report.kit.frames import PAIR, Frames
from xai_bench.statistics import by_data_seed

DIRECTIONS = {"sanity_top": "from the output", "sanity_bottom": "from the inputs"}


def sanity(frames: Frames) -> pd.DataFrame:
    """dataset, model, explainer, metric (direction), k (layers initialised anew), mean, low, high, n (data seeds)."""
    rows = frames.measurements
    rows = rows[rows["metric"].isin(DIRECTIONS) & rows["value"].notna()]
    return by_data_seed(rows, "value", [*PAIR, "metric", "k"])


def reasons(frames: Frames) -> pd.DataFrame:
    """dataset, model, explainer, reason: where there is no value."""
    rows = frames.measurements
    rows = rows[rows["metric"].isin(DIRECTIONS) & rows["value"].isna()]
    return rows[[*PAIR, "reason"]].drop_duplicates(ignore_index=True)


def figure(frames: Frames, frame: pd.DataFrame, key: str) -> str | None:
    """A column a network, from the output above, from the inputs below; a curve a method, the mean over datasets."""
    if frame.empty:
        return None
    curves = frame.groupby(["model", "explainer", "metric", "k"], sort=False)["mean"].mean().reset_index()
    models = [model for model in frames.models if model in set(curves["model"])]
    style, drawn = drawing.styles(frames), dict[str, Any]()
    with drawing.style():
        width = max(2.9 * len(models), 5.6) + 0.3
        figure, axes = drawing.new(width, 5.4, 2, len(models), sharey=True)
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
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], label=name, **look) for name, look in drawn.items()]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(int(width / 1.9), len(handles)), handlelength=2.6
        )
        return drawing.svg(figure, key)


def _floor(curves: pd.DataFrame) -> float:
    lowest = float(curves["mean"].min())
    return math.floor(10 * lowest) / 10 - 0.04
