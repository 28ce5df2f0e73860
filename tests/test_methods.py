"""The methods that people name, against closed forms, literal versions and the calls of their packages."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import BOTH, close, draw, network, problem
from tests.reference import selectors as literal
from tests.test_selectors import data_problem, numpy_of
from xai_bench import registry
from xai_bench.explainers.agop import AGOP, RecursiveFeatureMachine, distances, outer_product
from xai_bench.explainers.attention import FTAttention
from xai_bench.explainers.boosted import XGBoostGain, XGBoostShap
from xai_bench.explainers.deep_lasso import DeepLasso, DeepLassoNetwork
from xai_bench.explainers.ebm import EBM
from xai_bench.explainers.gates import (
    STG,
    AttentionInTurn,
    ConcreteLayer,
    ConcreteSelector,
    SequentialAttention,
    StochasticGates,
)
from xai_bench.explainers.relieff import LEAST, ReliefF
from xai_bench.explainers.tabnet import TabNet
from xai_bench.explainers.trained import TrainedSelector
from xai_bench.models.ft_transformer import FTTransformer, SpectralFTTransformer

NET = {"hidden": (8,), "steps": 120, "learning_rate": 0.03}
SHORT_EBM = {"bags": 1, "interactions": 1, "max_rounds": 100}
SHORT_TABNET = {"epochs": 12, "batch_size": 32, "learning_rate": 0.05}
SELECTORS = [
    *(XGBoostGain(iterations=10), XGBoostShap(iterations=10), EBM(**SHORT_EBM), ReliefF()),
    *(STG(**NET, strength=0.5), DeepLasso(hidden=(8,), steps=100), SequentialAttention(**NET, chosen=3)),
    *(ConcreteSelector(**NET, nodes=4), RecursiveFeatureMachine(rounds=2)),
]
OF_PACKAGES = {"xgboost_gain": "xgboost", "xgboost_shap": "xgboost", "ebm": "interpret", "tabnet": "pytorch_tabnet"}


def skip_without(name):
    if name in OF_PACKAGES:
        pytest.importorskip(OF_PACKAGES[name])


def slow_if_trained(kind, selector):
    """Networks are trained in the quick tests for one of the kinds."""
    slow = kind == "regression" and isinstance(selector, TrainedSelector)
    return pytest.param(kind, selector, marks=pytest.mark.slow if slow else (), id=f"{selector.name}-{kind}")


@pytest.mark.parametrize(
    ("kind", "selector"), [slow_if_trained(kind, s) for s in SELECTORS for kind in ("classification", "regression")]
)
def test_selectors_find_the_inputs_and_say_how_well_they_predict(selector, kind):
    skip_without(selector.name)
    p = data_problem(kind)
    found = selector.select(p)
    assert set(np.argsort(found.relevance)[-2:]) == {0, 1}
    assert (found.valid_score is None) == (selector.name == "relieff")
    if found.valid_score is not None:  # far from chance (a third; 0)
        assert (0.6 if kind == "classification" else 0.5) < found.valid_score <= 1


@pytest.mark.parametrize("name", OF_PACKAGES)
def test_what_to_install(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = registry.create("explainers", name, {}).unsupported(data_problem("regression"))
    assert reason == f"it needs the package {OF_PACKAGES[name]}: run pip install 'xai-bench[methods]'"


@pytest.mark.parametrize(
    "selector", [*SELECTORS, pytest.param(TabNet(epochs=1), marks=pytest.mark.slow)], ids=lambda s: s.name
)
def test_one_class_alone_and_a_class_in_the_validation_rows_only(selector):
    skip_without(selector.name)
    selector = selector.model_copy(update={"steps": 5} if hasattr(selector, "steps") else {})
    p = data_problem("classification", n=60)
    for y_train in (torch.zeros_like(p.y_train), p.y_train.clamp(max=1)):
        found = selector.explain(replace(p, y_train=y_train))
        assert np.isfinite(found.relevance).all()


# Boosted trees.


@BOTH
def test_gain_is_the_plain_call(kind):
    xgboost = pytest.importorskip("xgboost")
    p = data_problem(kind)
    X, y, X_valid, y_valid = numpy_of(p)
    rng = np.random.default_rng(7)
    order, seed = rng.permutation(6), int(rng.integers(2**31))
    plain = (xgboost.XGBClassifier if kind == "classification" else xgboost.XGBRegressor)(
        n_estimators=10, n_jobs=1, random_state=seed
    ).fit(X[:, order], y)
    found = XGBoostGain(iterations=10).select(p)
    expected = np.empty(6)
    expected[order] = plain.feature_importances_
    close(found.relevance / found.relevance.sum(), expected, 1e-5)
    assert found.valid_score == pytest.approx(plain.score(X_valid[:, order], y_valid), abs=0.02)
    total = XGBoostGain(iterations=10, importance="total_gain").select(replace(p, generator=np.random.default_rng(7)))
    assert not np.allclose(total.relevance / total.relevance.sum(), expected, rtol=0.05)


@BOTH
@pytest.mark.parametrize("memory", [None, 6 * 3 * 256 * 7])
def test_tree_shap_of_boosted_trees_is_that_of_shap(kind, memory):
    xgboost, shap = pytest.importorskip("xgboost"), pytest.importorskip("shap")
    p = replace(data_problem(kind), memory=memory)
    X, y, X_valid, y_valid = numpy_of(p)
    rng = np.random.default_rng(7)
    order, seed = rng.permutation(6), int(rng.integers(2**31))
    plain = (xgboost.XGBClassifier if kind == "classification" else xgboost.XGBRegressor)(
        n_estimators=10, n_jobs=1, random_state=seed
    ).fit(X[:, order], y)
    values = np.asarray(shap.TreeExplainer(plain).shap_values(X_valid[:, order]))
    if kind == "classification":
        values = values[np.arange(len(y_valid)), :, y_valid]
    expected = np.empty(6)
    expected[order] = np.abs(values).mean(0)
    close(XGBoostShap(iterations=10).select(p).relevance, expected, 1e-4)


# Explainable boosting machines, TabNet.


def test_ebm_is_the_plain_call_with_pairs_shared():
    glassbox = pytest.importorskip("interpret.glassbox")
    p = data_problem("regression")
    X, y, *_ = numpy_of(p)
    seed = int(np.random.default_rng(7).integers(2**31))
    fields = {"outer_bags": 1, "interactions": 2, "max_rounds": 50, "random_state": seed, "n_jobs": 1}
    plain = glassbox.ExplainableBoostingRegressor(feature_types=["continuous"] * 6, **fields).fit(X, y)
    contributions = plain.eval_terms(X)
    expected = np.zeros(6)
    for term, inputs in enumerate(plain.term_features_):
        for j in inputs:
            expected[j] += np.abs(contributions[:, term]).mean() / len(inputs)
    assert any(len(inputs) == 2 for inputs in plain.term_features_)
    close(EBM(bags=1, interactions=2, max_rounds=50).select(p).relevance, expected, 1e-6)


@pytest.mark.slow
def test_tabnet_is_the_plain_call():
    tab_model = pytest.importorskip("pytorch_tabnet.tab_model")
    p = data_problem("regression")
    X, y, X_valid, y_valid = numpy_of(p)
    seed = int(np.random.default_rng(7).integers(2**31))
    plain = tab_model.TabNetRegressor(seed=seed, optimizer_params={"lr": 0.05}, device_name="cpu", verbose=0)
    mean, scale = float(y.mean()), float(y.std())
    plain.fit(
        X,
        ((y - mean) / scale)[:, None],
        eval_set=[(X_valid, ((y_valid - mean) / scale)[:, None])],
        eval_metric=["mse"],
        max_epochs=12,
        batch_size=32,
        virtual_batch_size=32,
        drop_last=False,
    )
    found = TabNet(**SHORT_TABNET).select(p)
    np.testing.assert_allclose(found.relevance, plain.feature_importances_, rtol=1e-5)
    assert set(np.argsort(found.relevance)[-2:]) == {0, 1}
    assert found.valid_score > 0.3


# ReliefF.


@BOTH
@pytest.mark.parametrize("memory", [None, 1000])
def test_relieff_against_a_literal_version(kind, memory):
    p = replace(data_problem(kind, n=70), memory=memory)
    p.X_train[:, 3] = 2.0
    p.X_train[:, 4] = p.X_train[:, 4].round()
    X, y, *_ = numpy_of(p)
    weights = literal.relieff(X.astype(float), y.astype(float), kind, 4)
    np.testing.assert_allclose(
        ReliefF(neighbours=4).select(p).relevance, weights.clip(0) + LEAST * (1 + weights), atol=1e-12
    )


def test_relieff_of_two_classes_is_that_of_skrebate():
    skrebate = pytest.importorskip("skrebate")
    p = data_problem("classification", n=150, classes=2)
    X, y, *_ = numpy_of(p)
    plain = skrebate.ReliefF(n_neighbors=10, n_features_to_select=2).fit(X.astype(float), y)
    np.testing.assert_allclose(ReliefF().select(p).relevance, plain.feature_importances_.clip(0), atol=2 * LEAST)


# The average gradient outer product.


def test_agop_of_a_linear_network_is_the_sum_of_its_squared_weights():
    p = problem(draw(nn.Sequential(nn.Linear(6, 3))))
    close(AGOP().explain(p).relevance, p.model[0].weight.double().square().sum(0).numpy())


@BOTH
@pytest.mark.parametrize("memory", [None, 1])
def test_agop_is_the_mean_of_outer_products_of_jacobians(kind, memory):
    p = replace(problem(network(n_outputs=3 if kind == "classification" else 1), kind), memory=memory)
    jacobians = [torch.autograd.functional.jacobian(p.model, row[None])[0, :, 0] for row in p.X_train]
    expected = torch.stack([jacobian.T @ jacobian for jacobian in jacobians]).mean(0)
    found = AGOP().explain(p)
    close(found.relevance, expected.diag().numpy())
    assert found.rows_explained == len(p.X_train)


def test_the_outer_product_of_a_kernel_machine_by_finite_differences():
    rng = np.random.default_rng(0)
    X, weights, root = rng.normal(size=(8, 3)), rng.normal(size=(8, 2)), rng.normal(size=(3, 3))
    M, bandwidth = root @ root.T, 2.0
    expected_lengths = [[math.sqrt((x - z) @ M @ (x - z)) for z in X] for x in X]
    np.testing.assert_allclose(distances(X, X, M), expected_lengths, atol=1e-6)
    expected = np.zeros((3, 3))
    for i, x in enumerate(X):
        # A row's own kernel has a kink there: it is left out.
        others = np.arange(8) != i

        def f(z, others=others):
            lengths = np.array([math.sqrt((z - other) @ M @ (z - other)) for other in X[others]])
            return np.exp(-lengths / bandwidth) @ weights[others]

        jacobian = np.stack([(f(x + 1e-6 * e) - f(x - 1e-6 * e)) / 2e-6 for e in np.eye(3)], axis=1)
        expected += jacobian.T @ jacobian / 8
    close(outer_product(X, weights, M, bandwidth), expected, 1e-6)


def test_a_recursive_feature_machine_takes_rows_as_the_memory_allows():
    p = data_problem("classification")
    few = RecursiveFeatureMachine(rows=40, rounds=1).select(p).relevance
    p = replace(p, generator=np.random.default_rng(7), memory=40**2 * 64)
    np.testing.assert_array_equal(RecursiveFeatureMachine(rounds=1).select(p).relevance, few)


# Gates.


def test_a_gate_is_open_as_often_as_it_says_and_multiplies_its_input():
    gates = StochasticGates(3, 0.5).train()
    with torch.no_grad():
        gates.mu.copy_(torch.tensor([-0.5, 0.2, 2.0]))
    torch.manual_seed(0)
    draws = torch.stack([gates(torch.full((2, 3), 3.0)) for _ in range(4000)])
    assert (draws[:, 0] == draws[:, 1]).all()  # one draw for the batch
    shares = (draws[:, 0] > 0).double().mean(0)
    expected = [0.5 * (1 + math.erf(mu / 0.5 / math.sqrt(2))) for mu in (-0.5, 0.2, 2.0)]
    np.testing.assert_allclose(gates.open().detach(), expected, rtol=1e-6)
    np.testing.assert_allclose(shares, expected, atol=4 * 0.5 / math.sqrt(4000))
    assert draws.max() == 3.0
    np.testing.assert_allclose(gates.eval()(torch.ones(1, 3)).detach(), [[0.0, 0.2, 1.0]])


def test_all_gates_close_where_the_strength_is_large():
    found = STG(**NET, strength=100.0).select(data_problem("regression"))
    assert (found.relevance == 0).all()
    assert found.valid_score < 0.2


def test_a_node_of_a_concrete_layer_takes_an_input_as_often_as_its_softmax_says():
    layer = ConcreteLayer(3, 4000, (1e-4, 1e-4), 10, torch.Generator().manual_seed(0)).train()
    logits = torch.tensor([1.0, 0.0, -1.0])
    with torch.no_grad():
        layer.logits.copy_(logits.expand(4000, 3))
    torch.manual_seed(0)
    weights = layer(torch.eye(3)).detach()  # (3, nodes): which input each node takes, by the Gumbel-max theorem
    assert (weights.max(0).values > 0.99).double().mean() > 0.99
    np.testing.assert_allclose(weights.mean(1), logits.softmax(0), atol=4 * 0.5 / math.sqrt(4000))
    assert (layer.eval()(torch.eye(3)).argmax(0) == 0).all()


def test_the_temperature_falls_exponentially():
    layer = ConcreteLayer(2, 1, (10.0, 0.1), 2, torch.Generator().manual_seed(0)).train()
    with torch.no_grad():
        layer.logits.copy_(torch.tensor([[3.0, 0.0]]))
    for temperature in (10.0, 1.0, 0.1, 0.1):
        torch.manual_seed(0)
        found = layer(torch.eye(2)).detach()
        torch.manual_seed(0)
        noise = -torch.empty(1, 2).exponential_().log()
        np.testing.assert_allclose(found, ((layer.logits.detach() + noise) / temperature).softmax(1).T, rtol=1e-5)


def test_attention_chooses_at_the_end_of_each_phase():
    layer = AttentionInTurn(4, 2, 0.2, 10, torch.Generator().manual_seed(0)).train()
    x = torch.ones(1, 4)
    logits = torch.tensor([0.0, 1.0, 3.0, 2.0])
    masks = []
    for _ in range(10):
        masks.append(layer(x).detach()[0])
        with torch.no_grad():
            layer.logits.copy_(logits)
    assert all((mask == 1).all() for mask in masks[:2])  # two steps of warming up
    np.testing.assert_allclose(masks[3], logits.softmax(0))
    rest = logits[[0, 1, 3]].softmax(0)
    np.testing.assert_allclose(masks[6][[0, 1, 3]], [1 / 3] * 3, rtol=1e-4)  # anew, after the choice of input 2
    assert masks[6][2] == 1
    np.testing.assert_allclose(masks[9][[0, 1, 3]], rest)
    assert layer.turn.tolist() == [0, 0, 1, 0]
    assert torch.equal(layer.eval()(x), layer.mask()[None])
    module = nn.Sequential(layer)
    found = SequentialAttention().read(module, x, x, data_problem("regression")).detach()
    np.testing.assert_allclose(found, [rest[0] / 2, rest[1] / 2, 1.0, rest[2] / 2])


# Deep Lasso.


def test_the_penalty_of_deep_lasso_on_a_linear_network_is_the_lasso():
    rows = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    weights, y = torch.tensor([0.5, -2.0, 0.0]), torch.arange(20.0)
    residuals = rows @ weights - y
    loss = residuals.square().mean()
    network = DeepLassoNetwork(strength=0.3)
    found = network.gradient_penalty(loss, rows)
    lengths = 2 * weights.abs() * residuals.norm() / 20  # of dL / dx_ij = 2 r_i w_j / n over rows
    assert (loss + found).item() == pytest.approx((0.7 * loss + 0.3 * lengths.sum()).item(), rel=1e-4)
    linear = draw(nn.Sequential(nn.Linear(3, 1, bias=False)))
    linear[0].weight.copy_(weights[None])
    relevance = DeepLasso().read(linear, rows.detach(), y, data_problem("regression"))
    np.testing.assert_allclose(relevance, lengths.detach(), rtol=1e-5)


def test_a_strong_deep_lasso_fits_nothing():
    # Of a linear network: at 0 the loss falls by about 1.6 |w|, and a norm rises by 2 |w| / sqrt(128 rows).
    assert DeepLasso(hidden=(8,), steps=60, strength=0.99).select(data_problem("regression")).valid_score < 0.2


# The attention of a transformer.


@pytest.mark.parametrize("architecture", [FTTransformer, SpectralFTTransformer])
@pytest.mark.parametrize("memory", [None, 1])
def test_attention_of_cls_against_a_literal_version(architecture, memory):
    source = architecture(d_token=8, heads=2)
    model = draw(source.network((6,), 3, torch.Generator().manual_seed(0)))
    tokens, *blocks, _, _, _ = model.children()
    p = problem(nn.Sequential(draw(nn.Linear(6, 3))))
    p = replace(p, model=model, memory=memory)
    expected = np.zeros(6)
    for row in p.X_valid:
        x = tokens(row[None])
        for block in blocks:
            normed = x if block.attention_norm is None else block.attention_norm(x)
            query, keys = block.attention.query(normed)[0, 0], block.attention.key(normed)[0]
            for head in (slice(0, 4), slice(4, 8)):
                weights = torch.stack([query[head] @ key[head] / 2.0 for key in keys]).softmax(0)
                expected += weights[1:].numpy() / (len(p.X_valid) * len(blocks) * 2)
            x = block(x)
    found = FTAttention().explain(p)
    close(found.relevance, expected)
    assert found.forward_rows == found.rows_explained == len(p.X_valid)


def test_attention_needs_a_transformer():
    assert FTAttention().unsupported(problem(network())) == (
        "it needs the attention of an ft_transformer, and the model has none"
    )
    assert FTAttention().unsupported(data_problem("regression")) == "it needs a model"
