"""Which executor computes a run. A new one is a class with the methods of ``workers.Executor``, and is chosen here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xai_bench import registry
from xai_bench.running.process import set_up_worker
from xai_bench.running.state import standard
from xai_bench.workers import Executor, ThisProcess, Workers


@contextmanager
def executor(jobs: int | None, seconds: float | None) -> Iterator[Executor]:
    """``jobs`` worker processes, or this process (None), with a time limit for every cell."""
    if jobs is not None:
        with Workers(jobs, seconds, set_up_worker, (registry.plugins(), registry.codes())) as workers:
            yield workers
        return
    with standard():
        yield ThisProcess(seconds)
