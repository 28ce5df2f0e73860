"""What page and summary are rendered from: answers, tables, figures and facts, put together once."""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from xai_bench.report import (
    answers,
    curves,
    figures,
    histograms,
    kept,
    lines,
    pictures,
    pixels,
    published,
    saturation,
    scrutiny,
    shares,
    spectra,
    views,
    wording,
)
from xai_bench.report.tables import AREAS, CONTROLS, NO_MODEL, Tables
from xai_bench.workers import Item, Workers

QUESTIONS = (
    ("recovery", "Does it find the inputs that are truly relevant?"),
    ("cost", "What does it cost?"),
    ("retention", "How accurate is a model that keeps only its top inputs?"),
)
FOR_A_PROCESS = 3
"""Datasets that are worth the start of a process."""
STATUS = {"failed": "failed", "timed_out": "out of time", "missing": "not run", "unsupported": "not supported"}


def render(tables: Tables, frames: scrutiny.Frames, jobs: int = 1) -> dict[str, str]:
    """File name to text: the page and its summary; drawn by up to ``jobs`` processes."""
    content = context(tables, frames, jobs)
    names = ("index.html", "summary.md")
    return {name: _environment().get_template(f"{name}.j2").render(content) for name in names}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("xai_bench.report"),
        autoescape=lambda name: name is None or ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "prose": _prose,
        "markdown": _markdown,
        "soft": _soft,
        "percent": lambda share: f"{100 * share:.1f}%",
    }
    return environment


