"""Which follow-ups are due when: at the start of a run, and as its blocks are closed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xai_bench.running import followups
from xai_bench.running.followups.base import FollowUp, FollowUpTask, Scope, Stored
from xai_bench.suites.plan import Block
from xai_bench.suites.suite import Suite

Place = tuple[str, ...]
"""A scope and the keys that name one draw, or one network on a draw, within it."""


@dataclass(frozen=True)
class Due:
    """A follow-up of the planned blocks of its scope. ``task`` is None if nothing is missing there."""

    followup: FollowUp[Any, Any]
    blocks: Sequence[Block]
    task: FollowUpTask[Any] | None


class Agenda:
    """The follow-ups of a run.

    Parameters
    ----------
    planned, todo : all blocks of the suite, and those that the run computes
    stored : the store
    """

    def __init__(self, suite: Suite, planned: Iterable[Block], todo: Iterable[Block], stored: Stored) -> None:
        self.asked, self._stored = followups.asked_by(suite), stored
        self._planned: defaultdict[Place, list[Block]] = defaultdict(list)
        self._open: Counter[Place] = Counter()
        for scope in dict.fromkeys(followup.scope for followup in self.asked):
            for block in planned:
                self._planned[_place(scope, block)].append(block)
            self._open.update(_place(scope, block) for block in todo)

    def at_once(self) -> list[Due]:
        """The tasks of what no block of the run belongs to; nothing is listed of what is complete."""
        complete = [self._due(f, blocks) for f, place, blocks in self._covered() if not self._open[place]]
        return [due for due in complete if due.task is not None]

    def later(self) -> list[tuple[FollowUp[Any, Any], Sequence[Block]]]:
        """The follow-ups, with the planned blocks they are about, that blocks of the run have to be closed for."""
        return [(f, blocks) for f, place, blocks in self._covered() if self._open[place]]

    def closed(self, block: Block) -> list[Due]:
        """What is due now that a block of the run has no open cell any more."""
        places = {followup.scope: _place(followup.scope, block) for followup in self.asked}
        self._open.subtract(places.values())
        complete = [f for f in self.asked if not self._open[places[f.scope]]]
        return [
            self._due(followup, blocks)
            for followup in complete
            if followup.covers(blocks := self._planned[places[followup.scope]])
        ]

    def _covered(self) -> Iterator[tuple[FollowUp[Any, Any], Place, Sequence[Block]]]:
        for followup in self.asked:
            for place, blocks in self._planned.items():
                if place[0] == followup.scope and followup.covers(blocks):
                    yield followup, place, blocks

    def _due(self, followup: FollowUp[Any, Any], blocks: Sequence[Block]) -> Due:
        return Due(followup, blocks, followup.due(blocks, self._stored))


def _place(scope: Scope, block: Block) -> Place:
    if scope == "suite":
        return (scope,)
    return (scope, block.draw.key) if scope == "draw" else (scope, block.draw.key, block.model_key)
