"""Two functions timed in turn, in one run and one thread: what every ratio of the speed report rests on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

torch.set_num_threads(1)
torch.set_flush_denormal(True)

SHORTEST = 0.02
"""Seconds that one measurement takes at least: faster functions are called several times."""


class SideBySide:
    """Times one function by pytest-benchmark and another one before each of its rounds: a busy minute slows both."""

    def __init__(self, benchmark: BenchmarkFixture) -> None:
        self.benchmark = benchmark

    def __call__(
        self,
        ours: Callable[[], Any],
        theirs: Callable[[], Any],
        *,
        scale: float = 1.0,
        rounds: int = 5,
        **facts: Any,
    ) -> int:
        """Warm both up, time them ``rounds`` times, and keep the seconds of every round with the ``facts``.

        ``scale``: how many times the work of ``theirs`` is that of ``ours``: a long baseline runs a part of it. Returns
        how often ``ours`` is called in a round.
        """
        times = [timed(ours), timed(theirs)]
        times = [timed(ours), timed(theirs)] if max(times) < 10 else times
        calls, their_calls = (max(1, math.ceil(SHORTEST / seconds)) for seconds in times)
        their_seconds: list[float] = []

        def before() -> None:
            their_seconds.append(timed(theirs, their_calls) * scale)

        def repeated() -> None:
            for _ in range(calls):
                ours()

        self.benchmark.pedantic(repeated, setup=before, rounds=rounds)
        seconds = [round_ / calls for round_ in self.benchmark.stats.stats.data]  # type: ignore[union-attr]
        self.benchmark.extra_info.update(facts, ours=seconds, theirs=their_seconds)
        return calls


def timed(function: Callable[[], Any], calls: int = 1) -> float:
    """Wall seconds of one call, the mean of several."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


@pytest.fixture
def side_by_side(benchmark: BenchmarkFixture) -> SideBySide:
    return SideBySide(benchmark)
