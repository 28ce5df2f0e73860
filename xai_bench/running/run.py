"""run(): what is missing of a suite is computed and stored, and all its results are returned."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.results.frames import Results
from xai_bench.results.records import DrawRecord, Measurement, PlanRow
from xai_bench.results.store import Store
from xai_bench.running.ledger import TRAINING, Forecast, Measured, Work
from xai_bench.suites import plan, reading
from xai_bench.suites.suite import Suite

if TYPE_CHECKING:
    from xai_bench.running.loop import Loop
    from xai_bench.running.under_way import Progress

LIBRARIES = ("torch", "captum", "shap", "numpy", "scipy", "scikit-learn", "pandas", "xai-bench")


def run(
    suite: Suite | str | Path | dict[str, Any],
    *,
    out: str | Path = ".",
    jobs: int | None = None,
    data_seeds: int | None = None,
    datasets: Sequence[str] = (),
    explainers: Sequence[str] = (),
    fresh: bool = False,
    device: str = "cpu",
    known: Sequence[str | Path] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> Results:
    """Run what is missing of a suite and return all its results.

    Parameters
    ----------
    suite : a Suite, the name of a shipped one, the path of a .toml file, or the content of one as a dict
    out : folder below which ``runs/SUITE/results.sqlite`` is kept
    jobs : worker processes; None computes in this process. The scores are the same, bit for bit. A suite's limit of
        time is exact with workers, which are killed; in this process it is soft (see ``workers.ThisProcess``).
    data_seeds : use the data seeds 0 .. data_seeds-1 instead of the suite's
    datasets, explainers : labels; compute nothing else. What is stored of the rest stays.
    fresh : forget the results that are stored
    device : where networks are trained and explained: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` (``cuda`` where there
        is one). Methods of other libraries that know the CPU only, and the sparse paths, run there. A store holds the
        results of one device: costs differ, and the last bits of scores. On a CUDA device ``peak_memory`` is that of
        the tensors on it, and a suite's limit of memory is not kept.
    known : folders of other runs, such as ``runs/quick`` of another machine: what they hold of this suite is copied,
        not computed. Their costs are those of their machines
    on_progress : called after every block

    Raises
    ------
    InputError
        For a bad suite, an unknown label, missing data, an unwritable folder, a folder in ``known`` without results, or
        a device that is not there or not that of the stored results. Nothing is lost.
    """
    asked = _asked(suite, jobs, data_seeds, datasets, explainers, device)
    suite, notices = asked.suite, asked.notices
    folder = Path(out) / "runs" / suite.name
    _check_known(asked, known, folder if fresh else None)
    earlier = _measured_before(folder, asked) if fresh else None
    if fresh and folder.exists():
        shutil.rmtree(folder)
    with Store(folder / "results.sqlite") as store:
        _check_device(store, asked.device)
        _take(store, asked, known)
        _score_by_new_metrics(store, asked.planned)
        loop = _loop(asked, store, earlier)
        facts, begun = {**provenance(jobs, asked.device), "left_out": notices.copy()}, time.monotonic()
        declared = {name: registry.get("metrics", name).facts() for name in registry.names("metrics")}
        number = store.begin(suite.config(), _plan_rows(asked.planned), facts, declared)
        try:
            loop.run(jobs, number, on_progress)
            facts |= {"finished": _now(), "cells": loop.progress.finished}
        finally:
            spent = {"wall": time.monotonic() - begun, "spent": dict(loop.spent)}
            store.end(number, {**facts, **spent, "seconds": loop.measured.summary()})
        return store.results()


def forecast(
    suite: Suite | str | Path | dict[str, Any],
    *,
    out: str | Path = ".",
    jobs: int | None = None,
    data_seeds: int | None = None,
    datasets: Sequence[str] = (),
    explainers: Sequence[str] = (),
    fresh: bool = False,
    device: str = "cpu",
    known: Sequence[str | Path] = (),
) -> Forecast:
    """What ``run`` with the same arguments would do, and how long that would take. Computes and writes nothing.

    Raises
    ------
    InputError
        As ``run``.
    """
    asked = _asked(suite, jobs, data_seeds, datasets, explainers, device)
    folder = Path(out) / "runs" / asked.suite.name
    own = [folder] if (folder / "results.sqlite").exists() and not fresh else []
    _check_known(asked, [*own, *known], folder if fresh else None)
    if own and not known:
        with Store(folder / "results.sqlite") as store:
            return _loop(asked, store).forecast(jobs)
    earlier = _measured_before(folder, asked) if fresh else None
    with Store(Path(":memory:")) as store:
        _take(store, asked, [*own, *known])
        return _loop(asked, store, earlier).forecast(jobs)


@dataclass(frozen=True)
class _Asked:
    """A suite without what is not available, its plan, and the labels that were asked for ({} for all).

    ``device``: as it is recorded, with its name.
    """

    suite: Suite
    notices: list[str]
    planned: list[plan.Block]
    wanted: dict[str, set[str]]
    device: str


def _asked(
    suite: Suite | str | Path | dict[str, Any],
    jobs: int | None,
    data_seeds: int | None,
    datasets: Sequence[str],
    explainers: Sequence[str],
    device: str,
) -> _Asked:
    from xai_bench import devices

    device = devices.resolve(device)
    if not isinstance(suite, Suite):
        suite = reading.from_dict(suite) if isinstance(suite, dict) else reading.load(suite)
    if data_seeds is not None:
        if data_seeds < 1:
            raise InputError(f"data_seeds: expected at least 1, got {data_seeds}")
        suite = suite.model_copy(update={"data_seeds": tuple(range(data_seeds))})
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs: expected at least 1, got {jobs}")
    wanted = {
        axis: reading.narrowed(suite, axis, list(labels))
        for axis, labels in (("datasets", datasets), ("explainers", explainers))
    }
    suite, notices = _available(suite)
    return _Asked(suite, notices, plan.blocks(suite, device), wanted, devices.described(device))


def _devices(store: Store) -> set[str]:
    """The devices of the runs that added to a store, as they are recorded."""
    return {record.get("device", "cpu") for record in store.provenance()}


def _check_device(store: Store, device: str) -> None:
    """Raise InputError if a store holds results of another device."""
    others = sorted(_devices(store) - {device})
    if others:
        raise InputError(
            f"{str(store.path.parent)!r} holds results of the device {others[0]}, and this run would be on {device}: "
            "use that device, --fresh, or another --out"
        )


def _check_known(asked: _Asked, known: Sequence[str | Path], forgotten: Path | None) -> None:
    """Raise InputError if a folder holds no results, those of another device, or those that are to be ``forgotten``."""
    for folder in known:
        if forgotten is not None and Path(folder).resolve() == forgotten.resolve():
            raise InputError(f"{str(folder)!r} is what a fresh start forgets: name another folder, or do without fresh")
        with Store(Path(folder) / "results.sqlite", create=False) as other:
            _check_device(other, asked.device)


def _take(store: Store, asked: _Asked, known: Sequence[str | Path]) -> None:
    for folder in known:
        with Store(Path(folder) / "results.sqlite", create=False) as other:
            store.take(other, _plan_rows(asked.planned), asked.suite.limits.seconds)


def _loop(asked: _Asked, store: Store, measured: Measured | None = None) -> Loop:
    from xai_bench.running.loop import Loop

    todo = plan.missing(_chosen(asked.planned, asked.wanted), store.settled(asked.suite.limits.seconds))
    measured = measured or _measured(store, asked.planned)
    return Loop(asked.suite, store, asked.planned, todo, measured, asked.notices)


def _measured_before(folder: Path, asked: _Asked) -> Measured:
    """What the runs took whose results are to be forgotten; nothing if they were on another device."""
    if not (folder / "results.sqlite").exists():
        return Measured()
    with Store(folder / "results.sqlite") as store:
        return _measured(store, asked.planned) if _devices(store) <= {asked.device} else Measured()


def _measured(store: Store, planned: list[plan.Block]) -> Measured:
    """What everything of this plan took that is stored."""
    measured = Measured()
    explained, trained = store.explain_seconds(), store.train_seconds()
    for block in planned:
        dataset, model = block.draw.dataset.label, block.model_label
        if dataset not in measured.inputs:
            content = store.draw_content(block.draw.key)
            d = content["d"] if content else getattr(block.draw.dataset.component, "d", None)
            if d is not None:
                measured.inputs[dataset] = d
        if block.model_key in trained:
            measured.add(Work(TRAINING, model, dataset), trained[block.model_key])
        for cell in block.cells:
            if cell.explainer is not None and cell.key in explained:
                measured.add(Work(cell.label, model, dataset), explained[cell.key])
    for record in store.provenance():
        for what, model, dataset, seconds in record.get("seconds", []):
            measured.add(Work(what, model, dataset), seconds)
    return measured


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
        from xai_bench.scoring import recovery

        truth = recovery.truth_from_json(content)
        assert truth is not None
        new = [metric for metric in recovery.metrics() if metric.name not in content["chance"]]
        constant = content["constant"]
        scores: dict[str, tuple[Measurement, ...]] = {}
        for block in draw_blocks:
            relevances = store.relevances(cell.key for cell in block.cells)
            scores |= {cell: recovery.scores(values, truth, new, constant) for cell, values in relevances.items()}
            for cell in block.cells:
                if cell.label == "random" and cell.key in settled:
                    scores[cell.key] = recovery.of_random(truth, key, block.rankings, new)
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
                permutation=-1 if block.draw.permutation is None else block.draw.permutation,
            )


def provenance(jobs: int | None, device: str = "cpu") -> dict[str, Any]:
    """Versions and settings that a result may depend on; no host, user or path. ``device``: with its name."""
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
        "device": device,
        "versions": versions,
        "plugins": {p.filename: p.sha256 for p in registry.plugins()},
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
