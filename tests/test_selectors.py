"""Methods that look at predictions or at the data, against their definitions and literal versions."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.inspection import permutation_importance as sklearn_permutation_importance
from torch import nn

from tests.networks import BOTH, D, close, draw, network, problem
from tests.reference import selectors as literal
from xai_bench.datasets.inputs import each_column
from xai_bench.explainers import base, forests
from xai_bench.explainers.base import Problem, score_on_valid
from xai_bench.explainers.forests import Boruta, GradientBoosting, RandomForest, RandomForestPermutation, TreeShap
from xai_bench.explainers.lassonet import LassoNet, leaving_strengths
from xai_bench.explainers.selectors import (
    MRMR,
    FTest,
    Lasso,
    MutualInformation,
    PermutationImportance,
    indicators,
    information,
    sums_and_squares,
)


def test_permutation_importance_against_its_definition():
    p = problem(draw(nn.Sequential(nn.Linear(4, 1))), "regression", n=400)
    weight = p.model[0].weight[0].numpy()
    variance = p.X_valid.numpy().var(0)
    # E (w (x - x'))^2 = 2 w^2 var; 20 shuffles of 400 rows leave a few per cent.
    close(PermutationImportance(rows=1000, repeats=20).explain(p).relevance, 2 * weight**2 * variance, 0.05)


def test_permutation_importance_of_a_classifier_is_the_rise_of_cross_entropy():
    p = problem(network(), n=300)
    found = PermutationImportance(rows=300, repeats=30).explain(p).relevance

    def loss(X):
        return nn.functional.cross_entropy(p.model(X).double(), p.y_valid).item()

    rng, expected = np.random.default_rng(9), np.zeros(D)
    for j in range(D):
        for _ in range(30):
            X = p.X_valid.clone()
            X[:, j] = X[rng.permutation(300), j]
            expected[j] += (loss(X) - loss(p.X_valid)) / 30
    close(found, np.clip(expected, 0, None), 0.25)


class Positive(nn.Sequential):
    """A chain that does more than its modules."""

    def forward(self, x):
        return super().forward(x.abs())


@BOTH
@pytest.mark.parametrize("chain", [nn.Sequential, Positive])
@pytest.mark.parametrize("memory", [None, 1])
def test_permutation_importance_is_that_of_scikit_learn(kind, chain, memory):
    model = chain(*network())
    p = replace(problem(model, kind, n=50), memory=memory)
    p.X_valid[:, 2] = 3.0
    found = PermutationImportance(rows=50, repeats=4).explain(p, seed=5)

    def score(_model, X, y):
        outputs, y = p.model(torch.from_numpy(X)).double(), torch.from_numpy(y)
        if kind == "classification":
            return -nn.functional.cross_entropy(outputs, y).item()
        return -(outputs[:, 0] - y).square().mean().item()

    rng = np.random.default_rng(5)
    rng.permutation(50)
    expected = sklearn_permutation_importance(
        DummyClassifier(),
        p.X_valid.numpy(),
        p.y_valid.numpy(),
        scoring=score,
        n_repeats=4,
        random_state=int(rng.integers(2**31)),
    )
    close(found.relevance, np.clip(expected["importances_mean"], 0, None), 1e-6)
    assert found.relevance[2] == 0
    assert found.forward_rows == 50 * (1 + 4 * (D - 1))


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


# What fits a model of its own.


def data_problem(kind, n=300, d=6, classes=3, noise=0.3):
    """y depends on x1 and x2 (a little less); no model."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    z = X[:, 0] + 0.7 * X[:, 1] + noise * rng.normal(size=n)
    if kind == "regression":
        y = z.astype(np.float32)
    else:
        y = np.digitize(z, np.quantile(z, np.arange(1, classes) / classes)).astype(np.int64)
    X, y, a = torch.from_numpy(X), torch.from_numpy(y), int(0.8 * n)
    outputs = 1 if kind == "regression" else classes
    return Problem(None, X[:a], y[:a], X[a:], y[a:], kind, outputs, generator=np.random.default_rng(7))


def numpy_of(p):
    return p.X_train.numpy(), p.y_train.numpy(), p.X_valid.numpy(), p.y_valid.numpy()


SHORT = {"hidden": (8,), "lambda_start": 10.0, "path_multiplier": 1.5, "n_iters": (300, 20)}
SELECTORS = [
    *(FTest(), MRMR(), Lasso(), MutualInformation(), RandomForest(trees=20), RandomForestPermutation(trees=20)),
    *(GradientBoosting(iterations=10), TreeShap(trees=10), Boruta(runs=3, trees=20)),
    LassoNet(**SHORT),
]


