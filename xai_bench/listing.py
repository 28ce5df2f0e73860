"""What a suite can name, with one line each, read without importing the components."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

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
    """Of a dataset its family and traits."""
    if family != "datasets":
        return {}
    source = registry.source(family, name)
    if ":" in source:
        module, attribute = source.split(":")
        kin, traits = (_constant(module, attribute, key) for key in ("belongs_to", "traits"))
    else:
        component = registry.get(family, name)
        kin, traits = component.belongs_to, component.traits
    return {"family": kin or name, "traits": ", ".join(traits or ())}


def _constant(module: str, name: str, key: str) -> Any:
    """What a class, or the next of its bases in the same module, sets ``key`` to; None if it is not a plain value."""
    classes = {node.name: node for node in _tree(module).body if isinstance(node, ast.ClassDef)}
    node = classes.get(name)
    if node is None:
        return None
    for part in node.body:
        target = part.target if isinstance(part, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == key and isinstance(part, ast.AnnAssign) and part.value:
            return ast.literal_eval(part.value)
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return next((found for base in bases if (found := _constant(module, base, key)) is not None), None)


@functools.cache
def _tree(module: str) -> ast.Module:
    """The source of a module; empty if there is none."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ast.Module([], [])
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _summary(family: str, name: str) -> str:
    """First line of the docstring, taken from the source: importing every component would take seconds."""
    source = registry.source(family, name)
    if ":" not in source:
        return _first_line(getattr(registry.get(family, name), "__doc__", None))
    module, attribute = source.split(":")
    return _docstrings(module).get(attribute, "")


@functools.cache
def _docstrings(module: str) -> dict[str, str]:
    tree, found = _tree(module), {}
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
