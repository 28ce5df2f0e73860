"""The score with the top k inputs, as a table at a few k."""

from __future__ import annotations

import math
from typing import Any

from xai_bench.report import comparisons, wording
from xai_bench.report.kit.frames import CONTROLS, Frames, records
from xai_bench.report.kit.tables import EMPTY, Body, Box, Column, Row, Table, beside, has_learned, kind_of

SHOWN = (1, 3, 5, 10, 17, 50)
"""The k of the table, where they were measured and leave half of the inputs out; 17 and 50 are quoted in the paper."""
BOTH = 2
"""The largest so many of them are shown masked as well."""


def table(frames: Frames, dataset: str) -> Table | None:
    """A row a pair, retrained before masked; only for suites that name the k they keep."""
    if not frames.dense or not frames.draws(dataset):
        return None
    d = int(frames.draws(dataset)[0]["d"])
    found: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for form in ("retention_retrained", "retention_masked"):
        for one in records(frames.curve(dataset, form)):
            found[form, one["model"], one["explainer"], int(one["k"])] = one
    retrained = [k for k in SHOWN if k <= d / 2 and any(key[0].endswith("retrained") and key[3] == k for key in found)]
    if not retrained:
        return None
    forms = [("retention_retrained", k) for k in retrained]
    forms += [("retention_masked", k) for k in retrained[-BOTH:] if any(key[0].endswith("masked") for key in found)]
    columns = [Column(f"k = {k}", form.removeprefix("retention_").capitalize()) for form, k in forms]
    focus, chance = comparisons.focus(frames), frames.trained.loc[frames.trained["dataset"] == dataset, "chance"].mean()

    seeds = len(frames.data_seeds)

    def row(model: str, explainer: str) -> Row:
        # What a control keeps, masked, depends on the network.
        control = explainer in CONTROLS
        unlearned = not control and not has_learned(frames, dataset, model)
        places = [None if control and form == "retention_masked" else (form, model, explainer, k) for form, k in forms]
        cells = [_cell(found.get(place) if place else None, chance, unlearned, seeds) for place in places]
        return Row(explainer, cells, kind_of(explainer, focus))

    bodies = []
    for model in dict.fromkeys(model for model, _ in frames.pairs):
        rows = [row(model, explainer) for m, explainer in frames.pairs if m == model]
        rows = [one for one in rows if any(cell is not EMPTY for cell in one.cells)]
        if rows:
            bodies.append(Body(sorted(rows, key=lambda one: one.kind != "focus"), model))
    if not bodies:
        return None
    controls = [row(bodies[0].heading, name) for name in CONTROLS]
    bodies.append(Body([r for r in controls if any(c is not EMPTY for c in r.cells)], "controls, not ranked"))
    caption = f"Test score on {dataset} with the top k of {d:,} inputs: mean and 95 % interval over data seeds."
    return Table(caption, "Method, by network", columns, bodies)


def _cell(row: dict[str, Any] | None, chance: float, unlearned: bool, seeds: int) -> Box:
    """The bar runs from the constant guess to 1."""
    if row is None:
        return EMPTY
    bar = min(max((row["mean"] - chance) / (1 - chance), 0.0), 1.0) if math.isfinite(chance) and chance < 1 else None
    return Box(wording.number(row["mean"]), beside(row, seeds), row["mean"], bar, unlearned=unlearned)
