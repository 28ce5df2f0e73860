"""Methods that propagate layer by layer add up on every kind of network, or say that they cannot."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import CLASSES, D, attributions, close, draw, problem, row_by_row, rows
from tests.reference import attributions as literal
from xai_bench.explainers.base import Problem
from xai_bench.explainers.captum import Captum
from xai_bench.explainers.completeness import miss
from xai_bench.explainers.layers import without_biases
from xai_bench.explainers.layerwise import LRP, Deconvolution, DeepLift, DeepLiftShap, GuidedBackprop
from xai_bench.explainers.shap import ShapDeep

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

Chain = nn.Sequential


class Pictures(nn.Module):
    """Reshapes rows outside of its layers, which every library allows."""

    def __init__(self, body, head, shape):
        super().__init__()
        self.body, self.head, self.shape = body, head, shape

    def forward(self, x):
        return self.head(self.body(x.reshape(-1, *self.shape)).flatten(1))


class Residual(nn.Module):
    """Activations beside which their own input goes on."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.tanh, self.last = nn.Linear(D, D), nn.ReLU(), nn.Tanh(), nn.Linear(D, CLASSES)

    def forward(self, x):
        h = self.first(x)
        h = h + self.relu(h)
        return self.last(h + self.tanh(h) + x)


def convolution():
    """A convolution and max pooling, as people write them."""
    return Chain(
        *(nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        nn.Linear(54, CLASSES),
    )


def ending_in_softmax():
    return Chain(nn.Linear(D, 16), nn.Tanh(), nn.Linear(16, CLASSES), nn.Softmax(1))


def around(activation):
    """The activation behind a dense layer, before batch norm, and next to another activation."""
    middle = (activation(), nn.BatchNorm1d(16), nn.Linear(16, 5), activation(), nn.ReLU(), nn.MaxPool1d(1))
    return Chain(nn.Linear(D, 16), *middle[:-1], nn.Linear(5, CLASSES))


NETWORKS = {
    "convolution": (36, convolution),
    "overlapping_windows": (36, lambda: Pictures(nn.MaxPool2d(3, 1, 1), nn.Linear(36, CLASSES), (1, 6, 6))),
    "windows_apart": (36, lambda: Pictures(nn.MaxPool2d(2, 3), nn.Linear(4, CLASSES), (1, 6, 6))),
    "dilated_windows": (36, lambda: Pictures(nn.MaxPool2d(2, 1, dilation=2), nn.Linear(16, CLASSES), (1, 6, 6))),
    "windows_of_series": (
        12,
        lambda: Pictures(Chain(nn.MaxPool1d(3, 2, ceil_mode=True), nn.Tanh()), nn.Linear(6, CLASSES), (2, 6)),
    ),
    "windows_in_space": (64, lambda: Pictures(nn.MaxPool3d(2, 1), nn.Linear(27, CLASSES), (1, 4, 4, 4))),
    "softmax_at_the_end": (D, ending_in_softmax),
    "softmax_in_the_middle": (D, lambda: Chain(nn.Linear(D, 8), nn.Softmax(-1), nn.Linear(8, CLASSES))),
    "residual": (D, Residual),
    **{
        kind.__name__: (D, lambda kind=kind: around(kind))
        for kind in (nn.Tanh, nn.Sigmoid, nn.ELU, nn.LeakyReLU, nn.Softplus)
    },
}


def problem_of(name, n=20):
    d, build = NETWORKS[name]
    model = build()
    return problem_with(draw(model), d, n)


def problem_with(model, d, n=20):
    X_train, X = rows(30, d, 2) + 0.3, rows(n, d)
    return Problem(model, X_train, torch.arange(30) % CLASSES, X, torch.arange(n) % CLASSES, "classification", CLASSES)


def spread_and_miss(values, p, baselines):
    outputs, expected = p.model(p.X_valid).double(), p.model(baselines).double().mean(0)
    differences = (outputs - expected).gather(1, p.y_valid[:, None])[:, 0].numpy()
    return np.sqrt(np.mean(differences**2)), np.abs(values.sum(1) - differences).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_deeplift_adds_up_and_does_not_depend_on_the_batch(name):
    p = problem_of(name)
    for kind, baselines in ((DeepLift, p.X_train.mean(0, keepdim=True)), (DeepLiftShap, p.X_train)):
        assert kind().unsupported(p) is None
        found = [attributions(kind(internal_batch_size=batch), p) for batch in (4096, 140, 2)]
        spread, off = spread_and_miss(found[0], p, baselines)
        assert off < 1e-4 * spread
        for other in found[1:]:
            close(other, found[0], 1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_shap_deep_and_lrp_add_up_or_are_unsupported(name):
    p = problem_of(name)
    if ShapDeep().unsupported(p) is None:
        spread, off = spread_and_miss(attributions(ShapDeep(), p), p, p.X_train)
        assert off < 1e-2 * spread
    if LRP().unsupported(p) is None:  # without biases, which take relevance of their own, all of it arrives
        p = replace(p, model=without_biases(p.model))
        outputs = p.model(p.X_valid).gather(1, p.y_valid[:, None])[:, 0].numpy()
        close(attributions(LRP(), p).sum(1), outputs, 1e-3)


def test_shap_deep_says_that_it_loses_overlapping_windows():
    p = problem_of("overlapping_windows")
    assert "the attributions of a row miss its output" in ShapDeep().unsupported(p)
    assert ShapDeep().unsupported(problem_of("windows_apart")) is None


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), [(2, 2, 0, 1), (3, 1, 1, 1), (2, 1, 0, 2)])
def test_max_pooling_is_the_literal_rule(kernel, stride, padding, dilation):
    from xai_bench.explainers.captum_inside import max_pool_multipliers

    x, x0 = rows(2, 36, 3).view(2, 1, 6, 6), rows(2, 36, 4).view(2, 1, 6, 6)
    pool = nn.MaxPool2d(kernel, stride, padding, dilation)
    received = rows(2, pool(x)[0].numel(), 5).view_as(pool(x))
    found = max_pool_multipliers(pool, x, x0, received)
    for row in range(2):
        given = (x[row, 0], x0[row, 0], received[row, 0])
        expected = literal.max_pool_multipliers(*given, kernel, stride, padding, dilation)
        torch.testing.assert_close(found[row, 0], expected)


