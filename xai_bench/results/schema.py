"""The tables of a store, how a new one is made, and how one of an earlier schema becomes one of today's."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xai_bench.errors import InputError
from xai_bench.results import checksums, gate

VERSION = 5
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE provenance (id INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE plan (
  position INTEGER PRIMARY KEY, cell TEXT NOT NULL, draw TEXT NOT NULL, model_key TEXT NOT NULL,
  dataset TEXT NOT NULL, model TEXT NOT NULL, explainer TEXT NOT NULL,
  data_seed INTEGER NOT NULL, model_seed INTEGER NOT NULL, fold INTEGER NOT NULL, permutation INTEGER NOT NULL);
CREATE TABLE metrics (name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE draws (key TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE models (key TEXT PRIMARY KEY, content TEXT NOT NULL, weights BLOB NOT NULL);
CREATE TABLE cells (
  key TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT NOT NULL, costs TEXT NOT NULL,
  relevance BLOB, provenance INTEGER NOT NULL, columns BLOB);
CREATE TABLE measurements (
  cell TEXT NOT NULL, metric TEXT NOT NULL, k INTEGER NOT NULL, value REAL, reason TEXT NOT NULL,
  PRIMARY KEY (cell, metric, k)) WITHOUT ROWID;
CREATE TABLE scored (cell TEXT PRIMARY KEY, metrics TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE followed (
  cell TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, judge TEXT NOT NULL,
  PRIMARY KEY (cell, name)) WITHOUT ROWID;
CREATE TABLE settling (model TEXT PRIMARY KEY, key TEXT NOT NULL, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE checksums (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE judgements (
  judge TEXT NOT NULL, mask TEXT NOT NULL, value REAL NOT NULL, error REAL NOT NULL,
  PRIMARY KEY (judge, mask)) WITHOUT ROWID
"""
"""``models.weights`` is empty where a network came without its weights, as from a pack. A column that comes later has a
default: packs of earlier schemas do not have it. ``cells.columns`` is NULL where ``relevance`` is of columns.
``checksums`` are of the relevances of a cell, or of the weights of a network, by its key."""
STATEMENTS = tuple(statement.strip() for statement in TABLES.split(";"))


class Newer(InputError):
    """A store of a newer version."""

    def __init__(self, place: str, found: int) -> None:
        super().__init__(
            f"{place!r} was written by a newer xai-bench (schema {found}, this one knows {VERSION}): upgrade xai-bench"
        )


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and alone: others wait, or find it done."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def tables(db: sqlite3.Connection) -> set[str]:
    """The names of the tables."""
    return {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def version(db: sqlite3.Connection, place: str) -> int | None:
    """The schema of a store; None if it has no tables yet.

    Raises
    ------
    InputError
        If it is another program's database, or a newer version's.
    """
    known = tables(db)
    if not known:
        return None
    ours = _columns(db, "meta") == {"name", "value"}
    row = db.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() if ours else None
    if row is None or not str(row[0]).isdecimal() or int(row[0]) < 1:
        raise InputError(f"{place!r} is not a store of results: move it away, or choose another --out")
    found = int(row[0])
    if found > VERSION:
        raise Newer(place, found)
    return found


def bring_up_to_date(db: sqlite3.Connection, place: str) -> None:
    """Make the tables, or migrate those of an earlier schema, in one transaction; leave today's alone.

    Raises
    ------
    InputError
        As ``version``; nothing is changed then.
    """
    if version(db, place) == VERSION:
        return
    with transaction(db):
        found = version(db, place)  # Another process may have been faster.
        if found is None:
            for statement in STATEMENTS:
                db.execute(statement)
        else:
            for migrate in MIGRATIONS[found - 1 :]:
                migrate(db)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (str(VERSION),))


def _from_1(db: sqlite3.Connection) -> None:
    """Null runs and the sanity of relevances came; stores of schema 2 had both only in the end."""
    if "permutation" not in _columns(db, "plan"):
        db.execute("ALTER TABLE plan ADD COLUMN permutation INTEGER NOT NULL DEFAULT -1")
    if "randomised" not in tables(db):
        db.execute("CREATE TABLE randomised (cell TEXT PRIMARY KEY, sanity TEXT NOT NULL) WITHOUT ROWID")


def _from_2(db: sqlite3.Connection) -> None:
    """Declarations of metrics came, one table of all follow-ups, and inputs of several columns; there was no gate."""
    _from_1(db)
    db.execute("ALTER TABLE cells ADD COLUMN columns BLOB")
    db.execute("CREATE TABLE metrics (name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID")
    for table in ("followed", "scored"):
        db.execute(_made(table))
    for name, table in (("retention", "retained"), ("sanity", "randomised")):
        db.execute(f"INSERT INTO followed SELECT cell, '{name}', {name}, '' FROM {table}")
        db.execute(f"DROP TABLE {table}")
    for table, key, column in (
        ("draws", "key", "content"),
        ("models", "key", "content"),
        ("cells", "key", "costs"),
        ("provenance", "id", "content"),
        ("meta", "name", "value"),
    ):
        rows = db.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} LIKE '%NaN%' OR {column} LIKE '%Inf%'")
        for name, content in rows.fetchall():
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (_finite(content), name))
    odd = "SELECT cell, metric, k, value, reason FROM measurements WHERE typeof(value) NOT IN ('real', 'null')"
    endless = " OR value IN (9e999, -9e999) OR (value IS NULL AND reason = '')"
    for cell, metric, k, value, reason in db.execute(odd + endless).fetchall():
        found, why = _number(value)
        db.execute(
            "UPDATE measurements SET value = ?, reason = ? WHERE cell = ? AND metric = ? AND k = ?",
            (found, reason or why, cell, metric, k),
        )
    db.execute("DELETE FROM judgements WHERE typeof(value) != 'real' OR value IN (9e999, -9e999)")


def _from_3(db: sqlite3.Connection) -> None:
    """It came to be stored how far the relevance of a network has settled."""
    db.execute(_made("settling"))


def _from_4(db: sqlite3.Connection) -> None:
    """Checksums came."""
    db.execute(_made("checksums"))
    checksums.seal(db)


def _made(table: str) -> str:
    """The statement that makes a table."""
    return next(statement for statement in STATEMENTS if statement.startswith(f"CREATE TABLE {table} "))


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_from_1, _from_2, _from_3, _from_4)
"""From schema 1, from schema 2 ...; each by one."""


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def _finite(content: str) -> str:
    """A JSON text without NaN and infinities, which earlier versions wrote. Another text is left as it is."""
    try:
        value = json.loads(content)
    except ValueError:
        return content
    nulls: dict[str, str] = {}
    value = gate.plain(value, nulls)
    if not nulls:
        return content
    if isinstance(value, dict):
        value["reasons"] = nulls
    return json.dumps(value, allow_nan=False)


def _number(value: object) -> tuple[float | None, str]:
    """A value that an earlier version stored as it came: numpy's single precision as four bytes."""
    if isinstance(value, bytes) and len(value) == 4:
        bits = int.from_bytes(value, "little") & 0x7FFF_FFFF
        if bits == 0 or bits >= 0x0080_0000:  # Below are the bytes of a whole number, or next to nothing.
            (value,) = struct.unpack("<f", value)
    if isinstance(value, int | float) or value is None:
        return gate.number(value)
    return None, "an earlier version stored a value that is not a number"
