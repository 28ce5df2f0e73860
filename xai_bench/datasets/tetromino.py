"""Pictures of 8 x 8 pixels with a T or an L tetromino in a noisy background: XAI-TRIS.

Source: Clark, Wilming, Haufe, "XAI-TRIS: non-linear image benchmarks to quantify false positive post-hoc attribution
of feature importance", Machine Learning 113, 2024, arXiv 2306.12816; positions, strengths and blur of its repository.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from xai_bench.component import stream_seed
from xai_bench.datasets.base import (
    Bools,
    DataSource,
    Floats,
    GroundTruth,
    Ints,
    Role,
    Table,
    Trait,
)

Background = Literal["white", "correlated"]

SIDE = 8
BLUR = 3.0
"""Standard deviation, in pixels, of the Gaussian blur of a correlated background."""
T_SHAPE = np.array([[1, 0], [1, 1], [1, 0]])
L_SHAPE = np.array([[1, 0], [1, 0], [1, 1]])
PLACES = ((1, 1), (4, 5))
"""Upper left pixels of the T and the L where they do not move."""


def fixed_patterns() -> Floats:
    """(2, 64) 1 on the pixels of the T, and of the L, at their places."""
    pictures = np.zeros((2, SIDE, SIDE))
    for picture, shape, (row, column) in zip(pictures, (T_SHAPE, L_SHAPE), PLACES, strict=True):
        picture[row : row + 3, column : column + 2] = shape
    return pictures.reshape(2, -1)


class Tetromino(DataSource):
    """A pattern p of strength ``alpha`` and a background b, each with mean squared norm 1; pixels in -1 .. 1 or nearly.

    The background is white noise, or white noise blurred (``correlated``). ``alpha`` None stands for the published
    strength. All pixels are divided by the largest absolute one of 4000 other pictures: the published code takes the
    largest of the dataset itself, and so its rows depend on their number. Truth: the pixels of both patterns are
    relevant. With a correlated background the pixels that touch them are suppressors: they tell the background
    (those farther away do too, ever less). Subclasses set ``strengths`` and write ``pictures``.
    """

    belongs_to: ClassVar[str] = "tetromino"
    strengths: ClassVar[dict[str, float]]
    """The published alpha of each background."""

    n: int = Field(default=4000, ge=20)
    background: Background = "white"
    alpha: float | None = Field(default=None, gt=0, lt=1)

    @property
    def strength(self) -> float:
        """``alpha``, or its published value."""
        return self.strengths[self.background] if self.alpha is None else self.alpha

    @abstractmethod
    def pictures(self, y: Ints, background: Floats, rng: np.random.Generator) -> Floats:
        """(n, 64) pictures of the classes y on the backgrounds (n, 64)."""

    def truth(self) -> GroundTruth | None:
        """The same in every row, or None where the patterns move."""
        pattern = fixed_patterns().sum(0) > 0
        roles: list[Role] = ["relevant" if inside else "noise" for inside in pattern]
        if self.background == "correlated":
            for j in np.flatnonzero(_touching(pattern)):
                roles[j] = "suppressor"
        return GroundTruth(tuple(roles))

    def draw(self, rng: np.random.Generator) -> Table:
        X, y = self.unscaled(rng)
        return Table(
            X=X / _largest(type(self), self.background, self.alpha),
            y=y,
            kind="classification",
            truth=self.truth(),
            feature_names=tuple(f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE)),
            feature_shape=(SIDE, SIDE),
            class_names=self.classes,
            target_name="class",
        )

    def unscaled(self, rng: np.random.Generator) -> tuple[Floats, Ints]:
        """(n, 64) pictures and (n,) classes."""
        classes, noise, patterns = rng.spawn(3)
        y = classes.integers(0, 2, self.n)
        background: Floats = noise.normal(size=(self.n, SIDE * SIDE)) / SIDE
        if self.background == "correlated":
            background = blurred(background) * SIDE / np.linalg.norm(blurred(np.eye(SIDE * SIDE)))
        return self.pictures(y, background, patterns), y

    def declared(self) -> tuple[Trait, ...]:
        return self.traits if self.background == "white" else (*self.traits, "correlated")

    classes: ClassVar[tuple[str, ...]] = ("T", "L")

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float | None:
        """Bayes accuracy with white background.

        None with a correlated one: its covariance is singular to working precision.
        """
        if self.background != "white":
            return None
        in_t, in_l = (int(pattern[mask].sum()) for pattern in fixed_patterns())
        return self.accuracy(in_t, in_l)

    @abstractmethod
    def accuracy(self, in_t: int, in_l: int) -> float | None:
        """Bayes accuracy with white background from so many pixels of the T and of the L."""

    def _pixel(self, pixels: int) -> float:
        """A pattern's pixel in standard deviations of the background; ``pixels`` make up the pattern."""
        return self.strength / math.sqrt(pixels) / ((1 - self.strength) / SIDE)


