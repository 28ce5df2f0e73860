"""``xai-bench run``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xai_bench.commands.display import Display, check_told, status, tell
from xai_bench.commands.options import (
    Focus,
    Jobs,
    Out,
    Plugins,
    Quiet,
    Verbose,
    completing,
    cores,
    load,
    names,
    whole,
)
from xai_bench.errors import InputError
from xai_bench.wording import plural

if TYPE_CHECKING:
    from xai_bench.results.frames import Results
    from xai_bench.running.against import Against
    from xai_bench.running.under_way import Progress

MOST_FAILURES = 20
"""Failures that are listed one by one, unless all are asked for."""


def run(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE|FILE.toml",
            help="A shipped suite, or a file of your own.",
            autocompletion=completing("suites"),
        ),
    ],
    out: Out = Path(),
    jobs: Jobs = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", metavar="tcp://HOST:PORT", help="Compute on the workers of that scheduler of dask."
        ),
    ] = None,
    data_seeds: Annotated[
        int | None,
        typer.Option("--data-seeds", metavar="N", parser=whole, help="Run data seeds 0 .. N-1 instead of the suite's."),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Run these datasets of the suite only.", autocompletion=completing("datasets")
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Run these models of the suite only.", autocompletion=completing("models")),
    ] = None,
    explainers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Run these explainers of the suite only.", autocompletion=completing("explainers")
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="cpu|cuda|auto", help="Where networks are trained and explained.")
    ] = "cpu",
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known",
            metavar="DIR",
            help="Copy what another run or a pack has of this suite (repeatable).",
        ),
    ] = None,
    focus: Focus = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is stored, or what filters name of it.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be computed and how long it takes; start nothing.")
    ] = False,
    plugin: Plugins = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="shipped|DIR|PACK",
            help="Run explainers of your own beside a few of the suite, and place them in that comparison of it.",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run what is missing of a suite, store it, and write the report.

    Exit code 0: all done, unsupported, or over the suite's limit of time. 1: some cells failed (they are listed).
    2: bad input.
    """
    check_told(quiet, verbose)
    with status("loading", quiet):
        from xai_bench.running.against import asked_against
        from xai_bench.running.request import Request
        from xai_bench.running.run import compute, foresee

        load(plugin)
        request = Request(
            suite,
            out=out,
            jobs=cores() if jobs is None and scheduler is None else jobs,
            scheduler=scheduler,
            data_seeds=data_seeds,
            datasets=names(datasets),
            models=names(models),
            explainers=names(explainers),
            fresh=fresh,
            device=device,
            known=known or [],
            focus=focus,
        )
        other = asked_against(request, against) if against else None
    request = other.request if other else request
    if dry_run:
        foreseen = foresee(request)
        typer.echo(f"plan: {foreseen.plan()}\nforecast: {foreseen.text()}")
        return
    writable(out)
    with Display(quiet, verbose) as display:
        results = compute(replace(request, on_progress=display.update))
    page = written(results, out, request.jobs or cores(), quiet)
    is_whole = not (request.data_seeds or request.datasets or request.models or request.explainers)
    code = summary(results, display.last, is_whole, quiet, verbose)
    if not quiet:
        _say(results, other, page)
    raise typer.Exit(code)


def written(results: Results, out: Path, jobs: int, quiet: bool) -> Path:
    """Write the report of a run below ``out``; returns its page."""
    with status("writing the report", quiet):
        from xai_bench.report import write_report
        from xai_bench.results.frames import report_place

        name = results.suite["name"]
        return write_report(results, report_place(out, name, out / "runs" / name), jobs)


def _say(results: Results, other: Against | None, page: Path) -> None:
    """What came out, where a method of one's own stands, and where the report is."""
    from xai_bench.report import in_short
    from xai_bench.results.placing import Placed

    for question, answer in in_short(results):
        tell(f"{question}: {answer}")
    if other:
        typer.echo("\n".join(Placed(results, other.board, other.own).words()))
    typer.echo(f"report: {page}")


def writable(folder: Path) -> None:
    """Raise InputError if a run cannot be kept below a folder."""
    from xai_bench.running.request import check_out

    check_out(folder)
    for part in (folder / "runs", folder / "reports"):
        try:
            part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {str(part)!r}: {error.strerror}; choose another --out") from None
        if not os.access(part, os.W_OK):
            raise InputError(f"cannot write to {str(part)!r}: permission denied; choose another --out")


def summary(
    results: Results,
    progress: Progress | None,
    is_whole: bool = True,
    quiet: bool = False,
    verbose: bool = False,
) -> int:
    """Print the counts and the failures; returns the exit code.

    Parameters
    ----------
    is_whole : all cells were to have a result
    quiet : only the failures
    verbose : all of them, and why methods are not supported
    """
    counts = Counter(results.cells["status"])
    words = {
        "done": "done",
        "unsupported": "unsupported",
        "failed": "failed",
        "timed_out": "timed out",
        "missing": "not run",
    }
    parts = [f"{counts[status]} {word}" for status, word in words.items() if counts[status]]
    if not quiet:
        typer.echo(f"{results.suite['name']}: {len(results.cells)} cells: {', '.join(parts)}")
    if verbose:
        for line in _unsupported(results):
            typer.echo(line)
    failures = [
        f"{r['dataset']}, {r['model'] or 'no model'}, {r['explainer']}, data seed {r['data_seed']}: {r['reason']}"
        for r in results.failed.query("status == 'failed'").to_dict("records")
    ]
    failures += progress.followup_failures if progress else []
    lost = counts["missing"] if is_whole else progress.total - progress.finished if progress else 0
    if lost:
        failures.append(f"{lost} cells that were to be computed have no result: run the same command again")
    most = len(failures) if verbose else MOST_FAILURES
    for line in failures[:most]:
        typer.echo(f"failed: {line}", err=True)
    if len(failures) > most:
        typer.echo(f"failed: and {len(failures) - most} more, see the report", err=True)
    return 1 if failures else 0


def _unsupported(results: Results) -> Iterator[str]:
    """A line for every method and reason."""
    rows = results.cells[results.cells["status"] == "unsupported"]
    for (explainer, reason), cells in rows.groupby(["explainer", "reason"], sort=False):
        yield f"unsupported: {explainer}: {reason} ({plural(len(cells), 'cell')})"
