"""The rows that a trained model is explained on: numbers of any shape, with a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.datasets.arrays import array_of, check_order, one_a_row
from xai_bench.datasets.inputs import Inputs, partition, with_singles
from xai_bench.datasets.table import Table, checked
from xai_bench.errors import InputError, one_line, unknown

Kind = Literal["classification", "regression"]
Axes = int | Sequence[int] | None
Joined = Mapping[str, Sequence[str | int]]
"""Name of an input to its columns, by their names or their numbers from 0."""


@dataclass(frozen=True)
class Rows:
    """What a model is given, and what it should say.

    Attributes
    ----------
    X : (n, *shape) float32
    y : (n,) whatever the user gave
    names : of the columns of a DataFrame, () otherwise
    target : name of the target
    """

    X: NDArray[np.float32]
    y: NDArray
    names: tuple[str, ...] = ()
    target: str = "target"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return tuple(self.X.shape[1:])


def rows_of(X: Any, y: Any) -> Rows:
    """The rows, checked.

    Raises
    ------
    InputError
        Unless X are finite numbers (n, ...) and y has one value a row.
    """
    names = tuple(map(str, X.columns)) if isinstance(X, pd.DataFrame) else ()
    check_order(X, y, "y")
    values, target = _numbers(X), _target(y)
    if values.ndim < 2:
        raise InputError(f"X: expected rows, an array (n, ...) of two axes or more, got the shape {values.shape}")
    if len(target) != len(values):
        raise InputError(f"y: expected {len(values)} values, one a row of X, got {len(target)}")
    if math.prod(values.shape[1:]) < 2:
        raise InputError(f"X: expected at least 2 inputs to compare, got rows of the shape {values.shape[1:]}")
    finite = np.isfinite(values)
    if not finite.all():
        wrong = int((~finite).sum())
        raise InputError(f"X: expected finite numbers, got {wrong} that are missing or infinite: fill or drop them")
    single = values.astype(np.float32)
    if not np.isfinite(single).all():
        raise InputError("X: expected numbers up to 3e38, got larger ones: rescale them")
    name = getattr(y, "name", None)
    return Rows(np.ascontiguousarray(single), target, names, "target" if name is None else one_line(name, 100))


def _numbers(X: Any) -> NDArray:
    values = array_of(X, "X")
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError("X: expected numbers, got other values: encode them as the model wants them") from None
    if values.dtype.kind not in "biuf":
        raise InputError(f"X: expected numbers, got {values.dtype}: encode them as the model wants them")
    return values


def _target(y: Any) -> NDArray:
    values = one_a_row(y, "y")
    if pd.isna(values).any() or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise InputError("y: expected a value in every row, got missing or infinite ones: drop these rows")
    return values


def classes_of(y: NDArray, n_outputs: int, classes: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Numbers (n,) and names of the classes; the k-th output of the model is that of class k.

    Parameters
    ----------
    y : numbers 0 .. n_outputs - 1, or names that stand in ``classes``
    classes : names, one an output, or ()

    Raises
    ------
    InputError
        If there are other labels, or as many names as there are no outputs.
    """
    names = tuple(str(name) for name in classes) or tuple(map(str, range(n_outputs)))
    if len(names) != n_outputs or len(set(names)) != n_outputs:
        raise InputError(f"classes: expected {n_outputs} different names, one an output of the model, got {len(names)}")
    if y.dtype.kind in "biuf":
        return _numbered(y, n_outputs), names
    places = {name: place for place, name in enumerate(names)}
    strange = next((label for label in y if str(label) not in places), None)
    if strange is not None:
        told = "pass classes=, the labels in the order of the model's outputs" if not classes else "correct classes"
        raise InputError(f"y: expected labels {_listed(names)}, got {one_line(strange, 60)!r}: {told}")
    return np.array([places[str(label)] for label in y], dtype=np.int64), names


