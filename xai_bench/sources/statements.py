"""The statements of a module, and which of them a statement names."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Iterable, Iterator

from xai_bench.sources.imports import RECORDED

IMPORTS = (ast.Import, ast.ImportFrom)
COMPLETE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, *IMPORTS)
"""Statements after which what was bound to a name before no longer counts."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
READING = frozenset(vars(builtins)) - {"setattr", "delattr"}
"""Functions that change none of their arguments."""


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
            for name in (_changed(statement) | self._changed_by_calls(statement)) - bound:
                if any(not _is_recorded(other) for other in self.binding.get(name, [])):
                    self.binding[name].append(statement)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.append(statement)

    def _changed_by_calls(self, statement: ast.stmt) -> set[str]:
        """Names of values that a statement hands to a function, and those that the functions it calls change."""
        changed = self._handed_over(statement) if isinstance(statement, ast.Expr) else set()
        seen: set[int] = set()
        waiting = _executed(statement)
        while waiting:
            for name in {node.id for node in ast.walk(waiting.pop()) if isinstance(node, ast.Name)}:
                for function in self.binding.get(name, []):
                    if isinstance(function, FUNCTIONS) and id(function) not in seen:
                        seen.add(id(function))
                        waiting.append(function)
                        changed |= _changed_inside(function)
        return changed - {""}

    def _handed_over(self, statement: ast.Expr) -> set[str]:
        """Names of the arguments of its calls, unless Python or the package is called, which change none."""
        changed: set[str] = set()
        for call in (node for node in ast.walk(statement) if isinstance(node, ast.Call)):
            function = _root(call.func)
            if function not in READING and not any(map(_is_of_the_package, self.binding.get(function, []))):
                changed |= {_root(argument) for argument in call.args}
        return changed

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
        return {_root(target) for target in targets if not isinstance(target, ast.Name)}
    if isinstance(statement, ast.For | ast.While | ast.With | ast.Try):
        inner = [node for node in ast.walk(statement) if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign)]
        return set().union(*map(_changed, inner))
    return set()


def _executed(statement: ast.stmt) -> list[ast.AST]:
    """The parts of a statement that run at once, and may call functions of the module."""
    if isinstance(statement, FUNCTIONS):
        return list(statement.decorator_list)
    if isinstance(statement, ast.ClassDef):
        return [*statement.decorator_list, *statement.bases]
    return [] if isinstance(statement, IMPORTS) else [statement]


def _changed_inside(function: ast.stmt) -> set[str]:
    """Names of values of the module that a function may change when it is called."""
    changed: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            changed |= set(node.names)
        elif isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete):
            changed |= _changed(node)
    return changed


def _is_recorded(statement: ast.stmt) -> bool:
    """Whether it imports from a library that changes nothing of a script's own."""
    return isinstance(statement, IMPORTS) and _imported_top(statement) in RECORDED | sys.stdlib_module_names


def _is_of_the_package(statement: ast.stmt) -> bool:
    return isinstance(statement, IMPORTS) and _imported_top(statement) == "xai_bench"


def _imported_top(statement: ast.stmt) -> str:
    """The top-level name of what is imported; "" if it is relative."""
    if isinstance(statement, ast.Import):
        return statement.names[0].name.partition(".")[0]
    if isinstance(statement, ast.ImportFrom) and not statement.level:
        return (statement.module or "").partition(".")[0]
    return ""


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
