"""Several runs or packs of one suite become one: equal keys must have equal content, or it is said whose counts."""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from xai_bench.component import canonical_json
from xai_bench.errors import InputError
from xai_bench.results import checksums, comparing, opening, packing, whole
from xai_bench.results.comparing import Content, Unequal
from xai_bench.results.records import SETTLED, PlanRow
from xai_bench.results.schema import transaction
from xai_bench.results.store import Store
from xai_bench.results.taking import RUN, SETTLING, chunks, delete, insert, rows_of
from xai_bench.results.whole import Prefer
from xai_bench.wording import plural

OF_A_CELL = ("measurements", "scored", "followed")
"""Tables with rows about a cell."""
SET_ASIDE = "set_aside"
"""What the record of a run says: how many of its cells another part's took the place of."""


@dataclass(frozen=True)
class Merged:
    """What came of a merge.

    Attributes
    ----------
    path : the store or the pack
    cells, shared : planned cells with a result, and those that several parts had
    differing : kind of thing (draw, network, cell) to how many had another content in another part
    left_out : cells of null runs, or of further trainings, that belong to another first data seed
    """

    path: Path
    cells: int
    shared: int
    differing: Mapping[str, int]
    left_out: int

    def __str__(self) -> str:
        parts = [f"{plural(self.cells, 'cell')}, {self.shared:,} of them in several parts"]
        parts += [f"{plural(count, kind)} differed" for kind, count in self.differing.items()]
        if self.left_out:
            parts.append(f"{plural(self.left_out, 'cell')} left out, which belong to another first data seed")
        return "; ".join(parts)


def merge(out: str | Path, *places: str | Path, prefer: Prefer | None = None) -> Merged:
    """Write several runs or packs of one suite, or of parts of it, as one store or pack; the parts stay as they are.

    Parts may have other data seeds, datasets, networks or methods. What several of them have under one key must be
    equal, costs apart: those of the first part with the cell are kept, and the record of the run that measured it. A
    result takes the place of one that failed or ran out of time. Parts of earlier schemas are brought up to date.

    Parameters
    ----------
    out : a file that ends in ``.xaipack`` or ``.sqlite``, or the folder that receives ``results.sqlite``
    places : folders of runs, their files, or packs: two or more
    prefer : whose content counts where equal keys differ, ``first`` or ``last``; None: it is an error

    Raises
    ------
    InputError
        If there are results at ``out``; if a part has none, or is of another suite; if metrics changed between parts;
        if equal keys differ and ``prefer`` is None. Nothing is written then.
    """
    if len(places) < 2:
        raise InputError(f"merge: expected two or more runs or packs, got {len(places)}: name all that become one")
    if prefer not in (None, "first", "last"):
        raise InputError(f"prefer: expected first or last, got {prefer!r}")
    target = _target(Path(out))
    with ExitStack() as stack:
        parts = [_Part(str(place), stack.enter_context(Store.reading(place))) for place in places]
        for part in parts:
            part.store.check()
        _check(parts)
        suite = whole.suite([(part.name, part.suite) for part in parts], prefer)
        rows, left_out = whole.plan([(part.name, part.plan()) for part in parts], suite)
        here = stack.enter_context(Store.in_memory())._db
        union = _Union(here, prefer)
        union.fill(parts, suite, rows)
        _write(here, target)
    return Merged(target, union.cells, union.shared, dict(union.differing), left_out)


def _target(out: Path) -> Path:
    path = out if out.suffix in (packing.SUFFIX, ".sqlite") else out / opening.FILE
    if path.exists():
        raise InputError(f"there is something at {str(path)!r} already: choose another place")
    return path


def _write(db: sqlite3.Connection, target: Path) -> None:
    """The file is there when it is finished, or not at all."""
    try:
        if target.suffix == packing.SUFFIX:
            packing.write(target, packing.packed(db))
        else:
            opening.save(db, target)
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror}; choose another place") from None


@dataclass(frozen=True)
class _Part:
    """A run or a pack under the name that the user gave it."""

    name: str
    store: Store
    suite: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "suite", self.store.suite())

    @property
    def db(self) -> sqlite3.Connection:
        return self.store._db

    def plan(self) -> Iterator[PlanRow]:
        for row in self.db.execute(packing.QUERIES["plan"]):
            yield PlanRow(*row[1:])

    def runs(self) -> list[tuple[str, int, str]]:
        """(when it began, its number here, what is recorded) of every run, oldest first."""
        found = [(number, json.loads(content)) for number, content in self.db.execute(packing.QUERIES["provenance"])]
        return [(record.get("started", ""), number, canonical_json(record)) for number, record in found]

    def identities(self) -> dict[str, set[str]]:
        """Metric to the identities of the code that scored."""
        found: dict[str, set[str]] = {}
        for _, metrics in self.db.execute(packing.QUERIES["scored"]):
            for name, identity in json.loads(metrics).items():
                found.setdefault(name, set()).add(identity)
        return found


