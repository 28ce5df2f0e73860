"""The gate in front of everything that is stored: types, finite numbers, clean texts.

A number that is not finite becomes None with a reason. What cannot be stored at all raises ``Refused``; a cell that
holds it becomes a failed cell with that reason (``cell``), so that no value of a plugin stops a run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import asdict, fields, replace
from numbers import Integral, Real
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from xai_bench.errors import one_line as text
from xai_bench.results.records import CellResult, Costs, Facts, Measurement, Status

DEEPEST = 20
"""Levels of lists and dicts in one another at the most."""
LARGEST = 2**63 - 1
"""Of whole numbers that SQLite holds."""
STATUSES = get_args(Status)
NOT_FINITE = {math.inf: "inf", -math.inf: "-inf"}
F = TypeVar("F", bound=Facts)


class Refused(ValueError):
    """A value that cannot be stored; its text is the reason, in one line."""


def _type(value: object) -> str:
    return text(type(value).__name__, 100)


def number(value: object) -> tuple[float | None, str]:
    """A real number and "", or None and the reason.

    Numbers of Python and numpy, truth values (1 and 0), and arrays and tensors without a dimension are numbers.

    Raises
    ------
    Refused
        For anything else: complex numbers, texts, arrays with a dimension.
    """
    if value is None:
        return None, "not defined"
    scalar = _scalar(value)
    try:
        found = float(scalar)
    except OverflowError:
        return None, "too large for a number of 64 bits"
    except Exception as error:
        raise Refused(f"expected a number, got a {_type(value)} ({text(error, 200)})") from None
    if math.isfinite(found):
        return found, ""
    return None, f"the value is {NOT_FINITE.get(found, 'not a number')}"


def _scalar(value: Any) -> Any:
    """A Python number, or a number of numpy that float() takes."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.ma.core.MaskedConstant):
        raise Refused("expected a number, got a masked value")
    try:
        if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
            value = value.item()
    except Exception as error:
        raise Refused(f"expected a number, got a {_type(value)} ({text(error, 200)})") from None
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Real):  # fractions, and numpy's long double, which has no Python form
        return value
    raise Refused(f"expected a number, got a {_type(value)}")


def whole(value: object) -> int:
    """A whole number that SQLite holds.

    Raises
    ------
    Refused
        For anything else.
    """
    scalar = _scalar(value)
    if not isinstance(scalar, Integral) and not (isinstance(scalar, float) and scalar.is_integer()):
        raise Refused(f"expected a whole number, got {text(repr(scalar), 100)}")
    if abs(int(scalar)) > LARGEST:
        raise Refused("expected a whole number of 64 bits, got a larger one")
    return int(scalar)


def relevance(values: object) -> NDArray[np.float64]:
    """(d,) finite numbers in double precision.

    Raises
    ------
    Refused
        For other shapes, other types, and values that are not finite.
    """
    try:
        array = np.asarray(values)
        real = array.dtype.kind in "biuf"
        found = array.astype(np.float64) if real else np.empty(0)
    except Exception as error:
        raise Refused(f"expected a relevance of numbers, got a {_type(values)} ({text(error, 200)})") from None
    if not real or found.ndim != 1:
        raise Refused(f"expected a relevance of shape (d,), got shape {array.shape} of {text(array.dtype, 100)}")
    if not np.isfinite(found).all():
        raise Refused("expected finite relevances, got one that is not")
    return found


def plain(value: Any, nulls: MutableMapping[str, str] | None = None, path: str = "", depth: int = 0) -> Any:
    """``value`` as JSON holds it: dicts with texts as keys, lists, texts, truth values, finite numbers, None.

    A number that is not finite becomes None; ``nulls`` receives its path ("chance.auroc") and the reason.

    Raises
    ------
    Refused
        For what JSON does not hold, and for what lies deeper than ``DEEPEST``.
    """
    kind = type(value)
    if kind is str:
        return text(value)
    if (kind is float and math.isfinite(value)) or (kind is int and abs(value) <= LARGEST):
        return value
    if depth > DEEPEST:
        raise Refused(f"expected at most {DEEPEST} lists in one another")
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Facts):
        value = value.to_json()
    if isinstance(value, Mapping):
        inner = f"{path}." if path else ""
        items = [(text(name, 500), item) for name, item in value.items()]
        return {name: plain(item, nulls, inner + name, depth + 1) for name, item in items}
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item, nulls, path, depth + 1) for item in value]
    if isinstance(value, Integral) and abs(int(value)) <= LARGEST:
        return int(value)
    scalar = _scalar(value)
    if isinstance(scalar, bool) or (isinstance(scalar, int) and abs(scalar) <= LARGEST):
        return scalar
    found, reason = number(scalar)
    if found is None and nulls is not None:
        nulls[path] = reason
    return found


