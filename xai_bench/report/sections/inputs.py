"""Histograms: of every input by class, and of the relevances of all inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xai_bench.report import drawing
from xai_bench.report.kit.shares import Floats, columns_of_methods, runs
from xai_bench.report.kit.frames import NO_MODEL, Frames

CLASSES = ("#332288", "#cc6677", "#117733", "#ddcc77", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499", "#661100")
"""Paul Tol's muted colours; classes beyond them begin again, dashed."""
BINS = 25
"""Of relevances divided by their largest."""


def inputs(frames: Frames, dataset: str, key: str) -> str | None:
    """A panel an input, a step line a class: share of the class's training rows, in the first draw."""
    draws = frames.draws(dataset)
    views = (draws[0].get("views") or {}).get("histograms") if draws else None
    if not views:
        return None
    facts, edges, counts = draws[0], np.array(views["edges"]), np.array(views["counts"], dtype=float)
    classes, d = counts.shape[:2]
    names = [str(name) for name in facts.get("class_names") or []] or [str(i) for i in range(classes)]
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    looks = [
        {"color": CLASSES[c % len(CLASSES)], "ls": "-" if c < len(CLASSES) else (0, (3, 1)), "lw": 1.1}
        for c in range(classes)
    ]
    across = min(5, d)
    down = math.ceil(d / across)
    with drawing.style():
        figure, axes = drawing.new(2.35 * across, 1.15 * down + 0.5, down, across)
        for j, axis in enumerate(axes.ravel()):
            if j >= d:
                axis.set_axis_off()
                continue
            for c, look in enumerate(looks):
                axis.stairs(shares[c, j], edges[j], fill=c < 2, color=look["color"], alpha=0.16, lw=0)
                axis.stairs(shares[c, j], edges[j], **look)
            axis.set_title(_titled(facts, j), fontsize=7.5, pad=2)
            axis.set_yticks([])
            axis.spines["left"].set_visible(False)
            axis.locator_params(axis="x", nbins=4)
            axis.tick_params(labelsize=6.5)
            axis.set_ylim(0, None)
        handles = [drawing.handle(label=f"class {name}", **look) for name, look in zip(names, looks, strict=True)]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(10, classes))
        return drawing.svg(figure, key)


def _titled(facts: dict[str, Any], j: int) -> str:
    """Name, unit and truth of an input."""
    name, unit = facts["feature_names"][j], (facts.get("feature_units") or [""] * facts["d"])[j]
    text = f"{name} ({unit})" if unit else str(name)
    text = text if len(text) <= 20 else f"{text[:19]}…"
    if facts.get("roles") is None:
        return text
    graded, role = facts.get("graded"), facts["roles"][j]
    return f"{text}: {role} ({graded[j]:.2g})" if graded is not None and role == "relevant" else f"{text}: {role}"


def relevances(frames: Frames, dataset: str, key: str) -> str | None:
    """A panel a network, a line a method: how many inputs have which relevance, divided by the largest of its run."""
    found = {pair: _counts(by_seed) for pair, by_seed in runs(frames, dataset).items()}
    columns = {m: pairs for m, pairs in columns_of_methods(frames, found).items() if m != NO_MODEL}
    if not columns:
        return None
    style, edges = drawing.styles(frames), np.linspace(0, 1, BINS + 1)
    used: dict[str, drawing.Style] = {}
    with drawing.style():
        figure, axes = drawing.new(drawing.across(len(columns)), 3.5, 1, len(columns), sharex=True, sharey=True)
        for axis, (model, pairs) in zip(axes[0], columns.items(), strict=True):
            for pair in pairs:
                look = used[pair.explainer] = style[pair.explainer]
                axis.stairs(found[pair], edges, baseline=None, color=look.color, ls=look.dash, lw=look.width,
                            zorder=look.order)  # fmt: skip
            axis.set_title(model, weight="bold")
            axis.set_yscale("log")
            axis.set_xlabel("relevance, largest = 1")
            axis.set_xlim(0, 1)
        axes[0, 0].set_ylabel("inputs, mean over runs")
        lowest = min(float(np.nanmin(counts)) for counts in found.values())
        axes[0, 0].set_ylim(lowest / 1.5, None)
        axes[0, 0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes[0, 0].set_yticks([], minor=True)
        handles = [drawing.handle(label=n, color=s.color, ls=s.dash, lw=s.width) for n, s in used.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), handlelength=2.6)
        return drawing.svg(figure, key)


def _counts(by_seed: dict[int, list[Floats]]) -> Floats:
    """(BINS,) inputs a bin, mean over runs; NaN, which is not drawn, where there are none."""
    seeds = [
        np.mean([np.histogram(v / max(v.max(), 1e-300), BINS, (0, 1))[0] for v in vectors], axis=0)
        for vectors in by_seed.values()
    ]
    mean = np.mean(seeds, axis=0)
    return np.where(mean > 0, mean, np.nan)
