"""Which methods rank alike on the same network: in words, and as a clustered heat map."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from xai_bench.report.kit import drawing
from xai_bench.report.kit.drawing import GREY, INK, PALE
from xai_bench.report.kit.frames import records
from xai_bench.report.kit.prose import ticked
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.shares import Floats
from xai_bench.report.kit.wording import number
from xai_bench.scoring.stability import Agreement, pairs

FEWEST = 3
"""Methods from which a map says more than a sentence."""


class WhichAgree(Section):
    """Rank agreement of methods."""

    id, title = "agreement", "Which methods agree"
    within, order = "scrutiny", 40

    def needs(self) -> bool:
        return bool(self.frame["spearman"].notna().any())

    @cached_property
    def frame(self) -> pd.DataFrame:
        agreement = self.frames.agreement
        return pd.DataFrame(columns=["spearman"]) if agreement is None else pairs(agreement)

    def csv(self) -> dict[str, pd.DataFrame]:
        return {"agreement.csv": self.frame}

    def words(self) -> str:
        known = self.frame[self.frame["spearman"].notna()]
        most, least = (records(known.sort_values("spearman", ascending=up, kind="stable"))[0] for up in (False, True))
        return (
            "Rank correlation of relevances on the same network, averaged over networks and datasets: from "
            f"{number(least['spearman'], 2)} (`{least['explainer']}` and `{least['other']}`) to "
            f"{number(most['spearman'], 2)} (`{most['explainer']}` and `{most['other']}`). Methods that agree are not "
            "several witnesses: they may share an error."
        )

    def findings(self) -> list[str]:
        agreement = self.frames.agreement
        if agreement is None or not agreement.same:
            return ["No two methods rank identically on every network."]
        return [f"Identical rankings on every network: {'; '.join(ticked(group) for group in agreement.same)}."]

    def figures(self) -> list[Figure]:
        agreement = self.frames.agreement
        if agreement is None or len(agreement.names) < FEWEST:
            return []
        caption = (
            "Mean Spearman correlation between methods on the same network, ordered by average linkage of one minus "
            "it. A method without a network is compared on every network of its draw. Grey: the two never had the same "
            "network."
        )
        return [Figure(heatmap(agreement, self.key), self.title, caption)]


def clustered(mean: Floats) -> tuple[list[int], Floats]:
    """Rows in the order of their clusters (average linkage of 1 - correlation), and the linkage (m - 1, 4).

    Methods that never met count as uncorrelated.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.where(np.isfinite(mean), mean, 0.0)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    return leaves_list(tree).tolist(), tree


def heatmap(agreement: Agreement, key: str) -> str:
    """Mean Spearman correlation of every pair of methods, tree on the left, as SVG text."""
    from scipy.cluster.hierarchy import dendrogram
    from seaborn import color_palette

    rows, tree = clustered(agreement.mean)
    m = len(rows)
    values = agreement.mean[np.ix_(rows, rows)]
    names = [agreement.names[i] for i in rows]
    side = max(3.2, 0.44 * m)
    with drawing.style():
        figure, axes = drawing.new(side + 2.9, side + 1.5, 1, 2, width_ratios=[1, 5])
        branches, map_ = axes[0]
        drawn = dendrogram(tree, no_plot=True)
        for across, along in zip(drawn["dcoord"], drawn["icoord"], strict=True):
            branches.plot(across, np.array(along) / 10, "-", color=GREY, lw=0.9)  # scipy puts leaves at 5, 15, 25 ...
        branches.set(xlim=(max(drawn["dcoord"][-1]) * 1.02 + 1e-9, 0), ylim=(m, 0))
        branches.set_axis_off()
        colors = color_palette("vlag", as_cmap=True).with_extremes(bad=PALE)
        map_.pcolormesh(np.ma.masked_invalid(values), cmap=colors, vmin=-1, vmax=1, edgecolor="white", linewidth=0.6)
        for i in range(m):
            for j in range(m):
                if np.isfinite(values[i, j]):
                    dark = abs(values[i, j]) > 0.75
                    text = f"{values[i, j]:.2f}".replace("0.", ".", 1).replace("-", "−")
                    map_.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=6.5,
                              color="white" if dark else INK)  # fmt: skip
        map_.set(xlim=(0, m), ylim=(m, 0))
        map_.set_xticks(np.arange(m) + 0.5, names, rotation=90)
        map_.set_yticks(np.arange(m) + 0.5, names)
        map_.yaxis.tick_right()
        map_.tick_params(length=0)
        map_.spines[["left", "bottom"]].set_visible(False)
        return drawing.svg(figure, key)
