"""Real inputs, simulated targets: the truth is known under the correlations that the inputs have."""

from __future__ import annotations

import itertools
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.component import stream_seed
from xai_bench.datasets import rules
from xai_bench.datasets.arrays import Bools, Floats, Ints
from xai_bench.datasets.base import GroundTruth, Kind, Table, Trait
from xai_bench.datasets.inputs import Inputs, names_of, partition
from xai_bench.datasets.tables import Frame, UserTable
from xai_bench.errors import InputError
from xai_bench.tables.encoding import Encoded, filled


class Simulated(UserTable):
    """The rows of a table of yours with a target that depends on a few of its inputs, drawn by ``truth_seed``.

    Inputs are encoded as those of ``csv``, and ``target``, if it is named, is left out with its copies. ``order`` 1:
    each relevant input adds a curve of its own. 2 or 3: so many at a time add, half and half, the sum and the product
    of their values. Values are taken by their ranks, so that no outlier decides. An input with a rank correlation of .8
    or more with a relevant one is redundant; from .95 on the better of the two counts. All other inputs are noise: the
    rule does not use them, although they may be correlated with what it uses. The data seed draws the noise and the
    split.
    """

    name: ClassVar[str] = "simulated"
    version: ClassVar[int] = 2
    paired: ClassVar[tuple[str, ...]] = ("path", "target", "drop", "keep", "missing_codes", "inputs")

    target: str | None = None
    """A column that is no input, as its place is taken by the simulated target."""
    kind: Kind = "regression"
    order: Literal[1, 2, 3] = 1
    relevant: int = Field(default=3, ge=1)
    signal: float = Field(default=0.5, gt=0, le=1)
    """The share of the variance that comes from the inputs; the rest is normal noise."""
    classes: tuple[float, ...] = (0.5, 0.5)
    """Shares of the classes, which are stretches of the value, lowest first."""
    truth_seed: int = Field(default=0, ge=0)
    """Draws which inputs are relevant, and how."""
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    """Columns that are used although they look like an identifier, or like a copy of the target."""
    missing_codes: tuple[float, ...] = ()
    """Numbers that stand for a missing value, such as -999."""
    inputs: tuple[tuple[int, ...], ...] = ()
    """The columns of each input of a DataFrame that holds numbers already, and is taken as it is; () for a table that
    is read and encoded."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.classes) < 2 or min(self.classes) <= 0:
            raise ValueError(f"classes: expected shares above 0 of two classes or more, got {list(self.classes)}")
        if self.inputs and not isinstance(self.path, Frame):
            raise ValueError("inputs: expected a DataFrame of numbers with it, got a file: leave inputs out")
        return self

    def declared(self) -> tuple[Trait, ...]:
        return ("marginal" if self.order == 1 else "interacting", "correlated")

    def draw(self, rng: np.random.Generator) -> Table:
        """The rows of the table with a new target.

        Raises
        ------
        InputError
            If the table cannot be read, or fewer inputs vary than are to be relevant.
        """
        encoded, notices = self._encoded()
        (full,) = filled(encoded.X)
        places = rules.Places.of(full, encoded.inputs)
        of_truth = np.random.default_rng(stream_seed("simulated", self.truth_seed, self.order))
        try:
            relevant = rules.chosen(places, self.relevant, of_truth)
        except InputError as error:
            raise InputError(f"simulated: {error}") from None
        said = rules.values(places, relevant, self.order, of_truth)
        y = with_noise(said, self.signal, rng)
        return Table(
            X=encoded.X,
            y=y if self.kind == "regression" else stretches(y, self.classes),
            kind=self.kind,
            truth=rules.truth_of(places, relevant),
            feature_names=encoded.names,
            feature_units=encoded.units,
            inputs=encoded.inputs,
            input_names=encoded.input_names,
            target_name="simulated target",
            notices=notices,
            holes=True,
        )

    def _encoded(self) -> tuple[Encoded, tuple[str, ...]]:
        if not self.inputs:
            found = self.read(self.target, None, self.drop, self.keep, self.missing_codes)
            return found.encoded, tuple(f"simulated: {line}" for line in found.notices)
        assert isinstance(self.path, Frame)
        X = self.path.frame.to_numpy(dtype=np.float64)
        inputs: Inputs = partition(self.inputs, X.shape[1])
        names = tuple(str(name) for name in self.path.frame.columns)
        return Encoded(X, names, (), inputs, names_of(inputs, names)), ()

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float | None:
        """R2 of the rule, where all that it takes is known; that of a part of it is not known."""
        if self.kind != "regression" or truth is None or not mask[truth.relevant].all():
            return None
        return self.signal


def with_noise(said: Floats, signal: float, rng: np.random.Generator) -> Floats:
    """(n,) what inputs say, of variance 1, and normal noise: ``signal`` is the share of the former in the variance."""
    return np.sqrt(signal) * said + np.sqrt(1 - signal) * rng.normal(size=len(said))


def stretches(values: Floats, shares: tuple[float, ...]) -> Ints:
    """(n,) classes 0, 1, ... of ``values`` (n,): the lowest ones, the next ones; as large as their shares."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    ends = np.array(list(itertools.accumulate(shares)))
    return np.searchsorted(ends[:-1] / ends[-1], (order + 0.5) / len(values), side="right")
