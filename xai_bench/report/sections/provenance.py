"""Every run that added to the results, and every setting of the suite."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import render
from xai_bench.report.kit.section import Section


class Provenance(Section):
    """What can be said of how the numbers came about."""

    id, title, order, in_summary = "provenance", "Provenance", 150, False

    def html(self) -> str:
        return render("provenance.html", runs=runs(self.frames), settings=settings(self.frames))


def runs(frames: Frames) -> list[dict[str, str]]:
    """Every run that added to the store, oldest first: what is recorded of it, in words."""
    result = []
    for record in frames.results.provenance:
        row = {
            "Started": record.get("started", ""),
            "Finished": record.get("finished", "not finished"),
            "Cells": record.get("cells", ""),
            "Python": record.get("python", ""),
            "System": record.get("system", ""),
            "Processor": record.get("processor", ""),
            "Cores": record.get("cores", ""),
            "Took": _took(record),
            "Jobs": f"{record.get('jobs') or '1, in one process'}{' on a cluster' if record.get('cluster') else ''}",
            "Part of": f"the run of {record['part_of']}, on another machine" if "part_of" in record else "",
            "Threads a job": record.get("threads", ""),
            "Device": record.get("device", ""),
            "Libraries": ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items()),
            "Set aside": _set_aside(record),
            "Left out": "; ".join(record.get("left_out", [])),
            "Plugins": ", ".join(f"{name} ({digest[:12]})" for name, digest in record.get("plugins", {}).items()),
        }
        result.append({name: wording.without_paths(value) for name, value in row.items() if str(value)})
    return result


def _set_aside(record: dict[str, Any]) -> str:
    """How many cells of a run do not count, since another part of a merge was preferred where both differ."""
    count = record.get("set_aside", 0)
    return f"{wording.plural(count, 'cell')}, which another part of a merge has with other content" if count else ""


SPENT = {
    "explaining": "explaining",
    "training": "training",
    "retention": "retention",
    "sanity": "sanity",
    "settling": "training networks once more",
    "rest": "starting workers, loading, warming up, controls and scores",
}


def _took(record: dict[str, Any]) -> str:
    """How long a run took before its report, and where the time of its workers went, largest first."""
    if not record.get("spent"):
        unknown = "not known, since it did not finish: the times of the other runs are not all that was spent"
        return "" if record.get("finished") else unknown
    seconds = sorted(record["spent"].items(), key=lambda pair: -pair[1])
    parts = [f"{value:,.0f} s {SPENT.get(kind, kind)}" for kind, value in seconds if value >= 0.5]
    return f"{record['wall']:,.0f} s of wall time before the report; of its workers: {', '.join(parts) or 'under 1 s'}"


def settings(frames: Frames) -> list[dict[str, Any]]:
    """Every field of every component, and of the suite."""
    suite = frames.results.suite
    axes = []
    for axis, title in (("datasets", "Datasets"), ("models", "Networks"), ("explainers", "Methods")):
        entries = [
            {
                "label": wording.without_paths(entry["label"]) + _only_on(entry.get("datasets", [])),
                "name": f"{entry.get('name', '')}, version {entry.get('version', 1)}",
                "fields": _fields(entry.get("fields", {})) + _choices(frames, axis, entry),
            }
            for entry in suite.get(axis, [])
        ]
        axes.append({"title": title, "entries": entries})
    rest = {key: value for key, value in suite.items() if key not in ("datasets", "models", "explainers")}
    return [*axes, {"title": "Suite", "entries": [{"label": "all", "name": "", "fields": _fields(rest)}]}]


def _choices(frames: Frames, axis: str, entry: dict[str, Any]) -> list[str]:
    """What validation could choose from for a component, and how often it chose what."""
    if not entry.get("candidates"):
        return []
    column, name = ("model_chosen", "model") if axis == "models" else ("chosen", "explainer")
    cells = frames.cells[frames.cells[name] == wording.without_paths(entry["label"])]
    once = cells.drop_duplicates("model_key") if axis == "models" else cells
    times = Counter(json.dumps(value) for value in once[column].dropna()) if column in once else Counter()
    return [
        f"tries = {entry['tries']}",
        f"candidates = {wording.without_paths(json.dumps(entry['candidates']))}",
        *(f"chosen {wording.plural(count, 'time')}: {value}" for value, count in times.most_common()),
    ]


def _only_on(datasets: list[str]) -> str:
    return f" on {wording.listed([wording.without_paths(label) for label in datasets])}" if datasets else ""


def _fields(values: dict[str, Any]) -> list[str]:
    return [f"{key} = {wording.without_paths(json.dumps(value, ensure_ascii=False))}" for key, value in values.items()]