class TetrominoLinear(Tetromino):
    """A T or an L added to the background: alpha p + (1 - alpha) b."""

    name: ClassVar[str] = "tetromino_linear"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)
    strengths: ClassVar[dict[str, float]] = {"white": 0.18, "correlated": 0.0125}

    def pictures(self, y: Ints, background: Floats, rng: np.random.Generator) -> Floats:
        return self.strength * fixed_patterns()[y] / 2 + (1 - self.strength) * background

    def accuracy(self, in_t: int, in_l: int) -> float:
        """Half the distance of the two means, in standard deviations."""
        return _normal_cdf(self._pixel(4) * math.sqrt(in_t + in_l) / 2)


class TetrominoMultiplicative(Tetromino):
    """A T or an L that damps the background: (1 - alpha p) b."""

    name: ClassVar[str] = "tetromino_multiplicative"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "interacting")
    strengths: ClassVar[dict[str, float]] = {"white": 0.7, "correlated": 0.1}

    def pictures(self, y: Ints, background: Floats, rng: np.random.Generator) -> Floats:
        return (1 - self.strength * fixed_patterns()[y]) * background

    def accuracy(self, in_t: int, in_l: int) -> float:
        """Pixels of a pattern have the standard deviation 1 - alpha: a sum of squares decides.

        The class is T where evidence = (L's squares - T's squares) (1 / r^2 - 1) / 2 + (T's - L's pixels) log(1 / r)
        is positive, r = 1 - alpha; integrated over the quantiles of both sums, which are chi-squared.
        """
        r = 1 - self.strength

        def right(here: int, elsewhere: int) -> float:
            damped, plain = r**2 * _chi2_quantiles(here), _chi2_quantiles(elsewhere)
            evidence = (plain[:, None] - damped) * (1 / r**2 - 1) / 2 - (here - elsewhere) * math.log(r)
            return float(((evidence > 0) + 0.5 * (evidence == 0)).mean())

        return (right(in_t, in_l) + right(in_l, in_t)) / 2


class TetrominoXor(Tetromino):
    """Both patterns, each with a random sign: the class is whether the signs differ."""

    name: ClassVar[str] = "tetromino_xor"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting",)
    strengths: ClassVar[dict[str, float]] = {"white": 0.35, "correlated": 0.15}
    classes: ClassVar[tuple[str, ...]] = ("equal", "different")

    def pictures(self, y: Ints, background: Floats, rng: np.random.Generator) -> Floats:
        first = 2 * rng.integers(0, 2, len(y)) - 1
        signs = np.column_stack([first, first * (1 - 2 * y)])
        return self.strength * signs @ fixed_patterns() / math.sqrt(8) + (1 - self.strength) * background

    def accuracy(self, in_t: int, in_l: int) -> float:
        """Each sign is guessed alone; the class is right if both guesses are, or neither."""
        first, second = (_normal_cdf(self._pixel(8) * math.sqrt(pixels)) for pixels in (in_t, in_l))
        return first * second + (1 - first) * (1 - second)


class TetrominoRotated(Tetromino):
    """A T or an L anywhere, turned by 0, 90, 180 or 270 degrees: alpha p + (1 - alpha) b. No global truth."""

    name: ClassVar[str] = "tetromino_rotated"
    traits: ClassVar[tuple[Trait, ...]] = ("interacting",)
    strengths: ClassVar[dict[str, float]] = {"white": 0.65, "correlated": 0.2}

    def truth(self) -> None:
        return None

    def pictures(self, y: Ints, background: Floats, rng: np.random.Generator) -> Floats:
        pattern = np.zeros((len(y), SIDE, SIDE))
        for picture, label in zip(pattern, y, strict=True):
            shape = np.rot90((T_SHAPE, L_SHAPE)[label], k=int(rng.integers(4)))
            row, column = (int(rng.integers(SIDE - size + 1)) for size in shape.shape)
            picture[row : row + shape.shape[0], column : column + shape.shape[1]] = shape
        return self.strength * pattern.reshape(len(y), -1) / 2 + (1 - self.strength) * background

    def accuracy(self, in_t: int, in_l: int) -> None:
        return None


@functools.cache
def _largest(scenario: type[Tetromino], background: Background, alpha: float | None) -> float:
    """The largest absolute pixel of 4000 pictures, always the same ones."""
    source = scenario(n=4000, background=background, alpha=alpha)
    X, _ = source.unscaled(np.random.default_rng(stream_seed("scale", source.name)))
    return float(np.abs(X).max())


def blurred(pictures: Floats) -> Floats:
    """(n, 64) after a Gaussian blur of each picture, reflected at its borders."""
    from scipy.ndimage import gaussian_filter

    squares = pictures.reshape(-1, SIDE, SIDE)
    return gaussian_filter(squares, (0, BLUR, BLUR)).reshape(len(pictures), -1)


def _touching(pattern: Bools) -> Bools:
    """(64,) pixels beside those of ``pattern`` (64,), also across a corner, that are not in it."""
    inside = np.pad(pattern.reshape(SIDE, SIDE), 1)
    near = np.any([inside[i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)], axis=0)
    return near.ravel() & ~pattern


def _chi2_quantiles(freedom: int) -> Floats:
    """1000 equally likely values; 0 without degrees of freedom."""
    from scipy.special import gammaincinv

    return 2 * gammaincinv(freedom / 2, (np.arange(1000) + 0.5) / 1000) if freedom else np.zeros(1)


def _normal_cdf(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))
