"""What is explained: a logit, or the margin of the true class, which is the same whatever is added to all logits."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import CLASSES, D, close, draw, network, problem
from xai_bench import registry
from xai_bench.explainers.base import LocalExplainer, Problem
from xai_bench.explainers.captum import InputXGradient, Saliency
from xai_bench.explainers.layerwise import LRP
from xai_bench.models.folding import of_margins
from xai_bench.models.spectral import SpectralLinear

FEW = {"shap_kernel": {"samples": 64}, "lime": {"n_samples": 40}, "shapley_sampling": {"n_samples": 5}}
LOCAL = [
    name
    for name in registry.names("explainers")
    if name not in ("captum", "shap") and issubclass(registry.get("explainers", name), LocalExplainer)
]


def pictures(p):
    return Problem(p.model, p.X_train, p.y_train, p.X_valid, p.y_valid, p.kind, p.n_outputs, feature_shape=(2, 3))


def with_more_on_all_logits(model):
    """The network whose logits all have the same function of the last hidden layer more."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(5)
    other[-1].weight.add_(torch.randn(1, model[-1].weight.shape[1], generator=generator))
    other[-1].bias.add_(1.5)
    return other


@pytest.mark.parametrize("n_outputs", [2, 3])
@pytest.mark.parametrize("name", LOCAL)
def test_a_function_added_to_all_logits_changes_no_margin(name, n_outputs):
    p = pictures(problem(network(n_outputs=n_outputs, activation=nn.ReLU)))
    more = pictures(problem(with_more_on_all_logits(p.model)))
    torch.testing.assert_close(more.model(p.X_valid).softmax(1), p.model(p.X_valid).softmax(1))
    explainer = registry.create("explainers", name, {"target": "margin", **FEW.get(name, {})})
    assert explainer.unsupported(p) is None
    found, expected = (explainer.explain(q, seed=1).relevance for q in (more, p))
    close(found, expected, 1e-3)
    logit = registry.create("explainers", name, FEW.get(name, {}))
    assert not np.allclose(logit.explain(more, seed=1).relevance, logit.explain(p, seed=1).relevance, rtol=0.01)


@pytest.mark.parametrize("rule", ["gamma", "alpha_beta"])
def test_rules_of_lrp_see_the_margin_as_the_last_layer(rule):
    p = problem(network(activation=nn.ReLU))
    more = problem(with_more_on_all_logits(p.model))
    found, expected = (LRP(rule=rule, target="margin").explain(q).relevance for q in (more, p))
    close(found, expected, 1e-3)


def test_of_two_classes_it_is_the_difference_of_the_logits():
    p = problem(network(n_outputs=2))
    other = copy.deepcopy(p.model)
    sign = torch.tensor([1.0, -1.0])
    other[-1].weight.copy_(sign[:, None] * (p.model[-1].weight[0] - p.model[-1].weight[1]))
    other[-1].bias.copy_(sign * (p.model[-1].bias[0] - p.model[-1].bias[1]))
    found = InputXGradient(target="margin").explain(p).relevance
    close(found, InputXGradient().explain(problem(other)).relevance)


class Branches(nn.Module):
    """No chain: the last layer cannot take the margin in."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(D, CLASSES), nn.Linear(D, CLASSES)

    def forward(self, x):
        return self.left(x) + torch.tanh(self.right(x))


SHARED = nn.Linear(CLASSES, CLASSES)
MODELS = {
    "chain": lambda: network(),
    "without_bias": lambda: network(bias=False),
    "branches": lambda: draw(Branches()),
    "ends_in_an_activation": lambda: draw(nn.Sequential(nn.Linear(D, CLASSES), nn.Tanh())),
    "ends_in_a_layer_used_twice": lambda: draw(nn.Sequential(nn.Linear(D, CLASSES), SHARED, nn.ReLU(), SHARED)),
    "single_layer": lambda: draw(nn.Linear(D, CLASSES)),
    "spectral": lambda: draw(SpectralLinear(D, CLASSES)),
}


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_margins(name):
    p = problem(MODELS[name]()) if name != "spectral" else problem(MODELS[name]().fold().requires_grad_(False))
    logits = p.model(p.X_valid)
    expected = torch.stack(
        [logits[:, k] - logits[:, [j for j in range(CLASSES) if j != k]].mean(1) for k in range(CLASSES)], 1
    )
    before = copy.deepcopy(p.model.state_dict())
    torch.testing.assert_close(of_margins(copy.deepcopy(p.model), CLASSES)(p.X_valid), expected)
    found = Saliency(target="margin").explain(p)
    assert (found.relevance > 0).all()
    assert found.forward_rows == len(p.X_valid)
    assert all(torch.equal(value, before[key]) for key, value in p.model.state_dict().items())


def test_in_regression_it_is_the_output():
    p = problem(network(n_outputs=1), "regression")
    np.testing.assert_array_equal(Saliency(target="margin").explain(p).relevance, Saliency().explain(p).relevance)
