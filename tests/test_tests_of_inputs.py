"""Methods with p-values, and SAGE: against the packages called directly, closed forms and slow versions."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from tests.networks import BOTH
from tests.reference import guarantees as literal
from xai_bench.explainers.base import Problem, Selection, Selector
from xai_bench.explainers.conditional import (
    ConditionalPermutation,
    LeaveOneOut,
    loss_of_rows,
    p_values_of_rises,
)
from xai_bench.explainers.model_x import ConditionalRandomisation, Knockoffs, knockoff_levels
from xai_bench.explainers.promise import Promise
from xai_bench.explainers.sage import Sage
from xai_bench.explainers.selectors import FTest
from xai_bench.running.tuning import Tuned

hidimstat = pytest.importorskip("hidimstat", reason="hidimstat is not installed")
SEED = 5
SMALL = [
    ConditionalPermutation(permutations=3),
    LeaveOneOut(iterations=3),
    Knockoffs(strengths=4, folds=2),
    ConditionalRandomisation(strengths=2, folds=2),
    FTest(),
]


def table(kind="regression", n=120, d=4, seed=0):
    """y from the first two of d correlated inputs, and a network that knows them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2 * n, d)) @ (np.eye(d) + 0.3)
    score = 2 * X[:, 0] - X[:, 1] + rng.normal(size=2 * n)
    model = nn.Sequential(nn.Linear(d, 2 if kind == "classification" else 1)).requires_grad_(False)
    model[0].weight.zero_()
    model[0].weight[-1, :2] = torch.tensor([2.0, -1.0])
    parts = torch.tensor(X, dtype=torch.float32).split(n)
    y = torch.tensor(score > 0).long() if kind == "classification" else torch.tensor(score, dtype=torch.float32)
    return Problem(model, parts[0], y[:n], parts[1], y[n:], kind, model[0].out_features)


def own_seed(p):
    """The seed that a method takes first from a generator of seed ``SEED``."""
    return int(np.random.default_rng(SEED).integers(2**31))


class Network:
    """A network as hidimstat takes models."""

    def __new__(cls, model, d):
        from sklearn.base import BaseEstimator

        class Fitted(BaseEstimator):
            n_features_in_ = d

            def fit(self, X, y=None):
                return self

            def __sklearn_is_fitted__(self):
                return True

            def predict(self, X):
                outputs = model(torch.tensor(X, dtype=torch.float32)).double().numpy()
                return outputs[:, 0] if outputs.shape[1] == 1 else outputs

        return Fitted()


def losses(y, outputs):
    return float(loss_of_rows(np.asarray(y), np.asarray(outputs)).mean())


@BOTH
def test_conditional_permutation_is_hidimstats(kind):
    p = table(kind)
    found = ConditionalPermutation(permutations=7).explain(p, seed=SEED)
    X, y = p.X_valid.double().numpy(), p.y_valid.numpy()
    rng = np.random.default_rng(SEED)
    rng.permutation(len(X))
    seed = int(rng.integers(2**31))
    cfi = hidimstat.CFI(
        Network(p.model, 4), loss=losses, n_permutations=7, feature_types="continuous", random_state=seed
    )
    cfi.fit(p.X_train.double().numpy())
    np.testing.assert_allclose(found.relevance, cfi.importance(X, y).clip(0), rtol=1e-5, atol=1e-7)
    assert found.relevance.argmax() == 0
    assert found.p_values[0] < 1e-6


def test_a_conditional_copy_is_of_no_use():
    p = table()
    X_train, X_valid = (torch.cat([part, part[:, :1]], 1) for part in (p.X_train, p.X_valid))
    model = nn.Sequential(nn.Linear(5, 1)).requires_grad_(False)
    model[0].weight.copy_(torch.tensor([[1.0, -1.0, 0.0, 0.0, 1.0]]))
    found = ConditionalPermutation(permutations=5).explain(
        replace(p, model=model, X_train=X_train, X_valid=X_valid), seed=SEED
    )
    assert found.relevance[0] < 1e-3 < found.relevance[1]


def test_p_values_of_rises_are_those_of_a_t_test():
    rises = np.random.default_rng(0).normal(0.1, 1, (5, 30))
    expected = stats.ttest_1samp(rises, 0, axis=1, alternative="greater").pvalue
    np.testing.assert_allclose(p_values_of_rises(rises), expected, rtol=1e-9)
    constant = np.stack([np.full(4, 0.5), np.zeros(4), np.full(4, -0.5)])
    assert p_values_of_rises(constant).tolist() == [0, 1, 1]
    assert p_values_of_rises(np.ones((2, 1))).tolist() == [1, 1]


