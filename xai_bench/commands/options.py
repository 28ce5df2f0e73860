"""Arguments and options that several commands share, and how they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from xai_bench import registry


def whole(text: str) -> int:
    """A whole number, from what was typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected a whole number, got {text!r}") from None


Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that receives runs/ and reports/.")]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE.py", help="Python file with components of your own.")
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", parser=whole, help="Worker processes (default: one for every core)."),
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


def load(plugins: list[Path] | None) -> None:
    """Register what the plugin files hold."""
    for path in plugins or []:
        registry.load_plugin(path)


def names(text: str | None) -> list[str]:
    """``A,B`` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
