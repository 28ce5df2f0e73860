"""The command line: translates arguments and calls one public function. Heavy modules load where they are used."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from xai_bench import __version__
from xai_bench.commands import components, data, results, run, table, trained
from xai_bench.errors import InputError

INPUT_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)
"""What a disk says that is full, or that cannot be written."""

app = typer.Typer(
    name="xai-bench",
    help="Compare methods that say which inputs a neural network relies on.",
    no_args_is_help=True,
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
    results.guarantees,
    results.pack,
    results.diff,
    results.anchor,
    results.merge,
    results.forget,
)
"""In the order in which the help lists them."""
DATA_COMMANDS = (data.list_, data.fetch)


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
        if message.startswith("Usage: "):  # no command was named
            typer.echo(message, err=True)
            sys.exit(INPUT_ERROR)
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


for command in COMMANDS:
    app.command(name=command.__name__.rstrip("_"))(command)
for data_command in DATA_COMMANDS:
    data_app.command(name=data_command.__name__.rstrip("_"))(data_command)
app.add_typer(data_app, name="data")

if __name__ == "__main__":
    main()
