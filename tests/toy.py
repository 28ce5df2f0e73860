"""A small dataset for tests of the machinery, three of whose inputs matter, and a short sparse path."""

from __future__ import annotations

import numpy as np

from xai_bench.datasets.base import Dataset
from xai_bench.models.path import SparseSettings

QUICK = SparseSettings(  # fewer steps than by default, and so larger ones
    hidden=(32, 16),
    learning_rate=3e-3,
    proximal_rate=0.1,
    first_steps=300,
    ratio=2.25,
    levels=8,
    refit_steps=400,
    refit_checkpoints=20,
)


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
