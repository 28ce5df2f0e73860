"""run(): the loop in the parent. It plans, hands blocks to workers, and stores what comes back."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from xai_bench import plan, registry
from xai_bench import suite as suites
from xai_bench.component import canonical_json, sha256
from xai_bench.errors import InputError
from xai_bench.store import CellResult, DrawRecord, Measurement, PlanRow, Results, Store
from xai_bench.suite import Suite

LIBRARIES = ("torch", "captum", "shap", "numpy", "scipy", "scikit-learn", "pandas", "xai-bench")


@dataclass
class Progress:
    """How far a run is; given to ``on_progress`` after every block."""

    total: int
    """Cells to compute in this run."""
    done: int = 0
    unsupported: int = 0
    failed: int = 0
    retained: int = 0
    """Draws whose retention is judged."""
    to_retain: int = 0
    notices: list[str] = field(default_factory=list)
    retention_failures: list[str] = field(default_factory=list)
    last: str = ""

    @property
    def finished(self) -> int:
        return self.done + self.unsupported + self.failed


class Executor(Protocol):
    """What runs blocks: a pool of processes, or this process."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future: ...


class _ThisProcess:
    """Runs at once and returns a finished future."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class _Pool:
    """Worker processes (pebble), which survive the death of one of them."""

    def __init__(self, jobs: int) -> None:
        import multiprocessing

        from pebble import ProcessPool

        self._pool = ProcessPool(
            max_workers=jobs,
            initializer=_start_worker,
            initargs=(registry.plugins(),),
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        future: Future = self._pool.schedule(function, args=arguments)
        return future

    def close(self, *, at_once: bool) -> None:
        if at_once:
            self._pool.stop()
        else:
            self._pool.close()
        self._pool.join()


def _start_worker(plugins: Sequence[registry.Plugin]) -> None:
    import signal

    from xai_bench.block import set_up_worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_worker(plugins)


@contextmanager
def _executor(jobs: int | None) -> Iterator[Executor]:
    if jobs is None:
        import torch

        from xai_bench.block import set_up_worker

        threads = torch.get_num_threads()
        set_up_worker(())
        try:
            yield _ThisProcess()
        finally:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(False)
        return
    pool, at_once = _Pool(jobs), True
    try:
        yield pool
        at_once = False
    finally:
        pool.close(at_once=at_once)


def run(
    suite: Suite | str | Path | dict[str, Any],
    *,
    out: str | Path = ".",
    jobs: int | None = None,
    data_seeds: int | None = None,
    datasets: Sequence[str] = (),
    explainers: Sequence[str] = (),
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Results:
    """Run what is missing of a suite and return all its results.

    Parameters
    ----------
    suite : a Suite, the name of a shipped one, the path of a .toml file, or the content of one as a dict
    out : folder below which ``runs/SUITE/results.sqlite`` is kept
    jobs : worker processes; None computes in this process. The scores are the same, bit for bit.
    data_seeds : use the data seeds 0 .. data_seeds-1 instead of the suite's
    datasets, explainers : labels; compute nothing else. What is stored of the rest stays.
    fresh : forget the results that are stored
    on_progress : called after every block

    Raises
    ------
    InputError
        For a bad suite, an unknown label, missing data, or an unwritable folder. Nothing is lost.
    """
    if not isinstance(suite, Suite):
        suite = suites.from_dict(suite) if isinstance(suite, dict) else suites.load(suite)
    if data_seeds is not None:
        if data_seeds < 1:
            raise InputError(f"data_seeds: expected at least 1, got {data_seeds}")
        suite = suite.model_copy(update={"data_seeds": tuple(range(data_seeds))})
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs: expected at least 1, got {jobs}")
    wanted = {
        axis: suites.narrowed(suite, axis, list(labels))
        for axis, labels in (("datasets", datasets), ("explainers", explainers))
    }
    suite, notices = _available(suite)
    folder = Path(out) / "runs" / suite.name
    if fresh and folder.exists():
        shutil.rmtree(folder)
    with Store(folder / "results.sqlite") as store:
        planned = plan.blocks(suite)
        _score_by_new_metrics(store, planned)
        todo = plan.missing(_chosen(planned, wanted), store.settled())
        progress = Progress(sum(len(b.cells) for b in todo), notices=notices)
        facts = {**provenance(jobs), "left_out": notices.copy()}
        number = store.begin(suite.config(), _plan_rows(planned), facts)
        _Loop(suite, store, planned, todo, number, progress, on_progress).run(jobs)
        store.end(number, {**facts, "finished": _now(), "cells": progress.finished})
        return store.results()


def _available(suite: Suite) -> tuple[Suite, list[str]]:
    """The suite without optional datasets whose files are absent; files that are there are read once."""
    kept, notices = [], []
    for entry in suite.datasets:
        absent = entry.component.missing()
        if absent and not entry.optional:
            raise InputError(absent)
        if absent:
            notices.append(f"{entry.label} is left out: {absent}")
        else:
            if entry.component.reads_files:
                entry.component.load(suite.data_seeds[0])
            kept.append(entry)
    if not kept:
        raise InputError(f"no dataset of the suite {suite.name!r} is available: {'; '.join(notices)}")
    return suite.model_copy(update={"datasets": tuple(kept)}), notices


def _score_by_new_metrics(store: Store, planned: list[plan.Block]) -> None:
    """Score what is stored by the metrics that have come since; relevances are kept, so nothing is explained again."""
    names = set(registry.names("metrics"))
    settled = store.settled()
    for key, draw_blocks in plan.by_draw(planned).items():
        content = store.draw_content(key)
        if content is None or content["roles"] is None or names <= set(content["chance"]):
            continue
        from xai_bench import scoring

        truth = scoring.truth_from_json(content)
        assert truth is not None
        new = [metric for metric in scoring.metrics() if metric.name not in content["chance"]]
        scores: dict[str, tuple[Measurement, ...]] = {}
        for block in draw_blocks:
            relevances = store.relevances(cell.key for cell in block.cells)
            scores |= {cell: scoring.recovery(values, truth, new) for cell, values in relevances.items()}
            for cell in block.cells:
                if cell.label == "random" and cell.key in settled:
                    scores[cell.key] = scoring.random(truth, key, block.rankings, new)
        content["chance"] |= {metric.name: metric.chance(truth) for metric in new}
        store.add_scores(DrawRecord(key, content), scores)


def _chosen(planned: list[plan.Block], wanted: Mapping[str, set[str]]) -> list[plan.Block]:
    result = []
    for block in planned:
        if wanted["datasets"] and block.draw.dataset.label not in wanted["datasets"]:
            continue
        if wanted["explainers"]:
            cells = tuple(c for c in block.cells if c.explainer is None or c.label in wanted["explainers"])
            if all(c.explainer is None for c in cells):
                continue
            block = replace(block, cells=cells)
        result.append(block)
    return result


def _plan_rows(planned: list[plan.Block]) -> Iterator[PlanRow]:
    for block in planned:
        for cell in block.cells:
            yield PlanRow(
                cell=cell.key,
                draw=block.draw.key,
                model_key=block.model_key,
                dataset=block.draw.dataset.label,
                model=block.model_label,
                explainer=cell.label,
                data_seed=block.draw.data_seed,
                model_seed=block.model_seed,
                fold=block.draw.fold.number if block.draw.fold else -1,
            )


def provenance(jobs: int | None) -> dict[str, Any]:
    """Versions and settings that a result may depend on; no host, user or path."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "unknown"
    return {
        "started": _now(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "jobs": jobs,
        "threads": 1,
        "device": "cpu",
        "versions": versions,
        "plugins": {p.filename: p.sha256 for p in registry.plugins()},
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Loop:
    """Hands out blocks; when all blocks of a draw are back, its retention."""

    def __init__(
        self,
        suite: Suite,
        store: Store,
        planned: list[plan.Block],
        todo: list[plan.Block],
        number: int,
        progress: Progress,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.suite, self.store, self.number = suite, store, number
        self.progress, self.on_progress = progress, on_progress or (lambda _: None)
        self.todo = todo
        self.planned = plan.by_draw(planned)
        self.open = {key: len(blocks) for key, blocks in plan.by_draw(todo).items()}
        self.running: dict[Future, Any] = {}

    def run(self, jobs: int | None) -> None:
        """Compute and store everything in ``todo``, and the retention that is missing."""
        from xai_bench.block import run_block

        untouched = [key for key in self.planned if key not in self.open] if self.suite.retention else []
        self.progress.to_retain = (len(self.open) + len(untouched)) if self.suite.retention else 0
        unjudged = [task for key in untouched if (task := self._retention(key)) is not None]
        self.progress.retained = len(untouched) - len(unjudged)
        if not self.todo and not unjudged:
            return
        self.on_progress(self.progress)
        with _executor(jobs) as executor:
            waiting = [*self.todo]
            for task in unjudged:
                self._submit_retention(executor, task)
            ahead = 2 * (jobs or 1)
            while waiting or self.running:
                while waiting and len(self.running) < ahead:
                    block = waiting.pop(0)
                    weights = self.store.weights(block.model_key)
                    self.running[executor.submit(run_block, block, weights)] = block
                finished, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in finished:
                    item = self.running.pop(future)
                    if isinstance(item, plan.Block):
                        self._store_block(item, future)
                        self.open[item.draw.key] -= 1
                        if self.open[item.draw.key] == 0 and self.suite.retention:
                            self._submit_retention(executor, self._retention(item.draw.key))
                    else:
                        self._store_retention(item, future)
                    self.on_progress(self.progress)

    def _store_block(self, block: plan.Block, future: Future) -> None:
        from xai_bench.block import BlockResult, reason_of

        error = future.exception()
        if error is not None:
            reason = f"the worker died: {reason_of(error)}"
            result = BlockResult(tuple(CellResult(cell.key, "failed", reason) for cell in block.cells))
        else:
            result = future.result()
        self.store.add(result.cells, self.number, result.draw, result.model)
        for cell in result.cells:
            counted = cell.status if cell.status in ("done", "unsupported") else "failed"
            setattr(self.progress, counted, getattr(self.progress, counted) + 1)
        for notice in result.notices:
            if notice not in self.progress.notices:
                self.progress.notices.append(notice)
        self.progress.last = " · ".join(filter(None, (block.draw.dataset.label, block.model_label)))

    def _retention(self, draw_key: str) -> Any | None:
        """The task of judging what is not judged of a draw, or None."""
        from xai_bench import retention
        from xai_bench.block import RetentionTask

        settings = self.suite.retention
        assert settings is not None
        draw_blocks = self.planned[draw_key]
        draw = draw_blocks[0].draw
        judge = retention.judge_key(draw, settings)
        plain = self._plain_models(draw_blocks)
        key = sha256(canonical_json([judge, settings.model_dump(mode="json"), sorted(plain.values())]))
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
        components = {b.model_key: b.model.component for b in draw_blocks if b.model}
        models = {k: (components[k], self.store.weights(k)) for k in sorted(model_keys - {""})}
        return RetentionTask(key, judge, draw, settings, tuple(ranked), models, self.store.judgements(judge))  # type: ignore[arg-type]

    def _plain_models(self, draw_blocks: list[plan.Block]) -> dict[int, str]:
        """Model seed to the key of the suite's plain network of that seed."""
        entry = self.suite.plain_model(draw_blocks[0].draw.dataset.label)
        return {b.model_seed: b.model_key for b in draw_blocks if b.model and entry and b.model.label == entry.label}

    def _submit_retention(self, executor: Executor, task: Any | None) -> None:
        from xai_bench.block import run_retention

        if task is None:
            self.progress.retained += 1
        else:
            self.running[executor.submit(run_retention, task)] = task

    def _store_retention(self, task: Any, future: Future) -> None:
        from xai_bench.block import reason_of

        error = future.exception()
        if error is not None:
            reason = reason_of(error)
            message = f"retention of {task.draw.dataset.label}, data seed {task.draw.data_seed}: {reason}"
            self.progress.retention_failures.append(message)
            # Under no key: the next run judges it again.
            none = (Measurement("retention_retrained_area", None, reason=reason),)
            self.store.add_retention("", task.judge, {ranked.cell: none for ranked in task.ranked}, {})
        else:
            judged = future.result()
            self.store.add_retention(task.key, task.judge, judged.measurements, judged.judgements)
        self.progress.retained += 1
        self.progress.last = f"{task.draw.dataset.label} · retention"
