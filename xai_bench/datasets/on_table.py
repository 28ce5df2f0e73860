"""Datasets that are made of another one: of a real table, whose truth nobody knows."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench import registry
from xai_bench.component import stream_seed
from xai_bench.datasets.base import DataSource, Kind, Table, Trait
from xai_bench.datasets.inputs import Inputs
from xai_bench.datasets.table import LEAST_ROWS, checked
from xai_bench.errors import InputError


class OnTable(DataSource):
    """A dataset that begins with the columns of another one, ``of``: of a dataset without a truth, or of a file."""

    reads_files: ClassVar[bool] = True
    paired: ClassVar[tuple[str, ...]] = ("path", "target", "target_kind", "rows")
    later: ClassVar[tuple[str, ...]] = ("rows", "max_inputs")

    of: str = Field(min_length=1)
    """The name of a dataset with its default fields, such as ``breast_cancer``, or ``csv`` for a file."""
    path: str = ""
    """Of the file, for ``csv``."""
    target: str = ""
    """The column of the file that is predicted."""
    target_kind: Kind = "classification"
    """What the target of the file is."""
    rows: int | None = Field(default=None, ge=LEAST_ROWS)
    """Of the table at the most, drawn by the data seed; None for all."""
    max_inputs: int | None = Field(default=None, ge=2)
    """Of the table at the most, the same for all data seeds; None for all."""

    @model_validator(mode="after")
    def _exists(self) -> Self:
        if (self.of == "csv") != bool(self.path and self.target):
            raise ValueError("expected of = 'csv' with path and target, or of = another dataset without both")
        self.table_source()
        return self

    def table_source(self) -> DataSource:
        """The dataset whose columns these are."""
        of_file = {"path": self.path, "target": self.target, "kind": self.target_kind}
        source = registry.create("datasets", self.of, of_file if self.of == "csv" else {})
        if isinstance(source, OnTable):
            raise InputError(f"of: expected a real table, got {self.of!r}, which is made of one")
        assert isinstance(source, DataSource)
        return source

    def missing(self) -> str | None:
        return self.table_source().missing()

    def fingerprint(self) -> dict[str, Any]:
        """The identity of the dataset that it is made of."""
        return {"of": self.table_source().identity()}

    def identity(self) -> dict[str, Any]:
        identity = super().identity()
        return {**identity, "fields": {key: value for key, value in identity["fields"].items() if key != "path"}}

    def declared(self) -> tuple[Trait, ...]:
        return (*self.traits, *(trait for trait in self.table_source().declared() if trait != "real"))

    @abstractmethod
    def made(self, rng: np.random.Generator) -> Table:
        """The whole dataset, made of ``real_table``.

        Raises
        ------
        InputError
            If it cannot be made of that table.
        """

    def draw(self, rng: np.random.Generator) -> Table:
        """``rows`` of the dataset.

        Raises
        ------
        InputError
            See ``made``.
        """
        table = self.made(rng)
        if self.rows is None or self.rows >= len(table.y):
            return table
        (of_rows,) = rng.spawn(1)
        chosen = of_rows.permutation(len(table.y))[: self.rows]
        return replace(table, X=table.X[chosen], y=table.y[chosen])

    def real_table(self, rng: np.random.Generator) -> Table:
        """All rows of the table, with its names, without pictures and without inputs that are constant on all rows; of
        the others ``max_inputs``.

        Raises
        ------
        InputError
            If its truth is known.
        """
        table = checked(self.of, self.table_source().draw(rng))
        if table.truth is not None:
            raise InputError(f"{self.name}: of: expected a real table, got {self.of!r}, whose truth is known")
        return self._some_inputs(_varying(replace(table, feature_shape=None)))

    def _some_inputs(self, table: Table) -> Table:
        """``max_inputs`` of them; of a smaller number they are a part."""
        count = len(table.inputs)
        if self.max_inputs is None or self.max_inputs >= count:
            return table
        order = np.random.default_rng(stream_seed("inputs", self.of)).permutation(count)
        kept = sorted(order[: self.max_inputs].tolist())
        return _with(table, kept, f"{self.max_inputs} of {count} inputs are taken, the same for all data seeds")


def _varying(table: Table) -> Table:
    """The inputs that vary."""
    moves = np.nanmax(table.X, axis=0) > np.nanmin(table.X, axis=0)
    kept = [i for i, columns in enumerate(table.inputs) if moves[list(columns)].any()]
    left_out = len(table.inputs) - len(kept)
    return _with(table, kept, f"{left_out} inputs are constant on all rows: they are left out") if left_out else table


def _with(table: Table, kept: list[int], notice: str) -> Table:
    """The inputs of those numbers, ascending, and why."""
    columns = [column for i in kept for column in table.inputs[i]]
    inputs, at = list[tuple[int, ...]](), 0
    for i in kept:
        size = len(table.inputs[i])
        inputs.append(tuple(range(at, at + size)))
        at += size
    return replace(
        table,
        X=table.X[:, columns],
        feature_names=tuple(table.feature_names[column] for column in columns),
        feature_units=tuple(table.feature_units[column] for column in columns) if table.feature_units else (),
        inputs=tuple(inputs),
        input_names=tuple(table.input_names[i] for i in kept),
        notices=(*table.notices, notice),
    )


def with_more(inputs: Inputs, d: int, more: int) -> Inputs:
    """A partition of d columns, and ``more`` columns behind them, each an input."""
    return (*inputs, *((d + i,) for i in range(more)))
