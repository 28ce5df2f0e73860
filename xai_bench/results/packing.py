"""A pack: what is stored of a plan, without weights, in one compressed file whose bytes depend on the content only.

It is a tar archive behind xz: ``pack.json`` names the format, ``TABLE.json`` holds the columns of a table of the store
in full precision, ``relevance.npy`` the relevances of all cells one after the other, in single precision. These keep
the order, the ties and the zeros of the relevances in double precision. No code is stored, and none is run when a pack
is read. What a judge of retention reached on single masks is left out: it can be had again. So are the relevances of
single columns, where an input has several: what is scored and shown are those of the inputs.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xai_bench.component import canonical_json
from xai_bench.errors import InputError
from xai_bench.results import opening, schema

SUFFIX = ".xaipack"
FORMAT = 1
XZ = b"\xfd7zXZ\x00"
"""What the file begins with."""
PLANNED = "SELECT cell FROM plan"
QUERIES = {
    "meta": "SELECT name, value FROM meta WHERE name = 'suite'",
    "metrics": "SELECT name, content FROM metrics ORDER BY name",
    "provenance": "SELECT id, content FROM provenance ORDER BY id",
    "plan": "SELECT * FROM plan ORDER BY position",
    "draws": "SELECT key, content FROM draws WHERE key IN (SELECT draw FROM plan) ORDER BY key",
    "models": "SELECT key, content FROM models WHERE key IN (SELECT model_key FROM plan) ORDER BY key",
    "cells": f"SELECT key, status, reason, costs, provenance FROM cells WHERE key IN ({PLANNED}) ORDER BY key",
    "measurements": f"SELECT * FROM measurements WHERE cell IN ({PLANNED}) ORDER BY cell, metric, k",
    "scored": f"SELECT * FROM scored WHERE cell IN ({PLANNED}) ORDER BY cell",
    "settling": "SELECT * FROM settling WHERE model IN (SELECT model_key FROM plan) ORDER BY model",
    "followed": f"SELECT * FROM followed WHERE cell IN ({PLANNED}) ORDER BY cell, name",
}
"""What of every table is packed, in an order that does not depend on when it was stored."""
SINCE = {"settling": 4}
"""The schema that a table came with; packs of earlier ones do not have it."""
RELEVANCES = f"SELECT key, relevance FROM cells WHERE key IN ({PLANNED}) AND relevance IS NOT NULL ORDER BY key"
RECORDS = ("metrics", "provenance", "draws", "models", "settling")
AS_JSON = {("meta", "value"), ("cells", "costs"), ("scored", "metrics"), *((table, "content") for table in RECORDS)}
"""(table, column) of texts that are JSON, which is written in one canonical form."""
LARGEST = 2**32
"""Bytes of a pack, unpacked, at the most."""
SMALLEST = 0x0080_0000
"""The bits of the smallest positive number of single precision that processors never take for 0."""


def is_pack(path: Path) -> bool:
    """Whether the file is a pack."""
    try:
        with path.open("rb") as file:
            return file.read(len(XZ)) == XZ
    except OSError:
        return False


def packed(db: sqlite3.Connection) -> bytes:
    """The bytes of a pack of what is stored of the plan."""
    members: dict[str, Any] = {"pack.json": {"format": FORMAT, "schema": schema.VERSION}}
    for table, query in QUERIES.items():
        members[f"{table}.json"] = _columns(table, db.execute(query))
    keys, vectors = [], []
    for key, blob in db.execute(RELEVANCES):
        keys.append(key)
        vectors.append(np.frombuffer(blob, "<f8"))
    singles = [single(vector) for vector in vectors]
    members["relevance.json"] = {
        "cell": keys,
        "length": [len(vector) for vector in vectors],
        "exponent": [exponent for _, exponent in singles],
    }
    numbers = np.concatenate([values for values, _ in singles] or [np.empty(0, np.float32)])
    content = {name: canonical_json(value).encode() for name, value in members.items()}
    return lzma.compress(_archive(content | {"relevance.npy": _npy(numbers)}), preset=9 | lzma.PRESET_EXTREME)


def write(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def single(relevance: NDArray[np.float64]) -> tuple[NDArray[np.float32], int]:
    """(d,) in single precision, and the exponent of 2 that they are to be multiplied by.

    Different values stay different and in their order, equal ones equal, 0 stays 0 and nothing else becomes 0: where
    rounding would make two equal, the one farther from 0 is the next number of single precision.
    """
    # Nothing is -0.
    values, place = np.unique(relevance + 0.0, return_inverse=True)
    exponent = int(np.frexp(np.abs(values).max(initial=0.0))[1])
    rounded = _rounded(values, exponent)
    # Where the largest was rounded up to 1, what is read again has the next exponent.
    while 1 <= np.abs(rounded).max(initial=0.0) < np.inf:
        exponent += 1
        rounded = _rounded(values, exponent)
    return rounded[place].reshape(relevance.shape), exponent


def _rounded(values: NDArray[np.float64], exponent: int) -> NDArray[np.float32]:
    """Ascending ``values`` (n,) times 2 to minus ``exponent``."""
    half = exponent // 2  # In two steps: the power itself may be beyond double precision.
    rounded = np.ldexp(np.ldexp(values, -half), half - exponent).astype(np.float32)
    below, above = (int(np.searchsorted(values, 0, side=side)) for side in ("left", "right"))
    rounded[above:] = _ascending(rounded[above:])
    rounded[:below] = -_ascending(-rounded[:below][::-1])[::-1]
    return rounded


def _ascending(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest strictly ascending positive numbers that are not below ``values`` (n,), which ascend."""
    # Positive numbers of single precision are in the order of their bits, which are counted here.
    bits = np.maximum(np.ascontiguousarray(values).view(np.int32).astype(np.int64), SMALLEST)
    steps = np.arange(len(bits))
    return (np.maximum.accumulate(bits - steps) + steps).astype(np.int32).view(np.float32)


