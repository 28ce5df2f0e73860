"""Two runs compared: what one of them lacks, how the code and the machines differ, and what became of the scores."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from xai_bench.errors import InputError
from xai_bench.results import changes, comparing, packing
from xai_bench.results import settling as rule
from xai_bench.results.comparing import Content
from xai_bench.results.entrants import Entrant
from xai_bench.results.records import MetricFacts, Place, PlanRow, SettlingFacts
from xai_bench.results.store import Store
from xai_bench.results.taking import chunks, rows_of

COLUMNS = ["what", "side", "name", "metric", "first", "second", "difference", "low", "high", "draws", "cells"]
AXES = {"datasets": "dataset", "models": "model", "explainers": "explainer"}
RANGES = {"share": (0.0, 1.0), "correlation": (-1.0, 1.0), "initial": (-1.0, 1.0), "top": (0.0, 1.0)}
"""Sign of settling to its bounds."""
SIGNS = {
    name: MetricFacts(name, name, *ends)
    for kind, (sign, ends) in product(rule.RELEVANCES, RANGES.items())
    for name in (f"{kind} {sign}",)
}
MACHINE = ("processor", "cores", "system", "device", "python")
Row = dict[str, Any]


def diff(first: str | Path, second: str | Path) -> pd.DataFrame:
    """How a second run differs from a first: two folders, files or packs. Empty if nothing does; costs are left out.

    What stands in the same place of both is compared: dataset, network, method and seeds by their labels, not their
    keys, so that runs by different versions can be compared.

    Returns
    -------
    what : ``dataset``, ``model``, ``explainer``, ``metric`` (present, or its code), ``data seed``, ``cell`` (there, or
        equal bit for bit), ``status``, ``setting``, ``library``, ``machine``, ``data``, ``network`` (a score of it),
        ``score``, ``settling`` (what one more training of a network showed), ``settled`` (what follows from that)
    side : ``first`` or ``second`` if only that one has it, ``both`` if it differs
    name, metric : of what; of a score its entrant and its metric, of a label the field that differs, of a network that
        was trained once more the kind of relevance and the sign (see ``records.Signs``)
    first, second : what stands in each; of scores the means over the draws and datasets that both have
    difference, low, high : second less first, paired by draw, with the 95 % interval over draws (none below five that
        all datasets have); largest first, relative to the range of the metric
    draws, cells : how many data seeds it rests on; how many cells, draws or networks differ

    Raises
    ------
    InputError
        If there are no results, or they cannot be read.
    """
    return compared(first, second).frame


def compared(first: str | Path, second: str | Path) -> Difference:
    """As ``diff``, with the number of equal cells."""
    with ExitStack() as stack:
        sides = tuple(_Side.of(place, stack.enter_context(Store.reading(place))) for place in (first, second))
        return _Comparison(*sides).difference()


@dataclass(frozen=True)
class Difference:
    """How a second run differs from a first.

    Attributes
    ----------
    names : how the user named the runs
    frame : see ``diff``
    shared, equal : cells that both have, and those of them that are equal bit for bit
    """

    names: tuple[str, str]
    frame: pd.DataFrame
    shared: int
    equal: int


@dataclass(frozen=True)
class _Side:
    """One of the two runs. ``plan``: place to planned cell, those without a result left out."""

    name: str
    db: sqlite3.Connection
    suite: Mapping[str, Any]
    plan: Mapping[Place, PlanRow]
    records: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, place: str | Path, store: Store) -> _Side:
        suite = store.suite()
        if not suite:
            raise InputError(f"no run is stored in {str(place)!r}: run the suite first")
        stored = {key for (key,) in store._db.execute("SELECT key FROM cells")}
        rows = (PlanRow(*row[1:]) for row in store._db.execute(packing.QUERIES["plan"]))
        plan = {row.place: row for row in rows if row.cell in stored}
        return cls(str(place), store._db, suite, plan, store.provenance())

    @cached_property
    def metrics(self) -> dict[str, MetricFacts]:
        """What metrics declare."""
        found = self.db.execute(packing.QUERIES["metrics"])
        return {name: MetricFacts.from_json(json.loads(content)) for name, content in found}

    @cached_property
    def trained_again(self) -> dict[str, SettlingFacts]:
        """Key of a network to what a further training of it showed."""
        found = self.db.execute(packing.QUERIES["settling"])
        return {key: SettlingFacts.from_json(json.loads(content)) for key, _, content in found}

    def has_settled(self) -> dict[tuple[str, str, str], str]:
        """(network, dataset, kind of relevance) to the verdict of the rule, where there is one."""
        rows = [(row.model_key, row.dataset, row.model, row.data_seed) for row in self.plan.values()]
        frame = pd.DataFrame(rows, columns=["model_key", "dataset", "model", "data_seed"])
        found = rule.settling(frame, self.trained_again)
        known = found[found["settled"].notna()]
        words = {True: "settled", False: "not shown to have settled"}
        places = known[["model", "dataset", "relevance"]].astype(str).itertuples(index=False, name=None)
        return dict(zip(places, (words[bool(one)] for one in known["settled"]), strict=True))

    @cached_property
    def code(self) -> dict[str, str]:
        """Metric to the identities of the code that scored."""
        found: dict[str, set[str]] = {}
        for text in {text for _, text in self.db.execute(packing.QUERIES["scored"])}:
            for name, identity in json.loads(text).items():
                found.setdefault(name, set()).add(identity)
        return {name: ", ".join(sorted(known)) for name, known in found.items()}

    def recorded(self, name: str) -> str:
        """A fact of all runs; several are listed."""
        known = dict.fromkeys(str(record[name]) for record in self.records if record.get(name) not in (None, ""))
        return ", ".join(known)

    @cached_property
    def libraries(self) -> dict[str, str]:
        """Library, or file of a plugin, to its versions."""
        found: dict[str, dict[str, None]] = {}
        for record in self.records:
            plugins = {name: digest[:12] for name, digest in record.get("plugins", {}).items()}
            for name, version in {**record.get("versions", {}), **plugins}.items():
                found.setdefault(name, {})[version] = None
        return {name: ", ".join(versions) for name, versions in found.items()}


class _Comparison:
    """Of two sides."""

    def __init__(self, first: _Side, second: _Side) -> None:
        self.sides = first, second
        self.first, self.second = first, second
        self.both = [place for place in first.plan if place in second.plan]
        self.equal = 0

    def difference(self) -> Difference:
        cells = self._cells()  # counts what is equal
        rows = [*self._labels(), *self._seeds(), *self._only(), *self._settings(), *self._records(), *self._data()]
        rows += [*self._networks(), *self._settling(), *cells]
        frame = pd.DataFrame(rows, columns=COLUMNS).astype({"cells": "Int64", "draws": "Int64"})
        return Difference((self.first.name, self.second.name), frame, len(self.both), self.equal)

    def _labels(self) -> Iterable[Row]:
        """Datasets, networks, methods and metrics of one side only, and what of others' identity differs."""
        for axis, what in AXES.items():
            one, two = ({entry["label"]: entry for entry in side.suite.get(axis, [])} for side in self.sides)
            yield from self._alone(what, one, two)
            for label in one.keys() & two.keys():
                for found in comparing.differences(one[label], two[label]):
                    yield _row(what, "both", label, found.path, found.first, found.second)
        yield from self._alone("metric", self.first.code, self.second.code)
        for name in sorted(self.first.code.keys() & self.second.code.keys()):
            one_, two_ = self.first.code[name], self.second.code[name]
            if one_ != two_:
                yield _row("metric", "both", name, "code", one_[:12], two_[:12])

    def _alone(self, what: str, one: Iterable[Any], two: Iterable[Any]) -> Iterable[Row]:
        first, second = list(one), list(two)
        yield from (_row(what, "first", name) for name in first if name not in second)
        yield from (_row(what, "second", name) for name in second if name not in first)

    def _seeds(self) -> Iterable[Row]:
        yield from self._alone("data seed", *(side.suite.get("data_seeds", []) for side in self.sides))

    def _only(self) -> Iterable[Row]:
        """Cells of one side only, by dataset and entrant."""
        for side, own, other in (("first", *self.sides), ("second", *self.sides[::-1])):
            counts = Counter(_title(place) for place in own.plan if place not in other.plan)
            yield from (_row("cell", side, name, cells=count) for name, count in counts.items())

    def _settings(self) -> Iterable[Row]:
        one, two = (
            {name: value for name, value in side.suite.items() if name not in (*AXES, "data_seeds")}
            for side in self.sides
        )
        for found in comparing.differences(one, two):
            yield _row("setting", "both", found.path, "", found.first, found.second)

    def _records(self) -> Iterable[Row]:
        """Versions of libraries and plugins, and the machines."""
        one, two = self.first.libraries, self.second.libraries
        for name in sorted({*one, *two}):
            if one.get(name) != two.get(name):
                side = "first" if name not in two else "second" if name not in one else "both"
                yield _row("library", side, name, "", one.get(name, ""), two.get(name, ""))
        for name in MACHINE:
            one_, two_ = self.first.recorded(name), self.second.recorded(name)
            if one_ != two_:
                yield _row("machine", "both", name, "", one_, two_)

    def _data(self) -> Iterable[Row]:
        """Datasets whose draws hold other data."""
        changed, seen = Counter[str](), set[tuple[str, str]]()
        for place in self.both:
            one, two = self.first.plan[place], self.second.plan[place]
            if (one.draw, two.draw) not in seen:
                seen.add((one.draw, two.draw))
                facts = [_facts(side.db, "draws", row.draw) for side, row in zip(self.sides, (one, two), strict=True)]
                changed[one.dataset] += facts[0].get("content_hash") != facts[1].get("content_hash")
        yield from (_row("data", "both", name, "content_hash", cells=n) for name, n in changed.items() if n)

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], Place]:
        """The keys of a network in both runs, null runs left out, to a place of it."""
        seen: dict[tuple[str, str], Place] = {}
        for place in self.both:
            if place[1] and place[-1] < 0:
                seen.setdefault((self.first.plan[place].model_key, self.second.plan[place].model_key), place)
        return seen

    def _networks(self) -> list[Row]:
        """Differences of the networks' test scores."""
        values = []
        for keys, place in self._pairs.items():
            both = [
                _facts(side.db, "models", key).get("test_score") for side, key in zip(self.sides, keys, strict=True)
            ]
            values.append((place, place[1], "test_score", *both))
        return _differences("network", values, {})

    def _settling(self) -> list[Row]:
        """Networks that only one run trained once more, and differences of what that showed; costs left out."""
        alone, values = Counter[tuple[str, str]](), []
        for keys, place in self._pairs.items():
            one, two = (side.trained_again.get(key) for side, key in zip(self.sides, keys, strict=True))
            if (one is None) != (two is None):
                alone["first" if two is None else "second", place[1]] += 1
            elif one is not None and two is not None:
                values += [(place, place[1], *values) for values in _shared_signs(one, two)]
        rows = [_row("settling", side, name, cells=n) for (side, name), n in alone.items()]
        verdicts = [side.has_settled() for side in self.sides]
        for model, dataset, kind in verdicts[0].keys() & verdicts[1].keys():
            both = [known[model, dataset, kind] for known in verdicts]
            if both[0] != both[1]:
                rows.append(_row("settled", "both", f"{model}, {dataset}", kind, both[0], both[1]))
        return sorted(rows, key=lambda row: (row["what"], row["name"], row["metric"])) + _differences(
            "settling", values, SIGNS
        )

    def _cells(self) -> list[Row]:
        """Cells whose status differs, and differences of scores."""
        status, changed, values = Counter[tuple[str, str, str]](), Counter[str](), []
        for some in chunks(self.both):
            found = [comparing.contents(side.db, {side.plan[place].cell for place in some}) for side in self.sides]
            for place in some:
                first, second = (
                    content[side.plan[place].cell] for content, side in zip(found, self.sides, strict=True)
                )
                equal = first.unlike(second) is None
                self.equal += equal
                if first.status != second.status:
                    status[_title(place), first.status, second.status] += 1
                elif not equal:
                    changed[_title(place)] += 1
                if place[-1] < 0:
                    values += [(place, _entrant(place), *values) for values in _shared(first, second)]
        rows = [_row("status", "both", name, "", one, two, n) for (name, one, two), n in status.items()]
        rows += [_row("cell", "both", name, cells=n) for name, n in changed.items()]
        return rows + _differences("score", values, {**self.second.metrics, **self.first.metrics})


