"""Are two stored things the same, and if not, what differs first? Costs vary from run to run: they are left out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xai_bench.results import packing
from xai_bench.results.taking import rows_of
from xai_bench.validation import shown

TIMES = ("train_cpu", "train_wall", "trained_on")
"""Facts of a network that are costs, and whose they are."""
SCORING = ("metrics", "chance", "notices")
"""Facts of a draw that depend on who scored last, or are words."""
ABSENT = "nothing"


class Unequal(NamedTuple):
    """Where two values differ first (a dotted path), and what stands there."""

    path: str
    first: Any
    second: Any

    def text(self, first: str, second: str) -> str:
        """In words: ``fields.n is 100 in 'a' and 200 in 'b'``."""
        return f"{self.path} is {_shown(self.first)} in {first!r} and {_shown(self.second)} in {second!r}"


def _shown(value: Any) -> str:
    return ABSENT if value is ABSENT else shown(value)


def first_difference(first: Any, second: Any, path: str = "") -> Unequal | None:
    """The first place, in the order of names, where two JSON values differ; None if they are equal."""
    return next(differences(first, second, path), None)


def differences(first: Any, second: Any, path: str = "") -> Iterator[Unequal]:
    """Every place where two JSON values differ. Lists are compared as wholes."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in sorted({*first, *second}):
            inner = f"{path}.{name}" if path else name
            yield from differences(first.get(name, ABSENT), second.get(name, ABSENT), inner)
    elif first != second:
        yield Unequal(path, first, second)


def draw(first: Mapping[str, Any], second: Mapping[str, Any]) -> Unequal | None:
    """How the facts of one draw differ; the data themselves are asked first."""
    for names in (("content_hash",), (first.keys() | second.keys()) - set(SCORING)):
        one, other = ({name: facts[name] for name in names if name in facts} for facts in (first, second))
        if found := first_difference(one, other):
            return found
    return first_difference(*_shared(first.get("chance", {}), second.get("chance", {})), "chance")


def network(first: tuple[str, bytes], second: tuple[str, bytes]) -> Unequal | None:
    """How (facts as JSON, weights) of one network differ. Weights that are not stored differ from none."""
    one, other = (
        {name: value for name, value in json.loads(facts).items() if name not in TIMES} for facts, _ in (first, second)
    )
    found = first_difference(one, other)
    if found is None and first[1] and second[1] and first[1] != second[1]:
        return Unequal("weights", f"{len(first[1]):,} bytes", "others")
    return found


@dataclass(frozen=True)
class Content:
    """What is stored of one cell, beside its costs.

    Attributes
    ----------
    status, limit : what became of it; wall seconds of the explanation, which of a cell out of time are its limit
    relevance, columns : as they are stored, None without one
    chosen : the setting that validation chose, or None
    tested : p-values and what they promise, or None
    measurements : (metric, k) to value, None where there is a reason instead; without those of a follow-up that failed
    scored : metric to the identity of the code that scored
    followed : name of a follow-up to what its numbers depend on; "" if it failed
    """

    status: str
    limit: float
    relevance: bytes | None
    columns: bytes | None
    chosen: Any
    tested: Any
    measurements: Mapping[tuple[str, int], float | None]
    scored: Mapping[str, str]
    followed: Mapping[str, str]

    def unlike(self, other: Content) -> Unequal | None:
        """How the other cell differs in what both have; scores that one of them lacks are no difference."""
        if self.status != other.status:
            return Unequal("status", self.status, other.status)
        if not same_relevance(self.relevance, other.relevance):
            return _of_vectors(self.relevance, other.relevance)
        if self.columns is not None and other.columns is not None and self.columns != other.columns:
            return _of_vectors(self.columns, other.columns)
        if self.chosen != other.chosen:
            return Unequal("chosen", self.chosen, other.chosen)
        if self.tested and other.tested and self.tested != other.tested:  # earlier versions stored no p-values
            return first_difference(self.tested, other.tested, "tested")
        for metric, k in sorted(self.measurements.keys() & other.measurements.keys()):
            one, two = self.measurements[metric, k], other.measurements[metric, k]
            if one != two:
                return Unequal(f"{metric} (k = {k})" if k else metric, one, two)
        return None


def contents(db: sqlite3.Connection, keys: Collection[str]) -> dict[str, Content]:
    """Cell to its content, of those ``keys`` that are stored."""
    measured: dict[str, dict[tuple[str, int], float | None]] = {}
    for cell, metric, k, value, _ in rows_of(db, "measurements", "cell", keys):
        measured.setdefault(cell, {})[metric, k] = value
    scored = {cell: json.loads(metrics) for cell, metrics in rows_of(db, "scored", "cell", keys)}
    followed: dict[str, dict[str, str]] = {}
    for cell, name, key, _ in rows_of(db, "followed", "cell", keys):
        followed.setdefault(cell, {})[name] = key
    for cell, names in followed.items():
        failed = tuple(f"{name}_" for name, key in names.items() if not key)
        if failed and cell in measured:
            measured[cell] = {at: value for at, value in measured[cell].items() if not at[0].startswith(failed)}
    found = {}
    for key, status, _, costs, relevance, _, columns in rows_of(db, "cells", "key", keys):
        spent = json.loads(costs)
        found[key] = Content(
            status, spent.get("explain_wall") or 0.0, relevance, columns, spent.get("chosen"),
            spent.get("tested"), measured.get(key, {}), scored.get(key, {}), followed.get(key, {}),
        )  # fmt: skip
    return found


def same_relevance(first: bytes | None, second: bytes | None) -> bool:
    """Whether two stored relevances are equal, or one is the other as a pack keeps it."""
    if first == second:
        return True
    if first is None or second is None or len(first) != len(second):
        return False
    return rounded(first) == second or first == rounded(second)


def rounded(relevance: bytes) -> bytes:
    """A stored relevance as a pack keeps it."""
    return packing.double(*packing.single(np.frombuffer(relevance, "<f8"))).astype("<f8").tobytes()


def _shared(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = first.keys() & second.keys()
    return {name: first[name] for name in names}, {name: second[name] for name in names}


def _of_vectors(first: bytes | None, second: bytes | None) -> Unequal:
    """Which input differs first, numbered from 0 in canonical order."""
    if first is None or second is None:
        return Unequal("relevance", *(ABSENT if one is None else "there" for one in (first, second)))
    if len(first) == len(second) and rounded(first) != rounded(second):
        first, second = rounded(first), rounded(second)  # One of them may come from a pack: what differs beside that.
    one, two = np.frombuffer(first, "<f8"), np.frombuffer(second, "<f8")
    if one.shape != two.shape:
        return Unequal("number of inputs", len(one), len(two))
    at = int(np.flatnonzero(one.view(np.int64) != two.view(np.int64))[0])
    return Unequal(f"relevance of input {at}", float(one[at]), float(two[at]))