def _numbered(y: NDArray, n_outputs: int) -> NDArray[np.int64]:
    whole = y.astype(np.int64)
    wrong = y[(whole != y) | (whole < 0) | (whole >= n_outputs)]
    if len(wrong):
        raise InputError(
            f"y: expected classes 0 .. {n_outputs - 1}, as the model has {n_outputs} outputs, got {wrong[0]:g}"
        )
    return whole


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def table_of(
    rows: Rows,
    y: NDArray,
    kind: Kind,
    class_names: tuple[str, ...],
    inputs: Axes | Joined,
    picture: bool,
    notices: tuple[str, ...] = (),
) -> Table:
    """The rows as a table of numbers (n, d), d the product of their shape.

    Parameters
    ----------
    inputs : axes of X, from 1, whose places are the inputs, the numbers along the other axes being joined; or, of a
        table, names of inputs with their columns, every other column being one by itself; None for every number, and in
        pictures for every pixel
    picture : whether the last two axes of X are the rows and columns of a picture

    Raises
    ------
    InputError
        If the axes or columns do not exist, or there is nothing to compare.
    """
    shape = rows.shape
    columns, names = _joined(rows, inputs, picture) if isinstance(inputs, Mapping) else _along(rows, inputs, picture)
    if len(columns) < 2:
        raise InputError(f"inputs: expected at least 2 inputs to compare, got {len(columns)}: {', '.join(names)}")
    return checked(
        "X",
        Table(
            X=rows.X.reshape(len(rows.X), -1),
            y=y if kind == "classification" else y.astype(np.float64),
            kind=kind,
            feature_names=_names(rows, shape, range(len(shape)), picture),
            feature_shape=(shape[-2], shape[-1]) if picture else None,
            inputs=columns,
            input_names=names,
            class_names=class_names,
            target_name=rows.target,
            notices=notices,
        ),
    )


def _along(rows: Rows, inputs: Axes, picture: bool) -> tuple[Inputs, tuple[str, ...]]:
    """The inputs along axes of X, and their names."""
    shape = rows.shape
    axes = _axes(inputs, shape, picture)
    numbers = np.arange(math.prod(shape)).reshape(shape)
    others = [axis for axis in range(len(shape)) if axis not in axes]
    places = np.transpose(numbers, [*axes, *others]).reshape(math.prod(shape[axis] for axis in axes), -1)
    columns = partition(places.tolist(), numbers.size)
    names = _names(rows, shape, axes, picture)
    of_first = {tuple(sorted(part)): name for part, name in zip(places.tolist(), names, strict=True)}
    return columns, tuple(of_first[part] for part in columns)


def _joined(rows: Rows, inputs: Joined, picture: bool) -> tuple[Inputs, tuple[str, ...]]:
    """The inputs that are named, and every other column; and their names."""
    if len(rows.shape) != 1 or picture:
        raise InputError("inputs: expected a table X (n, columns) where inputs are named, got rows of another shape")
    known = _names(rows, rows.shape, (0,), False)
    place = {name: number for number, name in enumerate(known)}
    blocks: dict[tuple[int, ...], str] = {}
    taken: set[int] = set()
    for name, columns in inputs.items():
        own = tuple(sorted(_column(column, place) for column in _listed_columns(name, columns)))
        if taken & set(own) or len(set(own)) < len(own):
            raise InputError(f"inputs: {name}: expected columns that stand in one input, once, got {list(columns)!r}")
        taken |= set(own)
        blocks[own] = str(name)
    found = with_singles(list(blocks), len(known))
    names = tuple(blocks[part] if part in blocks else known[part[0]] for part in found)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"inputs: expected other names than those of columns, got {twice!r}: choose another name")
    return found, names


def _listed_columns(name: str, columns: Sequence[str | int]) -> Sequence[str | int]:
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not columns:
        raise InputError(f"inputs: {name}: expected a list of columns, got {columns!r}")
    return columns


def _column(column: str | int, place: Mapping[str, int]) -> int:
    """The number of a column that is named or numbered."""
    if isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < len(place):
        return int(column)
    if column not in place:
        raise unknown("column", str(column), place)
    return place[str(column)]


def _axes(inputs: Axes, shape: tuple[int, ...], picture: bool) -> tuple[int, ...]:
    """The axes of a row whose places are the inputs, from 0."""
    if picture and len(shape) not in (2, 3):
        raise InputError(
            f"picture: expected X (n, rows, columns) or (n, channels, rows, columns), got (n, {_listed_shape(shape)})"
        )
    last = tuple(range(len(shape)))
    if picture:
        if inputs is not None:
            raise InputError("inputs: expected None for pictures, whose pixels are the inputs: or set picture=False")
        return last[-2:]
    if inputs is None:
        return last
    chosen = (inputs,) if isinstance(inputs, int | np.integer) else tuple(inputs)
    if not chosen or len(set(chosen)) < len(chosen) or not all(axis - 1 in last for axis in chosen):
        known = ", ".join(str(axis + 1) for axis in last)
        raise InputError(f"inputs: expected axes of X among {known}, each once, got {inputs!r}")
    return tuple(axis - 1 for axis in sorted(chosen))


def _listed_shape(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _names(rows: Rows, shape: tuple[int, ...], axes: Sequence[int], picture: bool) -> tuple[str, ...]:
    """Of the places along some axes: ``x3``, ``x1,4``, ``pixel 2,7`` or the names of a DataFrame, in order."""
    if rows.names and len(axes) == len(shape) == 1:
        return rows.names
    word = "pixel " if picture else "x"
    sides = [shape[axis] for axis in axes]
    return tuple(word + ",".join(str(place + 1) for place in index) for index in np.ndindex(*sides))
