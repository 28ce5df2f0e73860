"""``xai-bench compare``: a network of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xai_bench.commands.display import Display, check_told, status, tell
from xai_bench.commands.options import Out, Plugins, Quiet, Verbose, completing, load, names, whole
from xai_bench.commands.run import summary, writable, written
from xai_bench.errors import InputError


def compare(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="FILE.py:FUNCTION",
            help="What builds the network; without --weights, a function from rows to scores.",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option("--data", metavar="FILE", help="Arrays X and y (.npz, .safetensors, .pt), or a table of numbers."),
    ],
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE.pt|safetensors", help="A state_dict.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="Of a table: the column that is predicted.")
    ] = None,
    explainers: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Compare these methods only.", autocompletion=completing("explainers")),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="classification|regression", help="Default: what the outputs look like.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Labels, in the order of the network's outputs.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="1,2", help="Axes of X whose places are the inputs; others are joined.")
    ] = None,
    join: Annotated[
        list[str] | None,
        typer.Option("--join", metavar="NAME:A,B", help="Columns of a table that are one input, such as one-hot ones."),
    ] = None,
    parts: Annotated[int, typer.Option(metavar="N", parser=whole, help="Disjoint parts of the rows.")] = 2,
    seconds: Annotated[float, typer.Option(metavar="S", help="That one method may take on one part.")] = 60.0,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", parser=whole, help="Worker processes, one part each (default: none).")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda|auto", help="Where it is explained.")] = "cpu",
    name: Annotated[str, typer.Option(metavar="NAME", help="Results are kept in runs/NAME.")] = "compare",
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute again what is stored.")] = False,
    out: Out = Path(),
    plugin: Plugins = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare methods on a network that was trained elsewhere, and write the report.

    Exit code 0: all done, unsupported, or over the limit of time. 1: some methods failed. 2: bad input.
    """
    check_told(quiet, verbose)
    with status("loading", quiet):
        from xai_bench.trained.compare import compare
        from xai_bench.trained.files import data_from, model_from

        load(plugin)
        rows, network = data_from(data, target), model_from(model, weights)
    writable(out)
    with Display(quiet, verbose) as display:
        results = compare(
            network,
            rows.X,
            rows.y,
            names(explainers) or None,
            kind=kind,  # type: ignore[arg-type]
            classes=names(classes),
            inputs=_inputs(names(inputs), join or []),
            parts=parts,
            seconds=seconds,
            jobs=jobs,
            device=device,
            name=name,
            fresh=fresh,
            out=out,
            on_progress=display.update,
        )
    page = written(results, out, 1, quiet)
    code = summary(results, display.last, quiet=quiet, verbose=verbose)
    if not quiet:
        for line in results.in_words():
            tell(line.replace("`", ""))
        typer.echo(f"report: {page}")
    raise typer.Exit(code)


def _inputs(axes: list[str], joined: list[str]) -> list[int] | dict[str, list[str]] | None:
    """Axes of X, or names of inputs with their columns."""
    if axes and joined:
        raise InputError("join: expected --inputs or --join, got both: the one is for arrays, the other for tables")
    if not joined:
        return [_axis(text) for text in axes] or None
    parts = [text.rpartition(":") for text in joined]
    wrong = next((text for text, part in zip(joined, parts, strict=True) if not part[0].strip()), None)
    if wrong is not None:
        raise InputError(f"join: expected NAME:A,B, such as place:north,south, got {wrong!r}")
    return {name.strip(): names(columns) for name, _, columns in parts}


def _axis(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"inputs: expected axes of X, such as 1 or 1,2, got {text!r}") from None
