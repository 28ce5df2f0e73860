"""Classification tasks with a known truth from the literature on feature selection, and traps for pipelines."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Bools, DataSource, Floats, GroundTruth, Ints, Role, Table, Trait
from xai_bench.datasets.gaussian import GaussianIndependent


class Madelon(DataSource):
    """Clusters on the corners of a hypercube, their linear combinations, copies of inputs, and noise.

    Columns: ``informative`` ones (relevant), ``redundant`` random linear combinations of them, ``repeated`` copies
    of the informative ones in turn (a group with their original), N(0, 1) noise. The classes of ``flip`` of the
    rows are drawn anew. Corners, shapes of the clusters and combinations vary with the data seed, or are those of
    ``truth_seed``. Source: Guyon, "Design of experiments of the NIPS 2003 variable selection benchmark", 2003, as
    scikit-learn's ``make_classification`` without shifts and scales, but for the sizes of the clusters: the cluster of
    every row is drawn.
    """

    name: ClassVar[str] = "madelon"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting", "redundant")

    n: int = Field(default=2600, ge=20)
    d: int = Field(default=500, ge=2)
    informative: int = Field(default=5, ge=2)
    redundant: int = Field(default=10, ge=0)
    repeated: int = Field(default=5, ge=0)
    clusters: int = Field(default=2, ge=1)
    separation: float = Field(default=1.0, gt=0)
    flip: float = Field(default=0.01, ge=0, lt=1)
    truth_seed: int | None = None

    @model_validator(mode="after")
    def _inputs_fit(self) -> Self:
        needed = self.informative + self.redundant + self.repeated
        if self.d < needed:
            raise ValueError(f"expected d >= {needed}, informative + redundant + repeated, got d = {self.d}")
        if 2 * self.clusters > 2**self.informative:
            raise ValueError(
                f"expected 2 clusters <= 2^informative, the corners, got clusters = {self.clusters} and "
                f"informative = {self.informative}"
            )
        return self

    def draw(self, rng: np.random.Generator) -> Table:
        shape, clusters, inputs, flips, others = rng.spawn(5)
        if self.truth_seed is not None:
            shape = np.random.default_rng(stream_seed("truth", self.truth_seed))
        centres, stretched, combined = self.shapes(shape)
        cluster = clusters.integers(0, len(centres), self.n)
        within = inputs.normal(size=(self.n, self.informative))
        used = centres[cluster]
        for number, matrix in enumerate(stretched):
            used[cluster == number] += within[cluster == number] @ matrix
        anew, drawn = flips.random((self.n, 2)).T
        y = np.where(anew < self.flip, drawn < 0.5, cluster % 2).astype(np.int64)
        first = self.informative + self.redundant
        originals = np.arange(self.repeated) % self.informative
        copies, needed = first + np.arange(self.repeated), first + self.repeated
        groups = [(j, *(int(c) for c in copies[originals == j])) for j in range(self.informative)]
        counts: dict[Role, int] = {"relevant": self.informative, "redundant": self.redundant}
        roles: list[Role] = [role for role, count in counts.items() for _ in range(count)]
        roles += ["relevant" for _ in copies]
        roles += ["noise" for _ in range(self.d - len(roles))]
        return Table(
            X=np.column_stack(
                [used, used @ combined, used[:, originals], others.normal(size=(self.n, self.d - needed))]
            ),
            y=y,
            kind="classification",
            truth=GroundTruth(tuple(roles), groups=tuple(group for group in groups if len(group) > 1)),
            target_name="class",
        )

    def shapes(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Centres (clusters, informative), what N(0, I) is multiplied by in each cluster, and the combinations.

        The second is (clusters, informative, informative), the third (informative, redundant). Cluster i is in class
        i mod 2.
        """
        count, short = 2 * self.clusters, min(self.informative, 30)
        corners = rng.choice(2**short, count, replace=False)
        bits = np.column_stack(
            [corners[:, None] >> np.arange(short) & 1, rng.integers(0, 2, (count, self.informative - short))]
        )
        stretched = rng.uniform(-1, 1, (count, self.informative, self.informative))
        return self.separation * (2.0 * bits - 1), stretched, rng.uniform(-1, 1, (self.informative, self.redundant))


