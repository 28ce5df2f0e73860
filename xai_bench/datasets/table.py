"""What a data source draws, and what is asked of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.arrays import Floats, Ints, unmasked
from xai_bench.datasets.inputs import Inputs, names_of, partition, several_columns, with_singles
from xai_bench.datasets.truth import GroundTruth
from xai_bench.errors import InputError

Kind = Literal["classification", "regression"]
LEAST_ROWS = 20
SMALLEST = 1e-35
"""Near 1e-38 numbers of single precision lose their digits, or become 0."""


@dataclass(frozen=True)
class Table:
    """What a data source draws: all rows, columns in canonical order.

    Attributes
    ----------
    X : (n, d) float
    y : (n,) int classes 0 .. n_classes-1, or (n,) float
    kind : classification or regression
    feature_names : d names, or () for ``x1 .. xd``
    feature_shape : (rows, columns) of pictures: they are not shuffled and not standardised
    feature_units : d units, or () where there are none
    inputs : the columns of each input, a partition of 0 .. d-1; () if every column is an input by itself, or if the
        blocks of the truth say which are not
    input_names : names of ``inputs``, or () for those that their columns' names give
    class_names : names of the classes, or ()
    notices : lines the user should see
    holes : whether numbers of X may be missing (NaN): the median of the training rows then stands in
    """

    X: Floats
    y: Floats | Ints
    kind: Kind
    truth: GroundTruth | None = None
    feature_names: tuple[str, ...] = ()
    feature_shape: tuple[int, int] | None = None
    feature_units: tuple[str, ...] = ()
    inputs: Inputs = ()
    input_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    target_name: str = "target"
    target_units: str = ""
    notices: tuple[str, ...] = ()
    holes: bool = False


def checked(name: str, table: Any) -> Table:
    """The table with X float32 (n, d), y int64 or float32 (n,), all names, the inputs, and the blocks of its truth.

    Parameters
    ----------
    name : of the source, for messages
    table : what its ``draw`` returned

    Raises
    ------
    InputError
        If the table cannot be used, in one line.
    """
    if not isinstance(table, Table):
        raise InputError(f"{name}: expected a Table, got {type(table).__name__}: let draw() return one")
    X, y = _numbers(name, table.X, "the inputs"), _numbers(name, table.y, "the target")
    if X.ndim != 2 or y.ndim != 1 or len(X) != len(y):
        raise InputError(f"{name}: expected X (n, d) and y (n,), got {X.shape} and {y.shape}: correct draw()")
    n, d = X.shape
    if n < LEAST_ROWS:
        raise InputError(f"{name}: expected at least 20 rows to split into three parts, got {n}: add rows")
    if d < 2:
        raise InputError(f"{name}: expected at least 2 inputs to rank, got {d}: add columns")
    names = tuple(str(label) for label in table.feature_names) or tuple(f"x{j + 1}" for j in range(d))
    for what, values in (("feature_names", names), ("feature_units", table.feature_units)):
        if values and len(values) != d:
            raise InputError(f"{name}: expected {d} {what}, one a column, got {len(values)}: correct draw()")
    _check_float32(name, _without_holes(X) if table.holes else X, [f"column {label!r}" for label in names])
    _check_float32(name, y[:, None], ["the target"])
    if len(np.unique(y)) < 2:
        what = "class" if table.kind == "classification" else "value"
        raise InputError(f"{name}: expected a target with differences, got one {what} only: choose another target")
    if table.kind == "classification":
        y = _classes(name, y, len(table.class_names))
    inputs, truth = _inputs(name, table, d)
    if table.input_names and len(table.input_names) != len(inputs):
        raise InputError(f"{name}: expected {len(inputs)} input_names, got {len(table.input_names)}: correct draw()")
    if table.feature_shape is not None and math.prod(table.feature_shape) not in (d, len(inputs)):
        raise InputError(
            f"{name}: expected a feature_shape of {len(inputs)} pixels, got {table.feature_shape}: correct draw()"
        )
    return replace(
        table,
        X=np.ascontiguousarray(X, dtype=np.float32),
        y=y if table.kind == "classification" else y.astype(np.float32),
        feature_names=names,
        inputs=inputs,
        input_names=_input_names(table, inputs) or names_of(inputs, names),
        truth=truth,
    )


def _inputs(name: str, table: Table, d: int) -> tuple[Inputs, GroundTruth | None]:
    """The partition, and the truth with its blocks: the inputs of more than one column."""
    truth = table.truth
    if truth and len(truth.roles) != d:
        raise InputError(f"{name}: expected {d} roles in the truth, got {len(truth.roles)}: correct draw()")
    blocks = truth.blocks if truth else ()
    try:
        inputs = partition(table.inputs, d) if table.inputs else with_singles(blocks, d)
    except InputError as error:
        raise InputError(f"{name}: {error}: correct draw()") from None
    several = several_columns(inputs)
    if truth is None:
        return inputs, None
    if blocks and {frozenset(block) for block in blocks if len(block) > 1} != {frozenset(part) for part in several}:
        raise InputError(
            f"{name}: expected the blocks of the truth to be the inputs of several columns, got {blocks} and "
            f"{several}: leave the blocks out"
        )
    return inputs, truth if blocks else replace(truth, blocks=several)


def _input_names(table: Table, inputs: Inputs) -> tuple[str, ...]:
    """The names that the source gives, in the order of ``inputs``."""
    if not table.inputs or not table.input_names:
        return tuple(table.input_names)
    given = {tuple(sorted(part)): str(label) for part, label in zip(table.inputs, table.input_names, strict=True)}
    return tuple(given[part] for part in inputs)


def _numbers(name: str, values: Any, what: str) -> NDArray:
    """An array of booleans, integers or floats."""
    try:
        array = np.asarray(unmasked(values))
        if array.dtype.kind == "O":  # a frame of several types, missing values
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected numbers, got other values in {what}: encode them in draw()") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: expected numbers, got {array.dtype} in {what}: encode them in draw()")
    return array


def _classes(name: str, y: NDArray, named: int) -> Ints:
    """(n,) int64 classes from 0; ``named``: how many have a name, 0 if none has."""
    broken = y[y != np.floor(y)] if y.dtype.kind == "f" else y[:0]
    if len(broken):
        raise InputError(
            f"{name}: expected classes 0, 1, 2 .., got {broken[0]:g}: number them, or set kind = 'regression'"
        )
    lowest, highest = int(y.min()), int(y.max())
    last = named - 1 if named else len(y) - 1
    if lowest < 0 or highest > last:
        wrong = lowest if lowest < 0 else highest
        counted = f"{named} classes have a name" if named else f"there are {len(y)} rows"
        raise InputError(f"{name}: expected classes 0 .. {last}, as {counted}, got {wrong}: number them from 0")
    return y.astype(np.int64)


def _without_holes(X: NDArray) -> NDArray:
    """X with the smallest value of its column where one is missing, 0 where all are."""
    holes = np.isnan(X)
    if not holes.any():
        return X
    lowest = np.where(holes, np.inf, X).min(axis=0)
    return np.where(holes, np.where(np.isinf(lowest), 0.0, lowest), X)


def _check_float32(name: str, values: NDArray, labels: Sequence[str]) -> None:
    """Raise unless single precision holds the columns of ``values`` (n, d): models compute in it."""
    low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)  # NaN if there is one
    largest = np.maximum(np.abs(low), np.abs(high))
    unusable = np.flatnonzero(~(largest <= np.finfo(np.float32).max))
    if len(unusable):
        raise InputError(
            f"{name}: expected finite numbers up to 3e38, got missing, infinite or larger ones in "
            f"{labels[unusable[0]]}: fill, rescale or drop them"
        )
    span = high - low
    tiny = np.flatnonzero((span > 0) & (largest < SMALLEST))
    if len(tiny):
        raise InputError(
            f"{name}: expected numbers that single precision can hold, got {labels[tiny[0]]} with values up to "
            f"{largest[tiny[0]]:g}: multiply them, or change their unit"
        )
    coarse = np.flatnonzero((span > 0) & (np.spacing(largest.astype(np.float32)) > span / 100))
    if len(coarse):
        first = coarse[0]
        raise InputError(
            f"{name}: expected numbers that single precision can tell apart, got {labels[first]} with values up "
            f"to {largest[first]:g} that differ by {span[first]:g} at most: subtract their mean"
        )
