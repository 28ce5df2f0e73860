"""How figures look, and how they become lean SVG with the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from markupsafe import Markup

from xai_bench.report.tables import Facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPECTRAL = "#D55E00"
PLAIN = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#7B5EA7")
NO_NETWORK = "#E69F00"
CONTROL = "#8a8a8a"
RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#777777",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.unicode_minus": True,
    "image.composite_image": False,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Style:
    colour: str
    marker: str
    line: str = "-"


@overload
def styles(facts: Facts) -> dict[str, Style]: ...
@overload
def styles(facts: Facts, spectral_only: bool) -> str: ...
def styles(facts: Facts, spectral_only: bool = False) -> dict[str, Style] | str:
    """Network to its look; "" (no network) last."""
    if spectral_only:
        return SPECTRAL
    found: dict[str, Style] = {}
    markers = iter("^v<>Pp" * (1 + len(facts.models) // 6))
    colours = iter(PLAIN * (1 + len(facts.models) // len(PLAIN)))
    taken = False
    for model in facts.models:
        if facts.component("models", model).startswith("spectral") and not taken:
            found[model], taken = Style(SPECTRAL, "o"), True
        else:
            found[model] = Style(next(colours), next(markers))
    if any(model == "" for model, _ in facts.pairs):
        found[""] = Style(NO_NETWORK, "D")
    return found


def _themed() -> Any:
    """Seaborn's ticks style and this report's sizes, inside a context."""
    import matplotlib
    import seaborn

    return matplotlib.rc_context({**seaborn.axes_style("ticks"), **RC})


def canvas(
    rows: int, columns: int, width: float, height: float, sharex: Any = False, sharey: Any = False
) -> tuple[Figure, list[list[Any]]]:
    """A figure of ``width`` x ``height`` inches and its axes, without any global state."""
    with _themed():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    return figure, [list(row) for row in grid]


def panels(
    n: int, columns: int, width: float, height: float, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, list[Any]]:
    """``n`` panels of ``width`` x ``height`` inches in rows of at most ``columns``; the places left over are empty."""
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    figure, grid = canvas(rows, columns, width * columns, height * rows + 0.35, sharex, sharey)
    axes = [axis for row in grid for axis in row]
    for axis in axes[n:]:
        axis.set_visible(False)
    if sharex:
        for axis in axes[max(n - columns, 0) : n]:
            axis.tick_params(labelbottom=True)
    return figure, axes[:n]


def quiet(axis: Any) -> None:
    """No frame but the two axes."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_axisbelow(True)


def segments(low: Sequence[float] | Any, high: Sequence[float] | Any, at: Sequence[float] | Any) -> tuple[Any, Any]:
    """x and y of vertical strokes from ``low`` to ``high`` at ``at``, as one broken line: one path in the SVG."""
    n = len(at)
    x, y = np.full(3 * n, np.nan), np.full(3 * n, np.nan)
    x[0::3] = x[1::3] = at
    y[0::3], y[1::3] = low, high
    y[np.isnan(np.repeat(np.asarray(low, dtype=float), 3))] = np.nan
    return x, y


def legend(figure: Figure, entries: list[tuple[str, Style]]) -> None:
    """One legend below all panels."""
    from matplotlib.lines import Line2D

    handles = []
    for label, style in entries:
        line = "none" if style.marker and style.line == "-" and style.marker != "" and not _lines(figure) else style.line
        marker = style.marker if line == "none" else ""
        handles.append(Line2D([], [], color=style.colour, marker=marker, linestyle=line, linewidth=1.6, markersize=5, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), frameon=False, fontsize=7.5)


def _lines(figure: Figure) -> bool:
    """Whether the figure's curves are lines rather than points."""
    return any(len(line.get_xdata()) > 1 and line.get_marker() in ("None", "", None) and not np.isnan(np.asarray(line.get_ydata(), float)).any() and line.get_linewidth() >= 1 and line.get_linestyle() == "-" for axis in figure.axes for line in axis.lines)


def svg(figure: Figure, name: str) -> Markup:
    """The figure as an SVG element; its ids start with ``name``, numbers have two decimals, nothing is dated."""
    buffer = io.StringIO()
    with _themed():
        import matplotlib

        with matplotlib.rc_context({"svg.hashsalt": name}):
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    text = re.sub(r"(font: [^'\";]*?)'DejaVu Sans'[^;\"]*", r"\1system-ui, sans-serif", text)
    text = re.sub(r"(\d+\.\d{2})\d+", r"\1", text)
    return Markup(re.sub(r"\n\s*", "\n", text).strip())
