"""On networks of every kind, each method is unsupported with a reason, or keeps what its definition promises."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.small_networks import CLASSES, NETWORKS, network, rows
from xai_bench import registry
from xai_bench.conformance.explainers import adds_up
from xai_bench.datasets.inputs import shape_of
from xai_bench.explainers.base import Problem
from xai_bench.explainers.completeness import miss
from xai_bench.explainers.layers import without_biases
from xai_bench.explainers.layerwise import LRP
from xai_bench.trained.network import on_flat_rows

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SAMPLED = {"shap_kernel", "shap_permutation", "captum_kernel_shap", "shapley_sampling", "lime"}
"""Methods that need many passes: two rows will do."""
BY_FIELD = {"captum", "shap"}
SPLIT = {"deeplift", "deeplift_shap", "shap_deep", "lrp"}
"""Methods that know some layers only."""
MODULES_ONLY = {"guided_backprop", "deconvolution"}
"""Methods that see modules only."""
DENSE_FIRST = {"reshaping", "reused_relu"}
EXPLAINED = {
    "lenet": SPLIT,
    "vgg": SPLIT,
    "depthwise": SPLIT,
    "series": SPLIT,
    "reshaping": SPLIT,
    "residual": SPLIT - {"lrp"},
    "residual_of_layers": SPLIT,
    "inception": SPLIT - {"shap_deep"},
}
"""Which of them explain which network; the others give a reason."""
REMEDY = {
    "functional_relu": "use nn.ReLU",
    "reused_relu": "give each use a module of its own",
    "residual": "use Addition_Module",
}


def problem(name: str, n: int = 8) -> Problem:
    """All rows are explained for one class, so that attributions add up to the outputs less a constant."""
    shape, _ = NETWORKS[name]
    model = on_flat_rows(network(name), shape, "").requires_grad_(False)
    X_train, X = rows(name, 24, 2).flatten(1) + 0.3, rows(name, n).flatten(1)
    picture = shape[-2:] if len(shape) == 3 else None
    d = math.prod(shape)
    inputs = ()
    if picture:
        pixels = math.prod(picture)
        inputs = tuple(tuple(range(pixel, d, pixels)) for pixel in range(pixels))
        assert shape_of(d, inputs, picture) == shape
    y_train, y = torch.arange(24) % CLASSES, torch.ones(n, dtype=torch.int64)
    return Problem(model, X_train, y_train, X, y, "classification", CLASSES, picture, inputs)


def methods():
    for name in registry.names("explainers"):
        kind = registry.get("explainers", name)
        if kind.needs != "data" and name not in BY_FIELD:
            yield name, kind()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_method_adds_up_or_says_why_not(name):
    p, reasons = problem(name), {}
    before = copy.deepcopy(p.model.state_dict())
    for method, explainer in methods():
        own = replace(p, X_valid=p.X_valid[:2], y_valid=p.y_valid[:2]) if method in SAMPLED else p
        reason = explainer.unsupported(own)
        if reason is not None:
            reasons[method] = reason
            continue
        found = explainer.explain(own)
        assert found.over_inputs.shape == (len(own.partition),)
        assert found.over_inputs.max() > 0, method
        if getattr(explainer, "completeness", False):
            adds_up(explainer, own)
        if method == "lrp":
            keeps_all_relevance(own)
    assert SPLIT - reasons.keys() == EXPLAINED.get(name, set())
    assert reasons.keys() <= {*SPLIT, *MODULES_ONLY, "spectral", "column_norm", "occlusion", "ft_attention"}
    assert ("column_norm" in reasons) == (name not in DENSE_FIRST)
    assert reasons.keys() >= MODULES_ONLY or name not in REMEDY or name == "residual"
    for method in SPLIT & reasons.keys():
        assert REMEDY.get(name, "") in reasons[method]
    for key, value in p.model.state_dict().items():
        assert torch.equal(value, before[key])
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in p.model.modules())


def keeps_all_relevance(p: Problem) -> None:
    """Without biases, which take relevance of their own, a row's relevance is its output, to 1 %."""
    model = without_biases(copy.deepcopy(p.model)).double()
    with torch.no_grad():
        outputs = model(p.X_valid.double())[:, 1].numpy()
    values = LRP().attribute(model, p.X_valid.double(), p.y_valid, p)
    assert miss(values.numpy(), outputs, outputs) is None


def test_lrp_is_the_gradient_times_the_input_on_relu_networks_without_biases():
    p = problem("lenet")
    model = without_biases(p.model)
    X = p.X_valid.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(X)[:, 1].sum(), X)
    found = LRP().attribute(copy.deepcopy(model), p.X_valid, p.y_valid, p)
    np.testing.assert_allclose(found, gradient * p.X_valid, rtol=1e-3, atol=1e-5)
