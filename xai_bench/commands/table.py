"""``xai-bench explain``: a table of the user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xai_bench.commands.display import check_told, status, tell
from xai_bench.commands.options import Jobs, cores, names, whole
from xai_bench.errors import InputError
from xai_bench.wording import plural

if TYPE_CHECKING:
    import pandas as pd

MOST_LINES = 40
"""Columns that are listed one by one."""


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
        str | None,
        typer.Option(metavar="A,B", help="Columns that are used although they look like identifiers or the target."),
    ] = None,
    missing_codes: Annotated[
        str | None, typer.Option(metavar="X,Y", help="Numbers that stand for a missing value.")
    ] = None,
    folds: Annotated[int, typer.Option(metavar="N", parser=whole, help="Parts, held out in turn.")] = 5,
    seeds: Annotated[int, typer.Option(metavar="N", parser=whole, help="How often that is repeated.")] = 3,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate targets on the table: which method to trust here?")
    ] = False,
    seconds: Annotated[float, typer.Option(metavar="S", help="Time for the simulated targets.")] = 600,
    jobs: Jobs = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write a page, a summary and a CSV table there.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the sentences of the answer only.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line for every step, and for every column.")
    ] = False,
) -> None:
    """Say which columns of a table tell something about one of them, and how sure that is."""
    check_told(quiet, verbose)
    if out:
        _check_out(out)
    with status("loading", quiet, verbose) as update:
        from xai_bench.analysis.explain import explain

        update("reading")
        answer = explain(
            file,
            target,
            kind=kind,  # type: ignore[arg-type]
            groups=groups,
            time=time,
            weights=weights,
            drop=names(drop),
            keep=names(keep),
            missing_codes=[_number(text) for text in names(missing_codes)],
            folds=folds,
            seeds=seeds,
            simulate=simulate,
            seconds=seconds,
            jobs=cores() if jobs is None else jobs,
            on_step=update,
        )
    page = answer.write(out) if out else None
    if not quiet:
        for line in listed(answer.columns, len(answer.columns) if verbose else MOST_LINES):
            typer.echo(line)
        for line in answer.notices:
            if not line.startswith("column "):
                tell(f"notice: {line}")
        typer.echo()
    for sentence in answer.words:
        tell(sentence)
    if page and not quiet:
        typer.echo(f"page: {page}")


def _check_out(out: Path) -> None:
    """Refuse a place where nothing can be written, before minutes are spent."""
    place = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not place.is_dir():
        raise InputError(f"--out: expected a folder at {str(out)!r}, found a file at {str(place)!r}: choose another")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"--out: cannot write in {str(place)!r}: choose another folder")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"missing_codes: expected numbers, got {text!r}") from None


def listed(columns: pd.DataFrame, most: int = MOST_LINES) -> Iterator[str]:
    """A line for every column of a table; of more than ``most``, those that are used as they are are only counted."""
    from xai_bench.tables.columns import AS_IT_IS

    plain = (columns["done"] == AS_IT_IS) & (columns["why"] == "")
    counted = int(plain.sum()) if len(columns) > most else 0
    shown = columns[~plain] if counted else columns
    widths = [max(map(len, shown[name]), default=0) for name in ("column", "kind")]
    for row in shown.to_dict("records"):
        why = f" ({row['why']})" if row["why"] else ""
        yield f"{row['column']:<{widths[0]}}  {row['kind']:<{widths[1]}}  {row['done']}{why}"
    if counted:
        yield f"{plural(counted, 'column')}  {AS_IT_IS}"
