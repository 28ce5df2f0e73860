"""The test score against the number of inputs kept: on a dataset by network, and over all datasets."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit import drawing
from xai_bench.report.kit.drawing import GREY, INK
from xai_bench.report.kit.frames import CONTROLS, NO_MODEL, Frames
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, kind_of, share, text, valued
from xai_bench.report.kit.wording import FORMS as WORDS
from xai_bench.results.entrants import judges

FORMS = ("retention_retrained", "retention_trees", "retention_ft_transformer", "retention_masked")
ROUND = tuple(step * 10**power for power in range(6) for step in (1, 2, 5))
SHOWN = (1, 2, 3, 5, 10, 17, 50)
"""The k of the table, where they were measured and leave half of the inputs out; 17 and 50 are quoted in the paper."""


class Retained(Section):
    """Curves, a row a form: retrained, trees where they judge too, masked; and the numbers at a few k."""

    id, title, within, order = "retained", "Retention", "datasets", 90

    def needs(self) -> bool:
        return bool(self.draw) and len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.curves[self.frames.curves["dataset"] == self.dataset]

    def figures(self) -> list[Figure]:
        linear = " (masked: linear, as published)" if _masked_to(self.frames) else ""
        known = self.draw.get("roles") is not None
        oracle = ", oracle solid; dotted: the Bayes score of the oracle’s inputs" if known else ""
        caption = (
            f"Test score with only the top k inputs, mean over data seeds; k on a logarithmic axis{linear}. Grey: "
            f"random dashed{oracle}. Methods without a network stand in every panel of a judge."
        )
        label = f"Test score of {self.dataset} against the number of inputs kept, by method and network"
        return [Figure(panels(self.frames, self.frame, self.key), label, caption)]

    def tables(self) -> list[Table]:
        rows = self.frame[self.frame["metric"].isin(FORMS)]
        d = self.draw["d"]
        ks = [k for k in SHOWN if k <= max(d / 2, 1) and k in set(rows["k"])]
        forms = [form for form in FORMS if form in set(rows["metric"])]
        if not ks:
            return []
        trained = self.frames.trained
        chance = float(trained.loc[trained["dataset"] == self.dataset, "chance"].mean())
        values = rows.set_index(["model", "explainer", "metric", "k"])["mean"].to_dict()

        def boxes(model: str, explainer: str) -> list[Box]:
            found = [values.get((model, explainer, form, k)) for form in forms for k in ks]
            return [EMPTY if v is None else valued(v, bar=share(v, chance, 1.0)) for v in found]

        first = next(iter(self.frames.models), NO_MODEL)
        lines = [(m, e) for m, e in self.frames.pairs] + [(first, name) for name in CONTROLS]
        found = [(m, e, boxes(m, e)) for m, e in lines]
        shown = [Row(e, [text("" if e in CONTROLS else m), *own], kind_of(self.frames, e)) for m, e, own in found
                 if any(box is not EMPTY for box in own)]  # fmt: skip
        columns = [Column(f"k = {k}", WORDS[form.removeprefix("retention_")]) for form in forms for k in ks]
        caption = f"Test score with the top k of {d:,} inputs; bars run from the constant guess to 1"
        return [Table(caption, "Method", [Column("Network", text=True), *columns], shown, fold=True)]


class Retention(Section):
    """Over all datasets: a panel each."""

    id, title, order = "retention", "Retention: how much is left with the top inputs only?", 80
    label = "Retention"

    def needs(self) -> bool | str:
        if not self.frames.results.suite.get("retention"):
            return "retention was not asked for"
        return len(self.frame) > 0 or "retention has no value yet"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """dataset, explainer, k, mean: retrained (else by trees), averaged over networks."""
        curves = self.frames.curves
        form = next((form for form in FORMS if form in set(curves["metric"])), "")
        rows = curves[curves["metric"] == form]
        return rows.groupby(["dataset", "explainer", "k"], sort=False)["mean"].mean().reset_index()

    def words(self) -> str:
        if not judges(self.frames.results):
            return (
                "Test score of the explained network when it sees the top k inputs only and the others stand at their "
                "mean (in pictures at 0), averaged over draws. Nothing is trained anew: such rows may lie far from "
                "those that the network knows."
            )
        return (
            "Test score of a model that is trained anew on the top k inputs only, averaged over networks and draws. It "
            "can be gamed by inputs that predict without being needed, so read it beside recovery."
        )

    def figures(self) -> list[Figure]:
        truly = ", the truly relevant ones solid" if self.frames.metrics else ""
        caption = f"Grey: random inputs dashed{truly}. By network: the pages of the datasets."
        drawn = overview(self.frames, self.frame, self.key)
        return [Figure(drawn, "Test score against inputs kept, a panel a dataset", caption)]


def overview(frames: Frames, curves: pd.DataFrame, key: str) -> str:
    """A panel a dataset, a line a method."""
    datasets = [d for d in frames.datasets if d in set(curves["dataset"])]
    across = min(6, len(datasets))
    down, style, drawn = math.ceil(len(datasets) / across), drawing.styles(frames), dict[str, Any]()
    with drawing.style():
        figure, axes = drawing.new(max(2.35 * across, 6.5), 1.75 * down, down, across)
        for axis, dataset in zip(axes.ravel(), datasets, strict=False):
            rows = curves[curves["dataset"] == dataset]
            drawn |= lines(axis, rows, style)
            _logarithmic(axis, sorted(int(k) for k in rows["k"].unique()), 4)
            axis.locator_params(axis="y", nbins=4)
            axis.set_title(dataset)
        for axis in axes.ravel()[len(datasets) :]:
            axis.set_axis_off()
        for axis in axes[:, 0]:
            axis.set_ylabel("test score")
        axes[-1, 0].set_xlabel("inputs kept, k")
        legend(figure, drawn)
        return drawing.svg(figure, key)


def lines(axis: Any, rows: pd.DataFrame, style: dict[str, drawing.Style]) -> dict[str, Any]:
    """Draws a curve a method; returns label to look."""
    drawn: dict[str, Any] = {}
    for explainer, line in rows.groupby("explainer", sort=False):
        if look := _look(str(explainer), style):
            drawn[str(explainer)] = look
            line = line.sort_values("k")
            axis.plot(line["k"], line["mean"], **look)
    return drawn


def _look(explainer: str, style: dict[str, drawing.Style]) -> dict[str, Any] | None:
    if explainer in CONTROLS:
        return {"color": GREY, "ls": (0, (5, 2)) if explainer == "random" else "-", "lw": 1.6, "zorder": 3}
    own = style.get(explainer)
    return None if own is None else {"color": own.color, "ls": own.dash, "lw": own.width, "zorder": own.order}


def legend(figure: Any, drawn: dict[str, Any]) -> None:
    """The method in focus first, controls last."""
    ordered = sorted(drawn.items(), key=lambda item: -item[1]["zorder"])
    drawing.legend(
        figure,
        [drawing.handle(label=name, **{k: v for k, v in look.items() if k != "zorder"}) for name, look in ordered],
    )


def _masked_to(frames: Frames) -> int | None:
    """Up to which k a suite asks for every k of the masked form."""
    return (frames.results.suite.get("retention") or {}).get("masked_to") or None


def panels(frames: Frames, curves: pd.DataFrame, key: str) -> str:
    """A column a network, a row a form, masked last.

    k is on a logarithmic axis, except where a suite asks for every k of the masked form: then as published, linear.
    """
    models = [model for model in frames.models if model in set(curves["model"])] or [NO_MODEL]
    forms = [form for form in FORMS if form in set(curves["metric"])]
    style, drawn, last = drawing.styles(frames), dict[str, Any](), _masked_to(frames)
    with drawing.style():
        figure, axes = drawing.new(drawing.across(len(models)), 2.5 * len(forms), len(forms), len(models),
                                   sharex="row" if last else True, sharey="row" if last else True)  # fmt: skip
        for i, form in enumerate(forms):
            linear = last is not None and form == "retention_masked"
            rows = curves[(curves["metric"] == form) & ((curves["k"] <= last) if linear else True)]
            for axis, model in zip(axes[i], models, strict=True):
                with_judge = [model] if form == "retention_masked" else [model, NO_MODEL]
                own = rows[rows["model"].isin(with_judge)]
                drawn |= lines(axis, own[~(own["explainer"].isin(CONTROLS) & (own["model"] != model))], style)
                if linear:
                    axis.locator_params(axis="x", integer=True, nbins=5)
                else:
                    drawn |= _bayes(axis, curves, model)
                    _logarithmic(axis, sorted(int(k) for k in rows["k"].unique()))
            axes[i, 0].set_ylabel(f"{form.removeprefix('retention_')}: test score")
        for axis, model in zip(axes[0], models, strict=True):
            axis.set_title(model, weight="bold")
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


def _logarithmic(axis: Any, ks: list[int], most: int = 15) -> None:
    shown = ticks(ks, 0.1 if most > 10 else 0.25)
    axis.set_xscale("log")
    axis.set_xticks(shown, [str(k) for k in shown], minor=False)
    axis.set_xticks([], minor=True)


def ticks(ks: list[int], apart: float = 0.1) -> list[int]:
    """Of a logarithmic axis: the largest k, and below it, without touching, all k, or round ones if there are many.

    ``apart``: the least distance of two, in parts of the axis.
    """
    gap = max(1.28, (ks[-1] / ks[0]) ** apart)
    kept = [ks[-1]]
    for k in reversed(ks[:-1] if len(ks) < 15 else [k for k in ROUND if ks[0] <= k < ks[-1]]):
        if kept[-1] / k > gap:
            kept.append(k)
    return sorted(kept)
