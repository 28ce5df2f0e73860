"""One process at a time writes into the folder of a run: another one is refused, and told who has it.

The operating system holds the lock as long as the process lives that took it: what one that died has left is taken
over.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from xai_bench.errors import InputError, one_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "results.lock"
"""Beside the results, while somebody writes: who it is."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Inside, nobody else writes into ``folder``, which is made if it is not there.

    Raises
    ------
    InputError
        If another process, or another run of this one, holds it; if the folder cannot be written.
    """
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _taken(path)
    except OSError as error:
        raise InputError(f"cannot write results to {str(folder)!r}: {error.strerror}; choose another --out") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # It is removed before it is released: who finds it open looks again.
            path.unlink()
        file.close()


def _taken(path: Path) -> TextIO:
    """The open file that holds the lock."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            locked, holder = _locked(file), _holder(file)
            if locked is False or (locked is None and _lives(holder)):
                raise InputError(
                    f"{str(path.parent)!r} is in use by {_named(holder)}: wait until it has ended, or choose another "
                    "--out"
                )
            if not _is_still(file, path):
                file.close()
                continue
            file.truncate(0)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": now}, file)
            file.flush()
        except BaseException:
            file.close()
            raise
        return file


def _locked(file: TextIO) -> bool | None:
    """Whether this process has the lock now; None where the system or the disk knows of no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_still(file: TextIO, path: Path) -> bool:
    """Whether the open file is the one at ``path``: who had it may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _holder(file: TextIO) -> dict[str, Any]:
    """What is written in the file; {} if that is nothing that was meant to be there."""
    try:
        file.seek(0)
        found = json.loads(file.read(1000))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _named(holder: dict[str, Any]) -> str:
    if not {"pid", "host", "since"} <= holder.keys():
        return "another process"
    return one_line(f"process {holder['pid']} on {holder['host']}, since {holder['since']}", 200)


def _lives(holder: dict[str, Any]) -> bool:
    """Whether the holder may be alive: it is on another computer, or its process is there."""
    if holder.get("host") not in (None, socket.gethostname()):
        return True
    pid = holder.get("pid")
    if type(pid) is not int or pid <= 0 or os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except OverflowError:
        return False
    except OSError as error:
        return isinstance(error, PermissionError)
    return True
