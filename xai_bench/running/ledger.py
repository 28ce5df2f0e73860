"""How long a run will take: from what was measured in the same store, never from a guess.

The model is as cheap as it can be. A kind of work takes the median of what it took on the same dataset; where it was
not measured there, what a power of the number of inputs says that was fitted to the others (what the harness adds to a
block: that of the nearest number of inputs); for an explainer on another network, what it took on any. No explanation
takes longer than the suite's limit. What was never measured is named, not guessed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from statistics import linear_regression, mean, median
from typing import NamedTuple

from xai_bench.suites.plan import Block
from xai_bench.wording import plural

TRAINING, RETENTION, SANITY, REST = "training", "retention", "sanity", "rest"
EXPLAINING = "explaining"
"""Kinds of work; ``explaining`` stands for all explainers, by whose label a piece of work is named. ``rest``: starting
a worker, loading, warming up, controls and scores of a block."""


class Work(NamedTuple):
    """A kind of work: what (the label of an explainer, ``training`` ...), on which network and dataset, by label."""

    what: str
    model: str
    dataset: str

    @property
    def kind(self) -> str:
        """One of the kinds beside explainers, or ``explaining``."""
        return self.what if self.what in (TRAINING, RETENTION, SANITY, REST) else EXPLAINING


@dataclass(frozen=True)
class Forecast:
    """What a run has to do.

    Attributes
    ----------
    cells, settled : cells to compute, and cells of the suite that are stored
    blocks, trainings, retentions : blocks to compute, networks to train, draws whose retention is to be judged
    jobs : how many work at the same time
    seconds : wall seconds of the work whose cost is known
    unknown : what nothing was measured of
    bound : wall seconds that explaining takes at the most by the suite's limit; None without one
    """

    cells: int
    settled: int
    blocks: int
    trainings: int
    retentions: int
    jobs: int
    seconds: float
    unknown: tuple[str, ...]
    bound: float | None

    def plan(self) -> str:
        """What is to be done, in one line."""
        counts = [
            f"{plural(self.cells, 'cell')} to compute ({self.settled:,} are stored)",
            plural(self.blocks, "block"),
            plural(self.trainings, "training"),
            f"retention of {plural(self.retentions, 'draw')}",
        ]
        return ", ".join(counts)

    def text(self) -> str:
        """How long it takes, in one line."""
        on = f"on {plural(self.jobs, 'worker')}"
        most = "" if self.bound is None else f"; explaining takes at most {duration(self.bound)}, by [limits]"
        if not self.unknown:
            return f"about {duration(self.seconds)} {on}, by what was measured here{most}"
        names = ", ".join(self.unknown[:4]) + (f" and {len(self.unknown) - 4} more" if len(self.unknown) > 4 else "")
        known = f"; the rest takes about {duration(self.seconds)} {on}" if self.seconds else ""
        return f"not known yet: nothing was measured here of {names}{known}{most}"


def duration(seconds: float) -> str:
    """Seconds in words, rounded up."""
    if seconds < 90:
        return plural(max(math.ceil(seconds), 1), "second")
    minutes = math.ceil(seconds / 60)
    return f"{minutes} minutes" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class Measured:
    """Seconds that every kind of work took. ``inputs``: dataset to its number of inputs, where it is known."""

    def __init__(self) -> None:
        self.inputs: dict[str, int] = {}
        self._seconds: dict[Work, list[float]] = defaultdict(list)
        self._known: dict[Work, float | None] = {}

    def add(self, work: Work, seconds: float) -> None:
        self._seconds[work].append(seconds)
        self._known.clear()

    def summary(self) -> list[tuple[str, str, str, float]]:
        """Work and median seconds of what no cell and no network records: retention, sanity, the rest of the blocks."""
        return [(*work, median(v)) for work, v in self._seconds.items() if work.what in (RETENTION, SANITY, REST)]

    def seconds(self, work: Work) -> float | None:
        """What one piece of this work is expected to take; None if nothing is known."""
        if work not in self._known:
            self._known[work] = self._expected(work)
        return self._known[work]

    def _expected(self, work: Work) -> float | None:
        if work in self._seconds:
            return median(self._seconds[work])
        d = self.inputs.get(work.dataset, 0)
        same = [(w, median(values)) for w, values in self._seconds.items() if w.what == work.what]
        # What is not supported on one dataset takes no time there, which says nothing of the others.
        same = [pair for pair in same if pair[1] > 0] or same
        for seen in ([pair for pair in same if pair[0].model == work.model], same):
            if not seen:
                continue
            sizes = [(self.inputs[w.dataset], seconds) for w, seconds in seen if self.inputs.get(w.dataset)]
            if d and sizes and work.what == REST:  # mostly starting and loading, whatever the number of inputs
                return min(sizes, key=lambda one: abs(math.log(one[0] / d)))[1]
            if d and sizes:
                return at_size(d, sizes)
            return median(seconds for _, seconds in seen)
        return None


def at_size(d: int, measured: Collection[tuple[int, float]]) -> float:
    """Seconds at ``d`` inputs, by those (inputs, seconds): a power of d, fitted to logarithms.

    The power lies between 0 and 2. It counts as far beyond the measured sizes as these span; from there on the seconds
    are in proportion to d: from two neighbouring sizes a power is mostly noise, which large sizes would amplify.
    """
    x, y = [math.log(size) for size, _ in measured], [math.log(max(seconds, 1e-6)) for _, seconds in measured]
    power = min(max(linear_regression(x, y).slope, 0.0), 2.0) if len(set(x)) > 1 else 1.0
    span = max(x) - min(x)
    near = min(max(math.log(d), min(x) - span), max(x) + span)
    return math.exp(mean(y) + power * (near - mean(x)) + (math.log(d) - near))


def work_of(todo: Iterable[Block], trained: Collection[str]) -> Counter[Work]:
    """How often each kind of work is to be done; ``trained``: keys of the networks that are stored."""
    work: Counter[Work] = Counter()
    for block in todo:
        dataset, model = block.draw.dataset.label, block.model_label
        work[Work(REST, model, dataset)] += 1
        work[Work(TRAINING, model, dataset)] += bool(block.model) and block.model_key not in trained
        work.update(Work(cell.label, model, dataset) for cell in block.cells if cell.explainer is not None)
    return +work


def remaining(
    work: Counter[Work], measured: Measured, jobs: int, limit: float | None = None
) -> tuple[float, tuple[str, ...]]:
    """Wall seconds of the work whose cost is known, and the names of what is not known.

    ``limit``: seconds that one explanation takes at the most.
    """
    total = 0.0
    unknown: dict[str, None] = {}
    for kind, count in work.items():
        seconds = measured.seconds(kind) if count > 0 else 0.0
        if seconds is not None:
            total += count * (seconds if limit is None or kind.kind != EXPLAINING else min(seconds, limit))
        elif kind.what != REST:
            unknown[f"{kind.what} of {kind.model}" if kind.what == TRAINING else kind.what] = None
    return total / jobs, tuple(unknown)
