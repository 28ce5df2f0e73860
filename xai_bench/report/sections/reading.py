"""What the numbers of the page mean."""

from __future__ import annotations

from xai_bench.report.kit.markup import render
from xai_bench.report.kit.section import Section


class Reading(Section):
    """A line for every term; those of a known truth where one is known."""

    id, label, title = "reading", "How to read", "How to read the numbers"
    order, in_summary = 140, False

    def html(self) -> str:
        suite = self.frames.results.suite
        return render(
            "reading.html",
            rankings=suite.get("rankings"),
            retention=suite.get("retention"),
            dense=self.frames.dense,
            truth=bool(self.frames.metrics),
            windows="auroc_windows" in self.frames.metrics,
            on_cuda=any(record.get("device", "cpu") != "cpu" for record in self.frames.results.provenance),
        )
