"""run(): what is missing of a suite is computed and stored, and all its results are returned."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.results import lock, opening, schema
from xai_bench.results.frames import Results
from xai_bench.results.opening import FILE, Damaged, locate
from xai_bench.results.records import DrawRecord, Measurement
from xai_bench.results.store import Store
from xai_bench.results.truth import truth_of
from xai_bench.running import machine
from xai_bench.running.ledger import Forecast, Measured, recorded
from xai_bench.running.notebook import progress_bar
from xai_bench.running.request import Asked, Request, is_stored
from xai_bench.running.runs import Runs, now
from xai_bench.suites import plan

if TYPE_CHECKING:
    from xai_bench.running.cluster import Site
    from xai_bench.running.loop import Loop

P = ParamSpec("P")
R = TypeVar("R")


def compute(request: Request) -> Results:
    """Run what is missing of a suite and return all its results.

    Raises
    ------
    InputError
        For a bad suite, an unknown label, missing data, an unwritable folder, one that another process writes to, a
        folder in ``known`` without results, a device that is not there, or a component that cannot be sent to the
        workers that are asked for. Nothing is lost.
    """
    from xai_bench.running.executors import check_sent

    asked = Asked.of(request)
    if request.jobs is not None or request.scheduler is not None:
        check_sent(asked.suite)
    with _site(asked) as site, lock.held(asked.folder):
        asked = asked if site is None else replace(asked, device=site.device)
        _check_known(request.known, asked.folder if request.fresh else None)
        earlier = _measured_before(asked) if request.fresh else None
        if request.fresh and not asked.is_part:
            opening.remove(asked.folder / FILE)
        return _completed(asked, earlier, site)


@contextlib.contextmanager
def _site(asked: Asked) -> Iterator[Site | None]:
    """The cluster that is to compute; None for this machine."""
    if asked.request.scheduler is None:
        yield None
        return
    from xai_bench.running import cluster
    from xai_bench.running.executors import installed_for

    with cluster.reached(asked.request.scheduler, installed_for(asked.suite), asked.request.device) as site:
        yield site


def _completed(asked: Asked, earlier: Measured | None, site: Site | None) -> Results:
    """Compute what the store lacks.

    ``earlier``: what was measured in results that are forgotten now; ``site``: the cluster that computes.
    """
    from xai_bench.scoring import recovery

    request, jobs = asked.request, asked.request.jobs
    with Store(asked.folder / FILE) as store:
        if request.fresh and asked.is_part:
            store.forget(_named(store, asked))
        _take(store, asked, request.known)
        _score_anew(store, asked.planned)
        loop = _loop(asked, store, earlier)
        facts, begun = {**provenance(jobs, asked.device), "left_out": list(asked.notices)}, time.monotonic()
        if site is not None:
            facts |= {"jobs": site.size, "cluster": True}
        number = store.begin(asked.suite.config(), asked.rows(), facts, recovery.declared())
        runs, finished = Runs(store, number, facts), {}
        try:
            with progress_bar(request.on_progress) as on_progress:
                loop.run(jobs, runs, on_progress, site)
            finished = {"finished": now(), "cells": loop.progress.finished}
        finally:
            spent = {"wall": time.monotonic() - begun, "spent": dict(loop.ledger.spent)}
            runs.end({**finished, **spent, "seconds": loop.ledger.measured.summary()})
        del loop
        for blocks in (asked.planned, asked.chosen):  # The results of a million cells need their room.
            blocks.clear()
        return store.results()


def foresee(request: Request) -> Forecast:
    """What ``run`` with the same arguments would do, and how long that would take. Computes and writes nothing.

    Raises
    ------
    InputError
        As ``run``.
    """
    asked = Asked.of(request)
    with _site(asked) as site:
        if site is not None:
            asked, request = replace(asked, device=site.device), replace(request, jobs=site.size, scheduler=None)
    folder, known = asked.folder, request.known
    own = [folder] if (asked.is_part or not request.fresh) and is_stored(folder) else []
    _check_known(known, folder if request.fresh else None)
    _check_known(own, None)
    if own and not known and not request.fresh:
        with Store.reading(folder) as store:
            return _loop(asked, store).forecast(request.jobs)
    earlier = _measured_before(asked) if request.fresh else None
    with Store.in_memory() as store:
        _take(store, asked, own)
        if own and request.fresh:
            store.begin(asked.suite.config(), asked.rows(), {})
            with Store.reading(folder) as stored:
                store.forget(_named(stored, asked))
        _take(store, asked, known)
        return _loop(asked, store, earlier).forecast(request.jobs)


def _named(store: Store, asked: Asked) -> set[str]:
    """Keys of the cells that a fresh start of a part forgets: those so named in the stored plan, and in this one."""
    labels = asked.wanted["explainers"]
    planned = [cell for block in asked.chosen for cell in block.cells if not labels or cell.label in labels]
    return store.named(asked.wanted) | {cell.key for cell in planned}


def _with_arguments(build: Callable[P, Request], of: Callable[[Request], R], name: str) -> Callable[P, R]:
    """``of`` as a function of a request's arguments, which are listed and described in one place: the request."""

    def function(*arguments: P.args, **keywords: P.kwargs) -> R:
        return of(build(*arguments, **keywords))

    function.__name__ = function.__qualname__ = name
    parameters = inspect.getdoc(Request) or ""
    function.__doc__ = f"{inspect.getdoc(of)}\n\n{parameters[parameters.find('Parameters') :]}\n"
    returned = inspect.signature(of).return_annotation
    function.__signature__ = inspect.signature(Request).replace(return_annotation=returned)  # type: ignore[attr-defined]
    return function


