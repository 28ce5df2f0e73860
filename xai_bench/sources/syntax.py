"""The syntax of a text as a hash: comments, docstrings and layout do not count."""

from __future__ import annotations

import ast
import functools
from typing import Any

from xai_bench.component import canonical_json, sha256

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def normal_form(node: Any) -> Any:
    """A syntax tree as nested lists, without places and docstrings; the same in every version of Python."""
    if isinstance(node, list):
        return [normal_form(item) for item in node]
    if isinstance(node, ast.Constant):
        return ["Constant", repr(node.value)]
    if not isinstance(node, ast.AST):
        return node if node is None else repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        if value is not None and value != [] and name not in ("ctx", "type_comment"):
            parts.append([name, normal_form(value)])
    return [type(node).__name__, *parts]


@functools.lru_cache(maxsize=256)
def tree_of(text: str) -> ast.Module | None:
    """The syntax tree of a text; None if it is not Python."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def digest_of_text(text: str) -> str:
    """A hash of a module's text; of the letters, if it is not Python."""
    tree = tree_of(text)
    return sha256(text if tree is None else canonical_json(normal_form(tree)))
