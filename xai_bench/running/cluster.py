"""A cluster of dask: reached, looked over, and made an executor.

Tasks go to the scheduler as bytes, and what they yield comes back through a queue of it: the run and the workers share
no disk, and need not see one another. See ``station`` for what happens there.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from xai_bench.errors import InputError, one_line
from xai_bench.running import machine, vetting
from xai_bench.sending import by_value
from xai_bench.workers import LOOK, Elsewhere, Event, Item, Lost

if TYPE_CHECKING:
    from distributed import Client, Future, Queue

    from xai_bench.running.vetting import Expected

ADDRESS = r"(tcp|tls|ucx|ws|wss)://[^\s/]+:\d+/?"
CONNECT = 20.0
"""Seconds that a scheduler has to answer."""
WORKERS = 60.0
"""Seconds that the first worker has to come."""
AHEAD = 2
"""Tasks for every thread of the cluster: it has the next one at hand when it is ready with one."""
COUNT = 5.0
"""Seconds between two looks at which workers there are."""
PATIENCE = 600.0
"""Seconds that a run waits for a worker when all have gone."""


@dataclass(frozen=True)
class Machine:
    """Yielded first by whatever is computed elsewhere: what is recorded of the machine (see ``running.machine``)."""

    recorded: dict[str, Any]


@dataclass
class Site:
    """A scheduler that was reached, with workers that were looked over.

    ``alike``: what all workers have, see ``running.machine.recorded``; ``notices``: for the user, in lines.
    """

    client: Client
    expected: Expected
    alike: dict[str, Any]
    notices: list[str]

    @property
    def device(self) -> str:
        """As ``devices.described``, on the workers."""
        return str(self.alike["device"])

    @property
    def size(self) -> int:
        """Threads of all workers."""
        return sum(self.client.nthreads().values())


@contextmanager
def reached(address: str, installed: Mapping[str, str], device: str = "cpu") -> Iterator[Site]:
    """The workers of the scheduler at an address; see ``vetting.Expected`` for the rest.

    Raises
    ------
    InputError
        If the address is none, dask is not installed, no scheduler answers, it has no workers, or they cannot be used.
    """
    if device == "auto":
        raise InputError("device: expected cpu or cuda with a scheduler, got 'auto': its workers have to be alike")
    with _connected(address) as client:
        try:
            client.wait_for_workers(1, timeout=WORKERS)
        except TimeoutError:
            raise InputError(
                f"scheduler: {address!r} has no workers: start some (`dask worker {address}`), or wait until they run"
            ) from None
        expected = vetting.Expected(machine.code(), installed, device)
        with _told_if_lost():
            alike, notices = vetting.agreed(vetting.look(client, expected))
        yield Site(client, expected, alike, notices)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    if not isinstance(address, str) or not re.fullmatch(ADDRESS, address):
        raise InputError(f"scheduler: expected an address such as tcp://HOST:8786, got {one_line(repr(address), 200)}")
    try:
        from distributed import Client
    except ImportError:
        raise InputError("scheduler: dask is not installed here: pip install 'xai-bench[dask]'") from None
    with _quiet():
        try:
            client = Client(address, timeout=CONNECT, set_as_default=False, name="xai-bench")
        except (OSError, ValueError) as error:
            raise InputError(
                f"scheduler: nothing of dask answers at {address!r} ({_brief(error)}): start one with "
                "`dask scheduler`, or correct the address"
            ) from None
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):
                client.close(timeout=5)


def _brief(error: BaseException | None) -> str:
    return one_line(str(error).partition("\n")[0] or type(error).__name__, 120)


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask says nothing of its own: what matters is an error or a notice of the run."""
    logger = logging.getLogger("distributed")
    before, logger.disabled = logger.level, False
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


@dataclass
class _Open:
    """A task that was handed out. ``attempt``: the one whose events count, "" before it begins."""

    future: Future
    attempt: str = ""
    address: str = ""


