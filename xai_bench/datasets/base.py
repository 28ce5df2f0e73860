"""Datasets with or without a known truth: the types, and the shared work of splitting and shuffling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from xai_bench.component import Component, sha256, stream_seed
from xai_bench.errors import InputError

Kind = Literal["classification", "regression"]
Role = Literal["relevant", "redundant", "suppressor", "negligible", "noise"]
Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

TEST_SHARE = 0.20
VALID_SHARE_OF_REST = 0.20  # 64 / 16 / 20


class Fold(NamedTuple):
    """Fold ``number`` (from 0) of ``of`` consecutive folds: it is the test part."""

    number: int
    of: int


class Window(NamedTuple):
    """A named stretch of inputs, such as the pixels around a spectral line; its largest relevance is its own.

    ``kind`` is the field's word for what it is (metal, telluric ...).
    """

    name: str
    kind: str
    role: Role
    columns: tuple[int, ...]


@dataclass(frozen=True)
class GroundTruth:
    """Which inputs are truly relevant. All indices are columns of the X beside it.

    Attributes
    ----------
    roles : (d,) of Role
        ``relevant``: in some minimal sufficient set. ``redundant``: predictive but not needed.
        ``suppressor``: helps to correct for noise only. ``negligible``: relevant, but below what data can
        show. ``noise``: independent of the target.
    relevance : (d,) float >= 0, or None
        Graded relevance, where the field defines one.
    groups : tuples of columns
        Interchangeable inputs: the best member counts, once.
    blocks : tuples of columns
        Columns of one attribute (one-hot): their relevance is summed.
    resolution : float, or None
        Graded relevance from which an input counts as clearly relevant.
    windows : tuple of Window
        Stretches of inputs that are scored as one, beside the inputs; all of the same number of columns.
    """

    roles: tuple[Role, ...]
    relevance: Floats | None = None
    groups: tuple[tuple[int, ...], ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()
    resolution: float | None = None
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        for role in self.roles:
            if role not in get_args(Role):
                raise InputError(f"unknown role {role!r}: expected one of {', '.join(get_args(Role))}")
        if self.relevance is not None:
            graded = np.asarray(self.relevance, dtype=np.float64)
            if graded.shape != (len(self.roles),) or not np.isfinite(graded).all() or (graded < 0).any():
                raise InputError(
                    f"graded truth: expected {len(self.roles)} finite values >= 0, one for each role, got shape "
                    f"{graded.shape}, lowest {graded.min(initial=0):g}: correct the grades"
                )
            object.__setattr__(self, "relevance", graded)
        for columns in (*self.groups, *self.blocks, *(window.columns for window in self.windows)):
            if any(not 0 <= column < len(self.roles) for column in columns):
                raise InputError(f"truth: expected columns in 0..{len(self.roles) - 1}, got {columns}: correct them")

    @property
    def relevant(self) -> Bools:
        """(d,) True where the role is ``relevant``."""
        return np.array([role == "relevant" for role in self.roles], dtype=bool)

    @property
    def n_relevant(self) -> int:
        return int(self.relevant.sum())

    def take(self, columns: Ints) -> GroundTruth:
        """The truth of ``X[:, columns]`` for a permutation of all columns."""
        position = np.empty(len(columns), dtype=int)
        position[columns] = np.arange(len(columns))
        moved = tuple(tuple(int(position[c]) for c in group) for group in self.groups)
        blocks = tuple(tuple(int(position[c]) for c in block) for block in self.blocks)
        windows = tuple(w._replace(columns=tuple(int(position[c]) for c in w.columns)) for w in self.windows)
        graded = None if self.relevance is None else self.relevance[columns]
        roles = tuple(self.roles[c] for c in columns)
        return replace(self, roles=roles, relevance=graded, groups=moved, blocks=blocks, windows=windows)


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
    class_names : names of the classes, or ()
    notices : lines the user should see
    """

    X: Floats
    y: Floats | Ints
    kind: Kind
    truth: GroundTruth | None = None
    feature_names: tuple[str, ...] = ()
    feature_shape: tuple[int, int] | None = None
    feature_units: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    target_name: str = "target"
    target_units: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """One split of one draw; everything is in the (shuffled) column order of ``X_train``.

    ``permutation[j]`` is the canonical column that stands at position j; results are stored in canonical
    order, see ``canonical`` and ``shuffled``.
    """

    X_train: Floats
    X_valid: Floats
    X_test: Floats
    y_train: Floats | Ints
    y_valid: Floats | Ints
    y_test: Floats | Ints
    kind: Kind
    n_outputs: int
    feature_names: tuple[str, ...]
    permutation: Ints
    truth: GroundTruth | None = None
    feature_shape: tuple[int, int] | None = None
    feature_units: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    target_name: str = "target"
    target_units: str = ""
    target_mean: float = 0.0
    target_std: float = 1.0
    input_mean: Floats | None = None
    input_std: Floats | None = None
    content_hash: str = ""
    notices: tuple[str, ...] = field(default=(), compare=False)

    @property
    def d(self) -> int:
        """Number of inputs."""
        return int(self.X_train.shape[1])

    def canonical(self, values: NDArray) -> NDArray:
        """``values`` (..., d) from the order of X to canonical order."""
        result = np.empty_like(values)
        result[..., self.permutation] = values
        return result

    def in_original_units(self, rows: Floats) -> Floats:
        """Inputs (n, d) as they were before ``standardised``, float64."""
        if self.input_mean is None or self.input_std is None:
            return rows.astype(np.float64)
        return rows * self.input_std + self.input_mean

    @property
    def canonical_truth(self) -> GroundTruth | None:
        """The truth in canonical order."""
        return self.truth.take(np.argsort(self.permutation)) if self.truth else None

    def shuffled(self, values: NDArray) -> NDArray:
        """``values`` (..., d) from canonical order to the order of X."""
        return np.asarray(values)[..., self.permutation]

    def standardised(self) -> Dataset:
        """Inputs and a numeric target with mean 0 and variance 1 on the training rows.

        Constant columns become 0. Pictures keep their values. The scales are kept in ``input_mean``, ``input_std``
        (d,), ``target_mean`` and ``target_std``.
        """
        result = self
        if self.feature_shape is None:
            mean, std = self.X_train.mean(0, dtype=np.float64), self.X_train.std(0, dtype=np.float64)
            constant = np.ptp(self.X_train, axis=0) == 0
            scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, std))
            parts = {
                part: ((getattr(self, part) - mean) * scale).astype(np.float32)
                for part in ("X_train", "X_valid", "X_test")
            }
            result = replace(result, **parts, input_mean=mean, input_std=std)
        if self.kind == "regression":
            centre, spread = float(self.y_train.mean()), float(self.y_train.std()) or 1.0
            targets = {
                part: ((getattr(self, part) - centre) / spread).astype(np.float32)
                for part in ("y_train", "y_valid", "y_test")
            }
            result = replace(result, **targets, target_mean=centre, target_std=spread)
        return result

    def with_permuted_targets(self, rng: np.random.Generator) -> Dataset:
        """The same rows with the targets of each part in another order: no input is related to them."""
        return replace(
            self,
            y_train=rng.permutation(self.y_train),
            y_valid=rng.permutation(self.y_valid),
            y_test=rng.permutation(self.y_test),
        )


