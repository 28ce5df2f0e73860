"""The published table that the suite can be compared with, beside this run."""

from __future__ import annotations

from functools import cached_property

from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import Box, Column, Row, Table, text, valued
from xai_bench.results import anchor_text
from xai_bench.results.agreement import MARGIN
from xai_bench.results.anchors import Agreement


class AnchorTable(Section):
    """Protocols first, then theirs and ours with what is decided."""

    id, label, title, order = "anchor", "Published table", "A published table beside ours", 118

    def needs(self) -> bool:
        return bool(self.frames.results.suite.get("anchor")) and not self._found.table.empty

    @cached_property
    def _found(self) -> Agreement:
        return self.frames.results.anchor()

    def words(self) -> str:
        return self._found.sentences()[0]

    def findings(self) -> list[str]:
        return self._found.sentences()[1:]

    def tables(self) -> list[Table]:
        found = self._found
        return [self._protocol(), self._figures(), *(self._beside(score) for score in anchor_text.scores_of(found))]

    def _protocol(self) -> Table:
        anchor = self._found.anchor
        rows = [
            Row(line.what, [text(line.theirs), text("the same" if line.same else line.ours)])
            for line in anchor.protocol
        ]
        rows += [Row(pair.theirs, [text(pair.note), text(anchor_text.ours_of(pair))]) for pair in anchor.methods]
        absent = f" Nothing of this run stands for {', '.join(self._found.absent)}." if self._found.absent else ""
        caption = f"How it was done there and here. {anchor.source}; licence: {anchor.licence}.{absent}"
        return Table(caption, "What", [Column("Theirs", text=True), Column("Ours", text=True)], rows, look="plain")

    def _beside(self, score: str) -> Table:
        data, lines = anchor_text.beside(self._found, score)
        rows = [
            Row(
                name,
                [text(source), *(valued(means.get(one)) for one in data)],
                "control" if source != "ours" else "method",
            )
            for source, name, means in lines
        ]
        caption = f"{score}: everything published, and every method of this run; means over draws."
        return Table(caption, "Method", [Column("Source", text=True), *map(Column, data)], rows, fold=True)

    def _figures(self) -> Table:
        caption = (
            "Theirs as published, ours of this run; no mean, interval or ranking uses theirs. The difference is ours "
            f"less theirs, with the standard error that both have; decided is whether it is within {MARGIN:g}."
        )
        columns = [
            Column("Score", text=True),
            Column("Theirs", text=True),
            Column("Ours", text=True),
            Column("Published"),
            Column("This run"),
            Column("Difference"),
            Column("Outcome", text=True),
            Column("Why", text=True),
        ]
        rows = []
        for one, shown in zip(self._found.table.to_dict("records"), anchor_text.boxes(self._found), strict=True):
            data, score, theirs, ours, published, own, difference, outcome = shown
            rows.append(
                Row(
                    data,
                    [
                        text(score),
                        text(theirs),
                        text(ours),
                        Box(published, value=float(one["published"])),
                        Box(own, value=float(one["ours"])),
                        Box(difference, value=float(one["difference"])),
                        text(outcome),
                        text(str(one["why"])),
                    ],
                )
            )
        return Table(caption, "Data", columns, rows)
