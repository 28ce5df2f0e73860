"""Where tasks are computed: in worker processes that can be killed, or in this process.

A task is one call of a function that returns an iterable, as a generator function does; what it yields arrives in the
parent one by one. Its number is chosen by whoever submits it. Every worker has a pipe of its own: when one is killed or
dies, nothing that it sent before is lost, no other worker notices, and the parent knows what it was doing. Workers do
not run the script that began the run: what it defines is sent to them by value.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from xai_bench.errors import FAILURES, InputError, reason_of
from xai_bench.orphans import Watch, end_with_parent, kill_group
from xai_bench.sending import by_value
from xai_bench.spawning import NAME, ready_to_start

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Function = Callable[..., Iterable[Any]]
GRACE = 10.0
"""Seconds that a worker has to end by itself once nothing is left for it."""
LOOK = 1.0
"""Seconds between two looks whether workers live that say nothing."""


@dataclass(frozen=True)
class Started:
    """Yielded by a task: ``name`` begins. The limit of time counts from here to whatever is yielded next.

    ``allowance`` is added to the limit, seconds. ``other``: the limit of other work holds, not that of ``seconds``.
    """

    name: str
    allowance: float = 0.0
    other: bool = False


@dataclass(frozen=True)
class Event:
    """Something happened to the task of that number."""

    task: int


@dataclass(frozen=True)
class Item(Event):
    """It yielded something."""

    content: Any


@dataclass(frozen=True)
class Done(Event):
    """It came to its end."""


@dataclass(frozen=True)
class Raised(Event):
    """It raised an exception."""

    reason: str


@dataclass(frozen=True)
class Replaced(Event):
    """Its process is of no more use, and ended: another one takes its place."""

    reason: str


@dataclass(frozen=True)
class Died(Event):
    """Its process ended; a negative exit code is the number of a signal."""

    exit_code: int | None


@dataclass(frozen=True)
class Lost(Event):
    """It is gone with the machine that computed it, maybe through no fault of its own: it may be tried again."""

    reason: str = ""


@dataclass(frozen=True)
class OverTime(Event):
    """It was stopped, because what it had started took longer than the limit, ``seconds``."""

    seconds: float


class Spent(Exception):
    """Raised by a task: this process is of no more use. What the task yielded counts."""


class Executor(Protocol):
    """What computes tasks."""

    @property
    def size(self) -> int:
        """How many tasks it computes side by side."""

    def room(self) -> bool:
        """Whether it can begin another task now."""

    def submit(self, task: int, function: Function, *arguments: Any) -> None:
        """Begin a task, if there is room, under the number ``task``: the events about it bear that number."""

    def wait(self) -> list[Event]:
        """What has happened; blocks until something has. Needs a task that is under way."""


class ThisProcess:
    """Computes in ``wait``.

    ``seconds``: limit of whatever a task ``Started``; ``others``: of everything else that it does between two things
    that it yields. Both are soft: an alarm interrupts Python code, but not a call into a library written in
    another language before it returns; and there are alarms in the main thread of POSIX systems only (``can_stop``).
    A task that ends its process ends this one.
    """

    def __init__(self, seconds: float | None = None, others: float | None = None) -> None:
        self.seconds, self.others = seconds, others
        self._waiting: deque[tuple[int, Function, tuple[Any, ...]]] = deque()

    @property
    def size(self) -> int:
        return 1

    @staticmethod
    def can_stop() -> bool:
        return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()

    def room(self) -> bool:
        return not self._waiting

    def submit(self, task: int, function: Function, *arguments: Any) -> None:
        self._waiting.append((task, function, arguments))

    def wait(self) -> list[Event]:
        task, function, arguments = self._waiting.popleft()
        bounded = self.can_stop() and (self.seconds or self.others)
        events: list[Event] = []
        limit, process = self.others, os.getpid()
        try:
            with _alarm() if bounded else _no_alarm() as set_alarm:
                set_alarm(limit or 0.0)
                for content in function(*arguments):
                    _end_if_forked(process)
                    limit = _limit(self.seconds, self.others, content)
                    set_alarm(limit or 0.0)
                    events.append(Item(task, content))
            events.append(Done(task))
        except _Alarm:
            events.append(OverTime(task, limit or 0.0))
        except Spent as error:
            raise InputError(
                f"{error}; this process cannot go on: use jobs, which gives every worker its own"
            ) from None
        except FAILURES as error:
            _end_if_forked(process)
            events.append(Raised(task, reason_of(error)))
        return events


def _limit(seconds: float | None, others: float | None, content: Any) -> float | None:
    """Seconds until a task that has yielded ``content`` is to yield something else; None for any."""
    if isinstance(content, Started) and not content.other:
        return seconds + content.allowance if seconds else None
    return others


def _end_if_forked(process: int) -> None:
    """End the child of a fork that goes on with a task of ``process``: its parent goes on, too."""
    if os.getpid() != process:
        os._exit(0)


class _Alarm(BaseException):
    """The limit is reached; no ``except Exception`` may swallow it."""


@contextmanager
def _alarm() -> Iterator[Callable[[float], None]]:
    def ring(*_: Any) -> None:
        raise _Alarm

    def set_alarm(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield set_alarm
    finally:
        set_alarm(0.0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _no_alarm() -> Iterator[Callable[[float], None]]:
    yield lambda _: None


class _Worker:
    """A process, the parent's end of its pipe, and what it is doing."""

    def __init__(self, start: Callable[..., None], arguments: tuple[Any, ...], watch: Watch) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        by_thread = threading.current_thread() is threading.main_thread()
        parts = (theirs, start, arguments, by_thread)
        self.process: SpawnProcess = context.Process(target=_work, args=parts, name=NAME)
        with ready_to_start():
            self.process.start()
        theirs.close()
        assert self.process.pid is not None
        self.group, self._watch = self.process.pid, watch
        watch.begin(self.group)
        self.task: int | None = None
        self.limit: float | None = None
        self.deadline: float | None = None

    def let(self, seconds: float | None) -> None:
        """From now on it has so many seconds to say something; None for any."""
        self.limit = seconds
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def kill(self) -> None:
        """Kill it with all that it started."""
        kill_group(self.group)
        self.process.kill()  # It may not lead its group yet.

    def end(self, *, at_once: bool) -> int | None:
        """Let it end, or kill it, and kill what it started; returns its exit code."""
        if at_once:
            self.kill()
        self.connection.close()
        deadline = time.monotonic() + GRACE
        while self.process.is_alive() and time.monotonic() < deadline:
            self.process.join(LOOK)  # Not longer: a child of it may hold what says that it ended.
        if self.process.is_alive():
            self.kill()
            self.process.join()
        kill_group(self.group)
        self._watch.end(self.group)
        return self.process.exitcode


