"""Which executor computes a run. A new one is a class with the methods of ``workers.Executor``, and is chosen here."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from xai_bench import registry
from xai_bench.errors import InputError, reason_of
from xai_bench.running.process import set_up_worker
from xai_bench.running.state import standard
from xai_bench.suites.suite import Suite
from xai_bench.workers import Executor, ThisProcess, Workers


@contextmanager
def executor(jobs: int | None, suite: Suite) -> Iterator[Executor]:
    """``jobs`` worker processes, or this process (None), with the suite's limits of time."""
    limits = suite.limits.kept(jobs)
    if jobs is not None:
        arguments, script = (registry.plugins(), registry.codes()), needs_script(suite)
        with Workers(jobs, limits.seconds, set_up_worker, arguments, script=script, others=limits.training) as workers:
            yield workers
        return
    with standard():
        yield ThisProcess(limits.seconds, limits.training)


def needs_script(suite: Suite) -> bool:
    """Whether workers have to run the script that began the run: it defines a component.

    Raises
    ------
    InputError
        If a component cannot be sent to another process.
    """
    found = registry.from_script()
    for entry in (*suite.datasets, *suite.models, *suite.explainers):
        try:
            content = pickle.dumps(entry.component)
        except Exception as error:
            raise InputError(
                f"{entry.label!r} cannot be sent to worker processes ({reason_of(error)}): write its class as a class "
                "statement at the top level of its file, or run without jobs"
            ) from None
        found = found or b"__main__" in content
    return found
