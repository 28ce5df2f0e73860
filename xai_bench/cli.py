"""The command line: translates arguments and calls one public function. Heavy modules load where they are used."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from xai_bench import __version__, registry
from xai_bench.errors import InputError, unknown

if TYPE_CHECKING:
    from xai_bench.results.frames import Results
    from xai_bench.running.under_way import Progress

INPUT_ERROR = 2
QUOTES = ("'", '"')
INTERRUPTED = 130
TERMINATED = 143

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)
"""What a disk says that is full, or that cannot be written."""

app = typer.Typer(
    name="xai-bench",
    help="Compare methods that say which inputs a neural network relies on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Datasets and their files.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected a whole number, got {text!r}") from None


Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that receives runs/ and reports/.")]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE.py", help="Python file with components of your own.")
]
FIRST_PART = 0.05
"""Share of the cells that is done before a run says how long the rest takes: the first ones are the smallest."""
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", parser=_whole, help="Worker processes (default: one for every core)."),
]
Focus = Annotated[
    str,
    typer.Option("--focus", metavar="NAME", help="Method, network or 'METHOD on NETWORK' to compare with all others."),
]
Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Results: a folder that `run` wrote, such as runs/quick, its file, or a pack."),
]
Of = Annotated[
    str | None,
    typer.Option(
        "--of", metavar="methods|networks|entrants", help="Whose leaderboard, pairs or cost (default: methods)."
    ),
]
Score = Annotated[
    str | None,
    typer.Option("--metric", metavar="NAME", help="Score that they are compared by (default: recovery)."),
]


def main() -> NoReturn:
    """Entry point: bad input is one line and exit code 2, Ctrl-C exit code 130, SIGTERM 143."""
    ended = [INTERRUPTED]
    with _ends_as_ctrl_c(ended):
        code = _called()
    if code == INTERRUPTED:  # typer hands Ctrl-C on as this code
        typer.echo("stopped: what was finished is stored; run the same command again to continue", err=True)
        code = ended[-1]
    sys.exit(code or 0)


@contextmanager
def _ends_as_ctrl_c(ended: list[int]) -> Iterator[None]:
    """SIGTERM stops what runs inside as Ctrl-C does; ``ended`` gets the exit code."""

    def stop(*_: object) -> None:
        ended.append(TERMINATED)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _called() -> int | None:
    """Run what is asked for; returns the exit code."""
    try:
        return app(standalone_mode=False)
    except InputError as error:
        _stop(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        if error.errno not in DISK:
            raise
        place = f"{error.filename!r}" if error.filename else "the results"
        _stop(f"cannot write {place}: {error.strerror}: make room, or choose another --out; what was stored is there")
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("click", "typer"):
            raise
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if message:
            _stop(message)
        sys.exit(INPUT_ERROR)


def _stop(message: str) -> NoReturn:
    typer.echo(f"xai-bench: {message}", err=True)
    sys.exit(INPUT_ERROR)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"xai-bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _load(plugins: list[Path] | None) -> None:
    for path in plugins or []:
        registry.load_plugin(path)


def _names(text: str | None) -> list[str]:
    """Names between commas; those within brackets or quotes belong to a name, such as ``xor (d=16, n=100)``."""
    parts, depth, quote = [""], 0, ""
    for letter in text or "":
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES and not parts[-1].strip():
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if quote or depth:  # A bracket that is never closed is a letter.
        parts = str(text).split(",")
    names = [part.strip() for part in parts]
    return [name[1:-1] if len(name) > 1 and name[0] == name[-1] in QUOTES else name for name in names if name]


@app.command()
def run(
    suite: Annotated[str, typer.Argument(metavar="SUITE|FILE.toml", help="A shipped suite, or a file of your own.")],
    out: Out = Path(),
    jobs: Jobs = None,
    data_seeds: Annotated[
        int | None,
        typer.Option(
            "--data-seeds", metavar="N", parser=_whole, help="Run data seeds 0 .. N-1 instead of the suite's."
        ),
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
) -> None:
    """Run what is missing of a suite, store it, and write the report.

    Exit code 0: all done, unsupported, or over the suite's limit of time. 1: some cells failed (they are listed).
    2: bad input.
    """
    from xai_bench.report import in_short, write_report
    from xai_bench.results.frames import report_place
    from xai_bench.running.request import Request
    from xai_bench.running.run import compute, foresee

    _load(plugin)
    request = Request(
        suite,
        out=out,
        jobs=_cores() if jobs is None else jobs,
        data_seeds=data_seeds,
        datasets=_names(datasets),
        models=_names(models),
        explainers=_names(explainers),
        fresh=fresh,
        device=device,
        known=known or [],
        focus=focus,
    )
    if dry_run:
        foreseen = foresee(request)
        typer.echo(f"plan: {foreseen.plan()}\nforecast: {foreseen.text()}")
        return
    _writable(out)
    with _Display() as display:
        results = compute(replace(request, on_progress=display.update))
    name = results.suite["name"]
    page = write_report(results, report_place(out, name, out / "runs" / name), request.jobs or 1)
    is_whole = not (request.data_seeds or request.datasets or request.models or request.explainers)
    code = _summary(results, display.last, is_whole)
    for question, answer in in_short(results):
        typer.echo(textwrap.fill(f"{question}: {answer}", 100, subsequent_indent="  ", break_on_hyphens=False))
    typer.echo(f"report: {page}")
    raise typer.Exit(code)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _writable(folder: Path) -> None:
    from xai_bench.running.request import check_out

    check_out(folder)
    for part in (folder / "runs", folder / "reports"):
        try:
            part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {str(part)!r}: {error.strerror}; choose another --out") from None
        if not os.access(part, os.W_OK):
            raise InputError(f"cannot write to {str(part)!r}: permission denied; choose another --out")


class _Display:
    """A progress bar on a terminal, nothing else elsewhere; forecast and notices once."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self.console = Console(stderr=True)
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
        )
        self._bar = Bar(*columns, console=self.console, transient=True)
        self._task = self._bar.add_task("starting the workers", total=None, left="")
        self._said: set[str] = set()
        self._foreseen = False
        self.last: Progress | None = None

    def __enter__(self) -> _Display:
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
        # A follow-up weighs as much as a cell: the bar moves until the end.
        self._bar.update(
            self._task,
            total=progress.total + progress.followups,
            completed=progress.finished + progress.followed,
            description=progress.last,
            left=f"{'' if known else 'at least '}{duration(progress.remaining)} left" if progress.remaining else "",
        )


