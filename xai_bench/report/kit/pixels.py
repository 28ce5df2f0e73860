"""Numbers as coloured squares: small PNG pictures, one pixel a number."""

from __future__ import annotations

import base64
import io
from functools import cache

import numpy as np
from numpy.typing import NDArray

LEVELS = 24
"""Shades that are told apart."""


@cache
def colors() -> list[str]:
    """``LEVELS`` colours from white to dark, of even lightness steps."""
    import seaborn as sns

    palette = sns.cubehelix_palette(LEVELS - 1, start=2.6, rot=-0.35, hue=1.1, light=0.93, dark=0.12)
    return ["#ffffff", *palette.as_hex()]


def drawn(values: NDArray, top: float, palette: list[str]) -> str:
    """(rows, columns) in [0, top] as an <img> of one pixel a cell; 0 has the first colour, everything above another."""
    scaled = np.clip(values / top if top > 0 else 0 * values, 0, 1)
    level = np.where(values > 0, 1 + np.floor(scaled * (len(palette) - 1.001)), 0).astype(int)
    return picture(np.minimum(level, len(palette) - 1), palette)


def picture(level: NDArray[np.integer], palette: list[str]) -> str:
    """(rows, columns) numbers of colours as an <img>, with a palette, so that it is small."""
    from PIL import Image

    image = Image.fromarray(level.astype(np.uint8), mode="P")
    image.putpalette([int(color[i : i + 2], 16) for color in palette for i in (1, 3, 5)])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    rows, columns = level.shape
    return f'<img class="cells" alt="" width="{columns}" height="{rows}" src="data:image/png;base64,{data}">'
