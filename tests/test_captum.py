"""captum's methods against slow literal versions, and against captum called in its plainest way."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import (
    BOTH,
    CLASSES,
    D,
    attributions,
    close,
    draw,
    network,
    of_kind,
    problem,
    row_by_row,
)
from tests.reference import attributions as literal
from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.explainers import base
from xai_bench.explainers.base import Problem, seeded
from xai_bench.explainers.captum import (
    Captum,
    GradientShap,
    InputXGradient,
    IntegratedGradients,
    Saliency,
    SmoothGrad,
    presets,
)
from xai_bench.explainers.captum_arguments import arguments, methods
from xai_bench.explainers.layerwise import LRP, Deconvolution, DeepLift, DeepLiftShap, GuidedBackprop
from xai_bench.explainers.perturbation import CaptumKernelShap, FeatureAblation, Lime, Occlusion, ShapleySampling
from xai_bench.explainers.shap import ShapDeep
from xai_bench.suites import reading

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PendingDeprecationWarning")

# Gradients, row by row. float32 against float32 or float64: 1e-5 of the largest value.


@BOTH
def test_saliency(kind):
    p = of_kind(kind)
    close(attributions(Saliency(), p), np.abs(row_by_row(lambda x, k: literal.gradient(p.model, x, k), p)))


@BOTH
def test_input_x_gradient(kind):
    p = of_kind(kind)
    close(attributions(InputXGradient(), p), row_by_row(lambda x, k: x * literal.gradient(p.model, x, k), p))


@BOTH
@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_integrated_gradients(kind, baseline):
    p = of_kind(kind)
    start = p.X_train.mean(0) if baseline == "mean" else torch.zeros(D)
    expected = row_by_row(lambda x, k: literal.integrated_gradients(p.model, x, start, k, 9), p)
    close(attributions(IntegratedGradients(n_steps=9, baseline=baseline), p), expected)


def test_batches_of_steps_change_nothing():
    p = of_kind("classification")
    whole = attributions(IntegratedGradients(), p)
    close(attributions(IntegratedGradients(internal_batch_size=10), p), whole, 1e-6)


@BOTH
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_epsilon_lrp(kind, bias, activation):
    p = of_kind(kind, bias=bias, activation=activation)
    close(attributions(LRP(), p), row_by_row(lambda x, k: literal.lrp(p.model, x, k), p), 1e-4)


def test_epsilon_lrp_of_a_relu_net_without_bias_ranks_as_input_x_gradient():
    p = of_kind("classification", bias=False, activation=nn.ReLU)
    # Every R_j is then x_j dz/dx_j (Ancona et al. 2018, proposition 1).
    lrp, product = attributions(LRP(), p), attributions(InputXGradient(), p)
    close(lrp, product, 1e-4)
    assert (np.abs(lrp).argsort(1) == np.abs(product).argsort(1)).all()
    assert (LRP().explain(p).relevance.argsort() == InputXGradient().explain(p).relevance.argsort()).all()


@BOTH
@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_deeplift(kind, baseline):
    from captum.attr import DeepLift as Plain

    p = of_kind(kind)
    start = p.X_train.mean(0) if baseline == "mean" else torch.zeros(D)
    found = attributions(DeepLift(baseline=baseline), p)
    target = p.y_valid if kind == "classification" else 0
    plain = Plain(copy.deepcopy(p.model)).attribute(p.X_valid.clone(), start[None], target=target)
    close(found, plain.detach().numpy(), 1e-6)
    close(found, row_by_row(lambda x, k: literal.deeplift_rescale(p.model, x, start, k), p))


# Many noisy copies, many baselines.


@BOTH
def test_smoothgrad_is_the_mean_gradient_of_noisy_copies(kind):
    p = of_kind(kind)
    found = attributions(SmoothGrad(nt_samples=4, noise=0.2), p)
    spread = np.mean([float(x.max() - x.min()) for x in p.X_valid])
    with seeded(0):
        noise = torch.normal(0.0, torch.full((7 * 4, D), 0.2 * spread)).reshape(7, 4, D)
    copies = {tuple(x.tolist()): x + e for x, e in zip(p.X_valid, noise, strict=True)}

    def mean_gradient(x, k):
        return np.mean([literal.gradient(p.model, copy, k).numpy() for copy in copies[tuple(x.tolist())]], 0)

    close(found, row_by_row(mean_gradient, p))


@BOTH
def test_gradient_shap_is_the_plain_call(kind):
    from captum.attr import GradientShap as Plain

    p = of_kind(kind)
    found = attributions(GradientShap(n_samples=5), p)
    with seeded(0):
        plain = Plain(copy.deepcopy(p.model)).attribute(
            p.X_valid.clone(), p.X_train, target=p.y_valid if kind == "classification" else 0
        )
    close(found, plain.detach().numpy(), 1e-6)
    expected = np.mean(
        [row_by_row(lambda x, k, b=b: literal.integrated_gradients(p.model, x, b, k, 20), p) for b in p.X_train], 0
    )
    # 4000 points a row: the standard error is a few per cent of the largest value.
    close(attributions(GradientShap(n_samples=4000, internal_batch_size=8000), p), expected, 0.08)


@BOTH
@pytest.mark.parametrize("internal", [4096, 1])
def test_deeplift_shap_averages_deeplift_over_the_background(kind, internal):
    p = of_kind(kind)
    expected = np.mean(
        [row_by_row(lambda x, k, b=b: literal.deeplift_rescale(p.model, x, b, k), p) for b in p.X_train], 0
    )
    close(attributions(DeepLiftShap(internal_batch_size=internal), p), expected)
    if kind == "classification":
        close(attributions(DeepLiftShap(), p), attributions(ShapDeep(), p))


# Rules on the way back.


@BOTH
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rule", ["gamma", "alpha_beta"])
def test_rules_of_lrp(kind, bias, rule):
    p = of_kind(kind, bias=bias, activation=nn.ReLU)
    # The first layer's inputs have both signs: it keeps epsilon.
    expected = row_by_row(lambda x, k: literal.lrp(p.model, x, k, {2: rule, 4: rule}), p)
    close(attributions(LRP(rule=rule), p), expected, 1e-4)
    positive = Problem(p.model, p.X_train.abs(), p.y_train, p.X_valid.abs(), p.y_valid, p.kind, p.n_outputs)
    expected = row_by_row(lambda x, k: literal.lrp(p.model, x, k, {0: rule, 2: rule, 4: rule}), positive)
    close(attributions(LRP(rule=rule), positive), expected, 1e-4)


def test_alpha_beta_keeps_the_sum_behind_positive_inputs():
    p = of_kind("classification", bias=False, activation=nn.ReLU)
    positive = Problem(p.model, p.X_train.abs(), p.y_train, p.X_valid.abs(), p.y_valid, p.kind, p.n_outputs)
    close(
        attributions(LRP(rule="alpha_beta"), positive).sum(1), row_by_row(lambda x, k: p.model(x[None])[0, k], positive)
    )


def test_rules_need_a_layer_with_positive_inputs_and_leave_nothing_behind():
    tanh = problem(draw(nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, CLASSES))))
    assert "the gamma rule is for layers whose inputs are never negative" in LRP(rule="gamma").unsupported(tanh)
    assert LRP().unsupported(tanh) is None
    p = of_kind("classification", activation=nn.ReLU)
    before = LRP().explain(p).relevance
    assert LRP(rule="gamma").unsupported(p) is None
    assert not np.allclose(LRP(rule="gamma").explain(p).relevance, before)
    assert not any(hasattr(layer, "rule") for layer in p.model.modules())
    np.testing.assert_array_equal(LRP().explain(p).relevance, before)


def test_fields_that_came_later_leave_stored_keys_alone():
    plain = {"aggregate", "baseline", "internal_batch_size", "max_inputs", "method", "parameters", "rows", "target"}
    assert set(LRP().identity()["fields"]) == set(Saliency().identity()["fields"]) == plain
    assert LRP(rule="gamma").identity()["fields"]["rule"] == "gamma"
    assert LRP(background=5) != LRP()


@BOTH
@pytest.mark.parametrize(("explainer", "rule"), [(GuidedBackprop(), "guided"), (Deconvolution(), "deconvolution")])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_guided_backprop_and_deconvolution(kind, explainer, rule, activation):
    p = of_kind(kind, activation=activation)
    close(attributions(explainer, p), row_by_row(lambda x, k: literal.modified_gradient(p.model, x, k, rule), p))


# Perturbations.


@BOTH
@pytest.mark.parametrize("internal", [4096, 15, 2])
def test_feature_ablation(kind, internal):
    p = of_kind(kind)
    mean = p.X_train.mean(0)
    expected = row_by_row(lambda x, k: literal.ablation(p.model, x, mean, k), p)
    close(attributions(FeatureAblation(internal_batch_size=internal), p), expected)


@pytest.mark.parametrize(("shape", "sides"), [((4, 6), (2, 3)), ((2, 12), (1, 3)), ((3, 8), (1, 3))])
@pytest.mark.parametrize("internal", [4096, 9])
def test_occlusion(shape, sides, internal):
    p = replace(problem(network(24), n=3), feature_shape=shape)
    mean = p.X_train.mean(0)
    expected = row_by_row(lambda x, k: literal.occlusion(p.model, x, mean, k, shape, sides), p)
    close(attributions(Occlusion(internal_batch_size=internal), p), expected)


def test_occlusion_is_for_pictures():
    p = problem(network())
    assert Occlusion().unsupported(p) == "it slides a window over pictures: these inputs have no rows and columns"
    assert Occlusion().unsupported(replace(p, feature_shape=(2, 3))) is None


@BOTH
def test_shapley_sampling_is_the_plain_call(kind):
    from captum.attr import ShapleyValueSampling as Plain

    p = of_kind(kind)
    mean, target = p.X_train.mean(0, keepdim=True), p.y_valid if kind == "classification" else 0
    with seeded(0):
        plain = Plain(copy.deepcopy(p.model)).attribute(p.X_valid, mean, target=target)
    close(attributions(ShapleySampling(), p), plain.numpy())
    close(attributions(ShapleySampling(internal_batch_size=14), p), plain.numpy())


@pytest.mark.parametrize("explainer", [ShapleySampling(n_samples=1500), CaptumKernelShap(n_samples=1500)])
def test_sampled_shapley_values_tend_to_the_exact_ones(explainer):
    p = problem(network(4), n=2)
    mean = p.X_train.mean(0, keepdim=True)
    expected = row_by_row(lambda x, k: literal.shapley_values(p.model, x, mean, k), p)
    # 1500 draws: standard errors of 1 / sqrt(1500), 2.6 per cent, of the spread between orders.
    close(attributions(explainer, p), expected, 0.05)


@BOTH
def test_kernel_shap_is_the_plain_call_for_every_row(kind):
    from captum.attr import KernelShap

    p = of_kind(kind)
    mean = p.X_train.mean(0, keepdim=True)
    with seeded(0):
        plain = row_by_row(lambda x, k: KernelShap(p.model).attribute(x[None], mean, target=k)[0].numpy(), p)
    found = attributions(CaptumKernelShap(n_samples=25), p)
    close(found, plain)
    close(found.sum(1), row_by_row(lambda x, k: (p.model(x[None]) - p.model(mean))[0, k], p), 1e-3)


@BOTH
def test_lime_is_the_plain_call_with_a_lasso_relative_to_the_outputs(kind):
    p = of_kind(kind)
    mean = p.X_train.mean(0, keepdim=True)

    from captum.attr import Lime as Plain

    from xai_bench.explainers.captum_inside import SkLearnLasso

    class Reference(SkLearnLasso):
        """captum's, of a strength that is .01 standard deviations of its targets."""

        def fit(self, train_data, **_):
            _, y, weight = (t.double().numpy() for t in train_data.dataset.tensors)
            variance = np.cov(y, aweights=weight, ddof=0)
            self.construct_kwargs["alpha"] = 0.01 * float(np.sqrt(variance))
            return super().fit(train_data)

    def plain(x, k):
        return Plain(p.model, interpretable_model=Reference()).attribute(x[None], mean, target=k)[0].numpy()

    with seeded(0):
        expected = row_by_row(plain, p)
    close(attributions(Lime(n_samples=25), p), expected, 1e-3)


