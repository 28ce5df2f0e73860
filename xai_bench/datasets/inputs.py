"""Inputs and columns: a partition of the columns of X says which of them are one input.

The one-hot columns of a category are one input, and so are the channels of a pixel. Inputs are kept, masked and ranked;
networks see columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from xai_bench.datasets.arrays import Bools, Ints
from xai_bench.errors import InputError

Inputs = tuple[tuple[int, ...], ...]
"""The columns of each input, ascending; inputs in the order of their first columns."""


def each_column(d: int) -> Inputs:
    """Every one of d columns is an input."""
    return tuple((j,) for j in range(d))


def partition(inputs: Sequence[Sequence[int]], d: int) -> Inputs:
    """``inputs`` with columns and inputs in ascending order.

    Raises
    ------
    InputError
        Unless every column 0 .. d-1 is in exactly one input.
    """
    ordered = sorted(tuple(sorted(int(column) for column in columns)) for columns in inputs)
    flat = sorted(column for columns in ordered for column in columns)
    if flat != list(range(d)) or not all(ordered):
        raise InputError(
            f"expected each of the columns 0 .. {d - 1} in one input, got {[list(part) for part in inputs]}"
        )
    return tuple(ordered)


def with_singles(blocks: Sequence[Sequence[int]], d: int) -> Inputs:
    """The partition whose inputs are ``blocks``, and every other column by itself."""
    taken = {column for block in blocks for column in block}
    return partition([*blocks, *([j] for j in range(d) if j not in taken)], d)


def moved(inputs: Inputs, permutation: Ints) -> Inputs:
    """The inputs of ``X[:, permutation]``, for those of X."""
    position = np.argsort(permutation)
    return partition([[int(position[column]) for column in columns] for columns in inputs], len(permutation))


def several_columns(inputs: Inputs) -> Inputs:
    """The inputs of more than one column."""
    return tuple(columns for columns in inputs if len(columns) > 1)


def number_of(inputs: Inputs) -> Ints:
    """(d,) the number of the input that each column belongs to."""
    numbers = np.empty(sum(map(len, inputs)), dtype=int)
    for number, columns in enumerate(inputs):
        numbers[list(columns)] = number
    return numbers


def shape_of(d: int, inputs: Inputs, feature_shape: tuple[int, int] | None) -> tuple[int, ...]:
    """The shape of one row, for networks: (rows, columns) of a picture, (channels, rows, columns), or else (d,).

    A picture has channels where each pixel is an input, and each channel a stretch of columns in the order of the
    pixels. With columns in another order, its row has no shape but (d,).
    """
    if feature_shape is None:
        return (d,)
    pixels = math.prod(feature_shape)
    if pixels == d:
        return feature_shape
    channels = tuple(tuple(range(pixel, d, pixels)) for pixel in range(pixels))
    return (d // pixels, *feature_shape) if inputs == channels else (d,)


def names_of(inputs: Inputs, feature_names: Sequence[str]) -> tuple[str, ...]:
    """The names of the inputs: a single column's name; ``a`` for ``a=1`` and ``a=2``; else all names of the columns."""
    found = []
    for columns in inputs:
        names = [feature_names[column] for column in columns]
        before = {name.rpartition("=")[0] for name in names}
        common = before.pop() if len(before) == 1 else ""
        found.append(names[0] if len(names) == 1 else common or " + ".join(names))
    return tuple(found)


def columns_of(kept: Bools, inputs: Inputs) -> Bools:
    """(d,) the columns of the inputs in ``kept`` (n_inputs,)."""
    if len(kept) != len(inputs):
        raise ValueError(f"expected a mask over {len(inputs)} inputs, got one of {len(kept)}")
    return np.asarray(kept, dtype=bool)[number_of(inputs)]


def inputs_of(kept: Bools, inputs: Inputs) -> Bools:
    """(n_inputs,) the inputs whose columns are in ``kept`` (d,).

    Raises
    ------
    ValueError
        If the mask has another length, or keeps an input in part.
    """
    d = sum(map(len, inputs))
    if len(kept) != d:
        raise ValueError(f"expected a mask over {d} columns, got one of {len(kept)}")
    share = np.array([np.mean([kept[column] for column in columns]) for columns in inputs])
    if ((share > 0) & (share < 1)).any():
        part = inputs[int(np.flatnonzero((share > 0) & (share < 1))[0])]
        raise ValueError(f"expected all or none of the columns {part} of one input, got some of them")
    return share == 1
