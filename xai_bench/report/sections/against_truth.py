"""Relevance against the graded truth, a panel a method."""

from __future__ import annotations

import math

import numpy as np

from xai_bench.report.kit import drawing
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.drawing import HIGHLIGHT, INK, PALE, deviation
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats, explained, shares

MARKS = 400
"""Inputs that are drawn; more would be a cloud."""
NETWORKS = (("o", "#332288"), ("s", "#44aa99"), ("^", "#999933"), ("D", "#882255"), ("v", "#88ccee"))


class AgainstTruth(Section):
    """Where the truth is graded."""

    id, within, order = "against_truth", "datasets", 50

    def needs(self) -> bool:
        graded = self.draw.get("graded")
        return graded is not None and len(graded) <= MARKS and bool(explained(self.frames, self.dataset))

    def figures(self) -> list[Figure]:
        graded = np.mean([facts["graded"] for facts in self.frames.draws(self.dataset)], axis=0)
        whiskers = "" if len(self.frames.data_seeds) == 1 else "; whiskers: standard deviation over data seeds"
        caption = (
            f"Mean relevance (share of the total) against the graded truth{whiskers}. On the pale line, relevance is "
            "proportional to the truth."
        )
        label = f"Relevance against the graded truth of {self.dataset}, a panel a method"
        return [Figure(panels(self.frames, self.dataset, graded, self.key), label, caption)]


def panels(frames: Frames, dataset: str, graded: Floats, key: str) -> str:
    """One panel a method: share against graded truth, one mark a network, whiskers of one standard deviation over
    draws; the line is perfect proportion."""
    mean_of = shares(frames, dataset)
    methods = list(dict.fromkeys(pair.explainer for pair in mean_of))
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
                if (pair := Pair(model, explainer)) in mean_of:
                    face = HIGHLIGHT if highlighted else color
                    if np.isfinite(mean_of[pair].sd).all():
                        deviation(
                            axis, mean_of[pair].mean, mean_of[pair].sd, 0.0, graded, color=face, lw=0.6, alpha=0.5
                        )
                    axis.plot(
                        graded,
                        mean_of[pair].mean,
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
        shown = [model for model in marks if any(pair.model == model for pair in mean_of)]
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
