"""How all figures look: one style, one colour a method, and lean SVG text with ids of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.report.kit.comparisons import COUNTERPART, FOCUS, labels
from xai_bench.report.kit.frames import Frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIGHLIGHT, PLAIN = "#d55e00", "#0072b2"
"""The spectral method, everywhere, and its plain counterpart."""
OTHERS = ("#029e73", "#cc78bc", "#de8f05", "#56b4e9", "#8c613c", "#5d5da8")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))
INK, GREY, PALE = "#262626", "#8a8a8a", "#d9d9d6"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


class Style(NamedTuple):
    """How a method is drawn."""

    color: str
    marker: str
    dash: Any
    width: float
    order: int


def styles(frames: Frames) -> dict[str, Style]:
    """Explainer to its style: the same in all figures of a report."""
    special = dict.fromkeys(labels(frames, "explainers", FOCUS), HIGHLIGHT)
    special |= dict.fromkeys(labels(frames, "explainers", COUNTERPART), PLAIN)
    result = {}
    rest = 0
    for explainer in dict.fromkeys(explainer for _, explainer in frames.pairs):
        if explainer in special:
            highlighted = special[explainer] == HIGHLIGHT
            result[explainer] = Style(
                special[explainer], "o", "-", 2.4 if highlighted else 1.6, 6 if highlighted else 5
            )
        else:
            shape = MARKERS[1 + rest % (len(MARKERS) - 1)]
            dash = DASHES[(rest // len(OTHERS)) % len(DASHES)]
            result[explainer] = Style(OTHERS[rest % len(OTHERS)], shape, dash, 1.1, 4)
            rest += 1
    return result


@contextmanager
def style() -> Iterator[None]:
    """seaborn's ticks, small type, thin lines; text stays text."""
    import matplotlib as mpl
    import seaborn as sns

    settings: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "xai_bench", "path.simplify": False, "font.family": "DejaVu Sans",
        "font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8.5, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
        "legend.fontsize": 8, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
        "xtick.major.size": 2.5, "ytick.major.size": 2.5, "axes.edgecolor": GREY, "axes.labelcolor": INK,
        "text.color": INK, "xtick.color": INK, "ytick.color": INK, "axes.titlelocation": "left",
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "figure.dpi": 72,
        "xtick.minor.visible": False, "ytick.minor.visible": False, "axes.unicode_minus": True, "text.usetex": False,
        "text.parse_math": False,
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
    """Inches of a row of panels, one a network: with many they are narrow, so that type stays large on the page."""
    return max((3.3 if panels < 3 else 2.6) * panels, 5.6) + 0.3


def deviation(axis: Any, mean: NDArray, sd: NDArray, base: float, at: NDArray | None = None, **look: Any) -> None:
    """Mean plus and minus ``sd``, not below 0, as one path."""
    x = np.arange(len(mean), dtype=float) if at is None else at
    gaps = np.full(len(mean), np.nan)
    ends = np.stack([np.maximum(mean - sd, 0), mean + sd, gaps], axis=1).ravel()
    axis.plot(np.repeat(x, 3), base + ends, "-", **look)


def handle(**options: Any) -> Any:
    """A mark or line for a legend."""
    from matplotlib.lines import Line2D

    options.setdefault("ls", "none")
    options.setdefault("ms", 4.5)
    return Line2D([], [], **options)


def svg(figure: Figure, key: str) -> str:
    """The figure as an <svg> element for inlining.

    No date, no program, no fixed size; ids that nothing refers to are gone, the others begin with ``key``, so
    that figures on one page cannot refer to one another's parts.
    """
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
    used = set(re.findall(r"(?:href=\"#|url\(#)([\w.-]+)", text))
    short = {name: f"{key}-{i}" for i, name in enumerate(sorted(used, key=lambda name: text.index(f'id="{name}"')))}
    text = re.sub(r"\sid=\"([\w.-]+)\"", lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", text)
    text = re.sub(r"(href=\"#|url\(#)([\w.-]+)", lambda m: m[1] + short[m[2]], text)
    text = text.replace("xlink:href", "href")
    # Within tags only: labels keep their digits.
    text = re.sub(r"<[^>]*>", lambda m: re.sub(r"(\d\.\d{2})\d+", r"\1", m[0]), text)
    text = re.sub(r'(?<= d=")[^"]*', _lean_path, text)
    text = re.sub(r'(?<= [xy]=")([\d-]+\.\d)\d*', r"\1", text)
    text = re.sub(r'(?<= style=")[^"]*', lambda m: re.sub(r"([:;]) +", r"\1", m[0]), text)
    text = re.sub(
        r'(?<= d=")[^"]*', lambda m: re.sub(r"\s*([A-Za-z])\s*", r"\1", m[0].replace(".0 ", " ")).strip(), text
    )
    text = text.replace("'DejaVu Sans'", FONT).replace('"DejaVu Sans"', FONT)
    text = re.sub(r"font-family: ?[^;\"]*;?", "", text)
    text = re.sub(r"(<g[^>]*)>\s*((?:<use [^>]*/>\s*)+)</g>", _one_style, text)
    size = re.search(r"<svg[^>]*viewBox=\"0 0 ([\d.]+) ([\d.]+)\"", text)
    assert size is not None
    opening = f'<svg viewBox="0 0 {size[1]} {size[2]}" data-width="{float(size[1]):.0f}" aria-hidden="true">'
    text = re.sub(r"<svg[^>]*>", opening, text, count=1)
    return re.sub(r"\n\s*", "\n", text).strip()


def _one_style(group: re.Match[str]) -> str:
    """A group of marks that look alike, with their style said once."""
    looks = set(re.findall(r' style="[^"]*"', group[2]))
    if len(looks) != 1 or len(re.findall(" style=", group[2])) != group[2].count("<use ") or " style=" in group[1]:
        return group[0]
    (look,) = looks
    return f"{group[1]}{look}>\n{group[2].replace(look, '')}</g>"


def _lean_path(path: re.Match[str]) -> str:
    """The commands of a path at a tenth of a unit, without blanks that nothing needs."""
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", re.sub(r"(\d\.\d)\d+", r"\1", path[0]))
