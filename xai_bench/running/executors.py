"""Which executor computes a run. A new one is a class with the methods of ``workers.Executor``, and is chosen here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from xai_bench import registry
from xai_bench.running.process import set_up_worker
from xai_bench.workers import Executor, ThisProcess, Workers


@contextmanager
def executor(jobs: int | None, seconds: float | None) -> Iterator[Executor]:
    """``jobs`` worker processes, or this process (None), with a time limit for every cell."""
    if jobs is not None:
        with Workers(jobs, seconds, set_up_worker, (registry.plugins(),)) as workers:
            yield workers
        return
    threads = torch.get_num_threads()
    set_up_worker(())
    try:
        yield ThisProcess(seconds)
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
