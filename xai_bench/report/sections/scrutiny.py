"""The part of the page that asks what a score is worth; its own sections stand in it."""

from __future__ import annotations

from xai_bench.report.kit.section import Section


class Scrutiny(Section):
    """What a score is worth beyond its mean."""

    id, label, title, order = "scrutiny", "Scrutiny", "Scrutiny: what is a score worth?", 50
