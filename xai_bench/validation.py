"""Wrong fields in plain words: what was expected, what came. One translator for components and for suites."""

from __future__ import annotations

import difflib
import math
import os
import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from xai_bench.errors import InputError, unknown

SHOWN = 80
"""Characters of a value in an error at the most."""
LARGEST_COUNT, LARGEST = 10**9, 1e12
"""Of whole numbers that are no seeds, and of others: no run ends with more."""
CODES = ("missing_codes",)
"""Fields whose numbers count nothing."""
LONGEST_LIST, LONGEST_TEXT = 100_000, 4096
NAMES = {
    bool: ("true or false", "true or false values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
}
"""What a type is called: one, and several."""
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


class Facts(NamedTuple):
    """A type, and what is asked of its values beside it."""

    kind: Any
    rules: tuple[Any, ...]

    def rule(self, name: str) -> Any:
        """The first value of that rule, such as ``min_length``, or None."""
        return next((getattr(rule, name) for rule in self.rules if getattr(rule, name, None) is not None), None)


def plain_fields(kind: type[BaseModel], fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with what plainly stands for something else in its place.

    Lists, ranges and NumPy arrays become tuples, NumPy scalars become numbers, paths become texts, and a single value
    for a field that takes a list of any length becomes a list of one: ``hidden = 50``.

    Raises
    ------
    InputError
        For a whole number of more than 64 bits, which nothing stores; for numbers, lists and texts that are beyond
        everything that a run can end with.
    """
    found = {name: _plain(value, kind.model_fields.get(name)) for name, value in fields.items()}
    for name, value in found.items():
        if not _has_own_bound(kind.model_fields.get(name), value):
            _check_bounds(_named(name), value)
    return found


def _has_own_bound(field: FieldInfo | None, value: Any) -> bool:
    """Whether a single number meets a largest one of its field, which says more than one for all fields."""
    if field is None or not isinstance(value, int | float):
        return False
    parts = _parts(field.annotation, tuple(field.metadata))
    return any(part.rule("le") is not None or part.rule("lt") is not None for part in parts)


def _named(name: object) -> str:
    """The name of a field as it can be written."""
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= SHOWN else shown(name)


def _check_bounds(name: str, value: Any) -> None:
    if isinstance(value, tuple | list):
        if len(value) > LONGEST_LIST:
            raise InputError(f"{name}: expected at most {LONGEST_LIST} values, got {len(value)}")
        for item in value:
            _check_bounds(name, item)
    elif isinstance(value, dict):
        for inner, item in value.items():
            _check_bounds(f"{name}.{_named(inner)}"[-2 * SHOWN :], item)
    elif isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise InputError(f"{name}: expected a text of at most {LONGEST_TEXT} letters, got {len(value)}")
    elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise InputError(f"{name}: expected whole numbers below 2^63, got {shown(value)}")
    elif isinstance(value, int) and abs(value) > LARGEST_COUNT and "seed" not in name:
        raise InputError(f"{name}: expected whole numbers up to {LARGEST_COUNT}, got {shown(value)}")
    elif isinstance(value, float) and math.isfinite(value) and abs(value) > LARGEST and name not in CODES:
        raise InputError(f"{name}: expected numbers up to {LARGEST:g}, got {shown(value)}")


def _plain(value: Any, field: FieldInfo | None) -> Any:
    value = plain(value)
    single = isinstance(value, bool | int | float | str)
    if field is not None and single and any(_is_any_length(part) for part in _parts(field.annotation)):
        return (value,)
    return value


def _is_any_length(facts: Facts) -> bool:
    return get_origin(facts.kind) is tuple and get_args(facts.kind)[-1:] == (...,)


def plain(value: Any) -> Any:
    """Lists, ranges and arrays as tuples, NumPy scalars as numbers, paths as texts, in tables too."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def one_line(kind: type[BaseModel], where: str, fields: Mapping[str, Any], error: ValidationError) -> str:
    """The first mistake of ``fields`` for the class ``kind`` as ``where: field: expected ..., got ...``."""
    first = error.errors(include_url=False)[0]
    path = first["loc"]
    if not path:
        return f"{where}: {_own_words(first) or 'expected a table of fields, got ' + shown(first['input'])}"
    name = str(path[0])
    if first["type"] == "extra_forbidden" and len(path) == 1:
        return f"{where}: {unknown('field', name, kind.model_fields)}"
    if first["type"] == "missing" and len(path) == 1:
        return f"{where}: the field {name!r} is required"
    value, field = fields.get(name, first["input"]), kind.model_fields.get(name)
    own = _own_words(first)
    if own:
        return f"{where}: {name}: {own[0].lower()}{own[1:]}, got {shown(value)}"
    if field is None:
        return f"{where}: {name}: expected another value, got {shown(value)}"
    return f"{where}: {name}: {mismatch(field, value, first['input'], path[1:])}"


def _own_words(first: Any) -> str:
    """The line of a component's own validator; empty for a mistake that the types tell."""
    if first["type"] not in ("value_error", "assertion_error"):
        return ""
    lines = str(first.get("ctx", {}).get("error", "")).strip().splitlines()
    return lines[0] if lines else "its fields do not go together"


def mismatch(field: FieldInfo, value: Any, part: Any, place: tuple[int | str, ...] = ()) -> str:
    """``expected a list of whole numbers >= 1, got [10, 0]``; of a long value the wrong ``part`` at its ``place``."""
    wanted = field.description or expected(field.annotation, field.metadata)
    if isinstance(part, float) and not math.isfinite(part):
        wanted = wanted.replace("number", "finite number")
    long = len(shown(value)) >= SHOWN and place and part is not value
    position = f" at place {place[0] + 1}" if place and isinstance(place[0], int) else ""
    got = f"{shown(part)}{position}" if long else shown(value)
    choices = [choice for facts in _leaves(field.annotation) for choice in _choices(facts)]
    near = difflib.get_close_matches(part, [c for c in choices if isinstance(c, str)], n=1) if _is_text(part) else []
    return f"expected {wanted}, got {got}" + (f": did you mean {near[0]!r}?" if near else "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def shown(value: Any) -> str:
    """A value in one line of at most ``SHOWN`` characters; lists as in TOML."""
    value = _as_lists(value)
    try:
        text = repr(value)
    except Exception:  # a repr of the user's own, or more than 4300 digits
        return "a very large number" if isinstance(value, int) else f"a value of the type {type(value).__name__}"
    if len(text.splitlines()) > 1:
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]} ..."


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, tuple) else value


