"""The relevance of every input against the truth, as a table: names, numbers and shades, the truth first."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from xai_bench.report.kit import wording
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.shares import explained, shares, truth
from xai_bench.report.kit.tables import Box, Column, Row, Table, text

MOST = 1000
"""Inputs that are listed; of more, those that some method ranks highest."""
LEADING = 20
"""Inputs a method that are listed where there are more."""


class Relevance(Section):
    """Sorted by the truth, then by the mean relevance."""

    id, title, label, within, order = "relevance", "Relevance of the inputs", "Relevance", "datasets", 40

    def needs(self) -> bool:
        return bool(self.draw) and bool(explained(self.frames, self.dataset))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """(inputs, entrants) mean share of the total relevance over draws; columns are pairs (model, explainer)."""
        found = {tuple(pair): share.mean for pair, share in shares(self.frames, self.dataset).items()}
        return pd.DataFrame(found)

    @cached_property
    def methods(self) -> pd.DataFrame:
        """The same, averaged over networks; the columns in the order of the leaderboard."""
        wide = self.frame.T.groupby(level=1, sort=False).mean().T
        return wide[[name for name in self.frames.ranked if name in wide]]

    @cached_property
    def listed(self) -> list[int]:
        """The inputs that are listed, the most relevant first."""
        mean, known = self.methods.mean(axis=1).to_numpy(), truth(self.frames, self.dataset)
        main = known[0] if known else np.zeros(len(mean))
        chosen = set(range(len(mean)))
        if len(mean) > MOST:
            chosen = set(np.flatnonzero(main > 0).tolist())
            for name in self.methods:
                chosen |= set(np.argsort(-self.methods[name].to_numpy(), kind="stable")[:LEADING].tolist())
        return sorted(chosen, key=lambda j: (-main[j], -mean[j]))

    def words(self) -> str:
        known = truth(self.frames, self.dataset)
        said = (
            "The truth is not known"
            if known is None
            else "The truth stands first"
            if known[1]
            else "The truth, which is not graded, stands first"
        )
        return (
            "Mean share of the total relevance over draws, in per cent; dark: close to the largest of the column. "
            f"{said}; rows are sorted by {'it, then by ' if known else ''}the mean over methods."
        )

    def findings(self) -> list[str]:
        d = len(self.methods)
        return (
            [
                f"Listed are {len(self.listed):,} of {d:,} inputs: the relevant ones, and of every method "
                f"the {LEADING} highest."
            ]
            if len(self.listed) < d
            else []
        )

    def tables(self) -> list[Table]:
        tables = [self.of_methods()]
        models = [m for m in self.frames.models if m in self.frame.columns.get_level_values(0)]
        if len(models) > 1 and len(self.listed) <= MOST // 4:
            for model in models:
                names = [name for name in self.frames.ranked if (model, name) in self.frame]
                own = self.frame[[(model, name) for name in names]].set_axis(names, axis=1)
                tables.append(self._table(own, f"Relevance on {model}", fold=True))
        return tables

    def of_methods(self, most: int | None = None) -> Table:
        """The table of methods, with the first inputs only if so many are given."""
        caption = (
            "Relevance by method, averaged over networks" if len(self.frames.models) > 1 else "Relevance by method"
        )
        return self._table(self.methods, caption, most=most)

    def _table(self, values: pd.DataFrame, caption: str, *, fold: bool = False, most: int | None = None) -> Table:
        names, units = self.draw["feature_names"], self.draw.get("feature_units") or []
        known, roles = truth(self.frames, self.dataset), self.draw.get("roles")
        columns = [Column("Role", text=True), Column("Truth")] if known else []
        percent = 100 * values.to_numpy()
        top = np.maximum(percent.max(axis=0), 1e-300)
        rows = []
        for j in self.listed[:most]:
            own = (
                [text(roles[j]), _share(100 * known[0][j], known[0][j] / max(known[0].max(), 1e-300))]
                if known and roles
                else []
            )
            unit = f" ({units[j]})" if len(units) > j and units[j] else ""
            boxes = [_share(v, s) for v, s in zip(percent[j], percent[j] / top, strict=True)]
            rows.append(Row(wording.without_paths(f"{names[j]}{unit}"), [*own, *boxes]))
        look = "upright long" if len(values) > 40 else "upright"
        return Table(caption, "Input", [*columns, *[Column(str(name)) for name in values]], rows, fold, look)


def _share(percent: float, shade: float) -> Box:
    return Box(wording.number(percent, 2), shade=shade)