@pytest.mark.parametrize("scale", [1e-9, 1e3])
def test_lime_ranks_alike_at_any_scale_of_the_outputs(scale):
    p = problem(network())
    small = copy.deepcopy(p.model)
    for tensor in (small[-1].weight, small[-1].bias):
        tensor.mul_(scale)
    found, expected = (Lime().explain(q, seed=1).relevance for q in (replace(p, model=small), p))
    np.testing.assert_allclose(found / scale, expected, rtol=1e-3)
    constant = copy.deepcopy(p.model)
    constant[-1].weight.zero_()
    np.testing.assert_array_equal(Lime().explain(replace(p, model=constant)).relevance, np.zeros(D))


def test_surrogates_draw_at_least_two_copies_an_input():
    p = problem(network(20), n=2)
    assert CaptumKernelShap(n_samples=1).explain(p).forward_rows == 2 * 40 + 2
    alone = problem(draw(nn.Sequential(nn.Linear(1, CLASSES))))
    assert CaptumKernelShap().unsupported(alone) == "it needs at least two inputs"
    assert CaptumKernelShap(max_inputs=16).unsupported(p) == Lime(max_inputs=16).unsupported(p) != None  # noqa: E711


# Whatever the batch, and up to the sizes that can be waited for.

AROUND = ["Saliency", "IntegratedGradients", "FeaturePermutation", "ShapleyValueSampling"]


