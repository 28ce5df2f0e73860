"""The statements of a module, and which of them a statement names."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator

IMPORTS = (ast.Import, ast.ImportFrom)
COMPLETE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, *IMPORTS)
"""Statements after which what was bound to a name before no longer counts."""


class Statements:
    """The statements of one module, by the names that they bind or whose values they change."""

    def __init__(self, body: Iterable[ast.stmt]) -> None:
        self.binding: dict[str, list[ast.stmt]] = {}
        self.stars: list[ast.stmt] = []
        for statement in _single(body):
            bound = _bound(statement)
            for name in bound:
                before = [] if isinstance(statement, COMPLETE) else self.binding.get(name, [])
                self.binding[name] = [*before, statement]
            for name in _changed(statement) - bound:
                if not all(isinstance(other, IMPORTS) for other in self.binding.get(name, [])):
                    self.binding[name].append(statement)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.append(statement)

    def named_by(self, start: Iterable[ast.stmt]) -> list[ast.stmt]:
        """``start`` and every statement that it names, transitively."""
        found: dict[int, ast.stmt] = {}
        waiting = [*start, *self.stars]
        while waiting:
            statement = waiting.pop()
            if id(statement) not in found:
                found[id(statement)] = statement
                names = set() if isinstance(statement, IMPORTS) else _names(statement)
                waiting += [other for name in names for other in self.binding.get(name, [])]
        return list(found.values())


def _single(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements; those that import several names as one for each."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (ast.copy_location(ast.Import([alias]), statement) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            module, level = statement.module, statement.level
            yield from (ast.copy_location(ast.ImportFrom(module, [a], level), statement) for a in statement.names)
        else:
            yield statement


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement at the top of a module binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, IMPORTS):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    found = set()
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.stmt):
            found |= _bound(node)
        elif not isinstance(node, ast.expr_context):
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            found |= {name for n in ast.walk(node) if isinstance(n, ast.stmt) for name in _bound(n)}
    return found


def _changed(statement: ast.stmt) -> set[str]:
    """Names of values of which it sets a part, or calls a method: ``table["x"] = 3``, ``table.update(x=3)``."""
    if isinstance(statement, ast.Expr):
        call = statement.value
        return {_root(call.func)} if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else set()
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete):
        targets = statement.targets if isinstance(statement, ast.Assign | ast.Delete) else [statement.target]
        return {_root(target) for target in targets}
    if isinstance(statement, ast.For | ast.While | ast.With | ast.Try):
        inner = [node for node in ast.walk(statement) if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign)]
        return set().union(*map(_changed, inner))
    return set()


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _names(statement: ast.stmt) -> set[str]:
    """Names of the module that a statement refers to; local variables of its functions are not among them."""
    try:
        top = symtable.symtable(ast.unparse(statement), "statement", "exec")
    except SyntaxError:  # A notebook may await at its top.
        return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    found, tables = set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        symbols = table.get_symbols()
        found |= {s.get_name() for s in symbols if (s.is_referenced() if table is top else s.is_global())}
    return found
