"""Which executor computes a run. A new one is a class with the methods of ``workers.Executor``, and is chosen here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xai_bench import registry
from xai_bench.errors import InputError, reason_of
from xai_bench.running.process import set_up_worker
from xai_bench.running.state import standard
from xai_bench.sending import by_value
from xai_bench.suites.suite import Suite
from xai_bench.workers import Executor, ThisProcess, Workers

if TYPE_CHECKING:
    from distributed import Client


@contextmanager
def executor(jobs: int | None, suite: Suite, client: Client | None = None, device: str = "cpu") -> Iterator[Executor]:
    """The workers of a cluster (see ``cluster.reached``), ``jobs`` worker processes, or this process (None).

    The suite's limits of time are kept. ``device``: what is recorded of it.
    """
    limits = suite.limits.kept(jobs if client is None else 1)
    if jobs is not None or client is not None:
        arguments = registry.plugins(), registry.codes(), registry.of_scripts("metrics")
    if client is not None:
        from xai_bench.running.cluster import Cluster

        with Cluster(client, (set_up_worker, arguments), limits.seconds, limits.training, device) as cluster:
            yield cluster
        return
    if jobs is not None:
        with Workers(jobs, limits.seconds, set_up_worker, arguments, others=limits.training) as workers:
            yield workers
        return
    with standard():
        yield ThisProcess(limits.seconds, limits.training)


def check_sent(suite: Suite) -> None:
    """Raise InputError if a component of the suite cannot be sent to another process."""
    for entry in (*suite.datasets, *suite.models, *suite.explainers):
        try:
            by_value(entry.component)
        except Exception as error:
            raise InputError(
                f"{entry.label!r} cannot be sent to worker processes ({reason_of(error)}): let it use no open files, "
                "locks or the like, or run without jobs"
            ) from None
