"""How all figures look: one style, one colour a method, whole legends, and lean SVG text with ids of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.vector import GREY as GREY
from xai_bench.report.kit.vector import INK as INK
from xai_bench.report.kit.vector import PALE as PALE
from xai_bench.report.kit.vector import svg as svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIGHLIGHT, PLAIN = "#d55e00", "#0072b2"
OTHERS = ("#0072b2", "#029e73", "#cc78bc", "#de8f05", "#56b4e9", "#8c613c", "#5d5da8", "#b0413e")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))
SCHEME = {INK: "var(--ink)", GREY: "var(--grey)", PALE: "var(--pale)"}
SMALL, NORMAL = 9.5, 10.5
"""Sizes of type, in pixels of the page."""


class Style(NamedTuple):
    """How a method is drawn."""

    color: str
    marker: str
    dash: Any
    width: float
    order: int


def styles(frames: Frames) -> dict[str, Style]:
    """Explainer to its style: the same in all figures of a report. The one in focus has a colour of its own."""
    result: dict[str, Style] = {}
    for explainer in dict.fromkeys(explainer for _, explainer in frames.pairs):
        rest, repeat = len(result) % len(OTHERS), len(result) // len(OTHERS)
        color, dash = OTHERS[rest], DASHES[repeat % len(DASHES)]
        shape = MARKERS[len(result) % len(MARKERS)]
        focus = frames.in_focus(explainer)
        result[explainer] = Style(HIGHLIGHT, shape, "-", 2.6, 6) if focus else Style(color, shape, dash, 1.4, 4)
    return result


@contextmanager
def style() -> Iterator[None]:
    """seaborn's ticks, small type, thin lines; text stays text."""
    import matplotlib as mpl
    import seaborn as sns

    settings: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "xai_bench", "path.simplify": False, "font.family": "DejaVu Sans",
        "font.size": NORMAL, "axes.titlesize": NORMAL, "axes.labelsize": NORMAL, "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL, "legend.fontsize": NORMAL, "figure.labelsize": NORMAL, "axes.linewidth": 0.7,
        "xtick.major.width": 0.7, "ytick.major.width": 0.7, "xtick.major.size": 3, "ytick.major.size": 3,
        "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
        "figure.dpi": 72, "savefig.bbox": "tight", "savefig.pad_inches": 0.08, "xtick.minor.visible": False,
        "ytick.minor.visible": False, "axes.unicode_minus": True, "text.usetex": False, "text.parse_math": False,
    }  # fmt: skip
    with mpl.rc_context({**sns.axes_style("ticks"), **settings}):
        yield


def new(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure (inches) that no window and no global state knows, and its axes (rows, columns)."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def across(panels: int) -> float:
    """Inches of a row of panels, one a network."""
    return max((4.0 if panels < 3 else 3.6) * panels, 6.5) + 0.4


def deviation(axis: Any, mean: NDArray, sd: NDArray, at: NDArray, **look: Any) -> None:
    """Mean plus and minus ``sd``, not below 0, as one path."""
    gaps = np.full(len(mean), np.nan)
    ends = np.stack([np.maximum(mean - sd, 0), mean + sd, gaps], axis=1).ravel()
    axis.plot(np.stack([at, at, gaps], axis=1).ravel(), ends, "-", **look)


def by_width(wide: str, narrow: str) -> str:
    """One figure drawn twice, of which a page shows the one that fits it; the style sheet knows the classes."""
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def handle(**options: Any) -> Any:
    """A mark or line for a legend."""
    from matplotlib.lines import Line2D

    options.setdefault("ls", "none")
    options.setdefault("ms", 5.5)
    return Line2D([], [], **options)


def legend(figure: Figure, handles: Sequence[Any], most: int = 6) -> None:
    """A legend below the panels: as many columns as fit into the figure, which grows by its rows."""
    if not handles:
        return
    for columns in range(min(most, len(handles)), 0, -1):
        drawn = figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=2.2)
        box = drawn.get_window_extent()
        if box.width <= figure.bbox.width or columns == 1:
            break
        drawn.remove()
    width = max(figure.get_figwidth(), box.width / figure.dpi + 0.1)
    figure.set_size_inches(width, figure.get_figheight() + box.height / figure.dpi)
