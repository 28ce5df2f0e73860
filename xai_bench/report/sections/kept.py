"""The score with the top k inputs, as a table at a few k."""

from __future__ import annotations

from typing import Any

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import CONTROLS, records
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import (
    EMPTY,
    Body,
    Box,
    Column,
    Row,
    Table,
    beside,
    by_network,
    has_learned,
    share,
)

SHOWN = (1, 3, 5, 10, 17, 50)
"""The k of the table, where they were measured and leave half of the inputs out; 17 and 50 are quoted in the paper."""
BOTH = 2
"""The largest so many of them are shown masked as well."""
RETRAINED, MASKED = "retention_retrained", "retention_masked"


class Kept(Section):
    """Only of suites that name the k they keep."""

    id, within, order = "kept", "datasets", 140

    def needs(self) -> bool:
        return self.frames.dense and bool(self.draw) and bool(self._places())

    def _places(self) -> list[tuple[str, int]]:
        """(form, k) of the columns, retrained before masked."""
        d = self.draw["d"]
        measured = {form: set(self.frames.curve(self.dataset, form)["k"]) for form in (RETRAINED, MASKED)}
        retrained = [k for k in SHOWN if k <= d / 2 and k in measured[RETRAINED]]
        masked = retrained[-BOTH:] if measured[MASKED] else []
        return [(RETRAINED, k) for k in retrained] + [(MASKED, k) for k in masked]

    def tables(self) -> list[Table]:
        places, seeds, trained = self._places(), len(self.frames.data_seeds), self.frames.trained
        values = {
            (form, row["model"], row["explainer"], int(row["k"])): row
            for form in (RETRAINED, MASKED)
            for row in records(self.frames.curve(self.dataset, form))
        }
        chance = float(trained.loc[trained["dataset"] == self.dataset, "chance"].mean())

        def boxes(model: str, explainer: str) -> list[Box]:
            # What a control keeps, masked, depends on the network.
            control = explainer in CONTROLS
            unlearned = not control and not has_learned(self.frames, self.dataset, model)
            rows = [values.get((form, model, explainer, k)) for form, k in places]
            shown = [None if control and form == MASKED else row for (form, _), row in zip(places, rows, strict=True)]
            return [_box(row, chance, unlearned, seeds) for row in shown]

        bodies = by_network(self.frames, boxes)
        if not bodies:
            return []
        controls = [Row(name, boxes(bodies[0].heading, name), "control") for name in CONTROLS]
        shown = [row for row in controls if any(box is not EMPTY for box in row.boxes)]
        columns = [Column(f"k = {k}", form.removeprefix("retention_").capitalize()) for form, k in places]
        caption = (
            f"Test score on {self.dataset} with the top k of {self.draw['d']:,} inputs: mean and 95 % interval over "
            "data seeds."
        )
        fold = f"Test score on {self.dataset} with the top k inputs, as a table"
        bodies = [*bodies, Body(shown, "controls, not ranked")]
        return [Table(caption, "Method, by network", columns, bodies, fold)]


def _box(row: dict[str, Any] | None, chance: float, unlearned: bool, seeds: int) -> Box:
    """The bar runs from the constant guess to 1."""
    if row is None:
        return EMPTY
    bar = share(row["mean"], chance, 1.0)
    return Box(wording.number(row["mean"]), beside(row, seeds), row["mean"], bar, unlearned=unlearned)