def expected(annotation: Any, rules: Iterable[Any] = (), several: bool = False) -> str:
    """A type in plain words: ``a whole number >= 1``, ``a list of one or more numbers``."""
    parts = [facts for facts in _parts(annotation, tuple(rules)) if facts.kind is not type(None)]
    return _either([_words(facts, several) for facts in parts]) or "nothing"


def _words(facts: Facts, several: bool) -> str:
    origin = get_origin(facts.kind)
    if _choices(facts):
        choices = _either([repr(choice) for choice in _choices(facts)])
        return f"values, each {choices}" if several else choices
    if origin is tuple or facts.kind is tuple:
        return ("lists of " if several else "a list of ") + _items(facts)
    if origin in (list, set, frozenset):
        return ("lists of " if several else "a list of ") + expected((get_args(facts.kind) or (Any,))[0], several=True)
    if origin is dict or facts.kind is dict or _is_model(facts.kind):
        values = [] if origin is not dict else [expected(get_args(facts.kind)[1], several=True)]
        known = f" of {values[0]}" if values and values[0] != "values" else ""
        return ("tables" if several else "a table") + known
    if facts.kind in NAMES:
        return NAMES[facts.kind][several] + _bounds(facts)
    if facts.kind is Any:
        return "values" if several else "a value"
    name = getattr(facts.kind, "__name__", str(facts.kind))
    return f"values of the type {name}" if several else f"a value of the type {name}"


def _items(facts: Facts) -> str:
    members = get_args(facts.kind)
    if not members:
        return "values"
    if members[-1] is ...:
        return ("one or more " if facts.rule("min_length") == 1 else "") + expected(members[0], several=True)
    words = [expected(member) for member in members]
    what = expected(members[0], several=True) if len(set(words)) == 1 else f"values ({', '.join(words)})"
    return f"{len(members)} {what}"


def _bounds(facts: Facts) -> str:
    found = [f"{sign} {facts.rule(name)}" for name, sign in SIGNS.items() if facts.rule(name) is not None]
    return f" {' and '.join(found)}" if found else ""


def _choices(facts: Facts) -> tuple[Any, ...]:
    if get_origin(facts.kind) is Literal:
        return get_args(facts.kind)
    is_enum = isinstance(facts.kind, type) and issubclass(facts.kind, Enum)
    return tuple(member.value for member in facts.kind) if is_enum else ()


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _either(words: list[str]) -> str:
    words = list(dict.fromkeys(words))
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part) if words else ""


def _parts(annotation: Any, rules: tuple[Any, ...] = ()) -> list[Facts]:
    """The members of a union, or the one type, each with its rules."""
    if get_origin(annotation) is typing.Annotated:
        own = [rule for item in annotation.__metadata__ for rule in getattr(item, "metadata", [item])]
        return _parts(annotation.__origin__, (*own, *rules))
    if get_origin(annotation) in (Union, types.UnionType):
        return [facts for member in get_args(annotation) for facts in _parts(member, rules)]
    return [Facts(annotation, rules)]


def _leaves(annotation: Any) -> list[Facts]:
    """The types inside lists and unions."""
    found = []
    for facts in _parts(annotation):
        inner = get_args(facts.kind) if get_origin(facts.kind) in (tuple, list) else ()
        members = [member for member in inner if member is not ...]
        found += [leaf for member in members for leaf in _leaves(member)] if members else [facts]
    return found
