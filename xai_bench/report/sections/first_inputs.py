"""What methods say of the inputs, on the first page: where all is about one dataset whose truth nobody knows."""

from __future__ import annotations

from functools import cached_property

from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.tables import Table
from xai_bench.report.sections.relevance import LEADING, Relevance


class FirstInputs(Relevance):
    """On the first page, where all is about one dataset whose truth nobody knows: what methods say is the answer."""

    id, title, label, within, order = "first_inputs", "Which inputs the methods name", "Inputs", "", 15

    def __init__(self, frames: Frames, dataset: str = "") -> None:
        super().__init__(frames, dataset or (frames.datasets[0] if len(frames.datasets) == 1 else ""))

    def needs(self) -> bool:
        return bool(self.dataset) and not self.frames.metrics and not self.draw.get("feature_shape") and super().needs()

    @cached_property
    def listed(self) -> list[int]:
        """Those with the highest mean over methods."""
        return super().listed[:LEADING]

    def words(self) -> str:
        return (
            "Mean share of the total relevance over draws, in per cent; dark: close to the largest of the column. "
            "Inputs are sorted by the mean over methods."
        )

    def findings(self) -> list[str]:
        d = len(self.methods)
        page = f"the page of `{self.dataset}`"
        return (
            [f"Listed are the first {len(self.listed)} of {d:,} inputs: more on {page}."]
            if len(self.listed) < d
            else []
        )

    def tables(self) -> list[Table]:
        return [self._table(self.methods, self.caption)]
