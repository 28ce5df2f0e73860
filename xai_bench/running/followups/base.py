"""The contract of a follow-up: what is computed of relevances once they are stored, such as their retention.

A follow-up is one class in one module of this folder. The loop asks it what is due when all cells of its scope have a
result, hands the task to a worker, and lets it store what comes back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from xai_bench.results.records import Measurement
from xai_bench.results.store import Store
from xai_bench.running.ledger import Work
from xai_bench.suites.plan import Block
from xai_bench.suites.suite import Entry, Suite

Scope = Literal["draw", "network", "suite"]
Rows = Mapping[str, Sequence[Measurement] | str]
"""Cell key to its measurements, or to the reason why it has none."""


class Stored(Protocol):
    """What a follow-up may ask of the store; nothing here writes."""

    def settled(self, seconds: float | None = None, among: Collection[str] | None = None) -> set[str]:
        """Keys of the cells, of those ``among``, that are ``done`` or ``unsupported``."""

    def relevances(self, keys: Iterable[str]) -> dict[str, NDArray[np.float64]]:
        """Cell key to relevance (n_inputs,), canonical order, where there is one."""

    def weights(self, key: str) -> bytes | None:
        """Weights of a trained network, by its key."""

    def model_choice(self, key: str) -> dict[str, Any] | None:
        """The setting that validation chose for a trained network, or None if there was no choice."""

    def followed(self, name: str, key: str, among: Iterable[str]) -> set[str]:
        """Those cells, of the keys ``among``, whose follow-up of that name is stored under ``key``."""

    def content_hash(self, draw: str) -> str | None:
        """The hash of a draw's data, by its key; None if it is not known."""

    def settling(self, network: str) -> str:
        """The key under which it is stored how far a network's relevance has settled; "" if it is not stored."""

    def judgements(self, judge: str) -> dict[str, tuple[float, float]]:
        """Mask to (score, standard error) of one judge on one draw."""


T_co = TypeVar("T_co", covariant=True)


class FollowUpTask(Protocol[T_co]):
    """What a worker is to compute: plain data that can be sent to another process."""

    @property
    def key(self) -> str:
        """What the numbers depend on beside the relevances; they are stored under it."""

    @property
    def cells(self) -> Collection[str]:
        """Keys of the cells that it is about."""

    def run(self) -> Iterator[T_co]:
        """Compute, in a worker; yields what it finds, for some of the cells or for all of them at once.

        It has no time limit, unless it yields ``workers.Started``: from there to the next thing that it yields, the
        limit of the suite holds. Whatever it raises is the reason of the cells that have nothing yet.
        """


Task = TypeVar("Task", bound=FollowUpTask[Any])
Result = TypeVar("Result")


class FollowUp(ABC, Generic[Task, Result]):
    """What is computed of relevances once they are stored. Write ``of``, ``covers``, ``due`` and ``rows``.

    One that finds facts of networks, not numbers of cells, writes ``store`` in place of ``rows`` and ``reason_at``.

    ``blocks`` always means the planned blocks of one draw, of one network on one draw, or of the suite (``scope``),
    also those that this run does not compute.
    """

    name: ClassVar[str]
    """The word for it: the table of the suite, the beginning of its metrics (``NAME_...``), its kind of cost."""
    version: ClassVar[int]
    """Raise it when the same relevances and settings give other numbers: it belongs to the key of every task."""
    scope: ClassVar[Scope]
    """It is due when every cell of a draw, of a network on one draw, or of the suite has a result."""
    reason_at: ClassVar[tuple[str, int]]
    """Metric and k that carry the reason of a cell without numbers."""

    @classmethod
    @abstractmethod
    def of(cls, suite: Suite) -> Self | None:
        """The follow-up with the settings of a suite; None if the suite does not ask for it."""

    @abstractmethod
    def covers(self, blocks: Sequence[Block]) -> bool:
        """Whether the suite asks for it on these blocks."""

    @abstractmethod
    def due(self, blocks: Sequence[Block], stored: Stored) -> Task | None:
        """The task of computing what is missing of these blocks; None if nothing is. They are covered."""

    def rows(self, task: Task, result: Result) -> Rows:
        """What one result means for the cells that it is about."""
        raise NotImplementedError

    def store(self, store: Store, task: Task, results: Sequence[Result], reason: str, judge: str = "") -> None:
        """Store all that a task has yielded; its other cells have the ``reason`` why there is nothing of them.

        What failed is stored under no key: the next run tries it again. ``judge``: key of the judgements that the
        numbers come from.
        """
        rows: dict[str, Sequence[Measurement] | str] = dict.fromkeys(task.cells, reason or "no result")
        for result in results:
            rows |= self.rows(task, result)
        metric, k = self.reason_at
        numbers, without = {}, {}
        for cell, content in rows.items():
            if isinstance(content, str):
                without[cell] = (Measurement(metric, None, k, content),)
            else:
                numbers[cell] = content
        store.add_followup(self.name, task.key, f"{self.name}_", numbers, judge)
        store.add_followup(self.name, "", f"{self.name}_", without)

    def work(self, blocks: Sequence[Block]) -> Work:
        """The kind of work that a task about these blocks is, for forecasts and accounts of time."""
        block = blocks[0]
        dataset = "" if self.scope == "suite" else block.draw.dataset.label
        return Work(self.name, block.model_label if self.scope == "network" else "", dataset)

    def title(self, blocks: Sequence[Block]) -> str:
        """What a task about these blocks is about, in words: ``retention of diabetes, data seed 0``."""
        draw = blocks[0].draw
        where = [draw.dataset.label]
        if self.scope == "network":
            where.append(blocks[0].model_label)
        where.append(f"data seed {draw.data_seed}")
        if draw.fold is not None:
            where.append(f"fold {draw.fold.number}")
        return f"{self.name} of {'the suite' if self.scope == 'suite' else ', '.join(where)}"


def as_trained(model: Entry, key: str, stored: Stored) -> Entry:
    """The model with the setting that was chosen when the network of that key was trained."""
    chosen = stored.model_choice(key)
    return model if chosen is None else model.settled(chosen)
