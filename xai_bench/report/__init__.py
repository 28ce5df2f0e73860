"""The report of a run: a page that answers three questions, a summary, and tables."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from xai_bench.errors import InputError

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

__all__ = ["in_short", "write_report"]


def write_report(results: Results, folder: Path | str, jobs: int = 1, *, tables: bool = True) -> Path:
    """Write index.html, summary.md and CSV tables; returns the path of the page.

    ``jobs``: processes that draw, at the most; a script of yours that asks for several needs the usual
    ``if __name__ == "__main__":``. The bytes are the same for any number. ``tables``: whether CSV tables are written;
    the page without them says how to get the numbers.

    The page is one file that works offline. Equal results give equal bytes. No file names a host, a user or a
    path. CSV numbers have eight significant digits; ``xai-bench export`` gives all of them.

    Raises
    ------
    InputError
        If the folder cannot be written, or ``jobs`` is below 1. Each file is replaced whole or not at all.
    """
    if jobs < 1:
        raise InputError(f"jobs: expected at least 1, got {jobs}")
    from xai_bench.report.kit.frames import Frames
    from xai_bench.report.page import render

    target = Path(folder)
    files = render(Frames(results), jobs, tables=tables)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _replace(target / name, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write the report to {str(target)!r}: {reason}; choose another folder") from None
    return target / "index.html"


def in_short(results: Results) -> list[tuple[str, str]]:
    """What the leaderboard shows, and the questions, each with the sentences that answer it first in the report."""
    from xai_bench.report.kit.frames import Frames
    from xai_bench.report.kit.wording import without_paths
    from xai_bench.report.page import short_answers

    answers = [("leaderboard", " ".join(results.in_words())), *short_answers(Frames(results))]
    return [(question, without_paths(answer).replace("`", "")) for question, answer in answers]


def _replace(path: Path, text: str) -> None:
    """Write beside the file, then take its place."""
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(number, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(draft, 0o666 & ~mask)  # mkstemp makes private files
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
