"""What is known of a dataset: its task, its size, its truth."""

from __future__ import annotations

from typing import Any

from xai_bench.report.kit import wording
from xai_bench.report.kit.markup import render
from xai_bench.report.kit.section import Section


class Facts(Section):
    """With the notices of its draws."""

    id, within, order = "facts", "datasets", 10

    def html(self) -> str:
        draws = self.frames.draws(self.dataset)
        notices = sorted({wording.without_paths(notice) for draw in draws for notice in draw.get("notices", [])})
        return render("facts.html", facts=facts(self.draw), notices=notices)


def facts(first: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what is known of a dataset by its first draw."""
    if not first:
        return [("Rows", "unknown: no cell of this dataset was run")]
    regression = first["kind"] == "regression"
    shape = first.get("feature_shape")
    rows = [
        ("Task", "regression" if regression else f"classification, {first['n_outputs']} classes"),
        ("Score", "R²" if regression else "accuracy"),
        ("Inputs", f"{first['d']:,}" + (f" ({shape[0]} × {shape[1]} pixels)" if shape else "")),
        ("Rows", f"{first['n_train']:,} train, {first['n_valid']:,} validation, {first['n_test']:,} test"),
        ("Truth", _truth(first)),
    ]
    if first.get("ceiling") is not None:
        rows.append(("Ceiling", f"{wording.number(first['ceiling'])}, the Bayes score of all inputs"))
    if regression and first.get("target_name"):
        units = f" ({first['target_units']})" if first.get("target_units") else ""
        rows.append(("Target", wording.without_paths(f"{first['target_name']}{units}")))
    if first.get("constant"):
        rows.append(("Constant inputs", f"{len(first['constant']):,}, of relevance 0 by definition"))
    return rows


def _truth(draw: dict[str, Any]) -> str:
    if draw.get("roles") is None:
        return "not known"
    counts = {role: draw["roles"].count(role) for role in dict.fromkeys(draw["roles"])}
    text = ", ".join(f"{count:,} {role}" for role, count in counts.items())
    if draw.get("graded") is not None:
        text += "; graded"
    if draw.get("resolution") is not None:
        text += f", clearly relevant from {draw['resolution']:g}"
    return text
