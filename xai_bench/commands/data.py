"""``xai-bench data``: datasets and their files."""

from __future__ import annotations

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
    component: Any = registry.get("datasets", name)
    if name == "csv":
        return "a table of your own: csv:PATH with target and kind"
    required = [field for field, facts in component.model_fields.items() if facts.is_required()]
    return f"needs {', '.join(required)}" if required else component().missing() or "available"


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