def _summary(results: Results, progress: Progress | None, is_whole: bool) -> int:
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


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table: CSV, Parquet or Excel.")],
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="The column that is predicted.")],
    kind: Annotated[
        str | None, typer.Option(metavar="classification|regression", help="Default: what the target looks like.")
    ] = None,
    groups: Annotated[str | None, typer.Option(metavar="COLUMN", help="Rows with one value stay together.")] = None,
    time: Annotated[str | None, typer.Option(metavar="COLUMN", help="Later rows are held out.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="COLUMN", help="What each row counts.")] = None,
    drop: Annotated[str | None, typer.Option(metavar="A,B", help="Columns that are no inputs.")] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns that are used although they look like identifiers.")
    ] = None,
    missing_codes: Annotated[
        str | None, typer.Option(metavar="X,Y", help="Numbers that stand for a missing value.")
    ] = None,
    folds: Annotated[int, typer.Option(metavar="N", parser=_whole, help="Parts, held out in turn.")] = 5,
    seeds: Annotated[int, typer.Option(metavar="N", parser=_whole, help="How often that is repeated.")] = 3,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write a page, a summary and a CSV table there.")
    ] = None,
) -> None:
    """Say which columns of a table tell something about one of them, and how sure that is."""
    from rich.console import Console

    from xai_bench.analysis.explain import explain

    with Console(stderr=True).status("reading") as status:
        answer = explain(
            file,
            target,
            kind=kind,  # type: ignore[arg-type]
            groups=groups,
            time=time,
            weights=weights,
            drop=_names(drop),
            keep=_names(keep),
            missing_codes=[_number(text) for text in _names(missing_codes)],
            folds=folds,
            seeds=seeds,
            on_step=status.update,
        )
    page = answer.write(out) if out else None
    columns = answer.columns
    widths = [max(map(len, columns[name]), default=0) for name in ("column", "kind")]
    for row in columns.to_dict("records"):
        why = f" ({row['why']})" if row["why"] else ""
        typer.echo(f"{row['column']:<{widths[0]}}  {row['kind']:<{widths[1]}}  {row['done']}{why}")
    for line in answer.notices:
        if not line.startswith("column "):
            typer.echo(f"notice: {line}")
    for sentence in answer.words:
        typer.echo(textwrap.fill(sentence, 100, subsequent_indent="  ", break_on_hyphens=False))
    if page:
        typer.echo(f"page: {page}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"missing_codes: expected numbers, got {text!r}") from None


@app.command()
def report(
    folder: Folder,
    jobs: Jobs = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write (default: reports/SUITE beside runs/).")
    ] = None,
    focus: Focus = "",
    plugin: Plugins = None,
) -> None:
    """Write the report of stored results again; sections of plugins are part of it."""
    from xai_bench.report import write_report
    from xai_bench.results.store import read

    _load(plugin)
    results = read(folder)
    if focus:
        results = results.focused(focus)
    target = out or results.report_folder
    typer.echo(f"report: {write_report(results, target, _cores() if jobs is None else jobs)}")