@pytest.mark.parametrize("method", [*methods(), *(f"NoiseTunnel({name})" for name in AROUND)])
def test_relevances_do_not_depend_on_the_batch(method):
    p = problem(network(5), n=9)
    parameters = {"n_samples": 12} if "n_samples" in arguments(method) else {}
    found = [
        Captum(method=method, internal_batch_size=size, parameters=parameters).explain(p, seed=3).relevance
        for size in (4096, 7, 1)
    ]
    assert (found[0] > 0).any()
    for other in found[1:]:
        close(other, found[0], 1e-5)


def test_feature_permutation_shuffles_over_all_explained_rows():
    from captum.attr import FeaturePermutation

    p = of_kind("classification")
    with seeded(0):
        plain = FeaturePermutation(p.model).attribute(p.X_valid, target=p.y_valid)
    for size in (4096, 2, 1):
        close(attributions(Captum(method="FeaturePermutation", internal_batch_size=size), p), plain.numpy())
    alone = replace(p, X_valid=p.X_valid[:1], y_valid=p.y_valid[:1])
    reason = "it shuffles inputs over rows: it needs two validation rows"
    assert Captum(method="FeaturePermutation").unsupported(alone) == reason
    assert not Captum(method="FeaturePermutation").rows_apart()


@pytest.mark.parametrize("method", ["ShapleyValues", "NoiseTunnel(ShapleyValues)"])
def test_orders_of_many_inputs_are_refused(method):
    reason = Captum(method=method).unsupported(problem(network(12)))
    assert reason == "it evaluates every order of the inputs: 12 inputs are above 7"
    assert Captum(method=method).unsupported(problem(network(7))) is None


