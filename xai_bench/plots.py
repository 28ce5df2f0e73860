"""Figures of results, one function a kind: matplotlib axes that a paper or a notebook can go on with, or files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from xai_bench.errors import InputError, unknown
from xai_bench.results import means, tables
from xai_bench.results.comparison import APART, Unit
from xai_bench.suites.suite import CONTROLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xai_bench.results.frames import Results

SUFFIXES = (".svg", ".pdf", ".png")
SIGNS = {
    "better": ">", "slightly better": "≥", "equal": "=", "slightly worse": "≤", "worse": "<", "undecided": "",
    APART: "×",
}  # fmt: skip
FIRST, OTHER, TRUTH = "#0072b2", "#9a9a96", "#262626"
NAME = 7.5
"""Size of a name beside a figure, in points: 10 pixels."""
MOST_INPUTS = 40
"""Inputs of a picture of relevances; the others are left out, by truth and then by mean relevance."""


def plot(
    results: Results,
    kind: str,
    *,
    of: Unit | None = None,
    metric: str | None = None,
    dataset: str | None = None,
    ax: Axes | None = None,
) -> Any:
    """Draw a figure: see ``Results.plot``."""
    if kind not in KINDS:
        raise unknown("kind of figure", kind, KINDS)
    draw, takes = KINDS[kind]
    given = {"of": of, "metric": metric, "dataset": dataset, "ax": ax}
    for name, value in given.items():
        if value is not None and name not in takes:
            raise InputError(f"figure {kind!r}: {name} is of other figures: leave it out")
    return draw(results, **{name: given[name] for name in takes})


def save(results: Results, kind: str, path: str | Path, **choices: Any) -> Path:
    """Draw a figure into a file, an SVG, PDF or PNG by its ending; equal results give equal bytes. Returns the path.

    Raises
    ------
    InputError
        As ``Results.plot``; for another ending; or if the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib import pyplot

    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise InputError(f"figure: expected a file that ends in {', '.join(SUFFIXES)}, got {str(target)!r}")
    with mpl.rc_context({"svg.hashsalt": "xai_bench", "svg.fonttype": "none", "pdf.fonttype": 42}):
        figure = plot(results, kind, **choices).figure
        undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}[target.suffix]
        try:
            figure.savefig(target, bbox_inches="tight", dpi=200, metadata=undated)
        except OSError as error:
            raise InputError(f"cannot write {str(target)!r}: {error.strerror}; choose another --out") from None
        finally:
            pyplot.close(figure)
    return target


def front(cost: ArrayLike, score: ArrayLike) -> NDArray[np.bool_]:
    """(n,) whether nothing costs no more and scores no less, and one of them strictly: the Pareto front.

    ``cost`` (n,), the lower the better; ``score`` (n,), the higher the better.
    """
    costs, scores = np.asarray(cost, float), np.asarray(score, float)
    no_worse = (costs[:, None] <= costs) & (scores[:, None] >= scores)
    better = (costs[:, None] < costs) | (scores[:, None] > scores)
    return np.logical_not((no_worse & better).any(axis=0))


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def _title(metric: str) -> str:
    unit = ", points" if tables.is_points(metric) else ""
    return f"{metric.replace('_', ' ')}{unit}"


def leaderboard(results: Results, of: Unit | None, metric: str | None, ax: Axes | None) -> Axes:
    """Scores from the best down, with the ranks that are left; the first group is coloured, the unranked are hollow."""
    metric = metric or "recovery"
    board = results.leaderboard(of or "methods", metric)
    board = board[board["score"].notna()].reset_index(drop=True)
    axes = _axes(ax, 6.0, 0.24 * len(board) + 1.0)
    for place, row in enumerate(board.to_dict("records")):
        color = FIRST if row["first_group"] else OTHER
        axes.plot([0, row["score"]], [place, place], "-", color=color, lw=1.2)
        axes.plot(row["score"], place, "o", color=color, mfc=color if row["ranked"] else "white", ms=6)
    ranks = [
        "not ranked" if pd.isna(low) else f"{low}" if low == high else f"{low}–{high}"
        for low, high in zip(board["rank_low"], board["rank_high"], strict=True)
    ]
    axes.set_yticks(range(len(board)), board["name"])
    axes.invert_yaxis()
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(board)), ranks)
    right.tick_params(length=0)
    right.set_ylabel("rank")
    axes.set_xlabel(f"{_title(metric)} (coloured: first group)")
    axes.axvline(0, color=OTHER, lw=0.8)
    axes.spines[["top", "left"]].set_visible(False)
    return axes


