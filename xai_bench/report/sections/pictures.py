"""One picture of each class, whole and with the most relevant pixels only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import render
from xai_bench.report.kit.pixels import drawn
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats, explained, shares, shown

KEPT = 17
"""Pixels that are shown, as published."""
NOTHING, BLANK, INKED = "#ffffff", "#e4dccb", "#1d2733"
"""A pixel that is left out, one that is kept and has no ink, one that is black."""


class Pictures(Section):
    """Where the dataset stored pictures."""

    id, title, within, order = "pictures", "The most relevant pixels", "datasets", 70

    def needs(self) -> bool:
        if not (self.draw.get("views") or {}).get("pictures"):
            return False
        return bool(shown(self.frames, explained(self.frames, self.dataset)))

    def figures(self) -> list[Figure]:
        lines = kept(self.frames, self.dataset)
        label = (
            f"A picture of each class of {self.dataset}, whole and with the {lines.k} most relevant pixels only, by "
            "method and network"
        )
        caption = (
            f"A training picture of each class, whole and with only the {lines.k} most relevant pixels (mean relevance "
            "over data seeds). Pale: kept, without ink."
        )
        return [Figure(render("pictures.html", kept=lines), label, caption, "digits")]


@dataclass(frozen=True)
class Line:
    """A row of pictures as SVG, one a class; ``kind`` is that of a map."""

    method: str
    network: str
    kind: str
    svgs: list[str]


@dataclass(frozen=True)
class Kept:
    """``whole`` pictures first, then those with ``k`` pixels by method. ``classes``: their names."""

    classes: list[str]
    lines: list[Line]
    k: int


def kept(frames: Frames, dataset: str) -> Kept:
    """By the methods of ``shares.shown``: the first of each network, and the other one on the first of them."""
    facts, mean_of = frames.draws(dataset)[0], shares(frames, dataset)
    pictures, shape = facts["views"]["pictures"], facts["feature_shape"]
    chosen = shown(frames, mean_of)
    pairs = [first for first, _ in chosen] + [other for _, other in chosen[:1] if other]
    ink = [np.array(picture["pixels"], dtype=float).reshape(shape) / 255 for picture in pictures]
    lines = [Line("whole", "", "", [drawn(values, 1.0, _shades(NOTHING)) for values in ink])]
    for pair in pairs:
        mask = most_relevant(mean_of[pair].mean, KEPT).reshape(shape)
        # Kept pixels without ink are the first shade above nothing.
        svgs = [drawn(np.where(mask, np.maximum(v, 1e-9), 0.0), 1.0, [NOTHING, *_shades(BLANK)]) for v in ink]
        lines.append(Line(pair.explainer, pair.model, "focused" if frames.in_focus(pair.explainer) else "", svgs))
    return Kept([str(picture["class"]) for picture in pictures], lines, KEPT)


def most_relevant(relevance: Floats, k: int) -> NDArray[np.bool_]:
    """(d,) True at the k largest relevances that are not 0."""
    mask = np.zeros(len(relevance), dtype=bool)
    mask[np.argsort(-relevance, kind="stable")[:k]] = True
    return mask & (relevance > 0)


def _shades(first: str) -> list[str]:
    """16 shades from ``first`` to ink."""
    ends = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in (first, INKED)], dtype=float)
    mixed = ends[0] + np.linspace(0, 1, 16)[:, None] * (ends[1] - ends[0])
    return ["#" + "".join(f"{round(value):02x}" for value in color) for color in mixed]
