"""Errors that a user can mend: one line with what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

LISTED = 30
"""Names in one error at the most."""


class InputError(ValueError):
    """Input that cannot be used. The command line prints its one line and exits with code 2."""


def unknown(what: str, got: str, known: Iterable[str]) -> InputError:
    """An error for a name that does not exist, with the nearest existing ones."""
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=3, cutoff=0.6)
    known_names = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {known_names or 'none'}"
    return InputError(f"unknown {what} {got!r}: {hint}")


def reason_of(error: BaseException) -> str:
    """An exception in one line, with the place in this process's code that raised it."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    if isinstance(error, InputError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"
