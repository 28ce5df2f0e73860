"""The loop in the parent: it hands out blocks and follow-ups, watches over them, and has their results stored."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from xai_bench.results.records import CellResult, Costs
from xai_bench.results.store import Store
from xai_bench.running.agenda import Agenda, Due
from xai_bench.running.block import run_block
from xai_bench.running.cluster import Machine, Site
from xai_bench.running.executors import executor
from xai_bench.running.followups.base import as_trained
from xai_bench.running.ledger import REST, TRAINING, FollowUpCount, Forecast, Ledger, Measured, Work, work_of
from xai_bench.running.process import limits_memory, warmed_as
from xai_bench.running.runs import Runs
from xai_bench.running.seen import SeenData
from xai_bench.running.under_way import OpenBlock, OpenFollowUp, Progress
from xai_bench.suites import plan
from xai_bench.suites.plan import Block
from xai_bench.suites.suite import Limits, Suite
from xai_bench.workers import Died, Done, Event, Executor, Item, Lost, OverTime, Raised, Replaced, ThisProcess

MOST_LOSSES = 3
"""How often a machine may be lost with the same cell, or the same training: then it counts as failed."""
LOOK_EVERY = 0.5
"""Seconds between two estimates of how long the rest takes."""
LOOK_SHARE = 0.05
"""Share of the parent's time that the estimates take at the most."""


