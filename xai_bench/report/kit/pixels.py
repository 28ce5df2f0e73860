"""Numbers as coloured squares: hand-written SVG, one path a colour, runs joined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = 24
"""Shades that are told apart."""


def colors() -> list[str]:
    """``LEVELS`` colours from white to dark, of even lightness steps."""
    import seaborn as sns

    palette = sns.cubehelix_palette(LEVELS - 1, start=2.6, rot=-0.35, hue=1.1, light=0.93, dark=0.12)
    return ["#ffffff", *palette.as_hex()]


def drawn(values: NDArray, top: float, palette: list[str]) -> str:
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
    filled = "".join(f'<path fill="{palette[k]}" d="{"".join(runs)}"/>' for k, runs in sorted(paths.items()))
    return (
        f'<svg viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" shape-rendering="crispEdges" '
        f'aria-hidden="true"><rect width="{columns}" height="{rows}" fill="{palette[0]}"/>{filled}</svg>'
    )