def _shared(first: Content, second: Content) -> Iterable[tuple[str, float, float]]:
    """Metric and both values, of metrics of one number that both cells have one of; standard errors left out."""
    for metric, k in sorted(first.measurements.keys() & second.measurements.keys()):
        one, two = first.measurements[metric, k], second.measurements[metric, k]
        if k == 0 and not metric.endswith("_se") and one is not None and two is not None:
            yield metric, one, two


def _shared_signs(first: SettlingFacts, second: SettlingFacts) -> Iterable[tuple[str, float, float]]:
    """Kind of relevance and sign, and both values, where both have one."""
    for kind, sign in product(rule.RELEVANCES, RANGES):
        one, two = (getattr(getattr(facts, kind), sign, None) for facts in (first, second))
        if one is not None and two is not None:
            yield f"{kind} {sign}", one, two


def _differences(what: str, values: Sequence[tuple[Any, ...]], declared: Mapping[str, MetricFacts]) -> list[Row]:
    """``values``: place, name, metric, first, second."""
    columns = ["name", "metric", "dataset", "data_seed", "first", "second"]
    rows = [(name, metric, place[0], place[3], *both) for place, name, metric, *both in values]
    frame = pd.DataFrame(rows, columns=columns).astype({"first": float, "second": float}).dropna()
    found = changes.differences(frame, declared)
    return [{"what": what, "side": "both", **{str(k): v for k, v in row.items()}} for row in found.to_dict("records")]


def _facts(db: sqlite3.Connection, table: str, key: str) -> dict[str, Any]:
    """The facts of a draw or a network; {} if they are not stored."""
    row = next(rows_of(db, table, "key", [key]), None)
    return json.loads(row[1]) if row else {}


def _entrant(place: Place) -> str:
    return Entrant.of(place[2], place[1]).id


def _title(place: Place) -> str:
    return f"{_entrant(place)}, {place[0]}{', null runs' if place[-1] >= 0 else ''}"


def _row(
    what: str, side: str, name: object, metric: str = "", first: Any = "", second: Any = "", cells: int | None = None
) -> Row:
    return {
        "what": what, "side": side, "name": str(name), "metric": metric, "first": first, "second": second,
        "cells": cells,
    }  # fmt: skip
