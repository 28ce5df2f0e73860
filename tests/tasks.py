"""Tasks for workers, in a module that loads fast."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xai_bench.workers import Spent, Started

spoilt: list[int] = []
"""Stands for a piece of state that cannot be set back."""


def cannot_start():
    raise ValueError("no luck")


def nothing() -> None:
    """What a worker begins with."""


def spent(first: bool) -> Iterator[Any]:
    """Yields something; the first time its process cannot go on."""
    yield Started("a")
    yield "kept"
    if first:
        raise Spent("something stays changed")


def hangs(place: str) -> Iterator[Any]:
    """Starts another process, tells the numbers of both in the file ``place``, and never ends."""
    other = subprocess.Popen(["sleep", "600"])
    Path(place).write_text(f"{os.getpid()} {other.pid}")
    yield Started("a")
    threading.Event().wait()


def says_nothing() -> Iterator[Any]:
    """Never ends, and yields nothing."""
    threading.Event().wait()
    yield


def doubled() -> Iterator[Any]:
    """Forks where Python does not see it."""
    ctypes.CDLL(None).fork()
    yield "one"


def ends() -> Iterator[Any]:
    """Calls sys.exit."""
    yield "one"
    sys.exit(3)


def dies_with_child() -> Iterator[Any]:
    """Ends its process, while a child that it forked goes on and holds all that was open."""
    multiprocessing.get_context("fork").Process(target=threading.Event().wait).start()
    os._exit(5)
    yield
