"""Shares of the variance: where it is known, and against the mean squares of a balanced table."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from xai_bench.variance import SHARES, variance_shares


def table(draws, seeds, models, methods, sizes, seed=0) -> pd.DataFrame:
    """Scores that are sums of normal effects with these standard deviations, in the order of ``SHARES``."""
    rng = np.random.default_rng(seed)
    of_draw, of_model, of_method = (
        size * rng.normal(size=count)
        for size, count in zip(sizes[::1][:1] + sizes[2:4], (draws, models, methods), strict=True)
    )
    weights = sizes[1] * rng.normal(size=(draws, seeds, models))
    rows = [
        (d, s, m, e, of_draw[d] + weights[d, s, m] + of_model[m] + of_method[e] + sizes[4] * rng.normal())
        for d, s, m, e in itertools.product(*map(range, (draws, seeds, models, methods)))
    ]
    columns = ["draw", "model_seed", "model", "explainer", "value"]
    return pd.DataFrame(rows, columns=columns).assign(dataset="toy")


def test_known_shares():
    sizes = (1.0, 0.5, 0.7, 1.5, 0.4)
    found = pd.concat(variance_shares(table(12, 2, 8, 10, sizes, seed)) for seed in range(30))
    expected = np.square(sizes) / np.square(sizes).sum()
    np.testing.assert_allclose(found[SHARES].mean(), expected, atol=0.08)
    np.testing.assert_allclose(found[SHARES].sum(axis=1), 1)


def test_the_literal_mean_squares_of_a_balanced_table():
    """Draws and methods by analysis of variance: with one architecture effect of zero and one model seed."""
    frame = table(6, 1, 3, 4, (1.0, 0.0, 0.6, 0.8, 0.3))
    cube = frame["value"].to_numpy().reshape(6, 3, 4)
    d, a, m = cube.shape
    centred = cube - cube.mean()
    means = {axis: centred.mean(tuple(i for i in range(3) if i != axis)) for axis in range(3)}
    pairs = {
        (i, j): centred.mean(3 - i - j) - np.add.outer(means[i], means[j]) for i, j in ((0, 1), (0, 2), (1, 2))
    }  # fmt: skip
    square = {0: a * m * (means[0] ** 2).sum() / (d - 1), 2: d * a * (means[2] ** 2).sum() / (m - 1),
              1: d * m * (means[1] ** 2).sum() / (a - 1)}  # fmt: skip
    both = {
        key: cube.shape[3 - sum(key)] * (value**2).sum() / np.prod([cube.shape[i] - 1 for i in key])
        for key, value in pairs.items()
    }
    rest = centred.copy()
    for axis, mean in means.items():
        rest -= np.expand_dims(mean, tuple(i for i in range(3) if i != axis))
    for (i, j), value in pairs.items():
        rest -= np.expand_dims(value, 3 - i - j)
    rest = (rest**2).sum() / ((d - 1) * (a - 1) * (m - 1))
    component = {
        axis: (square[axis] - sum(v for key, v in both.items() if axis in key) + rest) / (cube.size / cube.shape[axis])
        for axis in range(3)
    }
    (found,) = variance_shares(frame).to_dict("records")
    for name, axis in (("draw", 0), ("architecture", 1), ("method", 2)):
        assert found[name] * found["variance"] == pytest.approx(component[axis])
    assert np.isnan(found["initial_weights"])


def test_equal_scores_and_small_tables():
    frame = table(3, 1, 2, 2, (0, 0, 0, 0, 0))
    assert variance_shares(frame)[SHARES].isna().all(axis=None)
    assert variance_shares(frame[frame["model"] == 0]).empty