@BOTH
@pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: s.name)
def test_selectors_find_the_inputs_and_say_how_well_they_predict(selector, kind):
    p = data_problem(kind)
    found = selector.select(p)
    assert set(np.argsort(found.relevance)[-2:]) == {0, 1}
    if selector.name in ("f_test", "mrmr", "mutual_information"):
        assert found.valid_score is None
    else:
        # Far from chance (a third; 0), and no more than is possible.
        assert (0.6 if kind == "classification" else 0.5) < found.valid_score <= 1
    explanation = selector.explain(data_problem(kind), seed=3)
    again = selector.select(replace(data_problem(kind), generator=np.random.default_rng(3)))
    if selector.name != "lassonet":  # its optimisers also see torch's stream
        np.testing.assert_array_equal(explanation.relevance, again.relevance)
    assert explanation.forward_rows == 0
    assert explanation.setup_wall > 0
    if selector.name == "tree_shap":  # the others find the relevance with the model
        assert explanation.explain_cpu > 0


def test_scores_on_validation_rows():
    p = data_problem("classification")
    assert score_on_valid(p, p.y_valid.numpy()) == 1
    assert score_on_valid(p, (p.y_valid.numpy() + 1) % 3) == 0
    q = data_problem("regression")
    y = q.y_valid.numpy().astype(float)
    expected = 1 - sum((v - 0.5) ** 2 for v in y) / len(y) / np.var(q.y_train.numpy().astype(float))
    assert score_on_valid(q, np.full(len(y), 0.5)) == pytest.approx(expected)
    one = replace(q, X_valid=q.X_valid[:1], y_valid=q.y_valid[:1])
    assert np.isfinite(score_on_valid(one, np.zeros(1)))


@BOTH
def test_f_test_is_scikit_learns(kind):
    from sklearn.feature_selection import f_classif, f_regression

    p = data_problem(kind)
    X, y, *_ = numpy_of(p)
    share = FTest().select(p).relevance
    first, second = (2, len(y) - 3) if kind == "classification" else (1, len(y) - 2)
    F, _ = (f_classif if kind == "classification" else f_regression)(X.astype(float), y)
    np.testing.assert_allclose(share / (1 - share) * second / first, F, rtol=1e-6)


def test_f_test_of_perfect_and_constant_inputs_is_finite():
    p = data_problem("regression")
    X = p.X_train.clone()
    X[:, 0], X[:, 1] = p.y_train, 1.0
    relevance = FTest().select(replace(p, X_train=X)).relevance
    assert relevance[0] == pytest.approx(1, abs=1e-6)
    assert relevance[1] == 0


@pytest.mark.parametrize("d", [3, 5000, 40_000])
def test_sums_of_the_f_test_in_blocks_of_rows(d):
    random = np.random.default_rng(0)
    X, weights = random.normal(100.0, 1.0, (25, d)).astype(np.float32), random.normal(size=(2, 25))
    X[0] = -1e4  # the row that the others are compared with is the furthest
    sums, squares = sums_and_squares(weights, X)
    moved = X.astype(np.float64) - X[0].astype(np.float64)
    np.testing.assert_allclose(sums, np.stack([sum(w * row for w, row in zip(o, moved, strict=True)) for o in weights]))
    np.testing.assert_allclose(squares, sum(row**2 for row in moved))
    variance = squares - sums_and_squares(np.ones((1, 25)), X)[0][0] ** 2 / 25
    np.testing.assert_allclose(variance, 25 * X.astype(np.float64).var(0), rtol=1e-12)


@BOTH
def test_mrmr_against_a_literal_version(kind):
    p = data_problem(kind, d=9)
    X, y, *_ = numpy_of(p)
    order = literal.mrmr(X.astype(float), y.astype(float), kind)
    relevance = MRMR().select(p).relevance
    assert list(np.argsort(-relevance)) == order
    np.testing.assert_allclose(sorted(relevance), np.arange(1, 10) / 9)


def test_mutual_information_of_states_is_scikit_learns():
    from sklearn.metrics import mutual_info_score

    random = np.random.default_rng(0)
    first, second = random.integers(0, 4, (60, 2)), random.integers(0, 3, (60, 700))
    second[:, 0], second[:, 1] = first[:, 0] % 3, 1  # one that depends, one that is constant
    found = information(indicators(first, np.arange(4)), indicators(second, np.arange(3)))
    expected = [[mutual_info_score(x, y) for y in second.T] for x in first.T]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@BOTH
