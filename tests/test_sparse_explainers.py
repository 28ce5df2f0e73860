"""The selectors that fit their own sparse network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from tests.networks import close
from xai_bench import registry
from xai_bench.datasets.ring import Xor
from xai_bench.errors import InputError
from xai_bench.explainers import sparse
from xai_bench.explainers.base import Problem
from xai_bench.explainers.sparse import GroupLassoPath, SpectralPath
from xai_bench.models.path import Diverged, tuned
from xai_bench.models.sparse import sparse_path

QUICK = {"hidden": (16, 8), "levels": 14, "first_steps": 200, "level_steps": 60, "refit_steps": 200}


def problem_of(data, y_train=None):
    return Problem(
        model=None,
        X_train=torch.from_numpy(data.X_train),
        y_train=torch.from_numpy(data.y_train if y_train is None else y_train),
        X_valid=torch.from_numpy(data.X_valid),
        y_valid=torch.from_numpy(data.y_valid),
        kind=data.kind,
        n_outputs=data.n_outputs,
    )


@pytest.fixture(scope="module")
def xor():
    return Xor(n=500, d=6).load(1000).standardised()


@pytest.mark.parametrize("explainer", [SpectralPath(**QUICK), GroupLassoPath(**QUICK)], ids=lambda e: e.name)
def test_relevance_is_the_permutation_importance_of_the_refitted_network(xor, explainer):
    found = explainer.explain(problem_of(xor), seed=3)
    again = sparse_path(xor, explainer.settings(), int(np.random.default_rng(3).integers(2**31)))
    assert again.support.any()
    np.testing.assert_array_equal(found.relevance > 0, again.support)
    X, y = torch.from_numpy(xor.X_valid[:, again.support]), torch.from_numpy(xor.y_valid)
    rng, rises = np.random.default_rng(9), np.zeros(again.support.sum())

    def loss(rows):
        with torch.no_grad():
            return nn.functional.cross_entropy(again.model.module(rows).double(), y).item()

    for column in range(len(rises)):
        for _ in range(50):
            shuffled = X.clone()
            shuffled[:, column] = X[rng.permutation(len(X)), column]
            rises[column] += (loss(shuffled) - loss(X)) / 50
    # Five shuffles of 80 rows: a standard error of some per cent.
    close(found.relevance[again.support], rises.clip(0), 0.25)
    assert found.setup_cpu > 10 * found.explain_cpu
    assert explainer.settings().form == explainer.form


WEIGHTS = np.array([3, -2, 1.2, 0.7, 0.4, 0.2, 0.1, 0])


def linear(seed, n=800):
    """y = X w + .3 noise, standardised."""
    draws = np.random.default_rng(seed)
    X = draws.normal(size=(n, len(WEIGHTS)))
    y = X @ WEIGHTS + 0.3 * draws.normal(size=n)
    train, valid = slice(0, int(0.64 * n)), slice(int(0.64 * n), int(0.8 * n))
    X, y = (X - X[train].mean(0)) / X[train].std(0), (y - y[train].mean()) / y[train].std()
    X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    return Problem(None, X[train], y[train], X[valid], y[valid], "regression", 1)


def assert_ranked_as_the_weights(explainer, seed):
    relevance = explainer.explain(linear(seed), seed=seed).relevance
    assert spearmanr(relevance, np.abs(WEIGHTS)).statistic >= 0.97
    assert (relevance > 0).sum() >= 5
    assert relevance[-1] <= relevance[relevance > 0].min()


@pytest.mark.parametrize("kind", [SpectralPath, GroupLassoPath], ids=lambda kind: kind.name)
def test_chosen_inputs_are_ranked_as_the_data_do(kind):
    settings = {"hidden": (32, 16), "levels": 12, "first_steps": 300, "level_steps": 100, "refit_steps": 400}
    assert_ranked_as_the_weights(kind(**settings), 1000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1000, 1001, 1002])
@pytest.mark.parametrize("kind", [SpectralPath, GroupLassoPath], ids=lambda kind: kind.name)
def test_chosen_inputs_are_ranked_as_the_data_do_with_the_default_settings(kind, seed):
    assert_ranked_as_the_weights(kind(), seed)


def test_a_chosen_input_without_effect_stays_above_the_others(xor, monkeypatch):
    monkeypatch.setattr(sparse.PermutationImportance, "relevance", lambda self, problem: np.zeros(problem.d))
    relevance = SpectralPath(**QUICK).explain(problem_of(xor), seed=3).relevance
    chosen = relevance[relevance > 0]
    assert 0 < len(chosen) < 6
    assert (chosen.astype(np.float32) > 0).all(), "also where it is stored as float32"


def test_fields_reach_the_path_and_the_rest_is_tuned():
    settings = GroupLassoPath(**QUICK, tolerance=0.01).settings()
    assert settings == tuned("group_lasso", **QUICK, window=60, tolerance=0.01, agreed_by="votes")
    assert SpectralPath().settings() == tuned("spectral", agreed_by="votes")
    assert registry.create("explainers", "spectral_path", {}) == SpectralPath()
    assert registry.create("explainers", "group_lasso_path", {}) == GroupLassoPath()
    with pytest.raises(InputError, match="did you mean"):
        SpectralPath(level=3)


def test_too_few_rows_are_not_supported(xor):
    few = problem_of(xor)
    few = Problem(None, few.X_train[:6], few.y_train[:6], few.X_valid[:3], few.y_valid[:3], few.kind, 2)
    assert SpectralPath().unsupported(few) == "it needs 10 rows for its folds, and there are 9"
    assert SpectralPath().unsupported(problem_of(xor)) is None


def test_nothing_is_relevant_where_nothing_can_be_predicted(xor):
    shuffled = np.random.default_rng(1000).permutation(xor.y_train)
    found = SpectralPath(**QUICK).explain(problem_of(xor, shuffled), seed=0)
    np.testing.assert_array_equal(found.relevance, np.zeros(6))


def test_steps_that_diverge_are_repeated_with_smaller_ones(monkeypatch):
    rates = []

    def picky(data, settings, seed):
        rates.append(settings.proximal_rate)
        if len(rates) < 3:
            raise Diverged("too large")
        return "followed"

    monkeypatch.setattr(sparse, "sparse_path", picky)
    settings = tuned("group_lasso")
    assert sparse._followed(None, settings, 0) == "followed"
    assert rates == pytest.approx([settings.proximal_rate * shrunk for shrunk in (1, 0.1, 0.01)])