def cost(results: Results, of: Unit | None, metric: str | None, ax: Axes | None) -> Axes:
    """CPU time given a network against a score, and the front of those that none beats in both; one front a machine."""
    metric, of = metric or "recovery", of or "methods"
    if of == "networks":
        raise InputError("figure 'cost': expected methods or entrants, got networks: an explanation is what has a cost")
    points = cost_points(results, of, metric)
    axes = _axes(ax, 7.4, max(4.6, len(points) * SPACING * NAME / 72 + 1.2))
    sign, leaders = -1 if metric == "false_selections" else 1, set[tuple[str, str]]()
    for i, (machine, rows) in enumerate(points.groupby("machine", sort=False)):
        leading = rows[front(rows["seconds"], sign * rows["score"])].sort_values("seconds")
        leaders |= {(str(machine), str(name)) for name in leading["name"]}
        axes.step(leading["seconds"], leading["score"], "-", color=f"C{i}", lw=1, where="post", alpha=0.7)
        axes.plot(rows["seconds"], rows["score"], "osD^v"[i % 5], color=f"C{i}", ms=5, label=str(machine))
    axes.set_xscale("log")
    axes.set_xlabel("CPU seconds given a network (median); bold: on the front")
    axes.set_ylabel(_title(metric))
    if points["machine"].nunique() > 1:
        axes.legend(title="costs of different machines are kept apart", fontsize="x-small", title_fontsize="x-small")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(axes.get_xlim())
    axes.figure.canvas.draw()
    colors = dict(zip(points["machine"].unique(), (f"C{i}" for i in range(len(points))), strict=False))
    names_beside(axes, [
        Name(row["seconds"], row["score"], row["name"], colors[row["machine"]],
             {"weight": "bold" if (row["machine"], row["name"]) in leaders else "normal"})
        for row in points.to_dict("records")
    ], NAME)  # fmt: skip
    return axes


SPACING = 1.34
"""From one name to the next, in sizes of the type."""


class Name(NamedTuple):
    """What stands beside a figure: the name of the point at (x, y), how it looks, and the colour of its line."""

    x: float
    y: float
    text: str
    color: str
    look: dict[str, Any]


def names_beside(axes: Axes, names: Sequence[Name], size: float, marks: float = 3.0) -> None:
    """Every name in a column at the right, as near to the height of its point as fits, with a line to it.

    The limits of the axes must be those of the figure. ``size``: of the type, in points; ``marks``: from a line to the
    middle of its point.
    """
    ordered = sorted(names, key=lambda name: name.y)
    to_axes, last = axes.transScale + axes.transLimits, len(names) - 1
    gap = SPACING * size / 72 * axes.figure.dpi / axes.get_window_extent().height
    heights = [float(to_axes.transform((name.x, name.y))[1]) for name in ordered]
    within = [min(max(at, 0.01 + i * gap), 0.99 - (last - i) * gap) for i, at in enumerate(heights)]
    for name, place in zip(ordered, spaced(within, gap), strict=True):
        line = {"arrowstyle": "-", "color": name.color, "lw": 0.7, "alpha": 0.45, "shrinkA": 2, "shrinkB": marks}
        axes.annotate(name.text, (name.x, name.y), (1.06, place), textcoords="axes fraction", va="center",
                      annotation_clip=False, arrowprops=line, fontsize=size, **name.look)  # fmt: skip


