"""Where results lie, and how their file is opened: for writing, or for reading, which changes nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from xai_bench.errors import InputError, one_line
from xai_bench.results import schema

FILE = "results.sqlite"
PATIENCE = 60.0
"""Seconds that one process waits for another one's transaction."""
PAUSE = 0.01
"""Seconds between two tries where SQLite itself does not wait."""
DISTRUST = "PRAGMA trusted_schema = OFF"
"""What a file from elsewhere defines (views, triggers) calls no function that could do harm."""
WAL = b"\x02\x02"
"""What the header of a file says at byte 18 if changes go to a file beside it first."""


def locate(place: str | Path) -> Path:
    """The file of the results that are meant: itself, that in a folder, or that of the only run below ``runs/``.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    path = Path(place)
    if path.is_file():
        return path
    if (path / FILE).is_file():
        return path / FILE
    for folder in (path / "runs", path):
        found = sorted(folder.glob(f"*/{FILE}"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(one.parent) for one in found)
            raise InputError(f"{str(place)!r} holds several runs: name one of {names}")
    raise InputError(f"no results in {str(place)!r}: expected a folder that `xai-bench run` wrote, or a pack")


class Empty(InputError):
    """There is a file, and nothing in it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no results in {str(path)!r}, which is empty: run the suite first")


class Damaged(InputError):
    """A store whose content cannot be what was stored."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{str(path)!r} is damaged ({one_line(error, 200)}): move it away, or run with --fresh")


def remove(path: Path) -> None:
    """Remove a store, whatever its schema and its state, and what SQLite has left beside it; nothing else.

    Where ``path`` is a symbolic link, it stays, and the store that it leads to is removed.

    Raises
    ------
    InputError
        If it is not a store of results, or cannot be removed.
    """
    try:
        path = path.resolve()
        if path.exists():
            with contextlib.suppress(Empty, Damaged, schema.Newer):
                for_reading(path).close()
        for end in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + end).unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to one another
        reason = getattr(error, "strerror", None) or one_line(error)
        raise InputError(f"cannot remove {str(path)!r}: {reason}; choose another --out") from None


def is_empty(path: Path) -> bool:
    """Whether nothing was ever stored in a file.

    Raises
    ------
    InputError
        As ``for_reading``.
    """
    try:
        for_reading(path).close()
    except Empty:
        return True
    return False


LARGEST_CHECKED = 2**28
"""Bytes of a file that is read as a whole when it is opened, for damage: a quarter of a second."""


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Raise Damaged if the structure of a store is."""
    (pages,), (size,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    if pages * size <= LARGEST_CHECKED:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise Damaged(path, ValueError(found))


def in_words(error: sqlite3.Error, path: Path) -> InputError | None:
    """An error of SQLite that has its cause outside of the program, in one line; None for others."""
    place, told = str(path), str(error)
    if "locked" in told:
        return InputError(f"{place!r} is in use by another process: wait for it, or choose another --out")
    if "not a database" in told:
        return InputError(f"{place!r} is not a store of results: move it away, or choose another --out")
    if "unable to open" in told:
        return InputError(f"cannot open {place!r}: {told}; choose another --out")
    if any(words in told for words in ("readonly", "full", "disk I/O")):
        return InputError(f"cannot write results to {str(path.parent)!r}: {told}; choose another --out")
    if "malformed" in told or "no such" in told or "decode" in told:
        return Damaged(path, error)
    return None


def for_writing(path: Path) -> sqlite3.Connection:
    """A connection to a store that is made if it is not there, and brought up to date.

    It commits by itself: use ``schema.transaction``. Processes that make one store at once wait for one another.

    Raises
    ------
    InputError
        If the place cannot be written, or the file is not a store, is damaged, or has a newer schema.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write results to {str(path.parent)!r}: {error.strerror}; choose another --out"
        ) from None
    db: sqlite3.Connection | None = None
    try:
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        db.execute(DISTRUST)
        _make(db, path)
        _check(db, path)
    except BaseException as error:
        if db is not None:
            db.close()
        told = in_words(error, path) if isinstance(error, sqlite3.Error) else None
        if told is None:
            raise
        raise told from None
    return db


def _make(db: sqlite3.Connection, path: Path) -> None:
    """SQLite does not wait where the kind of its journal changes: two processes that begin at once try again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            schema.bring_up_to_date(db, str(path))
            db.execute("PRAGMA journal_mode=WAL").fetchall()
            db.execute("PRAGMA synchronous=NORMAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)


def finish(db: sqlite3.Connection) -> None:
    """Close a store that was open for writing: one file is left, which can be read where nothing can be written."""
    try:
        db.execute("PRAGMA busy_timeout=0")
        db.execute("PRAGMA journal_mode=DELETE").fetchall()
    except sqlite3.Error:  # Another process has it open, and does this when it is ready; or the file is damaged.
        pass
    finally:
        db.close()


def in_memory() -> sqlite3.Connection:
    """A new store that no file holds."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.bring_up_to_date(db, ":memory:")
    return db


def save(db: sqlite3.Connection, path: Path) -> None:
    """Write a store as a file: whole, or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.touch()  # SQLite does not say why it cannot.
        with closing(sqlite3.connect(part, isolation_level=None)) as file:
            db.backup(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def for_reading(path: Path) -> sqlite3.Connection:
    """A connection to a store, or to a copy in memory; no file is changed and none is made.

    A store of an earlier schema is read from a copy that is brought up to date.

    Raises
    ------
    InputError
        If the file is empty, not a store, damaged, or has a newer schema.
    """
    try:
        db = _unchanged(path)
        try:
            found = schema.version(db, str(path))
            if found is None:
                raise Empty(path)
            _check(db, path)
            if found != schema.VERSION:
                db = _copied(db)
                schema.bring_up_to_date(db, str(path))
        except BaseException:
            db.close()
            raise
        return db
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except sqlite3.Error as error:
        told = in_words(error, path)
        if told is None:
            raise
        raise told from None


def _unchanged(path: Path) -> sqlite3.Connection:
    """The file as it is.

    Where a process died, changes may wait in a file beside it. SQLite would write to merge them: a copy is merged.
    """
    log, shared, journal = (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))
    if log.exists() and log.stat().st_size and not shared.exists():
        return _merged(path, log)
    with path.open("rb") as file:
        logs = file.read(20)[18:] == WAL
    # Without a shared index nobody has the file open that keeps a log.
    immutable = logs and not shared.exists()
    db = None
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro" + ("&immutable=1" if immutable else "")
        db = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        db.execute(DISTRUST)
        schema.tables(db)
    except sqlite3.OperationalError:
        if db is not None:
            db.close()
        return _merged(path, log, journal)
    return db


def _merged(path: Path, *beside: Path) -> sqlite3.Connection:
    """A copy in memory of a file and of the changes that wait beside it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for part in (path, *beside):
            if part.exists():
                shutil.copyfile(part, copy.with_name(part.name))
        return _copied(sqlite3.connect(copy, isolation_level=None))


def _copied(db: sqlite3.Connection) -> sqlite3.Connection:
    """A copy in memory; ``db`` is closed."""
    with closing(db):
        copy = sqlite3.connect(":memory:", isolation_level=None)
        copy.execute(DISTRUST)
        db.backup(copy)
    return copy
