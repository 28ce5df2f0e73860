"""Which rows train, validate and test.

Every row has a random number of its own; the rank of that number among the rows of its class decides on the part. So a
row is in the same part of a smaller and of a larger draw, unless its rank is near a border.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.arrays import Ints

TEST_SHARE = 0.20
VALID_SHARE_OF_REST = 0.20  # 64 / 16 / 20


class Fold(NamedTuple):
    """Fold ``number`` (from 0) of ``of`` folds: it is the test part. Every row is in one fold."""

    number: int
    of: int


class Parts(NamedTuple):
    """Row numbers, in random order."""

    train: Ints
    valid: Ints
    test: Ints


def split(y: NDArray, classes: bool, fold: Fold | None, rng: np.random.Generator) -> Parts:
    """Split the rows of the targets y (n,) 64 / 16 / 20, or with the fold as the test part.

    In classification (``classes``) every part and every fold gets its share of each class, as far as whole rows allow.
    """
    order = np.argsort(rng.random(len(y)), kind="stable")
    rest: Ints
    test: Ints
    if fold is not None:
        tested = _folds(order, y, classes, fold.of)[order] == fold.number
        rest, test = order[~tested], order[tested]
    else:
        rest, test = _cut(order, y, classes, TEST_SHARE)
    train, valid = _cut(rest, y, classes, VALID_SHARE_OF_REST)
    return Parts(train, valid, test)


def _folds(order: Ints, y: NDArray, classes: bool, count: int) -> Ints:
    """(n,) the fold of each row: the rows in random ``order``, class by class, are dealt out in turn."""
    dealt = order[np.argsort(y[order], kind="stable")] if classes else order
    fold = np.empty(len(order), dtype=np.int64)
    fold[dealt] = np.arange(len(order)) % count
    return fold


def _cut(rows: Ints, y: NDArray, classes: bool, share: float) -> tuple[Ints, Ints]:
    """Cut the last ``share`` of the (already shuffled) rows off; in classification, of every class."""
    n = round(len(rows) * (1 - share))
    if not classes:
        return rows[:n], rows[n:]
    position = np.empty(len(rows))
    for label in np.unique(y[rows]):
        members = np.flatnonzero(y[rows] == label)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    # Ranking by within-class position gives the exact total; the stable sort keeps the shuffled order.
    by_position = np.argsort(position, kind="stable")
    first, last = np.sort(by_position[:n]), np.sort(by_position[n:])
    return rows[first], rows[last]
