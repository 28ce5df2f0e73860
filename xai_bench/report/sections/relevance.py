"""One function a figure: from tables to SVG text, or None where there is nothing to draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xai_bench.report import comparisons, drawing
from xai_bench.report.kit.prose import headline
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.drawing import GREY, HIGHLIGHT, INK, PALE
from xai_bench.report.kit.shares import Floats, columns_of_methods, shares, trainings, truth
from xai_bench.report.kit.frames import NO_MODEL, Frames, controls, records
from xai_bench.report.kit.wording import seconds, title

SMALL = 40
"""Inputs that are drawn one by one; more are drawn as strips of colour."""
MARKS = 400
"""Inputs that are drawn against their truth; more would be a cloud."""
PITCH = 1.62
"""Height of a band of the relevance figure; its largest mean is 1."""
NETWORKS = (("o", "#332288"), ("s", "#44aa99"), ("^", "#999933"), ("D", "#882255"), ("v", "#88ccee"))


def relevance(frames: Frames, dataset: str, key: str) -> str | None:
    """A column a network, a band a method: mean and standard deviation of every input over draws, before the truth.

    Where the first draw has several trainings, their deviation is a pale bar behind.
    """
    found, repeated = shares(frames, dataset), trainings(frames, dataset)
    if not found:
        return None
    names, known = frames.draws(dataset)[0]["feature_names"], truth(frames, dataset)
    columns = columns_of_methods(frames, found)
    alone = columns.pop(NO_MODEL, []) if len(columns) > 1 else []
    for pair in alone:  # Methods without a network fill the shortest column.
        min(columns.values(), key=len).append(pair)
    bands, d = max(len(pairs) for pairs in columns.values()), len(names)
    labels = [name if len(name) <= 22 else f"{name[:21]}…" for name in names]
    upright = max(len(label) for label in labels) > 3 or d > 12
    style = drawing.styles(frames)
    with drawing.style():
        height = 0.7 * bands + 0.4 + (0.07 * max(len(label) for label in labels) if upright else 0.2)
        figure, axes = drawing.new(max(2.5, 0.125 * d) * len(columns) + 0.4, height, 1, len(columns), sharey=True)
        for axis, (model, pairs) in zip(axes[0], columns.items(), strict=True):
            for band, pair in enumerate(pairs):
                look, base = style[pair.explainer], -PITCH * band
                scale = max(float(found[pair].mean.max()), 1e-300)
                axis.plot([-0.7, d - 0.3], [base, base], "-", color=GREY, lw=0.5)
                if known and known[0].any():
                    _steps(axis, known[0] / known[0].max(), base)
                if pair in repeated:
                    _deviation(axis, repeated[pair].mean / scale, repeated[pair].sd / scale, base,
                               color=look.color, lw=4.2, alpha=0.28, solid_capstyle="butt")  # fmt: skip
                _points(axis, found[pair].mean / scale, found[pair].sd / scale, base, look.color)
                name = f"{pair.explainer} ({NO_MODEL})" if pair.model == NO_MODEL else pair.explainer
                axis.text(d - 0.4, base + 1.25, name, ha="right", va="center",
                          weight="bold" if look.order == 6 else "normal",
                          color=look.color if look.order > 4 else INK)  # fmt: skip
            axis.set_title(model, weight="bold")
            axis.set(xlim=(-0.7, d - 0.3), ylim=(-PITCH * (bands - 1) - 0.08, 1.45))
            axis.set_xticks(range(d), labels, rotation=90 if upright else 0)
            axis.spines[["left", "bottom"]].set_visible(False)
            axis.tick_params(axis="both", length=0)
        at = [base + level for base in -PITCH * np.arange(bands) for level in (0, 1)]
        axes[0, 0].set_yticks(at, ["0", "1"] * bands, fontsize=6.5)
        axes[0, 0].set_ylabel("relevance, largest mean = 1")
        return drawing.svg(figure, key)


def _steps(axis: Any, values: Floats, base: float) -> None:
    """Bars side by side, as one path."""
    x = np.repeat(np.arange(len(values)), 4) + np.tile([-0.4, -0.4, 0.4, 0.4], len(values))
    y = np.stack([0 * values, values, values, 0 * values], axis=1).ravel()
    axis.fill(x, base + y, color=PALE, lw=0)


def _points(axis: Any, mean: Floats, sd: Floats, base: float, color: str) -> None:
    """Means, and whiskers of one standard deviation."""
    if np.isfinite(sd).all():
        _deviation(axis, mean, sd, base, color=color, lw=1.0)
    axis.plot(np.arange(len(mean)), base + mean, "o", color=color, ms=3.2, mew=0)


def _deviation(axis: Any, mean: Floats, sd: Floats, base: float, at: Floats | None = None, **look: Any) -> None:
    """Mean plus and minus ``sd``, not below 0, as one path."""
    x = np.arange(len(mean), dtype=float) if at is None else at
    gaps = np.full(len(mean), np.nan)
    ends = np.stack([np.maximum(mean - sd, 0), mean + sd, gaps], axis=1).ravel()
    axis.plot(np.repeat(x, 3), base + ends, "-", **look)


def against_truth(frames: Frames, dataset: str, key: str) -> str | None:
    """One panel a method: share against graded truth, one mark a network, whiskers of one standard deviation over
    draws; the line is perfect proportion."""
    known, found = truth(frames, dataset), shares(frames, dataset)
    if known is None or not known[1] or not found or len(known[0]) > MARKS:
        return None
    graded = np.mean([facts["graded"] for facts in frames.draws(dataset)], axis=0)
    methods = list(dict.fromkeys(pair.explainer for pair in found))
    style = drawing.styles(frames)
    marks = {model: NETWORKS[i % len(NETWORKS)] for i, model in enumerate([*frames.models, NO_MODEL])}
    across = min(5, len(methods))
    down = math.ceil(len(methods) / across)
    with drawing.style():
        figure, axes = drawing.new(2.0 * across, 1.6 * down + 0.55, down, across, sharex=True, sharey=True)
        for i, axis in enumerate(axes.ravel()):
            if i >= len(methods):
                axis.set_axis_off()
                continue
            explainer, highlighted = methods[i], style[methods[i]].order == 6
            axis.plot([0, graded.max()], [0, graded.max() / graded.sum()], "-", color=PALE, lw=1.2)
            for model, (marker, color) in marks.items():
                if (pair := Pair(model, explainer)) in found:
                    face = HIGHLIGHT if highlighted else color
                    if np.isfinite(found[pair].sd).all():
                        _deviation(axis, found[pair].mean, found[pair].sd, 0.0, graded, color=face, lw=0.6, alpha=0.5)
                    axis.plot(
                        graded,
                        found[pair].mean,
                        marker,
                        color=face,
                        ms=3.2,
                        mfc=face if marker == "o" else "none",
                        mew=0.8,
                    )
            axis.set_title(
                explainer, color=HIGHLIGHT if highlighted else INK, weight="bold" if highlighted else "normal"
            )
            axis.locator_params(nbins=3)
            if i + across >= len(methods):
                axis.tick_params(labelbottom=True)
        shown = [model for model in marks if any(pair.model == model for pair in found)]
        handles = []
        for model in shown:
            marker, color = marks[model]
            handles.append(
                drawing.handle(marker=marker, color=color, label=model, mfc=color if marker == "o" else "none")
            )
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        for axis in axes[-1]:
            axis.set_xlabel("graded truth")
        figure.supylabel("share of the total relevance", fontsize=8.5)
        return drawing.svg(figure, key)


def cost_against_recovery(frames: Frames, dataset: str, key: str) -> str | None:
    """CPU time given a model against the last headline score, a panel a network."""
    metric = (headline(frames, dataset) or [""])[-1]
    times = frames.cost(["dataset", "model", "explainer"])
    points = {}
    for cell in records(times[times["dataset"] == dataset]):
        pair = Pair(cell["model"], cell["explainer"])
        row = comparisons.value(frames.recovery, dataset, pair, metric)
        if row is not None:
            points[pair] = max(float(cell["given_cpu"]), 1e-6), row
    if not points:
        return None
    style, chance = drawing.styles(frames), controls(frames.recovery, dataset, "random", metric)
    panels = [m for m in (*frames.models, NO_MODEL) if any(pair.model == m for pair in points)]
    decades = range(
        math.floor(math.log10(min(t for t, _ in points.values()))),
        math.ceil(math.log10(max(t for t, _ in points.values()))) + 1,
    )
    ticks = [10.0**e for e in decades][:: 2 if len(decades) > 4 else 1]
    edges = 0.6 * 10.0 ** decades[0], 1.7 * 10.0 ** decades[-1]
    lows = [row["low"] if math.isfinite(row["low"]) else row["mean"] for _, row in points.values()]
    floor = min([max(min(lows), -0.1), *([chance["mean"]] if chance else [])])
    with drawing.style():
        figure, axes = drawing.new(2.6 * len(panels) + 0.4, 3.4, 1, len(panels), sharex=True, sharey=True)
        for axis, model in zip(axes[0], panels, strict=True):
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
        axes[0, 0].set_ylabel(f"{title(metric)}, mean and 95 % interval")
        axes[0, len(panels) // 2].set_xlabel("CPU time given a trained model")
        used = [name for name in style if any(pair.explainer == name for pair in points)]
        handles = [drawing.handle(marker=style[n].marker, color=style[n].color, mew=0, label=n) for n in used]
        if chance:
            handles.append(drawing.handle(label="random", color=GREY, ls=(0, (5, 2)), lw=1))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
        return drawing.svg(figure, key)
