"""Deterministic rules of a few uniform inputs among many that do not matter.

Source: Passemiers et al., arXiv 2304.02383 / Scientific Reports 2024.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Role, Table

CEILING_GRID = 1 << 20  # points, over all relevant inputs together


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

    def draw(self, rng: np.random.Generator) -> Table:
        x = rng.random((self.n, self.d))
        roles: tuple[Role, ...] = tuple("relevant" if j < self.relevant else "noise" for j in range(self.d))
        return Table(
            X=2 * x - 1,
            y=self.rule(list(x.T[: self.relevant])).astype(np.int64),
            kind="classification",
            truth=GroundTruth(roles),
            target_name="class",
        )

    def ceiling(self, mask: Bools) -> float:
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
    relevant: ClassVar[int] = 2

    def rule(self, x: Sequence[Floats]) -> Bools:
        return (x[0] - 0.5) * (0.5 - x[1]) >= 0


class Ring(UniformRule):
    """y = [|sqrt((x1 - .5)^2 + (x2 - .5)^2) - .35| <= .1151]: inside a ring."""

    name: ClassVar[str] = "ring"
    relevant: ClassVar[int] = 2

    def rule(self, x: Sequence[Floats]) -> Bools:
        return np.abs(np.sqrt((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2) - 0.35) <= 0.1151
