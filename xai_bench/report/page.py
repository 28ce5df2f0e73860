"""The pages and the summary: sections in their order, each drawn by itself."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.report.kit import markup, wording
from xai_bench.report.kit.frames import CONTROLS, Frames
from xai_bench.report.kit.section import Shown, known, show
from xai_bench.report.kit.wording import STATUS

FOR_A_PROCESS = 3
"""Datasets that are worth the start of a process."""
SCRIPTS = "datasets/tables.js"
"""What sorts and filters the tables of the datasets; the pages can be read without it."""
DATASETS = "datasets"
"""Sections within it are parts of the page of every dataset."""


def render(frames: Frames, jobs: int = 1) -> dict[str, str]:
    """File name to text; the pages of datasets are drawn by up to ``jobs`` processes."""
    kinds = known()
    if not kinds:
        raise InputError("no section of the report is known: install xai_bench again, for its entry points")
    shown = [one for kind in kinds if kind.within != DATASETS and (one := show(kind, frames)) is not None]
    suite = frames.results.suite
    title = wording.without_paths(suite.get("title") or suite.get("name") or "Report")
    content = {
        "title": title,
        "name": wording.without_paths(suite.get("name", "")),
        "line": line(frames),
        "part": part(frames),
        "versions": versions(frames) + devices(frames),
        "sections": [one for one in shown if not one.absent],
        "absent": absent(shown),
    }
    files = dict(zip(frames.addresses.values(), _of_datasets(frames, jobs, title), strict=True))
    if files:
        files[SCRIPTS] = str(markup.render("scripts.js"))
    page, summary = (str(markup.render(name, **content)) for name in ("index.html", "summary.md"))
    return files | {"index.html": page, "summary.md": re.sub(r"\n{3,}", "\n\n", summary)}


def absent(shown: Sequence[Shown]) -> str:
    """Which sections are left out, and why: one sentence, or nothing."""
    reasons = list(dict.fromkeys(one.absent for one in shown if one.absent))
    return f"Not in this report: {wording.listed(reasons, len(reasons))}." if reasons else ""


def dataset(frames: Frames, title: str, label: str) -> str:
    """The page of one dataset. ``title``: of the report."""
    kinds = [kind for kind in known() if kind.within == DATASETS]
    shown = [one for kind in kinds if (one := show(kind, frames, label)) is not None]
    links = [(name, address.removeprefix("datasets/")) for name, address in frames.addresses.items()]
    at = frames.datasets.index(label)
    content = {
        "title": title,
        "label": label,
        "sections": [one for one in shown if not one.absent],
        "absent": absent(shown),
        "before": links[at - 1] if at else None,
        "after": links[at + 1] if at + 1 < len(links) else None,
    }
    return str(markup.render("dataset.html", **content))


def _of_datasets(frames: Frames, jobs: int, title: str) -> list[str]:
    """The pages of the datasets, in their order. What a process did not finish is drawn here."""
    labels = frames.datasets
    ready: dict[int, str] = {}
    waiting, busy = deque(range(len(labels))), 0
    processes = min(jobs, len(labels) // FOR_A_PROCESS)
    if processes > 1:
        from xai_bench.workers import Item, Workers

        arguments = frames, registry.plugins(), registry.of_scripts("sections"), title
        with Workers(processes, None, _begin, arguments) as workers:
            while waiting or busy:
                while waiting and workers.room():
                    number = waiting.popleft()
                    workers.submit(number, _drawn, labels[number])
                    busy += 1
                for event in workers.wait():
                    if isinstance(event, Item):
                        ready[event.task] = event.content
                    else:
                        busy -= 1
    return [ready[i] if i in ready else dataset(frames, title, label) for i, label in enumerate(labels)]


_given: list[Any] = []
"""What a process draws from: the frames, and the title of the report."""


def _begin(frames: Frames, plugins: Sequence[registry.Plugin], sections: bytes, title: str) -> None:
    for plugin in plugins:
        registry.activate(plugin)
    registry.take(sections)
    _given[:] = [frames, title]


def _drawn(label: str) -> Iterator[str]:
    frames, title = _given
    yield dataset(frames, title, label)


def line(frames: Frames) -> str:
    """What was run, in one line."""
    suite, cells = frames.results.suite, frames.cells
    seeds = frames.data_seeds
    steady = len(seeds) > 3 and seeds == list(range(seeds[0], seeds[-1] + 1))
    named = f"{seeds[0]} to {seeds[-1]}" if steady else ", ".join(map(str, seeds))
    parts = [
        wording.plural(len(frames.datasets), "dataset"),
        wording.plural(len(frames.models), "network"),
        wording.plural(len(set(cells["explainer"]) - set(CONTROLS)), "method"),
        f"{wording.plural(len(seeds), 'draw')} (data seed{'s' if len(seeds) > 1 else ''} {named})",
    ]
    if len(suite.get("model_seeds", [])) > 1:
        parts.append(f"{len(suite['model_seeds'])} trainings a draw")
    if suite.get("folds"):
        parts.append(wording.plural(suite["folds"], "fold"))
    return " · ".join(parts)


def versions(frames: Frames) -> str:
    """Which versions of this program measured the numbers, and which one drew them."""
    recorded = [record.get("versions", {}).get("xai-bench") for record in frames.results.provenance]
    measured = dict.fromkeys(wording.without_paths(one or "of an unknown version") for one in recorded)
    by = wording.listed(list(measured)) if measured else "of an unknown version"
    return f"Measured by xai-bench {by}, drawn by xai-bench {version('xai-bench')}."


def devices(frames: Frames) -> str:
    """That scores come from several devices, with a space before it; "" if they do not."""
    known = [wording.without_paths(name) for name in frames.results.devices]
    if len(known) < 2:
        return ""
    return (
        f" Scores come from {len(known)} devices, {wording.listed(known)}: the same work has other last bits on each. "
        "Their costs are kept apart."
    )


def part(frames: Frames) -> str:
    """How many cells are done, and what of the suite was not run."""
    counts = frames.cells["status"].value_counts()
    text = f"{counts.get('done', 0):,} of {wording.plural(len(frames.cells), 'cell')} done"
    order = ("unsupported", "failed", "timed_out", "missing")
    text += "".join(f", {counts[status]:,} {STATUS[status]}" for status in order if status in counts)
    if "missing" not in counts:
        return f"{text}."
    planned = frames.cells[~frames.cells["explainer"].isin(CONTROLS)]
    places = []
    for axis in ("dataset", "explainer"):
        states = {str(label): set(rows["status"]) for label, rows in planned.groupby(axis, sort=False)}
        gone = [f"`{label}`" for label, found in states.items() if found == {"missing"}]
        if gone and len(gone) < len(states):
            places.append(wording.listed(gone, 8))
    where = f"; not run at all: {'; '.join(places)}" if places else ""
    return f"{text}: a part of the suite{where}."
