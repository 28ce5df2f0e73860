"""The relevance of every input, by method and network, before the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from xai_bench.report.kit import drawing
from xai_bench.report.kit.drawing import GREY, INK, PALE, deviation
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats, columns_of_methods, explained, shares, trainings, truth, with_maps

PITCH = 1.62
"""Height of a band of the figure; its largest mean is 1."""


class Relevance(Section):
    """Of few inputs, one by one."""

    id, within, order = "relevance", "datasets", 40

    def needs(self) -> bool:
        return bool(self.draw) and not with_maps(self.draw) and bool(explained(self.frames, self.dataset))

    def figures(self) -> list[Figure]:
        label = f"Relevance of every input of {self.dataset}, by method and network"
        return [Figure(bands(self.frames, self.dataset, self.key), label, self._caption())]

    def _caption(self) -> str:
        one, graded = len(self.frames.data_seeds) == 1, self.draw.get("graded") is not None
        text = (
            "Relevance of every input: each vector divided by its sum, mean over data seeds drawn relative to its "
            "largest" + (" (one seed: no deviation)." if one else "; whiskers: standard deviation over data seeds.")
        )
        if n := max((one.n for one in trainings(self.frames, self.dataset).values()), default=0):
            text += f" Pale bars: mean and standard deviation over the {n} trainings on the first draw, as published."
        if self.draw.get("roles") is None:
            return f"{text} The truth is not known."
        equal = "; it is not graded, so all relevant inputs are equal"
        return f"{text} Grey: the truth, its largest value 1{'' if graded else equal}."


def bands(frames: Frames, dataset: str, key: str) -> str:
    """A column a network, a band a method: mean and standard deviation of every input over draws, before the truth.

    Where the first draw has several trainings, their deviation is a pale bar behind.
    """
    mean_of, repeated = shares(frames, dataset), trainings(frames, dataset)
    names, known = frames.draws(dataset)[0]["feature_names"], truth(frames, dataset)
    columns = columns_of_methods(frames, mean_of)
    alone = columns.pop(NO_MODEL, []) if len(columns) > 1 else []
    for pair in alone:  # Methods without a network fill the shortest column.
        min(columns.values(), key=len).append(pair)
    down, d = max(len(pairs) for pairs in columns.values()), len(names)
    labels = [name if len(name) <= 22 else f"{name[:21]}…" for name in names]
    upright = max(len(label) for label in labels) > 3 or d > 12
    style = drawing.styles(frames)
    with drawing.style():
        height = 0.7 * down + 0.4 + (0.07 * max(len(label) for label in labels) if upright else 0.2)
        figure, axes = drawing.new(max(2.5, 0.125 * d) * len(columns) + 0.4, height, 1, len(columns), sharey=True)
        for axis, (model, pairs) in zip(axes[0], columns.items(), strict=True):
            for band, pair in enumerate(pairs):
                look, base = style[pair.explainer], -PITCH * band
                scale = max(float(mean_of[pair].mean.max()), 1e-300)
                axis.plot([-0.7, d - 0.3], [base, base], "-", color=GREY, lw=0.5)
                if known and known[0].any():
                    _steps(axis, known[0] / known[0].max(), base)
                if pair in repeated:
                    deviation(axis, repeated[pair].mean / scale, repeated[pair].sd / scale, base,
                               color=look.color, lw=4.2, alpha=0.28, solid_capstyle="butt")  # fmt: skip
                _points(axis, mean_of[pair].mean / scale, mean_of[pair].sd / scale, base, look.color)
                name = f"{pair.explainer} ({NO_MODEL})" if pair.model == NO_MODEL else pair.explainer
                axis.text(d - 0.4, base + 1.25, name, ha="right", va="center",
                          weight="bold" if look.order == 6 else "normal",
                          color=look.color if look.order > 4 else INK)  # fmt: skip
            axis.set_title(model, weight="bold")
            axis.set(xlim=(-0.7, d - 0.3), ylim=(-PITCH * (down - 1) - 0.08, 1.45))
            axis.set_xticks(range(d), labels, rotation=90 if upright else 0)
            axis.spines[["left", "bottom"]].set_visible(False)
            axis.tick_params(axis="both", length=0)
        at = [base + level for base in -PITCH * np.arange(down) for level in (0, 1)]
        axes[0, 0].set_yticks(at, ["0", "1"] * down, fontsize=6.5)
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
        deviation(axis, mean, sd, base, color=color, lw=1.0)
    axis.plot(np.arange(len(mean)), base + mean, "o", color=color, ms=3.2, mew=0)