def test_softmax_is_the_literal_rule_at_any_level():
    from xai_bench.explainers.captum_inside import softmax_multipliers

    x, x0, received = (rows(3, 5, seed) for seed in (3, 4, 5))
    found = softmax_multipliers(1, x, x0, received)
    for row in range(3):
        expected = literal.softmax_multipliers(x[row], x0[row], received[row])
        np.testing.assert_allclose(found[row], expected, rtol=1e-9)
    torch.testing.assert_close(softmax_multipliers(1, x + 500, x0 + 500, received), found, rtol=1e-3, atol=1e-6)
    same = softmax_multipliers(1, x, x.clone(), received)
    gradient = torch.autograd.functional.vjp(lambda z: z.softmax(1), x.double(), received.double())[1]
    torch.testing.assert_close(same, gradient)


def test_rows_that_depend_on_one_another_are_unsupported():
    p = problem_with(draw(Chain(nn.Linear(D, 8), nn.Softmax(0), nn.Linear(8, CLASSES))), D)
    for explainer in (DeepLift(), DeepLiftShap(), ShapDeep(), Captum(method="NoiseTunnel(DeepLift)")):
        assert "the attributions of a row miss its output by" in explainer.unsupported(p)
    with pytest.raises(ValueError, match="captum's DeepLift: the attributions of a row miss"):
        attributions(DeepLift(), p)


@pytest.mark.parametrize(("layer", "name"), [(nn.GLU(1), "GLU"), (nn.LayerNorm(8), "LayerNorm")])
def test_layers_without_a_rule_are_unsupported(layer, name):
    width = 4 if name == "GLU" else 8
    p = problem_with(draw(Chain(nn.Linear(D, 8), layer, nn.Linear(width, CLASSES))), D)
    for explainer in (DeepLift(), DeepLiftShap(), LRP()):
        assert explainer.unsupported(p) == f"captum's {explainer.method} has no rule for {name}"


def test_lrp_of_activations_in_a_row_is_literal_or_unsupported():
    """captum reads the relevance of the first of two activations before the second one has passed its own on."""
    for activations in ((nn.ReLU(), nn.Tanh()), (nn.Tanh(), nn.ReLU()), (nn.ReLU(), nn.ReLU())):
        p = problem_with(draw(Chain(nn.Linear(D, 8), *activations, nn.Linear(8, CLASSES))), D)
        reason = LRP().unsupported(p)
        if reason is None:
            close(attributions(LRP(), p), row_by_row(lambda x, k, p=p: literal.lrp(p.model, x, k), p), 1e-4)
        else:
            assert reason.startswith("captum's LRP loses relevance: ")


def test_a_gradient_beside_a_relu_is_not_rectified():
    p = problem_with(draw(Residual()), D, 7)

    def expected(x, k, guided):
        m = p.model
        h = m.first(x)
        h1 = h + h.clamp(min=0)
        back = m.last.weight[k]
        to_h1 = back + back * (1 - torch.tanh(h1) ** 2)
        to_h = to_h1 + to_h1.clamp(min=0) * ((h > 0) if guided else 1)
        return (to_h @ m.first.weight + back).numpy()

    for explainer, guided in ((GuidedBackprop(), True), (Deconvolution(), False)):
        close(attributions(explainer, p), row_by_row(lambda x, k, g=guided: expected(x, k, g), p))


def test_sums_are_measured_against_the_spread_of_the_differences():
    values = np.array([[0.5, 0.5], [1.0, -2.0]])
    assert miss(values, values.sum(1), np.zeros(2)) is None
    assert miss(values, values.sum(1) + 0.009, np.zeros(2)) is None
    assert "by 0.02, where the root mean square is 1" in miss(values, values.sum(1) * 1.02, np.zeros(2))
    assert miss(values, values.sum(1) * 1.02, np.full(2, 5000.0)) is None, "rounding of the outputs"
    assert "miss" in miss(np.array([[np.nan]]), np.ones(1), np.ones(1))


def test_what_is_checked_costs_no_pass_and_leaves_the_problem_alone():
    p = problem(draw(Chain(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, CLASSES))))
    state, structure = copy.deepcopy(p.generator.bit_generator.state), repr(p.model)
    assert DeepLiftShap(background=5).unsupported(p) is None
    assert p.generator.bit_generator.state == state
    assert repr(p.model) == structure
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in p.model.modules())
    assert DeepLift().explain(p).forward_rows == 2 * len(p.X_valid)
    assert DeepLift().explain(replace(p, X_valid=p.X_valid[:1], y_valid=p.y_valid[:1])).forward_rows == 2