def json_text(value: Any) -> str:
    """``plain(value)`` as JSON.

    Raises
    ------
    Refused
        As ``plain``.
    """
    return json.dumps(plain(value), allow_nan=False)


def facts(record: F) -> F:
    """The record with plain values; a number that is not finite is None and has its reason in ``reasons``.

    Raises
    ------
    Refused
        As ``plain``.
    """
    nulls: dict[str, str] = {}
    content = plain(record, nulls)
    if nulls:
        content["reasons"] = content.get("reasons", {}) | nulls
    return type(record).from_json(content)


def measurement(found: Measurement) -> Measurement:
    """The measurement with a finite value, or None and a reason.

    Raises
    ------
    Refused
        If the value is no number.
    """
    if _is_clean(found):
        return found
    if not isinstance(found.metric, str):
        raise Refused(f"expected the name of a metric, got a {_type(found.metric)}")
    name = text(found.metric, 200)
    try:
        value, why = number(found.value)
        return Measurement(name, value, whole(found.k), text(found.reason or why))
    except Refused as refused:
        raise Refused(f"{name}: {refused}") from None


def _is_clean(found: Measurement) -> bool:
    """Whether a measurement is what the gate would make of it, as nearly all are."""
    numbers = type(found.value) is float and math.isfinite(found.value) and type(found.k) is int
    return numbers and abs(found.k) <= LARGEST and found.reason == "" and text(found.metric, 200) == found.metric


def measurements(found: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """As ``measurement``, of each; one whose value is no number is None with that reason."""
    passed = []
    for one in found:
        try:
            passed.append(measurement(one))
        except Refused as refused:
            k = one.k if type(one.k) is int and abs(one.k) <= LARGEST else 0
            passed.append(Measurement(text(one.metric, 200), None, k, str(refused)))
    return tuple(passed)


def costs(found: Costs) -> Costs:
    """Costs as Python numbers; one that is not finite is 0, or None where it may be.

    Raises
    ------
    Refused
        If one is no number.
    """
    passed: dict[str, Any] = {}
    for one in fields(Costs):
        value = number(getattr(found, one.name))[0]
        counted = one.default is None or isinstance(one.default, int)
        passed[one.name] = one.default if value is None else int(value) if counted else value
    return Costs(**passed)


def cell(result: CellResult) -> CellResult:
    """The result as it is stored, or a failed cell with the reason why it cannot be. Never raises.

    A score that is no number is None with a reason: the cell is not the fault of a metric.
    """
    try:
        if result.status not in STATUSES:
            raise Refused(f"expected a status of {', '.join(STATUSES)}, got {text(result.status, 100)}")
        return replace(
            result,
            reason=text(result.reason),
            costs=costs(result.costs),
            relevance=None if result.relevance is None else relevance(result.relevance),
            columns=None if result.columns is None else relevance(result.columns),
            measurements=measurements(result.measurements),
            chosen=None if result.chosen is None else plain(result.chosen),
            tested=None if result.tested is None else facts(result.tested),
        )
    except Exception as error:
        reason = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {text(error)}"
        return CellResult(result.key, "failed", f"the result cannot be stored: {text(reason)}")


def costs_json(result: CellResult) -> str:
    """The costs of a cell that has passed, with the setting that was chosen, and its p-values, beside them."""
    chosen = {} if result.chosen is None else {"chosen": result.chosen}
    tested = {} if result.tested is None else {"tested": result.tested.to_json()}
    return json_text(asdict(result.costs) | chosen | tested)
