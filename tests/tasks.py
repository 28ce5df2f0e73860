"""Tasks for workers, in a module that loads fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xai_bench.workers import Spent, Started

spoilt: list[int] = []
"""Stands for a piece of state that cannot be set back."""


def nothing() -> None:
    """What a worker begins with."""


def spent(first: bool) -> Iterator[Any]:
    """Yields something; the first time its process cannot go on."""
    yield Started("a")
    yield "kept"
    if first:
        raise Spent("something stays changed")
