"""Histograms of every input by class."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np

from xai_bench.report.kit import drawing
from xai_bench.report.kit.section import Figure, Section

CLASSES = ("#332288", "#cc6677", "#117733", "#ddcc77", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499", "#661100")
"""Paul Tol's muted colours; classes beyond them begin again, dashed."""


class Histograms(Section):
    """Where the dataset stored histograms."""

    id, title, label, within, order = "inputs", "Histograms of the inputs", "Histograms", "datasets", 80

    def needs(self) -> bool:
        return bool((self.draw.get("views") or {}).get("histograms"))

    def figures(self) -> list[Figure]:
        roles = ""
        if self.draw.get("roles") is not None:
            graded = " and its graded truth" if self.draw.get("graded") is not None else ""
            roles = f" Beside its name: the role of an input{graded}."
        caption = (
            "Every input by class: share of the training rows of a class in each bin, first draw, original units."
            f"{roles} Inputs whose histograms agree can still tell the classes apart together."
        )
        label = f"Histograms of the inputs of {self.dataset} by class"
        return [Figure(histograms(self.draw, self.key), label, caption)]


def histograms(facts: dict[str, Any], key: str) -> str:
    """A panel an input, a step line a class: share of the class's training rows, in the first draw."""
    from matplotlib.colors import to_rgba

    views = facts["views"]["histograms"]
    edges, counts = np.array(views["edges"]), np.array(views["counts"], dtype=float)
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
        figure, axes = drawing.new(2.6 * across, 1.35 * down, down, across)
        for j, axis in enumerate(axes.ravel()):
            if j >= d:
                axis.set_axis_off()
                continue
            for c, look in enumerate(looks):
                inside = to_rgba(str(look["color"]), 0.16 if c < 2 else 0.0)
                axis.stairs(
                    shares[c, j], edges[j], fill=True, fc=inside, ec=look["color"], ls=look["ls"], lw=look["lw"]
                )
            axis.set_title("\n".join(textwrap.wrap(_titled(facts, j), 27)), fontsize=drawing.SMALL, pad=2)
            axis.set_yticks([])
            axis.spines["left"].set_visible(False)
            axis.locator_params(axis="x", nbins=4)
            axis.set_ylim(0, None)
        handles = [drawing.handle(label=f"class {name}", **look) for name, look in zip(names, looks, strict=True)]
        drawing.legend(figure, handles, most=10)
        return drawing.svg(figure, key)


def _titled(facts: dict[str, Any], j: int) -> str:
    """Name, unit and truth of an input."""
    name, unit = facts["feature_names"][j], (facts.get("feature_units") or [""] * facts["d"])[j]
    text = f"{name} ({unit})" if unit else str(name)
    if facts.get("roles") is None:
        return text
    graded, role = facts.get("graded"), facts["roles"][j]
    return f"{text}: {role} ({graded[j]:.2g})" if graded is not None and role == "relevant" else f"{text}: {role}"
