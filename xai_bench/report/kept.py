"""The score with the top k inputs, as a table at a few k."""

from __future__ import annotations

import math
from typing import Any

from xai_bench.report import comparisons, wording
from xai_bench.report.tables import CONTROLS, Tables, records
from xai_bench.report.views import EMPTY, Body, Cell, Column, Row, Table, beside, has_learned, kind_of

SHOWN = (1, 3, 5, 10, 17, 50)
"""The k of the table, where they were measured and leave half of the inputs out; 17 and 50 are quoted in the paper."""
BOTH = 2
"""The largest so many of them are shown masked as well."""


def table(tables: Tables, dataset: str) -> Table | None:
    """A row a pair, retrained before masked; only for suites that name the k they keep."""
    if not tables.dense or not tables.draws(dataset):
        return None
    d = int(tables.draws(dataset)[0]["d"])
    found: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for form in ("retention_retrained", "retention_masked"):
        for one in records(tables.curve(dataset, form)):
            found[form, one["model"], one["explainer"], int(one["k"])] = one
    retrained = [k for k in SHOWN if k <= d / 2 and any(key[0].endswith("retrained") and key[3] == k for key in found)]
    if not retrained:
        return None
    forms = [("retention_retrained", k) for k in retrained]
    forms += [("retention_masked", k) for k in retrained[-BOTH:] if any(key[0].endswith("masked") for key in found)]
    columns = [Column(f"k = {k}", form.removeprefix("retention_").capitalize()) for form, k in forms]
    focus, chance = comparisons.focus(tables), tables.trained.loc[tables.trained["dataset"] == dataset, "chance"].mean()

    seeds = len(tables.data_seeds)

    def row(model: str, explainer: str) -> Row:
        # What a control keeps, masked, depends on the network.
        control = explainer in CONTROLS
        unlearned = not control and not has_learned(tables, dataset, model)
        places = [None if control and form == "retention_masked" else (form, model, explainer, k) for form, k in forms]
        cells = [_cell(found.get(place) if place else None, chance, unlearned, seeds) for place in places]
        return Row(explainer, cells, kind_of(explainer, focus))

    bodies = []
    for model in dict.fromkeys(model for model, _ in tables.pairs):
        rows = [row(model, explainer) for m, explainer in tables.pairs if m == model]
        rows = [one for one in rows if any(cell is not EMPTY for cell in one.cells)]
        if rows:
            bodies.append(Body(sorted(rows, key=lambda one: one.kind != "focus"), model))
    if not bodies:
        return None
    controls = [row(bodies[0].heading, name) for name in CONTROLS]
    bodies.append(Body([r for r in controls if any(c is not EMPTY for c in r.cells)], "controls, not ranked"))
    caption = f"Test score on {dataset} with the top k of {d:,} inputs: mean and 95 % interval over data seeds."
    return Table(caption, "Method, by network", columns, bodies)


def _cell(row: dict[str, Any] | None, chance: float, unlearned: bool, seeds: int) -> Cell:
    """The bar runs from the constant guess to 1."""
    if row is None:
        return EMPTY
    bar = min(max((row["mean"] - chance) / (1 - chance), 0.0), 1.0) if math.isfinite(chance) and chance < 1 else None
    return Cell(wording.number(row["mean"]), beside(row, seeds), row["mean"], bar, unlearned=unlearned)