@app.command(name="list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="suites, datasets, models, explainers or metrics.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    plugin: Plugins = None,
) -> None:
    """List what a suite can name."""
    from xai_bench.listing import listing

    _load(plugin)
    kinds = ("suites", *registry.FAMILIES)
    if kind is not None and kind not in kinds:
        raise unknown("kind", kind, kinds)
    found = {k: listing(k) for k in ([kind] if kind else kinds)}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for family, rows in found.items():
        typer.echo(f"{family}:")
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            marks = f" [{row['traits']}]" if row.get("traits") else ""
            typer.echo(f"  {row['name']:<{width}}  {row['summary']}{marks}".rstrip())


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A dataset, model, explainer or metric, of a plugin too; or FAMILY/NAME, captum:CLASS."
        ),
    ],
    plugin: Plugins = None,
) -> None:
    """Test a component against the contract of its family. Exit code 1 if a check fails."""
    from xai_bench.conformance import families

    _load(plugin)
    rows = families.check_report(families.named(name))
    for title, outcome, reason in rows:
        typer.echo(f"{outcome:<8} {title}" + (f": {reason}" if reason else ""))
    failed = sum(outcome == "failed" for _, outcome, _ in rows)
    typer.echo(f"{name}: {len(rows) - failed} of {len(rows)} checks passed or skipped, {failed} failed")
    raise typer.Exit(1 if failed else 0)


@app.command()
def export(
    folder: Folder,
    format: Annotated[
        str, typer.Option("--format", metavar="csv|parquet|latex|markdown", help="How it is written.")
    ] = "csv",
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help="leaderboard, pairs, recovery, retention, cost, networks, relevances or numbers "
            "(default: numbers in csv and parquet, else leaderboard).",
        ),
    ] = None,
    of: Of = None,
    metric: Score = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write (default: stdout).")] = None,
) -> None:
    """Write a table: all its numbers in full (csv, parquet), or rounded with intervals (latex, markdown)."""
    from xai_bench.results import exporting
    from xai_bench.results.store import read

    text = exporting.export(read(folder), format, table, of, metric, out)
    typer.echo(f"written: {out}" if text is None else text, nl=text is None)


