"""Classes drawn from a logit of a few Gaussian inputs: the synthetic tasks of L2X and INVASE.

Sources: Chen, Song, Wainwright, Jordan, "Learning to Explain", ICML 2018, arXiv 1802.07814 (L2X); Yoon, Jordon,
van der Schaar, "INVASE: Instance-wise Variable Selection using Neural Networks", ICLR 2019. The inputs are those
of INVASE: x1 x2 for the product, x3 .. x6 for the squares, x7 .. x10 for the sum, x11 for the switch.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Role, Table, Trait

QUANTILES = 512
"""Equally likely values that stand for a distribution in a ceiling."""
SWITCH = 10
"""The column that chooses the rule: x11."""


@dataclass(frozen=True)
class Product:
    """log(P(y=0) / P(y=1)) = x1 x2."""

    inputs: ClassVar[tuple[int, ...]] = (0, 1)

    def log_odds(self, X: Floats) -> Floats:
        return X[:, 0] * X[:, 1]

    def chances(self, mask: Bools) -> Floats:
        """Equally likely values of P(y=0 | kept inputs). One input alone tells nothing, by symmetry."""
        if not mask[:2].all():
            return np.array([0.5])
        x = _normal_quantiles()
        return _thinned(_sigmoid(x[:, None] * x).ravel())


@dataclass(frozen=True)
class Sum:
    """log(P(y=0) / P(y=1)) = constant + the sum of one term of each input, ``first`` and those after it."""

    first: int
    terms: tuple[Callable[[Floats], Floats], ...]
    constant: float

    @property
    def inputs(self) -> tuple[int, ...]:
        """Columns."""
        return tuple(range(self.first, self.first + len(self.terms)))

    def log_odds(self, X: Floats) -> Floats:
        total = np.full(len(X), self.constant)
        for j, term in zip(self.inputs, self.terms, strict=True):
            total += term(X[:, j])
        return total

    def chances(self, mask: Bools) -> Floats:
        """Equally likely values of P(y=0 | kept inputs)."""
        kept = _total([term for j, term in zip(self.inputs, self.terms, strict=True) if mask[j]])
        rest = _total([term for j, term in zip(self.inputs, self.terms, strict=True) if not mask[j]])
        return _sigmoid(kept[:, None] + rest + self.constant).mean(1)


PRODUCT = Product()
SQUARES = Sum(2, (np.square,) * 4, -4.0)
ADDITIVE = Sum(6, (lambda x: -10 * np.sin(0.2 * x), np.abs, lambda x: x, lambda x: np.exp(-x)), -2.4)


class Logit(DataSource):
    """X ~ N(0, I) and P(y=0) = g / (1 + g). Subclasses set ``relevant`` and write ``log_odds`` and ``chances``."""

    belongs_to: ClassVar[str] = "gates"

    n: int = Field(default=4000, ge=20)
    d: int = Field(default=20, ge=2)

    @property
    @abstractmethod
    def relevant(self) -> tuple[int, ...]:
        """Columns, from 0."""

    @abstractmethod
    def log_odds(self, X: Floats) -> Floats:
        """(n,) log g of the rows of X (n, d)."""

    @abstractmethod
    def chances(self, mask: Bools) -> Floats:
        """Equally likely values of P(y=0 | kept inputs)."""

    @model_validator(mode="after")
    def _relevant_inputs_exist(self) -> Self:
        needed = max(self.relevant) + 1
        if self.d < needed:
            raise ValueError(f"expected d >= {needed}, the last input of the rule, got d = {self.d}")
        return self

    def draw(self, rng: np.random.Generator) -> Table:
        inputs, classes = rng.spawn(2)
        X = inputs.normal(size=(self.n, self.d))
        y = classes.random(self.n) >= _sigmoid(self.log_odds(X))
        relevant = self.relevant
        roles: tuple[Role, ...] = tuple("relevant" if j in relevant else "noise" for j in range(self.d))
        return Table(X=X, y=y.astype(np.int64), kind="classification", truth=GroundTruth(roles), target_name="class")

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy of the kept inputs, E max(q, 1 - q) with q = P(y=0 | kept inputs); error below 5e-4."""
        return _accuracy(self, tuple(j for j in self.relevant if mask[j]))


