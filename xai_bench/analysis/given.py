"""A table as a user hands it over: its inputs, its target, and the columns with another role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from xai_bench.analysis.rows import Rows
from xai_bench.datasets.arrays import array_of, check_order, one_a_row
from xai_bench.datasets.table import Table, checked
from xai_bench.errors import InputError
from xai_bench.places import expanded
from xai_bench.tables.columns import Read, read_column
from xai_bench.tables.prepared import Prepared, prepared
from xai_bench.tables.reading import Sheet, read_sheet, sheet_of
from xai_bench.tables.target import Kind, missing
from xai_bench.wording import plural

Column = str | ArrayLike | None
TARGET = "target"
LARGE_WEIGHT = 1e100
"""From which weights are divided by the largest: their sum could overflow."""
MOST_ROWS = 10_000
"""Rows that networks, baselines and tests see at the most."""


@dataclass(frozen=True)
class Given:
    """A table with a role for each of its columns.

    Attributes
    ----------
    found, table, rows : what was read, its inputs and target, and what else is known of the rows
    name : of the table
    of_rows : how many it had before some were drawn
    apart : role (groups, time, weights) to the name of its column
    sampled : what was not taken whole: what, taken, of, why
    """

    found: Prepared
    table: Table
    rows: Rows
    name: str
    of_rows: int
    apart: Mapping[str, str]
    sampled: tuple[tuple[str, int, int, str], ...] = ()

    def taken(self, chosen: NDArray) -> Given:
        """Some of the rows."""
        table = replace(self.table, X=self.table.X[chosen], y=self.table.y[chosen])
        return replace(self, table=table, rows=self.rows.take(chosen))


def check_counts(**counts: tuple[int, int]) -> None:
    """Raise InputError unless every value is a whole number that is not below the least one."""
    for name, (value, least) in counts.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise InputError(f"{name}: expected a whole number >= {least}, got {value!r}")


def given_table(
    X: Any,
    y: Column,
    kind: Kind | None,
    roles: Mapping[str, Column],
    drop: Sequence[str],
    keep: Sequence[str],
    missing_codes: Sequence[float],
) -> Given:
    """The table, checked, with a column for the target and one for every other role."""
    _check_kind(kind)
    if roles["groups"] is not None and roles["time"] is not None:
        raise InputError("expected groups or time, got both: hold rows out by one of them")
    drop, keep, missing_codes = _names("drop", drop), _names("keep", keep), _codes(missing_codes)
    for role, values in (*roles.items(), (TARGET, y)):
        check_order(X, values, role)
    sheet, apart = _with_roles(_sheet(X), roles)
    sheet, target = _with_column(sheet, y, TARGET)
    for role, name in apart.items():
        if name.strip() == target.strip():
            raise InputError(f"{role}: expected another column than the target {target!r}, got the same")
    sheet = _with_target(sheet, target.strip())
    found = prepared(sheet, target, kind, drop, keep, missing_codes, tuple(apart.values()))
    encoded = found.encoded
    table = checked(
        sheet.name,
        Table(
            X=encoded.X,
            y=found.predicted.values,
            kind=found.predicted.kind,
            feature_names=encoded.names,
            feature_units=encoded.units,
            inputs=encoded.inputs,
            input_names=encoded.input_names,
            class_names=found.predicted.class_names,
            target_name=found.predicted.name,
            holes=True,
        ),
    )
    rows = Rows(table.y, table.kind, *(_role(sheet, role, apart.get(role)) for role in roles))
    found = replace(found, notices=_told(found, apart, drop))
    return _sampled(Given(found, table, rows, sheet.name, len(rows), apart))


def _told(found: Prepared, apart: Mapping[str, str], drop: Sequence[str]) -> tuple[str, ...]:
    """The notices of a table whose groups may be known, and the columns that were to be left out."""
    lines = list(found.notices)
    if found.repeats and "groups" in apart:
        lines = [found.repeats.fact if line == found.repeats.line else line for line in lines]
    if drop:
        lines.append(f"left out, as was said: {', '.join(repr(name.strip()) for name in drop)}")
    return tuple(lines)


def given_inputs(
    X: Any,
    kind: Kind | None,
    roles: Mapping[str, Column],
    drop: Sequence[str],
    keep: Sequence[str],
    missing_codes: Sequence[float],
) -> Prepared:
    """The inputs of a table without a target."""
    _check_kind(kind)
    drop, keep, missing_codes = _names("drop", drop), _names("keep", keep), _codes(missing_codes)
    sheet, apart = _with_roles(_sheet(X), roles)
    return prepared(sheet, None, None, drop, keep, missing_codes, tuple(apart.values()))


def _check_kind(kind: Kind | None) -> None:
    if kind not in (None, "classification", "regression"):
        raise InputError(f"kind: expected 'classification' or 'regression', got {kind!r}")


def _names(what: str, names: Any) -> tuple[str, ...]:
    """Names of columns as texts; one name stands for a list of it."""
    if isinstance(names, str) or not np.iterable(names):
        names = (names,)
    found = tuple(str(name) for name in names)
    if not all(isinstance(name, str | int | np.integer) for name in names):
        raise InputError(f"{what}: expected names of columns, got {names!r}")
    return found


def _codes(codes: Any) -> tuple[float, ...]:
    """Numbers that stand for a missing value; one number stands for a list of it."""
    try:
        return tuple(float(code) for code in ((codes,) if isinstance(codes, str) or not np.iterable(codes) else codes))
    except (TypeError, ValueError):
        raise InputError(f"missing_codes: expected numbers, such as -999, got {codes!r}") from None


def _with_roles(sheet: Sheet, roles: Mapping[str, Column]) -> tuple[Sheet, dict[str, str]]:
    """The sheet with a column for every role that is given, and the names of these."""
    apart: dict[str, str] = {}
    for role, values in roles.items():
        if values is not None:
            sheet, apart[role] = _with_column(sheet, values, role)
    return sheet, apart


def _sheet(X: Any) -> Sheet:
    if isinstance(X, str | Path):
        path = expanded(X)
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing"
            raise InputError(f"expected a file at {str(X)!r}, found {found}: correct the path")
        return read_sheet(path)
    if isinstance(X, pd.DataFrame):
        return sheet_of(X)
    values = array_of(X, "X")
    if values.ndim != 2:
        raise InputError(
            f"X: expected a DataFrame, an array (n, columns) or the path of a file, got {type(X).__name__}"
        )
    return sheet_of(pd.DataFrame(values, columns=[f"x{j + 1}" for j in range(values.shape[1])]))


def _with_column(sheet: Sheet, values: Column, role: str) -> tuple[Sheet, str]:
    """The sheet with the values as a column, and its name; a text or number is the name of a column that is there."""
    if values is None:
        raise InputError(f"{role}: expected the name of a column, or values, got None")
    if isinstance(values, str) or not np.iterable(values):
        return sheet, str(values)
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    column = values if isinstance(values, pd.Series) else pd.Series(one_a_row(values, role))
    if len(column) != len(sheet.frame):
        raise InputError(f"{role}: expected {len(sheet.frame)} values, one a row of X, got {len(column)}")
    name = str(getattr(values, "name", None) or role)
    if name in sheet.frame:
        name = f"({role})"
    units = (*sheet.units, "") if sheet.units else ()
    return replace(sheet, frame=sheet.frame.assign(**{name: column.reset_index(drop=True)}), units=units), name


def _with_target(sheet: Sheet, target: str) -> Sheet:
    """The rows that have a target, if there are some; the others are told."""
    if target not in sheet.frame:
        return sheet
    absent = missing(sheet.frame[target], sheet.decimal)
    if absent.all() or not absent.any():
        return sheet
    line = (
        f"{int(absent.sum())} of {plural(len(absent), 'row')} left out: the target {target!r} has no value there (an "
        "empty field, NA, None and the like; if one of them is a label, write it in another way)"
    )
    frame = sheet.frame[~absent].reset_index(drop=True)
    return replace(sheet, frame=frame, notices=(*sheet.notices, line))


def _role(sheet: Sheet, role: str, name: str | None) -> NDArray | None:
    """(n,) numbers of groups, places in time, or weights."""
    if name is None:
        return None
    column = sheet.frame[name.strip()]
    if column.isna().any():
        raise InputError(f"{role}: expected a value in every row, got {int(column.isna().sum())} missing values")
    if role == "groups":
        texts = pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)
        return pd.factorize(column.astype(str).str.strip() if texts else column)[0]
    read = read_column(column.rename(role), decimal=sheet.decimal)
    numbers = not (np.isnan(read.values).any() or read.column.levels)
    return _places(read, numbers) if role == "time" else _weights(read, numbers)


def _places(read: Read, numbers: bool) -> NDArray:
    """Ranks of numbers or dates: equal ones have one."""
    if not numbers:
        raise InputError("time: expected numbers or dates, got texts of another kind")
    places = np.unique(read.values, return_inverse=True)[1]
    if not places.any():
        raise InputError("time: expected rows of different times, got one time only")
    return places


def _weights(read: Read, numbers: bool) -> NDArray:
    weights = read.values
    if not numbers or read.column.kind == "date" or (weights < 0).any() or not weights.any():
        raise InputError("weights: expected numbers >= 0, and some above 0, got others")
    return weights / weights.max() if weights.max() > LARGE_WEIGHT else weights


def _sampled(given: Given) -> Given:
    """At most ``MOST_ROWS`` rows, drawn at random."""
    n = len(given.rows)
    if n <= MOST_ROWS:
        return given
    chosen = np.sort(np.random.default_rng(0).permutation(n)[:MOST_ROWS])
    return replace(
        given.taken(chosen),
        sampled=(("rows", MOST_ROWS, n, "drawn at random, so that the answer takes minutes"),),
    )
