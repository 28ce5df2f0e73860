"""What is under way: how far a run is, and what has come of the tasks that are not finished."""

from __future__ import annotations

from dataclasses import dataclass, field

from xai_bench.results.records import CellResult
from xai_bench.running.block import (
    Prepared,
    RetentionTask,
    SanityFound,
    SanityTask,
)
from xai_bench.running.ledger import (
    Forecast,
)
from xai_bench.scoring import retention
from xai_bench.suites import plan
from xai_bench.workers import Started


@dataclass
class Progress:
    """How far a run is; given to ``on_progress`` after every block."""

    total: int
    """Cells to compute in this run."""
    done: int = 0
    unsupported: int = 0
    failed: int = 0
    timed_out: int = 0
    retained: int = 0
    """Draws whose retention is judged."""
    to_retain: int = 0
    notices: list[str] = field(default_factory=list)
    retention_failures: list[str] = field(default_factory=list)
    last: str = ""
    forecast: Forecast | None = None
    """Of the whole run, by what was known before it."""
    remaining: float = 0.0
    """Wall seconds that the rest takes, as far as it is known."""
    unknown: tuple[str, ...] = ()
    """What of the rest nothing was measured of."""

    @property
    def finished(self) -> int:
        return self.done + self.unsupported + self.failed + self.timed_out


@dataclass
class OpenBlock:
    """A block under way, and what has come of it."""

    block: plan.Block
    begun: float
    prepared: Prepared | None = None
    cells: list[CellResult] = field(default_factory=list)
    running: str | None = None
    """Key of the cell that is being explained."""

    def take(self, content: Prepared | Started | CellResult) -> None:
        if isinstance(content, Prepared):
            self.prepared = content
        elif isinstance(content, Started):
            self.running = content.name
        else:
            self.cells.append(content)
            self.running = None

    def rest(self) -> tuple[plan.Cell, ...]:
        """The cells without a result."""
        known = {cell.key for cell in self.cells}
        return tuple(cell for cell in self.block.cells if cell.key not in known)


@dataclass
class OpenRetention:
    """The retention of one draw under way."""

    task: RetentionTask
    begun: float
    judged: retention.Judged | None = None

    def take(self, content: retention.Judged) -> None:
        self.judged = content


@dataclass
class OpenSanity:
    """The sanity of one network's relevances under way."""

    task: SanityTask
    begun: float
    found: SanityFound | None = None

    def take(self, content: SanityFound) -> None:
        self.found = content
