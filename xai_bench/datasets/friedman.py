"""Friedman's three regressions with inputs that do not matter, and exact Sobol indices.

Sources: Friedman, "Multivariate Adaptive Regression Splines", Annals of Statistics 19, 1991; Breiman, "Bagging
Predictors", Machine Learning 24, 1996; ranges and noise are those of scikit-learn's generators. Sobol indices: Sobol
2001, Math. Comput. Simul. 55; Homma and Saltelli 1996, Reliab. Eng. Syst. Saf. 52.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Role, Table, Trait

Function = Callable[..., Floats]
Ranges = tuple[tuple[float, float], ...]


class Friedman(DataSource):
    """Inputs of the published ranges, then U(0, 1) noise inputs; y = f(x) + N(0, noise).

    The graded truth is the total Sobol index: the share of the variance of f that is left, on average, when all
    other inputs are known. Subclasses set the facts below.
    """

    belongs_to: ClassVar[str] = "friedman"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")

    function: ClassVar[Function]
    ranges: ClassVar[Ranges]
    points: ClassVar[int]
    """Gauss-Legendre points along each input."""
    negligible: ClassVar[tuple[int, ...]] = ()

    n: int = Field(default=2000, ge=20)
    d: int = Field(default=20, ge=2)
    noise: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _inputs_exist(self) -> Self:
        if self.d < len(self.ranges):
            raise ValueError(f"expected d >= {len(self.ranges)}, the inputs of the function, got d = {self.d}")
        return self

    def draw(self, rng: np.random.Generator) -> Table:
        used = len(self.ranges)
        inputs, errors, others = rng.spawn(3)
        low, high = np.array(self.ranges).T
        X = inputs.uniform(low, high, (self.n, used))
        y = type(self).function(*X.T) + self.noise * errors.normal(size=self.n)
        roles: tuple[Role, ...] = tuple(
            "noise" if j >= used else "negligible" if j in self.negligible else "relevant" for j in range(self.d)
        )
        graded = np.append(total_sobol(type(self).function, self.ranges, self.points), np.zeros(self.d - used))
        return Table(
            X=np.column_stack([X, others.random((self.n, self.d - used))]),
            y=y,
            kind="regression",
            truth=GroundTruth(roles, relevance=graded),
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """R2 of E[f | kept inputs]: its variance over that of y."""
        used = len(self.ranges)
        explained, variance = explained_variance(type(self).function, self.ranges, self.points, tuple(mask[:used]))
        return explained / (variance + self.noise**2)


def friedman1(a: Floats, b: Floats, c: Floats, d: Floats, e: Floats) -> Floats:
    """10 sin(pi a b) + 20 (c - .5)^2 + 10 d + 5 e."""
    return 10 * np.sin(np.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e


def friedman2(a: Floats, b: Floats, c: Floats, d: Floats) -> Floats:
    """sqrt(a^2 + (b c - 1 / (b d))^2)."""
    return np.sqrt(a**2 + (b * c - 1 / (b * d)) ** 2)


def friedman3(a: Floats, b: Floats, c: Floats, d: Floats) -> Floats:
    """arctan((b c - 1 / (b d)) / a)."""
    return np.arctan((b * c - 1 / (b * d)) / a)


CIRCUIT: Ranges = ((0.0, 100.0), (40 * np.pi, 560 * np.pi), (0.0, 1.0), (1.0, 11.0))


class Friedman1(Friedman):
    """y = 10 sin(pi x1 x2) + 20 (x3 - .5)^2 + 10 x4 + 5 x5 + N(0, 1), all inputs U(0, 1)."""

    name: ClassVar[str] = "friedman1"
    function: ClassVar[Function] = friedman1
    ranges: ClassVar[Ranges] = ((0.0, 1.0),) * 5
    points: ClassVar[int] = 10


class Friedman2(Friedman):
    """y = sqrt(x1^2 + (x2 x3 - 1 / (x2 x4))^2) + N(0, 125), an impedance.

    x1 and x4 hold 6e-4 and 8e-13 of the variance: negligible.
    """

    name: ClassVar[str] = "friedman2"
    function: ClassVar[Function] = friedman2
    ranges: ClassVar[Ranges] = CIRCUIT
    points: ClassVar[int] = 32
    negligible: ClassVar[tuple[int, ...]] = (0, 3)

    noise: float = Field(default=125.0, ge=0)


class Friedman3(Friedman):
    """y = arctan((x2 x3 - 1 / (x2 x4)) / x1) + N(0, .1), a phase.

    x4 holds 3e-10 of the variance: negligible.
    """

    name: ClassVar[str] = "friedman3"
    function: ClassVar[Function] = friedman3
    ranges: ClassVar[Ranges] = CIRCUIT
    points: ClassVar[int] = 32
    negligible: ClassVar[tuple[int, ...]] = (3,)

    noise: float = Field(default=0.1, ge=0)


@functools.cache
def total_sobol(function: Function, ranges: Ranges, points: int) -> Floats:
    """(k,) total Sobol indices of a function of k uniform inputs, by Gauss-Legendre quadrature."""
    values, weights = _on_grid(function, ranges, points)
    variance = _mean((values - _mean(values, weights)) ** 2, weights)
    shares = []
    for axis in range(len(ranges)):
        centre = np.expand_dims(np.tensordot(values, weights, axes=(axis, 0)), axis)
        shares.append(_mean((values - centre) ** 2, weights) / variance)
    total = np.array(shares)
    total.setflags(write=False)
    return total


@functools.cache
def explained_variance(function: Function, ranges: Ranges, points: int, kept: tuple[bool, ...]) -> tuple[float, float]:
    """Variance of E[f | kept inputs], and of f, by the same quadrature."""
    values, weights = _on_grid(function, ranges, points)
    mean = _mean(values, weights)
    variance = _mean((values - mean) ** 2, weights)
    for axis in reversed(range(len(ranges))):
        if not kept[axis]:
            values = np.tensordot(values, weights, axes=(axis, 0))
    return _mean((values - mean) ** 2, weights), variance


def _on_grid(function: Function, ranges: Ranges, points: int) -> tuple[Floats, Floats]:
    """The values (points, ... points) of the function, and the weights (points,) along each input."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    axes = [low + (high - low) * (nodes + 1) / 2 for low, high in ranges]
    return function(*np.meshgrid(*axes, indexing="ij", sparse=True)), weights / 2


def _mean(values: Floats, weights: Floats) -> float:
    for _ in range(np.ndim(values)):
        values = np.tensordot(values, weights, axes=(-1, 0))
    return float(values)
