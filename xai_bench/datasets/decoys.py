"""Real tables with columns that were made up: a method should rank what was measured above them."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from xai_bench.datasets.arrays import Floats
from xai_bench.datasets.base import Dataset, Family, GroundTruth, Role, Table, Trait
from xai_bench.datasets.on_table import OnTable, with_more
from xai_bench.errors import InputError


class Decoys(OnTable):
    """A real table with decoys: columns that are made of noise, or of its own columns, ``share`` of all inputs.

    Source: Cherepanova et al., "A Performance-Driven Benchmark for Feature Selection in Tabular Deep Learning", NeurIPS
    2023, arXiv 2311.05877; columns as in their code. ``random``: N(0, 1). ``corrupted``: x_j / 2 + sd_j N(0, 1) / 2.
    ``second_order``: x_i x_j. i and j are drawn with replacement among the numeric columns, in their own units.

    Nobody knows which columns of a real table are relevant. The measured ones count as relevant, as far as is known;
    random decoys are noise, the others redundant: they tell of the target what the columns that they are made of tell.
    So a perfect method may score below 1, as a measured column may be noise, and a product of two columns may be more
    useful than either: the score is a lower bound. The data seed draws the decoys, the ``rows`` and the split.
    """

    name: ClassVar[str] = "decoys"
    traits: ClassVar[tuple[Trait, ...]] = ("real",)

    of: str = Field(default="breast_cancer", min_length=1)
    """The name of a dataset with its default fields, or ``csv`` for a file."""
    decoys: Literal["random", "corrupted", "second_order"] = "random"
    share: float = Field(default=0.5, gt=0, lt=1)
    """Of the decoys among all inputs: published are .5 and .75."""

    @property
    def label(self) -> str:
        """What a suite calls it if it does not say otherwise."""
        return f"{self.of}_{self.decoys}_{100 * self.share:.3g}"

    def family_of(self, data: Dataset) -> Family:
        """One table is one family, whatever its decoys."""
        return super().family_of(data)._replace(id=f"{self.of} with decoys")

    def made(self, rng: np.random.Generator) -> Table:
        """The rows of the table, with decoys behind its columns.

        Raises
        ------
        InputError
            If there is no numeric column to make a decoy of.
        """
        of_table, chosen, noise = rng.spawn(3)
        table = self.real_table(of_table)
        count = max(1, round(len(table.inputs) * self.share / (1 - self.share)))
        numeric = [part[0] for part in table.inputs if len(part) == 1]
        if not numeric and self.decoys != "random":
            raise InputError(
                f"decoys: expected a table with numeric columns, got none in {self.of!r}: use random decoys"
            )
        decoys, names = self._decoys(
            np.asarray(table.X, dtype=np.float64), numeric, count, table.feature_names, chosen, noise
        )
        role: Role = "noise" if self.decoys == "random" else "redundant"
        d = table.X.shape[1]
        return Table(
            X=np.concatenate([table.X, decoys], axis=1),
            y=table.y,
            kind=table.kind,
            truth=GroundTruth(("relevant",) * d + (role,) * count),
            feature_names=(*table.feature_names, *names),
            feature_units=(*table.feature_units, *[""] * count) if table.feature_units else (),
            inputs=with_more(table.inputs, d, count),
            input_names=(*table.input_names, *names),
            class_names=table.class_names,
            target_name=table.target_name,
            target_units=table.target_units,
            notices=table.notices,
            holes=table.holes,
        )

    def _decoys(
        self,
        X: Floats,
        numeric: list[int],
        count: int,
        names: tuple[str, ...],
        chosen: np.random.Generator,
        noise: np.random.Generator,
    ) -> tuple[Floats, list[str]]:
        """(n, count) decoys, and their names."""
        if self.decoys == "random":
            return noise.normal(size=(len(X), count)), [f"decoy {i + 1}" for i in range(count)]
        first, second = chosen.choice(numeric, count), chosen.choice(numeric, count)
        if self.decoys == "corrupted":
            added = noise.normal(size=(len(X), count)) * np.nanstd(X[:, first], axis=0)
            return (X[:, first] + added) / 2, [f"decoy {i + 1}: {names[j]} and noise" for i, j in enumerate(first)]
        words = [f"decoy {i + 1}: {names[a]} x {names[b]}" for i, (a, b) in enumerate(zip(first, second, strict=True))]
        return X[:, first] * X[:, second], words
