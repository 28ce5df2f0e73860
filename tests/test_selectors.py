"""Methods that look at predictions or at the data, against their definitions and literal versions."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn

from tests.networks import (
    D,
    close,
    draw,
    network,
    problem,
)
from xai_bench.explainers.base import Problem
from xai_bench.explainers.selectors import MutualInformation, PermutationImportance


def test_permutation_importance_against_its_definition():
    p = problem(draw(nn.Sequential(nn.Linear(4, 1))), "regression", n=400)
    weight = p.model[0].weight[0].numpy()
    variance = p.X_valid.numpy().var(0)
    # E (w (x - x'))^2 = 2 w^2 var; 20 shuffles of 400 rows leave a few per cent.
    close(PermutationImportance(repeats=20).explain(p).relevance, 2 * weight**2 * variance, 0.05)


def test_permutation_importance_of_a_classifier_is_the_rise_of_cross_entropy():
    p = problem(network(), n=300)
    found = PermutationImportance(repeats=30).explain(p).relevance

    def loss(X):
        return nn.functional.cross_entropy(p.model(X).double(), p.y_valid).item()

    rng, expected = np.random.default_rng(9), np.zeros(D)
    for j in range(D):
        for _ in range(30):
            X = p.X_valid.clone()
            X[:, j] = X[rng.permutation(300), j]
            expected[j] += (loss(X) - loss(p.X_valid)) / 30
    close(found, np.clip(expected, 0, None), 0.25)


def test_mutual_information_of_a_gaussian_pair():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3)).astype(np.float32)
    y = (0.8 * X[:, 0] + 0.6 * rng.normal(size=2000)).astype(np.float32)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = MutualInformation().explain(Problem(None, X, y, X, y, "regression", 1)).relevance
    # -log(1 - rho^2) / 2; the estimate's standard error is about 0.02.
    np.testing.assert_allclose(found, [-0.5 * np.log(1 - 0.64), 0, 0], atol=0.06)