@functools.lru_cache(maxsize=4096)
def _accuracy(source: Logit, kept: tuple[int, ...]) -> float:
    mask = np.zeros(source.d, dtype=bool)
    mask[list(kept)] = True
    chances = source.chances(mask)
    return float(np.maximum(chances, 1 - chances).mean())


class SingleGate(Logit):
    """A rule that is the same in every row. Subclasses set ``gate``."""

    gate: ClassVar[Product | Sum]

    @property
    def relevant(self) -> tuple[int, ...]:
        return self.gate.inputs

    def log_odds(self, X: Floats) -> Floats:
        return self.gate.log_odds(X)

    def chances(self, mask: Bools) -> Floats:
        return self.gate.chances(mask)


class XorGaussian(SingleGate):
    """g = exp(x1 x2): XOR of L2X, Syn1 of INVASE; best accuracy .632."""

    name: ClassVar[str] = "xor_gaussian"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting",)
    gate: ClassVar[Product | Sum] = PRODUCT


class OrangeSkin(SingleGate):
    """g = exp(x3^2 + x4^2 + x5^2 + x6^2 - 4): Syn2 of INVASE; best accuracy .824."""

    name: ClassVar[str] = "orange_skin"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)
    gate: ClassVar[Product | Sum] = SQUARES


class NonlinearAdditive(SingleGate):
    """g = exp(-10 sin(.2 x7) + |x8| + x9 + exp(-x10) - 2.4): Syn3 of INVASE; best accuracy .822.

    The code of L2X has -100 sin(.2 x), which leaves 2 % of the variance to the other three inputs.
    """

    name: ClassVar[str] = "nonlinear_additive"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)
    gate: ClassVar[Product | Sum] = ADDITIVE


class Switch(Logit):
    """One of two rules, chosen by the sign of x11: Syn4, Syn5 and Syn6 of INVASE.

    x11 < 0 takes the product (``variant`` 4, 5) or the squares (6), else the squares (4) or the sum (5, 6).
    """

    name: ClassVar[str] = "switch"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting",)

    variant: Literal[4, 5, 6] = 4

    def declared(self) -> tuple[Trait, ...]:
        return (*self.traits, "marginal") if self.variant == 6 else self.traits

    @property
    def gates(self) -> tuple[Product | Sum, Product | Sum]:
        """The rule for x11 < 0, and that for x11 >= 0."""
        pairs: dict[int, tuple[Product | Sum, Product | Sum]] = {
            4: (PRODUCT, SQUARES),
            5: (PRODUCT, ADDITIVE),
            6: (SQUARES, ADDITIVE),
        }
        return pairs[self.variant]

    @property
    def relevant(self) -> tuple[int, ...]:
        below, above = self.gates
        return (*below.inputs, *above.inputs, SWITCH)

    def log_odds(self, X: Floats) -> Floats:
        below, above = self.gates
        return np.where(X[:, SWITCH] < 0, below.log_odds(X), above.log_odds(X))

    def chances(self, mask: Bools) -> Floats:
        below, above = (gate.chances(mask) for gate in self.gates)
        if mask[SWITCH]:  # both rules stand for half of the rows
            return np.concatenate([np.resize(below, QUANTILES), np.resize(above, QUANTILES)])
        return ((below[:, None] + above) / 2).ravel()


def _sigmoid(x: Floats) -> Floats:
    from scipy.special import expit

    return expit(x)


def _normal_quantiles() -> Floats:
    from scipy.special import ndtri

    return ndtri((np.arange(QUANTILES) + 0.5) / QUANTILES)


def _thinned(values: Floats) -> Floats:
    """``QUANTILES`` means of equally many neighbours, of a multiple of that many values."""
    return np.sort(values).reshape(QUANTILES, -1).mean(1)


def _total(terms: Sequence[Callable[[Floats], Floats]]) -> Floats:
    """Equally likely values of the sum of ``terms`` of independent N(0, 1) inputs; (1,) of 0 without terms."""
    total: Floats = np.zeros(1)
    for term in terms:
        total = _thinned((total[:, None] + term(_normal_quantiles())).ravel())
    return total