def test_mrmr_with_little_memory_looks_at_one_input_at_a_time(kind):
    p = data_problem(kind, d=30)
    p.X_train[:, 3] = p.X_train[:, 4]
    expected = MRMR().explain(p).relevance
    assert np.array_equal(MRMR().explain(replace(p, memory=1000)).relevance, expected)


def test_mrmr_ranks_a_copy_behind_what_says_less_but_something_new():
    p = data_problem("classification")
    X = p.X_train.clone()
    X[:, 5] = X[:, 0]
    relevance = MRMR().select(replace(p, X_train=X)).relevance
    assert min(relevance[0], relevance[5]) < relevance[1] < max(relevance[0], relevance[5])


def test_mrmr_breaks_ties_at_random():
    p = data_problem("classification")
    X = p.X_train[:, :1].expand(-1, 6).contiguous()
    first = {int(MRMR().explain(replace(p, X_train=X), seed=s).relevance.argmax()) for s in range(20)}
    assert len(first) > 3


def test_lasso_along_the_path_in_regression():
    from sklearn.linear_model import Lasso as Plain

    p = data_problem("regression", d=10)
    X, y, X_valid, y_valid = (a.astype(float) for a in numpy_of(p))
    X, X_valid = (X - X.mean(0)) / X.std(0), (X_valid - X.mean(0)) / X.std(0)
    largest = np.abs(X.T @ (y - y.mean())).max() / len(y)
    errors = {}
    for strength in largest * np.logspace(0, -3, 20):
        model = Plain(alpha=strength, tol=1e-8).fit(X, y)
        errors[np.mean((model.predict(X_valid) - y_valid) ** 2)] = np.abs(model.coef_)
    np.testing.assert_allclose(Lasso().select(p).relevance, errors[min(errors)], atol=2e-3)


def test_lasso_leaves_noise_out_with_exact_zeros_and_takes_classes_one_by_one():
    p = data_problem("classification", n=600, d=30, classes=2, noise=2.0)
    relevance = Lasso().select(p).relevance
    assert (relevance[:2] > 0).all()
    assert (relevance[2:] == 0).sum() >= 5
    rare = replace(p, y_train=torch.zeros_like(p.y_train))
    assert (Lasso().select(rare).relevance == 0).all()
    three = data_problem("classification", n=600, d=30)
    assert set(np.argsort(Lasso().select(three).relevance)[-2:]) == {0, 1}


@BOTH
def test_random_forest_is_scikit_learns(kind):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    p = data_problem(kind)
    X, y, X_valid, y_valid = numpy_of(p)
    seed = int(np.random.default_rng(7).integers(2**31))
    plain = (RandomForestClassifier if kind == "classification" else RandomForestRegressor)(20, random_state=seed)
    plain.fit(X, y)
    found = RandomForest(trees=20).select(p)
    np.testing.assert_array_equal(found.relevance, plain.feature_importances_)
    if kind == "classification":
        assert found.valid_score == pytest.approx(plain.score(X_valid, y_valid))


