"""The score with the top k inputs, as a table at a few k."""

from __future__ import annotations

import math
from typing import Any

from xai_bench.report import comparisons, wording
from xai_bench.report.tables import CONTROLS, Tables, records
from xai_bench.report.views import EMPTY, Body, Cell, Column, Row, Table, has_learned, kind_of

SHOWN = (1, 3, 5, 10, 17, 50)
"""The k of the table, where they were measured; 17 and 50 are those that are quoted."""
BOTH = 2
"""The largest so many of them are shown masked as well."""


def table(tables: Tables, dataset: str) -> Table | None:
    """A row a pair, retrained before masked; only for suites that name the k they keep."""
    if not tables.dense or not tables.draws(dataset):
        return None
    d = int(tables.draws(dataset)[0]["d"])
    found: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for form in ("retention_retrained", "retention_masked"):
        for row in records(tables.curve(dataset, form)):
            found[form, row["model"], row["explainer"], int(row["k"])] = row
    retrained = [k for k in SHOWN if k < d and any(key[0].endswith("retrained") and key[3] == k for key in found)]
    if not retrained:
        return None
    forms = [("retention_retrained", k) for k in retrained]
    forms += [("retention_masked", k) for k in retrained[-BOTH:] if any(key[0].endswith("masked") for key in found)]
    columns = [Column(f"k = {k}", form.removeprefix("retention_").capitalize()) for form, k in forms]
    focus, chance = comparisons.focus(tables), tables.trained.loc[tables.trained["dataset"] == dataset, "chance"].mean()

    def cells(model: str, explainer: str) -> list[Cell]:
        unlearned = explainer not in CONTROLS and not has_learned(tables, dataset, model)
        return [_cell(found.get((form, model, explainer, k)), chance, unlearned) for form, k in forms]

    bodies = []
    for model in dict.fromkeys(model for model, _ in tables.pairs):
        names = [explainer for m, explainer in tables.pairs if m == model]
        names.sort(key=lambda e: kind_of(e, focus) != "focus")
        rows = [Row(e, cells(model, e), kind_of(e, focus)) for e in [*names, *CONTROLS]]
        rows = [row for row in rows if any(cell is not EMPTY for cell in row.cells)]
        if any(row.kind != "control" for row in rows):
            bodies.append(Body(rows, model))
    caption = f"Test score on {dataset} with the top k of {d:,} inputs: mean and 95 % interval over data seeds."
    return Table(caption, "Method, by network", columns, bodies) if bodies else None


def _cell(row: dict[str, Any] | None, chance: float, unlearned: bool) -> Cell:
    """The bar runs from the constant guess to 1."""
    if row is None:
        return EMPTY
    bar = min(max((row["mean"] - chance) / (1 - chance), 0.0), 1.0) if math.isfinite(chance) and chance < 1 else None
    return Cell(wording.number(row["mean"]), wording.bounds(row["low"], row["high"]), row["mean"], bar,
                unlearned=unlearned)  # fmt: skip
