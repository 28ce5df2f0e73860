"""Generated text between two marks of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def found(text: str, begin: str, end: str) -> str:
    """What stands between the marks.

    Raises
    ------
    ValueError
        If a mark is missing.
    """
    match = re.search(f"{re.escape(begin)}\n(.*?){re.escape(end)}", text, flags=re.S)
    if match is None:
        raise ValueError(f"expected the marks {begin!r} and {end!r}")
    return match.group(1)


def put(path: Path, begin: str, end: str, said: str) -> None:
    """Put text that ends with a line end between the marks."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f"{begin}\n{found(text, begin, end)}{end}", f"{begin}\n{said}{end}"), encoding="utf-8")


def row(boxes: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(boxes)} |"