def double(values: NDArray[np.float32], exponent: int) -> NDArray[np.float64]:
    """What ``single`` stands for, in double precision; what was rounded beyond it is the largest number."""
    half = exponent // 2
    with np.errstate(over="ignore"):
        return np.nan_to_num(np.ldexp(np.ldexp(values.astype(np.float64), half), exponent - half))


def _columns(table: str, rows: sqlite3.Cursor) -> dict[str, Any]:
    """Column to its values; texts as an index into their sorted list."""
    names = [column[0] for column in rows.description]
    found = list(zip(*rows.fetchall(), strict=True)) or [()] * len(names)
    return {name: _coded(values, (table, name) in AS_JSON) for name, values in zip(names, found, strict=True)}


def _coded(values: Sequence[Any], as_json: bool) -> Any:
    if as_json:
        return [json.loads(value) for value in values]
    if not all(isinstance(value, str) for value in values):
        return list(values)
    texts = sorted(set(values))
    index = {value: i for i, value in enumerate(texts)}
    return {"texts": texts, "at": [index[value] for value in values]}


def _values(coded: Any, as_json: bool) -> list[Any]:
    if as_json:
        return [json.dumps(value, allow_nan=False) for value in coded]
    return [coded["texts"][i] for i in coded["at"]] if isinstance(coded, dict) else coded


def _npy(numbers: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(numbers, "<f4"), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _archive(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(members.items()):
            entry = tarfile.TarInfo(name)  # dated 1970, owned by nobody
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def unpacked(path: Path) -> sqlite3.Connection:
    """A store in memory with what is in a pack; its networks are without weights.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged, or was written by a newer version.
    """
    try:
        content = _members(path.read_bytes())
        head = json.loads(content["pack.json"])
        if head["format"] > FORMAT or head["schema"] > schema.VERSION:
            raise InputError(f"{str(path)!r} was written by a newer xai-bench: upgrade xai-bench")
        db = opening.in_memory()
        with schema.transaction(db):
            for table in QUERIES:
                if head["schema"] >= SINCE.get(table, 1):
                    _fill(db, table, json.loads(content[f"{table}.json"]))
            for key, vector in _relevances(content):
                db.execute("UPDATE cells SET relevance = ? WHERE key = ?", (vector.astype("<f8").tobytes(), key))
        return db
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (lzma.LZMAError, EOFError, tarfile.TarError, sqlite3.Error, ValueError, LookupError, TypeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{str(path)!r} is a damaged pack, or none ({why}): get it again") from None


def _members(compressed: bytes) -> dict[str, bytes]:
    unpacking = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    plain = unpacking.decompress(compressed, LARGEST)
    if not unpacking.eof:
        raise ValueError("it ends early" if unpacking.needs_input else f"more than {LARGEST} bytes unpacked")
    if unpacking.unused_data:
        raise ValueError("something follows its end")
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        found = {}
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
    return found


def _fill(db: sqlite3.Connection, table: str, coded: Mapping[str, Any]) -> None:
    columns = {name: _values(values, (table, name) in AS_JSON) for name, values in coded.items()}
    known = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    if not set(columns) <= set(known):
        raise ValueError(f"unknown columns in {table}")
    if table == "models":
        columns["weights"] = [b""] * len(columns["key"])
    marks = ",".join("?" * len(columns))
    rows = zip(*columns.values(), strict=True)
    db.executemany(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", rows)


def _relevances(content: Mapping[str, bytes]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    facts = json.loads(content["relevance.json"])
    numbers = np.load(io.BytesIO(content["relevance.npy"]), allow_pickle=False)
    ends = np.cumsum(facts["length"], dtype=int)
    if len(numbers) != (ends[-1] if len(ends) else 0):
        raise ValueError("relevances are missing")
    for key, end, length, exponent in zip(facts["cell"], ends, facts["length"], facts["exponent"], strict=True):
        yield key, double(numbers[end - length : end], exponent)
