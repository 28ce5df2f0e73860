"""Inputs along a wavelength axis: the lines of a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xai_bench.report.kit.drawing import GREY
from xai_bench.report.kit.shares import Floats

ANGSTROM = ("A", "Å", "Angstrom")
KINDS: dict[str, tuple[str, str, Any]] = {
    "metal": ("metal", "#6a3d9a", "-"),
    "balmer": ("Balmer", "#00796b", (0, (4, 2))),
    "telluric": ("telluric or interstellar", "#757575", (0, (1, 1.6))),
    "interstellar": ("telluric or interstellar", "#757575", (0, (1, 1.6))),
}
"""Kind of a line to its name, colour and dash."""


class Mark(NamedTuple):
    """A line of a spectrum. ``role`` is empty where no truth is known, ``columns`` are the inputs of its window."""

    name: str
    kind: str
    role: str
    element: str
    wavelength: float
    columns: Sequence[int]


def wavelengths(facts: dict[str, Any]) -> Floats | None:
    """(d,) Angstrom, where the names of the inputs are wavelengths in ascending order."""
    units = set(facts.get("feature_units") or [])
    if len(units) != 1 or not units <= set(ANGSTROM):
        return None
    try:
        values = np.array([float(name) for name in facts["feature_names"]])
    except ValueError:
        return None
    return values if len(values) > 1 and (np.diff(values) > 0).all() else None


def marks(facts: dict[str, Any]) -> list[Mark]:
    """The lines in a spectrum, by wavelength: those of the truth, else the known ones."""
    from xai_bench.datasets.stellar import LINES, line_windows

    axis, windows = wavelengths(facts), facts.get("windows") or []
    if axis is None:
        return []
    lines = {line.name: line for line in LINES}
    if not windows:
        return [
            Mark(line.name, line.kind, "", line.element, line.wavelength, range(columns.start, columns.stop))
            for line, columns in line_windows(axis)
        ]
    known = []
    for window in windows:
        line = lines.get(window["name"])
        centre = float(axis[window["columns"]].mean()) if line is None else line.wavelength
        element = "" if line is None else line.element
        known.append(Mark(window["name"], window["kind"], window["role"], element, centre, window["columns"]))
    return sorted(known, key=lambda mark: mark.wavelength)


def name_of(kind: str) -> str:
    """Balmer is a name; other kinds are words."""
    return KINDS["balmer"][0] if kind == "balmer" else kind


def look(mark: Mark) -> tuple[str, str, Any]:
    """Name of its kind, colour and dash."""
    return KINDS.get(mark.kind, (mark.kind, GREY, "-"))