def test_all_orders_give_the_exact_values():
    p = problem(network(4), n=3)
    mean = p.X_train.mean(0, keepdim=True)
    expected = row_by_row(lambda x, k: literal.shapley_values(p.model, x, mean, k), p)
    close(attributions(Captum(method="ShapleyValues"), p), expected)


# A generic name is the method that has a name of its own.


@pytest.mark.parametrize("method", presets())
def test_generic_names_are_the_named_methods(method):
    named = presets()[method]()
    generic = registry.create("explainers", f"captum:{method}", {})
    for name in ("rows", "max_inputs", "background", "internal_batch_size", "target", "aggregate", "baseline"):
        assert getattr(generic, name) == getattr(named, name)
    p = problem(network(), n=5)
    first, second = generic.explain(p, seed=2), named.explain(p, seed=2)
    np.testing.assert_array_equal(first.relevance, second.relevance)
    assert (first.forward_rows, first.rows_explained) == (second.forward_rows, second.rows_explained)
    assert generic.unsupported(problem(network(784))) == named.unsupported(problem(network(784)))


def test_arguments_of_generic_names_reach_the_named_methods():
    p = problem(network(), n=5)
    generic = Captum(method="GradientShap", parameters={"n_samples": 3}, rows=4)
    np.testing.assert_array_equal(
        generic.explain(p, seed=2).relevance, GradientShap(n_samples=3, rows=4).explain(p, seed=2).relevance
    )
    noisy = Captum(method="NoiseTunnel(Saliency)", parameters={"stdevs": 0, "nt_samples": 1})
    signless = Captum(method="Saliency").explain(p).relevance
    np.testing.assert_allclose(noisy.explain(p).relevance, signless, rtol=1e-6)
    around = Captum(method="NoiseTunnel(KernelShap)")
    assert around.unsupported(problem(network(784))) == CaptumKernelShap().unsupported(problem(network(784)))
    rebuilt = Captum(**json.loads(json.dumps(generic.identity()))["fields"])
    assert (rebuilt, rebuilt.identity()) == (generic, generic.identity())


