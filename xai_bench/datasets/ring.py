"""Deterministic rules of a few uniform inputs among many that do not matter.

Source: Passemiers et al., arXiv 2304.02383 / Scientific Reports 2024.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Role, Table, Trait

CEILING_GRID = 1 << 20  # points, over all relevant inputs together
PART_STEPS = 512  # along each of the two inputs of one part of a disjunction
SUM_THRESHOLD, SUM_NOISE = 1.4074, 0.2

Part = Callable[[Floats, Floats], Floats | Bools]
"""P(the part says 1) given its two inputs in (0, 1), which broadcast together."""


class UniformRule(DataSource):
    """x ~ U(0, 1)^d, of which the model gets 2x - 1, and y = rule(x); the first inputs are relevant.

    Subclasses set ``relevant`` and write ``rule``.
    """

    relevant: ClassVar[int]
    """How many inputs the rule takes."""

    n: int = Field(default=1000, ge=20)
    d: int = Field(default=20, ge=2)

    @model_validator(mode="after")
    def _relevant_inputs_exist(self) -> Self:
        if self.d < self.relevant:
            raise ValueError(f"expected d >= {self.relevant}, the inputs of the rule, got d = {self.d}")
        return self

    @abstractmethod
    def rule(self, x: Sequence[Floats]) -> Bools:
        """The class. ``x[0]`` is the paper's x1, in (0, 1); the ``relevant`` arrays broadcast together."""

    def labels(self, x: Sequence[Floats], rng: np.random.Generator) -> Bools:
        """(n,) the classes of the rows, with label noise where the dataset has any."""
        return self.rule(x)

    def draw(self, rng: np.random.Generator) -> Table:
        inputs, errors = rng.spawn(2)
        x = inputs.random((self.n, self.d))
        roles: tuple[Role, ...] = tuple("relevant" if j < self.relevant else "noise" for j in range(self.d))
        return Table(
            X=2 * x - 1,
            y=self.labels(list(x.T[: self.relevant]), errors).astype(np.int64),
            kind="classification",
            truth=GroundTruth(roles),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy of the kept inputs: E max(q, 1 - q) with q = P(y = 1 | kept inputs).

        1 with all relevant inputs, as the rule is deterministic; else integrated on the midpoints of a grid
        over the relevant inputs. With two of them the error is below 1e-4.
        """
        kept = mask[: self.relevant]
        if kept.all():
            return 1.0
        steps = int(CEILING_GRID ** (1 / self.relevant)) // 2 * 2  # even: symmetric rules stay symmetric
        midpoints = (np.arange(steps) + 0.5) / steps
        y = self.rule(np.meshgrid(*[midpoints] * self.relevant, indexing="ij", sparse=True))
        share = y.mean(axis=tuple(np.flatnonzero(~kept)))
        return float(np.maximum(share, 1 - share).mean())


class Xor(UniformRule):
    """y = [(x1 - .5)(.5 - x2) >= 0]: either input alone tells nothing."""

    name: ClassVar[str] = "xor"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting",)
    relevant: ClassVar[int] = 2

    def rule(self, x: Sequence[Floats]) -> Bools:
        return in_quadrants(x[0], x[1], 0.0)


class Ring(UniformRule):
    """y = [|sqrt((x1 - .5)^2 + (x2 - .5)^2) - .35| <= .1151]: inside a ring."""

    name: ClassVar[str] = "ring"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")
    relevant: ClassVar[int] = 2

    def rule(self, x: Sequence[Floats]) -> Bools:
        return in_ring(x[0], x[1], 0.1151)


class Disjunction(UniformRule):
    """y = 1 where one of the parts says 1; each part takes two inputs of its own. Subclasses write ``parts``."""

    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """Part i takes x[2i] and x[2i + 1]."""

    def rule(self, x: Sequence[Floats]) -> Bools:
        """The likelier class: the class itself where there is no label noise."""
        silent = np.ones(1)
        for i, part in enumerate(self.parts()):
            silent = silent * (1.0 - part(x[2 * i], x[2 * i + 1]))
        return silent <= 0.5

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy of the kept inputs, E max(q, 1 - q) with q = P(y = 0 | kept inputs).

        The parts are independent, so q is the product of P(part says 0 | its kept inputs), each on a grid of
        midpoints. The error is below 2e-4.
        """
        *others, last = [_silence(part, mask[2 * i : 2 * i + 2]) for i, part in enumerate(self.parts())]
        product, chance = np.ones(1), np.ones(1)
        for values, weights in others:
            product, chance = np.outer(product, values).ravel(), np.outer(chance, weights).ravel()
        values, weights = last
        below = np.searchsorted(values, 0.5 / np.maximum(product, 1e-300))
        mass = np.append(0.0, np.cumsum(weights))
        mean = np.append(0.0, np.cumsum(weights * values))
        best = product * (mean[-1] - 2 * mean[below]) + mass[below]
        return float(chance @ best)


def _silence(part: Part, kept: Bools) -> tuple[Floats, Floats]:
    """Values of P(part says 0 | kept inputs) in ascending order, and their probabilities."""
    midpoints = (np.arange(PART_STEPS) + 0.5) / PART_STEPS
    silent = 1.0 - np.asarray(part(midpoints[:, None], midpoints[None, :]), dtype=np.float64)
    silent = silent.mean(axis=tuple(np.flatnonzero(~kept)))
    values, counts = np.unique(silent.round(12), return_counts=True)
    return values, counts / counts.sum()


class RingXor(Disjunction):
    """y = [|sqrt((x1 - .5)^2 + (x2 - .5)^2) - .35| <= .0704] or [(x3 - .5)(.5 - x4) >= .0337]."""

    name: ClassVar[str] = "ring_xor"
    belongs_to: ClassVar[str] = "ring_xor"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")
    relevant: ClassVar[int] = 4

    def parts(self) -> tuple[Part, ...]:
        return (lambda a, b: in_ring(a, b, 0.0704), lambda a, b: in_quadrants(a, b, 0.0337))


class RingXorSum(Disjunction):
    """y = [in the ring of .0479] or [(x3 - .5)(.5 - x4) >= .0598] or [x5 + x6 + N(0, .2) >= 1.4074].

    The ring is that of x1 and x2 in ``ring_xor``. .2 is the standard deviation; this noise is in the label, so
    that .941 is the best accuracy.
    """

    name: ClassVar[str] = "ring_xor_sum"
    belongs_to: ClassVar[str] = "ring_xor"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")
    relevant: ClassVar[int] = 6

    def parts(self) -> tuple[Part, ...]:
        from scipy.special import ndtr

        return (
            lambda a, b: in_ring(a, b, 0.0479),
            lambda a, b: in_quadrants(a, b, 0.0598),
            lambda a, b: ndtr((a + b - SUM_THRESHOLD) / SUM_NOISE),
        )

    def labels(self, x: Sequence[Floats], rng: np.random.Generator) -> Bools:
        ring, quadrants, _ = self.parts()
        total = x[4] + x[5] + rng.normal(0.0, SUM_NOISE, len(x[4]))
        return (ring(x[0], x[1]) > 0) | (quadrants(x[2], x[3]) > 0) | (total >= SUM_THRESHOLD)


def in_ring(a: Floats, b: Floats, half_width: float) -> Bools:
    """True within ``half_width`` of the circle with centre (.5, .5) and radius .35."""
    return np.abs(np.sqrt((a - 0.5) ** 2 + (b - 0.5) ** 2) - 0.35) <= half_width


def in_quadrants(a: Floats, b: Floats, threshold: float) -> Bools:
    """True in two opposite quadrants around (.5, .5), away from the axes by ``threshold``."""
    return (a - 0.5) * (0.5 - b) >= threshold
