"""What methods say of the inputs, on the first page: where all is about one dataset whose truth nobody knows."""

from __future__ import annotations

from functools import cached_property

from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import Table
from xai_bench.report.sections.relevance import LEADING, Relevance


class FirstInputs(Section):
    """What methods say of the inputs is the answer there."""

    id, title, label, order = "first_inputs", "Which inputs the methods name", "Inputs", 15

    @cached_property
    def inputs(self) -> Relevance:
        """The section of the page of the dataset."""
        return Relevance(self.frames, self.frames.datasets[0])

    def needs(self) -> bool:
        if len(self.frames.datasets) != 1 or self.frames.metrics:
            return False
        return not self.inputs.draw.get("feature_shape") and self.inputs.needs()

    def words(self) -> str:
        return (
            "Mean share of the total relevance over draws, in per cent; dark: close to the largest of the column. "
            "Inputs are sorted by the mean over methods."
        )

    def tables(self) -> list[Table]:
        return [self.inputs.of_methods(LEADING)]

    def findings(self) -> list[str]:
        d = len(self.inputs.methods)
        if d <= LEADING:
            return []
        return [f"Listed are the first {LEADING} of {d:,} inputs: more on the page of `{self.inputs.dataset}`."]
