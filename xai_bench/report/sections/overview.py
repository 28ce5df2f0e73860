"""Methods by dataset: recovery where a truth is known, retention everywhere; names and cells lead to the pages."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.report.kit.ranking import RETENTION, scores_of
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, share, text
from xai_bench.report.kit.wording import of_score
from xai_bench.report.sections.traits import shaded


class Overview(Section):
    """Every dataset has a row, and a page."""

    id, title, label, order = "datasets", "Datasets", "Datasets", 40

    @cached_property
    def frame(self) -> pd.DataFrame:
        """dataset, model, explainer, value: mean recovery over draws."""
        return scores_of(self.frames).groupby(["dataset", "model", "explainer"], sort=False)["value"].mean().reset_index()

    def words(self) -> str:
        return "Mean recovery on every dataset, methods averaged over networks. A name or a number leads to the page of the dataset."

    def tables(self) -> list[Table]:
        recovery, gains = self.frame, self.frames.retention
        gains = gains[gains["metric"] == RETENTION].rename(columns={"mean": "value"})
        tables = [self._list()] if recovery.empty else [self._table(recovery, "explainer", "Recovery: 0 chance, 1 perfect")]
        if len(recovery) and recovery["model"].nunique() > 1:
            entrants = recovery.assign(entrant=recovery["explainer"] + " on " + recovery["model"])
            tables.append(self._table(entrants, "entrant", "Recovery of entrants", fold=True))
        if len(gains):
            tables.append(self._table(gains, "explainer", "Retention: gain over random inputs, in points", fold=len(recovery) > 0))
        return tables

    def _list(self) -> Table:
        """Nothing but the names."""
        kinds = self.frames.cells.drop_duplicates("dataset").set_index("dataset")
        rows = [Row(d, [text(kinds.loc[d, "traits"] or "–")], link=a) for d, a in self.frames.addresses.items()]
        return Table("Datasets", "Dataset", [Column("Traits", text=True)], rows)

    def _table(self, frame: pd.DataFrame, column: str, caption: str, *, fold: bool = False) -> Table:
        wide = frame.pivot_table("value", "dataset", column, sort=False)
        order = [e for e in self.frames.ranked if e in wide] if column == "explainer" else list(wide.mean().sort_values(ascending=False).index)
        points = frame.get("metric") is not None
        top = wide.abs().max(axis=1)

        def box(dataset: str, name: str) -> Box:
            value, link = wide.loc[dataset, name], f"{self.frames.addresses[dataset]}#scores"
            if not points or pd.isna(value):
                return shaded(value, link)
            shade = share(abs(value), 0.0, top[dataset])
            return Box(of_score(value, RETENTION), value=value, shade=shade, look="minus" if value < 0 else "", link=link)

        rows = [Row(d, [box(d, e) for e in order] if d in wide.index else [EMPTY] * len(order), link=address)
                for d, address in self.frames.addresses.items()]  # fmt: skip
        return Table(caption, "Dataset", [Column(e) for e in order], rows, fold, "upright")