@dataclass
class Cluster(Elsewhere):
    """Computes tasks on the workers of a scheduler; use it as a context manager.

    Parameters
    ----------
    site : see ``reached``
    begin : (function, arguments) that every process begins with; one more argument says where copies of files lie
    files : path, as the user wrote it, to the content of a file that the workers need
    seconds, others : limits of time, as in ``workers.Workers``
    """

    site: Site
    begin: tuple[Any, ...]
    files: Mapping[str, bytes]
    seconds: float | None
    others: float | None
    run: str = field(default_factory=lambda: f"xai-bench-{uuid4().hex[:12]}")
    _open: dict[int, _Open] = field(default_factory=dict)
    _raised: list[Event] = field(default_factory=list)
    _threads: dict[str, int] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)
    _counted: float = 0.0
    _looked: float = 0.0

    def __enter__(self) -> Cluster:
        from distributed import Queue

        from xai_bench.running.station import Station

        self._queue: Queue = Queue(self.run, client=self.client)
        self.client.register_plugin(
            Station(self.run, by_value(self.begin), self.files, self.seconds, self.others, self.site.device),
            name=self.run,
        )
        self._count()
        return self

    def __exit__(self, *_: object) -> None:
        futures = [one.future for one in self._open.values()]
        self._open.clear()
        for end in (
            lambda: self.client.cancel(futures, force=True),
            lambda: self.client.unregister_worker_plugin(self.run),
            self._queue.close,
        ):
            with contextlib.suppress(Exception):
                end()

    @property
    def client(self) -> Client:
        return self.site.client

    @property
    def size(self) -> int:
        return max(sum(self._threads.values()), 1)

    def room(self) -> bool:
        if time.monotonic() - self._counted > COUNT:
            self._count()
        return len(self._open) < AHEAD * self.size

    def submit_sent(self, task: int, sent: bytes) -> None:
        from xai_bench.running.station import drive

        with warnings.catch_warnings(), _told_if_lost():
            warnings.simplefilter("ignore", UserWarning)  # Weights of large networks are no mistake.
            among = list(self._threads) if self._refused else None
            future = self.client.submit(
                drive, self.run, task, sent, key=f"{self.run}-{task}", pure=False, workers=among
            )
        self._open[task] = _Open(future)

    def wait(self) -> list[Event]:
        events, self._raised = self._raised, []
        while not events:
            for sent in self._received():
                events += self._taken(sent)
            if time.monotonic() - self._looked > LOOK:
                self._looked = time.monotonic()
                events += self._missed()
        return events

    def _received(self) -> list[Any]:
        with _told_if_lost():
            try:
                first = self._queue.get(timeout=LOOK)
            except TimeoutError:
                return []
            return [pickle.loads(content) for content in (first, *self._queue.get(batch=True))]

    def _taken(self, sent: Any) -> list[Event]:
        """The events that an attempt has sent, if they count."""
        from xai_bench.running.station import Begun

        one = self._open.get(sent.task)
        if one is None:
            return []
        events: list[Event] = []
        for event in sent.events:
            if isinstance(event, Begun):
                if event.address not in self._threads:
                    self._count()
                # Dask handed it to another worker: the first one is gone. Or this one is of no use.
                if one.attempt or event.address not in self._threads:
                    return [*events, self._lost(sent.task)]
                one.attempt, one.address = sent.attempt, event.address
                events.append(Item(sent.task, Machine(event.machine)))
            elif sent.attempt == one.attempt:
                events.append(event)
                if not isinstance(event, Item):
                    del self._open[sent.task]
        return events

    def _missed(self) -> list[Event]:
        """Tasks that say nothing any more: their worker is gone, or could not begin."""
        self._count()
        gone = [
            task
            for task, one in self._open.items()
            if one.future.status in ("error", "lost", "cancelled", "finished")
            or (one.address and one.address not in self._threads)
        ]
        if not gone:
            return []
        events = [event for sent in self._received() for event in self._taken(sent)]
        return [*events, *(self._lost(task) for task in gone if task in self._open)]

    def _lost(self, task: int) -> Lost:
        future = self._open.pop(task).future
        reason = _brief(future.exception()) if future.status == "error" else ""
        with contextlib.suppress(Exception):
            self.client.cancel([future], force=True)
        return Lost(task, reason)

    def _count(self) -> None:
        """Which workers there are, with their threads."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with _told_if_lost():
                there = dict(self.client.nthreads())
                self._look_over(there.keys() - self._threads.keys() - self._refused)
            self._threads = {address: threads for address, threads in there.items() if address not in self._refused}
            self._counted = time.monotonic()
            if self._threads:
                return
            if self._counted > deadline:
                raise InputError(
                    f"scheduler: it has had no worker for {PATIENCE:g} s: what was finished is stored; start workers "
                    "and run the same command again"
                )
            time.sleep(LOOK)

    def _look_over(self, new: set[str]) -> None:
        """Leave out workers that came later and are not like the others."""
        if not new:
            return
        for address, facts in vetting.look(self.client, self.site.expected, new).items():
            if reason := vetting.fits(self.site.alike, facts):
                self._refused.add(address)
                self.site.notices.append(f"a worker that came later is left out: {reason}")


@contextmanager
def _told_if_lost() -> Iterator[None]:
    """InputError where the scheduler is gone."""
    try:
        yield
    except TimeoutError:
        raise
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"scheduler: the connection is lost ({_brief(error)}): what was finished is stored; run the same command "
            "again"
        ) from None
