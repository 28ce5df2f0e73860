"""A fit of the target on the inputs found so far: kernel ridge regression with a functional ANOVA kernel.

The kernel of one input is k_j(x, x') = sum_a omega_a psi_a(x_j) psi_a(x'_j) with omega_a ~ a^-s; that of a set of
inputs is the sum of the elementary symmetric polynomials e_1, e_2, ... of the k_j, each of mean diagonal 1: main
effects, pairs, triples. Order, s and strength are chosen by the leave-one-out error, which a linear smoother has in
closed form, (y_i - f_i) / (1 - H_ii).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ORDERS = (1, 2, 3)
DECAYS = (1.0, 3.0)
STRENGTHS = tuple(10.0 ** (k / 2) for k in range(-8, 5))
"""Of the ridge, relative to the rows: the kernel has mean diagonal 1."""
EXACT_ROWS = 1000
"""With more rows the kernel is the Nystroem approximation by so many of them, evenly spaced."""
LEAST = 1e-6
"""Share of the largest eigenvalue below which one is rounding."""


@dataclass(frozen=True)
class Kernel:
    """The choices of a kernel: see the module."""

    order: int
    decay: float


@dataclass(frozen=True, eq=False)
class Ridge:
    """A fit.

    Attributes
    ----------
    kernel : the best one
    left_out : (n, C) the prediction of every row by a fit without it
    risk : the sum over columns of the mean squared leave-one-out error
    """

    kernel: Kernel
    left_out: Floats
    risk: float


def fit(psi: NDArray[np.float32], Y: Floats, kernels: tuple[Kernel, ...] | None = None) -> Ridge:
    """The best of ``kernels`` (None: all of the grid) on inputs psi (k, FUNCTIONS, n), for targets Y (n, C).

    With k = 0 inputs it is the mean of the other rows.
    """
    if not len(psi):
        n = len(Y)
        left_out = (Y.sum(0) - Y) / (n - 1)
        return Ridge(Kernel(1, DECAYS[0]), left_out, float(np.mean((Y - left_out) ** 2, axis=0).sum()))
    if kernels is None:
        orders = [order for order in ORDERS if order <= len(psi)]
        kernels = tuple(Kernel(order, decay) for order, decay in itertools.product(orders, DECAYS))
    return min((_fitted(psi, Y, kernel) for kernel in kernels), key=lambda found: found.risk)


def _fitted(psi: NDArray[np.float32], Y: Floats, kernel: Kernel) -> Ridge:
    n = len(Y)
    vectors, values = _eigen(psi, kernel)
    mean = Y.mean(0)
    inside = vectors.T @ (Y - mean)
    best = None
    for strength in STRENGTHS:
        shrunk = values / (values + strength * n)
        leverage = 1 / n + (vectors**2) @ shrunk
        error = (Y - mean - vectors @ (shrunk[:, None] * inside)) / np.maximum(1 - leverage, 1e-9)[:, None]
        risk = float(np.mean(error**2, axis=0).sum())
        if best is None or risk < best.risk:
            best = Ridge(kernel, Y - error, risk)
    assert best is not None
    return best


def _eigen(psi: NDArray[np.float32], kernel: Kernel) -> tuple[Floats, Floats]:
    """Eigenvectors (n, m) and eigenvalues (m,) > 0 of the kernel, centred over rows, or of its approximation."""
    n = psi.shape[2]
    if n <= EXACT_ROWS:
        K = gram(psi, np.arange(n), kernel)
        K -= K.mean(0)
        K -= K.mean(1, keepdims=True)
        values, vectors = np.linalg.eigh(K.astype(np.float32))
    else:
        chosen = np.linspace(0, n - 1, EXACT_ROWS).astype(np.intp)
        K = gram(psi, chosen, kernel)
        values, vectors = np.linalg.eigh(K[chosen])
        some = values > LEAST * values[-1]
        features = K @ (vectors[:, some] / np.sqrt(values[some]))
        features -= features.mean(0)
        values, vectors = np.linalg.eigh(features.T @ features)
        some = values > LEAST * values[-1]
        vectors, values = features @ (vectors[:, some] / np.sqrt(values[some])), values[some]
    some = values > LEAST * max(values[-1], 1e-30)
    return vectors[:, some].astype(np.float64), values[some].astype(np.float64)


def gram(psi: NDArray[np.float32], chosen: NDArray[np.intp], kernel: Kernel) -> Floats:
    """(n, m) the kernel of all rows with the ``chosen`` ones (m,)."""
    n, functions = psi.shape[2], psi.shape[1]
    omega = np.arange(1, functions + 1) ** -kernel.decay
    root = np.sqrt(omega / omega.sum()).astype(np.float32)[:, None]
    powers = [np.ones((n, len(chosen)), dtype=np.float32)]
    powers += [np.zeros((n, len(chosen)), dtype=np.float32) for _ in range(kernel.order)]
    for one in psi:
        rows = one * root
        k = rows.T @ rows[:, chosen]
        for order in range(kernel.order, 0, -1):
            powers[order] += k * powers[order - 1]
    total = np.zeros((n, len(chosen)))
    for power in powers[1:]:
        scale = float(power[chosen, np.arange(len(chosen))].mean())
        if scale > 0:
            total += power / scale
    return total
