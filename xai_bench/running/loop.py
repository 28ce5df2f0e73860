"""The loop in the parent: it hands out what is missing, watches over it, and stores what comes back."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from xai_bench import registry
from xai_bench.component import canonical_json, sha256
from xai_bench.results.records import CellResult, Costs, Measurement, Status
from xai_bench.results.store import Store
from xai_bench.running.block import (
    RetentionTask,
    SanityFound,
    SanityTask,
    run_block,
    run_retention,
    run_sanity,
)
from xai_bench.running.describe import other_data
from xai_bench.running.ledger import (
    EXPLAINING,
    REST,
    RETENTION,
    SANITY,
    TRAINING,
    Forecast,
    Measured,
    Work,
    remaining,
    work_of,
)
from xai_bench.running.process import limits_memory, set_up_worker
from xai_bench.running.state import standard
from xai_bench.running.under_way import OpenBlock, OpenRetention, OpenSanity, Progress
from xai_bench.scoring import retention, sanity
from xai_bench.suites import plan
from xai_bench.suites.suite import Entry, Suite
from xai_bench.workers import Died, Event, Executor, Item, OverTime, Raised, Replaced, ThisProcess, Workers

LOOK_EVERY = 0.5
"""Seconds between two looks at how long the rest takes."""


@contextmanager
def executor(jobs: int | None, seconds: float | None) -> Iterator[Executor]:
    """``jobs`` worker processes, or this process (None), with a limit of time for every cell."""
    if jobs is not None:
        with Workers(jobs, seconds, set_up_worker, (registry.plugins(), registry.codes())) as workers:
            yield workers
        return
    with standard():
        yield ThisProcess(seconds)


Waiting = plan.Block | RetentionTask | SanityTask


class Loop:
    """Hands out blocks; when a block is back, the sanity of its relevances, when all of a draw are, its retention.

    A worker that takes too long with a cell is killed, one that dies is dead: that cell is over (``timed_out`` or
    ``failed``), what was finished before is stored, and the rest of the block is handed out again.
    """

    def __init__(
        self,
        suite: Suite,
        store: Store,
        planned: list[plan.Block],
        todo: list[plan.Block],
        measured: Measured,
        notices: list[str],
    ) -> None:
        self.suite, self.store, self.measured = suite, store, measured
        self.planned = plan.by_draw([block for block in planned if block.draw.permutation is None])
        self.whole = {(block.draw.key, block.model_key): block for block in planned}
        self.open = {key: len(blocks) for key, blocks in plan.by_draw(todo).items()}
        self.progress = Progress(sum(len(block.cells) for block in todo), notices=notices)
        self.on_progress: Callable[[Progress], None] = lambda _: None
        self.number = 0
        self._hashes: dict[tuple[str, int], str] = {}
        self.spent: defaultdict[str, float] = defaultdict(float)
        """Wall seconds of all workers together, by kind of work; all explainers are one kind."""
        unjudged, unfollowed = self._unjudged(), self._unfollowed(todo)
        self.left = work_of(todo, store.train_seconds())
        for draw in [draw_blocks[0].draw for draw_blocks in plan.by_draw(todo).values()] if suite.retention else []:
            if draw.permutation is None:
                self.left[Work(RETENTION, "", draw.dataset.label)] += 1
        self.left.update(Work(RETENTION, "", task.draw.dataset.label) for task in unjudged)
        self.left.update(_sanity_of(task.block) for task in unfollowed)
        self.left.update(_sanity_of(block) for block in todo if self._is_followed(block))
        self.waiting: deque[Waiting] = deque([*unjudged, *unfollowed, *plan.in_rounds(todo)])
        self.running: dict[int, OpenBlock | OpenRetention | OpenSanity] = {}
        self._submitted = 0
        self._looked = 0.0

    def _unjudged(self) -> list[RetentionTask]:
        """Retention that is missing of draws whose blocks are all there; counts the draws."""
        if not self.suite.retention:
            return []
        untouched = [key for key in self.planned if key not in self.open]
        tasks = [task for key in untouched if (task := self._retention(key)) is not None]
        self.progress.to_retain = len(self.planned)
        self.progress.retained = len(untouched) - len(tasks)
        return tasks

    def _unfollowed(self, todo: list[plan.Block]) -> list[SanityTask]:
        """Sanity that is missing of blocks that are all there."""
        unfinished = {(block.draw.key, block.model_key) for block in todo}
        return [task for place in self.whole if place not in unfinished and (task := self._sanity(*place)) is not None]

    def forecast(self, jobs: int | None) -> Forecast:
        """What is to be done, and how long that takes."""
        limit = self.suite.limits.seconds
        seconds, unknown = remaining(self.left, self.measured, jobs or 1, limit)
        settled = self.store.settled(limit)
        explained = sum(n for w, n in self.left.items() if w.kind == EXPLAINING)
        return Forecast(
            cells=self.progress.total,
            settled=sum(c.key in settled for blocks in self.planned.values() for b in blocks for c in b.cells),
            blocks=sum(isinstance(work, plan.Block) for work in self.waiting),
            trainings=sum(n for w, n in self.left.items() if w.what == TRAINING),
            retentions=sum(n for w, n in self.left.items() if w.what == RETENTION),
            jobs=jobs or 1,
            seconds=seconds,
            unknown=unknown,
            bound=None if limit is None else explained * limit / (jobs or 1),
        )

    def run(self, jobs: int | None, number: int, on_progress: Callable[[Progress], None] | None) -> None:
        """Compute and store everything that waits, as run ``number`` of the store."""
        self.number, self.on_progress = number, on_progress or (lambda _: None)
        if not self.waiting:
            return
        self.progress.forecast = self.forecast(jobs)
        self._notice_limits(jobs)
        self._tell(jobs)
        with executor(jobs, self.suite.limits.seconds) as workers:
            while self.waiting or self.running:
                while self.waiting and workers.room():
                    self._submit(workers, self.waiting.popleft())
                for event in workers.wait():
                    if self._handle(event):
                        self._tell(jobs)

    def _tell(self, jobs: int | None) -> None:
        now = time.monotonic()
        if now - self._looked > LOOK_EVERY or not (self.waiting or self.running):
            self._looked, limit = now, self.suite.limits.seconds
            self.progress.remaining, self.progress.unknown = remaining(self.left, self.measured, jobs or 1, limit)
        self.on_progress(self.progress)

    def _notice_limits(self, jobs: int | None) -> None:
        limits = self.suite.limits
        if limits.seconds and jobs is None and not ThisProcess.can_stop():
            self.progress.notices.append("the limit of time is not kept without worker processes here: use jobs")
        if limits.memory and any(block.device != "cpu" for block in self.whole.values()):
            self.progress.notices.append("the limit of memory is not kept on a CUDA device: use the device cpu")
        elif limits.memory and not limits_memory():
            self.progress.notices.append("the limit of memory is not kept on this system: it needs Linux")

    def _submit(self, workers: Executor, work: Waiting) -> None:
        self._submitted += 1
        if isinstance(work, plan.Block):
            self.running[self._submitted] = OpenBlock(work, time.monotonic())
            weights = self.store.weights(work.model_key)
            if weights is not None and work.model is not None:
                work = replace(work, model=self._as_trained(work.model, work.model_key))
            workers.submit(self._submitted, run_block, work, weights, self._content_hash(work.draw))
        elif isinstance(work, SanityTask):
            self.running[self._submitted] = OpenSanity(work, time.monotonic())
            work = replace(work, content_hash=self._content_hash(work.block.draw))
            workers.submit(self._submitted, run_sanity, work)
        else:
            self.running[self._submitted] = OpenRetention(work, time.monotonic())
            work = replace(work, content_hash=self._content_hash(work.draw))
            workers.submit(self._submitted, run_retention, work)

    def _handle(self, event: Event) -> bool:
        """Act on an event; says whether something was stored."""
        if isinstance(event, Item):
            self.running[event.task].take(event.content)
            return False
        work = self.running.pop(event.task)
        took = time.monotonic() - work.begun
        if isinstance(work, OpenRetention):
            kind = Work(RETENTION, "", work.task.draw.dataset.label)
            self.left[kind] -= 1
            if work.judged is not None:
                self._charge(kind, took)
            self._store_retention(work.task, work.judged, _what(event))
        elif isinstance(work, OpenSanity):
            self.left[_sanity_of(work.task.block)] -= 1
            if work.found is not None:
                self._charge(_sanity_of(work.task.block), took)
            self._store_sanity(work.task, work.found, _what(event))
        elif isinstance(event, Died | OverTime | Raised | Replaced):
            self._cut(work, event)
        else:
            self._store_block(work)
            self._measure_rest(work, took)
            self._closed(work.block)
        return True

    def _content_hash(self, draw: plan.Draw) -> str | None:
        """Of the data of a draw, as they were first seen under its key; None if they were not."""
        place = _place(draw)
        if place not in self._hashes:
            same = [d for d in (blocks[0].draw for blocks in self.planned.values()) if _place(d) == place]
            stored = (content for d in same if (content := self.store.draw_content(d.key)) is not None)
            if (content := next(stored, None)) is not None:
                self._hashes[place] = content["content_hash"]
        return self._hashes.get(place)

    def _refuse_other_data(self, work: OpenBlock) -> None:
        """Nothing of a block is kept whose data differ from what another worker had under the same key."""
        if work.prepared is None:
            return
        draw, found = work.block.draw, work.prepared.content_hash
        if self._content_hash(draw) in (None, found):
            self._hashes[_place(draw)] = found
            return
        work.prepared = None
        work.cells = [CellResult(cell.key, "failed", other_data(draw)) for cell in work.cells]

    def _cut(self, work: OpenBlock, event: Event) -> None:
        """Store what a block came to before its end, and hand out its rest again."""
        seconds = self.suite.limits.seconds
        if isinstance(event, OverTime):
            status: Status = "timed_out"
            reason, costs = f"over the limit of {seconds:g} s", Costs(explain_wall=seconds or 0.0)
        else:
            status, reason, costs = "failed", _what(event), Costs()
        guilty: list[str | None] = [work.running]
        if work.running is None and status == "failed":  # It was not an explainer: nothing of the block can be had.
            guilty = [] if isinstance(event, Replaced) else [cell.key for cell in work.rest()]
            reason += "" if work.prepared else ", loading or training"
        work.cells += [CellResult(key, status, reason, costs) for key in guilty if key is not None]
        self._store_block(work)
        rest = work.rest()
        if rest:
            self.waiting.appendleft(replace(work.block, cells=rest))
        else:
            self._closed(work.block)

    def _store_block(self, work: OpenBlock) -> None:
        self._refuse_other_data(work)
        prepared = work.prepared
        if prepared is None:
            self.store.add(work.cells, self.number)
        else:
            self.store.add(work.cells, self.number, prepared.draw, prepared.model)
            new = [notice for notice in prepared.notices if notice not in self.progress.notices]
            self.progress.notices.extend(new)
        self._measure(work)
        for cell in work.cells:
            setattr(self.progress, cell.status, getattr(self.progress, cell.status) + 1)
        self.progress.last = " · ".join(filter(None, (work.block.draw.dataset.label, work.block.model_label)))

    def _measure(self, work: OpenBlock) -> None:
        """Charge what the cells and the training took; they are no longer to be done."""
        dataset, model = work.block.draw.dataset.label, work.block.model_label
        if work.prepared is not None:
            if work.prepared.draw is not None:
                self.measured.inputs[dataset] = work.prepared.draw.content["d"]
            if work.prepared.model is not None:
                self._charge(Work(TRAINING, model, dataset), work.prepared.model.content["train_wall"])
                self.left[Work(TRAINING, model, dataset)] -= 1
        labels = {cell.key: cell.label for cell in work.block.cells if cell.explainer is not None}
        for cell in work.cells:
            if cell.key in labels:
                kind = Work(labels[cell.key], model, dataset)
                self.left[kind] -= 1
                if cell.status != "failed":
                    self._charge(kind, cell.costs.setup_wall + cell.costs.explain_wall)

    def _charge(self, work: Work, seconds: float) -> None:
        self.measured.add(work, seconds)
        self.spent[work.kind] += seconds

    def _measure_rest(self, work: OpenBlock, took: float) -> None:
        """What a block took beside its training and its explanations."""
        prepared = work.prepared
        trained = prepared.model.content["train_wall"] if prepared is not None and prepared.model is not None else 0.0
        explained = sum(cell.costs.setup_wall + cell.costs.explain_wall for cell in work.cells)
        kind = Work(REST, work.block.model_label, work.block.draw.dataset.label)
        self._charge(kind, max(took - trained - explained, 0.0))

    def _closed(self, block: plan.Block) -> None:
        """No cell of a block is open any more: its sanity, and after the last block of a draw its retention."""
        self.left[Work(REST, block.model_label, block.draw.dataset.label)] -= 1
        if followed := self._sanity(block.draw.key, block.model_key):
            self.waiting.appendleft(followed)
        elif self._is_followed(block):
            self.left[_sanity_of(block)] -= 1
        self.open[block.draw.key] -= 1
        if self.open[block.draw.key] or not self.suite.retention or block.draw.key not in self.planned:
            return
        task = self._retention(block.draw.key)
        if task is None:
            self.progress.retained += 1
            self.left[Work(RETENTION, "", block.draw.dataset.label)] -= 1
        else:
            self.waiting.appendleft(task)

    def _retention(self, draw_key: str) -> RetentionTask | None:
        """The task of judging what is not judged of a draw, or None."""
        settings = self.suite.retention
        assert settings is not None
        draw_blocks = self.planned[draw_key]
        draw = draw_blocks[0].draw
        judge = retention.judge_key(draw, settings)
        plain = self._plain_models(draw_blocks)
        key = sha256(
            canonical_json([retention.VERSION, judge, settings.model_dump(mode="json"), sorted(plain.values())])
        )
        retained, settled = self.store.retained(key), self.store.settled()
        ranked, model_keys = [], set()
        for block in draw_blocks:
            if not settings.every_model_seed and block.model_seed != self.suite.model_seeds[0]:
                continue
            waiting = [cell for cell in block.cells if cell.key not in retained]
            relevances = self.store.relevances(cell.key for cell in waiting)
            model_key = block.model_key or plain.get(block.model_seed, "")
            if self.store.weights(model_key) is None:
                model_key = ""
            for cell in waiting:
                if cell.key in relevances or (cell.label == "random" and cell.key in settled):
                    ranked.append(retention.Ranked(cell.key, relevances.get(cell.key), model_key))
                    model_keys.add(model_key)
        if not ranked:
            return None
        components = {b.model_key: self._as_trained(b.model, b.model_key).component for b in draw_blocks if b.model}
        models = {k: (components[k], self.store.weights(k)) for k in sorted(model_keys - {""})}
        known, device = self.store.judgements(judge), draw_blocks[0].device
        return RetentionTask(key, judge, draw, settings, tuple(ranked), models, known, device)  # type: ignore[arg-type]

    def _as_trained(self, model: Entry, key: str) -> Entry:
        """The model with the setting that was chosen when it was trained."""
        chosen = self.store.model_choice(key)
        return model if chosen is None else model.settled(chosen)

    def _plain_models(self, draw_blocks: list[plan.Block]) -> dict[int, str]:
        """Model seed to the key of the suite's plain network of that seed."""
        entry = self.suite.plain_model(draw_blocks[0].draw.dataset.label)
        return {b.model_seed: b.model_key for b in draw_blocks if b.model and entry and b.model.label == entry.label}

    def _store_retention(self, task: RetentionTask, judged: retention.Judged | None, reason: str) -> None:
        if judged is None:
            message = f"retention of {task.draw.dataset.label}, data seed {task.draw.data_seed}: {reason}"
            self.progress.retention_failures.append(message)
            # Under no key: the next run judges it again.
            none = (Measurement("retention_retrained_area", None, reason=reason),)
            self.store.add_retention("", task.judge, {ranked.cell: none for ranked in task.ranked}, {})
        else:
            self.store.add_retention(task.key, task.judge, judged.measurements, judged.judgements)
        self.progress.retained += 1
        self.progress.last = f"{task.draw.dataset.label} · retention"

    def _is_followed(self, block: plan.Block) -> bool:
        """Whether the suite asks for the sanity of a block."""
        table = self.suite.sanity
        if table is None or block.model is None or block.draw.permutation is not None:
            return False
        return table.covers("datasets", block.draw.dataset.label) and table.covers("models", block.model.label)

    def _sanity(self, draw_key: str, model_key: str) -> SanityTask | None:
        """The task of following the relevances of one network that are not followed yet, or None."""
        table, block = self.suite.sanity, self.whole[draw_key, model_key]
        if table is None or not self._is_followed(block):
            return None
        followed = self.store.randomised(sanity.key())
        waiting = [cell for cell in block.cells if cell.explainer is not None and cell.key not in followed]
        waiting = [cell for cell in waiting if table.covers("explainers", cell.label)]
        relevances = self.store.relevances(cell.key for cell in waiting)
        weights = self.store.weights(model_key)
        if not relevances or weights is None:
            return None
        cells = tuple(cell for cell in waiting if cell.key in relevances)
        assert block.model is not None
        return SanityTask(
            replace(block, model=self._as_trained(block.model, model_key), cells=cells), weights, relevances
        )

    def _store_sanity(self, task: SanityTask, found: SanityFound | None, reason: str) -> None:
        self.store.add_sanity(sanity.key(), found or dict.fromkeys(task.relevances, reason))
        self.progress.last = f"{task.block.draw.dataset.label} · {task.block.model_label} · sanity"


def _place(draw: plan.Draw) -> tuple[str, int]:
    """What draws have in common whose data are the same before they are split, standardised or permuted."""
    return draw.dataset.label, draw.data_seed


def _sanity_of(block: plan.Block) -> Work:
    return Work(SANITY, block.model_label, block.draw.dataset.label)


def _what(event: Event) -> str:
    """Why a task ended early, in words."""
    if isinstance(event, Raised | Replaced):
        return event.reason
    return f"the worker died, exit code {event.exit_code}" if isinstance(event, Died) else ""