class DataSource(Component):
    """A dataset that a suite can name. Subclasses write ``draw``, and ``ceiling`` where it is known."""

    family: ClassVar[str] = "datasets"

    @property
    def label(self) -> str:
        """What a suite calls it if it does not say otherwise."""
        return self.name

    reads_files: ClassVar[bool] = False
    """The data come from files of the user: a run reads them once before it starts, to find mistakes early."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Table:
        """Draw (or read) all rows. The base class shuffles, splits and validates.

        ``rng`` belongs to the data seed. What defines the truth must not depend on it.
        """

    def ceiling(self, mask: Bools) -> float | None:
        """The best possible test score if only the inputs in ``mask`` (d,), canonical order, are known.

        Accuracy in classification, R2 in regression; None where it is not known.
        """
        return None

    def error_floor(self) -> float | None:
        """The mean absolute error of a regression, in the units of the target, that the noise leaves to an efficient
        estimator which knows how the data were made; None where it is not known."""
        return None

    def missing(self) -> str | None:
        """Why the data cannot be had on this machine and what to do, or None if they are there."""
        return None

    def load(self, data_seed: int, fold: Fold | None = None) -> Dataset:
        """Draw, check, shuffle the columns (not of pictures) and split the rows 64 / 16 / 20.

        Raises
        ------
        InputError
            If the table cannot be used: empty, not finite, one class, or one column.
        """
        absent = self.missing()
        if absent:
            raise InputError(absent)
        table = self.draw(np.random.default_rng(stream_seed("data", data_seed)))
        _check(self.name, table)
        X = np.ascontiguousarray(table.X, dtype=np.float32)
        classes = table.kind == "classification"
        y: Floats | Ints = table.y.astype(np.int64) if classes else table.y.astype(np.float32)
        d = X.shape[1]
        rng = np.random.default_rng(stream_seed("split", data_seed))
        permutation = np.arange(d) if table.feature_shape else rng.permutation(d)
        train, valid, test = _split(y, classes, fold, rng)
        X = X[:, permutation]
        names = table.feature_names or tuple(f"x{j + 1}" for j in range(d))
        return Dataset(
            X_train=np.ascontiguousarray(X[train]),
            X_valid=np.ascontiguousarray(X[valid]),
            X_test=np.ascontiguousarray(X[test]),
            y_train=y[train],
            y_valid=y[valid],
            y_test=y[test],
            kind=table.kind,
            n_outputs=int(y.max()) + 1 if classes else 1,
            feature_names=tuple(names[c] for c in permutation),
            feature_units=tuple(table.feature_units[c] for c in permutation) if table.feature_units else (),
            permutation=permutation,
            truth=table.truth.take(permutation) if table.truth else None,
            feature_shape=table.feature_shape,
            class_names=table.class_names,
            target_name=table.target_name,
            target_units=table.target_units,
            content_hash=sha256(X.tobytes() + y.tobytes()),
            notices=table.notices,
        )


def _check(name: str, table: Table) -> None:
    X, y = np.asarray(table.X), np.asarray(table.y)
    if X.ndim != 2 or len(X) != len(y):
        raise InputError(f"{name}: expected X (n, d) and y (n,), got {X.shape} and {y.shape}: correct draw()")
    n, d = X.shape
    if n < 20:
        raise InputError(f"{name}: expected at least 20 rows to split into three parts, got {n}: add rows")
    if d < 2:
        raise InputError(f"{name}: expected at least 2 inputs to rank, got {d}: add columns")
    labels = table.feature_names or tuple(f"x{j + 1}" for j in range(d))
    _check_float32(name, X, [f"column {label!r}" for label in labels])
    _check_float32(name, y[:, None], ["the target"])
    if len(np.unique(y)) < 2:
        what = "class" if table.kind == "classification" else "value"
        raise InputError(f"{name}: expected a target with differences, got one {what} only: choose another target")
    if table.truth and len(table.truth.roles) != d:
        raise InputError(f"{name}: expected {d} roles in the truth, got {len(table.truth.roles)}: correct draw()")


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
    coarse = np.flatnonzero((span > 0) & (np.spacing(largest.astype(np.float32)) > span / 100))
    if len(coarse):
        first = coarse[0]
        raise InputError(
            f"{name}: expected numbers that single precision can tell apart, got {labels[first]} with values up "
            f"to {largest[first]:g} that differ by {span[first]:g} at most: subtract their mean"
        )


def _split(y: NDArray, classes: bool, fold: Fold | None, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Row indices of train, validation and test; classes keep their shares where they are large enough."""
    order = rng.permutation(len(y))
    rest: Ints
    test: Ints
    if fold is not None:
        parts = np.array_split(order, fold.of)
        test = parts[fold.number]
        rest = np.concatenate([part for i, part in enumerate(parts) if i != fold.number])
    else:
        rest, test = _cut(order, y, classes, TEST_SHARE)
    train, valid = _cut(rest, y, classes, VALID_SHARE_OF_REST)
    return train, valid, test


def _cut(rows: Ints, y: NDArray, classes: bool, share: float) -> tuple[Ints, Ints]:
    """Cut the last ``share`` of the (already shuffled) rows off; in classification, of every class."""
    if not classes:
        n = round(len(rows) * (1 - share))
        return rows[:n], rows[n:]
    position = np.empty(len(rows))
    for label in np.unique(y[rows]):
        members = np.flatnonzero(y[rows] == label)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    # Ranking by within-class position gives the exact total; the stable sort keeps the shuffled order.
    by_position = np.argsort(position, kind="stable")
    n = round(len(rows) * (1 - share))
    first, last = np.sort(by_position[:n]), np.sort(by_position[n:])
    return rows[first], rows[last]
