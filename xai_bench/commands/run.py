"""``xai-bench run``."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xai_bench.commands.display import Display, tell
from xai_bench.commands.options import Focus, Jobs, Out, Plugins, cores, load, names, whole
from xai_bench.errors import InputError

if TYPE_CHECKING:
    from xai_bench.results.frames import Results
    from xai_bench.running.under_way import Progress


def run(
    suite: Annotated[str, typer.Argument(metavar="SUITE|FILE.toml", help="A shipped suite, or a file of your own.")],
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
    datasets: Annotated[str | None, typer.Option(metavar="A,B", help="Run these datasets of the suite only.")] = None,
    models: Annotated[str | None, typer.Option(metavar="A,B", help="Run these models of the suite only.")] = None,
    explainers: Annotated[
        str | None, typer.Option(metavar="A,B", help="Run these explainers of the suite only.")
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
) -> None:
    """Run what is missing of a suite, store it, and write the report.

    Exit code 0: all done, unsupported, or over the suite's limit of time. 1: some cells failed (they are listed).
    2: bad input.
    """
    from xai_bench.report import in_short, write_report
    from xai_bench.results.frames import report_place
    from xai_bench.results.placing import Placed
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
    with Display() as display:
        results = compute(replace(request, on_progress=display.update))
    name = results.suite["name"]
    page = write_report(results, report_place(out, name, out / "runs" / name), request.jobs or cores())
    is_whole = not (request.data_seeds or request.datasets or request.models or request.explainers)
    code = summary(results, display.last, is_whole)
    for question, answer in in_short(results):
        tell(f"{question}: {answer}")
    if other:
        typer.echo("\n".join(Placed(results, other.board, other.own).words()))
    typer.echo(f"report: {page}")
    raise typer.Exit(code)


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


def summary(results: Results, progress: Progress | None, is_whole: bool = True) -> int:
    """Print the counts and the failures; returns the exit code. ``is_whole``: all cells were to have a result."""
    counts = Counter(results.cells["status"])
    words = {
        "done": "done",
        "unsupported": "unsupported",
        "failed": "failed",
        "timed_out": "timed out",
        "missing": "not run",
    }
    parts = [f"{counts[status]} {word}" for status, word in words.items() if counts[status]]
    typer.echo(f"{results.suite['name']}: {len(results.cells)} cells: {', '.join(parts)}")
    failures = [
        f"{r['dataset']}, {r['model'] or 'no model'}, {r['explainer']}, data seed {r['data_seed']}: {r['reason']}"
        for r in results.failed.query("status == 'failed'").to_dict("records")
    ]
    failures += progress.followup_failures if progress else []
    lost = counts["missing"] if is_whole else progress.total - progress.finished if progress else 0
    if lost:
        failures.append(f"{lost} cells that were to be computed have no result: run the same command again")
    for line in failures[:20]:
        typer.echo(f"failed: {line}", err=True)
    if len(failures) > 20:
        typer.echo(f"failed: and {len(failures) - 20} more, see the report", err=True)
    return 1 if failures else 0