run = _with_arguments(Request, compute, "run")
forecast = _with_arguments(Request, foresee, "forecast")


def _check_known(known: Sequence[str | Path], forgotten: Path | None) -> None:
    """Raise InputError if a folder holds no results, or those that are to be ``forgotten``."""
    for folder in known:
        if forgotten is not None and locate(folder).resolve() == (forgotten / FILE).resolve():
            raise InputError(f"{str(folder)!r} is what a fresh start forgets: name another folder, or do without fresh")
        with Store.reading(folder):
            pass


def _take(store: Store, asked: Asked, known: Sequence[str | Path]) -> None:
    for folder in known:
        with Store.reading(folder) as other:
            store.take(other, asked.rows(), asked.limits.seconds)


def _loop(asked: Asked, store: Store, measured: Measured | None = None) -> Loop:
    from xai_bench.running.loop import Loop

    todo = plan.missing(asked.chosen, store.settled(asked.limits.seconds))
    measured = measured or recorded(store, asked.planned, asked.device)
    return Loop(asked.suite, store, asked.planned, todo, measured, list(asked.notices), asked.limits)


def _measured_before(asked: Asked) -> Measured:
    """What the runs took whose results are to be forgotten; nothing of another device, or if they are damaged."""
    try:
        if is_stored(asked.folder):
            with Store.reading(asked.folder) as store:
                return recorded(store, asked.planned, asked.device)
    except (Damaged, schema.Newer):  # It is about to be removed.
        pass
    return Measured()


def _score_anew(store: Store, planned: list[plan.Block]) -> None:
    """Score what is stored by metrics that came or changed since; relevances are kept: nothing is explained again."""
    from xai_bench.scoring import recovery

    current = recovery.identities()
    settled, scored = store.settled(), store.scored()
    for key, draw_blocks in plan.by_draw(planned).items():
        facts = store.draw_facts(key)
        if facts is None or facts.roles is None:
            continue
        cells = {cell.key: cell for block in draw_blocks for cell in block.cells if cell.key in settled}
        behind = {
            cell: {name: identity for name, identity in current.items() if scored.get(cell, {}).get(name) != identity}
            for cell in cells
        }
        behind = {cell: metrics for cell, metrics in behind.items() if metrics}
        if behind or not current.items() <= facts.metrics.items():
            random = {cell for cell in cells if cells[cell].label == "random"}
            _score_draw(store, DrawRecord(key, facts), current, behind, random, draw_blocks[0].rankings)


def _score_draw(
    store: Store,
    draw: DrawRecord,
    current: dict[str, str],
    behind: dict[str, dict[str, str]],
    random: set[str],
    rankings: int,
) -> None:
    """Score cells of one draw by the metrics they are ``behind`` in; ``random``: those that are that control."""
    from xai_bench.running import scores
    from xai_bench.scoring import recovery

    facts, truth = draw.facts, truth_of(draw.facts)
    assert truth is not None
    metrics = {metric.name: metric for metric in recovery.metrics()}
    found: dict[str, tuple[Measurement, ...]] = {}
    for cell, relevance in store.relevances(behind).items():
        chosen = [metrics[name] for name in behind[cell]]
        found[cell] = scores.of_relevance(relevance, truth, chosen, facts.constant)
    for cell in random & behind.keys():
        found[cell] = scores.of_random(truth, draw.key, rankings, [metrics[name] for name in behind[cell]])
    changed = [metric for name, metric in metrics.items() if facts.metrics.get(name) != current[name]]
    chance = {**facts.chance, **scores.chances(truth, changed)}
    facts = replace(facts, chance=chance, metrics={**facts.metrics, **current})
    store.add_scores(DrawRecord(draw.key, facts), behind, found)


def provenance(jobs: int | None, device: str = "cpu") -> dict[str, Any]:
    """Versions and settings that a result may depend on; no host, user or path. ``device``: with its name."""
    return {
        "started": now(),
        **machine.recorded(device),
        "jobs": jobs,
        "threads": 1,
        "plugins": {p.filename: p.sha256 for p in registry.plugins()},
    }