@BOTH
@pytest.mark.parametrize("numbers", [2**23, 6 * 100])
@pytest.mark.parametrize("how", [forests.permutation_fall, forests.forest_permutation_fall])
def test_permutation_fall_is_that_of_one_input_at_a_time(how, kind, numbers):
    p = data_problem(kind)
    X, y, X_valid, _ = numpy_of(p)
    model = forests.forest(p, 10, 5).fit(X, y)
    p = replace(p, memory=numbers * base.BYTES_AN_ELEMENT)
    found = how(model, replace(p, generator=np.random.default_rng(1)), 3, each_column(6))
    rng, expected = np.random.default_rng(1), np.zeros(6)
    jobs = [(j, r) for j in range(6) for r in range(3)]
    if how is forests.forest_permutation_fall:
        together = 6 if numbers > 600 else 600 // (len(X_valid) * p.n_outputs)  # inputs at once
        jobs.sort(key=lambda job: (job[0] // together, job[1], job[0]))
    for j, _ in jobs:
        shuffled = X_valid.copy()
        shuffled[:, j] = X_valid[rng.permutation(len(X_valid)), j]
        whole, hurt = (score_on_valid(p, model.predict(rows)) for rows in (X_valid, shuffled))
        expected[j] += (whole - hurt) / 3
    np.testing.assert_allclose(found, np.clip(expected, 0, None), atol=1e-12)


@BOTH
def test_tree_shap_is_the_plain_call_row_by_row(kind):
    import shap

    p = data_problem(kind)
    X, y, X_valid, y_valid = numpy_of(p)
    model = forests.forest(replace(p, generator=np.random.default_rng(7)), 10, 1).fit(X, y)
    explainer, total = shap.TreeExplainer(model), np.zeros(6)
    for row, k in zip(X_valid, y_valid, strict=True):
        values = explainer.shap_values(row[None])[0]
        total += np.abs(values[:, k] if kind == "classification" else values)
    found = TreeShap(trees=10).select(p).relevance
    np.testing.assert_allclose(found, total / len(X_valid), rtol=1e-6)


def test_tree_shap_of_classes_that_were_never_seen():
    p = data_problem("classification")
    p = replace(p, y_train=p.y_train.clamp(max=1), n_outputs=3)
    assert np.isfinite(TreeShap(trees=5).select(p).relevance).all()


def test_shadow_inputs_against_a_literal_version():
    p = data_problem("classification")
    X, y, *_ = numpy_of(p)
    rng, margins = np.random.default_rng(7), []
    for _ in range(3):
        shuffled = np.column_stack([X[rng.permutation(len(X)), j] for j in range(6)])
        importances = forests.forest(replace(p, generator=rng), 20, 1).fit(np.column_stack([X, shuffled]), y)
        importances = importances.feature_importances_
        margins.append([importances[j] - max(importances[6:]) for j in range(6)])
        for _ in range(6):
            rng.permutation(len(p.X_valid))  # the validation rows get shadows too
    expected = [max(0.0, sum(column) / 3) for column in zip(*margins, strict=True)]
    found = Boruta(runs=3, trees=20).select(p).relevance
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert (found[:2] > 0).all()
    assert (found[2:] == 0).all()


def test_strengths_at_which_inputs_leave():
    steps = [([1, 1, 1, 0], 0.0), ([1, 1, 0, 0], 1.0), ([1, 0, 1, 0], 2.0), ([1, 0, 0, 0], 3.0)]
    path = [SimpleNamespace(selected=torch.tensor(s, dtype=torch.bool), lambda_=v) for s, v in steps]
    # Never left; left at 2; left at 1 and came back; never in (lassonet: infinity).
    np.testing.assert_allclose(leaving_strengths(path, 1.5), [4.5, 2.0, 1.0, 0.0])


def test_lassonet_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = LassoNet().unsupported(data_problem("regression"))
    assert reason == "it needs the package lassonet: run pip install 'xai-bench[selectors]'"
    assert LassoNet(max_inputs=3).unsupported(data_problem("regression")) == "6 inputs are above max_inputs = 3"


def test_lassonet_is_the_plain_call():
    from lassonet import LassoNetRegressor

    p = data_problem("regression")
    X, y, X_valid, y_valid = numpy_of(p)
    seed = int(np.random.default_rng(7).integers(2**31))
    fields = {key: value for key, value in SHORT.items() if key != "hidden"}
    plain = LassoNetRegressor(hidden_dims=(8,), torch_seed=seed, verbose=0, device="cpu", **fields)
    # Its strengths are relative to the loss: targets are standardised, as it asks for inputs.
    plain.path(X, (y - y.mean()) / y.std(), X_val=X_valid, y_val=(y_valid - y.mean()) / y.std())
    found = LassoNet(**SHORT).select(p).relevance
    expected = plain.feature_importances_.numpy()
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_lassonet_does_not_depend_on_the_units_of_the_target():
    p = data_problem("regression")
    found = LassoNet(**SHORT).select(p)
    scaled = replace(p, y_train=8 * p.y_train - 4, y_valid=8 * p.y_valid - 4, generator=np.random.default_rng(7))
    again = LassoNet(**SHORT).select(scaled)
    np.testing.assert_allclose(again.relevance, found.relevance, rtol=1e-6)
    assert again.valid_score == pytest.approx(found.valid_score, abs=1e-3)


def test_lassonet_with_a_class_in_the_validation_rows_only():
    p = data_problem("classification")
    p = replace(p, y_train=p.y_train.clamp(max=1), n_outputs=3)
    found = LassoNet(**SHORT).select(p)
    assert np.isfinite(found.relevance).all()