class Loop:
    """Hands out the blocks ``todo`` of the ``planned`` ones, and every follow-up as soon as it is due.

    A worker that takes too long with a cell is killed, and one may die: that cell is over (``timed_out`` or
    ``failed``), what was finished before is stored, and the rest of the block is handed out again. ``limits``: those
    that are kept. What hangs while it warms up, or while its data are loaded, hangs once: later its cells go without
    warming up, and other blocks of that draw fail at once.
    """

    def __init__(
        self,
        suite: Suite,
        store: Store,
        planned: list[Block],
        todo: list[Block],
        measured: Measured,
        notices: list[str],
        limits: Limits,
    ) -> None:
        self.suite, self.store, self.planned, self.limits = suite, store, planned, limits
        self.agenda = Agenda(suite, planned, todo, store)
        self.ledger = Ledger(measured, work_of(todo, store.trained()), limits.seconds)
        at_once, later = self.agenda.at_once(), self.agenda.later()
        self.ledger.left.update(due.followup.work(due.blocks) for due in at_once)
        self.ledger.left.update(followup.work(blocks) for followup, blocks in later)
        self.progress = Progress(
            total=sum(len(block.cells) for block in todo), followups=len(at_once) + len(later), notices=list(notices)
        )
        self.waiting: deque[Block | Due] = deque([*at_once, *plan.in_rounds(todo)])
        self.running: dict[int, OpenBlock | OpenFollowUp] = {}
        self._on_progress: Callable[[Progress], None] = lambda _: None
        self._seen = SeenData(planned, store)
        self._submitted = 0
        self._look_at = 0.0
        self._cold: set[str] = set()
        self._hanging: dict[str, str] = {}
        """Key of a draw whose data could not be loaded in time, to the reason."""
        self._losses: Counter[tuple[str, str | None]] = Counter()

    def forecast(self, jobs: int | None) -> Forecast:
        """What is to be done, and how long that takes."""
        workers = jobs or 1
        seconds, unknown = self.ledger.remaining(workers)
        settled = self.store.settled(self.limits.seconds)
        return Forecast(
            cells=self.progress.total,
            settled=sum(cell.key in settled for block in self.planned for cell in block.cells),
            blocks=sum(isinstance(work, Block) for work in self.waiting),
            trainings=self.ledger.count(TRAINING),
            followups=tuple(FollowUpCount(f.name, f.scope, self.ledger.count(f.name)) for f in self.agenda.asked),
            jobs=workers,
            seconds=seconds,
            unknown=unknown,
            bound=self.ledger.bound(workers) if self.suite.limits.seconds else None,
        )

    def run(
        self,
        jobs: int | None,
        runs: Runs,
        on_progress: Callable[[Progress], None] | None,
        site: Site | None = None,
    ) -> None:
        """Compute and store everything that waits, as a run of the store, on a cluster (``site``) if there is one."""
        self._runs, self._on_progress = runs, on_progress or (lambda _: None)
        if not self.waiting:
            return
        if site is not None:
            self.progress.notices.extend(site.notices)
            site.notices = self.progress.notices
        with executor(jobs, self.suite, site) as workers:
            self.progress.forecast = self.forecast(workers.size)
            self._notice_limits(jobs if site is None else 1)
            self._tell(workers.size)
            while self.waiting or self.running:
                while self.waiting and workers.room():
                    self._submit(workers, self.waiting.popleft())
                if not self.running:  # What was left failed without being tried.
                    self._tell(workers.size)
                    continue
                for event in workers.wait():
                    if self._handle(event):
                        self._tell(workers.size)

    def _tell(self, workers: int) -> None:
        begun = time.monotonic()
        if begun > self._look_at or not (self.waiting or self.running):
            self.progress.remaining, self.progress.unknown = self.ledger.remaining(workers)
            took = time.monotonic() - begun
            self._look_at = begun + took + max(LOOK_EVERY, took / LOOK_SHARE)
        self._on_progress(self.progress)

    def _notice_limits(self, jobs: int | None) -> None:
        limits = self.suite.limits
        if (limits.seconds or limits.training) and jobs is None and not ThisProcess.can_stop():
            self.progress.notices.append("the limit of time is not kept without worker processes here: use jobs")
        if limits.memory and any(block.device != "cpu" for block in self.planned):
            self.progress.notices.append("the limit of memory is not kept on a CUDA device: use the device cpu")
        elif limits.memory and not limits_memory():
            self.progress.notices.append("the limit of memory is not kept on this system: it needs Linux")
        elif limits.memory:
            self.progress.notices.append(
                "the limit of memory does not see memory shared between processes, files mapped into memory, and what "
                "processes that an explainer starts take"
            )

    def _submit(self, workers: Executor, work: Block | Due) -> None:
        self._submitted += 1
        if isinstance(work, Due):
            assert work.task is not None
            self.running[self._submitted] = OpenFollowUp(work, time.monotonic())
            workers.submit(self._submitted, work.task.run)
            return
        if work.draw.key in self._hanging:
            self._fail(OpenBlock(work, time.monotonic()), self._hanging[work.draw.key])
            return
        self.running[self._submitted] = OpenBlock(work, time.monotonic())
        weights = self.store.weights(work.model_key)
        if weights is not None and work.model is not None:
            work = replace(work, model=as_trained(work.model, work.model_key, self.store))
        cold = frozenset(self._cold)
        workers.submit(self._submitted, run_block, work, weights, self._seen.hash_of(work.draw), cold)

    def _handle(self, event: Event) -> bool:
        """Act on an event; says whether something was stored."""
        if isinstance(event, Item):
            work = self.running[event.task]
            if isinstance(event.content, Machine):  # Until now it waited its turn.
                work.begun, work.run = time.monotonic(), self._runs.on(event.content.recorded)
            else:
                work.take(event.content)
            return False
        work = self.running.pop(event.task)
        took = time.monotonic() - work.begun
        if isinstance(event, Lost) and self._is_tried_again(work):
            self._hand_out_again(work)
        elif isinstance(work, OpenFollowUp):
            self._store_followup(work, event, took)
        elif isinstance(event, Died | Lost | OverTime | Raised | Replaced):
            self._cut(work, event)
        else:
            lost = "the worker came to the end of its work without a result of this cell"
            work.cells += [CellResult(cell.key, "failed", lost) for cell in work.rest()]
            self._store_block(work)
            trained = work.prepared.model if work.prepared else None
            self.ledger.enter_rest(work.block, took - work.starting, work.cells, trained)
            self._close(work.block)
        return True

    def _cut(self, work: OpenBlock, event: Event) -> None:
        """Store what a block came to before its end, and hand out its rest again."""
        reason = self._reason(event)
        if isinstance(event, OverTime) and work.running is not None:
            if work.is_warming:
                self._go_without_warming(work, reason)
            else:
                costs = Costs(explain_wall=self.limits.seconds or 0.0)
                work.cells.append(CellResult(work.running, "timed_out", reason, costs))
        elif work.running is not None:
            work.cells.append(CellResult(work.running, "failed", reason))
        elif not isinstance(event, Replaced):  # It was not an explainer: nothing of the block can be had.
            reason += "" if work.prepared else ", loading" if work.is_loading else ", training"
            if isinstance(event, OverTime) and work.is_loading:
                self._hanging[work.block.draw.key] = reason
            work.cells += [CellResult(cell.key, "failed", reason) for cell in work.rest()]
        self._store_block(work)
        self._go_on(work)

    def _go_on(self, work: OpenBlock) -> None:
        """Hand out the rest of a block again."""
        if rest := work.rest():
            self.waiting.appendleft(replace(work.block, cells=rest))
        else:
            self._close(work.block)

    def _is_tried_again(self, work: OpenBlock | OpenFollowUp) -> bool:
        """Whether what went on when a machine was lost may be innocent."""
        if isinstance(work, OpenBlock):  # What is left of a block ends with the same cell.
            place = work.block.cells[-1].key, work.running
        else:
            place = work.due.followup.title(work.due.blocks), None
        self._losses[place] += 1
        return self._losses[place] < MOST_LOSSES

    def _hand_out_again(self, work: OpenBlock | OpenFollowUp) -> None:
        """The machine is lost, and nothing else: what it had finished is stored."""
        if isinstance(work, OpenFollowUp):
            self.waiting.appendleft(work.due)
            return
        self._store_block(work)
        self._go_on(work)

    def _go_without_warming(self, work: OpenBlock, reason: str) -> None:
        """What hangs while it warms up does so once in a run."""
        (cell,) = {cell.key: cell for cell in work.block.cells if cell.key == work.running}.values()
        assert cell.explainer is not None
        self._cold.add(warmed_as(cell.explainer))
        self.progress.notices.append(f"{cell.label} was {reason} while it warmed up: it goes on without")

    def _fail(self, work: OpenBlock, reason: str) -> None:
        """Store a block of which nothing can be had."""
        work.cells += [CellResult(cell.key, "failed", reason) for cell in work.rest()]
        self._store_block(work)
        self._close(work.block)

    def _store_block(self, work: OpenBlock) -> None:
        self._seen.check(work)
        draw = model = None
        if work.prepared is not None:
            draw, model = work.prepared.draw, work.prepared.model
            new = [notice for notice in work.prepared.notices if notice not in self.progress.notices]
            self.progress.notices.extend(new)
        run = work.run or self._runs.number
        if model is not None and model.facts.train_wall is not None:
            model = replace(model, facts=replace(model.facts, trained_on=self._runs.machine(run)))
        work.cells = self.store.add(work.cells, run, draw, model)
        self.ledger.enter_cells(work.block, work.cells, draw, model)
        for cell in work.cells:
            setattr(self.progress, cell.status, getattr(self.progress, cell.status) + 1)
        self.progress.last = " · ".join(filter(None, (work.block.draw.dataset.label, work.block.model_label)))

    def _close(self, block: Block) -> None:
        """No cell of a block is open any more: hand out the follow-ups that were waiting for it."""
        self.ledger.settle(Work.on(REST, block))
        for due in self.agenda.closed(block):
            if due.task is None:
                self._settle(due)
            else:
                self.waiting.appendleft(due)

    def _store_followup(self, work: OpenFollowUp, event: Event, took: float) -> None:
        due = work.due
        if isinstance(event, Done):
            self.ledger.charge(due.followup.work(due.blocks), took)
        else:
            self.progress.followup_failures.append(f"{due.followup.title(due.blocks)}: {self._reason(event)}")
        due.followup.store(self.store, due.task, work.results, self._reason(event))
        self.progress.last = due.followup.title(due.blocks)
        self._settle(due)

    def _settle(self, due: Due) -> None:
        self.ledger.settle(due.followup.work(due.blocks))
        self.progress.followed += 1

    def _reason(self, event: Event) -> str:
        """Why a task ended early, in words; "" if it did not."""
        if isinstance(event, OverTime):
            return f"over the limit of {event.seconds:g} s"
        if isinstance(event, Raised | Replaced):
            return event.reason
        if isinstance(event, Lost):
            return f"its worker was lost {MOST_LOSSES} times{f' ({event.reason})' if event.reason else ''}"
        return f"the worker died, exit code {event.exit_code}" if isinstance(event, Died) else ""
