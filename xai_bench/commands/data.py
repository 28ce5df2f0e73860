"""``xai-bench data``: datasets and their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from xai_bench import registry
from xai_bench.commands.options import Plugins, load
from xai_bench.errors import unknown


def list_(plugin: Plugins = None) -> None:
    """List the datasets and whether their files are there."""
    load(plugin)
    rows = [(name, _state(name)) for name in registry.names("datasets")]
    width = max(len(name) for name, _ in rows)
    for name, state in rows:
        typer.echo(f"{name:<{width}}  {state}")


def _state(name: str) -> str:
    component: Callable[[], Any] = registry.get("datasets", name)
    if ("datasets", name) in registry.SHORT_FORMS:
        return f"a table of your own: {registry.SHORT_FORMS['datasets', name][2]}"
    return component().missing() or "available"


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
