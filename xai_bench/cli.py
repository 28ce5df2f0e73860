"""The command line: translates arguments and calls one public function. Heavy modules load where they are used."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from xai_bench import __version__
from xai_bench.commands import components, data, results, run, table, trained
from xai_bench.errors import InputError

INPUT_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    name="xai-bench",
    help="Compare methods that say which inputs a neural network relies on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Datasets and their files.", no_args_is_help=True, rich_markup_mode=None)
COMMANDS = (
    run.run,
    table.explain,
    trained.compare,
    results.report,
    components.list_,
    components.check,
    components.new,
    results.export,
    results.figure,
    results.pack,
    results.diff,
    results.merge,
    results.forget,
)
"""In the order in which the help lists them."""
DATA_COMMANDS = (data.list_, data.fetch)


def main() -> NoReturn:
    """Entry point: bad input is one line and exit code 2, Ctrl-C exit code 130."""
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _stop(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("click", "typer"):
            raise
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if message:
            _stop(message)
        sys.exit(INPUT_ERROR)
    if code == INTERRUPTED:  # typer hands Ctrl-C on as this code
        typer.echo("stopped: what was finished is stored; run the same command again to continue", err=True)
    sys.exit(code or 0)


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


for command in COMMANDS:
    app.command(name=command.__name__.rstrip("_"))(command)
for command in DATA_COMMANDS:
    data_app.command(name=command.__name__.rstrip("_"))(command)
app.add_typer(data_app, name="data")

if __name__ == "__main__":
    main()
