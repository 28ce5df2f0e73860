"""How a worker process starts: on one thread, with sets in one order, and without the script of the user."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What the libraries of linear algebra read when they are loaded."""
HASHES = "PYTHONHASHSEED"
"""On it depends the order of sets of texts."""
NAME = "xai_bench worker"
"""Of the processes."""
_one_by_one = threading.Lock()


@contextmanager
def ready_to_start() -> Iterator[None]:
    """A worker process may be started inside, in a process with several threads, and in one that must have no others.

    multiprocessing lets a daemon start no processes, as the workers of dask are: ours end with it all the same.
    """
    process = multiprocessing.current_process()
    with _one_by_one, one_thread(), without_script():
        if not process.daemon:
            yield
            return
        process.daemon = False
        try:
            yield
        finally:
            process.daemon = True


@contextmanager
def one_thread() -> Iterator[None]:
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
def without_script() -> Iterator[None]:
    """A process that starts inside does not run the script of this one."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
