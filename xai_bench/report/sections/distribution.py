"""How many inputs have which relevance, by method and network."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from xai_bench.report.kit import drawing
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats, columns_of_methods, runs

BINS = 25
"""Of relevances divided by their largest."""


class Distribution(Section):
    """Of the relevances of pixels."""

    id, within, order = "distribution", "datasets", 100

    def needs(self) -> bool:
        return self.draw.get("feature_shape") is not None and bool(self._columns)

    @cached_property
    def _counts(self) -> dict[Pair, Floats]:
        return {pair: counted(by_seed) for pair, by_seed in runs(self.frames, self.dataset).items()}

    @property
    def _columns(self) -> dict[str, list[Pair]]:
        """Network to pairs."""
        return {m: pairs for m, pairs in columns_of_methods(self.frames, self._counts).items() if m != NO_MODEL}

    def figures(self) -> list[Figure]:
        caption = (
            "How many inputs have which relevance, each vector divided by its largest value; mean over runs, "
            "logarithmic. A peak at 0 and a long tail: few inputs stand out."
        )
        label = f"How many pixels of {self.dataset} have which relevance, by method and network"
        return [Figure(lines(self.frames, self._columns, self._counts, self.key), label, caption)]


def lines(frames: Frames, columns: dict[str, list[Pair]], inputs: dict[Pair, Floats], key: str) -> str:
    """A panel a network, a line a method: how many inputs have which relevance, divided by the largest of its run."""
    style, edges = drawing.styles(frames), np.linspace(0, 1, BINS + 1)
    used: dict[str, drawing.Style] = {}
    with drawing.style():
        figure, axes = drawing.new(drawing.across(len(columns)), 3.5, 1, len(columns), sharex=True, sharey=True)
        for axis, (model, pairs) in zip(axes[0], columns.items(), strict=True):
            for pair in pairs:
                look = used[pair.explainer] = style[pair.explainer]
                axis.stairs(inputs[pair], edges, baseline=None, color=look.color, ls=look.dash, lw=look.width,
                            zorder=look.order)  # fmt: skip
            axis.set_title(model, weight="bold")
            axis.set_yscale("log")
            axis.set_xlabel("relevance, largest = 1")
            axis.set_xlim(0, 1)
        axes[0, 0].set_ylabel("inputs, mean over runs")
        lowest = min(float(np.nanmin(counts)) for counts in inputs.values())
        axes[0, 0].set_ylim(lowest / 1.5, None)
        axes[0, 0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes[0, 0].set_yticks([], minor=True)
        handles = [drawing.handle(label=n, color=s.color, ls=s.dash, lw=s.width) for n, s in used.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), handlelength=2.6)
        return drawing.svg(figure, key)


def counted(by_seed: dict[int, list[Floats]]) -> Floats:
    """(BINS,) inputs a bin, mean over runs; NaN, which is not drawn, where there are none."""
    seeds = [
        np.mean([np.histogram(v / max(v.max(), 1e-300), BINS, (0, 1))[0] for v in vectors], axis=0)
        for vectors in by_seed.values()
    ]
    mean = np.mean(seeds, axis=0)
    return np.where(mean > 0, mean, np.nan)
