"""Where tasks are computed: in worker processes that can be killed, or in this process.

A task is one call of a function that returns an iterable, as a generator function does; what it yields arrives in the
parent one by one. Its number is chosen by whoever submits it. Every worker has a pipe of its own: when one is killed or
dies, nothing that it sent before is lost, no other worker notices, and the parent knows what it was doing. Workers do
not run the script that began the run: what it defines is sent to them by value.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from xai_bench.errors import InputError, reason_of

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Function = Callable[..., Iterable[Any]]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What the libraries of linear algebra read when they are loaded."""
HASHES = "PYTHONHASHSEED"
"""On it depends the order of sets of texts."""
NAME = "xai_bench worker"
"""Of the processes."""
GRACE = 10.0
"""Seconds that a worker has to end by itself once nothing is left for it."""


@dataclass(frozen=True)
class Started:
    """Yielded by a task: ``name`` begins. The limit of time counts from here to whatever is yielded next.

    ``allowance`` is added to the limit, seconds.
    """

    name: str
    allowance: float = 0.0


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
class OverTime(Event):
    """It was stopped, because what it had started took longer than the limit."""


def by_value(content: Any) -> bytes:
    """Pickled; what a script or notebook defines goes along with its code, so that no other process has to run that.

    Raises
    ------
    Exception
        If something in it cannot be sent to another process: an open file, a lock.
    """
    import cloudpickle

    return bytes(cloudpickle.dumps(content))


class Spent(Exception):
    """Raised by a task: this process is of no more use. What the task yielded counts."""


class Executor(Protocol):
    """What computes tasks."""

    def room(self) -> bool:
        """Whether it can begin another task now."""

    def submit(self, task: int, function: Function, *arguments: Any) -> None:
        """Begin a task, if there is room, under the number ``task``: the events about it bear that number."""

    def wait(self) -> list[Event]:
        """What has happened; blocks until something has. Needs a task that is under way."""


class ThisProcess:
    """Computes in ``wait``.

    The limit of ``seconds`` is soft: an alarm interrupts Python code, but not a call into a library written in
    another language before it returns; and there are alarms in the main thread of POSIX systems only (``can_stop``).
    A task that ends its process ends this one.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._waiting: deque[tuple[int, Function, tuple[Any, ...]]] = deque()

    @staticmethod
    def can_stop() -> bool:
        return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()

    def room(self) -> bool:
        return not self._waiting

    def submit(self, task: int, function: Function, *arguments: Any) -> None:
        self._waiting.append((task, function, arguments))

    def wait(self) -> list[Event]:
        task, function, arguments = self._waiting.popleft()
        seconds = self.seconds if self.can_stop() else None
        events: list[Event] = []
        try:
            with _alarm() if seconds else _no_alarm() as set_alarm:
                for content in function(*arguments):
                    set_alarm(_limit(seconds, content) or 0.0)
                    events.append(Item(task, content))
            events.append(Done(task))
        except _Alarm:
            events.append(OverTime(task))
        except Spent as error:
            raise InputError(
                f"{error}; this process cannot go on: use jobs, which gives every worker its own"
            ) from None
        except Exception as error:
            events.append(Raised(task, reason_of(error)))
        return events


def _limit(seconds: float | None, content: Any) -> float | None:
    """Seconds that whatever a task announces may take; None for any."""
    return seconds + content.allowance if seconds and isinstance(content, Started) else None


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


@contextmanager
def _one_thread() -> Iterator[None]:
    """A process that starts inside does linear algebra on one thread, whatever library it loads later.

    Sets have the same order in all of them.
    """
    before = {name: os.environ.get(name) for name in (*THREADS, HASHES)}
    os.environ.update({**dict.fromkeys(THREADS, "1"), HASHES: "0"})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _without_script() -> Iterator[None]:
    """A process that starts inside does not run the script of this one."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


