"""Sanity as a follow-up: the relevances of one network are computed again while its layers are initialised anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from numpy.typing import NDArray

from xai_bench.component import stream_seed
from xai_bench.errors import FAILURES, reason_of
from xai_bench.models.source import ModelSource
from xai_bench.running import block as computed
from xai_bench.running.describe import load_checked
from xai_bench.running.followups.base import FollowUp, Rows, Scope, Stored, as_trained
from xai_bench.running.state import guarded
from xai_bench.scoring import sanity
from xai_bench.suites.plan import Block
from xai_bench.suites.suite import Sanity, Suite
from xai_bench.workers import Spent


@dataclass(frozen=True)
class SanityTask:
    """The relevances of one network that are to be compared.

    ``block`` holds the cells in question; ``relevances``: cell key to (n_inputs,) relevances in canonical order.
    ``content_hash``: what the data must be, if that is known.
    """

    key: str
    block: Block
    weights: bytes
    relevances: Mapping[str, NDArray]
    content_hash: str | None = None
    stages: sanity.Stages = "each"

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(self.relevances)

    def run(self) -> Iterator[Rows]:
        """Compare the relevance of one cell after the other; a method that fails costs the others nothing."""
        block = self.block
        assert block.model is not None
        source: ModelSource = block.model.component
        data = computed.for_model(block, load_checked(block.draw, self.content_hash))
        with guarded():
            model = computed.from_weights(source, data, self.weights, block.device, block.model_seed)
        for cell in block.cells:
            assert cell.explainer is not None
            original = data.shuffled_over_inputs(self.relevances[cell.key])
            seed = stream_seed("explainer", cell.key)
            problem = computed.problem_of(data, model, block.device, block.memory)
            try:
                with guarded():
                    curves = sanity.curves(
                        *(cell.explainer, source, problem, original, block.model_key, seed), self.stages
                    )
            except Spent as lost:
                yield {cell.key: str(lost)}
                raise
            except FAILURES as error:
                yield {cell.key: reason_of(error)}
            else:
                yield {cell.key: curves}


@dataclass(frozen=True)
class SanityFollowUp(FollowUp[SanityTask, Rows]):
    """The sanity of the relevances of one network, in the part of the suite that ``part`` names."""

    name: ClassVar[str] = "sanity"
    version: ClassVar[int] = sanity.VERSION
    scope: ClassVar[Scope] = "network"
    reason_at: ClassVar[tuple[str, int]] = ("sanity_top", 1)

    part: Sanity

    @classmethod
    def of(cls, suite: Suite) -> Self | None:
        return None if suite.sanity is None else cls(suite.sanity)

    def covers(self, blocks: Sequence[Block]) -> bool:
        return any(self._covers(block) for block in blocks)

    def _covers(self, block: Block) -> bool:
        if block.model is None or block.draw.permutation is not None:
            return False
        draw, model = block.draw, block.model
        return self.part.holds(draw.dataset.label, draw.data_seed) and self.part.covers("models", model.label)

    def due(self, blocks: Sequence[Block], stored: Stored) -> SanityTask | None:
        covered = [block for block in blocks if self._covers(block)]
        block = covered[0]
        cells = {
            cell.key: cell
            for one in covered
            for cell in one.cells
            if cell.explainer is not None and self.part.covers("explainers", cell.label)
        }
        waiting = cells.keys() - stored.followed(self.name, sanity.key(self.part.stages), cells)
        weights = stored.weights(block.model_key)
        relevances = stored.relevances(key for key in cells if key in waiting)
        if not relevances or weights is None:
            return None
        assert block.model is not None
        model = as_trained(block.model, block.model_key, stored)
        block = replace(block, model=model, cells=tuple(cells[key] for key in relevances))
        key, content_hash = sanity.key(self.part.stages), stored.content_hash(block.draw.key)
        return SanityTask(key, block, weights, relevances, content_hash, self.part.stages)

    def rows(self, task: SanityTask, result: Rows) -> Rows:
        return result
