"""Commands that read stored results: report, export, figure, guarantees, pack, diff, merge, forget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xai_bench.commands.display import in_lines
from xai_bench.commands.options import Focus, Folder, Jobs, Of, Plugins, Score, cores, load, names
from xai_bench.errors import InputError, unknown


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

    load(plugin)
    results = read(folder)
    if focus:
        results = results.focused(focus)
    target = out or results.report_folder
    typer.echo(f"report: {write_report(results, target, cores() if jobs is None else jobs)}")


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


def guarantees(
    folder: Folder,
    level: Annotated[float, typer.Option("--level", metavar="A", help="What inputs are selected at.")] = 0.05,
    format: Annotated[
        str, typer.Option("--format", metavar="text|csv|markdown", help="Words, or a table of every dataset.")
    ] = "text",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write (default: stdout).")] = None,
) -> None:
    """Say how often inputs that are selected at a level are relevant, how often they are not, and what was promised."""
    from xai_bench.results import exporting, guarantee_words
    from xai_bench.results.store import read

    if format not in ("text", "csv", "markdown"):
        raise unknown("format", format, ["text", "csv", "markdown"])
    results = read(folder)
    if format != "text":
        _write(out, exporting.text_of(results.guarantees(level), format))
        return
    said = [in_lines(sentence) for sentence in guarantee_words.sentences(results, level)]
    table = exporting.text_of(guarantee_words.short(results, level), "markdown")
    _write(out, "\n".join([*said, "", table]))


def _write(path: Path | None, text: str) -> None:
    if path is None:
        typer.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}; choose another --out") from None
    typer.echo(f"written: {path}")


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


def anchor(
    of: Annotated[
        str, typer.Argument(metavar="SUITE|DIR", help="A suite: what was published. Results of a run: theirs and ours.")
    ],
    name: Annotated[
        str, typer.Option("--with", metavar="NAME", help="The published table (default: that of the suite).")
    ] = "",
    format: Annotated[
        str, typer.Option("--format", metavar="text|csv|markdown", help="Words, or the comparison as a table.")
    ] = "text",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write (default: stdout).")] = None,
) -> None:
    """Show published figures beside those of a run: how the protocols differ, then which figures agree."""
    from xai_bench.published import anchors
    from xai_bench.results import anchor_text, exporting, formats
    from xai_bench.results.store import read
    from xai_bench.suites import reading

    if format not in ("text", "csv", "markdown"):
        raise unknown("format", format, ["text", "csv", "markdown"])
    if not of.endswith(".toml") and Path(of).exists():
        found = read(Path(of)).anchor(name)
        tables = {
            "csv": lambda: exporting.text_of(found.table, "csv"),
            "markdown": lambda: formats.markdown(anchor_text.shown(found)),
        }
        _write(out, tables[format]() if format in tables else anchor_text.text(found.anchor, found))
        return
    chosen = name or reading.load(of).anchor
    if not chosen:
        raise InputError(
            f"anchor: expected a suite that names one, got {of!r}: choose --with {' or '.join(anchors.names())}"
        )
    if format != "text":
        raise InputError(
            f"anchor: expected results of a run for --format {format}, got the suite {of!r}: name their folder"
        )
    _write(out, anchor_text.text(anchors.anchor(chosen)))


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


def forget(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Results: a folder that `run` wrote, such as runs/quick, or its file.")
    ],
    explainers: Annotated[str | None, typer.Option(metavar="A,B", help="Labels of explainers.")] = None,
    datasets: Annotated[str | None, typer.Option(metavar="A,B", help="Labels of datasets.")] = None,
    models: Annotated[str | None, typer.Option(metavar="A,B", help="Labels of models.")] = None,
) -> None:
    """Remove the stored cells that all options name, and all that belongs to them. The next run computes them again."""
    from xai_bench.results.store import forget

    found = forget(folder, explainers=names(explainers), datasets=names(datasets), models=names(models))
    typer.echo(f"forgotten: {found}")
