"""Which rows are trained on and which are held out, and how a target is permuted: by groups or time if there are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.splitting import Parts
from xai_bench.errors import InputError

VALID_FOLDS = 5
"""One of so many folds of the rows that are not held out is for validation."""
LEAST_GROUPS = 3
WITHIN_GROUPS = "within groups"
TIME_BLOCKS = 10
"""Stretches of time, within which a target is permuted."""


@dataclass(frozen=True)
class Rows:
    """What is known of the rows beside inputs and target.

    Attributes
    ----------
    y : (n,) classes or numbers
    kind : classification or regression
    groups : (n,) number of the group of each row, or None
    time : (n,) place of each row in time, or None
    weights : (n,) what each row counts, or None
    """

    y: NDArray
    kind: Literal["classification", "regression"]
    groups: NDArray | None = None
    time: NDArray | None = None
    weights: NDArray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, chosen: NDArray) -> Rows:
        """Some of the rows."""
        parts = (None if part is None else part[chosen] for part in (self.groups, self.time, self.weights))
        return Rows(self.y[chosen], self.kind, *parts)


@dataclass(frozen=True)
class Split:
    """One fold of one seed."""

    seed: int
    fold: int
    parts: Parts


def splits(rows: Rows, seeds: int, folds: int) -> list[Split]:
    """Cross-validation, repeated: every row is held out once a seed.

    Classes keep their shares; rows of a group stay together. With ``time``, later rows are held out and earlier ones
    trained on, the same for all seeds; rows of one time never stand on both sides.

    Raises
    ------
    InputError
        If there are too few groups or times, or a part without any weight.
    """
    found = [
        Split(seed, fold, _with_validation(rows, rest, test, seed))
        for seed in range(seeds)
        for fold, (rest, test) in enumerate(_folds(rows, folds, seed))
    ]
    if rows.weights is not None:
        parts = [part for split in found for part in (split.parts.train, split.parts.valid, split.parts.test)]
        if not all(rows.weights[part].any() for part in parts):
            raise InputError(
                "weights: expected some above 0 in every part, got parts without: weight more rows, or ask for fewer "
                "folds"
            )
    return found


def _folds(rows: Rows, folds: int, seed: int) -> Iterator[tuple[NDArray, NDArray]]:
    """(rest, test) of each fold, as row numbers."""
    if rows.time is not None:
        from sklearn.model_selection import TimeSeriesSplit

        order = np.argsort(rows.time, kind="stable")
        for rest, test in TimeSeriesSplit(folds).split(order):
            yield _earlier(rows.time, order[rest], rows.time[order[test]].min()), order[test]
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than folds: said elsewhere
        yield from _splitter(rows, folds, seed).split(rows.y, rows.y, rows.groups)


def _earlier(time: NDArray, chosen: NDArray, first: Any) -> NDArray:
    """Those of the chosen rows that are earlier than the first time of the rows that are held out."""
    found = chosen[time[chosen] < first]
    if not len(found):
        count = len(np.unique(time))
        raise InputError(
            f"time: expected rows before each part that is held out, got {count} different times: ask for fewer folds"
        )
    return found


def _splitter(rows: Rows, folds: int, seed: int) -> Any:
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    classes = rows.kind == "classification"
    if rows.groups is None:
        return (StratifiedKFold if classes else KFold)(folds, shuffle=True, random_state=seed)
    count = len(np.unique(rows.groups))
    if count < LEAST_GROUPS:
        raise InputError(f"groups: expected at least {LEAST_GROUPS} groups to hold some of them out, got {count}")
    return (StratifiedGroupKFold if classes else GroupKFold)(min(folds, count), shuffle=True, random_state=seed)


def _with_validation(rows: Rows, rest: NDArray, test: NDArray, seed: int) -> Parts:
    """The rest cut into rows to train on and rows to validate on, as the folds were made."""
    if rows.time is not None:
        last = rest[np.argsort(rows.time[rest], kind="stable")]
        cut = len(last) - max(1, len(last) // VALID_FOLDS)
        return Parts(_earlier(rows.time, last[:cut], rows.time[last[cut]]), last[cut:], test)
    inner = rows.take(rest)
    few = rows.groups is not None and len(np.unique(rows.groups[rest])) < LEAST_GROUPS
    train, valid = next(_folds(Rows(inner.y, rows.kind) if few else inner, VALID_FOLDS, seed))
    rng = np.random.default_rng(seed)
    return Parts(rng.permutation(rest[train]), rng.permutation(rest[valid]), test)


def permuted(rows: Rows, rng: np.random.Generator) -> NDArray:
    """(n,) a target that has lost its relation to the inputs, and nothing else: see ``sources``."""
    return rows.y[sources(rows, rng)]


def sources(rows: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) the row whose target each row is given.

    Where the target is constant within every group, whole groups are given the target of another; else it is permuted
    within groups. With time it is permuted within stretches of it.
    """
    n = len(rows)
    if rows.groups is not None:
        groups, first = _numbered(rows.groups)
        if (rows.y[first[groups]] == rows.y).all():
            return rng.permutation(first)[groups]
        return _within(groups, rng)
    if rows.time is not None:
        place = np.argsort(np.argsort(rows.time, kind="stable"), kind="stable")
        return _within(place * min(TIME_BLOCKS, n) // n, rng)
    return rng.permutation(n)


def how_permuted(rows: Rows) -> tuple[str, int]:
    """In words where a target is permuted, "" for everywhere; and the rows that keep theirs, being alone in a group."""
    if rows.time is not None:
        return "within stretches of time", 0
    if rows.groups is None:
        return "", 0
    groups, first = _numbered(rows.groups)
    if (rows.y[first[groups]] == rows.y).all():
        return "between groups", 0
    return WITHIN_GROUPS, int((np.bincount(groups) == 1).sum())


def first_of_groups(groups: NDArray) -> NDArray[np.int64]:
    """(n,) the first row of the group of each row."""
    numbers, first = _numbered(groups)
    return first[numbers]


def _numbered(groups: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) the groups from 0, and the first row of each."""
    numbers = np.unique(groups, return_inverse=True)[1]
    first = np.zeros(numbers.max() + 1, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return numbers, first


def _within(blocks: NDArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) a permutation within each block."""
    result = np.empty(len(blocks), dtype=np.int64)
    result[np.argsort(blocks, kind="stable")] = np.lexsort((rng.random(len(blocks)), blocks))
    return result
