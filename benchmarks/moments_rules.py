"""Rules on which ``moments.py`` measures. Written after the constants of ``xai_bench.models.moments`` were frozen.

Inputs are independent and U(-1, 1) unless said otherwise; the relevant ones stand at random places among ``d``. Fresh
rules:

    diagonal_band       y = [|x1 - x2| <= .6], 10 % of the classes flipped
    phase               y = [sin(pi (x1 + x2)) > 0]: neither input alone tells anything
    larger              normal inputs, y = [|x1| > |x2|]
    two_products        y = [max(x1 x2, x3 x4) > .12]
    waves               y = [cos(3 pi x1) + cos(2 pi x2) + cos(pi x3) > 0]: three non-monotone single effects
    gate                y = [sin(2 pi x2) > 0] where x1 > 0, else [sin(2 pi x3) > 0]
    product_and_shell   four classes, [x1 x2 > 0] + 2 [|x3| > .5]
    sectors             three classes, floor(3 (a mod 1)) with a = 2 atan2(x2, x1) / (2 pi): sectors that repeat
    mixed_regression    y = x1 x2 + .7 sin(2 pi x3) + cos(pi x4 x5) + N(0, .3)
    kinks               y = |x1 - x2| + max(x3, x4) + N(0, .25)
    bits                inputs 1 with probability .4, else 0; y = (x1 xor x2) or (x3 and x4)
    series              normal inputs, corr(x_i, x_j) = .7^|i - j|; y = [x_a x_b + .5 x_c + N(0, .5) > 0] with a, b, c
                        a sixth, a half and five sixths of the way

What is known to fail, or to be weak:

    parity_of_three     y = [x1 x2 x3 > 0]
    steep_sine          normal inputs, log odds -100 sin(2 x1) + 2 |x2| + x3 + exp(-x4): the additive set of L2X
    spread              y = (.2 + |x1|) N(0, 1): the input acts on the variance only
    offset_product      y = [(x1 - .4)(x2 - .4) > 0], with 300 rows
    gate                as above, with 300 rows
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.base import DataSource, GroundTruth, Role, Table

Floats = NDArray[np.float64]
Target = Callable[[Floats, np.random.Generator], NDArray]
"""From the relevant inputs (relevant, n) to the targets (n,)."""


class Rule(NamedTuple):
    """How many inputs it takes, its target, whether that is a class, and how inputs are drawn (n, d)."""

    relevant: int
    target: Target
    classes: bool = True
    inputs: str = "uniform"


def _diagonal_band(x: Floats, rng: np.random.Generator) -> NDArray:
    return (np.abs(x[0] - x[1]) <= 0.6) ^ (rng.random(x.shape[1]) < 0.1)


def _gate(x: Floats, rng: np.random.Generator) -> NDArray:
    return np.sin(2 * np.pi * np.where(x[0] > 0, x[1], x[2])) > 0


def _sectors(x: Floats, rng: np.random.Generator) -> NDArray:
    return np.floor(3 * np.mod(np.arctan2(x[1], x[0]) / np.pi, 1)).clip(0, 2)


def _mixed(x: Floats, rng: np.random.Generator) -> NDArray:
    noise = rng.normal(0, 0.3, x.shape[1])
    return x[0] * x[1] + 0.7 * np.sin(2 * np.pi * x[2]) + np.cos(np.pi * x[3] * x[4]) + noise


def _kinks(x: Floats, rng: np.random.Generator) -> NDArray:
    return np.abs(x[0] - x[1]) + np.maximum(x[2], x[3]) + rng.normal(0, 0.25, x.shape[1])


def _bits(x: Floats, rng: np.random.Generator) -> NDArray:
    return (x[0] != x[1]) | ((x[2] == 1) & (x[3] == 1))


def _steep(x: Floats, rng: np.random.Generator) -> NDArray:
    odds = -100 * np.sin(2 * x[0]) + 2 * np.abs(x[1]) + x[2] + np.exp(-x[3])
    return rng.random(x.shape[1]) < 1 / (1 + np.exp(-odds.clip(-50, 50)))


RULES: dict[str, Rule] = {
    "diagonal_band": Rule(2, _diagonal_band),
    "phase": Rule(2, lambda x, rng: np.sin(np.pi * (x[0] + x[1])) > 0),
    "larger": Rule(2, lambda x, rng: np.abs(x[0]) > np.abs(x[1]), inputs="normal"),
    "two_products": Rule(4, lambda x, rng: np.maximum(x[0] * x[1], x[2] * x[3]) > 0.12),
    "waves": Rule(3, lambda x, rng: np.cos(np.pi * np.array([3.0, 2.0, 1.0])[:, None] * x).sum(0) > 0),
    "gate": Rule(3, _gate),
    "product_and_shell": Rule(3, lambda x, rng: (x[0] * x[1] > 0) + 2 * (np.abs(x[2]) > 0.5)),
    "sectors": Rule(2, _sectors),
    "mixed_regression": Rule(5, _mixed, classes=False),
    "kinks": Rule(4, _kinks, classes=False),
    "bits": Rule(4, _bits, inputs="bits"),
    "series": Rule(3, lambda x, rng: x[0] * x[1] + 0.5 * x[2] + rng.normal(0, 0.5, x.shape[1]) > 0, inputs="series"),
    "parity_of_three": Rule(3, lambda x, rng: x[0] * x[1] * x[2] > 0),
    "steep_sine": Rule(4, _steep, inputs="normal"),
    "spread": Rule(1, lambda x, rng: (0.2 + np.abs(x[0])) * rng.normal(size=x.shape[1]), classes=False),
    "offset_product": Rule(2, lambda x, rng: (x[0] - 0.4) * (x[1] - 0.4) > 0),
}
FRESH = tuple(list(RULES)[:12])
FAILURES = (
    ("parity_of_three", 1041),
    ("steep_sine", 1041),
    ("spread", 1041),
    ("offset_product", 375),
    ("gate", 375),
)
"""Rules with their rows, of which the methods get four fifths."""


class OfRule(DataSource):
    """A draw of one of the rules."""

    name: ClassVar[str] = "rule"

    rule: str
    n: int = 1041
    d: int = 512

    def draw(self, rng: np.random.Generator) -> Table:
        rule = RULES[self.rule]
        inputs, errors = rng.spawn(2)
        X = drawn(rule.inputs, self.n, self.d, inputs)
        places = np.arange(rule.relevant)
        if rule.inputs == "series":
            places = (np.array([1, 3, 5]) * self.d) // 6
        y = rule.target(X[:, places].T, errors)
        roles: tuple[Role, ...] = tuple("relevant" if j in places else "noise" for j in range(self.d))
        if rule.classes:
            return Table(X, y.astype(np.int64), kind="classification", truth=GroundTruth(roles), target_name="y")
        return Table(X, y, kind="regression", truth=GroundTruth(roles), target_name="y")


def drawn(inputs: str, n: int, d: int, rng: np.random.Generator) -> Floats:
    """(n, d) inputs of one of the kinds."""
    if inputs == "uniform":
        return rng.uniform(-1, 1, (n, d))
    if inputs == "bits":
        return (rng.random((n, d)) < 0.4).astype(float)
    X = rng.normal(size=(n, d))
    if inputs == "series":
        for j in range(1, d):
            X[:, j] = 0.7 * X[:, j - 1] + (1 - 0.7**2) ** 0.5 * X[:, j]
    return X
