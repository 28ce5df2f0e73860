"""Datasets with or without a known truth: what a suite can name, and one split of one draw of it."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from xai_bench.component import Component, check_memory, sha256, stream_seed
from xai_bench.datasets.arrays import Bools, Floats, Ints
from xai_bench.datasets.inputs import Inputs, each_column, moved, names_of, several_columns, shape_of
from xai_bench.datasets.seeding import seeded_globals
from xai_bench.datasets.splitting import Fold, Parts, split
from xai_bench.datasets.table import Kind, Table, checked
from xai_bench.datasets.truth import GroundTruth, Role, Window
from xai_bench.errors import InputError
from xai_bench.tables.encoding import filled

__all__ = [
    "Bools",
    "DataSource",
    "Dataset",
    "Family",
    "Floats",
    "Fold",
    "GroundTruth",
    "Inputs",
    "Ints",
    "Kind",
    "Role",
    "Table",
    "Trait",
    "Window",
    "in_order",
]

LOADING = 2
"""Part of the identity of every dataset. Raise it when ``DataSource.load`` gives other numbers to all of them."""

Trait = Literal[
    "marginal",  # every relevant input tells something alone
    "interacting",  # what an input tells depends on others
    "redundant",  # several inputs tell the same
    "correlated",  # inputs depend on each other, beyond copies
    "suppressor",  # inputs that tell nothing alone correct others
    "scaled",  # inputs differ much in scale
    "categorical",  # some inputs are several columns
    "picture",
    "regression",
    "wide",  # more columns than training rows
    "no_signal",  # no input is related to the target
    "real",  # measured, no truth
]


class Family(NamedTuple):
    """Datasets of one kind, over which results are averaged before one generalises, and what marks one of them."""

    id: str
    traits: tuple[Trait, ...]


def in_order(traits: Collection[str]) -> tuple[Trait, ...]:
    """These traits, each once, in the order of the vocabulary."""
    return tuple(trait for trait in get_args(Trait) if trait in traits)


@dataclass(frozen=True)
class Dataset:
    """One split of one draw; everything is in the (shuffled) column order of ``X_train``.

    ``permutation[j]`` is the canonical column that stands at position j; results are stored in canonical
    order, see ``canonical`` and ``shuffled``. ``inputs`` are the columns of X that each input has; () stands for one
    column each.
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
    inputs: Inputs = ()
    input_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    target_name: str = "target"
    target_units: str = ""
    target_mean: float = 0.0
    target_std: float = 1.0
    input_mean: Floats | None = None
    input_std: Floats | None = None
    content_hash: str = ""
    notices: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.inputs:
            object.__setattr__(self, "inputs", each_column(self.d))
        if not self.input_names and self.feature_names:
            object.__setattr__(self, "input_names", names_of(self.inputs, self.feature_names))

    @property
    def d(self) -> int:
        """Number of columns."""
        return int(self.X_train.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row, as networks get it: see ``inputs.shape_of``."""
        return shape_of(self.d, self.inputs, self.feature_shape)

    @property
    def canonical_inputs(self) -> Inputs:
        """The canonical columns of each input, in canonical order: that of their first columns."""
        return moved(self.inputs, np.argsort(self.permutation))

    @property
    def input_permutation(self) -> Ints:
        """(n_inputs,) the number in ``canonical_inputs`` of each of ``inputs``."""
        first = np.array([min(self.permutation[list(columns)]) for columns in self.inputs])
        return np.argsort(np.argsort(first))

    def canonical_over_inputs(self, values: NDArray) -> NDArray:
        """``values`` (..., n_inputs) from the order of ``inputs`` to that of ``canonical_inputs``."""
        result = np.empty_like(values)
        result[..., self.input_permutation] = values
        return result

    def shuffled_over_inputs(self, values: NDArray) -> NDArray:
        """``values`` (..., n_inputs) from the order of ``canonical_inputs`` to that of ``inputs``."""
        return np.asarray(values)[..., self.input_permutation]

    def canonical(self, values: NDArray) -> NDArray:
        """``values`` (..., d) from the order of X to canonical order."""
        result = np.empty_like(values)
        result[..., self.permutation] = values
        return result

    def in_canonical_order(self) -> Dataset:
        """The same data with the columns in canonical order."""
        order = np.argsort(self.permutation)
        names = dict(zip(self.inputs, self.input_names, strict=True)) if self.input_names else {}
        inputs = moved(self.inputs, order)
        return replace(
            self,
            X_train=np.ascontiguousarray(self.X_train[:, order]),
            X_valid=np.ascontiguousarray(self.X_valid[:, order]),
            X_test=np.ascontiguousarray(self.X_test[:, order]),
            feature_names=tuple(self.feature_names[j] for j in order),
            feature_units=tuple(self.feature_units[j] for j in order) if self.feature_units else (),
            inputs=inputs,
            input_names=tuple(names[tuple(sorted(int(order[c]) for c in part))] for part in inputs) if names else (),
            permutation=np.arange(self.d),
            truth=self.canonical_truth,
            input_mean=None if self.input_mean is None else self.input_mean[order],
            input_std=None if self.input_std is None else self.input_std[order],
        )

    def in_original_units(self, rows: Floats) -> Floats:
        """Inputs (n, d) as they were before ``standardised``, float64."""
        if self.input_mean is None or self.input_std is None:
            return rows.astype(np.float64)
        return rows * self.input_std + self.input_mean

    @property
    def canonical_truth(self) -> GroundTruth | None:
        """The truth in canonical order."""
        return self.truth.take(np.argsort(self.permutation)) if self.truth else None

    @property
    def truth_over_inputs(self) -> GroundTruth | None:
        """The truth whose items are ``canonical_inputs``, in their order."""
        truth = self.canonical_truth
        return truth.over(self.canonical_inputs) if truth else None

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
    belongs_to: ClassVar[str] = ""
    """The id of its family of datasets; "" if it is one by itself, under its name."""
    traits: ClassVar[tuple[Trait, ...]] = ()
    """What marks it, as far as its fields and a draw do not show it: see ``declared`` and ``family_of``."""
    paired: ClassVar[tuple[str, ...]] = ("n", "truth_seed")
    """Fields that enter no stream of randomness. Sources that differ in these alone have the same rows, as far as both
    have them: those of a smaller ``n`` are the first of a larger one."""
    reads_files: ClassVar[bool] = False
    """The data come from files of the user: a run reads them once before it starts, to find mistakes early."""

    @property
    def label(self) -> str:
        """What a suite calls it if it does not say otherwise."""
        return self.name

    def check_size(self) -> None:
        counts = {name: value for name, value in self if type(value) is int and value > 0 and not name.endswith("seed")}
        rows = counts.pop("n", None) or counts.pop("rows", 0)
        columns = max(sum(counts.values()), 2)  # as d counts, or the kinds of inputs
        check_memory(self.name, f"a table of {rows} rows and about {columns} columns", 8.0 * rows * columns)

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "loading": LOADING}

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Table:
        """Draw (or read) all rows. The base class shuffles, splits and validates.

        ``rng`` belongs to the data seed, the name and the fields that are not ``paired``. Take one of its children
        (``rng.spawn``) for each array that is drawn: then its first rows are the same for every ``n``. Roles must not
        depend on it; grades may.
        """

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float | None:
        """The best possible test score if only the columns in ``mask`` (d,), canonical order, are known.

        Accuracy in classification, R2 in regression; None where it is not known. ``truth`` is that of the draw, in
        canonical order, for sources whose grades vary with the data seed; a source that needs none may write
        ``ceiling(self, mask)``.
        """
        return None

    def best_score(self, mask: Bools, truth: GroundTruth | None) -> float | None:
        """What ``ceiling`` says, of a copy of the mask: what callers use."""
        if len(inspect.signature(self.ceiling).parameters) == 1:
            return self.ceiling(mask.copy())
        return self.ceiling(mask.copy(), truth)

    def error_floor(self) -> float | None:
        """The mean absolute error of a regression, in the units of the target, that the noise leaves to an efficient
        estimator which knows how the data were made; None where it is not known."""
        return None

    def missing(self) -> str | None:
        """Why the data cannot be had on this machine and what to do, or None if they are there."""
        return None

    def stream(self, what: str, data_seed: int) -> int:
        """The seed of one stream of randomness of one draw: of its rows (``data``), its ``columns``, its ``split``.

        It depends on the name and the fields, but not on those that are ``paired``.
        """
        facts = type(self).model_fields
        left_out = {*self.paired, *(name for name in self.later if getattr(self, name) == facts[name].default)}
        return stream_seed(what, data_seed, self.name, self.model_dump(mode="json", exclude=left_out))

    def declared(self) -> tuple[Trait, ...]:
        """``traits``, and those that come with its fields."""
        return self.traits

    def family_of(self, data: Dataset) -> Family:
        """Its family, with the traits that it declares and those that one of its draws shows."""
        roles = set(data.truth.roles) if data.truth else set()
        shown = {
            "redundant": "redundant" in roles or bool(data.truth and data.truth.groups),
            "suppressor": "suppressor" in roles,
            "categorical": bool(several_columns(data.inputs)) and data.feature_shape is None,
            "picture": data.feature_shape is not None,
            "regression": data.kind == "regression",
            "wide": data.d > len(data.y_train),
            "no_signal": roles == {"noise"},
        }
        return Family(
            self.belongs_to or self.name, in_order({*self.declared(), *(t for t, there in shown.items() if there)})
        )

    def load(self, data_seed: int, fold: Fold | None = None) -> Dataset:
        """Draw, check, shuffle the columns (not of pictures) and split the rows 64 / 16 / 20.

        The global random states of numpy, random and torch are seeded meanwhile, and restored.

        Raises
        ------
        InputError
            If the table cannot be used: empty, not finite, one class, or one column.
        """
        absent = self.missing()
        if absent:
            raise InputError(absent)
        with seeded_globals(self.stream("globals", data_seed)):
            table = checked(self.name, self.draw(np.random.default_rng(self.stream("data", data_seed))))
        d, classes = table.X.shape[1], table.kind == "classification"
        order = np.random.default_rng(self.stream("columns", data_seed))
        permutation = np.arange(d) if table.feature_shape else order.permutation(d)
        parts = split(table.y, classes, fold, np.random.default_rng(self.stream("split", data_seed)))
        return dataset_of(table, parts, permutation)


def dataset_of(table: Table, parts: Parts, permutation: Ints) -> Dataset:
    """A checked table with its rows split, and column ``permutation[j]`` at position j."""
    classes = table.kind == "classification"
    X, y = table.X[:, permutation], table.y
    inputs = moved(table.inputs, permutation)
    names = dict(zip(table.inputs, table.input_names, strict=True))
    rows = [X[parts.train], X[parts.valid], X[parts.test]]
    train, valid, test = filled(*rows) if table.holes else rows
    return Dataset(
        X_train=np.ascontiguousarray(train),
        X_valid=np.ascontiguousarray(valid),
        X_test=np.ascontiguousarray(test),
        y_train=y[parts.train],
        y_valid=y[parts.valid],
        y_test=y[parts.test],
        kind=table.kind,
        n_outputs=max(int(y.max()) + 1, len(table.class_names)) if classes else 1,
        feature_names=tuple(table.feature_names[c] for c in permutation),
        feature_units=tuple(table.feature_units[c] for c in permutation) if table.feature_units else (),
        inputs=inputs,
        input_names=tuple(names[tuple(sorted(int(permutation[c]) for c in part))] for part in inputs),
        permutation=permutation,
        truth=table.truth.take(permutation) if table.truth else None,
        feature_shape=table.feature_shape,
        class_names=table.class_names,
        target_name=table.target_name,
        target_units=table.target_units,
        content_hash=sha256(X.tobytes() + y.tobytes()),
        notices=table.notices,
    )
