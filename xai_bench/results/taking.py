"""Cells with all that belongs to them: copied from one store to another, or forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xai_bench.errors import unknown
from xai_bench.results.records import PlanRow
from xai_bench.results.schema import transaction
from xai_bench.wording import plural

AXES = ("datasets", "models", "explainers", "data_seeds")
COLUMNS = ("dataset", "model", "explainer", "data_seed")
"""What a part of a plan is named by, and the columns that say so."""
AT_ONCE = 500
"""Keys in one query."""
RUN = 5
"""Place of ``provenance`` in a row of ``cells``."""
SETTLING = (
    "INSERT INTO settling VALUES (?, ?, ?) ON CONFLICT (model) DO UPDATE "
    "SET key = excluded.key, content = excluded.content WHERE settling.key = ''"
)
"""What is known of a network stays, unless it is that a training failed."""


def chunks(keys: Iterable[Any]) -> Iterator[list[Any]]:
    """The keys in their order, as many at a time as one query takes."""
    ordered = sorted(set(keys))
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]


def rows_of(db: sqlite3.Connection, table: str, column: str, keys: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of a table whose ``column`` is one of ``keys``."""
    for chunk in chunks(keys):
        yield from db.execute(f"SELECT * FROM {table} WHERE {column} IN ({_marks(chunk)})", chunk)


def delete(db: sqlite3.Connection, table: str, column: str, keys: Iterable[Any]) -> int:
    """Delete those rows; returns their number."""
    return sum(
        db.execute(f"DELETE FROM {table} WHERE {column} IN ({_marks(chunk)})", chunk).rowcount for chunk in chunks(keys)
    )


def _marks(values: Collection[Any]) -> str:
    return ",".join("?" * len(values))


def insert(db: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]], *, replace: bool = True) -> None:
    for row in rows:
        db.execute(f"INSERT OR {'REPLACE' if replace else 'IGNORE'} INTO {table} VALUES ({_marks(row)})", row)


def take(here: sqlite3.Connection, there: sqlite3.Connection, wanted: Collection[PlanRow]) -> int:
    """Copy cells with their scores, networks, draws, judgements and the records of the runs that measured them.

    ``wanted`` : rows of the plan whose cells are there and not here; a cell may stand in several.
    Returns the number of cells.
    """
    cells = {row.cell for row in wanted}
    if not cells:
        return 0
    with transaction(here):
        found = list(rows_of(there, "cells", "key", cells))
        runs: dict[int, int | None] = {}
        for number, content in sorted(rows_of(there, "provenance", "id", {row[RUN] for row in found})):
            runs[number] = here.execute("INSERT INTO provenance (content) VALUES (?)", (content,)).lastrowid
        insert(here, "cells", ((*row[:RUN], runs[row[RUN]], *row[RUN + 1 :]) for row in found))
        delete(here, "measurements", "cell", cells)
        for table in ("measurements", "scored", "followed"):
            insert(here, table, rows_of(there, table, "cell", cells))
        insert(here, "checksums", rows_of(there, "checksums", "key", cells))
        insert(here, "draws", rows_of(there, "draws", "key", {row.draw for row in wanted}), replace=False)
        networks = {row.model_key for row in wanted}
        _insert_networks(here, rows_of(there, "models", "key", networks))
        checksums = rows_of(there, "checksums", "key", networks)
        insert(here, "checksums", checksums, replace=False)  # A network that is here keeps its own.
        here.executemany(SETTLING, rows_of(there, "settling", "model", networks))
        insert(here, "metrics", there.execute("SELECT * FROM metrics"), replace=False)
        insert(here, "judgements", there.execute("SELECT * FROM judgements"), replace=False)
    return len(cells)


def _insert_networks(here: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """One that is here stays, unless it is here without its weights."""
    for row in rows:
        here.execute("DELETE FROM models WHERE key = ? AND length(weights) = 0", row[:1])
        here.execute("INSERT OR IGNORE INTO models VALUES (?, ?, ?)", row)


@dataclass(frozen=True)
class Forgotten:
    """How much was forgotten. ``labels``: (dataset, model, explainer) of the cells that were stored."""

    cells: int = 0
    measurements: int = 0
    networks: int = 0
    draws: int = 0
    labels: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        if not self.cells:
            return "nothing that is named is stored"
        counts = ((self.cells, "cell"), (self.measurements, "score"), (self.networks, "network"), (self.draws, "draw"))
        found = ", ".join(plural(count, word) for count, word in counts)
        axes = ((2, "explainers"), (1, "models"), (0, "datasets"))
        names = [(sorted({label[at] for label in self.labels} - {""}), axis) for at, axis in axes]
        return "; ".join([found, *(f"{axis} {', '.join(labels)}" for labels, axis in names if labels)])


def named(db: sqlite3.Connection, part: Mapping[str, Collection[Any]]) -> set[str]:
    """Keys of the planned cells of a part of the plan, by its ``AXES``; an empty axis stands for all of it."""
    wanted = [(column, list(part.get(axis, ()))) for axis, column in zip(AXES, COLUMNS, strict=True)]
    tests = [f"{column} IN ({_marks(values)})" for column, values in wanted if values]
    values = [value for _, values in wanted for value in values]
    query = f"SELECT DISTINCT cell FROM plan WHERE {' AND '.join(tests) or '1'}"
    return {row[0] for row in db.execute(query, values)}


def remove(db: sqlite3.Connection, cells: Collection[str]) -> Forgotten:
    """Forget cells and scores, what no other planned cell uses, and the records of runs that no cell is left of."""
    with transaction(db):
        found = list(rows_of(db, "cells", "key", cells))
        stored, runs = {row[0] for row in found}, {row[RUN] for row in found}
        planned = [row[1:7] for row in rows_of(db, "plan", "cell", stored)]
        judges = {row[3] for row in rows_of(db, "followed", "cell", stored)}
        removed = delete(db, "cells", "key", stored)
        scores = delete(db, "measurements", "cell", stored)
        for table in ("scored", "followed"):
            delete(db, table, "cell", stored)
        delete(db, "judgements", "judge", judges - {row[0] for row in db.execute("SELECT judge FROM followed")})
        delete(db, "provenance", "id", runs - {row[0] for row in db.execute("SELECT provenance FROM cells")})
        used = db.execute("SELECT draw, model_key FROM plan JOIN cells ON plan.cell = cells.key").fetchall()
        unused = {row[2] for row in planned} - {model for _, model in used}
        networks = delete(db, "models", "key", unused)
        delete(db, "checksums", "key", stored | unused)
        delete(db, "settling", "model", unused)
        draws = delete(db, "draws", "key", {row[1] for row in planned} - {draw for draw, _ in used})
    return Forgotten(removed, scores, networks, draws, tuple(sorted({row[3:6] for row in planned})))


def check_labels(db: sqlite3.Connection, part: Mapping[str, Collection[str]]) -> None:
    """Raise InputError for a label that the plan does not have."""
    for axis, column in zip(AXES, COLUMNS, strict=True):
        known = {row[0] for row in db.execute(f"SELECT DISTINCT {column} FROM plan")} - {""}
        for label in part.get(axis, ()):
            if label not in known:
                raise unknown(column, label, known)
