"""Commands about what a suite can name: list, check, new."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from xai_bench import registry
from xai_bench.commands.options import Plugins, described, load


def list_(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND|NAME]",
            autocompletion=described,
            help="suites, datasets, models, explainers or metrics; or one of their names, or FAMILY/NAME, for its "
            "fields, defaults and texts.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    plugin: Plugins = None,
) -> None:
    """List what a suite can name, or describe one of these."""
    load(plugin)
    kinds = ("suites", *registry.FAMILIES)
    if name is not None and name not in kinds:
        _describe(name, as_json)
        return
    from xai_bench.listing import listing

    found = {k: listing(k) for k in ([name] if name else kinds)}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for family, rows in found.items():
        typer.echo(f"{family}:")
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            marks = f" [{row['traits']}]" if row.get("traits") else ""
            typer.echo(f"  {row['name']:<{width}}  {row['summary']}{marks}".rstrip())


def _describe(name: str, as_json: bool) -> None:
    from xai_bench.described import description

    found = description(name)
    typer.echo(json.dumps(asdict(found), indent=2) if as_json else "\n".join(found.lines()))


def check(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=described,
            metavar="NAME",
            help="A dataset, model, explainer or metric, of a plugin too; or FAMILY/NAME, captum:CLASS.",
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
