"""Methods by dataset: recovery where a truth is known, retention everywhere; names and cells lead to the pages."""

from __future__ import annotations

import pandas as pd

from xai_bench.report.kit.ranking import values_of
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import Box, Column, Row, Table, text
from xai_bench.report.sections.traits import shaded
from xai_bench.results.comparison import Unit


class Overview(Section):
    """Every dataset has a row, and a page."""

    id, title, label, order = "datasets", "Datasets", "Datasets", 40

    def words(self) -> str:
        return "Means over draws, methods averaged over networks. A name or a number leads to the page of the dataset."

    def tables(self) -> list[Table]:
        shown = [
            self._table("methods", "recovery", "Recovery: 0 chance, 1 perfect"),
            self._table("entrants", "recovery", "Recovery of entrants", fold=True),
            self._table("methods", "retention", "Retention: gain over random inputs, in points"),
        ]
        return [table for table in shown if table is not None] or [self._list()]

    def _list(self) -> Table:
        """Nothing but the names."""
        traits = self.frames.cells.drop_duplicates("dataset").set_index("dataset")["traits"].to_dict()
        rows = [Row(d, [text(str(traits[d]) or "–")], link=a) for d, a in self.frames.addresses.items()]
        return Table("Datasets", "Dataset", [Column("Traits", text=True)], rows)

    def _table(self, of: Unit, metric: str, caption: str, *, fold: bool = False) -> Table | None:
        """A row a dataset, a column a method or entrant, the leader first."""
        wide = values_of(self.frames, of, metric).pivot_table("value", "dataset", "name", sort=False)
        order = [name for name in self.frames.board(of, metric)["name"] if name in wide]
        if not order:
            return None
        points, top = metric == "retention", wide.abs().max(axis=1).to_dict()
        values = wide.to_dict()

        def box(dataset: str, name: str, address: str) -> Box:
            value = float(values[name][dataset])
            if not points or pd.isna(value):
                return shaded(value, f"{address}#scores")
            return shaded(value, f"{address}#retained", value / max(top[dataset], 1e-9), 1)

        rows = [Row(dataset, [box(dataset, name, address) for name in order], link=address)
                for dataset, address in self.frames.addresses.items() if dataset in wide.index]  # fmt: skip
        return Table(caption, "Dataset", [Column(name) for name in order], rows, fold, "upright")
