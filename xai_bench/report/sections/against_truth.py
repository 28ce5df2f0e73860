"""Relevance against the graded truth, a panel a method."""

from __future__ import annotations

import math

import numpy as np

from xai_bench.report.kit import drawing
from xai_bench.report.kit.drawing import PALE, deviation
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats, Pair, explained, shares

MARKS = 400
"""Inputs that are drawn; more would be a cloud."""


class AgainstTruth(Section):
    """Where the truth is graded."""

    id, title, within, order = "against_truth", "Against the graded truth", "datasets", 45

    def needs(self) -> bool:
        graded = self.draw.get("graded")
        return graded is not None and len(graded) <= MARKS and bool(explained(self.frames, self.dataset))

    def figures(self) -> list[Figure]:
        graded = np.mean([facts["graded"] for facts in self.frames.draws(self.dataset)], axis=0)
        whiskers = "" if len(self.frames.data_seeds) == 1 else ", whiskers one standard deviation over draws"
        caption = (
            f"Mean share of the total relevance against the graded truth{whiskers}. On the pale line, relevance is "
            "proportional to the truth."
        )
        label = f"Relevance against the graded truth of {self.dataset}, a panel a method"
        return [Figure(panels(self.frames, self.dataset, graded, self.key), label, caption)]


def panels(frames: Frames, dataset: str, graded: Floats, key: str) -> str:
    """One panel a method: share against graded truth, one mark a network; the line is perfect proportion."""
    mean_of = shares(frames, dataset)
    methods = [name for name in frames.ranked if any(pair.explainer == name for pair in mean_of)]
    models = [m for m in (*frames.models, NO_MODEL) if any(pair.model == m for pair in mean_of)]
    marks = dict(zip(models, zip(drawing.MARKERS, drawing.OTHERS, strict=False), strict=False))
    across = min(5, len(methods))
    down = math.ceil(len(methods) / across)
    with drawing.style():
        figure, axes = drawing.new(2.5 * across, 1.9 * down, down, across, sharex=True, sharey=True)
        for axis, explainer in zip(axes.ravel(), methods, strict=False):
            axis.plot([0, graded.max()], [0, graded.max() / graded.sum()], "-", color=PALE, lw=1.5)
            for model, (marker, color) in marks.items():
                if (share := mean_of.get(Pair(model, explainer))) is not None:
                    if np.isfinite(share.sd).all():
                        deviation(axis, share.mean, share.sd, graded, color=color, lw=0.7, alpha=0.5)
                    axis.plot(
                        graded, share.mean, marker, color=color, ms=4, mfc=color if marker == "o" else "none", mew=0.9
                    )
            axis.set_title(explainer, weight="bold" if frames.in_focus(explainer) else "normal")
            axis.locator_params(nbins=3)
        for axis in axes.ravel()[len(methods) :]:
            axis.set_axis_off()
        for axis in axes[:, 0]:
            axis.set_ylabel("relevance")
        axes[-1, 0].set_xlabel("graded truth")
        drawing.legend(figure, [drawing.handle(marker=m, color=c, label=model) for model, (m, c) in marks.items()])
        return drawing.svg(figure, key)