def _check(parts: Sequence[_Part]) -> None:
    """Raise InputError if parts hold no run, or were scored by several codes."""
    metrics: dict[str, tuple[str, set[str]]] = {}
    for part in parts:
        if not part.suite:
            raise InputError(f"no run is stored in {part.name!r}: run the suite first")
        for name, found in part.identities().items():
            place, known = metrics.setdefault(name, (part.name, found))
            if known != found:
                raise InputError(
                    f"the metric {name!r} scored {place!r} and {part.name!r} with other code: run both suites again "
                    "with one version, which explains nothing anew, then merge"
                )


class _Union:
    """The content of several parts in one store. ``here``: a new store."""

    def __init__(self, here: sqlite3.Connection, prefer: Prefer | None) -> None:
        self.here, self.prefer = here, prefer
        self.cells = self.shared = 0
        self.differing = Counter[str]()
        self._from: dict[tuple[str, str], str] = {}
        """(kind, key) to the name of the part that has it first."""
        self._set_aside = Counter[int]()
        """Number of a run to how many of its cells are not kept."""

    def fill(self, parts: Sequence[_Part], suite: Mapping[str, Any], rows: Sequence[PlanRow]) -> None:
        """Store what all parts have of the cells in ``rows``."""
        with transaction(self.here):
            self.here.execute("INSERT OR REPLACE INTO meta VALUES ('suite', ?)", (canonical_json(suite),))
            insert(self.here, "plan", ((i, *_values(row)) for i, row in enumerate(rows)))
            runs = self._runs(parts)
            for number, part in enumerate(parts):
                self._declarations(part)
                self._draws(part, {row.draw for row in rows})
                self._networks(part, {row.model_key for row in rows} - {""})
                self._cells(part, {row.cell for row in rows}, runs[number])
                self._judgements(part)
            self._record_set_aside()
            checksums.seal(self.here)
            self.cells = self.here.execute("SELECT count(*) FROM cells").fetchone()[0]

    def _record_set_aside(self) -> None:
        for run, text in list(rows_of(self.here, "provenance", "id", self._set_aside)):
            record = json.loads(text)
            record[SET_ASIDE] = record.get(SET_ASIDE, 0) + self._set_aside[run]
            insert(self.here, "provenance", [(run, canonical_json(record))])

    def _differs(self, kind: str, key: str, part: _Part, name: str, found: Unequal) -> bool:
        """Whether the part's own takes the place of what is here; InputError if nothing is preferred."""
        if self.prefer is None:
            _refuse(f"{kind} {name}", found, self._from[kind, key], part.name)
        self.differing[kind] += 1
        return self.prefer == "last"

    def _runs(self, parts: Sequence[_Part]) -> list[dict[int, int]]:
        """Store every run once, oldest first; for each part its numbers of runs to those here."""
        numbers: list[dict[int, int]] = [{} for _ in parts]
        known: dict[str, int] = {}
        streams = [[(when, i, number, text) for when, number, text in part.runs()] for i, part in enumerate(parts)]
        for _, part, number, text in heapq.merge(*streams, key=lambda run: run[0]):
            known.setdefault(text, len(known) + 1)
            numbers[part][number] = known[text]
        insert(self.here, "provenance", ((number, text) for text, number in known.items()))
        return numbers

    def _declarations(self, part: _Part) -> None:
        for name, content in part.db.execute(packing.QUERIES["metrics"]):
            known = dict(rows_of(self.here, "metrics", "name", [name])).get(name)
            unequal = comparing.first_difference(json.loads(known), json.loads(content)) if known else None
            if known is None or (unequal and self._differs("declaration", name, part, f"of {name!r}", unequal)):
                insert(self.here, "metrics", [(name, content)])
            self._from.setdefault(("declaration", name), part.name)

    def _draws(self, part: _Part, keys: set[str]) -> None:
        for key, content in rows_of(part.db, "draws", "key", keys):
            known = dict(rows_of(self.here, "draws", "key", [key])).get(key)
            if known is None:
                insert(self.here, "draws", [(key, content)])
                self._from["draw", key] = part.name
                continue
            one, other = json.loads(known), json.loads(content)
            unequal = comparing.draw(one, other)
            if unequal and self._differs("draw", key, part, _of_draw(part.db, key), unequal):
                one, other = other, one
            for name in ("chance", "metrics"):
                one[name] = {**other.get(name, {}), **one.get(name, {})}
            insert(self.here, "draws", [(key, canonical_json(one))])

    def _networks(self, part: _Part, keys: set[str]) -> None:
        for key, content, weights in rows_of(part.db, "models", "key", keys):
            known = next(rows_of(self.here, "models", "key", [key]), None)
            if known is None:
                insert(self.here, "models", [(key, content, weights)])
                self._from["network", key] = part.name
                continue
            unequal = comparing.network(known[1:], (content, weights))
            if unequal is None:
                insert(self.here, "models", [(key, known[1], known[2] or weights)])
            elif self._differs("network", key, part, _of_network(part.db, key), unequal):
                insert(self.here, "models", [(key, content, weights)])
        self.here.executemany(SETTLING, rows_of(part.db, "settling", "model", keys))

    def _cells(self, part: _Part, keys: set[str], runs: Mapping[int, int]) -> None:
        for some in chunks(keys):
            there = comparing.contents(part.db, some)
            here = comparing.contents(self.here, there)
            taken = there.keys() - here.keys()
            self.shared += len(here)
            self._from |= {("cell", key): part.name for key in taken}
            for key in sorted(here):
                if self._replaces(key, here[key], there[key], part, runs):
                    taken.add(key)
                elif here[key].status in SETTLED and there[key].status in SETTLED and not here[key].unlike(there[key]):
                    self._complete(key, here[key], there[key], part)
            for table in OF_A_CELL:
                delete(self.here, table, "cell", taken)
                insert(self.here, table, rows_of(part.db, table, "cell", taken))
            rows = rows_of(part.db, "cells", "key", taken)
            insert(self.here, "cells", ((*row[:RUN], runs[row[RUN]], *row[RUN + 1 :]) for row in rows))

    def _replaces(self, key: str, here: Content, there: Content, part: _Part, runs: Mapping[int, int]) -> bool:
        """Whether a cell of the part takes the place of what is here."""
        standing = [(_rank(one.status), one.limit if one.status == "timed_out" else 0.0) for one in (here, there)]
        if standing[0] != standing[1] or here.status not in SETTLED:
            return standing[1] > standing[0]
        unequal = here.unlike(there)
        if unequal is None:
            return False
        replaces = self._differs("cell", key, part, _of_cell(part.db, key), unequal)
        (run,) = (row[RUN] for row in rows_of(self.here if replaces else part.db, "cells", "key", [key]))
        self._set_aside[run if replaces else runs[run]] += 1
        return replaces

    def _complete(self, key: str, here: Content, there: Content, part: _Part) -> None:
        """Add what the part knows beside of an equal cell: scores, follow-ups, relevances in full precision."""
        full = there.relevance
        if full is not None and full != here.relevance and comparing.rounded(full) == here.relevance:
            self.here.execute("UPDATE cells SET relevance = ? WHERE key = ?", (there.relevance, key))
        if there.columns is not None and here.columns is None:
            self.here.execute("UPDATE cells SET columns = ? WHERE key = ?", (there.columns, key))
        for row in rows_of(part.db, "followed", "cell", [key]):
            name = row[1]
            if not here.followed.get(name):
                query = "DELETE FROM measurements WHERE cell = ? AND substr(metric, 1, ?) = ?"
                self.here.execute(query, (key, len(name) + 1, f"{name}_"))
                insert(self.here, "followed", [row])
        insert(self.here, "measurements", rows_of(part.db, "measurements", "cell", [key]), replace=False)
        if there.scored.keys() - here.scored.keys():
            insert(self.here, "scored", [(key, canonical_json({**there.scored, **here.scored}))])

    def _judgements(self, part: _Part) -> None:
        judges = {row[0] for row in self.here.execute("SELECT judge FROM followed")} - {""}
        insert(self.here, "judgements", rows_of(part.db, "judgements", "judge", judges), replace=False)