def spaced(positions: Sequence[float], gap: float) -> list[float]:
    """Ascending ``positions`` moved as little as possible (least squares) so that neighbours are ``gap`` apart."""
    blocks: list[tuple[float, int]] = []  # mean and length of runs that touch, by pooling adjacent violators
    for i, position in enumerate(positions):
        mean, length = position - i * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean, length = (other * count + mean * length) / (count + length), count + length
        blocks.append((mean, length))
    flat = [mean for mean, length in blocks for _ in range(length)]
    return [value + i * gap for i, value in enumerate(flat)]


def cost_points(results: Results, of: Unit, metric: str) -> pd.DataFrame:
    """name, machine, seconds (median CPU time of set-up and explanation), score: what ``cost`` draws."""
    rows = means.timed(results.cells)
    given = rows.assign(name=rows["explainer"] if of == "methods" else rows["entrant"])
    medians = means.medians(given, ["machine", "name"], ["given_cpu"]).rename(columns={"given_cpu": "seconds"})
    medians["seconds"] = medians["seconds"].clip(lower=1e-6)
    board = results.leaderboard(of, metric)[["name", "score"]]
    return medians.merge(board[board["score"].notna()], on="name")[["name", "machine", "seconds", "score"]]


def retention(results: Results, metric: str | None, dataset: str | None, ax: Axes | None) -> Axes:
    """Test score that is left with the top k inputs on one dataset, by method and network, mean over draws."""
    import seaborn

    metric = metric or "retention_retrained"
    rows = results.measurements
    rows = rows[(rows["metric"] == metric) & (rows["k"] > 0) & rows["value"].notna()]
    chosen = _dataset(dataset, rows["dataset"], f"a curve of {metric}")
    rows = rows[rows["dataset"] == chosen].astype({"value": float})
    means = rows.groupby(["explainer", "model", "k"], sort=False)["value"].mean().reset_index()
    axes = _axes(ax, 6.4, 4.2)
    means = means.rename(columns={"explainer": "method", "model": "network"}).replace({"network": {"": "none"}})
    seaborn.lineplot(means, x="k", y="value", hue="method", style="network", errorbar=None, marker="o", ms=4, ax=axes)
    ks = sorted(means["k"].unique())
    axes.set_xscale("log")
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="inputs kept", ylabel=f"{metric.replace('_', ' ')}: test score", title=chosen)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize="x-small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def pairs(results: Results, of: Unit | None, metric: str | None, ax: Axes | None) -> Axes:
    """Differences of all pairs, row less column, best first; > ≥ = ≤ < where the draws decide."""
    import seaborn

    of, metric = of or "methods", metric or "recovery"
    found, names = results.pairs(of, metric), list(results.leaderboard(of, metric)["name"])
    values = pd.DataFrame(np.nan, index=names, columns=names)
    marks = pd.DataFrame("", index=names, columns=names)
    opposite = dict(zip(SIGNS.values(), reversed(list(SIGNS.values())[:5]), strict=False))
    for row in found.to_dict("records"):
        first, second, sign = row["first"], row["second"], SIGNS[str(row["outcome"])]
        values.loc[first, second], values.loc[second, first] = row["difference"], -row["difference"]
        marks.loc[first, second], marks.loc[second, first] = sign, opposite.get(sign, sign)
    axes = _axes(ax, 0.3 * len(names) + 2.6, 0.3 * len(names) + 1.8)
    seaborn.heatmap(values, annot=marks, fmt="", cmap="vlag_r", center=0, square=True, linewidths=0.5, ax=axes,
                    xticklabels=True, yticklabels=True,
                    cbar_kws={"label": f"{_title(metric)}, row less column", "shrink": 0.6})  # fmt: skip
    axes.tick_params(length=0)
    return axes


