"""Errors that a user can mend: one line with what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
import traceback
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

LISTED = 30
"""Names in one error at the most."""
LONGEST_NAME = 200
"""Letters of a name in an error at the most."""
LONGEST = 2000
"""Letters of one text at the most."""
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of all that follows, in the text and after it."""

FAILURES = (Exception, SystemExit)
"""What the code of a component may end with: its own failure, not the end of the run."""


class InputError(ValueError):
    """Input that cannot be used. The command line prints its one line and exits with code 2."""


def unknown(what: str, got: str, known: Iterable[str]) -> InputError:
    """An error for a name that does not exist, with the nearest existing ones."""
    names = sorted(known)
    got = got if len(got) <= LONGEST_NAME else f"{got[:LONGEST_NAME]} ..."
    near = difflib.get_close_matches(got, names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {listed(names) or 'none'}"
    return InputError(f"unknown {what} {got!r}: {hint}")


def listed(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def one_line(text: object, longest: int = LONGEST) -> str:
    """``text`` as one line that UTF-8 can hold, cut to ``longest`` letters.

    Lone surrogates become the replacement character; control characters, line ends and marks that turn the direction of
    what follows become a space. What cannot be written as a text is named by its type.
    """
    try:
        raw = text if isinstance(text, str) else str(text)
        if len(raw) <= longest and type(raw) is str and raw.isascii() and raw.isprintable():
            return raw
        letters = "".join(map(_letter, islice(raw, longest + 1)))
    except Exception:
        return f"a {one_line(type(text).__name__, 100)}"
    return letters if len(letters) <= longest else letters[: longest - 1] + "…"


def _letter(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Cs":
        return "\ufffd"
    return " " if category in ("Cc", "Zl", "Zp") or letter in TURNING else letter


def reason_of(error: BaseException) -> str:
    """An exception in one line, with the place in this process's code that raised it."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # An exception of a plugin may not even have a text.
        lines = []
    text = one_line(lines[0]) if lines else ""
    if isinstance(error, InputError):
        return text
    if isinstance(error, SyntaxError):  # Its own text says where.
        return f"{type(error).__name__}: {text}"
    frames = list(traceback.extract_tb(error.__traceback__))
    if isinstance(error, SystemExit) and len(frames) > 1 and "_sitebuiltins" in frames[-1].filename:
        frames = frames[:-1]  # exit() and quit(): the place that calls them
    place = f" ({one_line(Path(frames[-1].filename).name)}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({text}){place}"
    return f"{one_line(type(error).__name__)}: {text}{place}"
