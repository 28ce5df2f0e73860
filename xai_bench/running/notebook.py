"""What a run shows in a notebook: a progress bar, forecasts and notices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xai_bench.running.ledger import duration

if TYPE_CHECKING:
    from xai_bench.running.under_way import Progress

OnProgress = Callable[["Progress"], None]


def in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this process."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


@contextmanager
def progress_bar(on_progress: OnProgress | None) -> Iterator[OnProgress | None]:
    """What is to be called as a run goes on: ``on_progress``; in a notebook that gives none, a bar."""
    if on_progress is not None or not in_notebook():
        yield on_progress
        return
    from tqdm.auto import tqdm

    said: set[str] = set()
    with tqdm(unit=" cells", file=sys.stdout) as bar:

        def update(progress: Progress) -> None:
            lines = [f"forecast: {progress.forecast.text()}"] if progress.forecast is not None else []
            for line in [*lines, *(f"notice: {notice}" for notice in progress.notices)]:
                if line not in said:
                    bar.write(line, file=sys.stdout)
                    said.add(line)
            bar.total = progress.total + progress.followups
            bar.n = progress.finished + progress.followed
            left = f"{duration(progress.remaining)} left, " if progress.remaining else ""
            bar.set_postfix_str(f"{left}{progress.last}", refresh=True)

        yield update