def agreement(results: Results) -> Any:
    """Mean rank correlation of methods on the same network, clustered by average linkage: seaborn's ClusterGrid."""
    import seaborn
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    from xai_bench.scoring import stability

    cells = results.cells[results.cells["cell"].isin(results.relevance.keys())]
    cells = cells[~cells["explainer"].isin(CONTROLS)]
    found = stability.agreement(cells, list(cells["explainer"].unique()), results.relevance)
    if found is None:
        raise InputError("figure 'agreement': expected relevances of two methods or more, got fewer")
    values = pd.DataFrame(found.mean, index=found.names, columns=found.names)
    distance = 1 - values.fillna(0.0).to_numpy()
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform((distance + distance.T) / 2, checks=False), method="average", optimal_ordering=True)
    side = 0.42 * len(values) + 2.4
    return seaborn.clustermap(
        values, row_linkage=tree, col_linkage=tree, mask=values.isna(), cmap="vlag", vmin=-1, vmax=1, annot=True,
        fmt=".2f", annot_kws={"size": "x-small"}, figsize=(side, side), xticklabels=True, yticklabels=True,
        cbar_pos=None, dendrogram_ratio=0.12,
    )  # fmt: skip


def relevance(results: Results, dataset: str | None, ax: Axes | None) -> Axes:
    """Relevance of the inputs of one dataset beside the truth (first row), an entrant a row; the largest mean is 1."""
    import seaborn

    frame = tables.relevances(results)
    frame = frame[~frame["explainer"].isin(CONTROLS)]
    chosen = _dataset(dataset, frame["dataset"], "a relevance")
    frame = frame[frame["dataset"] == chosen]
    table = frame.pivot_table("relevance", "entrant", "position", aggfunc="mean", sort=False).sort_index(axis=1)
    truth = _truth(frame)
    names = frame.drop_duplicates("position").set_index("position")["input"]
    largest = table.max(axis=1)
    table = table.div(largest.where(largest > 0, 1.0), axis=0)
    order = pd.DataFrame({"truth": truth.fillna(0.0), "mean": table.mean()}).sort_values(
        ["truth", "mean"], ascending=False, kind="stable"
    )
    shown = list(order.index[:MOST_INPUTS])
    if truth.notna().any():
        table = pd.concat([(truth / truth.max()).rename("truth").to_frame().T, table])
    axes = _axes(ax, 0.26 * len(shown) + 3.2, 0.26 * len(table) + 1.8)
    seaborn.heatmap(table[shown], cmap="Greys", vmin=0, vmax=1, linewidths=0.4, ax=axes, yticklabels=True,
                    xticklabels=[str(names[j]) for j in shown],
                    cbar_kws={"label": "relevance, largest mean = 1"})  # fmt: skip
    cut = f", {len(shown)} of {len(order)} inputs" if len(shown) < len(order) else ""
    axes.set(title=f"{chosen}{cut}", xlabel="", ylabel="")
    axes.tick_params(length=0)
    axes.tick_params(axis="x", rotation=90)
    if truth.notna().any():
        axes.axhline(1, color=TRUTH, lw=1.5)
    return axes


def _truth(frame: pd.DataFrame) -> pd.Series:
    """Position to its mean graded truth over draws; not graded: 1 for relevant, 0 for others; NaN without a truth."""
    known = frame.drop_duplicates(["data_seed", "fold", "position"])
    role = known["role"].map(lambda role: float(role == "relevant") if role else np.nan)
    grade = known["graded"].astype(float)
    return grade.where(grade.notna(), role).groupby(known["position"]).mean()


def _dataset(asked: str | None, known: pd.Series, what: str) -> str:
    """The dataset that is asked for, or the first."""
    labels = [str(label) for label in known.unique()]
    if not labels:
        raise InputError(f"expected a dataset with {what}, got none in this run")
    if asked is not None and asked not in labels:
        raise unknown(f"dataset with {what}", asked, labels)
    return asked or labels[0]


BOARD = ("of", "metric", "ax")
KINDS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "leaderboard": (leaderboard, BOARD), "cost": (cost, BOARD), "pairs": (pairs, BOARD),
    "retention": (retention, ("metric", "dataset", "ax")), "agreement": (agreement, ()),
    "relevance": (relevance, ("dataset", "ax")),
}  # fmt: skip
"""Kind of figure to its function, and which choices it takes."""
