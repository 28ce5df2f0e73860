"""What a suite can name, with one line each; but for datasets, which load fast, no component is imported."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

from xai_bench import registry
from xai_bench.suites import shipped


def listing(family: str) -> list[dict[str, str]]:
    """Name, summary and source of every suite or component of a family; of datasets also family and traits."""
    if family == "suites":
        return [
            {"name": name, "summary": shipped.title(name), "source": "xai_bench.suites"} for name in shipped.shipped()
        ]
    return [
        {"name": name, "summary": _summary(family, name), "source": registry.source(family, name), **_kin(family, name)}
        for name in registry.names(family)
    ]


def _kin(family: str, name: str) -> dict[str, str]:
    if family != "datasets":
        return {}
    source = registry.get(family, name)
    return {"family": source.belongs_to or name, "traits": ", ".join(source.traits)}


def _summary(family: str, name: str) -> str:
    """First line of the docstring, taken from the source: importing every component would take seconds."""
    source = registry.source(family, name)
    if ":" not in source:
        return _first_line(getattr(registry.get(family, name), "__doc__", None))
    module, attribute = source.split(":")
    return _docstrings(module).get(attribute, "")


@functools.cache
def _docstrings(module: str) -> dict[str, str]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return {}
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = {}
    for position, node in enumerate(tree.body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = _first_line(ast.get_docstring(node))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            following = tree.body[position + 1] if position + 1 < len(tree.body) else None
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                found[node.targets[0].id] = _first_line(str(following.value.value))
    return found


def _first_line(docstring: str | None) -> str:
    return docstring.strip().splitlines()[0].rstrip(".") if docstring and docstring.strip() else ""
