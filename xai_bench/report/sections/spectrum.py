"""Relevance along the wavelength axis, over the mean spectrum, and by line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from xai_bench.plots import spaced
from xai_bench.report.kit import drawing, wording
from xai_bench.report.kit.drawing import GREY, INK, PALE
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats, explained, shares, shown
from xai_bench.report.kit.spectra import Mark, look, marks, name_of, wavelengths
from xai_bench.report.kit.tables import Box, Column, Row, Table, text, valued

POINTS = 1500
"""Points of a curve; longer spectra are joined, the largest relevance standing for its neighbours."""
PANEL = 1.35
"""Inches a network."""


class Spectrum(Section):
    """Where the inputs are wavelengths."""

    id, title, within, order = "spectrum", "Along the spectrum", "datasets", 60

    def needs(self) -> bool:
        if not self.draw or wavelengths(self.draw) is None:
            return False
        return bool(explained(self.frames, self.dataset))

    def figures(self) -> list[Figure]:
        axis = wavelengths(self.draw)
        if axis is None:
            return []
        caption = (
            "Mean over data seeds, each curve divided by its largest value; two methods a network, one upwards, one "
            "downwards. Behind: the mean training spectrum. Of neighbouring pixels the largest relevance is drawn."
        )
        label = f"Relevance along the wavelength axis of {self.dataset} over the mean spectrum, a panel a network"
        return [Figure(panels(self.frames, self.dataset, axis, self.key), label, caption)]

    def tables(self) -> list[Table]:
        """By line: its largest relevance, divided by the largest of all lines."""
        if not (known := marks(self.draw)):
            return []
        mean_of = shares(self.frames, self.dataset)
        pairs = [pair for both in shown(self.frames, mean_of) for pair in both if pair is not None]
        columns = [Column("Kind", text=True), Column("Absorber", text=True), Column("Wavelength"),
                   *([Column("Role", text=True)] if known[0].role else []),
                   *[Column(pair.explainer, pair.model) for pair in pairs]]  # fmt: skip
        scores = [scores_of(mean_of[pair].mean, known) for pair in pairs]
        rows = []
        for i, mark in enumerate(known):
            facts = [text(name_of(mark.kind)), text(mark.element)]
            facts += [Box(f"{mark.wavelength:.1f} Å", value=mark.wavelength), *([text(mark.role)] if mark.role else [])]
            values = [float(values[i]) for values in scores]
            rows.append(Row(mark.name, [*facts, *[valued(v, partial(wording.number, digits=2), v) for v in values]]))
        return [
            Table(
                "Relevance by line: the largest in its window, divided by the largest of all windows",
                "Line",
                columns,
                rows,
            )
        ]


def scores_of(relevance: Floats, known: Sequence[Mark]) -> Floats:
    """(len(known),) largest relevance in each window, the largest of all being 1."""
    scores = np.array([relevance[np.asarray(mark.columns)].max() for mark in known])
    return scores / scores.max() if scores.max() > 0 else scores


def panels(frames: Frames, dataset: str, axis: Floats, key: str) -> str:
    """A panel a network: the method that reads the first layer upwards, a post-hoc method downwards."""
    facts, mean_of = frames.draws(dataset)[0], shares(frames, dataset)
    own = shown(frames, mean_of)
    joined = int(np.ceil(len(axis) / POINTS))
    x, mean = _joined(axis, joined).mean(1), (facts.get("views") or {}).get("mean")
    known, style = marks(facts), drawing.styles(frames)
    with drawing.style():
        figure, axes = drawing.new(11.2, PANEL * len(own) + 1.7, len(own), 1, sharex=True)
        for axes_row, (pair, other) in zip(axes[:, 0], own, strict=True):
            if mean:
                spectrum = _joined(np.array(mean), joined).mean(1)
                axes_row.fill_between(x, spectrum / spectrum.max(), color=PALE, lw=0, zorder=1)
                axes_row.plot(x, spectrum / spectrum.max(), color=GREY, lw=0.5, zorder=1)
            for mark in known:
                _, color, dash = look(mark)
                axes_row.axvline(mark.wavelength, color=color, ls=dash, lw=0.7, alpha=0.5, zorder=2)
            for one, side in [(p, side) for p, side in ((pair, 1.0), (other, -1.0)) if p is not None]:
                height = _joined(mean_of[one].mean, joined).max(1)
                own_color = style[one.explainer].color
                axes_row.plot(x, side * height / max(float(height.max()), 1e-300), color=own_color, lw=0.9, zorder=4)
                axes_row.text(1.004, 0.75 if side > 0 else 0.2, one.explainer, color=own_color, 
                              transform=axes_row.transAxes, va="center")  # fmt: skip
            axes_row.axhline(0, color=INK, lw=0.6, zorder=5)
            axes_row.set(xlim=(axis[0], axis[-1]), ylim=(-1.05, 1.08))
            axes_row.set_yticks([-1, 0, 1], ["1", "0", "1"])
            axes_row.set_ylabel(pair.model, weight="bold")
        axes[-1, 0].set_xlabel("wavelength (Å)")
        _names(axes[0, 0], known, (float(axis[0]), float(axis[-1])))
        handles = [drawing.handle(color=c, ls=dash, lw=1.4, label=n) for n, c, dash in dict.fromkeys(map(look, known))]
        if mean:
            handles.append(drawing.handle(color=PALE, ls="-", lw=6, label="mean spectrum, largest = 1"))
        drawing.legend(figure, handles)
        return drawing.svg(figure, key)


def _joined(values: Floats, joined: int) -> Floats:
    """(ceil(d / joined), joined): neighbours side by side, the last value repeated to fill the end."""
    return np.pad(values, (0, -len(values) % joined), mode="edge").reshape(-1, joined)


def _names(axes: Any, known: list[Mark], limits: tuple[float, float]) -> None:
    """Upright names above the panel, pushed apart, each with a leader to its line."""
    places = spaced([mark.wavelength for mark in known], 0.0155 * (limits[1] - limits[0]))
    for mark, place in zip(known, places, strict=True):
        _, color, dash = look(mark)
        axes.plot([mark.wavelength, place], [1.08, 1.3], color=color, ls=dash, lw=0.7, clip_on=False)
        axes.text(place, 1.34, mark.name, rotation=90, ha="center", va="bottom", fontsize=drawing.SMALL, color=color)
