"""Arguments and options that several commands share, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from xai_bench import registry
from xai_bench.errors import InputError


def whole(text: str) -> int:
    """A whole number, from what was typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected a whole number, got {text!r}") from None


QUOTES = ("'", '"')
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
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print what failed, and nothing else.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for every step, and all reasons.")]
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


def completing(family: str) -> Callable[[str], list[str]]:
    """What a shell offers for names of a family between commas; ``suites`` are those that are shipped."""

    def offered(incomplete: str) -> list[str]:
        from xai_bench.suites import shipped

        before, comma, last = incomplete.rpartition(",")
        known = shipped.shipped() if family == "suites" else registry.names(family)
        return [f"{before}{comma}{name}" for name in known if name.startswith(last)]

    return offered


def described(incomplete: str) -> list[str]:
    """What a shell offers for ``list``: kinds, suites and components."""
    kinds = ("suites", *registry.FAMILIES)
    names = (name for kind in kinds for name in completing(kind)(incomplete))
    return [*(kind for kind in kinds if kind.startswith(incomplete)), *names]


def load(plugins: list[Path] | None) -> None:
    """Register what the plugin files hold."""
    for path in plugins or []:
        registry.load_plugin(path)


def names(text: str | None) -> list[str]:
    """Names between commas; those within brackets or quotes belong to a name, such as ``xor (d=16, n=100)``.

    Raises
    ------
    InputError
        If there is a text without a name: nothing would then stand for everything.
    """
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
    found = [part.strip() for part in parts]
    if text is not None and not any(found):
        raise InputError(f"expected names between commas, got {text!r}: name something, or leave the option out")
    return [name[1:-1] if len(name) > 1 and name[0] == name[-1] in QUOTES else name for name in found if name]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
