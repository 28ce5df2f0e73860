"""Rules of a few bits or categories, whose best classifiers are found by enumeration."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Ints, Role, Table, Trait
from xai_bench.datasets.inputs import Inputs, with_singles


class States(NamedTuple):
    """Every state of the inputs that can matter, with its probability together with each class.

    Attributes
    ----------
    X : (m, k) their values, the first k columns of the dataset
    chance : (m, c) P(state, class); sums to 1
    """

    X: Ints
    chance: Floats


class Enumerated(DataSource):
    """Rows drawn from ``states``, and ``noise`` fair bits. Subclasses write ``states`` and set ``roles``."""

    roles: ClassVar[tuple[Role, ...]]
    """Of the columns of the states."""
    groups: ClassVar[Inputs] = ()
    blocks: ClassVar[Inputs] = ()
    """Columns of the states that are one input."""
    names: ClassVar[tuple[str, ...]]

    n: int = Field(default=1000, ge=20)
    noise: int = Field(default=10, ge=0)

    @abstractmethod
    def states(self) -> States:
        """All states and their probabilities."""

    def draw(self, rng: np.random.Generator) -> Table:
        states = self.states()
        count = states.chance.shape[1]
        rows, others = rng.spawn(2)
        drawn = rows.choice(states.chance.size, size=self.n, p=states.chance.ravel())
        bits = others.integers(0, 2, (self.n, self.noise))
        noise: Role = "noise"
        return Table(
            X=np.column_stack([states.X[drawn // count], bits]).astype(np.float64),
            y=drawn % count,
            kind="classification",
            truth=GroundTruth((*self.roles, *(noise,) * self.noise), groups=self.groups, blocks=self.blocks),
            inputs=with_singles(self.blocks, states.X.shape[1] + self.noise),
            feature_names=(*self.names, *(f"noise{j + 1}" for j in range(self.noise))),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy of the kept inputs: the likeliest class of every state that they can tell apart."""
        states = self.states()
        kept = states.X[:, mask[: states.X.shape[1]]]
        _, seen = np.unique(kept, axis=0, return_inverse=True)
        together = np.zeros((int(seen.max()) + 1, states.chance.shape[1]))
        np.add.at(together, seen.ravel(), states.chance)
        return min(1.0, float(together.max(1).sum()))


def _bits(count: int) -> Ints:
    """(2^count, count) all settings of ``count`` bits."""
    return (np.arange(2**count)[:, None] >> np.arange(count)[::-1]) & 1


def _with_error(y: Bools, error: float) -> Floats:
    """(m, 2) P(state, class) of equally likely states, whose class is ``y`` but for the share ``error``."""
    right = np.column_stack([~y, y])
    return np.where(right, 1 - error, error) / len(y)


class Corral(Enumerated):
    """y = (a0 and a1) or (b0 and b1), one irrelevant bit and one that equals y with 25 % errors.

    The latter is redundant: predictive, not needed. Source: John, Kohavi, Pfleger, "Irrelevant Features and the
    Subset Selection Problem", ICML 1994. ``noise`` = 0 leaves the published inputs.
    """

    name: ClassVar[str] = "corral"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")
    roles: ClassVar[tuple[Role, ...]] = ("relevant", "relevant", "relevant", "relevant", "noise", "redundant")
    names: ClassVar[tuple[str, ...]] = ("a0", "a1", "b0", "b1", "irrelevant", "correlated")

    def states(self) -> States:
        X = _bits(6)
        y = ((X[:, 0] & X[:, 1]) | (X[:, 2] & X[:, 3])).astype(bool)
        agrees = X[:, 5] == y
        return States(X, np.column_stack([~y, y]) * np.where(agrees, 0.75, 0.25)[:, None] / 32)


CARDINALITIES = (3, 3, 2, 3, 4, 2)
_STARTS = [sum(CARDINALITIES[:i]) for i in range(7)]
ONE_HOT: Inputs = tuple(tuple(range(a, b)) for a, b in itertools.pairwise(_STARTS))


def _monk_roles(*attributes: Role) -> tuple[Role, ...]:
    return tuple(role for role, size in zip(attributes, CARDINALITIES, strict=True) for _ in range(size))