class TwoMoonsNoise(DataSource):
    """Two interleaved half circles in the first two inputs, and N(0, 1) noise inputs.

    scikit-learn's ``make_moons`` with Gaussian noise of standard deviation ``spread``, but class and place on the moon
    are drawn for every row. Source: Yamada, Lindenbaum, Negahban, Kluger, "Feature Selection using Stochastic Gates",
    ICML 2020, arXiv 1810.04247.
    """

    name: ClassVar[str] = "two_moons_noise"
    belongs_to: ClassVar[str] = "moons"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")

    n: int = Field(default=1000, ge=20)
    d: int = Field(default=20, ge=2)
    spread: float = Field(default=0.1, ge=0.02)

    def draw(self, rng: np.random.Generator) -> Table:
        classes, places, errors, others = rng.spawn(4)
        y = classes.integers(0, 2, self.n)
        at = np.column_stack(moons(places.uniform(0, np.pi, self.n), y))
        roles: tuple[Role, ...] = tuple("relevant" if j < 2 else "noise" for j in range(self.d))
        return Table(
            X=np.column_stack(
                [at + errors.normal(0.0, self.spread, at.shape), others.normal(size=(self.n, self.d - 2))]
            ),
            y=y,
            kind="classification",
            truth=GroundTruth(roles),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy: the larger of the two densities, integrated on a grid; error below 1e-4."""
        arc = np.pi * (np.arange(1000) + 0.5) / 1000
        axes = (_covering(-1, 2, self.spread), _covering(-0.5, 1, self.spread))
        joint = []
        for label in (0, 1):
            places = moons(arc, np.full(len(arc), label))
            across, up = (_normal_shares(axis, at, self.spread) for axis, at in zip(axes, places, strict=True))
            joint.append(across @ up.T / len(arc))
        density = np.stack(joint).sum(axis=tuple(1 + np.flatnonzero(~mask[:2])))
        return float(density.max(0).sum() / density.sum())


def moons(angle: Floats, y: Ints) -> tuple[Floats, Floats]:
    """The two coordinates (n,) at the angles (n,), 0 to pi, of the half circles 0 and 1 in y (n,)."""
    return np.where(y, 1 - np.cos(angle), np.cos(angle)), np.where(y, 0.5 - np.sin(angle), np.sin(angle))


def _covering(low: float, high: float, spread: float) -> Floats:
    """A grid with steps of spread / 4 that reaches six times ``spread`` further than low and high."""
    return np.arange(low - 6 * spread, high + 6 * spread, spread / 4)


def _normal_shares(grid: Floats, centres: Floats, spread: float) -> Floats:
    """(grid, centres) Gaussian densities that sum to 1 over the grid."""
    density = np.exp(-0.5 * ((grid[:, None] - centres) / spread) ** 2)
    return density / density.sum(0)


class Suppressor(DataSource):
    """x = l1 a z + l2 b eta + l3 noise: inputs in b and not in a tell nothing alone, but correct the others.

    z = +-1 is the class, eta and the noise are N(0, 1). The signal's pattern a is 1 on the first ``signal`` inputs;
    the distractor's pattern b is 1 on the last ``overlap`` of these and on the ``suppressors`` after them. (l1, l2,
    l3) = ``strengths``. Sources: Haufe et al., NeuroImage 87, 2014; Wilming, Budding, Müller, Haufe, "Scrutinizing XAI
    using linear ground-truth data with suppressor variables", Machine Learning 111, 2022, arXiv 2111.07473.
    """

    name: ClassVar[str] = "suppressor"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "correlated")

    n: int = Field(default=2000, ge=20)
    d: int = Field(default=20, ge=2)
    signal: int = Field(default=6, ge=1)
    overlap: int = Field(default=3, ge=1)
    suppressors: int = Field(default=4, ge=1)
    strengths: tuple[float, float, float] = (0.5, 1.0, 1.0)

    @model_validator(mode="after")
    def _patterns_fit(self) -> Self:
        if self.overlap > self.signal:
            raise ValueError(f"expected overlap <= signal, got {self.overlap} and {self.signal}")
        if self.signal + self.suppressors > self.d:
            raise ValueError(
                f"expected signal + suppressors <= d, got {self.signal} + {self.suppressors} and d = {self.d}"
            )
        if min(self.strengths) <= 0:
            raise ValueError(f"expected strengths > 0, got {self.strengths}")
        return self

    def patterns(self) -> tuple[Floats, Floats]:
        """(d,) a and (d,) b."""
        j = np.arange(self.d)
        distractor = (j >= self.signal - self.overlap) & (j < self.signal + self.suppressors)
        return (j < self.signal).astype(float), distractor.astype(float)

    def draw(self, rng: np.random.Generator) -> Table:
        a, b = self.patterns()
        classes, distractors, errors = rng.spawn(3)
        y = classes.integers(0, 2, self.n)
        eta = distractors.normal(size=self.n)
        noise = errors.normal(size=(self.n, self.d))
        signal, distractor, white = self.strengths
        roles: tuple[Role, ...] = tuple(
            "relevant" if in_a else "suppressor" if in_b else "noise" for in_a, in_b in zip(a, b, strict=True)
        )
        return Table(
            X=signal * np.outer(2 * y - 1, a) + distractor * np.outer(eta, b) + white * noise,
            y=y,
            kind="classification",
            truth=GroundTruth(roles),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy of the kept inputs: Phi(l1 sqrt(a' S^-1 a)) with S = l2^2 b b' + l3^2 I."""
        a, b = (pattern[mask] for pattern in self.patterns())
        signal, distractor, white = self.strengths
        ratio = (distractor / white) ** 2
        # Sherman and Morrison: the inverse of I + ratio b b'.
        length = float(a @ a - ratio * (a @ b) ** 2 / (1 + ratio * (b @ b)))
        return _normal_cdf(signal / white * math.sqrt(length))


