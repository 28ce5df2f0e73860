"""All accounts of time: what every kind of work took, what a run has spent, and how long the rest will take.

A forecast comes from what was measured in the same store on the same device, never from a guess. The cost of a kind of
work is the median of what it took on the same dataset. Where it was not measured there, it comes from the other
datasets, by a power of the number of inputs that is fitted to them (the overhead of a block: from the dataset with the
nearest number of inputs). An explainer that was not measured on a network costs what it took on any network. No
explanation takes longer than the limit of the suite. Work of which nothing was measured is named as unknown.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression, mean, median
from typing import NamedTuple

from xai_bench.results.records import CellResult, DrawRecord, ModelRecord
from xai_bench.results.store import Store
from xai_bench.suites.plan import Block
from xai_bench.wording import are, plural

TRAINING, EXPLAINING, REST = "training", "explaining", "rest"
"""Kinds of work; every follow-up is a further one, by its name. ``rest``: loading, controls and scores of a block. The
start of a worker, and warming up, are no part of it: they are paid once, and a forecast leaves them out."""


class Work(NamedTuple):
    """One kind of work on one network and dataset, by label ("" where there is none).

    ``explainer``: the label of the explainer, if the kind is ``explaining``.
    """

    kind: str
    model: str
    dataset: str
    explainer: str = ""

    @classmethod
    def on(cls, kind: str, block: Block, explainer: str = "") -> Work:
        """Work of a block."""
        return cls(kind, block.model_label, block.draw.dataset.label, explainer)

    def __str__(self) -> str:
        return self.explainer or (f"{self.kind} of {self.model}" if self.kind == TRAINING else self.kind)


class FollowUpCount(NamedTuple):
    """How many tasks of one follow-up there are: one for every draw, network or suite (``scope``)."""

    name: str
    scope: str
    tasks: int


@dataclass(frozen=True)
class Forecast:
    """What a run has to do.

    Attributes
    ----------
    cells, settled : cells to compute, and cells of the suite that are stored
    blocks, trainings : blocks to compute, and networks to train
    followups : tasks of every follow-up that the suite asks for
    jobs : how many workers there are
    seconds : wall seconds of the work whose cost is known
    unknown : kinds of work whose cost is not known yet
    bound : wall seconds that explaining takes at most, by the limit of the suite; None without one
    """

    cells: int
    settled: int
    blocks: int
    trainings: int
    followups: tuple[FollowUpCount, ...]
    jobs: int
    seconds: float
    unknown: tuple[str, ...]
    bound: float | None

    def plan(self) -> str:
        """What is to be done, in one line."""
        counts = [
            f"{plural(self.cells, 'cell')} to compute ({self.settled:,} {are(self.settled)} stored)",
            plural(self.blocks, "block"),
            plural(self.trainings, "training"),
            *(f"{name} of {plural(tasks, scope)}" for name, scope, tasks in self.followups),
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


class Median:
    """The median of numbers that come one by one; each takes the logarithm of their number in time."""

    def __init__(self) -> None:
        self._low: list[float] = []
        self._high: list[float] = []
        """Heaps of the lower half, negated, and of the upper half, which has as many or one less."""

    def add(self, number: float) -> None:
        heapq.heappush(self._high, -heapq.heappushpop(self._low, -number))
        if len(self._high) > len(self._low):
            heapq.heappush(self._low, -heapq.heappop(self._high))

    @property
    def value(self) -> float:
        """Of one number at least."""
        return -self._low[0] if len(self._low) > len(self._high) else (self._high[0] - self._low[0]) / 2


class Measured:
    """Seconds that every kind of work took. ``inputs``: dataset to its number of inputs, where that is known."""

    def __init__(self) -> None:
        self.inputs: dict[str, int] = {}
        self._medians: dict[Work, Median] = {}
        self._alike: defaultdict[tuple[str, str], list[Work]] = defaultdict(list)
        """(kind, explainer) to what was measured of it."""
        self._guesses: dict[tuple[str, str], dict[Work, float | None]] = {}
        """The same to what is expected where nothing was measured; with as many ``_inputs`` known."""
        self._inputs = 0

    def add(self, work: Work, seconds: float) -> None:
        if work not in self._medians:
            self._medians[work] = Median()
            self._alike[work.kind, work.explainer].append(work)
        self._medians[work].add(seconds)
        self._guesses.pop((work.kind, work.explainer), None)

    def summary(self) -> list[tuple[str, str, str, float]]:
        """(kind, model, dataset, median seconds) of what no cell and no network records: follow-ups, and the rest."""
        recorded = (TRAINING, EXPLAINING)
        return [(*work[:3], median.value) for work, median in self._medians.items() if work.kind not in recorded]

    def seconds(self, work: Work) -> float | None:
        """What one piece of this work is expected to take; None if its cost is not known."""
        if work in self._medians:
            return self._medians[work].value
        if len(self.inputs) != self._inputs:
            self._guesses.clear()
            self._inputs = len(self.inputs)
        guesses = self._guesses.setdefault((work.kind, work.explainer), {})
        if work not in guesses:
            guesses[work] = self._expected(work)
        return guesses[work]

    def _expected(self, work: Work) -> float | None:
        """From the same work on other datasets and networks."""
        d = self.inputs.get(work.dataset, 0)
        same = [(other, self._medians[other].value) for other in self._alike.get((work.kind, work.explainer), ())]
        # A method that is not supported on one dataset takes no time there; that says nothing of the others.
        same = [pair for pair in same if pair[1] > 0] or same
        for seen in ([pair for pair in same if pair[0].model == work.model], same):
            if not seen:
                continue
            sizes = [(self.inputs[w.dataset], seconds) for w, seconds in seen if self.inputs.get(w.dataset)]
            if d and sizes and work.kind == REST:  # mostly loading, whatever the number of inputs
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


class Ledger:
    """The accounts of one run.

    Attributes
    ----------
    measured : seconds that every kind of work took, before and in this run
    left : how often every kind of work is still to be done
    spent : wall seconds of all workers together, by kind of work
    """

    def __init__(self, measured: Measured, left: Mapping[Work, int], limit: float | None = None) -> None:
        """``limit``: seconds that one explanation takes at most."""
        self.measured, self.limit = measured, limit
        self.left = Counter(left)
        self.spent: defaultdict[str, float] = defaultdict(float)

    def count(self, kind: str) -> int:
        """Pieces of one kind of work that are left."""
        return sum(number for work, number in self.left.items() if work.kind == kind)

    def remaining(self, jobs: int) -> tuple[float, tuple[str, ...]]:
        """As the function ``remaining``, of what is left."""
        return remaining(self.left, self.measured, jobs, self.limit)

    def bound(self, jobs: int) -> float | None:
        """Wall seconds that explaining takes at most, by the limit; None without one."""
        return None if self.limit is None else self.count(EXPLAINING) * self.limit / jobs

    def charge(self, work: Work, seconds: float) -> None:
        """Enter what one piece of work took."""
        self.measured.add(work, seconds)
        self.spent[work.kind] += seconds

    def settle(self, work: Work) -> None:
        """One piece of work is no longer to be done."""
        self.left[work] -= 1

    def enter_cells(
        self, block: Block, cells: Iterable[CellResult], draw: DrawRecord | None, model: ModelRecord | None
    ) -> None:
        """Enter the cells of a block that have a result, and its training."""
        if draw is not None:
            self.measured.inputs[block.draw.dataset.label] = draw.facts.n_columns
        if model is not None and model.facts.train_wall is not None:
            self.charge(Work.on(TRAINING, block), model.facts.train_wall)
            self.settle(Work.on(TRAINING, block))
        labels = {cell.key: cell.label for cell in block.cells if cell.explainer is not None}
        for cell in cells:
            if cell.key in labels:
                work = Work.on(EXPLAINING, block, labels[cell.key])
                self.settle(work)
                if cell.status != "failed":
                    self.charge(work, _explained(cell))

    def enter_rest(self, block: Block, took: float, cells: Iterable[CellResult], model: ModelRecord | None) -> None:
        """Enter what a whole block took, once its worker had started, beside its training and its explanations."""
        trained = 0.0 if model is None else model.facts.train_wall or 0.0
        self.charge(Work.on(REST, block), max(took - trained - sum(map(_explained, cells)), 0.0))


def _explained(cell: CellResult) -> float:
    return cell.costs.setup_wall + cell.costs.explain_wall


def recorded(store: Store, planned: Sequence[Block], device: str) -> Measured:
    """What everything of a plan took that is stored, on one ``device``, as it is recorded."""
    measured = Measured()
    explained, trained = store.explain_seconds(device), _trained(store, planned, device)
    for block in planned:
        dataset = block.draw.dataset.label
        if dataset not in measured.inputs:
            facts = store.draw_facts(block.draw.key)
            d = facts.n_columns if facts else getattr(block.draw.dataset.component, "d", None)
            if d is not None:
                measured.inputs[dataset] = d
        if block.model_key in trained:
            measured.add(Work.on(TRAINING, block), trained[block.model_key])
        for cell in block.cells:
            if cell.explainer is not None and cell.key in explained:
                measured.add(Work.on(EXPLAINING, block, cell.label), explained[cell.key])
    for record in store.provenance():
        if record.get("device", "cpu") != device:
            continue
        for kind, model, dataset, seconds in record.get("seconds", []):
            measured.add(Work(kind, model, dataset), seconds)
    return measured


def _trained(store: Store, planned: Sequence[Block], device: str) -> dict[str, float]:
    """Wall seconds of the networks that were trained on a device; where none is recorded, all of its cells were."""
    elsewhere = store.computed_elsewhere(device)
    mixed = {block.model_key for block in planned if any(cell.key in elsewhere for cell in block.cells)}
    return {
        key: seconds
        for key, (seconds, where) in store.train_seconds().items()
        if (key not in mixed if where is None else where == device)
    }


def work_of(todo: Iterable[Block], trained: Collection[str]) -> Counter[Work]:
    """How often each kind of work is to be done; ``trained``: keys of the networks that are stored."""
    work: Counter[Work] = Counter()
    for block in todo:
        work[Work.on(REST, block)] += 1
        trains = block.model is not None and block.model.component.trains
        work[Work.on(TRAINING, block)] += trains and block.model_key not in trained
        work.update(Work.on(EXPLAINING, block, cell.label) for cell in block.cells if cell.explainer is not None)
    return +work


def remaining(
    left: Mapping[Work, int], measured: Measured, jobs: int, limit: float | None = None
) -> tuple[float, tuple[str, ...]]:
    """Wall seconds of the work whose cost is known, and the names of the kinds whose cost is not known.

    ``limit``: seconds that one explanation takes at most.
    """
    total = 0.0
    unknown: dict[str, None] = {}
    for work, count in left.items():
        seconds = measured.seconds(work) if count > 0 else 0.0
        if seconds is not None:
            total += count * (seconds if limit is None or work.kind != EXPLAINING else min(seconds, limit))
        elif work.kind != REST:
            unknown[str(work)] = None
    return total / jobs, tuple(unknown)
