"""One function a figure: facts to SVG text that lies inside the page.

Colours are of Okabe and Ito, told apart by colour-blind readers. All that is spectral is vermillion; plain
networks and their column norm are blue; controls are grey.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from xai_bench.report.drawing import CONTROL, Style, canvas, legend, panels, quiet, segments, styles, svg
from xai_bench.report.layout import title
from xai_bench.report.tables import CONTROLS, FORMS, SEEDS, Facts, Pair
from xai_bench.statistics import Interval

MANY = 40
"""Inputs above which relevances are shown as a heat map."""


def recovery_dots(facts: Facts, headlines: list[tuple[str, str]]) -> Markup:
    """One panel a dataset: its deciding recovery score, one row a method, one dot a network."""
    shown = []
    for dataset, metric in headlines:
        found = {pair: facts.score(dataset, pair, metric) for pair in facts.pairs}
        shown.append((dataset, title(metric), found, [facts.chance(dataset, metric)]))
    return _dots(facts, shown, "recovery")


def area_dots(facts: Facts, datasets: list[str]) -> Markup:
    """One panel a dataset: the retained area, retrained."""
    shown = [(d, "retained area", {p: facts.area(d, p) for p in facts.pairs}, [0.0, 1.0]) for d in datasets]
    return _dots(facts, shown, "areas")  # type: ignore[arg-type]


def _dots(
    facts: Facts, shown: list[tuple[str, str, dict[Pair, Interval | None], list[float | None]]], name: str
) -> Markup:
    rows = facts.explainers
    columns = min(len(shown), 4)
    height = 0.6 + 0.27 * len(rows)
    figure, axes = panels(len(shown), columns, 10.5 / max(columns, 3), height, sharey=True)
    look = styles(facts)
    for axis, (dataset, label, found, lines) in zip(axes, shown, strict=True):
        for line in lines:
            if line is not None:
                axis.axvline(line, color=CONTROL, linewidth=0.8, linestyle="--", zorder=0)
        for i, model in enumerate(look):
            offset = 0.22 * (i - (len(look) - 1) / 2)
            dots = [(rows.index(p[1]) + offset, v) for p, v in found.items() if p[0] == model and v and np.isfinite(v.mean)]
            if not dots:
                continue
            y, values = [d[0] for d in dots], [d[1] for d in dots]
            axis.plot(*segments([v.low for v in values], [v.high for v in values], y)[::-1], color=look[model].colour, linewidth=1.1)
            filled = facts.all_learned(dataset, model)
            axis.plot([v.mean for v in values], y, look[model].marker, color=look[model].colour, markersize=4.2, markerfacecolor=None if filled else "white", linestyle="none")
        axis.set_title(dataset)
        axis.set_xlabel(label)
        axis.set_yticks(range(len(rows)), rows)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.grid(axis="y", linewidth=0.4, color="#e6e6e6")
        _bound(axis, found, lines)
        quiet(axis)
    for axis in axes:
        _highlight(facts, axis)
    legend(figure, [(model or "no network", s) for model, s in look.items()])
    return svg(figure, name)


def _bound(axis: Any, found: dict[Pair, Interval | None], lines: list[float | None]) -> None:
    """Limits by means and references: with few seeds an interval may be longer than the scale; it is cut off."""
    means = [v.mean for v in found.values() if v and np.isfinite(v.mean)] + [x for x in lines if x is not None]
    if means:
        low, high = min(means), max(means)
        pad = 0.12 * max(high - low, 0.05)
        axis.set_xlim(low - pad, high + pad)


def _highlight(facts: Facts, axis: Any) -> None:
    for text in axis.get_yticklabels():
        if facts.component("explainers", text.get_text()) == "spectral":
            text.set_color(styles(facts, spectral_only=True))
            text.set_fontweight("bold")


def relevances(facts: Facts, dataset: str) -> pd.DataFrame:
    """One row a cell with a relevance: model, explainer, seeds, and ``vector`` (d,) divided by its maximum."""
    frame = facts.run[(facts.run["dataset"] == dataset) & (facts.run["status"] == "done")]
    frame = frame[~frame["explainer"].isin(CONTROLS) & frame["cell"].isin(list(facts.results.relevance))]
    vectors = [_normal(facts.results.relevance[key]) for key in frame["cell"]]
    return frame[["model", "explainer", *SEEDS]].assign(vector=vectors)


def _normal(vector: np.ndarray) -> np.ndarray:
    largest = vector.max(initial=0)
    return vector / largest if largest > 0 else np.zeros_like(vector)


def _summary(frame: pd.DataFrame, pair: Pair) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and standard deviation (d,) over all seeds of a pair; deviation 0 with one."""
    rows = frame[(frame["model"] == pair[0]) & (frame["explainer"] == pair[1])]
    if rows.empty:
        return None
    stack = np.stack(rows["vector"].tolist())
    return stack.mean(0), stack.std(0, ddof=1) if len(stack) > 1 else np.zeros(stack.shape[1])


