"""The scikit-learn estimators: scikit-learn's own checks, its tools around them, and what they share with the suite."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.feature_selection import SelectFromModel
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import xai_bench
from tests.toy import QUICK, toy
from xai_bench.errors import InputError
from xai_bench.estimators import SpectralMLPClassifier, SpectralMLPRegressor
from xai_bench.models.mlp import SpectralMLP
from xai_bench.models.sparse import Constant, SparseSettings
from xai_bench.models.training import RowWeights, fit_many, fit_one

SMALL = {"hidden": (16, 8), "epochs": 100, "random_state": 0}
PARTS = ("train", "valid", "test")


@parametrize_with_checks([SpectralMLPClassifier(epochs=100), SpectralMLPRegressor(epochs=100)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("epochs", "rows", "steps"), [("auto", 80, 1000), ("auto", 4000, 4000), (50, 80, 50), (50, 4000, 1000)]
)
def test_small_tables_get_a_thousand_steps_unless_said_otherwise(epochs, rows, steps):
    assert SpectralMLPRegressor(epochs=epochs)._architecture().steps(rows) == steps


@pytest.fixture(scope="module")
def table():
    """Classes of x1 x2 + x3 as text, beside seven columns of noise, in a DataFrame."""
    rng = np.random.default_rng(0)
    X = rng.normal(3, 5, size=(500, 10))
    z = (X[:, 0] - 3) * (X[:, 1] - 3) / 5 + (X[:, 2] - 3)
    return pd.DataFrame(X, columns=[f"c{j}" for j in range(10)]), np.where(z > 0, "yes", "no")


@pytest.mark.parametrize("kind", ["classification", "several targets"])
def test_weighted_training_equals_autograd(kind):
    data = toy(kind="classification" if kind == "classification" else "regression")
    if kind == "several targets":
        both = {f"y_{p}": np.stack([getattr(data, f"y_{p}"), getattr(data, f"X_{p}")[:, 3]], 1) for p in PARTS}
        data = replace(data, n_outputs=2, **both)
    rng = np.random.default_rng(0)
    weights = RowWeights(rng.exponential(size=192), rng.exponential(size=48))
    architecture = SpectralMLP(hidden=(10, 6), epochs=0.1, min_steps=30, checkpoints=4)
    options = {"row_weights": weights, "rows": 191, "dtype": torch.float64}
    (batched,) = fit_many(architecture, data, [0], chunk=1, **options)
    alone = fit_one(architecture, data, 0, **options)
    for name, value in alone.module.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(batched.module.state_dict()[name], value, rtol=0, atol=1e-9)
    assert batched.valid_loss == pytest.approx(alone.valid_loss, abs=1e-9)
    assert batched.test_score == pytest.approx(alone.test_score, abs=1e-9)
    outputs = alone.module(torch.from_numpy(data.X_valid).double())
    y = torch.from_numpy(data.y_valid)
    if kind == "classification":
        losses = torch.nn.functional.cross_entropy(outputs, y, reduction="none")
    else:
        losses = ((outputs - y) ** 2).mean(1)
    assert alone.valid_loss == pytest.approx(np.average(losses.numpy(), weights=weights.valid), abs=1e-9)


def test_attributes_are_those_of_the_layer(table):
    X, y = table
    model = SpectralMLPClassifier(**SMALL).fit(X, y)
    first = model.module_[0]
    literal = first.lambda_in.abs() * first.phi.norm(dim=0)
    np.testing.assert_allclose(model.feature_importances_, literal.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(model.eigenvalues_, first.lambda_in.numpy())
    assert model.support_.all()
    assert model.n_features_in_ == 10
    assert model.feature_names_in_.tolist() == list(X.columns)
    assert set(np.argsort(model.feature_importances_)[-3:]) == {0, 1, 2}
    assert model.score(X, y) > 0.9


def test_training_is_the_suite_s(table):
    X, y = table
    scaled = ((X - X.mean()) / X.std(ddof=0)).to_numpy().copy()
    model = SpectralMLPClassifier(**SMALL).fit(X, y)
    by_hand = SpectralMLPClassifier(**SMALL, standardize=False).fit(scaled, y)
    np.testing.assert_allclose(model.predict_proba(X), by_hand.predict_proba(scaled), atol=1e-7)
    outputs = model.module_(torch.from_numpy(scaled)).softmax(1).numpy()
    np.testing.assert_allclose(model.predict_proba(X), outputs, atol=1e-7)


def test_inside_the_tools_of_scikit_learn(table):
    X, y = table
    pipeline = make_pipeline(
        StandardScaler(), SelectFromModel(SpectralMLPClassifier(**SMALL)), LogisticRegression()
    ).fit(X, y)
    assert pipeline[1].get_support()[:3].all()
    assert pipeline[1].get_support().sum() < 10
    search = GridSearchCV(SpectralMLPClassifier(**SMALL), {"l2_lambda": [1e-3, 1e-2], "hidden": [(8,), [8, 4]]}, cv=2)
    model = search.fit(X, y).best_estimator_
    found = permutation_importance(model, X, y, n_repeats=2, random_state=0)["importances_mean"]
    assert set(np.argsort(found)[-3:]) == {0, 1, 2}
    fresh = clone(model).fit(X, y)
    np.testing.assert_array_equal(fresh.predict_proba(X), model.predict_proba(X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_tables_up_to_200_rows_are_one_batch(table):
    X, y = table[0][:90], table[1][:90]
    counts = np.arange(90) % 3 + 1
    weighted = SpectralMLPClassifier(**SMALL).fit(X, y, sample_weight=counts)
    repeated = SpectralMLPClassifier(**SMALL).fit(X.loc[X.index.repeat(counts)], np.repeat(y, counts))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-7)


def test_text_labels_and_imbalance(table):
    X, y = table
    model = SpectralMLPClassifier(**SMALL).fit(X, y)
    assert model.classes_.tolist() == ["no", "yes"]
    assert set(model.predict(X)) == {"no", "yes"}
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1)
    rng = np.random.default_rng(0)
    rare = np.where(rng.random(500) + 0.1 * (X["c2"] > 8) > 0.95, "rare", "common")
    options = {**SMALL, "epochs": 40, "l2_lambda": 0.1}
    plain = SpectralMLPClassifier(**options).fit(X, rare)
    balanced = SpectralMLPClassifier(**options, class_weight="balanced").fit(X, rare)
    assert (balanced.predict(X) == "rare").sum() > (plain.predict(X) == "rare").sum()
    weights = np.where(rare == "rare", 500 / 2 / (rare == "rare").sum(), 500 / 2 / (rare == "common").sum())
    weighted = SpectralMLPClassifier(**options).fit(X, rare, sample_weight=weights)
    np.testing.assert_allclose(weighted.predict_proba(X), balanced.predict_proba(X), atol=1e-7)


def test_three_classes_and_early_stopping():
    X, y = load_iris(return_X_y=True)
    model = SpectralMLPClassifier(**SMALL, early_stopping=True, batch_norm=(True, False), dropout=(0.2, 0.0)).fit(X, y)
    assert model.predict_proba(X).shape == (150, 3)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("targets", [1, 3])
def test_regression_of_one_and_several_targets(targets):
    X, y = make_regression(n_samples=150, n_features=6, n_informative=3, n_targets=targets, random_state=0)
    model = SpectralMLPRegressor(**SMALL).fit(X, 7 * y + 100)
    assert model.predict(X).shape == y.shape
    assert model.score(X, 7 * y + 100) > 0.97
    column = SpectralMLPRegressor(**SMALL).fit(X, y.reshape(len(y), -1)).predict(X)
    assert column.shape == (150, targets)


def test_single_precision_stays_single(table):
    X, y = table
    single = X.to_numpy(dtype=np.float32)
    model = SpectralMLPClassifier(**SMALL).fit(single, y)
    assert model.predict_proba(single).dtype == np.float32
    assert SpectralMLPClassifier(**SMALL).fit(X, y).predict_proba(X).dtype == np.float64
    values = SpectralMLPRegressor(**SMALL).fit(single, single[:, 0]).predict(single)
    assert values.dtype == np.float32


def test_random_state_decides_and_global_numpy_is_left_alone(table):
    X, y = table
    options = {**SMALL, "epochs": 5}
    first = SpectralMLPClassifier(**options).fit(X, y).predict_proba(X)
    other = SpectralMLPClassifier(**{**options, "random_state": 1}).fit(X, y).predict_proba(X)
    assert np.abs(first - other).max() > 1e-6
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    SpectralMLPClassifier(**options).fit(X, y)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_sparsity_selects_inputs(table):
    X, y = table
    for sparsity in (0.1, "auto"):
        model = SpectralMLPClassifier(**SMALL, sparsity=sparsity, path=QUICK).fit(X, y)
        assert model.support_[:3].all()
        assert model.support_.sum() in ((3,) if sparsity == "auto" else (3, 4, 5))
        assert (model.eigenvalues_ != 0).tolist() == model.support_.tolist()
        assert (model.feature_importances_ > 0).tolist() == model.support_.tolist()
        assert model.score(X, y) > 0.9
    selected = SelectFromModel(model, prefit=True, threshold=1e-12).transform(X.to_numpy())
    assert selected.shape == (500, 3)
    assert clone(model).get_params()["path"] == QUICK
    SpectralMLPClassifier(**SMALL, sparsity=0.1, path=QUICK).fit(X[:300], y[:300], sample_weight=np.arange(300))


def test_nothing_selected_is_a_constant(table):
    X, _ = table
    y = np.random.default_rng(0).normal(5, 2, size=(500, 2))
    weight = np.arange(500.0)
    model = SpectralMLPRegressor(**SMALL, sparsity=50.0, path=QUICK).fit(X, y, sample_weight=weight)
    assert isinstance(model.module_, Constant)
    assert not model.support_.any()
    assert not model.feature_importances_.any()
    np.testing.assert_allclose(model.predict(X[:3]), [np.average(y, axis=0, weights=weight)] * 3)
    blind = SpectralMLPClassifier(**SMALL, sparsity=50.0, path=QUICK).fit(X, np.arange(500) % 4 == 0)
    np.testing.assert_allclose(blind.predict_proba(X[:2])[:, 1], 0.25, atol=0.01)


@pytest.mark.parametrize("sparsity", ["all", -1, np.nan])
def test_unknown_sparsity_is_refused(table, sparsity):
    X, y = table
    with pytest.raises(InputError, match="None, a number >= 0 or 'auto'"):
        SpectralMLPClassifier(**SMALL, sparsity=sparsity).fit(X, y)


def test_wrong_parameters_are_refused_by_the_component(table):
    X, y = table
    with pytest.raises(InputError, match="activations"):
        SpectralMLPClassifier(activations=("relux",)).fit(X, y)
    with pytest.raises(ValueError, match="weight"):
        SpectralMLPClassifier().fit(X, y, sample_weight=np.zeros(500))


def test_public_names():
    assert xai_bench.SpectralMLPClassifier is SpectralMLPClassifier
    assert xai_bench.SpectralMLPRegressor is SpectralMLPRegressor
    assert xai_bench.SparseSettings is SparseSettings