class Monk(Enumerated):
    """Six attributes with 3, 3, 2, 3, 4 and 2 values, one-hot: a block of columns is one attribute.

    Source: Thrun et al., "The MONK's Problems", CMU-CS-91-197, 1991. ``noise`` = 0 leaves the published inputs.
    """

    belongs_to: ClassVar[str] = "monk"
    blocks: ClassVar[Inputs] = ONE_HOT
    names: ClassVar[tuple[str, ...]] = tuple(
        f"a{i + 1}={value + 1}" for i, size in enumerate(CARDINALITIES) for value in range(size)
    )
    error: ClassVar[float] = 0.0
    """Share of wrong labels."""

    @abstractmethod
    def rule(self, a: Ints) -> Bools:
        """The class, given the attributes a (6, m), whose values begin at 1."""

    def states(self) -> States:
        values = np.indices(CARDINALITIES).reshape(6, -1)
        X = np.concatenate([np.eye(size, dtype=int)[v] for size, v in zip(CARDINALITIES, values, strict=True)], axis=1)
        return States(X, _with_error(self.rule(values + 1), self.error))


class Monk1(Monk):
    """y = [a1 = a2 or a5 = 1]; a3, a4 and a6 do not matter."""

    name: ClassVar[str] = "monk1"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting",)
    roles: ClassVar[tuple[Role, ...]] = _monk_roles("relevant", "relevant", "noise", "noise", "relevant", "noise")

    def rule(self, a: Ints) -> Bools:
        return (a[0] == a[1]) | (a[4] == 1)


class Monk2(Monk):
    """y = [exactly two of the six attributes have their first value]; all six matter."""

    name: ClassVar[str] = "monk2"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")
    roles: ClassVar[tuple[Role, ...]] = _monk_roles(
        "relevant", "relevant", "relevant", "relevant", "relevant", "relevant"
    )

    def rule(self, a: Ints) -> Bools:
        return (a == 1).sum(0) == 2


class Monk3(Monk):
    """y = [(a5 = 3 and a4 = 1) or (a5 != 4 and a2 != 3)], 5 % of the labels wrong.

    a4 matters in 2.8 % of the states, below the label noise: negligible.
    """

    name: ClassVar[str] = "monk3"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")
    roles: ClassVar[tuple[Role, ...]] = _monk_roles("noise", "relevant", "noise", "negligible", "relevant", "noise")
    error: ClassVar[float] = 0.05

    def rule(self, a: Ints) -> Bools:
        return ((a[4] == 3) & (a[3] == 1)) | ((a[4] != 4) & (a[1] != 3))


SEGMENTS = (
    "1110111",
    "0010010",
    "1011101",
    "1011011",
    "0111010",
    "1101011",
    "1101111",
    "1010010",
    "1111111",
    "1111011",
)
"""Lit segments of the digits 0 .. 9: top, upper left, upper right, middle, lower left, lower right, bottom."""


class LED(Enumerated):
    """A digit on a display whose seven segments are each wrong in 10 % of the rows, and 17 irrelevant bits.

    Source: Breiman, Friedman, Olshen, Stone, "Classification and Regression Trees", 1984. Best accuracy .740.
    """

    name: ClassVar[str] = "led"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)
    roles: ClassVar[tuple[Role, ...]] = ("relevant",) * 7
    names: ClassVar[tuple[str, ...]] = tuple(f"segment{j + 1}" for j in range(7))

    n: int = Field(default=2000, ge=20)
    noise: int = Field(default=17, ge=0)
    flips: float = Field(default=0.1, ge=0, lt=0.5)

    def states(self) -> States:
        X = _bits(7)
        lit = np.array([[int(segment) for segment in digit] for digit in SEGMENTS])
        wrong = (X[:, None, :] != lit).sum(2)
        return States(X, self.flips**wrong * (1 - self.flips) ** (7 - wrong) / 10)


class BooleanRedundant(Enumerated):
    """y = a xor b, from the columns a, b, a or b, a and b, not a, and noise bits.

    All five are relevant: {a or not-a, b} and {a or b, a and b} are minimal sufficient sets. ``a`` and ``not a``
    are a group. The example is that of Kursa and Rudnicki, "Feature Selection with the Boruta Package", J. Stat.
    Softw. 36(11), 2010.
    """

    name: ClassVar[str] = "boolean_redundant"
    belongs_to: ClassVar[str] = "boolean"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting", "redundant")
    roles: ClassVar[tuple[Role, ...]] = ("relevant",) * 5
    groups: ClassVar[Inputs] = ((0, 4),)
    names: ClassVar[tuple[str, ...]] = ("a", "b", "a_or_b", "a_and_b", "not_a")

    def states(self) -> States:
        a, b = _bits(2).T
        return States(np.column_stack([a, b, a | b, a & b, 1 - a]), _with_error((a ^ b).astype(bool), 0.0))
