"""In a worker of dask: a local process that can be killed does each task, and what it yields is streamed to the run.

Dask cannot stop a task. It is the station that keeps the limits of time, kills and starts anew, as ``workers.Workers``
does on one machine; the task of dask only waits for it, and sends its events through the scheduler.
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Queue, get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from xai_bench.running import machine
from xai_bench.workers import LOOK, Event, Item, Workers

TOGETHER = 0.2
"""Seconds in which events gather before they are sent."""
IDLE = 60.0
"""Seconds after which a process ends that nothing was asked of: the run may be gone."""
STOPPED = ("cancelled", "released", "forgotten")
"""States of a task of dask that nobody waits for any more."""


@dataclass(frozen=True)
class Begun:
    """An attempt at a task begins. ``address``: of the worker; ``machine``: see ``running.machine``."""

    address: str
    machine: dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """What a station sends: events of one attempt at a task, in their order."""

    task: int
    attempt: str
    events: tuple[Begun | Event, ...]


class Station(WorkerPlugin):
    """What a run has in every worker of dask: the settings of its processes, and those that live.

    Parameters
    ----------
    run : name of the run
    begin : (function, arguments) that a process begins with, pickled by value; one more argument says where copies of
        files lie
    files : path, as the user wrote it, to the content of a file
    seconds, others : limits, see ``Workers``
    device : see ``machine.recorded``
    """

    def __init__(
        self,
        run: str,
        begin: bytes,
        files: Mapping[str, bytes],
        seconds: float | None,
        others: float | None,
        device: str = "cpu",
    ) -> None:
        self.name = self.run = run
        self._begin, self._files, self._device = begin, files, device
        self._seconds, self._others = seconds, others

    def setup(self, worker: Any) -> None:
        self._worker = worker
        self._folder = Path(worker.local_directory) / self.run
        self._places = self._written()
        self._lock = threading.Lock()
        self._idle: list[tuple[Workers, threading.Timer]] = []
        self._stops: dict[str, threading.Event] = {}
        self._is_over = False
        self._queue: Queue | None = None
        self._machine = machine.recorded(self._device)

    def _written(self) -> dict[str, str]:
        """Write copies of the files; path to where its copy lies."""
        found = {}
        for number, (path, content) in enumerate(self._files.items()):
            copy = self._folder / str(number) / Path(path).name  # Its end says what it is.
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            found[path] = str(copy)
        return found

    def teardown(self, worker: Any) -> None:
        with self._lock:
            self._is_over = True
            stops, idle, self._idle = list(self._stops.values()), self._idle, []
        for stop in stops:
            stop.set()
        for pool, timer in idle:
            timer.cancel()
            _kill(pool)
        if self._queue is not None:
            self._queue.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Dask tells what becomes of a task."""
        if finish in STOPPED and (stop := self._stops.get(str(key))) is not None:
            stop.set()

    def do(self, key: str, task: int, sent: bytes) -> None:
        """Compute a task, unless it is given up; ``key``: its name in dask."""
        stop = self._stops[key] = threading.Event()
        stream = _Stream(self._way(), task)
        stream.send([Begun(self._worker.address, self._machine)])
        pool = self._lent()
        try:
            pool.submit_sent(task, sent)
            while not stop.is_set() and not stream.is_over:
                stream.add(pool.wait(TOGETHER if stream.waiting else LOOK))
        except BaseException:
            stop.set()
            raise
        finally:
            self._stops.pop(key, None)
            if stop.is_set():
                _kill(pool)
            else:
                self._take_back(pool)

    def _way(self) -> Queue:
        with self._lock:
            self._queue = self._queue or Queue(self.run)
            return self._queue

    def _lent(self) -> Workers:
        with self._lock:
            if self._idle:
                pool, timer = self._idle.pop()
                timer.cancel()
                return pool
        start, arguments = pickle.loads(self._begin)
        return Workers(1, self._seconds, start, (*arguments, self._places), others=self._others)

    def _take_back(self, pool: Workers) -> None:
        timer = threading.Timer(IDLE, self._end, [pool])
        timer.daemon = True
        with self._lock:
            if not self._is_over:
                self._idle.append((pool, timer))
                timer.start()
                return
        _kill(pool)

    def _end(self, pool: Workers) -> None:
        with self._lock:
            still = [pair for pair in self._idle if pair[0] is pool]
            self._idle = [pair for pair in self._idle if pair[0] is not pool]
        if still:
            _kill(pool)


class _Stream:
    """The way of one attempt's events to the run."""

    def __init__(self, queue: Queue, task: int) -> None:
        self._queue, self._task, self._attempt = queue, task, uuid4().hex
        self._since = 0.0
        self.waiting: list[Begun | Event] = []
        self.is_over = False

    def add(self, events: list[Event]) -> None:
        """Send events, a few at a time; the last one at once."""
        if events and not self.waiting:
            self._since = time.monotonic()
        self.waiting += events
        self.is_over = any(not isinstance(event, Item) for event in events)
        if self.waiting and (self.is_over or time.monotonic() - self._since >= TOGETHER):
            self.send(self.waiting)
            self.waiting = []

    def send(self, events: list[Any]) -> None:
        self._queue.put(pickle.dumps(Sent(self._task, self._attempt, tuple(events))))


def _kill(pool: Workers) -> None:
    """End a pool at once."""
    with contextlib.suppress(OSError):
        pool.__exit__(KeyboardInterrupt, None)


def drive(run: str, task: int, sent: bytes) -> None:
    """The task of dask: see ``Station.do``. Of a run that is over nothing is computed."""
    worker = get_worker()
    station = worker.plugins.get(run)
    if isinstance(station, Station):
        station.do(str(worker.get_current_task()), task, sent)
