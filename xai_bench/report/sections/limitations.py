"""What the numbers of the page do not say."""

from __future__ import annotations

from xai_bench.report.kit.markup import render
from xai_bench.report.kit.section import Section


class Limitations(Section):
    """The same for every suite, but for the number of its data seeds."""

    id, title, order, in_summary = "limitations", "Limitations", 90, False

    def html(self) -> str:
        return render("limitations.html", seeds=len(self.frames.data_seeds))
