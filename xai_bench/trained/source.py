"""Rows of a user as a dataset: disjoint parts of them are its draws."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, field_serializer

from xai_bench.component import canonical_json, sha256
from xai_bench.datasets.base import Dataset, DataSource, dataset_of
from xai_bench.datasets.splitting import Fold, Parts, split
from xai_bench.datasets.table import Table

ROLES = 3
"""A part has so many roles, of equal size: rows to compare with, to explain, and to score on."""


class Content:
    """A table as the value of a field, equal to another one of the same content."""

    def __init__(self, table: Table) -> None:
        self.table = table
        facts = [
            list(table.feature_names),
            list(table.inputs),
            list(table.input_names),
            list(table.class_names),
            list(table.feature_shape or ()),
            [table.kind, table.target_name, table.X.shape[1]],
        ]
        content = [facts, sha256(table.X.tobytes()), sha256(table.y.tobytes())]
        self.sha256 = sha256(canonical_json(content))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Content) and other.sha256 == self.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<{len(self.table.X)} rows>"


class RowsOfUser(DataSource):
    """Rows that were handed over. Data seed k is the k-th of ``parts`` disjoint parts of them, drawn at random.

    Of a part, one third are rows to compare with (``X_train``), one third are explained (``X_valid``), and on the rest
    masks are scored (``X_test``). Columns keep their order.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: ClassVar[str] = "rows"

    content: Content
    parts: Annotated[int, Field(ge=1)] = 2

    @field_serializer("content")
    def _told(self, content: Content) -> str:
        return content.sha256

    def draw(self, rng: np.random.Generator) -> Table:
        return self.content.table

    def load(self, data_seed: int, fold: Fold | None = None) -> Dataset:
        table = self.content.table
        rng = np.random.default_rng(self.stream("parts", 0))
        rows = self._dealt(table, np.arange(len(table.y)), data_seed, self.parts, rng)
        within = np.random.default_rng(self.stream("roles", data_seed))
        test = self._dealt(table, rows, 0, ROLES, within)
        rest = np.setdiff1d(rows, test)
        valid = self._dealt(table, rest, 0, ROLES - 1, within)
        return dataset_of(table, Parts(np.setdiff1d(rest, valid), valid, test), np.arange(table.X.shape[1]))

    @staticmethod
    def _dealt(table: Table, rows: Any, number: int, of: int, rng: np.random.Generator) -> Any:
        """Every ``of``-th of the ``rows``, drawn at random, with its share of each class."""
        if of == 1:
            return rows
        return rows[np.sort(split(table.y[rows], table.kind == "classification", Fold(number, of), rng).test)]