def _truth(draw: dict[str, Any]) -> np.ndarray | None:
    """The graded truth, or 1 for relevant inputs and 0; divided by its maximum."""
    if draw.get("graded"):
        return _normal(np.asarray(draw["graded"], dtype=float))
    if draw.get("roles"):
        return np.array([float(role == "relevant") for role in draw["roles"]])
    return None


def relevance_bars(facts: Facts, dataset: str, name: str) -> Markup:
    """One panel a method: relevance of every input by network, on bars of the truth."""
    draw, frame, look = facts.draws[dataset], relevances(facts, dataset), styles(facts)
    methods = [e for e in facts.explainers if (frame["explainer"] == e).any()]
    truth, d = _truth(draw), draw["d"]
    long = max(map(len, draw["feature_names"])) > 4
    figure, axes = panels(len(methods), 3 if d > 12 or long else 4, 3.5 if d > 12 or long else 2.6, 1.55, sharex=True, sharey=True)
    place = np.arange(d, dtype=float)
    for axis, method in zip(axes, methods, strict=True):
        if truth is not None:
            axis.bar(place, truth, width=0.9, color="#dddddd", linewidth=0, zorder=0)
        for i, model in enumerate(look):
            found = _summary(frame, (model, method))
            if found is not None:
                mean, deviation = found
                x = place + 0.24 * (i - (len(look) - 1) / 2)
                axis.plot(*segments(mean - deviation, mean + deviation, x), color=look[model].colour, linewidth=0.8)
                axis.plot(x, mean, look[model].marker, color=look[model].colour, markersize=2.6, linestyle="none")
        axis.set_title(method)
        axis.set_xticks(place, draw["feature_names"], rotation=90 if long or d > 12 else 0, fontsize=6 if d > 20 or long else 7)
        axis.set_ylim(-0.03, 1.08)
        axis.set_xlim(-0.7, d - 0.3)
        quiet(axis)
        _title_colour(facts, axis, method)
    legend(figure, [(model or "no network", s) for model, s in look.items() if (frame["model"] == model).any()])
    return svg(figure, f"{name}-relevance")


def _title_colour(facts: Facts, axis: Any, method: str) -> None:
    if facts.component("explainers", method) == "spectral":
        axis.title.set_color(styles(facts, spectral_only=True))
        axis.title.set_fontweight("bold")


def against_truth(facts: Facts, dataset: str, name: str) -> Markup:
    """One panel a method: relevance against the graded truth."""
    draw, frame, look = facts.draws[dataset], relevances(facts, dataset), styles(facts)
    methods = [e for e in facts.explainers if (frame["explainer"] == e).any()]
    truth = np.asarray(draw["graded"], dtype=float)
    figure, axes = panels(len(methods), 5, 2.1, 1.7, sharex=True, sharey=True)
    step = np.ptp(truth) / 120
    for i, (axis, method) in enumerate(zip(axes, methods, strict=True)):
        for j, model in enumerate(look):
            found = _summary(frame, (model, method))
            if found is not None:
                mean, deviation = found
                x = truth + step * (j - (len(look) - 1) / 2)
                axis.plot(*segments(mean - deviation, mean + deviation, x), color=look[model].colour, linewidth=0.7, alpha=0.6)
                axis.plot(x, mean, look[model].marker, color=look[model].colour, markersize=3, linestyle="none")
        axis.set_title(method)
        if i >= len(methods) - 5:
            axis.set_xlabel("graded truth")
        axis.set_ylim(-0.03, 1.08)
        quiet(axis)
        _title_colour(facts, axis, method)
    legend(figure, [(model or "no network", s) for model, s in look.items() if (frame["model"] == model).any()])
    return svg(figure, f"{name}-truth")


