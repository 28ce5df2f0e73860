"""Relevance of many inputs: pixel maps where they form a picture, else strips of colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import render
from xai_bench.report.kit.pixels import colors, drawn
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats, by_network, explained, shares, truth, with_maps

SATURATED = 0.99
"""Quantile of the positive means that has the darkest shade of strips: one method with few large values would pale all
others."""
WIDEST = 240
"""Cells of a strip; longer rows of inputs are joined, the largest share standing for its neighbours."""


class RelevanceMaps(Section):
    """Of many inputs."""

    id, title, within, order = "maps", "Maps of relevance", "datasets", 50

    def needs(self) -> bool:
        return bool(self.draw) and with_maps(self.draw) and bool(explained(self.frames, self.dataset))

    def figures(self) -> list[Figure]:
        drawn_maps = maps(self.frames, self.dataset)
        label = f"Relevance of every input of {self.dataset}, by method and network"
        look = f"maps {'pictures' if drawn_maps.picture else 'strips'}"
        return [Figure(render("maps.html", maps=drawn_maps), label, self._caption(drawn_maps), look)]

    def _caption(self, drawn_maps: Maps) -> str:
        picture, sentences = drawn_maps.picture, []
        if picture:
            sentences.append(
                "Relevance of every pixel, each vector divided by its sum; the darkest shade is the largest mean of a "
                "method."
            )
        else:
            sentences.append(
                "Relevance of every input, each vector divided by its sum, on one colour scale for all methods; the "
                "darkest shade stands for all larger values."
            )
        if len(self.frames.data_seeds) > 1:
            places = ("Left", "right") if picture else ("Above", "below")
            sentences.append(f"{places[0]}: mean over data seeds; {places[1]}: standard deviation.")
        if drawn_maps.joined > 1:
            sentences.append(f"A cell shows the largest of {drawn_maps.joined} neighbouring inputs.")
        if self.draw.get("roles") is None:
            sentences.append("The truth is not known.")
        return " ".join(sentences)


@dataclass(frozen=True)
class Map:
    """One method's cells; ``sd`` is the map of the standard deviation, empty for one seed."""

    label: str
    kind: str
    svg: str
    sd: str = ""


@dataclass(frozen=True)
class Maps:
    """All maps of a dataset. Strips are on one scale, from 0 to ``top``; each picture goes to its own largest mean, as
    published. ``joined``: neighbouring inputs a cell of a strip."""

    groups: dict[str, list[Map]]
    top: float
    colors: list[str]
    picture: bool
    joined: int = 1


def maps(frames: Frames, dataset: str) -> Maps:
    """Pixel maps where the inputs form a picture, else strips; by network."""
    mean_of = shares(frames, dataset)
    facts, known = frames.draws(dataset)[0], truth(frames, dataset)
    shape, palette = facts.get("feature_shape"), colors()
    joined = 1 if shape else int(np.ceil(facts["d"] / WIDEST))
    means = np.concatenate([one.mean for one in mean_of.values()])
    top = float(np.quantile(means[means > 0], SATURATED)) if (means > 0).any() else 0.0

    def draw(vector: Floats, largest: float) -> str:
        return drawn(vector.reshape(shape), largest, palette) if shape else drawn(strip(vector, joined), top, palette)

    groups: dict[str, list[Map]] = {}
    if known:
        groups["truth"] = [Map("graded" if known[1] else "relevant inputs", "", draw(known[0], float(known[0].max())))]
    for model, pairs in by_network(frames, mean_of).items():
        groups[model] = [
            Map(
                pair.explainer,
                "focused" if frames.in_focus(pair.explainer) else "",
                draw(mean_of[pair].mean, float(mean_of[pair].mean.max())),
                draw(mean_of[pair].sd, float(mean_of[pair].mean.max())) if np.isfinite(mean_of[pair].sd).all() else "",
            )
            for pair in pairs
        ]
    return Maps(groups, top, palette, bool(shape), joined)


def strip(vector: Floats, joined: int) -> Floats:
    """(1, ceil(d / joined)): the largest of every ``joined`` neighbours."""
    padded = np.pad(vector, (0, -len(vector) % joined))
    return padded.reshape(-1, joined).max(axis=1)[None]