@app.command()
def figure(
    folder: Folder,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="leaderboard, cost, pairs, retention, agreement or relevance.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A file that ends in .svg, .pdf or .png.")],
    of: Of = None,
    metric: Score = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="A", help="Of retention and relevance (default: the first).")
    ] = None,
) -> None:
    """Draw one figure into a file."""
    from xai_bench import plots
    from xai_bench.results.store import read

    typer.echo(f"written: {plots.save(read(folder), kind, out, of=of, metric=metric, dataset=dataset)}")


def _write(path: Path | None, text: str) -> None:
    if path is None:
        typer.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}; choose another --out") from None
    typer.echo(f"written: {path}")


@app.command()
def pack(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write (default: SUITE.xaipack).")
    ] = None,
) -> None:
    """Write results as one small file without weights, which report, export and --known read like a folder."""
    from xai_bench.results.store import pack

    path = pack(folder, out)
    typer.echo(f"written: {path} ({path.stat().st_size:,} bytes)")


@app.command()
def diff(
    first: Folder,
    second: Folder,
    format: Annotated[
        str, typer.Option("--format", metavar="text|csv|markdown", help="Words, or every difference as a table.")
    ] = "text",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write (default: stdout).")] = None,
) -> None:
    """Say how a second run differs from a first: what one lacks, versions, machines, and scores paired by draw."""
    from xai_bench.results import difference, difference_text, exporting

    if format not in ("text", "csv", "markdown"):
        raise unknown("format", format, ["text", "csv", "markdown"])
    found = difference.compared(first, second)
    if format == "text":
        _write(out, difference_text.text(found) + "\n")
    else:
        _write(out, exporting.text_of(found.frame, format))


@app.command()
def merge(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="What is written: a folder, or a file that ends in .xaipack.")
    ],
    parts: Annotated[list[Path], typer.Argument(metavar="A B ...", help="Two or more runs or packs of one suite.")],
    prefer: Annotated[
        str | None,
        typer.Option(metavar="first|last", help="Whose results count where equal keys differ; else it is an error."),
    ] = None,
) -> None:
    """Make one store or pack of several runs of a suite: other data seeds, other methods, other machines."""
    from xai_bench.results.merging import merge

    found = merge(out, *parts, prefer=prefer)  # type: ignore[arg-type]
    typer.echo(f"written: {found.path} ({found})")


@app.command()
def forget(
    folder: Folder,
    explainers: Annotated[str | None, typer.Option(metavar="A,B", help="Labels of explainers.")] = None,
    datasets: Annotated[str | None, typer.Option(metavar="A,B", help="Labels of datasets.")] = None,
    models: Annotated[str | None, typer.Option(metavar="A,B", help="Labels of models.")] = None,
) -> None:
    """Remove the stored cells that all options name, and all that belongs to them. The next run computes them again."""
    from xai_bench.results.store import forget

    found = forget(folder, explainers=_names(explainers), datasets=_names(datasets), models=_names(models))
    typer.echo(f"forgotten: {found}")


@data_app.command(name="list")
def data_list(plugin: Plugins = None) -> None:
    """List the datasets and whether their files are there."""
    _load(plugin)
    rows = [(name, _state(name)) for name in registry.names("datasets")]
    width = max(len(name) for name, _ in rows)
    for name, state in rows:
        typer.echo(f"{name:<{width}}  {state}")


def _state(name: str) -> str:
    component: Callable[[], Any] = registry.get("datasets", name)
    if name == "csv":
        return "a table of your own: csv:PATH with target and kind"
    return component().missing() or "available"


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that receives the files.")] = Path("data"),
) -> None:
    """Download the files of a dataset, with their checksums verified."""
    if name != "mnist":
        raise unknown("dataset to fetch", name, ["mnist"])
    from xai_bench.datasets import mnist

    for path in mnist.fetch(out / "mnist"):
        typer.echo(f"written: {path}")


if __name__ == "__main__":
    main()
