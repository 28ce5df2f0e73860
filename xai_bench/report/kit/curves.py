"""Curves of the score that is left when only the top k inputs are kept: how their lines and legends look."""

from __future__ import annotations

from typing import Any

import pandas as pd

from xai_bench.report.kit import drawing
from xai_bench.report.kit.drawing import GREY
from xai_bench.report.kit.frames import CONTROLS, NO_MODEL, Frames


def networks(frames: Frames, curves: pd.DataFrame) -> list[str]:
    """The networks that have a curve, or the absence of one."""
    return [model for model in frames.models if model in set(curves["model"])] or [NO_MODEL]


def lines(
    axis: Any, rows: pd.DataFrame, model: str, form: str, style: dict[str, drawing.Style], *, markers: bool = False
) -> dict[str, Any]:
    """Draws a network's curves; methods without a network stand in every panel of a judge. Returns label to look."""
    drawn: dict[str, Any] = {}
    shown = rows[rows["model"].isin([model, NO_MODEL] if form != "retention_masked" else [model])]
    for (network, explainer), line in shown.groupby(["model", "explainer"], sort=False):
        look = _look(str(explainer), style)
        if look and not (explainer in CONTROLS and network != model):
            if markers and explainer in style:
                look |= {"marker": style[str(explainer)].marker, "ms": 4.2, "mew": 0}
            drawn[str(explainer)] = look
            line = line.sort_values("k")
            axis.plot(line["k"], line["mean"], **look)
    return drawn


def _look(explainer: str, style: dict[str, drawing.Style]) -> dict[str, Any] | None:
    if explainer == "random":
        return {"color": GREY, "ls": (0, (5, 2)), "lw": 1.6, "zorder": 3}
    if explainer == "oracle":
        return {"color": GREY, "ls": "-", "lw": 1.6, "zorder": 3}
    own = style.get(explainer)
    return None if own is None else {"color": own.color, "ls": own.dash, "lw": own.width, "zorder": own.order}


def legend(figure: Any, drawn: dict[str, Any]) -> None:
    """Highlighted methods first, controls last."""
    ordered = sorted(drawn.items(), key=lambda item: -item[1]["zorder"])
    looks = [(name, {k: v for k, v in look.items() if k != "zorder"}) for name, look in ordered]
    handles = [drawing.handle(label=name, **look) for name, look in looks]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), handlelength=2.6)
