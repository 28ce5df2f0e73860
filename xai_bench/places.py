"""Paths that a user writes, such as ``~/table.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xai_bench.errors import InputError
from xai_bench.validation import shown

_carried: dict[str, str] = {}
"""In a worker on another machine: a path, as a user wrote it, to where a copy of the file lies here."""


def take_carried(files: Mapping[str, str]) -> None:
    """In a worker on another machine: copies of files that the user named, by the path that was written."""
    _carried.update(files)


def expanded(text: str | Path) -> Path:
    """The path, with the home folder that ``~`` stands for.

    Raises
    ------
    InputError
        If nobody has that home folder, or no system can have such a path.
    """
    try:
        path = Path(_carried.get(str(text), text)).expanduser()
        path.is_file()
    except RuntimeError:
        raise InputError(f"no home folder is known for {shown(str(text))}: write the path in full") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise InputError(f"cannot use the path {shown(str(text))}: {reason}") from None
    return path
