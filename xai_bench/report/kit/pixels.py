"""Pictures and long rows of inputs as coloured cells: hand-written SVG, one path a colour, runs joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xai_bench.report.kit.comparisons import focus
from xai_bench.report.kit.shares import Floats, columns_of_methods, shares, truth
from xai_bench.report.kit.frames import Frames

LEVELS = 24
"""Shades that are told apart."""
SATURATED = 0.99
"""Quantile of the positive means that has the darkest shade of strips: one method with few large values would pale all
others."""
WIDEST = 240
"""Cells of a strip; longer rows of inputs are joined, the largest share standing for its neighbours."""


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


def colors() -> list[str]:
    """``LEVELS`` colours from white to dark, of even lightness steps."""
    import seaborn as sns

    palette = sns.cubehelix_palette(LEVELS - 1, start=2.6, rot=-0.35, hue=1.1, light=0.93, dark=0.12)
    return ["#ffffff", *palette.as_hex()]


def cells(values: NDArray, top: float, palette: list[str]) -> str:
    """(rows, columns) in [0, top] as an <svg> of one unit a cell."""
    rows, columns = values.shape
    scaled = np.clip(values / top if top > 0 else 0 * values, 0, 1)
    level = np.where(values > 0, 1 + np.floor(scaled * (len(palette) - 1.001)), 0).astype(int)
    level = np.minimum(level, len(palette) - 1)
    paths: dict[int, list[str]] = {}
    for y, line in enumerate(level):
        edges = np.flatnonzero(np.diff(line)) + 1
        for start, end in zip([0, *edges], [*edges, columns], strict=True):
            if line[start]:
                paths.setdefault(int(line[start]), []).append(f"M{start} {y}h{end - start}v1h-{end - start}z")
    drawn = "".join(f'<path fill="{palette[k]}" d="{"".join(runs)}"/>' for k, runs in sorted(paths.items()))
    return (
        f'<svg viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" shape-rendering="crispEdges" '
        f'aria-hidden="true"><rect width="{columns}" height="{rows}" fill="{palette[0]}"/>{drawn}</svg>'
    )


def maps(frames: Frames, dataset: str) -> Maps | None:
    """Pixel maps where the inputs form a picture, else strips; by network."""
    found = shares(frames, dataset)
    if not found:
        return None
    facts, known = frames.draws(dataset)[0], truth(frames, dataset)
    shape, palette, chosen = facts.get("feature_shape"), colors(), focus(frames)
    joined = 1 if shape else int(np.ceil(facts["d"] / WIDEST))
    means = np.concatenate([one.mean for one in found.values()])
    top = float(np.quantile(means[means > 0], SATURATED)) if (means > 0).any() else 0.0

    def draw(vector: Floats, largest: float) -> str:
        return cells(vector.reshape(shape), largest, palette) if shape else cells(_strip(vector, joined), top, palette)

    groups: dict[str, list[Map]] = {}
    if known:
        groups["truth"] = [
            Map("graded" if known[1] else "relevant inputs", "control", draw(known[0], float(known[0].max())))
        ]
    for model, pairs in columns_of_methods(frames, found).items():
        groups[model] = [
            Map(
                pair.explainer,
                "focus" if chosen and pair.explainer == chosen.explainer else "method",
                draw(found[pair].mean, float(found[pair].mean.max())),
                draw(found[pair].sd, float(found[pair].mean.max())) if np.isfinite(found[pair].sd).all() else "",
            )
            for pair in pairs
        ]
    return Maps(groups, top, palette, bool(shape), joined)


def _strip(vector: Floats, joined: int) -> Floats:
    """(1, ceil(d / joined)): the largest of every ``joined`` neighbours."""
    padded = np.pad(vector, (0, -len(vector) % joined))
    return padded.reshape(-1, joined).max(axis=1)[None]
