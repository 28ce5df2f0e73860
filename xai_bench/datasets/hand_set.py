"""Targets that a network computes whose weights are set by hand: which inputs it relies on is known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from pydantic import Field

from xai_bench.datasets.arrays import Bools, Floats
from xai_bench.datasets.base import DataSource, GroundTruth, Role, Table, Trait
from xai_bench.datasets.wiring import PIECES, effects

NetworkName = Literal["additive", "interactions", "gates", "parity", "saturating", "cancelling", "skips"]
EDGE = math.sqrt(3.0)
"""Inputs are uniform on [-EDGE, EDGE]: of mean 0 and variance 1."""
DIGITS = 3
"""Decimals of the graded truth."""
CANCELLED = 8.0
"""Weight of an irrelevant input in the first layer of ``cancelling``, over that of a line."""

ADDITIVE = {"line": 0.30, "absolute": 0.23, "step": 0.17, "hinge": 0.13, "clipped": 0.10, "hat": 0.07}
SHARES: dict[str, dict[str, float]] = {
    "additive": ADDITIVE,
    "interactions": {"product": 0.40, "minimum": 0.36, "maximum": 0.24},
    "gates": {"xor": 0.45, "switch": 0.40, "gate": 0.15},
    "parity": {"parity": 0.60, "xor": 0.40},
    "saturating": {"step": 0.34, "saturated": 0.30, "hat": 0.20, "corner": 0.16},
    "cancelling": ADDITIVE,
    "skips": {"line_by_skip": 0.30, "minimum_by_skip": 0.30, "absolute_by_skip": 0.25, "switch": 0.15},
}
"""The pieces that each network adds up, and the share of the variance that each has: such that the total Sobol index
and the mean absolute effect order no two inputs in opposite ways."""


@dataclass(frozen=True)
class Layer:
    """A dense layer: ``weight`` (m', m), ``bias`` (m',)."""

    weight: Floats
    bias: Floats

    def __call__(self, X: Floats) -> Floats:
        """(n, m')"""
        return X @ self.weight.T + self.bias


@dataclass(frozen=True)
class Block:
    """A residual block: z + second(relu(first(z)))."""

    first: Layer
    second: Layer


@dataclass(frozen=True)
class Wired:
    """A network whose weights are set by hand: rows (n, d) to (n, 1).

    Without skips the parts are three layers, with a ReLU between two of them. With skips they are a layer, residual
    blocks, and a layer.
    """

    parts: tuple[Layer | Block, ...]

    @property
    def skips(self) -> bool:
        """Whether there are residual blocks."""
        return any(isinstance(part, Block) for part in self.parts)

    def __call__(self, X: Floats) -> Floats:
        """(n,) outputs of rows X (n, d), in double precision."""
        z: Floats = np.asarray(X, dtype=np.float64)
        for place, part in enumerate(self.parts):
            if isinstance(part, Block):
                z = z + part.second(np.maximum(part.first(z), 0))
            else:
                z = part(np.maximum(z, 0) if place and not self.skips else z)
        return z[:, 0]


def relevant_inputs(network: str) -> int:
    """How many inputs the network relies on: the first ones."""
    return sum(PIECES[piece].inputs for piece in SHARES[network])


def wired(network: str, irrelevant: int) -> Wired:
    """The network with so many inputs more, which change nothing.

    f = sum over pieces of sqrt(share) (u - E u) / sd u, of mean 0 and variance 1.
    """
    chosen = [PIECES[piece] for piece in SHARES[network]]
    known = [effects(piece) for piece in SHARES[network]]
    scale = [math.sqrt(share / e.variance) for share, e in zip(SHARES[network].values(), known, strict=True)]
    offset = -sum(a * e.mean for a, e in zip(scale, known, strict=True))
    first = Layer(_diagonal([piece.first / EDGE for piece in chosen]), np.concatenate([c.bias for c in chosen]))
    first = Layer(np.pad(first.weight, ((0, 0), (0, irrelevant))), first.bias)
    second = Layer(_diagonal([c.second for c in chosen]), np.concatenate([c.second_bias for c in chosen]))
    out = np.concatenate([a * c.out for a, c in zip(scale, chosen, strict=True)])
    if network == "cancelling":
        first, second, out, offset = _with_cancelling(first, second, out, offset, irrelevant)
    if network == "skips":
        direct = np.concatenate([a * c.skip / EDGE for a, c in zip(scale, chosen, strict=True)])
        return _with_skips(first, second, out, offset, direct)
    return Wired((first, second, Layer(out[None], np.array([offset]))))


def _with_cancelling(
    first: Layer, second: Layer, out: Floats, offset: float, irrelevant: int
) -> tuple[Layer, Layer, Floats, float]:
    """Three more nodes for each irrelevant input x: relu(a x), relu(-a x), and relu(a x + b), which is always a x + b.

    They are handed on, and add up to relu(a x) - relu(-a x) - (a x + b) + b = 0.
    """
    m, d = first.weight.shape
    more, bias = np.zeros((3 * irrelevant, d)), np.zeros(3 * irrelevant)
    for e in range(irrelevant):
        more[3 * e : 3 * e + 3, d - irrelevant + e] = np.array([1, -1, 1]) * CANCELLED / EDGE
        bias[3 * e + 2] = CANCELLED
    through = np.zeros((len(second.bias) + len(bias), m + len(bias)))
    through[: len(second.bias), :m] = second.weight
    through[len(second.bias) :, m:] = np.eye(len(bias))
    return (
        Layer(np.vstack([first.weight, more]), np.concatenate([first.bias, bias])),
        Layer(through, np.concatenate([second.bias, np.zeros(len(bias))])),
        np.concatenate([out, np.tile([1.0, -1.0, -1.0], irrelevant)]),
        offset + CANCELLED * irrelevant,
    )


def _with_skips(first: Layer, second: Layer, out: Floats, offset: float, direct: Floats) -> Wired:
    """The same pieces as blocks that add to a state: the relevant inputs, the first nodes, the second nodes."""
    p, (m, d), n = len(direct), first.weight.shape, len(second.bias)
    state = p + m + n
    embedding = np.zeros((state, d))
    embedding[:p, :p] = np.eye(p)
    reads, adds = np.zeros((m, state)), np.zeros((state, m))
    reads[:, :p], adds[p : p + m] = first.weight[:, :p], np.eye(m)
    reads_2, adds_2 = np.zeros((n, state)), np.zeros((state, n))
    reads_2[:, p : p + m], adds_2[p + m :] = second.weight, np.eye(n)
    zeros = np.zeros(state)
    says = np.concatenate([direct, np.zeros(m), out])
    blocks = (
        Block(Layer(reads, first.bias), Layer(adds, zeros)),
        Block(Layer(reads_2, second.bias), Layer(adds_2, zeros)),
    )
    return Wired((Layer(embedding, zeros), *blocks, Layer(says[None], np.array([offset]))))


def _diagonal(blocks: list[Floats]) -> Floats:
    """The blocks (m, k) along the diagonal of a matrix of zeros."""
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    result = np.zeros((rows, columns))
    row = column = 0
    for block in blocks:
        result[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return result


def total_indices(network: str) -> Floats:
    """(p,) total Sobol index of each relevant input: the share of the piece times the index within it.

    Rounded to ``DIGITS``, beyond which the quadrature is not exact: inputs that differ by less are ties.
    """
    return np.concatenate([share * effects(piece).total for piece, share in SHARES[network].items()]).round(DIGITS)


def absolute_effects(network: str, of: Literal["absolute", "shapley", "slope"] = "absolute") -> Floats:
    """(p,) another effect of each relevant input, in standard deviations of f: see ``wiring.Effects``.

    As f adds up functions of different inputs, the effect of an input is that within its piece.
    """
    found = []
    for piece, share in SHARES[network].items():
        known = effects(piece)
        values: Floats = getattr(known, of)
        found.append(math.sqrt(share / known.variance) * values)
    return np.concatenate(found).round(DIGITS)


class HandSet(DataSource):
    """y = f(x), f a ReLU network whose weights are set by hand, x independent and uniform, of mean 0 and variance 1.

    f adds up functions of one to three inputs, is piecewise linear, and has mean 0 and variance 1. The graded truth is
    the total Sobol index of f, by quadrature: the share of the variance that is lost where an input is unknown. The
    model ``hand_set_network`` is that network: where a method is wrong about it, no training has a part in that. Use
    both with ``standardise = false``: the network knows the inputs as they are.

    ``additive``: a curve an input. ``interactions``: a product-like term of two inputs, a maximum of three, a minimum
    of two. ``gates``: one input says which of two others counts, or whether one does. ``parity``: of signs.
    ``saturating``: steep parts between flat ones. ``cancelling``: as ``additive``, but
    irrelevant inputs have the largest weights, which cancel. ``skips``: a residual network.
    """

    name: ClassVar[str] = "hand_set"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal",)

    network: NetworkName = "additive"
    n: int = Field(default=1000, ge=20)
    irrelevant: int = Field(default=12, ge=1)
    """Inputs that change nothing."""

    def declared(self) -> tuple[Trait, ...]:
        return self.traits if self.network in ("additive", "cancelling") else ("interacting",)

    def draw(self, rng: np.random.Generator) -> Table:
        p = relevant_inputs(self.network)
        X = rng.uniform(-EDGE, EDGE, size=(self.n, p + self.irrelevant))
        relevant: tuple[Role, ...] = ("relevant",)
        noise: tuple[Role, ...] = ("noise",)
        roles = relevant * p + noise * self.irrelevant
        grades = np.concatenate([total_indices(self.network), np.zeros(self.irrelevant)])
        return Table(
            X=X,
            y=wired(self.network, self.irrelevant)(X),
            kind="regression",
            truth=GroundTruth(roles, grades),
            target_name=f"output of the network {self.network}",
        )

    def ceiling(self, mask: Bools, truth: GroundTruth | None = None) -> float:
        """R2 of E(f | known inputs): the sum over the pieces of what their known inputs explain."""
        total, at = 0.0, 0
        for piece, share in SHARES[self.network].items():
            k = PIECES[piece].inputs
            known = sum(1 << j for j in range(k) if mask[at + j])
            total, at = total + share * effects(piece).explained[known], at + k
        return total


NETWORKS: tuple[str, ...] = get_args(NetworkName)
