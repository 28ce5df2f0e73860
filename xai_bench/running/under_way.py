"""What is under way: how far a run is, and what has come of the tasks that are not finished."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from xai_bench.results.records import CellResult
from xai_bench.running.agenda import Due
from xai_bench.running.block import LOADING, Prepared
from xai_bench.running.ledger import Forecast
from xai_bench.suites.plan import Block, Cell
from xai_bench.workers import Started


@dataclass
class Progress:
    """How far a run is; given to ``on_progress`` after every block and every follow-up."""

    total: int
    """Cells to compute in this run."""
    done: int = 0
    unsupported: int = 0
    failed: int = 0
    timed_out: int = 0
    followups: int = 0
    """Follow-ups of this run, such as the retention of one draw."""
    followed: int = 0
    """Follow-ups that have come to an end."""
    notices: list[str] = field(default_factory=list)
    followup_failures: list[str] = field(default_factory=list)
    """What failed as a whole, and why, one line each."""
    last: str = ""
    forecast: Forecast | None = None
    """Of the whole run, made before it began."""
    remaining: float = 0.0
    """Wall seconds that the remaining work takes, as far as its cost is known."""
    unknown: tuple[str, ...] = ()
    """Kinds of work whose cost is not known yet."""

    @property
    def finished(self) -> int:
        """Cells that have a result."""
        return self.done + self.unsupported + self.failed + self.timed_out


@dataclass
class OpenBlock:
    """A block under way, and what has come of it. ``begun``: by the monotonic clock, seconds.

    ``run``: number of the record that its cells belong to; 0 for that of the run itself.
    """

    block: Block
    begun: float
    run: int = 0
    prepared: Prepared | None = None
    cells: list[CellResult] = field(default_factory=list)
    running: str | None = None
    """Key of the cell that is being explained."""
    is_loading: bool = False
    is_warming: bool = False
    """Whether its explainer is being warmed up."""
    starting: float = 0.0
    """Seconds in which the worker started and methods were warmed up: once a worker, not once a block."""
    looked: float = 0.0
    """When the worker sent something last."""

    def take(self, content: Prepared | Started | CellResult) -> None:
        """Keep what the worker has sent."""
        now = time.monotonic()
        if content == LOADING:
            self.starting += now - self.begun
        elif self.is_warming:
            self.starting += now - self.looked
        self.looked, self.is_loading = now, content == LOADING
        if isinstance(content, Prepared):
            self.prepared = content
        elif isinstance(content, Started):
            self.running = content.name or None
            self.is_warming = bool(content.name and content.allowance)
        else:
            self.cells.append(content)
            self.running = None

    def rest(self) -> tuple[Cell, ...]:
        """The cells without a result."""
        known = {cell.key for cell in self.cells}
        return tuple(cell for cell in self.block.cells if cell.key not in known)


@dataclass
class OpenFollowUp:
    """The task of a follow-up under way, and what it has yielded. ``begun``: by the monotonic clock, seconds."""

    due: Due
    begun: float
    run: int = 0
    results: list[Any] = field(default_factory=list)

    def take(self, content: Any) -> None:
        """Keep what the worker has sent."""
        if not isinstance(content, Started):
            self.results.append(content)