def _prose(text: str) -> Markup:
    """Escaped, with names in backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _soft(label: str) -> Markup:
    """Escaped; a line may break after an underscore."""
    return Markup(str(escape(label)).replace("_", "_<wbr>"))


def _markdown(text: str) -> str:
    """Safe in Markdown: no HTML, no breaks of lines or columns."""
    return str(escape(text)).replace("&#39;", "'").replace("&#34;", '"').replace("|", "\\|").replace("\n", " ")


def context(tables: Tables, frames: scrutiny.Frames, jobs: int) -> dict[str, Any]:
    """The variables of the templates."""
    suite = tables.results.suite
    found = {"recovery": answers.recovery(tables), "cost": answers.cost(tables), "retention": answers.retention(tables)}
    shown = {"recovery": views.recovery(tables), "cost": views.cost(tables), "retention": views.retention(tables)}
    scores = {label: answers.headline(tables, label) for label in tables.datasets}
    areas = {label: list(AREAS) for label in tables.datasets}
    overview = {
        "recovery": views.standings(tables, tables.recovery, scores),
        "cost": None,
        "retention": views.standings(tables, tables.retention, areas),
    }
    return {
        "title": wording.without_paths(suite.get("title") or suite.get("name") or "Report"),
        "name": wording.without_paths(suite.get("name", "")),
        "line": line(tables),
        "part": part(tables),
        "questions": [
            {"id": name, "title": title, "answer": found[name], "overview": overview[name], "table": shown[name]}
            for name, title in QUESTIONS
        ],
        "scrutiny": scrutiny.scrutiny(frames),
        "scrutiny_files": sorted(set(frames.csv()) - {"recovery.csv"}),
        "datasets": sections(tables, jobs),
        "published": published.tables_of(tables),
        "problems": problems(tables),
        "runs": runs(tables),
        "settings": settings(tables),
        "one_seed": len(tables.data_seeds) == 1,
        "seeds": len(tables.data_seeds),
        "retention_settings": suite.get("retention"),
        "rankings": suite.get("rankings"),
        "dense": tables.dense,
        "on_cuda": any(record.get("device", "cpu") != "cpu" for record in tables.results.provenance),
        "windows": "auroc_windows" in tables.metrics,
    }


def line(tables: Tables) -> str:
    """What was run, in one line."""
    suite, cells = tables.results.suite, tables.cells
    seeds = ", ".join(str(seed) for seed in tables.data_seeds)
    parts = [
        wording.plural(len(tables.datasets), "dataset"),
        wording.plural(len(tables.models), "network"),
        wording.plural(len(set(cells["explainer"]) - set(CONTROLS)), "method"),
        f"data seed{'s' if len(tables.data_seeds) > 1 else ''} {seeds}",
    ]
    if len(suite.get("model_seeds", [])) > 1:
        parts.append("model seeds " + ", ".join(str(seed) for seed in suite["model_seeds"]))
    if suite.get("folds"):
        parts.append(wording.plural(suite["folds"], "fold"))
    return " · ".join(parts)


def part(tables: Tables) -> str:
    """How many cells are done, and what of the suite was not run."""
    counts = tables.cells["status"].value_counts()
    text = f"{counts.get('done', 0):,} of {wording.plural(len(tables.cells), 'cell')} done"
    order = ("unsupported", "failed", "timed_out", "missing")
    text += "".join(f", {counts[status]:,} {STATUS[status]}" for status in order if status in counts)
    if "missing" not in counts:
        return f"{text}."
    planned = tables.cells[~tables.cells["explainer"].isin(CONTROLS)]
    places = []
    for axis in ("dataset", "explainer"):
        absent = [
            f"`{label}`" for label, rows in planned.groupby(axis, sort=False) if (rows["status"] == "missing").all()
        ]
        if absent and len(absent) < planned[axis].nunique():
            places.append(wording.listed(absent, 8))
    where = f"; nothing was run of {' and of '.join(places)}" if places else ""
    return f"{text}: a part of the suite{where}."


def sections(tables: Tables, jobs: int) -> list[dict[str, Any]]:
    """The datasets' sections, in their order. What a process did not finish is drawn here."""
    named = [(label, f"d{i + 1}") for i, label in enumerate(tables.datasets)]
    found: dict[int, dict[str, Any]] = {}
    waiting, busy = deque(range(len(named))), 0
    processes = min(jobs, len(named) // FOR_A_PROCESS)
    if processes > 1:
        with Workers(processes, None, _begin, (tables,)) as workers:
            while waiting or busy:
                while waiting and workers.room():
                    number = waiting.popleft()
                    workers.submit(number, _section, *named[number])
                    busy += 1
                for event in workers.wait():
                    if isinstance(event, Item):
                        found[event.task] = event.content
                    else:
                        busy -= 1
    return [found[i] if i in found else dataset(tables, *named[i]) for i in range(len(named))]


_given: list[Tables] = []
"""What a process draws from."""


def _begin(tables: Tables) -> None:
    _given.append(tables)


def _section(label: str, key: str) -> Iterator[dict[str, Any]]:
    (tables,) = _given
    yield dataset(tables, label, key)


def dataset(tables: Tables, label: str, key: str) -> dict[str, Any]:
    """One dataset's section; figures and tables are None where there is nothing to show."""
    draws = tables.draws(label)
    many = bool(draws) and (draws[0]["d"] > figures.SMALL or draws[0].get("feature_shape") is not None)
    picture = bool(draws) and draws[0].get("feature_shape") is not None
    repeated = [one.n for one in shares.trainings(tables, label).values()]

    def drawn(figure: Callable[[Tables, str, str], str | None], part: str, wanted: bool = True) -> Markup | None:
        svg = figure(tables, label, f"{key}{part}") if draws and wanted else None
        return None if svg is None else Markup(svg)

    return {
        "label": label,
        "id": key,
        "facts": facts(draws),
        "notices": sorted({wording.without_paths(notice) for draw in draws for notice in draw.get("notices", [])}),
        "problems": problems(tables, label),
        "models": views.models(tables, label),
        "everything": views.everything(tables, label),
        "truth": bool(draws) and draws[0].get("roles") is not None,
        "graded": bool(draws) and draws[0].get("graded") is not None,
        "trainings": max(repeated, default=0),
        "inputs": drawn(histograms.inputs, "i"),
        "maps": pixels.maps(tables, label) if many else None,
        "relevance": drawn(figures.relevance, "r", not many),
        "relevances": drawn(histograms.relevances, "h", picture),
        "kept_pictures": pictures.kept(tables, label),
        "spectrum": drawn(spectra.relevance, "s"),
        "lines": lines.scores(tables, label),
        "windows": lines.windows(tables, label),
        "against": drawn(figures.against_truth, "t"),
        "retention": drawn(curves.retention, "k"),
        "first_inputs": drawn(curves.first_inputs, "f"),
        "few": saturation.FEW,
        "kept": kept.table(tables, label),
        "every_masked": (tables.results.suite.get("retention") or {}).get("masked_to"),
        "cost": drawn(figures.cost_against_recovery, "c"),
    }


def facts(draws: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and value of what is known of a dataset."""
    if not draws:
        return [("Rows", "unknown: no cell of this dataset was run")]
    first = draws[0]
    regression = first["kind"] == "regression"
    shape = first.get("feature_shape")
    rows = [
        ("Task", "regression" if regression else f"classification, {first['n_outputs']} classes"),
        ("Score", "R²" if regression else "accuracy"),
        ("Inputs", f"{first['d']:,}" + (f" ({shape[0]} × {shape[1]} pixels)" if shape else "")),
        ("Rows", f"{first['n_train']:,} train, {first['n_valid']:,} validation, {first['n_test']:,} test"),
        ("Truth", _truth(first)),
    ]
    if first.get("ceiling") is not None:
        rows.append(("Ceiling", f"{wording.number(first['ceiling'])}, the Bayes score of all inputs"))
    if regression and first.get("target_name"):
        units = f" ({first['target_units']})" if first.get("target_units") else ""
        rows.append(("Target", wording.without_paths(f"{first['target_name']}{units}")))
    if first.get("constant"):
        rows.append(("Constant inputs", f"{len(first['constant']):,}, of relevance 0 by definition"))
    return rows


def _truth(draw: dict[str, Any]) -> str:
    if draw.get("roles") is None:
        return "not known"
    counts = {role: draw["roles"].count(role) for role in dict.fromkeys(draw["roles"])}
    text = ", ".join(f"{count:,} {role}" for role, count in counts.items())
    if draw.get("graded") is not None:
        text += "; graded"
    if draw.get("resolution") is not None:
        text += f", clearly relevant from {draw['resolution']:g}"
    return text


def problems(tables: Tables, label: str | None = None) -> list[dict[str, Any]]:
    """Cells that are not done, in words: one row a status and reason."""
    return [
        {
            "status": STATUS[row["status"]],
            "bad": row["status"] in ("failed", "timed_out"),
            "reason": row["reason"],
            "cells": wording.plural(row["cells"], "cell"),
            "who": wording.listed([f"`{name}`" for name in row["explainers"]], 8),
            "where": wording.listed([name if name == NO_MODEL else f"`{name}`" for name in row["models"]], 8),
        }
        for row in tables.problems(label)
    ]


def runs(tables: Tables) -> list[dict[str, str]]:
    """Every run that added to the store, oldest first: what is recorded of it, in words."""
    result = []
    for record in tables.results.provenance:
        row = {
            "Started": record.get("started", ""),
            "Finished": record.get("finished", "not finished"),
            "Cells": record.get("cells", ""),
            "Python": record.get("python", ""),
            "System": record.get("system", ""),
            "Cores": record.get("cores", ""),
            "Took": _took(record),
            "Jobs": record.get("jobs") or "1, in one process",
            "Threads a job": record.get("threads", ""),
            "Device": record.get("device", ""),
            "Libraries": ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items()),
            "Left out": "; ".join(record.get("left_out", [])),
            "Plugins": ", ".join(f"{name} ({digest[:12]})" for name, digest in record.get("plugins", {}).items()),
        }
        result.append({name: wording.without_paths(value) for name, value in row.items() if str(value)})
    return result


SPENT = {
    "explaining": "explaining",
    "training": "training",
    "retention": "retention",
    "sanity": "sanity",
    "rest": "starting workers, loading, warming up, controls and scores",
}


def _took(record: dict[str, Any]) -> str:
    """How long a run took before its report, and where the time of its workers went, largest first."""
    if not record.get("spent"):
        return ""
    seconds = sorted(record["spent"].items(), key=lambda pair: -pair[1])
    parts = [f"{value:,.0f} s {SPENT[kind]}" for kind, value in seconds if value >= 0.5]
    return f"{record['wall']:,.0f} s of wall time before the report; of its workers: {', '.join(parts) or 'under 1 s'}"


def settings(tables: Tables) -> list[dict[str, Any]]:
    """Every field of every component, and of the suite."""
    suite = tables.results.suite
    axes = []
    for axis, title in (("datasets", "Datasets"), ("models", "Networks"), ("explainers", "Methods")):
        entries = [
            {
                "label": wording.without_paths(entry["label"]) + _only_on(entry.get("datasets", [])),
                "name": f"{entry.get('name', '')}, version {entry.get('version', 1)}",
                "fields": _fields(entry.get("fields", {})) + _choices(tables, axis, entry),
            }
            for entry in suite.get(axis, [])
        ]
        axes.append({"title": title, "entries": entries})
    rest = {key: value for key, value in suite.items() if key not in ("datasets", "models", "explainers")}
    return [*axes, {"title": "Suite", "entries": [{"label": "all", "name": "", "fields": _fields(rest)}]}]


def _choices(tables: Tables, axis: str, entry: dict[str, Any]) -> list[str]:
    """What validation could choose from for a component, and how often it chose what."""
    if not entry.get("candidates"):
        return []
    column, name = ("model_chosen", "model") if axis == "models" else ("chosen", "explainer")
    cells = tables.cells[tables.cells[name] == wording.without_paths(entry["label"])]
    once = cells.drop_duplicates("model_key") if axis == "models" else cells
    found = Counter(json.dumps(value) for value in once[column].dropna()) if column in once else Counter()
    return [
        f"tries = {entry['tries']}",
        f"candidates = {wording.without_paths(json.dumps(entry['candidates']))}",
        *(f"chosen {wording.plural(count, 'time')}: {value}" for value, count in found.most_common()),
    ]


def _only_on(datasets: list[str]) -> str:
    return f" on {wording.listed([wording.without_paths(label) for label in datasets])}" if datasets else ""


def _fields(values: dict[str, Any]) -> list[str]:
    return [f"{key} = {wording.without_paths(json.dumps(value, ensure_ascii=False))}" for key, value in values.items()]
