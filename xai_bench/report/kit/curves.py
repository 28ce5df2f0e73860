"""Figures of the score that is left when only the top k inputs are kept."""

from __future__ import annotations

from typing import Any

import pandas as pd

from xai_bench.report import drawing
from xai_bench.report.kit.drawing import GREY, INK
from xai_bench.report.kit.saturation import FEW, saturation
from xai_bench.report.kit.frames import NO_MODEL, Frames

FORMS = ("retention_retrained", "retention_masked")
ROUND = tuple(step * 10**power for power in range(6) for step in (1, 2, 5))


def retention(frames: Frames, dataset: str, key: str) -> str | None:
    """A column a network, retrained above, masked below.

    k is on a logarithmic axis, except where a suite asks for every k of the masked form: then as published, linear.
    """
    curves = frames.curves[frames.curves["dataset"] == dataset]
    if curves.empty:
        return None
    models = networks(frames, curves)
    forms = [form for form in FORMS if form in set(curves["metric"])]
    style = drawing.styles(frames)
    drawn: dict[str, Any] = {}
    last = (frames.results.suite.get("retention") or {}).get("masked_to") or None
    with drawing.style():
        figure, axes = drawing.new(drawing.across(len(models)), 2.35 * len(forms) + 0.9, len(forms), len(models),
                                   sharex="row" if last else True, sharey="row" if last else True)  # fmt: skip
        for i, form in enumerate(forms):
            linear = last is not None and form == "retention_masked"
            rows = curves[(curves["metric"] == form) & (curves["k"] <= last)] if linear else curves
            for j, model in enumerate(models):
                drawn |= _lines(axes[i, j], rows[rows["metric"] == form], model, form, style)
                if linear:
                    axes[i, j].locator_params(axis="x", integer=True, nbins=5)
                else:
                    drawn |= _bayes(axes[i, j], curves, model)
                    _logarithmic(axes[i, j], sorted(int(k) for k in rows.loc[rows["metric"] == form, "k"].unique()))
                axes[0, j].set_title(model, weight="bold")
            axes[i, 0].set_ylabel(f"{form.removeprefix('retention_')}: test score")
        for axis in axes.ravel() if last else axes[-1]:
            axis.set_xlabel("inputs kept, k")
        _legend(figure, drawn)
        return drawing.svg(figure, key)


def first_inputs(frames: Frames, dataset: str, key: str) -> str | None:
    """Retrained on 1 to 10 inputs, enlarged: a panel a network. None where nothing saturates soon."""
    if saturation(frames, dataset) is None:
        return None
    curves = frames.curve(dataset, "retention_retrained")
    curves = curves[curves["k"] <= FEW]
    models = networks(frames, curves)
    style = drawing.styles(frames)
    drawn: dict[str, Any] = {}
    with drawing.style():
        figure, axes = drawing.new(drawing.across(len(models)), 3.6, 1, len(models), sharex=True, sharey=True)
        for axis, model in zip(axes[0], models, strict=True):
            drawn |= _lines(axis, curves, model, "retention_retrained", style, markers=True)
            axis.set_title(model, weight="bold")
            axis.set_xticks(sorted(int(k) for k in curves["k"].unique()))
            axis.set_xlabel("inputs kept, k")
        axes[0, 0].set_ylabel("retrained: test score")
        _legend(figure, drawn)
        return drawing.svg(figure, key)


def networks(frames: Frames, curves: pd.DataFrame) -> list[str]:
    """The networks that have a curve, or the absence of one."""
    return [model for model in frames.models if model in set(curves["model"])] or [NO_MODEL]


def _lines(
    axis: Any, rows: pd.DataFrame, model: str, form: str, style: dict[str, drawing.Style], *, markers: bool = False
) -> dict[str, Any]:
    """Draws a network's curves; methods without a network stand in every retrained panel. Returns label to look."""
    drawn: dict[str, Any] = {}
    shown = rows[rows["model"].isin([model, NO_MODEL] if form == "retention_retrained" else [model])]
    for (network, explainer), line in shown.groupby(["model", "explainer"], sort=False):
        look = _look(str(explainer), style)
        if look and not (explainer in ("random", "oracle") and network != model):
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


def _bayes(axis: Any, curves: pd.DataFrame, model: str) -> dict[str, Any]:
    rows = curves[(curves["metric"] == "retention_bayes") & (curves["explainer"] == "oracle")]
    rows = rows[rows["model"] == model].sort_values("k")
    if rows.empty:
        return {}
    look: dict[str, Any] = {"color": INK, "ls": (0, (1, 2)), "lw": 0.9, "zorder": 2}
    axis.plot(rows["k"], rows["mean"], **look)
    return {"Bayes ceiling of the oracle’s inputs": look}


def _legend(figure: Any, drawn: dict[str, Any]) -> None:
    """Highlighted methods first, controls last."""
    ordered = sorted(drawn.items(), key=lambda item: -item[1]["zorder"])
    looks = [(name, {k: v for k, v in look.items() if k != "zorder"}) for name, look in ordered]
    handles = [drawing.handle(label=name, **look) for name, look in looks]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), handlelength=2.6)


def _logarithmic(axis: Any, ks: list[int]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(ticks(ks), [str(k) for k in ticks(ks)], minor=False)
    axis.set_xticks([], minor=True)


def ticks(ks: list[int]) -> list[int]:
    """Of a logarithmic axis: the largest k, and below it, without touching, all k, or round ones if there are many."""
    gap = max(1.28, (ks[-1] / ks[0]) ** 0.1)
    kept = [ks[-1]]
    for k in reversed(ks[:-1] if len(ks) < 15 else [k for k in ROUND if ks[0] <= k < ks[-1]]):
        if kept[-1] / k > gap:
            kept.append(k)
    return sorted(kept)
