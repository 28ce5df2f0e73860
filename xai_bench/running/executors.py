"""Which executor computes a run. A new one is a class with the methods of ``workers.Executor``, and is chosen here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xai_bench import registry
from xai_bench.datasets.tables import UserTable
from xai_bench.errors import InputError, reason_of
from xai_bench.places import expanded
from xai_bench.running.cluster import Cluster, Site
from xai_bench.running.process import set_up_worker
from xai_bench.running.state import standard
from xai_bench.sending import by_value
from xai_bench.suites.suite import Suite
from xai_bench.workers import Executor, ThisProcess, Workers


@contextmanager
def executor(jobs: int | None, suite: Suite, site: Site | None = None) -> Iterator[Executor]:
    """The workers of a cluster (see ``cluster.reached``), ``jobs`` worker processes, or this process (None).

    The suite's limits of time are kept.
    """
    limits = suite.limits.kept(jobs if site is None else 1)
    if jobs is not None or site is not None:
        arguments = registry.plugins(), registry.codes(), registry.of_scripts("metrics")
    if site is not None:
        begin = set_up_worker, arguments
        with Cluster(site, begin, files_of(suite), limits.seconds, limits.training) as cluster:
            yield cluster
        return
    if jobs is not None:
        with Workers(jobs, limits.seconds, set_up_worker, arguments, others=limits.training) as workers:
            yield workers
        return
    with standard():
        yield ThisProcess(limits.seconds, limits.training)


def files_of(suite: Suite) -> dict[str, bytes]:
    """Tables that the user named: path, as it was written, to the content."""
    sources = [entry.component for entry in suite.datasets]
    paths = {source.path for source in sources if isinstance(source, UserTable) and isinstance(source.path, str)}
    return {path: expanded(path).read_bytes() for path in sorted(paths)}


def installed_for(suite: Suite) -> dict[str, str]:
    """Distributions, with their versions, that the components of a suite come from beside this package."""
    entries = (*suite.datasets, *suite.models, *suite.explainers)
    return registry.installed((entry.component.family, entry.component.name) for entry in entries)


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
