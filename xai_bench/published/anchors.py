"""Published tables that runs of this package can be compared with, as they were published: no number here is ours.

An anchor is three files of this folder: ``NAME.csv`` (figures, with source, licence and protocol in its head),
``NAME.toml`` (what of ours each of them can be compared with, and where the protocols differ) and, if differences were
looked into, ``NAME_reasons.csv`` (our figure with one thing done as theirs).
"""

from __future__ import annotations

import csv
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, NamedTuple

from xai_bench.errors import unknown


class Mean(NamedTuple):
    """A mean of ``n`` values and their standard deviation; None for what is not known."""

    mean: float
    sd: float | None
    n: int | None


@dataclass(frozen=True)
class Figure:
    """One published number, by the names of its source."""

    score: str
    data: str
    method: str
    value: Mean


@dataclass(frozen=True)
class Reason:
    """Our figure with one thing done as theirs: ``change`` says which, in words."""

    score: str
    data: str
    method: str
    change: str
    value: Mean


@dataclass(frozen=True)
class Counterpart:
    """What of ours stands for a name of theirs: a component by its name, whose ``fields`` have these values.

    Attributes
    ----------
    theirs, ours : names; ``ours`` is a metric of a score, a dataset, or an explainer
    model : the network that is explained, by the name of its component; "" for any
    k : of a score of retention, how many inputs are kept: a number, ``relevant`` or ``all``; 0 for other scores
    note : what is not the same
    """

    theirs: str
    ours: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    k: int | str = 0
    note: str = ""

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Whether the entry of a suite's ``config`` is meant."""
        own = entry.get("fields", {})
        return entry.get("name") == self.ours and all(own.get(name) == value for name, value in self.fields.items())


@dataclass(frozen=True)
class Line:
    """One thing of the two protocols."""

    what: str
    theirs: str
    ours: str

    @property
    def same(self) -> bool:
        return self.theirs == self.ours


@dataclass(frozen=True)
class Anchor:
    """A published table, and what of ours it can be compared with.

    Attributes
    ----------
    scores, data, methods : names of theirs to those of ours; a name may have several counterparts, or none
    protocol : line by line
    figures : as published
    reasons : of differences
    """

    name: str
    title: str
    source: str
    licence: str
    scores: tuple[Counterpart, ...]
    data: tuple[Counterpart, ...]
    methods: tuple[Counterpart, ...]
    protocol: tuple[Line, ...]
    figures: tuple[Figure, ...]
    reasons: tuple[Reason, ...] = ()

    def without_counterpart(self) -> list[str]:
        """Published methods that nothing of ours stands for, in their order."""
        known = {pair.theirs for pair in self.methods}
        return list(dict.fromkeys(f.method for f in self.figures if f.method not in known))


def names() -> list[str]:
    """Names of the anchors of the package."""
    return sorted(path.name.removesuffix(".toml") for path in _folder() if path.name.endswith(".toml"))


def anchor(name: str) -> Anchor:
    """The anchor of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in names():
        raise unknown("anchor", name, names())
    return _read(name)


@functools.cache
def _read(name: str) -> Anchor:
    facts = tomllib.loads(_text(f"{name}.toml"))
    reasons = f"{name}_reasons.csv"
    return Anchor(
        name=name,
        title=facts["title"],
        source=facts["source"],
        licence=facts["licence"],
        scores=tuple(Counterpart(**row) for row in facts["scores"]),
        data=tuple(pair for row in facts["data"] for pair in _over(row)),
        methods=tuple(Counterpart(**row) for row in facts["methods"]),
        protocol=tuple(Line(**row) for row in facts["protocol"]),
        figures=tuple(Figure(r["score"], r["data"], r["method"], _mean(r)) for r in rows(f"{name}.csv")),
        reasons=tuple(
            Reason(r["score"], r["data"], r["method"], r["change"], _mean(r))
            for r in (rows(reasons) if any(path.name == reasons for path in _folder()) else ())
        ),
    )


def _over(row: dict[str, Any]) -> list[Counterpart]:
    """One counterpart, or with ``over = {d = [...]}`` one for every value, which stands in the name of theirs."""
    over = row.pop("over", None)
    if over is None:
        return [Counterpart(**row)]
    ((name, values),) = over.items()
    fields = row.pop("fields", {})
    return [
        Counterpart(**{**row, "theirs": row["theirs"].format(**{name: value})}, fields={**fields, name: value})
        for value in values
    ]


def rows(file: str) -> list[dict[str, str]]:
    """The rows of a CSV file of this folder; lines that begin with # are its head."""
    lines = [line for line in _text(file).splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def _mean(row: Mapping[str, str]) -> Mean:
    return Mean(float(row["mean"]), float(row["sd"]) if row["sd"] else None, int(row["n"]) if row["n"] else None)


def _folder() -> list[Any]:
    return list(files("xai_bench.published").iterdir())


def _text(file: str) -> str:
    return files("xai_bench.published").joinpath(file).read_text(encoding="utf-8")