class Scaled(GaussianIndependent):
    """``gaussian_independent``, one relevant input multiplied by 1e-2 and one noise input by 1e2.

    Units carry no information: whoever ranks by the raw scale of an input puts the second first. The relevant one
    is that with the largest gap, the noise input the last. The graded truth is in the units before the scaling.
    """

    name: ClassVar[str] = "scaled"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "scaled")

    n: int = Field(default=4000, ge=20)
    centred: bool = True

    @model_validator(mode="after")
    def _there_is_noise(self) -> Self:
        if self.relevant >= self.d:
            raise ValueError(
                f"expected relevant < d, for an input of noise, got relevant = {self.relevant} and d = {self.d}"
            )
        return self

    def scales(self, gaps: Floats) -> Floats:
        """(d,) what the inputs with these gaps (d,) are multiplied by."""
        scales = np.ones(self.d)
        scales[int(gaps.argmax())] = 1e-2
        scales[-1] = 1e2
        return scales

    def draw(self, rng: np.random.Generator) -> Table:
        table = super().draw(rng)
        assert table.truth is not None
        assert table.truth.relevance is not None
        return replace(table, X=table.X * self.scales(table.truth.relevance))


class Duplicated(GaussianIndependent):
    """``gaussian_independent`` with exact copies of relevant inputs behind the others.

    The first ``copies`` inputs are there twice; an input and its copy are a group. ``d`` counts the different inputs.
    """

    name: ClassVar[str] = "duplicated"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)

    n: int = Field(default=4000, ge=20)
    centred: bool = True
    copies: int = Field(default=5, ge=1)

    @model_validator(mode="after")
    def _copies_are_of_relevant_inputs(self) -> Self:
        if self.copies > self.relevant:
            raise ValueError(f"expected copies <= relevant, got {self.copies} and {self.relevant}")
        return self

    def draw(self, rng: np.random.Generator) -> Table:
        table = super().draw(rng)
        assert table.truth is not None
        assert table.truth.relevance is not None
        gaps = table.truth.relevance
        roles: tuple[Role, ...] = tuple("relevant" if j < self.relevant else "noise" for j in range(self.d))
        truth = GroundTruth(
            (*roles, *roles[: self.copies]),
            relevance=np.append(gaps, gaps[: self.copies]),
            groups=tuple((j, self.d + j) for j in range(self.copies)),
            resolution=table.truth.resolution,
        )
        names = tuple(f"x{j + 1}" for j in range(self.d)) + tuple(f"copy_of_x{j + 1}" for j in range(self.copies))
        return replace(table, X=np.column_stack([table.X, table.X[:, : self.copies]]), truth=truth, feature_names=names)

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy: a copy is as good as its original."""
        known = mask[: self.d].copy()
        known[: self.copies] |= mask[self.d :]
        return super().ceiling(known, truth)


class Null(DataSource):
    """X ~ N(0, I) and a class that does not depend on it: whatever a method finds here is a false positive."""

    name: ClassVar[str] = "null"

    n: int = Field(default=1000, ge=20)
    d: int = Field(default=20, ge=2)

    def draw(self, rng: np.random.Generator) -> Table:
        noise: Role = "noise"
        inputs, classes = rng.spawn(2)
        return Table(
            X=inputs.normal(size=(self.n, self.d)),
            y=classes.integers(0, 2, self.n),
            kind="classification",
            truth=GroundTruth((noise,) * self.d),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """1/2."""
        return 0.5


class LinearSparse(DataSource):
    """y = [the sum of ten N(0, 1) inputs + N(0, 1) >= 0], among a thousand inputs."""

    name: ClassVar[str] = "linear_sparse"
    belongs_to: ClassVar[str] = "linear"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)

    n: int = Field(default=2000, ge=20)
    d: int = Field(default=1000, ge=2)
    relevant: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _relevant_inputs_exist(self) -> Self:
        if self.relevant > self.d:
            raise ValueError(f"expected relevant <= d, got relevant = {self.relevant} and d = {self.d}")
        return self

    def draw(self, rng: np.random.Generator) -> Table:
        inputs, errors = rng.spawn(2)
        X = inputs.normal(size=(self.n, self.d))
        total = X[:, : self.relevant].sum(1) + errors.normal(size=self.n)
        roles: tuple[Role, ...] = tuple("relevant" if j < self.relevant else "noise" for j in range(self.d))
        return Table(
            X=X,
            y=(total >= 0).astype(np.int64),
            kind="classification",
            truth=GroundTruth(roles),
            target_name="class",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """Bayes accuracy of k kept relevant inputs: 1/2 + arcsin(sqrt(k / (relevant + 1))) / pi (Sheppard)."""
        kept = int(mask[: self.relevant].sum())
        return 0.5 + math.asin(math.sqrt(kept / (self.relevant + 1))) / math.pi


def _normal_cdf(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))
