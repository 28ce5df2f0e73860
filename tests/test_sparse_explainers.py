"""The selectors that fit their own sparse network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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
def test_relevance_is_the_column_norm_on_the_chosen_inputs(xor, explainer):
    found = explainer.explain(problem_of(xor), seed=3)
    again = sparse_path(xor, explainer.settings(), int(np.random.default_rng(3).integers(2**31)))
    columns = again.model.module[0].weight.norm(dim=0).numpy()
    assert again.support.any()
    np.testing.assert_array_equal(found.relevance[again.support], columns.astype(np.float64))
    np.testing.assert_array_equal(found.relevance > 0, again.support)
    assert found.setup_cpu > 10 * found.explain_cpu
    assert explainer.settings().form == explainer.form


def test_fields_reach_the_path_and_the_rest_is_tuned():
    settings = GroupLassoPath(**QUICK, tolerance=0.01).settings()
    assert settings == tuned("group_lasso", **QUICK, window=60, tolerance=0.01)
    assert SpectralPath().settings() == tuned("spectral")
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
