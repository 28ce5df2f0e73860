"""Teacher and student: targets of a random network that reads a few of the inputs.

Source of the setting: Saad and Solla, "Exact Solution for On-Line Learning in Multilayer Neural Networks", Physical
Review Letters 74, 1995; with a student of spectral layers: Giambagli, Buffoni, Chicchi and Fanelli, "How a student
becomes a teacher", NeurIPS 2023, arXiv 2310.12612. Covariances of erf: Williams, "Computing with infinite networks",
NeurIPS 1996.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Role, Table, Trait


class Network(NamedTuple):
    """f(x) = sum_h v_h erf(w_h . x / sqrt 2), of variance 1 for x ~ N(0, I).

    ``weights``: (hidden, p) w_h; ``outer``: (hidden,) v_h.
    """

    weights: Floats
    outer: Floats

    def __call__(self, X: Floats) -> Floats:
        """(n,) of rows X (n, p)."""
        from scipy.special import erf

        return erf(X @ self.weights.T / np.sqrt(2)) @ self.outer

    def explained(self, kept: Bools) -> float:
        """The variance of E[f | kept inputs], ``kept`` (p,).

        Two rows that share the kept inputs have w_h . x and w_k . x' of covariance C_hk, the sum over these inputs of
        w_hj w_kj, and variances Q_hh and Q_kk; then E[erf erf] = (2 / pi) arcsin(C_hk / sqrt((1 + Q_hh) (1 + Q_kk))).
        """
        shared = self.weights[:, kept] @ self.weights[:, kept].T
        scale = np.sqrt(1 + np.square(self.weights).sum(1))
        return float(self.outer @ np.arcsin(shared / np.outer(scale, scale)) @ self.outer * 2 / np.pi)


class Teacher(DataSource):
    """y = f(x) + N(0, noise), x ~ N(0, I), and f a random network of one hidden layer that reads the first inputs.

    Weights are N(0, 1), those of each input scaled to the same length, so that none is negligible by chance; ``gain``
    is the root mean square of what a hidden node is given. f is odd, and has variance 1. The graded truth is the total
    Sobol index, in closed form. The network varies with the data seed, or is that of ``truth_seed``.
    """

    name: ClassVar[str] = "teacher"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")

    n: int = Field(default=2000, ge=20)
    d: int = Field(default=20, ge=2)
    relevant: int = Field(default=5, ge=1)
    """Inputs that the network reads."""
    hidden: int = Field(default=10, ge=1)
    gain: float = Field(default=2.0, gt=0)
    noise: float = Field(default=0.3, ge=0)
    truth_seed: int | None = None

    @model_validator(mode="after")
    def _inputs_exist(self) -> Self:
        if self.d < self.relevant:
            raise ValueError(f"expected relevant <= d, got relevant = {self.relevant} and d = {self.d}")
        return self

    def draw(self, rng: np.random.Generator) -> Table:
        drawn, inputs, errors, others = rng.spawn(4)
        if self.truth_seed is not None:
            drawn = np.random.default_rng(stream_seed("truth", self.truth_seed))
        network = self.network(drawn)
        X = inputs.normal(size=(self.n, self.relevant))
        y = network(X) + self.noise * errors.normal(size=self.n)
        unread = self.d - self.relevant
        roles: tuple[Role, ...] = tuple("relevant" if j < self.relevant else "noise" for j in range(self.d))
        grades = [1 - network.explained(np.arange(self.relevant) != j) for j in range(self.relevant)]
        return Table(
            X=np.column_stack([X, others.normal(size=(self.n, unread))]),
            y=y,
            kind="regression",
            truth=GroundTruth(roles, relevance=np.append(grades, np.zeros(unread))),
        )

    def network(self, rng: np.random.Generator) -> Network:
        """The network that a generator draws."""
        weights, outer = rng.normal(size=(self.hidden, self.relevant)), rng.normal(size=self.hidden)
        lengths = self.gain * np.sqrt(self.hidden / self.relevant)
        weights *= lengths / np.linalg.norm(weights, axis=0)
        everything = np.ones(self.relevant, dtype=bool)
        return Network(weights, outer / np.sqrt(Network(weights, outer).explained(everything)))

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float | None:
        """R2 of E[f | kept inputs]; None where two or more of those that f reads are left out, but not all."""
        left_out = np.flatnonzero(~mask[: self.relevant])
        if len(left_out) == self.relevant:
            return 0.0
        if len(left_out) > 1 or (len(left_out) and (truth is None or truth.relevance is None)):
            return None
        lost = 0.0 if truth is None or truth.relevance is None else float(truth.relevance[left_out].sum())
        return (1 - lost) / (1 + self.noise**2)
