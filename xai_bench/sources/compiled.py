"""Code without a text, as what Python compiled it to."""

from __future__ import annotations

import builtins
import functools
import sys
from types import FunctionType, ModuleType
from typing import Any

from xai_bench.component import canonical_json, sha256
from xai_bench.sources.imports import RECORDED

WITHOUT_NUMBERS = ("model_config", "model_fields", "model_computed_fields", "plugin_sha256")


def compiled(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """What Python compiled a class, a function or another value to, JSON-ready and the same in every process.

    Functions of its module and plain values that it names count too. Of other values only the type counts.
    """
    if id(value) in seen:
        return "again"
    seen = (*seen, id(value))
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if isinstance(value, list | tuple):
        return ["list", *(compiled(item, seen) for item in value)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(canonical_json(compiled(item, seen)) for item in value)]
    if isinstance(value, dict):
        return ["dict", *sorted([repr(key), canonical_json(compiled(item, seen))] for key, item in value.items())]
    if isinstance(value, staticmethod | classmethod):
        return compiled(value.__func__, seen)
    if isinstance(value, property):
        return [compiled(value.fget, seen), compiled(value.fset, seen)]
    if isinstance(value, functools.partial):
        return [compiled(part, seen) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, FunctionType):
        return _function(value, seen)
    if isinstance(value, type):
        return _class(value, seen)
    if type(value).__module__ == "numpy" and hasattr(value, "tobytes"):
        return ["array", str(value.dtype), list(value.shape), sha256(value.tobytes())]
    facts = getattr(value, "__dict__", {})
    return [type(value).__qualname__, compiled(dict(facts), seen) if facts else ""]


def _function(value: FunctionType, seen: tuple[int, ...]) -> Any:
    named = {name: value.__globals__[name] for name in _code_names(value.__code__) if name in value.__globals__}
    counts = {
        name: compiled(item, seen)
        for name, item in sorted(named.items())
        if not isinstance(item, ModuleType) and getattr(item, "__module__", value.__module__) == value.__module__
    }
    cells = [compiled(cell.cell_contents, seen) for cell in value.__closure__ or ()]
    return [_code(value.__code__), compiled([value.__defaults__, value.__kwdefaults__], seen), cells, counts]


def _code(code: Any) -> Any:
    constants = [_code(c) if hasattr(c, "co_code") else compiled(c) for c in code.co_consts]
    return [code.co_code.hex(), constants, code.co_names, code.co_varnames]


def _code_names(code: Any) -> set[str]:
    return set(code.co_names).union(*(_code_names(c) for c in code.co_consts if hasattr(c, "co_code")))


def _class(value: type, seen: tuple[int, ...]) -> Any:
    installed = value.__module__.partition(".")[0] in RECORDED | sys.stdlib_module_names - {"__main__"}
    # A class that ``type`` made names the module of its metaclass.
    if installed and hasattr(sys.modules.get(value.__module__, builtins), value.__qualname__.partition(".")[0]):
        return value.__qualname__
    fields = {name: [repr(f.annotation), repr(f.default)] for name, f in getattr(value, "model_fields", {}).items()}
    own = {
        name: compiled(item, seen)
        for name, item in sorted(vars(value).items())
        if name not in WITHOUT_NUMBERS and name != "_abc_impl"
        if not name.startswith("__") or isinstance(item, FunctionType)
    }
    return [value.__qualname__, fields, own, [compiled(base, seen) for base in value.__bases__]]
