"""Which methods rank alike on the same network: in words, and as a clustered heat map."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench import plots
from xai_bench.report.kit import drawing
from xai_bench.report.kit.frames import Frames, records
from xai_bench.report.kit.prose import ticked
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.wording import number
from xai_bench.scoring.stability import pairs

FEWEST = 3
"""Methods from which a map says more than a sentence."""


class WhichAgree(Section):
    """Rank agreement of methods."""

    id, title = "agreement", "Which methods agree"
    label, order = "Agreement", 110

    def needs(self) -> bool:
        return bool(self.frame["spearman"].notna().any())

    @cached_property
    def frame(self) -> pd.DataFrame:
        agreement = self.frames.agreement
        return pd.DataFrame(columns=["spearman"]) if agreement is None else pairs(agreement)

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
        return [Figure(heatmap(self.frames, self.key), self.title, caption)]


def heatmap(frames: Frames, key: str) -> str:
    """``plots.agreement`` as SVG text."""
    import matplotlib.pyplot as plt

    with drawing.style():
        grid = plots.agreement(frames.results)
        side = 0.5 * len(frames.ranked) + 2.6
        grid.figure.set_size_inches(side, side)
        for number in grid.ax_heatmap.texts:
            number.set_fontsize(drawing.SMALL)
        plt.close(grid.figure)
        return drawing.svg(grid.figure, key)
