"""Commands about what a suite can name: list, check, new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xai_bench import registry
from xai_bench.commands.options import Plugins, load
from xai_bench.errors import unknown


def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="suites, datasets, models, explainers or metrics.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    plugin: Plugins = None,
) -> None:
    """List what a suite can name."""
    from xai_bench.listing import listing

    load(plugin)
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

    load(plugin)
    rows = families.check_report(families.named(name))
    for title, outcome, reason in rows:
        typer.echo(f"{outcome:<8} {title}" + (f": {reason}" if reason else ""))
    failed = sum(outcome == "failed" for _, outcome, _ in rows)
    typer.echo(f"{name}: {len(rows) - failed} of {len(rows)} checks passed or skipped, {failed} failed")
    raise typer.Exit(1 if failed else 0)


def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="explainer, dataset, model or metric.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The word by which suites name it.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that receives the folder NAME.")] = Path(),
) -> None:
    """Write a small installable package with a component of your own to start from. Overwrites nothing."""
    from xai_bench.starter import new_package

    folder = new_package(kind, name, out)
    typer.echo(f"written: {folder}; go on with {folder / 'README.md'}")
