"""Small functions as ReLU networks whose weights are set by hand, and what is exactly known of them.

Every function is piecewise linear, and a network computes it exactly. Its inputs are independent and uniform on
[-1, 1]. So the effect of each input is a number that no training, and no sample, has a part in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from xai_bench.datasets.arrays import Floats

CELLS = 32
"""Stretches of [-1, 1] along each input, in the quadrature. All bends along one input lie between two of them."""
STEP = 1e-4
"""Of a difference, where a slope is asked for."""
SLOPE = 8.0
"""Of a step, which rises from 0 to 1 between -1/16 and 1/16."""


@dataclass(frozen=True)
class Piece:
    """A function u of k inputs in [-1, 1], as two hidden layers of a network, with or without a skip.

    u(x) = skip . x + out . relu(second relu(first x + bias) + second_bias)

    Attributes
    ----------
    formula : rows (n, k) to (n,): the same function without a network
    first, bias : (m, k) and (m,)
    second, second_bias : (m', m) and (m',)
    out : (m',)
    skip : (k,); not zero in networks with skips only
    """

    formula: Callable[[Floats], Floats]
    first: Floats
    bias: Floats
    second: Floats
    second_bias: Floats
    out: Floats
    skip: Floats

    @property
    def inputs(self) -> int:
        """k"""
        return self.first.shape[1]


def of_one_layer(
    formula: Callable[[Floats], Floats], first: list, bias: list, out: list, skip: list | None = None
) -> Piece:
    """A piece whose second layer hands on what the first one says."""
    weights = np.array(first, dtype=np.float64)
    through, k = np.eye(len(bias)), weights.shape[1]
    direct = np.zeros(k) if skip is None else np.array(skip, dtype=np.float64)
    return Piece(formula, weights, np.array(bias, float), through, np.zeros(len(bias)), np.array(out, float), direct)


def of_two_layers(
    formula: Callable[[Floats], Floats], first: list, bias: list, second: list, second_bias: list, out: list
) -> Piece:
    """A piece of two layers."""
    weights, biases, through, added, outwards = (np.array(v, float) for v in (first, bias, second, second_bias, out))
    return Piece(formula, weights, biases, through, added, outwards, skip=np.zeros(weights.shape[1]))


def ramp(x: Floats) -> Floats:
    """0 below -1/16, 1 above 1/16, a line between."""
    return np.clip(0.5 + SLOPE * x, 0, 1)


def _passed(x: Floats, gate: Floats) -> Floats:
    """x where the gate is 1, and 0 where it is 0; between, x is drawn towards 0 by 1 less the gate."""
    return np.sign(x) * np.maximum(np.abs(x) + gate - 1, 0)


UP, DOWN = [SLOPE, 0.5], [SLOPE, -0.5]
"""Weight and bias of the two nodes whose difference is a ramp."""

PIECES: dict[str, Piece] = {
    "line": of_one_layer(lambda x: x[:, 0], [[1], [-1]], [0, 0], [1, -1]),
    "absolute": of_one_layer(lambda x: np.abs(x[:, 0]), [[1], [-1]], [0, 0], [1, 1]),
    "hinge": of_one_layer(lambda x: np.maximum(x[:, 0], 0), [[1]], [0], [1]),
    "step": of_two_layers(lambda x: ramp(x[:, 0]), [[UP[0]], [DOWN[0]]], [UP[1], DOWN[1]], [[1, -1]], [0], [1]),
    "clipped": of_one_layer(lambda x: np.clip(2 * x[:, 0] + 1, 0, 2), [[2], [2]], [1, -1], [1, -1]),
    "hat": of_two_layers(
        lambda x: np.maximum(1 - 2 * np.abs(x[:, 0]), 0), [[2], [2], [2]], [1, 0, -1], [[1, -2, 1]], [0], [1]
    ),
    "minimum": of_one_layer(
        lambda x: np.minimum(x[:, 0], x[:, 1]), [[1, 0], [-1, 0], [1, -1]], [0, 0, 0], [1, -1, -1]
    ),
    # 2 sign(x y) min(|x|, |y|): neither input tells anything alone
    "product": of_one_layer(
        lambda x: np.abs(x[:, 0] + x[:, 1]) - np.abs(x[:, 0] - x[:, 1]),
        [[1, 1], [-1, -1], [1, -1], [-1, 1]], [0, 0, 0, 0], [1, 1, -1, -1],
    ),
    "saturated": of_one_layer(
        lambda x: np.clip(2 * (x[:, 0] + x[:, 1]) + 1, 0, 2), [[2, 2], [2, 2]], [1, -1], [1, -1]
    ),
    "corner": of_one_layer(lambda x: np.maximum(x[:, 0] + x[:, 1] - 1, 0), [[1, 1]], [-1], [1]),
    "maximum": of_two_layers(
        lambda x: x.max(1),
        [[1, -1, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], [0, 0, 0, 0, 0],
        [[1, 1, -1, -1, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]], [0, 0, 0], [1, 1, -1],
    ),
    "gate": of_two_layers(  # x1 where x2 > 0
        lambda x: _passed(x[:, 0], ramp(x[:, 1])),
        [[1, 0], [-1, 0], [0, UP[0]], [0, DOWN[0]]], [0, 0, UP[1], DOWN[1]],
        [[1, -1, 1, -1], [-1, 1, 1, -1]], [-1, -1], [1, -1],
    ),
    "switch": of_two_layers(  # x1 where x3 > 0, else x2
        lambda x: _passed(x[:, 0], ramp(x[:, 2])) + _passed(x[:, 1], 1 - ramp(x[:, 2])),
        [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, UP[0]], [0, 0, DOWN[0]]], [0, 0, 0, 0, UP[1], DOWN[1]],
        [[1, -1, 0, 0, 1, -1], [-1, 1, 0, 0, 1, -1], [0, 0, 1, -1, -1, 1], [0, 0, -1, 1, -1, 1]], [-1, -1, 0, 0],
        [1, -1, 1, -1],
    ),
    "xor": of_two_layers(
        lambda x: 1 - np.abs(ramp(x).sum(1) - 1),
        [[UP[0], 0], [DOWN[0], 0], [0, UP[0]], [0, DOWN[0]]], [UP[1], DOWN[1], UP[1], DOWN[1]],
        [[1, -1, 1, -1], [1, -1, 1, -1]], [0, -1], [1, -2],
    ),
    "parity": of_two_layers(
        lambda x: np.interp(ramp(x).sum(1), [0, 1, 2, 3], [0, 1, 0, 1]),
        [[UP[0], 0, 0], [DOWN[0], 0, 0], [0, UP[0], 0], [0, DOWN[0], 0], [0, 0, UP[0]], [0, 0, DOWN[0]]],
        [UP[1], DOWN[1]] * 3,
        [[1, -1] * 3] * 3, [0, -1, -2], [1, -2, 2],
    ),
    # With a skip: the input itself goes to the output, and hidden nodes correct it.
    "line_by_skip": of_one_layer(lambda x: x[:, 0], [[0]], [0], [0], skip=[1]),
    "absolute_by_skip": of_one_layer(lambda x: np.abs(x[:, 0]), [[-1]], [0], [2], skip=[1]),
    "minimum_by_skip": of_one_layer(lambda x: np.minimum(x[:, 0], x[:, 1]), [[1, -1]], [0], [-1], skip=[1, 0]),
}  # fmt: skip


class Effects(NamedTuple):
    """What is exactly known of a function u of k independent inputs, uniform on [-1, 1].

    Attributes
    ----------
    mean, variance : of u
    total : (k,) total Sobol index, E Var(u | all inputs but j) / Var u
    absolute : (k,) mean absolute effect, E |u - E(u | all inputs but j)|
    shapley : (k,) mean absolute Shapley value of u(x), an unknown input being drawn from its distribution
    slope : (k,) mean absolute slope, E |du / dx_j|
    explained : for each set of inputs, as a number whose bit j is input j, Var E(u | these) / Var u
    """

    mean: float
    variance: float
    total: Floats
    absolute: Floats
    shapley: Floats
    slope: Floats
    explained: tuple[float, ...]


@cache
def effects(piece: str) -> Effects:
    """Of the piece of that name, by Gauss-Legendre quadrature: two points a cell, 64 along each input.

    It is exact where bends lie between cells. Along diagonals its error is some 1e-4 of a share.
    """
    k = PIECES[piece].inputs
    edges = np.linspace(-1, 1, CELLS + 1)[:-1]
    points = (edges[:, None] + (1 + np.array([-1, 1]) / np.sqrt(3)) / CELLS).ravel()
    grid = np.stack(np.meshgrid(*[points] * k, indexing="ij"), axis=-1)
    values = PIECES[piece].formula(grid.reshape(-1, k)).reshape(grid.shape[:-1])
    mean, variance = float(values.mean()), float(values.var())
    apart = [values - values.mean(j, keepdims=True) for j in range(k)]
    known = []
    for kept in range(2**k):
        others = tuple(j for j in range(k) if not kept >> j & 1)
        known.append(values.mean(others, keepdims=True))
    return Effects(
        mean,
        variance,
        total=np.array([np.square(part).mean() for part in apart]) / variance,
        absolute=np.array([np.abs(part).mean() for part in apart]),
        shapley=np.array([np.abs(_shapley(known, j, k)).mean() for j in range(k)]),
        slope=np.array([_slope(piece, grid.reshape(-1, k), j) for j in range(k)]),
        explained=tuple(float(part.var()) / variance for part in known),
    )


def _shapley(known: list[Floats], j: int, k: int) -> Floats:
    """The Shapley value of input j at every point, of the value E(u | inputs in a set)."""
    total = np.zeros((1,) * k)
    for kept in range(2**k):
        if not kept >> j & 1:
            size = kept.bit_count()
            weight = math.factorial(size) * math.factorial(k - size - 1) / math.factorial(k)
            total = total + weight * (known[kept | 1 << j] - known[kept])
    return total


def _slope(piece: str, points: Floats, j: int) -> float:
    """Points lie at least ``STEP`` away from bends along one input: differences are slopes there."""
    before, after = points.copy(), points.copy()
    before[:, j] -= STEP
    after[:, j] += STEP
    formula = PIECES[piece].formula
    return float(np.abs(formula(after) - formula(before)).mean() / (2 * STEP))
