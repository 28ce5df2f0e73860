"""The page, its summary and the CSV files: sections in their order, each drawn by itself."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from markupsafe import Markup

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.report.kit import markup, wording
from xai_bench.report.kit.frames import CONTROLS, Frames
from xai_bench.report.kit.section import Section, Shown, known, show
from xai_bench.report.kit.wording import STATUS

FOR_A_PROCESS = 3
"""Datasets that are worth the start of a process."""
DATASETS = "datasets"
"""The section whose parts are shown for every dataset."""


@dataclass(frozen=True)
class Article:
    """A stretch of a section under a heading of its own."""

    anchor: str
    title: str
    html: Markup
    summary: str


def render(frames: Frames, jobs: int = 1, *, tables: bool = True) -> dict[str, str]:
    """File name to text; the sections of datasets are drawn by up to ``jobs`` processes. ``tables``: CSV files too."""
    kinds = known()
    if not kinds:
        raise InputError("no section of the report is known: install xai_bench again, for its entry points")
    sections, files, twice, questions = [], dict[str, str](), list[str](), 0
    for kind in kinds:
        if kind.within or (shown := show(kind, frames)) is None:
            continue
        parts = [part for part in kinds if part.within == kind.id]
        if kind.id == DATASETS:
            articles, drawn = _of_datasets(frames, parts, jobs)
        else:
            articles, drawn = _of_parts(frames, parts)
        questions += kind.asks
        for one in (shown, *drawn):
            twice += [f"`{name}` of the section `{one.id}`" for name in one.csv if name in files]
            files |= {name: text for name, text in one.csv.items() if name not in files}
        sections.append({
            "id": kind.id, "title": shown.title, "label": shown.label, "html": shown.html, "summary": shown.summary,
            "number": questions if kind.asks else None, "short": shown.short, "in_summary": kind.in_summary,
            "absent": _absent([shown, *drawn]), "articles": articles, "lists": kind.id == DATASETS,
        })  # fmt: skip
    files = files if tables else {}
    suite = frames.results.suite
    content = {
        "title": wording.without_paths(suite.get("title") or suite.get("name") or "Report"),
        "name": wording.without_paths(suite.get("name", "")),
        "line": line(frames),
        "part": part(frames),
        "versions": versions(frames),
        "sections": sections,
        "files": list(files),
        "twice": twice
        and tables
        and f"Left out, since another section has a file of that name: {wording.listed(twice)}.",
    }
    page, summary = (str(markup.render(name, **content)) for name in ("index.html", "summary.md"))
    return files | {"index.html": page, "summary.md": re.sub(r"\n{3,}", "\n\n", summary)}


def short_answers(frames: Frames) -> list[tuple[str, str]]:
    """The questions, each with the sentences that answer it first."""
    shown = [show(kind, frames) for kind in known() if kind.asks and not kind.within]
    return [(one.id, one.short or one.absent) for one in shown if one is not None]


def _absent(shown: Sequence[Shown]) -> str:
    """What is not in a section, and why: one sentence, or nothing."""
    reasons = [one.absent for one in shown if one.absent]
    return f"Not in this report: {wording.listed(reasons, len(reasons))}." if reasons else ""


def _of_parts(frames: Frames, parts: list[type[Section]]) -> tuple[list[Article], list[Shown]]:
    drawn = [shown for part in parts if (shown := show(part, frames)) is not None]
    within = parts[0].within if parts else ""
    return [Article(f"{within}-{s.id}", s.title, s.html, s.summary) for s in drawn if not s.absent], drawn


def _of_datasets(frames: Frames, parts: list[type[Section]], jobs: int) -> tuple[list[Article], list[Shown]]:
    """An article a dataset, in their order. What a process did not finish is drawn here."""
    named = [(label, f"d{i + 1}") for i, label in enumerate(frames.datasets)]
    ready: dict[int, list[Shown]] = {}
    waiting, busy = deque(range(len(named))), 0
    processes = min(jobs, len(named) // FOR_A_PROCESS)
    if processes > 1:
        from xai_bench.workers import Item, Workers

        with Workers(processes, None, _begin, (frames, registry.plugins(), [part.id for part in parts])) as workers:
            while waiting or busy:
                while waiting and workers.room():
                    number = waiting.popleft()
                    workers.submit(number, _drawn, *named[number])
                    busy += 1
                for event in workers.wait():
                    if isinstance(event, Item):
                        ready[event.task] = event.content
                    else:
                        busy -= 1
    drawn = [ready[i] if i in ready else dataset(frames, parts, *named[i]) for i in range(len(named))]
    articles = [
        Article(key, label, Markup("").join(one.html for one in shown), "\n".join(one.summary for one in shown))
        for (label, key), shown in zip(named, drawn, strict=True)
    ]
    return articles, [one for shown in drawn for one in shown]


_given: list[Any] = []
"""What a process draws from: the frames, and the parts of a dataset."""


def _begin(frames: Frames, plugins: Sequence[registry.Plugin], parts: list[str]) -> None:
    for plugin in plugins:
        registry.activate(plugin)
    by_id = {kind.id: kind for kind in known()}
    _given[:] = [frames, [by_id[name] for name in parts]]


def _drawn(label: str, key: str) -> Iterator[list[Shown]]:
    frames, parts = _given
    yield dataset(frames, parts, label, key)


def dataset(frames: Frames, parts: list[type[Section]], label: str, key: str) -> list[Shown]:
    """The parts of one dataset."""
    return [shown for part in parts if (shown := show(part, frames, label, key)) is not None]


def line(frames: Frames) -> str:
    """What was run, in one line."""
    suite, cells = frames.results.suite, frames.cells
    seeds = ", ".join(str(seed) for seed in frames.data_seeds)
    parts = [
        wording.plural(len(frames.datasets), "dataset"),
        wording.plural(len(frames.models), "network"),
        wording.plural(len(set(cells["explainer"]) - set(CONTROLS)), "method"),
        f"data seed{'s' if len(frames.data_seeds) > 1 else ''} {seeds}",
    ]
    if len(suite.get("model_seeds", [])) > 1:
        parts.append("model seeds " + ", ".join(str(seed) for seed in suite["model_seeds"]))
    if suite.get("folds"):
        parts.append(wording.plural(suite["folds"], "fold"))
    return " · ".join(parts)


def versions(frames: Frames) -> str:
    """Which versions of this program measured the numbers, and which one drew them."""
    recorded = [record.get("versions", {}).get("xai-bench") for record in frames.results.provenance]
    measured = dict.fromkeys(wording.without_paths(one or "of an unknown version") for one in recorded)
    by = wording.listed(list(measured)) if measured else "of an unknown version"
    return f"Measured by xai-bench {by}, drawn by xai-bench {version('xai-bench')}."


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
        absent = [
            f"`{label}`" for label, rows in planned.groupby(axis, sort=False) if (rows["status"] == "missing").all()
        ]
        if absent and len(absent) < planned[axis].nunique():
            places.append(wording.listed(absent, 8))
    where = f"; not run at all: {'; '.join(places)}" if places else ""
    return f"{text}: a part of the suite{where}."
