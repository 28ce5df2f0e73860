"""Methods by dataset: recovery where a truth is known, retention everywhere; names and cells lead to the pages."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from xai_bench.report.kit.ranking import values_of
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, text
from xai_bench.report.sections.traits import shaded
from xai_bench.results.comparison import Unit


class Overview(Section):
    """Every dataset has a row, and a page."""

    id, title, label, order = "datasets", "Datasets", "Datasets", 40

    def words(self) -> str:
        return (
            "Means over draws, methods averaged over networks; † not every network learned. A name or number leads to "
            "the page of the dataset."
        )

    def tables(self) -> list[Table]:
        shown = [
            self._table("methods", "recovery", "Recovery: 0 chance, 1 perfect"),
            self._table("entrants", "recovery", "Recovery of entrants", fold=True),
            self._table(
                "methods", "retention", "Retention: gain over random inputs, in points of accuracy or hundredths of R²"
            ),
        ]
        return [table for table in shown if table is not None] or [self._list()]

    def _list(self) -> Table:
        """Nothing but the names."""
        traits = self.frames.cells.drop_duplicates("dataset").set_index("dataset")["traits"].to_dict()
        rows = [Row(d, [text(str(traits[d]) or "–")], link=a) for d, a in self.frames.addresses.items()]
        return Table("Datasets", "Dataset", [Column("Traits", text=True)], rows)

    def _table(self, of: Unit, metric: str, caption: str, *, fold: bool = False) -> Table | None:
        """A row a dataset, a column a method or entrant, the leader first."""
        frame = values_of(self.frames, of, metric)
        wide = frame.pivot_table("value", "dataset", "name", sort=False)
        order = [name for name in self.frames.board(of, metric)["name"] if name in wide]
        if not order:
            return None
        points, top = metric == "retention", wide.abs().max(axis=1).to_dict()
        values, learned = wide.to_dict(), frame.groupby(["name", "dataset"])["learned"].mean().to_dict()

        def box(dataset: str, name: str, address: str) -> Box:
            value = float(values[name][dataset])
            if not points or pd.isna(value):
                found = shaded(value, f"{address}#scores")
            else:
                found = shaded(value, f"{address}#retained", value / max(top[dataset], 1e-9), 1)
            return replace(found, unlearned=learned.get((name, dataset), 1.0) < 1)

        rows = [Row(dataset, [self._learned(dataset), *(box(dataset, name, address) for name in order)], link=address)
                for dataset, address in self.frames.addresses.items() if dataset in wide.index]  # fmt: skip
        columns = [Column("networks learned"), *(Column(name) for name in order)]
        shown = columns if self.frames.models else columns[1:]
        rows = rows if self.frames.models else [replace(row, boxes=row.boxes[1:]) for row in rows]
        return Table(caption, "Dataset", shown, rows, fold, "upright")

    def _learned(self, dataset: str) -> Box:
        """How many of the networks learned, over architectures and draws."""
        facts = [self.frames.reached(dataset, model) for model in self.frames.models]
        known = [one for one in facts if one is not None]
        if not known:
            return EMPTY
        learned, of = (sum(int(one[name]) for one in known) for name in ("learned", "of"))
        return Box(f"{learned} of {of}", value=learned / of)