def _rank(status: str) -> int:
    """A result counts for more than one that was not reached in time, and that for more than a failure."""
    return 2 if status in SETTLED else ("failed", "timed_out").index(status)


def _refuse(what: str, found: Unequal, first: str, second: str) -> NoReturn:
    raise InputError(
        f"{what} has one key and two contents: {found.text(first, second)}: "
        "run one of them again, or name whose counts: --prefer first or last"
    )


def _values(row: PlanRow) -> tuple[Any, ...]:
    return (
        row.cell, row.draw, row.model_key, row.dataset, row.model, row.explainer, row.data_seed, row.model_seed,
        row.fold, row.permutation,
    )  # fmt: skip


def _planned(db: sqlite3.Connection, column: str, key: str) -> PlanRow:
    return PlanRow(*next(rows_of(db, "plan", column, [key]))[1:])


def _of_draw(db: sqlite3.Connection, key: str) -> str:
    row = _planned(db, "draw", key)
    fold = f", fold {row.fold}" if row.fold >= 0 else ""
    null = f", null run {row.permutation}" if row.permutation >= 0 else ""
    return f"of {row.dataset!r}, data seed {row.data_seed}{fold}{null},"


def _of_network(db: sqlite3.Connection, key: str) -> str:
    row = _planned(db, "model_key", key)
    return f"{row.model!r} {_of_draw(db, row.draw).replace('of', 'on', 1)}"


def _of_cell(db: sqlite3.Connection, key: str) -> str:
    row = _planned(db, "cell", key)
    on = f" on {row.model!r}" if row.model else ""
    return f"{row.explainer!r}{on} {_of_draw(db, row.draw)}"
