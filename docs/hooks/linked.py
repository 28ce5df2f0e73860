"""What pages take from outside of ``docs/``: tables that stand in files, and links to reports, scores and code.

What a link names is copied into the built manual.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDER = "repository"
"""Where the copies lie."""
LINK = re.compile(r"(\]\()((?:\.\./)+[^)\s#]+)")
CSV = re.compile(r"<!-- csv: (\S+) -->")
AS_TEXT = (".md", ".py", ".toml", ".cff")
"""Endings that a browser would not show, or that the manual would take for a page of its own."""


def outside(markdown: str, page: str) -> Iterator[tuple[str, Path]]:
    """The links of a page that leave ``docs/``, and the files that they name.

    Parameters
    ----------
    page : path of the page below ``docs/``
    """
    for found in LINK.finditer(markdown):
        path = ((DOCS / page).parent / found[2]).resolve()
        if not path.is_relative_to(DOCS):
            yield found[2], path


def with_tables(markdown: str, page: str) -> str:
    """The page with the tables that stand in files, each behind its mark ``<!-- csv: PATH -->``.

    Raises
    ------
    OSError
        If a file does not exist.
    """

    def table(found: re.Match[str]) -> str:
        path = ((DOCS / page).parent / found[1]).resolve()
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    return CSV.sub(table, markdown)


def copies(path: Path) -> list[Path]:
    """The files to copy for a link: of a report its pages, too."""
    if path.name != "index.html":
        return [path]
    return sorted(one for one in path.parent.rglob("*") if one.is_file() and one.suffix != ".xaipack")


def place(path: Path) -> str:
    """Where the copy of a file lies in the manual."""
    name = f"{FOLDER}/{path.relative_to(ROOT).as_posix()}"
    return f"{name}.txt" if path.suffix in AS_TEXT else name


def redirected(markdown: str, page: str) -> str:
    """The page with its links to the copies."""
    up = "../" * (len(PurePosixPath(page).parts) - 1)
    targets = {link: up + place(path) for link, path in outside(markdown, page)}
    return LINK.sub(lambda found: found[1] + targets.get(found[2], found[2]), markdown)