def test_loss_of_rows_is_torchs():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(6, 3)) * 50, rng.integers(0, 3, 6)
    expected = nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(y), reduction="none").numpy()
    np.testing.assert_allclose(loss_of_rows(y, logits), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(loss_of_rows(np.array([1.0, 2.0]), np.array([3.0, 2.0])), [4.0, 0.0])


def test_leaving_one_out_is_hidimstats():
    from sklearn.ensemble import HistGradientBoostingRegressor

    p = table()
    method = LeaveOneOut(iterations=5)
    found = method.explain(p, seed=SEED)
    X, y = p.X_train.numpy(), p.y_train.numpy()
    model = HistGradientBoostingRegressor(max_iter=5, early_stopping=False, random_state=own_seed(p)).fit(X, y)
    loco = hidimstat.LOCO(model)
    loco.fit(X, y)
    np.testing.assert_allclose(
        found.relevance, loco.importance(p.X_valid.numpy(), p.y_valid.numpy()).clip(0), rtol=1e-5, atol=1e-7
    )
    assert found.p_values[0] < 1e-3


def test_leaving_an_input_out_leaves_its_columns_out():
    p = replace(table(), inputs=((0, 1), (2,), (3,)))
    found = LeaveOneOut(iterations=5).explain(p, seed=SEED)
    # Without both, what is left tells little: more than the worse of the two alone.
    assert found.over_inputs[0] > found.relevance[:2].max()
    assert found.p_values.shape == (3,)


def test_leaving_out_with_a_class_that_the_training_rows_lack():
    p = table("classification")
    y = p.y_valid.clone()
    y[:3] = 2
    found = LeaveOneOut(iterations=3).explain(replace(p, y_valid=y, n_outputs=3))
    assert np.isfinite(found.relevance).all()


def test_conditional_randomisation_is_hidimstats():
    from sklearn.linear_model import LassoCV
    from sklearn.model_selection import KFold

    p = table()
    found = ConditionalRandomisation(strengths=3, folds=2).explain(p, seed=SEED)
    seed, y = own_seed(p), p.y_train.double().numpy()

    def lasso():
        return LassoCV(alphas=3, cv=KFold(2, shuffle=True, random_state=seed), random_state=seed)

    direct = hidimstat.D0CRT(
        lasso(), lasso_screening=lasso(), model_distillation_x=lasso(), screening_threshold=100, random_state=seed
    )
    statistic = direct.fit_importance(p.X_train.double().numpy(), y - y.mean())
    np.testing.assert_allclose(found.relevance, np.abs(statistic), rtol=1e-6)
    np.testing.assert_allclose(found.p_values, direct.pvalues_, rtol=1e-6)
    np.testing.assert_allclose(found.p_values, 2 * stats.norm.sf(np.abs(statistic)), rtol=1e-6)


@BOTH
def test_p_values_of_the_f_test_are_scipys(kind):
    p = table(kind)
    found = FTest().explain(p).p_values
    X, y = p.X_train.double().numpy(), p.y_train.double().numpy()
    for j in range(4):
        both = stats.f_oneway(X[y == 0, j], X[y == 1, j]) if kind == "classification" else stats.linregress(X[:, j], y)
        assert found[j] == pytest.approx(both.pvalue, rel=1e-6)
    constant = FTest().explain(replace(p, y_train=torch.ones_like(p.y_train)))
    assert (constant.p_values == 1).all()


def test_an_input_of_columns_has_their_smallest_p_value_times_their_number():
    p = table(d=5)
    method = ConditionalRandomisation(strengths=2, folds=2)
    alone = method.explain(p, seed=SEED).p_values
    joint = method.explain(replace(p, inputs=((0,), (1,), (2, 3, 4))), seed=SEED).p_values
    np.testing.assert_array_equal(joint, [alone[0], alone[1], min(1, 3 * alone[2:].min())])


def test_knockoffs_are_hidimstats():
    p = table(d=8, n=200)
    found = Knockoffs().explain(p, seed=SEED)
    seed, y = own_seed(p), p.y_train.double().numpy()
    direct = hidimstat.ModelXKnockoff(Knockoffs()._lasso(seed), preconfigure_lasso_path=False, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        difference = direct.fit_importance(p.X_train.double().numpy(), y - y.mean())[0]
    np.testing.assert_allclose(found.relevance, difference.clip(0), rtol=1e-6)
    for level in (0.1, 0.34, 0.5, 0.9):
        np.testing.assert_array_equal(found.p_values <= level, direct.fdr_selection(level))
    assert Knockoffs().explain(replace(p, inputs=((0, 1), *((j,) for j in range(2, 8))))).p_values is None


def test_levels_of_knockoffs_are_those_of_the_slow_version():
    rng = np.random.default_rng(0)
    for _ in range(20):
        difference = (rng.normal(0.5, 1, 25)).round(1)
        found = knockoff_levels(difference)
        for level in (0.05, 0.1, 0.25, 0.5, 0.99):
            assert (found <= level).tolist() == literal.knockoff_selection(difference.tolist(), level)


@BOTH
def test_sage_is_the_plain_call(kind):
    sage = pytest.importorskip("sage", reason="sage-importance is not installed")
    p = table(kind)
    found = Sage(orders=64, background=16).explain(p, seed=SEED)
    rng = np.random.default_rng(SEED)
    background = p.X_train.numpy()[np.sort(rng.permutation(len(p.X_train))[:16])]
    seed = int(rng.integers(2**31))

    def predicted(X):
        outputs = p.model(torch.tensor(X))
        return (outputs.softmax(1) if kind == "classification" else outputs).numpy()

    name = "cross entropy" if kind == "classification" else "mse"
    direct = sage.PermutationEstimator(sage.MarginalImputer(predicted, background), name, random_state=seed)
    values = direct(
        p.X_valid.numpy(), p.y_valid.numpy(), batch_size=64, detect_convergence=False, n_permutations=64, bar=False
    ).values
    np.testing.assert_allclose(found.relevance, values.clip(0), rtol=1e-4, atol=1e-6)


def test_sage_of_a_linear_network_and_independent_inputs_is_known():
    pytest.importorskip("sage", reason="sage-importance is not installed")
    p, weight = table(), np.array([1.0, 0.5, 0.0, 2.0])
    p.model[0].weight[0] = torch.tensor(weight)
    X = p.X_valid - p.X_valid.mean(0)
    X = (X @ torch.linalg.inv(torch.linalg.cholesky(X.T @ X / len(X))).T).float()  # uncorrelated, of variance 1
    p = replace(p, X_train=X, X_valid=X, y_valid=p.model(X)[:, 0])
    # The network is the target: E (w x)^2 falls by w^2 whenever an input joins. 1500 rows: errors of about .1.
    found = Sage(orders=1500, background=120).explain(p).relevance
    np.testing.assert_allclose(found, weight**2, atol=0.25)


# -- the contract ----------------------------------------------------------------------------------


@pytest.mark.parametrize("explainer", SMALL, ids=lambda e: e.name)
def test_constant_inputs_have_the_p_value_1(explainer):
    p = table(d=5)
    X_train, X_valid = p.X_train.clone(), p.X_valid.clone()
    X_train[:, 3], X_valid[:, 3] = 1.0, 1.0
    found = explainer.explain(replace(p, X_train=X_train, X_valid=X_valid))
    assert found.p_values[3] == 1
    assert found.relevance[3] == 0
    assert ((found.p_values >= 0) & (found.p_values <= 1)).all()


@pytest.mark.parametrize("explainer", [Knockoffs(), ConditionalRandomisation()], ids=lambda e: e.name)
def test_a_target_is_a_number_or_has_two_classes(explainer):
    p = table("classification")
    assert "two classes, not 3" in explainer.unsupported(replace(p, n_outputs=3))
    alone = explainer.explain(replace(p, y_train=torch.ones_like(p.y_train)))
    assert not alone.relevance.any()
    assert (alone.p_values == 1).all()


def test_packages_that_are_absent_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for explainer in (ConditionalPermutation(), Knockoffs(), ConditionalRandomisation(), Sage()):
        assert "pip install 'xai-bench[guarantees]'" in explainer.unsupported(table())


class Promising(Selector):
    name = "promising"
    promise = Promise("marginal")
    shift: float = 0.0

    def select(self, problem):
        values = np.full(problem.d, 0.5 + self.shift)
        return Selection(np.ones(problem.d), valid_score=0.5, p_values=values)


def test_p_values_are_numbers_from_0_to_1():
    assert Promising().explain(table()).p_values.tolist() == [0.5] * 4
    with pytest.raises(ValueError, match=r"promising: expected \(4,\) p-values in \[0, 1\]"):
        Promising(shift=0.6).explain(table())


def test_what_is_tuned_promises_nothing():
    tuned = Tuned.of(Promising(), [{"shift": 0.1}, {"shift": 0.2}])
    assert tuned.explain(table()).p_values is None
    assert tuned.explain(replace(table(), inputs=((0, 1), (2,), (3,)))).p_values is None


def test_without_a_promise_there_are_no_p_values():
    class Silent(Promising):
        promise = None

    assert Silent().explain(table()).p_values is None
