"""Mean ranks over families, as papers print them: the critical-difference diagram."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from xai_bench.errors import InputError
from xai_bench.rank_tests import RankTests
from xai_bench.report.kit import drawing
from xai_bench.report.kit.section import Figure, Section
from xai_bench.report.kit.wording import listed, number, p_value, without_paths


class Critical(Section):
    """Friedman and Nemenyi; with few families no difference can be shown, and it is left out."""

    id, title, label, order = "critical", "Critical differences of mean ranks", "Mean ranks", 60

    @cached_property
    def found(self) -> RankTests | str:
        """Or the reason why there is none."""
        try:
            return self.frames.results.rank_tests()
        except InputError as error:
            return without_paths(error)

    def needs(self) -> bool | str:
        return True if isinstance(self.found, RankTests) else f"the critical-difference diagram ({self.found})"

    def words(self) -> str:
        assert isinstance(self.found, RankTests)
        return (
            f"Mean ranks by recovery within {self.found.families} families; bars join those that are closer than the "
            f"critical difference of {number(self.found.critical_difference, 2)} (Nemenyi). It asks whether they "
            "differ on further families of this kind."
        )

    def findings(self) -> list[str]:
        assert isinstance(self.found, RankTests)
        ranks = self.found.mean_ranks.sort_values()
        near = ranks.index[(ranks - ranks.iloc[0] <= self.found.critical_difference) & (ranks.index != ranks.index[0])]
        joined = f"The bar of the best, `{without_paths(ranks.index[0])}`, joins it with {_names(near)}."
        return [f"Friedman’s test that all are alike: p {p_value(self.found.p_value)}.", joined]

    def figures(self) -> list[Figure]:
        assert isinstance(self.found, RankTests)
        label = "Critical-difference diagram of mean ranks"
        return [Figure(diagram(self.found, self.key), label, "1 is the best rank.")]


def _names(names: Sequence[object]) -> str:
    return listed([f"`{without_paths(name)}`" for name in names], 12) if len(names) else "nobody"


def diagram(found: RankTests, key: str) -> str:
    """Drawn by scikit-posthocs."""
    from scikit_posthocs import critical_difference_diagram

    with drawing.style():
        figure, axes = drawing.new(9.0, 1.2 + 0.16 * len(found.mean_ranks))
        ranks = found.mean_ranks.rename(lambda name: without_paths(name))
        nemenyi = found.nemenyi.rename(without_paths).rename(without_paths, axis=1)
        critical_difference_diagram(
            ranks, nemenyi, ax=axes[0, 0], color_palette=dict.fromkeys(ranks.index, drawing.INK)
        )
        for line in axes[0, 0].lines:  # The bars are drawn through the members of a set, whose order is not fixed.
            if len(line.get_xdata()) > 2 and len(set(line.get_ydata())) == 1:
                line.set_xdata(np.sort(line.get_xdata()))
        return drawing.svg(figure, key)