NT = "NoiseTunnel(Saliency)"


@pytest.mark.parametrize(
    ("method", "name", "value", "words"),
    [
        (NT, "nt_type", "nonsense", "expected smoothgrad, smoothgrad_sq or vargrad, got 'nonsense'"),
        (NT, "stdevs", -1, "expected a finite number >= 0, got -1"),
        (NT, "stdevs", "wide", "expected a finite number >= 0, got 'wide'"),
        (NT, "stdevs", float("inf"), "finite numbers"),
        (NT, "nt_samples", 0, "expected a whole number >= 1, got 0"),
        ("NoiseTunnel(InputXGradient)", "nt_samples", 0, "expected a whole number >= 1, got 0"),
        ("NoiseTunnel(InputXGradient)", "nt_samples", 2.5, "expected a whole number >= 1, got 2.5"),
        (NT, "nt_samples_batch_size", 0, "unknown entry 'nt_samples_batch_size'"),
        (NT, "abs", "yes", "expected true or false, got 'yes'"),
        ("Saliency", "abs", 1, "expected true or false, got 1"),
        ("FeatureAblation", "perturbations_per_eval", -3, "expected a whole number >= 1, got -3"),
        ("FeaturePermutation", "perturbations_per_eval", True, "expected a whole number >= 1, got True"),
        ("IntegratedGradients", "method", "simpson", "got 'simpson'"),
        ("IntegratedGradients", "n_steps", 0, "expected a whole number >= 1, got 0"),
        ("GradientShap", "n_samples", "many", "expected a whole number >= 1, got 'many'"),
        ("GradientShap", "stdevs", -0.5, "expected a finite number >= 0, got -0.5"),
        ("Lime", "n_samples", 0, "expected a whole number >= 1, got 0"),
    ],
)
def test_arguments_are_checked_when_a_suite_is_read(method, name, value, words):
    suite = {
        "name": "t",
        "datasets": [{"name": "xor"}],
        "models": [{"name": "mlp"}],
        "explainers": [{"name": f"captum:{method}", "parameters": {name: value}}],
    }
    with pytest.raises(InputError) as caught:
        reading.from_dict(suite)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert words in str(caught.value)


