"""The test score against the number of inputs kept, by method and network."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit import drawing
from xai_bench.report.kit.curves import legend, lines, networks
from xai_bench.report.kit.drawing import INK
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import Figure, Section

FORMS = ("retention_retrained", "retention_trees", "retention_masked")
ROUND = tuple(step * 10**power for power in range(6) for step in (1, 2, 5))


class Retained(Section):
    """Curves, a row a form: retrained, trees where they judge too, masked."""

    id, within, order = "retained", "datasets", 120

    def needs(self) -> bool:
        return bool(self.draw) and len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.curves[self.frames.curves["dataset"] == self.dataset]

    def figures(self) -> list[Figure]:
        linear = " (masked: linear, as published)" if _masked_to(self.frames) else ""
        oracle, bayes = "", ""
        if self.draw.get("roles") is not None:
            oracle, bayes = ", oracle solid", " Dotted: the Bayes score of the oracle’s inputs."
        caption = (
            f"Test score with only the top k inputs, mean over data seeds; k on a logarithmic axis{linear}. Grey: the "
            f"controls, random dashed{oracle}. Methods without a network stand in every panel of a judge.{bayes}"
        )
        label = f"Test score of {self.dataset} against the number of inputs kept, by method and network"
        return [Figure(panels(self.frames, self.frame, self.key), label, caption)]


def _masked_to(frames: Frames) -> int | None:
    """Up to which k a suite asks for every k of the masked form."""
    return (frames.results.suite.get("retention") or {}).get("masked_to") or None


def panels(frames: Frames, curves: pd.DataFrame, key: str) -> str:
    """A column a network, a row a form, masked last.

    k is on a logarithmic axis, except where a suite asks for every k of the masked form: then as published, linear.
    """
    models = networks(frames, curves)
    forms = [form for form in FORMS if form in set(curves["metric"])]
    style = drawing.styles(frames)
    drawn: dict[str, Any] = {}
    last = _masked_to(frames)
    with drawing.style():
        figure, axes = drawing.new(drawing.across(len(models)), 2.35 * len(forms) + 0.9, len(forms), len(models),
                                   sharex="row" if last else True, sharey="row" if last else True)  # fmt: skip
        for i, form in enumerate(forms):
            linear = last is not None and form == "retention_masked"
            rows = curves[(curves["metric"] == form) & (curves["k"] <= last)] if linear else curves
            for j, model in enumerate(models):
                drawn |= lines(axes[i, j], rows[rows["metric"] == form], model, form, style)
                if linear:
                    axes[i, j].locator_params(axis="x", integer=True, nbins=5)
                else:
                    drawn |= _bayes(axes[i, j], curves, model)
                    _logarithmic(axes[i, j], sorted(int(k) for k in rows.loc[rows["metric"] == form, "k"].unique()))
                axes[0, j].set_title(model, weight="bold")
            axes[i, 0].set_ylabel(f"{form.removeprefix('retention_')}: test score")
        for axis in axes.ravel() if last else axes[-1]:
            axis.set_xlabel("inputs kept, k")
        legend(figure, drawn)
        return drawing.svg(figure, key)


def _bayes(axis: Any, curves: pd.DataFrame, model: str) -> dict[str, Any]:
    rows = curves[(curves["metric"] == "retention_bayes") & (curves["explainer"] == "oracle")]
    rows = rows[rows["model"] == model].sort_values("k")
    if rows.empty:
        return {}
    look: dict[str, Any] = {"color": INK, "ls": (0, (1, 2)), "lw": 0.9, "zorder": 2}
    axis.plot(rows["k"], rows["mean"], **look)
    return {"Bayes ceiling of the oracle’s inputs": look}


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