class Elsewhere:
    """An executor whose tasks go to other processes as bytes."""

    _raised: list[Event]
    """Of tasks that cannot be sent; ``wait`` hands it out."""

    def submit(self, task: int, function: Function, *arguments: Any) -> None:
        try:
            sent = by_value((function, arguments))
        except Exception as error:  # Something in the arguments cannot be sent to another process.
            self._raised.append(Raised(task, reason_of(error)))
            return
        self.submit_sent(task, sent)

    def submit_sent(self, task: int, sent: bytes) -> None:
        """As ``submit``; ``sent``: the function and its arguments ``by_value``."""
        raise NotImplementedError


class Workers(Elsewhere):
    """Up to ``jobs`` worker processes, each with one task at a time; use it as a context manager.

    Parameters
    ----------
    jobs : processes at the most; each is started when it is needed
    seconds : limit of whatever a task ``Started``; its worker is killed, another one takes its place
    others : limit of everything else that a task does between two things that it yields
    start, arguments : called once in every process
    """

    def __init__(
        self,
        jobs: int,
        seconds: float | None,
        start: Callable[..., None],
        arguments: tuple[Any, ...] = (),
        *,
        others: float | None = None,
    ) -> None:
        self.jobs, self.seconds, self.others = jobs, seconds, others
        self._watch = Watch()
        self._start, self._arguments = start, arguments
        self._workers: list[_Worker] = []
        self._raised = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for worker in self._workers:
            if kind is not None or worker.task is not None:
                worker.kill()
            worker.connection.close()
        for worker in self._workers:
            worker.end(at_once=False)
        self._workers.clear()
        self._watch.close()

    @property
    def size(self) -> int:
        return self.jobs

    def room(self) -> bool:
        return sum(worker.task is not None for worker in self._workers) < self.jobs

    def submit_sent(self, task: int, sent: bytes) -> None:
        for worker in [w for w in self._workers if w.task is None]:
            if not worker.process.is_alive():
                self._forget(worker)
        idle = [worker for worker in self._workers if worker.task is None]
        worker = idle[0] if idle else _Worker(self._start, self._arguments, self._watch)
        if not idle:
            self._workers.append(worker)
        worker.task = task
        worker.let(self.others)
        with contextlib.suppress(OSError):  # It died just now: its end of the pipe is closed, which ``wait`` will see.
            worker.connection.send_bytes(sent)

    def wait(self, seconds: float | None = None) -> list[Event]:
        """What has happened; blocks until something has, or for so many seconds."""
        events, self._raised = self._raised, []
        patience = math.inf if seconds is None else time.monotonic() + seconds
        while not events and (now := time.monotonic()) < patience:
            for worker in [w for w in self._workers if w.deadline is not None and w.deadline <= now]:
                events += self._over_time(worker)
            if events:
                return events
            busy = [worker for worker in self._workers if worker.task is not None]
            deadlines = [worker.deadline for worker in busy if worker.deadline is not None]
            watched = [part for worker in busy for part in (worker.connection, worker.process.sentinel)]
            ready = wait(watched, min([LOOK, patience - now, *(deadline - now for deadline in deadlines)]))
            for worker in busy:
                # A child of a worker that died may hold both open.
                if worker.connection in ready or worker.process.sentinel in ready or not worker.process.is_alive():
                    events += self._received(worker)
        return events

    def _received(self, worker: _Worker) -> list[Event]:
        assert worker.task is not None
        task = worker.task
        try:
            if not worker.connection.poll():  # The process is gone, but a child of it holds the pipe open.
                raise EOFError
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            return [Died(task, self._forget(worker))]
        if kind is Item:
            worker.let(_limit(self.seconds, self.others, content))
            return [Item(task, content)]
        worker.task = None
        worker.let(None)
        if kind is Spent:
            self._forget(worker)
            return [Replaced(task, content)]
        return [Raised(task, content) if kind is Raised else Done(task)]

    def _over_time(self, worker: _Worker) -> list[Event]:
        """Kill it, unless there is news from it."""
        assert worker.task is not None
        if worker.connection.poll():
            return self._received(worker)
        task, seconds = worker.task, worker.limit or 0.0
        self._forget(worker, at_once=True)
        return [OverTime(task, seconds)]

    def _forget(self, worker: _Worker, *, at_once: bool = False) -> int | None:
        self._workers.remove(worker)
        return worker.end(at_once=at_once)


def _work(connection: Connection, start: Callable[..., None], arguments: tuple[Any, ...], by_thread: bool) -> None:
    """The life of a worker: tasks come through the pipe; when the parent closes it, the worker ends.

    ``by_thread``: see ``orphans.end_with_parent``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(by_thread=by_thread)
    process = os.getpid()
    trouble = _trouble_of(start, arguments)
    while True:
        try:
            function, parts = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if trouble:
                raise InputError(trouble)
            for content in function(*parts):
                _end_if_forked(process)
                connection.send((Item, content))
            _end_if_forked(process)
            connection.send((Done, None))
        except Spent as error:
            _end_if_forked(process)
            connection.send((Spent, str(error)))
            return
        except FAILURES as error:
            _end_if_forked(process)
            try:
                connection.send((Raised, reason_of(error)))
            except OSError:  # There is no parent any more.
                return


def _trouble_of(start: Callable[..., None], arguments: tuple[Any, ...]) -> str:
    """Why a worker cannot be set up, "" if it is: every task of it then fails with this reason."""
    try:
        start(*arguments)
    except FAILURES as error:
        return f"a worker could not be set up: {reason_of(error)}"
    return ""