# Memory.


class Watched(nn.Module):
    """Keeps the largest number of rows of a pass; copies keep it in the same list."""

    largest: list = [0]

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        self.largest[0] = max(self.largest[0], len(x))
        return self.model(x)


@pytest.mark.parametrize(
    ("explainer", "unit"),
    [
        *[(e, 1) for e in (Saliency(), InputXGradient(), IntegratedGradients(), LRP(), GuidedBackprop())],
        *[
            (e, 1)
            for e in (FeatureAblation(), ShapleySampling(n_samples=2), Occlusion(), Captum(method="FeaturePermutation"))
        ],
        *[(e, 1) for e in (CaptumKernelShap(n_samples=20), Lime(n_samples=20), Captum(method="Lime"))],
        *[(DeepLift(), 2), (SmoothGrad(nt_samples=10), 10), (GradientShap(n_samples=10), 10)],
        *[(DeepLiftShap(background=10), 20), (Captum(method="NoiseTunnel(DeepLift)"), 10)],
    ],
    ids=lambda e: getattr(e, "method", None),
)
def test_batches_shrink_where_inputs_are_many(explainer, unit, monkeypatch):
    n = 11
    p = replace(problem(Watched(network(24)), n=n), feature_shape=(4, 6))
    for numbers in (8 * 24, 24):
        monkeypatch.setattr(base, "ELEMENTS", numbers)
        Watched.largest[0] = 0
        explainer.explain(p)
        # One row is explained at a time at the least, with as many copies as its method makes at once.
        assert 0 < Watched.largest[0] <= max(numbers // 24, unit) + (explainer.method in ("KernelShap", "Lime")) * n


@pytest.mark.parametrize(
    "explainer",
    [
        *(Saliency(), InputXGradient(), IntegratedGradients(), LRP(), GuidedBackprop(), DeepLift()),
        *(FeatureAblation(), Occlusion(), CaptumKernelShap(n_samples=20), Lime(n_samples=20)),
        *(
            DeepLiftShap(background=4),
            SmoothGrad(nt_samples=4),
            ShapleySampling(n_samples=2),
            GradientShap(n_samples=4),
        ),
    ],
    ids=lambda e: e.name,
)
def test_batches_follow_the_memory_and_values_stay(explainer):
    p = replace(problem(Watched(network(24)), n=23), feature_shape=(4, 6))

    def found(memory):
        Watched.largest[0] = 0
        values = attributions(explainer, replace(p, memory=memory, generator=np.random.default_rng(0)))
        return values, Watched.largest[0]

    plain, most = found(None)
    enough, as_many = found(2**31)
    assert as_many == most
    np.testing.assert_array_equal(enough, plain)
    few, fewer = found(8 * 24 * base.BYTES_AN_ELEMENT)
    assert fewer <= 8 < most
    if isinstance(explainer, ShapleySampling | GradientShap):  # they draw anew for every batch
        assert np.corrcoef(few.ravel(), plain.ravel())[0, 1] > 0.5
    else:
        close(few, plain)


@pytest.mark.parametrize("explainer", [InputXGradient(), DeepLift(), DeepLiftShap(background=4), GradientShap()])
def test_no_batch_keeps_its_graph(explainer):
    p = problem(network())
    values = explainer.attribute(copy.deepcopy(p.model), p.X_valid, p.y_valid, p)
    assert not values.requires_grad


def test_short_names_are_the_generic_wrapper():
    made = registry.create("explainers", "captum:NoiseTunnel(DeepLift)", {"rows": 5})
    assert made == Captum(method="NoiseTunnel(DeepLift)", rows=5)
    p = of_kind("classification")
    assert (made.explain(p).relevance > 0).all()
    with pytest.raises(InputError, match="unknown captum method 'Salency': did you mean Saliency"):
        registry.create("explainers", "captum:Salency", {})
