"""What a run shows while it is under way."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import typer

from xai_bench.errors import InputError
from xai_bench.wording import plural

if TYPE_CHECKING:
    from xai_bench.running.under_way import Progress

FIRST_PART = 0.05
"""Share of the cells that is done before a run says how long the rest takes: the first ones are the smallest."""


def in_lines(sentence: str) -> str:
    """A sentence in lines of 100 letters at the most."""
    return textwrap.fill(sentence, 100, subsequent_indent="  ", break_on_hyphens=False)


def tell(sentence: str) -> None:
    """Print a sentence in lines."""
    typer.echo(in_lines(sentence))


def check_told(quiet: bool, verbose: bool) -> None:
    """Raise InputError for both at once."""
    if quiet and verbose:
        raise InputError("expected --quiet or --verbose, got both: leave one out")


@contextmanager
def status(text: str, quiet: bool = False, verbose: bool = False) -> Iterator[Callable[[str], None]]:
    """On a terminal, says what goes on as long as it does; yields what is to be called with the next step.

    ``quiet``: nothing is said. ``verbose``: every step is a line of its own, also where there is no terminal.
    """
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    shown = console.status(text)

    def update(step: str) -> None:
        shown.update(step)
        if verbose:
            console.print(step, highlight=False, markup=False, soft_wrap=True)

    with shown if console.is_terminal else nullcontext():
        yield update


class Display:
    """A progress bar on a terminal, nothing else elsewhere; forecast and notices once.

    ``quiet``: nothing at all. ``verbose``: also a line for every block and follow-up that has come to its end.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self.console, self.verbose = Console(stderr=True, quiet=quiet), verbose
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
        )
        self._bar = Bar(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("starting the workers", total=None, left="")
        self._said: set[str] = set()
        self._foreseen = False
        self.last: Progress | None = None

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def update(self, progress: Progress) -> None:
        from xai_bench.running.ledger import duration

        self.last = progress
        if progress.forecast is not None:
            self._say(f"forecast: {progress.forecast.text()}")
        for notice in progress.notices:
            self._say(f"notice: {notice}")
        known = not progress.unknown
        if known and not self._foreseen and progress.finished >= FIRST_PART * progress.total:
            self._foreseen = True
            if progress.forecast is not None and progress.forecast.unknown:
                self._say(f"forecast: about {duration(progress.remaining)} more, by what was measured so far")
        if self.verbose and progress.last:
            counts = f"{progress.finished} of {plural(progress.total, 'cell')}"
            if progress.followups:
                counts += f", {progress.followed} of {plural(progress.followups, 'follow-up')}"
            self._say(f"{progress.last}: {counts}")
        # A follow-up weighs as much as a cell: the bar moves until the end.
        self._bar.update(
            self._task,
            total=progress.total + progress.followups,
            completed=progress.finished + progress.followed,
            description=progress.last,
            left=f"{'' if known else 'at least '}{duration(progress.remaining)} left" if progress.remaining else "",
        )
