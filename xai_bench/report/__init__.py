"""The report of a run: a page with the leaderboard, a page for every dataset, and a summary."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from xai_bench.errors import InputError

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

__all__ = ["in_short", "write_report"]


def write_report(results: Results, folder: Path | str, jobs: int = 1) -> Path:
    """Write index.html, summary.md, datasets/NAME.html and the script that these share; returns the path of the first.

    ``jobs``: processes that draw, at the most. The bytes are the same for any number. What is in focus is highlighted:
    ``results.focused(NAME)``.

    Every page works offline. Equal results give equal bytes. No file names a host, a user or a path. All numbers:
    ``xai-bench export``.

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
    files = render(Frames(results), jobs)
    try:
        for name, text in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _replace(target / name, text)
        for page in (target / "datasets").glob("*.html"):
            if f"datasets/{page.name}" not in files:
                page.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write the report to {str(target)!r}: {reason}; choose another folder") from None
    return target / "index.html"


def in_short(results: Results) -> list[tuple[str, str]]:
    """Who leads, what is decided, and whether retention agrees: the sentences with which the report begins."""
    from xai_bench.report.kit.frames import Frames
    from xai_bench.report.kit.prose import sentences

    return [(what, text.replace("`", "")) for what, text in sentences(Frames(results))]


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
