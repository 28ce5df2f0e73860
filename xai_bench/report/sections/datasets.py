"""The part of the page that shows every dataset by itself; sections within it are drawn for each of them."""

from __future__ import annotations

from xai_bench.report.kit.section import Section


class Datasets(Section):
    """Every dataset by itself."""

    id, title, order = "datasets", "Datasets", 60
