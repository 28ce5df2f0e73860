"""Checksums of relevances and weights, which SQLite does not have: bits that turned on a disk are found, not used."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable

CELLS = (
    "INSERT OR REPLACE INTO checksums SELECT key, checksum(relevance, columns) FROM cells WHERE relevance IS NOT NULL"
)
NETWORKS = "INSERT OR REPLACE INTO checksums SELECT key, checksum(weights) FROM models WHERE length(weights) > 0"
WRONG = (
    "SELECT cells.key FROM cells JOIN checksums ON cells.key = checksums.key "
    "WHERE checksums.value != checksum(relevance, columns) LIMIT 1"
)


class Wrong(ValueError):
    """Content that is not what was stored."""


def checksum(*parts: bytes | None) -> int:
    """CRC-32 of the parts that are there, one after the other."""
    value = 0
    for part in parts:
        value = zlib.crc32(part or b"", value)
    return value


def seal(db: sqlite3.Connection, cells: Iterable[str] | None = None, networks: Iterable[str] | None = None) -> None:
    """Store the checksums of what is stored under these keys; None for all."""
    db.create_function("checksum", -1, checksum, deterministic=True)
    for query, keys in ((CELLS, cells), (NETWORKS, networks)):
        if keys is None:
            db.execute(query)
        else:
            db.executemany(f"{query} AND key = ?", [(key,) for key in keys])


def check(db: sqlite3.Connection, key: str, what: str, *parts: bytes | None) -> None:
    """Raise Wrong if content is not that which was stored under a key. What has no checksum is not checked."""
    row = db.execute("SELECT value FROM checksums WHERE key = ?", (key,)).fetchone()
    if row is not None and row[0] != checksum(*parts):
        raise Wrong(f"the {what} of {key[:12]} are not those that were stored")


def check_cells(db: sqlite3.Connection) -> None:
    """Raise Wrong if a relevance is not what was stored."""
    db.create_function("checksum", -1, checksum, deterministic=True)
    row = db.execute(WRONG).fetchone()
    if row is not None:
        raise Wrong(f"the relevances of {row[0][:12]} are not those that were stored")
