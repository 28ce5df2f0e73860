"""Signals among correlated inputs: after Chamma, Engemann and Thirion, and after Mi, Zou, Zou and Hu."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from xai_bench.datasets.base import DataSource, Floats, GroundTruth, Role, Table, Trait

EFFECTS = np.array([-0.5, -1.0, -2.0, -3.0, 0.5, 1.0, 2.0, 3.0])
PATHWAYS = 5
"""Signals of ``Pathways``, each in a block of its own."""


class CorrelatedBlocks(DataSource):
    """N(0, 1) inputs in blocks of ``block`` with the same ``correlation`` within each, some of them signals.

    The ``signals`` first columns are relevant. Which columns share a block is drawn with the data seed, and so are the
    effects, from +-.5, +-1, +-2, +-3. ``rule``: the target is the sum of effect times input over the signals
    (``linear``), of effect times product over their pairs (``interactions``), or of both (``both``), plus N(0, s^2), s
    being the expected root mean square of that sum over ``snr``; ``relu`` is the linear target cut off at 0;
    ``classes`` draws two classes from the logistic function of the linear sum, without noise.

    The other inputs have the role noise: given the signals the target does not depend on them. Most are correlated with
    signals, so that a test of each input alone should find them.

    Source: Chamma, Engemann, Thirion, "Statistically Valid Variable Importance Assessment through Conditional
    Permutations", NeurIPS 2023, arXiv 2309.07593. There s is that of the rows drawn, here its expectation.
    """

    name: ClassVar[str] = "correlated_blocks"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated",)

    n: int = Field(default=1000, ge=20)
    d: int = Field(default=50, ge=2)
    signals: int = Field(default=20, ge=2)
    block: int = Field(default=5, ge=1)
    correlation: float = Field(default=0.8, ge=0, lt=1)
    rule: Literal["linear", "interactions", "both", "relu", "classes"] = "linear"
    snr: float = Field(default=4.0, gt=0)

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if self.signals > self.d:
            raise ValueError(f"expected signals <= d, got signals = {self.signals} and d = {self.d}")
        if self.d % self.block:
            raise ValueError(f"expected d in whole blocks, got d = {self.d} and block = {self.block}")
        return self

    def declared(self) -> tuple[Trait, ...]:
        kinds: tuple[Trait, ...] = {
            "interactions": ("interacting",),
            "both": ("marginal", "interacting"),
        }.get(self.rule, ("marginal",))  # type: ignore[assignment]
        return (*self.traits, *kinds)

    def draw(self, rng: np.random.Generator) -> Table:
        places, effects, products, shared, own, errors = rng.spawn(6)
        member = places.permutation(self.d) // self.block
        of_input = effects.choice(EFFECTS, self.signals)
        of_pair = np.triu(products.choice(EFFECTS, (self.signals, self.signals)), 1)
        if self.rule == "interactions":
            of_input = np.zeros(self.signals)
        elif self.rule != "both":
            of_pair = np.zeros_like(of_pair)
        common = shared.normal(size=(self.n, self.d // self.block))[:, member]
        X = math.sqrt(self.correlation) * common
        X += math.sqrt(1 - self.correlation) * own.normal(size=(self.n, self.d))
        used = X[:, : self.signals]
        signal = used @ of_input + np.einsum("ni,ij,nj->n", used, of_pair, used, optimize=True)
        y, kind = self._target(signal, self.size(of_input, of_pair, member), errors)
        roles: tuple[Role, ...] = tuple("relevant" if j < self.signals else "noise" for j in range(self.d))
        return Table(
            X=X, y=y, kind=kind, truth=GroundTruth(roles), target_name="class" if kind != "regression" else "y"
        )

    def _target(
        self, signal: Floats, size: float, errors: np.random.Generator
    ) -> tuple[NDArray, Literal["classification", "regression"]]:
        if self.rule == "classes":
            from scipy.special import expit

            return (errors.random(self.n) < expit(signal)).astype(np.int64), "classification"
        y = signal + size / self.snr * errors.normal(size=self.n)
        return np.maximum(y, 0.0) if self.rule == "relu" else y, "regression"

    def size(self, of_input: Floats, of_pair: Floats, member: NDArray[np.integer]) -> float:
        """The expected root mean square of the sum.

        Parameters
        ----------
        of_input, of_pair : effects (signals,), and (signals, signals) above the diagonal
        member : (d,) the block of every column

        With S the covariance and A the symmetric half of the effects of pairs: b'Sb + 2 tr(ASAS) + tr(AS)^2, the second
        moment of a linear and a quadratic form of normal inputs, which do not correlate (Isserlis 1918).
        """
        same = member[: self.signals, None] == member[: self.signals]
        covariance = np.where(same, self.correlation, 0.0)
        np.fill_diagonal(covariance, 1.0)
        form = (of_pair + of_pair.T) / 2 @ covariance
        return math.sqrt(float(of_input @ covariance @ of_input + 2 * np.trace(form @ form) + np.trace(form) ** 2))


class Pathways(DataSource):
    """N(0, 1) inputs in blocks of ``block`` with the same ``correlation`` within each; the first five have a signal.

    y = x1 + 2 log(1 + 2 x2^2 + (x3 + 1)^2) + x4 x5 + N(0, 1), of a signal x1 .. x5 from each of five blocks. The other
    inputs have the role noise: those of the same five blocks are correlated with a signal, all further ones with none.
    In canonical order the signals come first, then their neighbours, then the rest.

    Source: Mi, Zou, Zou, Hu, "Permutation-based identification of important biomarkers for complex diseases via machine
    learning models", Nat. Commun. 12:3008, 2021 (PermFIT), where the blocks are called pathways.
    """

    name: ClassVar[str] = "pathways"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting", "correlated")

    n: int = Field(default=300, ge=20)
    d: int = Field(default=100, ge=5)
    block: int = Field(default=10, ge=1)
    correlation: float = Field(default=0.5, ge=0, lt=1)

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if self.d % self.block or self.d < PATHWAYS * self.block:
            raise ValueError(
                f"expected d in whole blocks, at least {PATHWAYS} of them, got d = {self.d} and block = {self.block}"
            )
        return self

    def draw(self, rng: np.random.Generator) -> Table:
        shared, own, errors = rng.spawn(3)
        common = shared.normal(size=(self.n, self.d // self.block))[:, self.member()]
        X = math.sqrt(self.correlation) * common
        X += math.sqrt(1 - self.correlation) * own.normal(size=(self.n, self.d))
        y = X[:, 0] + 2 * np.log(1 + 2 * X[:, 1] ** 2 + (X[:, 2] + 1) ** 2) + X[:, 3] * X[:, 4]
        y += errors.normal(size=self.n)
        roles: tuple[Role, ...] = tuple("relevant" if j < PATHWAYS else "noise" for j in range(self.d))
        return Table(X=X, y=y, kind="regression", truth=GroundTruth(roles), target_name="y")

    def member(self) -> NDArray[np.integer]:
        """(d,) the block of every column."""
        neighbours = np.repeat(np.arange(PATHWAYS), self.block - 1)
        rest = np.repeat(np.arange(PATHWAYS, self.d // self.block), self.block)
        return np.concatenate([np.arange(PATHWAYS), neighbours, rest])
