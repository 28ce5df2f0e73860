"""Columns as numbers: one-hot columns of a category are one input; what is missing is filled from training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from xai_bench.tables.columns import Read


@dataclass(frozen=True)
class Encoded:
    """All rows as numbers.

    Attributes
    ----------
    X : (n, d) float64, NaN where a number is missing
    names, units : of the d columns
    inputs : the columns of each input
    input_names : of the inputs, as in the table
    """

    X: NDArray[np.float64]
    names: tuple[str, ...]
    units: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    input_names: tuple[str, ...]


def encode(reads: Sequence[Read], n: int) -> Encoded:
    """The used columns, of n rows. A category has a column a level, one of two values a single one.

    The levels are those of the whole table, without a look at the target, so that every split has the same columns.
    """
    parts, names, units, inputs, input_names = list[NDArray[np.float64]](), list[str](), list[str](), [], []
    for read in reads:
        column = read.column
        if not column.used:
            continue
        block, own = _block(read)
        first = len(names)
        inputs.append(tuple(range(first, first + len(own))))
        parts.append(block)
        names += own
        units += [column.unit] * len(own)
        input_names.append(column.name)
    X = np.concatenate(parts, axis=1) if parts else np.empty((n, 0))
    return Encoded(X, tuple(names), tuple(units) if any(units) else (), tuple(inputs), tuple(input_names))


def _block(read: Read) -> tuple[NDArray[np.float64], list[str]]:
    """The columns of one input, and their names."""
    from sklearn.preprocessing import OneHotEncoder

    column, values = read.column, read.values[:, None]
    if not column.levels:
        return values, [column.name]
    numbers = np.arange(len(column.levels), dtype=np.float64)
    encoder = OneHotEncoder(categories=[numbers], drop="if_binary", sparse_output=False)
    levels = column.levels[1:] if len(column.levels) == 2 else column.levels
    return encoder.fit_transform(values), [f"{column.name}={level}" for level in levels]


def filled(train: NDArray, *others: NDArray) -> tuple[NDArray, ...]:
    """``train`` (n, d) and ``others`` without NaN: the median of the training rows stands in; 0 where there is none."""
    from sklearn.impute import SimpleImputer

    if not any(np.isnan(part).any() for part in (train, *others)):
        return (train, *others)
    imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(train)
    return tuple(imputer.transform(part).astype(part.dtype) for part in (train, *others))
