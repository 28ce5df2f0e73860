"""Two Gaussian classes whose relevant inputs are known, with a graded truth.

Source: Chicchi, Buffoni, Febbe, Giambagli, Marino, Fanelli, "Estimating Global Input Relevance and
Enforcing Sparse Representations with a Scalable Spectral Neural Network Approach", arXiv 2406.01183.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Role, Table, Trait


class GaussianIndependent(DataSource):
    """Independent inputs; a relevant one has class means that differ by its gap g ~ U(0, max_gap).

    Both classes are equally likely and have the standard deviation ``sigma``. In the published encoding
    class 0 stands at -0.5 and class 1 at g - 0.5; ``centred`` puts them at -g/2 and +g/2. An input that is
    not relevant has mean 0. The gaps are the graded truth: they vary with the data seed, or are those of
    ``truth_seed``.
    """

    name: ClassVar[str] = "gaussian_independent"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)
    paired: ClassVar[tuple[str, ...]] = ("n", "truth_seed", "centred")

    n: int = Field(default=10_000, ge=20)
    d: int = Field(default=20, ge=2)
    relevant: int = Field(default=11, ge=1)
    sigma: float = Field(default=0.5, gt=0)
    max_gap: float = Field(default=1.4, gt=0)
    truth_seed: int | None = None
    centred: bool = False

    @model_validator(mode="after")
    def _relevant_inputs_exist(self) -> Self:
        if self.relevant > self.d:
            raise ValueError(f"expected relevant <= d, got relevant = {self.relevant} and d = {self.d}")
        return self

    def gaps(self, rng: np.random.Generator | None = None) -> Floats:
        """(d,) distance of the two class means: ``relevant`` random ones, then zeros.

        They are those of ``truth_seed``, or, if there is none, drawn from ``rng``.
        """
        if self.truth_seed is not None:
            rng = np.random.default_rng(stream_seed("truth", self.truth_seed))
        if rng is None:
            raise ValueError(
                f"{self.name}: the gaps vary with the data seed: expected a generator, or the truth of a draw"
            )
        gaps = np.zeros(self.d)
        gaps[: self.relevant] = rng.uniform(0.0, self.max_gap, self.relevant)
        return gaps

    def draw(self, rng: np.random.Generator) -> Table:
        grades, classes, inputs = rng.spawn(3)
        gaps = self.gaps(grades)
        y = classes.integers(0, 2, self.n)
        noise = inputs.normal(0.0, self.sigma, (self.n, self.d))
        shift = -gaps / 2 if self.centred else np.where(np.arange(self.d) < self.relevant, -0.5, 0.0)
        roles: tuple[Role, ...] = tuple("relevant" if j < self.relevant else "noise" for j in range(self.d))
        return Table(
            X=noise + shift + y[:, None] * gaps,
            y=y,
            kind="classification",
            truth=GroundTruth(roles, relevance=gaps, resolution=0.2),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy of the kept inputs: Phi(sqrt(sum g^2) / (2 sigma)).

        The gaps are those of ``truth``, or of ``truth_seed``.
        """
        gaps = self.gaps() if truth is None or truth.relevance is None else truth.relevance[: self.d]
        distance = math.sqrt(float(np.sum(gaps[mask] ** 2))) / self.sigma
        return 0.5 * (1.0 + math.erf(distance / 2 / math.sqrt(2.0)))


class GaussianCorrelated(DataSource):
    """Pairs of inputs of which only the two together tell the classes apart, then noise inputs.

    All inputs are N(0, sigma^2). In class 0 the second of a pair equals the first; in class 1 it is minus
    the first with probability p_m (``flip``), else the first. p_m is the graded truth of both. The classes
    are equally likely.
    """

    name: ClassVar[str] = "gaussian_correlated"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting", "correlated")

    n: int = Field(default=10_000, ge=20)
    flip: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (0.7, 0.8, 0.4, 0.6)
    noise: int = Field(default=2, ge=0)
    sigma: float = Field(default=0.5, gt=0)

    def draw(self, rng: np.random.Generator) -> Table:
        pairs = len(self.flip)
        classes, firsts, coins, others = rng.spawn(4)
        y = classes.integers(0, 2, self.n)
        first = firsts.normal(0.0, self.sigma, (self.n, pairs))
        flipped = (coins.random((self.n, pairs)) < self.flip) & (y[:, None] == 1)
        X = np.empty((self.n, 2 * pairs + self.noise))
        X[:, 0 : 2 * pairs : 2] = first
        X[:, 1 : 2 * pairs : 2] = np.where(flipped, -first, first)
        X[:, 2 * pairs :] = others.normal(0.0, self.sigma, (self.n, self.noise))
        roles: tuple[Role, ...] = tuple("relevant" if j < 2 * pairs else "noise" for j in range(X.shape[1]))
        return Table(
            X=X,
            y=y,
            kind="classification",
            truth=GroundTruth(roles, relevance=np.append(np.repeat(self.flip, 2), np.zeros(self.noise))),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy: class 1 betrays itself by a flip in any pair that is kept whole."""
        unflipped = 1.0 - np.array(self.flip)
        whole = mask[: 2 * len(self.flip)].reshape(-1, 2).all(axis=1)
        return 1.0 - 0.5 * float(np.prod(unflipped, where=whole))