class _Worker:
    """A process, the parent's end of its pipe, and what it is doing."""

    def __init__(self, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(theirs, start, arguments), name=NAME)
        with _one_thread(), _without_script():
            self.process.start()
        theirs.close()
        self.task: int | None = None
        self.deadline: float | None = None

    def end(self, *, at_once: bool) -> int | None:
        """Let it end, or kill it; returns its exit code."""
        if at_once:
            self.process.kill()
        self.connection.close()
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


class Workers:
    """Up to ``jobs`` worker processes, each with one task at a time; use it as a context manager.

    Parameters
    ----------
    jobs : processes at the most; each is started when it is needed
    seconds : limit of whatever a task ``Started``; its worker is killed, another one takes its place
    start, arguments : called once in every process
    """

    def __init__(
        self,
        jobs: int,
        seconds: float | None,
        start: Callable[..., None],
        arguments: tuple[Any, ...] = (),
    ) -> None:
        self.jobs, self.seconds = jobs, seconds
        self._start, self._arguments = start, arguments
        self._workers: list[_Worker] = []
        self._raised: list[Event] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for worker in self._workers:
            if kind is not None or worker.task is not None:
                worker.process.kill()
            worker.connection.close()
        for worker in self._workers:
            worker.end(at_once=False)
        self._workers.clear()

    def room(self) -> bool:
        return sum(worker.task is not None for worker in self._workers) < self.jobs

    def submit(self, task: int, function: Function, *arguments: Any) -> None:
        for worker in [w for w in self._workers if w.task is None]:
            if not worker.process.is_alive():
                self._forget(worker)
        idle = [worker for worker in self._workers if worker.task is None]
        worker = idle[0] if idle else _Worker(self._start, self._arguments)
        if not idle:
            self._workers.append(worker)
        worker.task = task
        try:
            worker.connection.send_bytes(by_value((function, arguments)))
        except OSError:  # It died just now: its end of the pipe is closed, which ``wait`` will see.
            return
        except Exception as error:  # Something in the arguments cannot be sent to another process.
            worker.task = None
            self._raised.append(Raised(task, reason_of(error)))

    def wait(self) -> list[Event]:
        events, self._raised = self._raised, []
        while not events:
            now = time.monotonic()
            for worker in [w for w in self._workers if w.deadline is not None and w.deadline <= now]:
                events += self._over_time(worker)
            if events:
                return events
            busy = [worker for worker in self._workers if worker.task is not None]
            deadlines = [worker.deadline for worker in busy if worker.deadline is not None]
            watched = [part for worker in busy for part in (worker.connection, worker.process.sentinel)]
            ready = wait(watched, min(deadlines) - now if deadlines else None)
            for worker in busy:
                if worker.connection in ready or worker.process.sentinel in ready:
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
        limit = _limit(self.seconds, content)
        worker.deadline = None if limit is None else time.monotonic() + limit
        if kind is Item:
            return [Item(task, content)]
        worker.task = None
        if kind is Spent:
            self._forget(worker)
            return [Replaced(task, content)]
        return [Raised(task, content) if kind is Raised else Done(task)]

    def _over_time(self, worker: _Worker) -> list[Event]:
        """Kill it, unless there is news from it."""
        assert worker.task is not None
        if worker.connection.poll():
            return self._received(worker)
        task = worker.task
        self._forget(worker, at_once=True)
        return [OverTime(task)]

    def _forget(self, worker: _Worker, *, at_once: bool = False) -> int | None:
        self._workers.remove(worker)
        return worker.end(at_once=at_once)


def _work(connection: Connection, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """The life of a worker: tasks come through the pipe; when the parent closes it, the worker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start(*arguments)
    while True:
        try:
            function, parts = connection.recv()
        except (EOFError, OSError):
            return
        try:
            for content in function(*parts):
                connection.send((Item, content))
            connection.send((Done, None))
        except Spent as error:
            connection.send((Spent, str(error)))
            return
        except Exception as error:
            try:
                connection.send((Raised, reason_of(error)))
            except OSError:  # There is no parent any more.
                return
