"""Simulated targets on the inputs of a real table that has a name here."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from xai_bench.component import stream_seed
from xai_bench.datasets import rules
from xai_bench.datasets.arrays import Bools
from xai_bench.datasets.base import Dataset, Family, GroundTruth, Kind, Table, Trait
from xai_bench.datasets.on_table import OnTable
from xai_bench.datasets.simulated import stretches, with_noise
from xai_bench.errors import InputError
from xai_bench.tables.encoding import filled


class SimulatedOn(OnTable):
    """The inputs of a real table with a target that depends on a few of them, drawn by ``truth_seed``.

    The rule is that of the dataset ``simulated``, which takes a file: see there for what is relevant, redundant and
    noise. The target of the table is left out. The data seed draws the noise, the ``rows`` and the split; the
    rule and what is redundant are those of the whole table.
    """

    name: ClassVar[str] = "simulated_on"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated",)

    of: str = Field(default="breast_cancer", min_length=1)
    """The name of a dataset with its default fields, or ``csv`` for a file."""
    kind: Kind = "regression"
    order: Literal[1, 2, 3] = 1
    """Inputs that go together: alone, by twos, by threes."""
    relevant: int = Field(default=3, ge=1)
    signal: float = Field(default=0.5, gt=0, le=1)
    """The share of the variance that comes from the inputs; the rest is normal noise."""
    classes: tuple[float, ...] = Field(default=(0.5, 0.5), min_length=2)
    """Shares of the classes, which are stretches of the value, lowest first."""
    truth_seed: int = Field(default=0, ge=0)
    """Draws which inputs are relevant, and how."""

    @property
    def label(self) -> str:
        """What a suite calls it if it does not say otherwise."""
        return f"{self.of}_simulated_{self.order}"

    def family_of(self, data: Dataset) -> Family:
        """One table is one family, whatever the rule."""
        return super().family_of(data)._replace(id=f"{self.of} with simulated targets")

    def declared(self) -> tuple[Trait, ...]:
        return ("marginal" if self.order == 1 else "interacting", *self.traits)

    def made(self, rng: np.random.Generator) -> Table:
        """The rows of the table with a new target.

        Raises
        ------
        InputError
            If fewer inputs vary than are to be relevant.
        """
        of_table, noise = rng.spawn(2)
        table = self.real_table(of_table)
        (full,) = filled(np.asarray(table.X, dtype=np.float64))
        places = rules.Places.of(full, table.inputs)
        of_truth = np.random.default_rng(stream_seed("simulated", self.truth_seed, self.order))
        try:
            relevant = rules.chosen(places, self.relevant, of_truth)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        y = with_noise(rules.values(places, relevant, self.order, of_truth), self.signal, noise)
        return Table(
            X=table.X,
            y=y if self.kind == "regression" else stretches(y, self.classes),
            kind=self.kind,
            truth=rules.truth_of(places, relevant),
            feature_names=table.feature_names,
            feature_units=table.feature_units,
            inputs=table.inputs,
            input_names=table.input_names,
            target_name="simulated target",
            notices=table.notices,
            holes=table.holes,
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float | None:
        """R2 of the rule, where all that it takes is known; that of a part of it is not known."""
        if self.kind != "regression" or truth is None or not mask[truth.relevant].all():
            return None
        return self.signal