def _grid(facts: Facts, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    models = [m for m in [*facts.models, ""] if (frame["model"] == m).any()]
    return models, [e for e in facts.explainers if (frame["explainer"] == e).any()]


def pixel_maps(facts: Facts, dataset: str, name: str) -> Markup:
    """Rows are networks, columns methods; one colour scale for all."""
    draw, frame = facts.draws[dataset], relevances(facts, dataset)
    networks, methods = _grid(facts, frame)
    networks = [m for m in networks if m] or networks
    figure, grid = canvas(len(networks), len(methods), 10.8, 0.35 + (10.8 / (len(methods) + 1.2) + 0.22) * len(networks))
    image = None
    for i, model in enumerate(networks):
        for j, method in enumerate(methods):
            axis = grid[i][j]
            axis.set_xticks([])
            axis.set_yticks([])
            found = _summary(frame, (model, method))
            if found is None and i == 0:
                found = _summary(frame, ("", method))
            for spine in axis.spines.values():
                spine.set_visible(found is not None)
                spine.set_linewidth(0.4)
            if j == 0:
                axis.set_ylabel(model, fontsize=7)
            if i == 0:
                axis.set_title(method.replace("_", "\n", 1), fontsize=7)
                _title_colour(facts, axis, method)
            if found is not None:
                image = axis.imshow(found[0].reshape(draw["feature_shape"]), cmap="cividis", vmin=0, vmax=1, interpolation="none")
                axis.set_xlabel(f"± {found[1].mean():.2f}", fontsize=6, labelpad=1.5, color="#666666")
    if image is not None:
        bar = figure.colorbar(image, ax=[axis for row in grid for axis in row], shrink=0.6, aspect=30, pad=0.012)
        bar.set_label("relevance / its maximum", fontsize=7)
        bar.outline.set_linewidth(0.4)
        bar.solids.set_edgecolor("face")
    return svg(figure, f"{name}-pixels")


def heat_map(facts: Facts, dataset: str, name: str) -> Markup:
    """One row a pair, one column an input; the truth above."""
    draw, frame = facts.draws[dataset], relevances(facts, dataset)
    found = [(p, s[0]) for p in facts.pairs if (s := _summary(frame, p)) is not None]
    truth = _truth(draw)
    rows = ([("truth", truth)] if truth is not None else []) + [(f"{e} · {m}" if m else e, v) for (m, e), v in found]
    figure, axes = panels(1, 1, 10.5, 0.6 + 0.17 * len(rows))
    image = axes[0].imshow(np.stack([v for _, v in rows]), cmap="cividis", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes[0].set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=6.5)
    axes[0].set_xlabel("input")
    figure.colorbar(image, ax=axes[0], pad=0.01, aspect=40).outline.set_linewidth(0.4)
    return svg(figure, f"{name}-heat")


def retention_curves(facts: Facts, dataset: str, name: str) -> Markup:
    """Rows: retrained, masked. Columns: networks. One line a method, controls in grey."""
    frame = facts.curves[facts.curves["dataset"] == dataset]
    networks = [m for m in facts.models if (frame["model"] == m).any()] or [""]
    figure, grid = canvas(2, len(networks), 10.5, 5.6, sharex=True, sharey="row")
    families: dict[str, Style] = {}
    for column, model in enumerate(networks):
        inside = [model, ""] if model == (facts.plain_model or networks[-1]) else [model]
        for row, form in enumerate(FORMS):
            axis = grid[row][column]
            part = frame[(frame["metric"] == f"retention_{form}")]
            for m, explainer in [(m, e) for m in inside for e in facts.explainers]:
                line = part[(part["model"] == m) & (part["explainer"] == explainer)]
                if len(line):
                    family, style = _family(facts, explainer)
                    families[family] = style
                    special = family == "spectral"
                    axis.plot(line["k"], line["mean"], color=style.colour, linestyle=style.line, linewidth=2.2 if special else 1.0, zorder=5 if special else 2, alpha=1 if special else 0.85)
            for control, dash in (("random", "--"), ("oracle", "-.")):
                line = part[(part["model"] == model) & (part["explainer"] == control)]
                if len(line):
                    axis.plot(line["k"], line["mean"], color=CONTROL, linestyle=dash, linewidth=1.2, zorder=1)
            best = frame[(frame["metric"] == "retention_bayes") & (frame["model"] == model) & (frame["explainer"] == "oracle")]
            if len(best):
                axis.plot(best["k"], best["mean"], color="#333333", linestyle=":", linewidth=1, zorder=1)
            _log_counts(axis, frame)
            if row == 0:
                axis.set_title(model or "no network")
            else:
                axis.set_xlabel("inputs kept, k")
            if column == 0:
                axis.set_ylabel(f"{'accuracy' if facts.draws[dataset]['kind'] == 'classification' else 'R²'}, {form}")
            quiet(axis)
    controls = {"random": Style(CONTROL, "", "--"), "oracle": Style(CONTROL, "", "-.")}
    if (frame["metric"] == "retention_bayes").any():
        controls["best possible (oracle’s inputs)"] = Style("#333333", "", ":")
    legend(figure, [*families.items(), *controls.items()])
    return svg(figure, f"{name}-retention")


def _log_counts(axis: Any, frame: pd.DataFrame) -> None:
    counts = sorted(frame["k"].unique())
    axis.set_xscale("log")
    shown: list[int] = []
    for k in [*counts[:-1][::-1], counts[-1]] if counts else []:
        if all(abs(np.log(k / other)) > 0.3 for other in shown):
            shown.append(int(k))
    axis.set_xticks(shown, [str(k) for k in shown])
    axis.minorticks_off()


def _family(facts: Facts, explainer: str) -> tuple[str, Style]:
    """Methods of one kind share a colour."""
    name = facts.component("explainers", explainer)
    if name in ("spectral", "column_norm"):
        return (name.replace("_", " "), Style("#D55E00" if name == "spectral" else "#0072B2", "o", "-"))
    if name.startswith("shap"):
        return "SHAP", Style("#CC79A7", "s", "-")
    if name in ("saliency", "input_x_gradient", "integrated_gradients", "deeplift", "lrp", "captum"):
        return "gradients and propagation", Style("#009E73", "^", "-")
    return "others", Style("#E69F00", "D", "-")


def cost_against_score(facts: Facts, dataset: str, name: str) -> tuple[Markup | None, str]:
    """CPU seconds given a model against recovery, or retained area where there is no truth; None without either."""
    metric = facts.headline(dataset)
    if metric:
        label, found = title(metric), {p: facts.score(dataset, p, metric) for p in facts.pairs}
    else:
        label, found = "retained area (retrained)", {p: facts.area(dataset, p) for p in facts.pairs}
    frame = facts.cost[facts.cost["dataset"] == dataset].set_index(["model", "explainer"])["given_cpu"]
    points = [(p, v, float(frame[p])) for p, v in found.items() if v and np.isfinite(v.mean) and p in frame.index]
    points = [point for point in points if point[2] > 0]
    if not points:
        return None, ""
    models = [m for m in [*facts.models, ""] if any(p[0] == m for p, _, _ in points)]
    figure, grid = canvas(1, len(models), 10.5, 3.1, sharex=True, sharey=True)
    families: dict[str, Style] = {}
    for axis, model in zip(grid[0], models, strict=True):
        for pair, value, cost in points:
            if pair[0] != model:
                continue
            family, style = _family(facts, pair[1])
            families[family] = style
            axis.plot(*segments([value.low], [value.high], [cost]), color=style.colour, linewidth=0.9)
            axis.plot([cost], [value.mean], style.marker, color=style.colour, markersize=7 if family == "spectral" else 5, linestyle="none")
        axis.set_xscale("log")
        axis.set_title(model or "no network")
        axis.set_xlabel("CPU seconds")
        quiet(axis)
    means = [value.mean for _, value, _ in points]
    pad = 0.15 * max(max(means) - min(means), 0.05)
    grid[0][0].set_ylim(min(means) - pad, max(means) + pad)
    grid[0][0].set_ylabel(label)
    legend(figure, list(families.items()))
    return svg(figure, f"{name}-cost"), label
