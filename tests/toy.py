"""A small dataset for tests of the machinery: three inputs of ``d`` matter."""

from __future__ import annotations

import numpy as np

from xai_bench.datasets.base import Dataset


def toy(n: int = 300, d: int = 12, seed: int = 0, kind: str = "classification") -> Dataset:
    """Classes (three), or values, of x1 x2 + x3; split 64 / 16 / 20, not shuffled."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(np.float32)
    z = X[:, 0] * X[:, 1] + X[:, 2]
    y = np.digitize(z, [-0.5, 0.5]).astype(np.int64) if kind == "classification" else z.astype(np.float32)
    a, b = int(0.64 * n), int(0.8 * n)
    return Dataset(
        X[:a],
        X[a:b],
        X[b:],
        y[:a],
        y[a:b],
        y[b:],
        kind,
        3 if kind == "classification" else 1,
        tuple(f"x{j + 1}" for j in range(d)),
        np.arange(d),
    )
