"""What all explainers share: completeness, aggregates, costs, folding, what is not supported, names."""

from __future__ import annotations

import copy
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
    rows,
)
from tests.reference import attributions as literal
from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.explainers.base import Evaluations, Problem, aggregated
from xai_bench.explainers.captum import Captum, GradientShap, InputXGradient, IntegratedGradients, Saliency, SmoothGrad
from xai_bench.explainers.layers import fold_every_batch_norm, layer_use
from xai_bench.explainers.layerwise import LRP, Deconvolution, DeepLift, GuidedBackprop
from xai_bench.explainers.perturbation import FeatureAblation, Lime, Occlusion, ShapleySampling
from xai_bench.explainers.selectors import MutualInformation, PermutationImportance
from xai_bench.explainers.shap import (
    Shap,
    ShapDeep,
    ShapGradient,
    ShapKernel,
    ShapPermutation,
)
from xai_bench.models.folding import fold_batch_norm, fold_spectral
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.spectral import SpectralLinear

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PendingDeprecationWarning")

# Completeness: attributions of a row add up to f(x) - f(baseline).


def output_change(p, start):
    return row_by_row(lambda x, k: p.model(x[None])[0, k] - p.model(start).mean(0)[k], p)


@BOTH
def test_attributions_add_up(kind):
    p = of_kind(kind)
    mean = output_change(p, p.X_train.mean(0, keepdim=True))
    close(attributions(DeepLift(), p).sum(1), mean, 1e-5)
    # A ReLU has a kink: 300 points leave an error of about 1 / 300.
    close(attributions(IntegratedGradients(n_steps=300), p).sum(1), mean, 5e-3)
    smooth = problem(draw(nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, p.n_outputs))), kind)
    expected = output_change(smooth, smooth.X_train.mean(0, keepdim=True))
    close(attributions(IntegratedGradients(n_steps=32), smooth).sum(1), expected, 1e-4)
    background = output_change(p, p.X_train)
    for explainer in (ShapDeep(), ShapKernel(background=20), ShapPermutation(background=20)):
        close(attributions(explainer, p).sum(1), background, 1e-5)


def test_shap_deep_raises_where_values_do_not_add_up():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(D, 8), nn.Linear(8, CLASSES)

        def forward(self, x):
            return self.last(self.first(x).square())

    p = problem(draw(Hidden()))
    with pytest.raises(ValueError, match="miss its output by"):
        attributions(ShapDeep(), p)
    assert "the model calls square outside of them" in ShapDeep().unsupported(p)


# From attributions to relevances.


@pytest.mark.parametrize("how", ["mean_abs", "abs_mean", "rms"])
def test_aggregates(how):
    values = np.random.default_rng(0).normal(size=(5, 3))
    formula = {
        "mean_abs": lambda column: sum(abs(v) for v in column) / 5,
        "abs_mean": lambda column: abs(sum(column) / 5),
        "rms": lambda column: (sum(v * v for v in column) / 5) ** 0.5,
    }[how]
    expected = [formula(values[:, j]) for j in range(3)]
    np.testing.assert_allclose(aggregated(values, how), expected, rtol=1e-12)
    single = values.astype(np.float32)
    assert np.array_equal(aggregated(single, how), aggregated(single.astype(np.float64), how)), "sums are in float64"
    extremes = np.array([[-128], [127]], dtype=np.int8)
    assert np.array_equal(aggregated(extremes, how), aggregated(extremes.astype(np.float64), how))
    p = of_kind("classification")
    found = InputXGradient(aggregate=how).explain(p).relevance
    np.testing.assert_allclose(found, aggregated(attributions(InputXGradient(), p).astype(float), how), rtol=1e-6)


def test_predicted_class_is_explained_instead_of_the_true_one():
    p = of_kind("classification")
    predicted = p.model(p.X_valid).argmax(1)
    assert (predicted != p.y_valid).any()
    other = Problem(p.model, p.X_train, p.y_train, p.X_valid, predicted, p.kind, p.n_outputs)
    found = Saliency(target="predicted_class").explain(p).relevance
    np.testing.assert_array_equal(found, Saliency().explain(other).relevance)
    assert not np.allclose(found, Saliency().explain(p).relevance)


@pytest.mark.parametrize(
    "explainer",
    [
        *(Saliency(), InputXGradient(), IntegratedGradients(), DeepLift(), LRP(), GuidedBackprop(), Deconvolution()),
        *(FeatureAblation(), Occlusion(), ShapDeep(), ShapKernel(samples=64, background=20)),
    ],
    ids=lambda e: e.name,
)
def test_every_row_counts(explainer):
    """Not the last one alone, as in a metric of shap (issue 4616), nor any other part."""
    p = replace(problem(network(activation=nn.ReLU)), feature_shape=(2, 3))
    single = []
    for i in range(7):
        one = replace(p, X_valid=p.X_valid[i : i + 1], y_valid=p.y_valid[i : i + 1])
        single.append(explainer.explain(one).relevance)
    close(explainer.explain(p).relevance, np.mean(single, 0))


def test_every_input_of_a_picture_counts():
    """Not the first channel alone, as in a metric of Quantus (issue 75)."""
    p = replace(problem(network(24)), feature_shape=(4, 6))
    for explainer in (Occlusion(), FeatureAblation(), Saliency(), ShapleySampling(n_samples=2)):
        assert (explainer.explain(p).relevance > 0).all()


@pytest.mark.parametrize("explainer", [SmoothGrad(), GradientShap(), ShapGradient(), Lime(n_samples=30)])
def test_another_seed_changes_little_and_the_same_one_nothing(explainer):
    """As reported of LIME (issue 683)."""
    p = problem(network(), n=40)
    first, again, other = (explainer.explain(p, seed=seed).relevance for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.corrcoef(first, other)[0, 1] > 0.8


def test_rows_limit_what_is_explained():
    p = problem(network(), n=30)
    assert Saliency(rows=4).explain(p).forward_rows == 4
    assert Saliency(rows=100).explain(p).forward_rows == 30
    assert not np.allclose(Saliency(rows=4).explain(p, 0).relevance, Saliency(rows=4).explain(p, 1).relevance)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        *[(name, 256) for name in ("saliency", "gradient_shap", "deeplift_shap", "shap_deep", "shap_gradient")],
        *[("permutation_importance", 256), ("tree_shap", 256), ("shap_kernel", 32), ("captum:Saliency", 256)],
        *[("random_forest_permutation", 300), ("column_norm", None), ("mutual_information", None)],
    ],
)
def test_rows_that_are_explained_are_told(name, rows):
    p = problem(network(), n=300)
    explainer = registry.create("explainers", name, {"trees": 2} if "forest" in name or "tree" in name else {})
    assert explainer.rows_explained(p) == rows
    if name in ("saliency", "tree_shap", "random_forest_permutation", "column_norm"):
        assert explainer.explain(p).rows_explained == rows
    if rows == 256:
        assert registry.create("explainers", name, {"rows": 9}).rows_explained(p) == 9
        few = replace(p, X_valid=p.X_valid[:5], y_valid=p.y_valid[:5])
        assert explainer.rows_explained(few) == 5


def test_background_is_drawn_without_replacement():
    p = problem(network(), n_train=20)
    drawn = p.background(8)
    assert len({tuple(row.tolist()) for row in drawn}) == 8
    assert torch.equal(p.background(50), p.X_train)


# Costs in rows.


class Counted(nn.Module):
    """Counts rows by itself; copies count into the same dictionary."""

    counts = {"forward": 0, "backward": 0}

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        self.counts["forward"] += len(x)
        return _Watched.apply(self.model(x), self.counts)


class _Watched(torch.autograd.Function):
    @staticmethod
    def forward(context, x, counts):
        context.counts = counts
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        context.counts["backward"] += len(gradient)
        return gradient, None


def test_saliency_costs_one_pass_forward_and_back():
    found = Saliency().explain(of_kind("classification"))
    assert (found.forward_rows, found.backward_rows) == (7, 7)


@pytest.mark.parametrize("internal", [4096, 20, 3])
def test_integrated_gradients_cost_a_pass_for_every_step(internal):
    found = IntegratedGradients(n_steps=9, internal_batch_size=internal).explain(of_kind("classification"))
    assert (found.forward_rows, found.backward_rows) == (7 * 9, 7 * 9)


@pytest.mark.parametrize(
    "explainer",
    [
        Saliency(),
        InputXGradient(),
        IntegratedGradients(n_steps=5),
        Captum(method="FeatureAblation"),
        Captum(method="ShapleyValueSampling", parameters={"n_samples": 3}),
        ShapGradient(samples=6),
        ShapKernel(samples=20, background=4),
        ShapPermutation(samples=2, background=4),
        PermutationImportance(repeats=2),
    ],
    ids=lambda explainer: getattr(explainer, "method", explainer.name),
)
def test_rows_are_counted_through_the_libraries(explainer):
    p = problem(Counted(network()))
    Counted.counts.update(forward=0, backward=0)
    found = explainer.explain(p)
    assert found.forward_rows == Counted.counts["forward"] > 0
    assert found.backward_rows == Counted.counts["backward"]


def test_rows_of_methods_that_hook_layers():
    p = of_kind("classification")
    n, background = 7, 20
    deeplift = DeepLift().explain(p)
    assert (deeplift.forward_rows, deeplift.backward_rows) == (2 * n, 2 * n)
    deep = ShapDeep().explain(p)
    # Every row with every background row, as a pair; the background's outputs; the check of additivity.
    assert deep.backward_rows == 2 * n * background
    assert deep.forward_rows >= deep.backward_rows + n + background


def test_counting_by_hand():
    model, evaluations = network(), Evaluations()
    evaluations.watch(model)
    model(rows(3))
    assert (evaluations.forward_rows, evaluations.backward_rows) == (3, 0)
    copy.deepcopy(model)(rows(4).requires_grad_(True)).sum().backward()
    assert (evaluations.forward_rows, evaluations.backward_rows) == (7, 4)


def test_data_methods_cost_no_rows_and_set_up_is_apart():
    found = MutualInformation().explain(problem(network(), n_train=60))
    assert (found.forward_rows, found.backward_rows) == (0, 0)
    assert found.setup_wall > 0


# Folding.


def sequential(*layers):
    return draw(nn.Sequential(*layers))


FOLDABLE = {
    "norm_first": lambda: sequential(nn.BatchNorm1d(D), nn.Linear(D, 4), nn.ReLU(), nn.Linear(4, 2)),
    "norm_before_activation": lambda: sequential(nn.Linear(D, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)),
    "norm_after_activation": lambda: sequential(nn.Linear(D, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 2)),
    "norm_then_dropout": lambda: sequential(
        *(nn.Linear(D, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    ),
    "dropout_then_norm": lambda: sequential(
        *(nn.Linear(D, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    ),
    "two_norms": lambda: sequential(nn.ReLU(), nn.BatchNorm1d(D), nn.BatchNorm1d(D), nn.Linear(D, 2)),
    "norm_last": lambda: sequential(nn.Linear(D, 4), nn.BatchNorm1d(4)),
    "without_affine": lambda: sequential(nn.Linear(D, 4, False), nn.BatchNorm1d(4, affine=False), nn.Tanh()),
}


@pytest.mark.parametrize("name", FOLDABLE)
def test_folding_batch_norm_keeps_the_outputs(name):
    model = FOLDABLE[name]()
    folded = fold_batch_norm(copy.deepcopy(model))
    assert not any(isinstance(layer, nn.BatchNorm1d | nn.Dropout) for layer in folded)
    torch.testing.assert_close(folded(rows()), model(rows()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", [MLP(hidden=(7, 5)), SpectralMLP(hidden=(7, 5), all_layers=True)])
def test_folding_networks_of_this_package(architecture):
    model = draw(architecture.build((D,), CLASSES, torch.Generator().manual_seed(0)))
    folded = fold_every_batch_norm(fold_spectral(copy.deepcopy(model)))
    assert {type(layer) for layer in folded} == {nn.Linear, nn.Tanh, nn.ReLU}
    torch.testing.assert_close(folded(rows()), model(rows()), rtol=1e-5, atol=1e-5)


def test_folding_nested_models_and_a_single_layer():
    nested = sequential(nn.Sequential(SpectralLinear(D, 5), nn.BatchNorm1d(5)), nn.Sequential(SpectralLinear(5, 2)))
    folded = fold_every_batch_norm(fold_spectral(copy.deepcopy(nested)))
    assert [type(layer) for part in folded for layer in part] == [nn.Linear, nn.Linear]
    torch.testing.assert_close(folded(rows()), nested(rows()), rtol=1e-5, atol=1e-5)
    single = draw(SpectralLinear(D, 2))
    assert type(fold_spectral(single)) is nn.Linear
    torch.testing.assert_close(fold_spectral(single)(rows()), single(rows()))


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([nn.Linear(D, 4), nn.ReLU(), nn.BatchNorm1d(4)], "at the end"),
        ([nn.ReLU(), nn.BatchNorm1d(D), nn.ReLU(), nn.Linear(D, 2)], "before ReLU cannot be folded"),
        ([nn.Linear(D, 4), nn.BatchNorm1d(4, track_running_stats=False)], "without running statistics"),
    ],
)
def test_batch_norm_that_cannot_be_folded(layers, reason):
    model = sequential(*layers)
    with pytest.raises(ValueError, match=reason):
        fold_batch_norm(copy.deepcopy(model))
    p = problem(sequential(nn.Linear(D, D), nn.ReLU(), *layers))
    if "statistics" in reason:
        assert LRP().unsupported(p) == "captum's LRP: BatchNorm1d without running statistics mixes rows"
    else:  # the epsilon rule is that of a layer of its own: without biases all relevance arrives
        assert LRP().unsupported(p) is None


@pytest.mark.parametrize("explainer", [LRP(), DeepLift(), ShapDeep(), Saliency()], ids=lambda e: e.name)
@pytest.mark.parametrize("architecture", [MLP(hidden=(7, 5)), SpectralMLP(hidden=(7, 5))], ids=lambda a: a.name)
def test_networks_of_this_package_are_explained_on_a_copy(explainer, architecture):
    p = problem(draw(architecture.build((D,), CLASSES, torch.Generator().manual_seed(0))))
    structure, outputs = repr(p.model), p.model(p.X_valid)
    state = copy.deepcopy(p.model.state_dict())
    assert "BatchNorm1d" in structure
    assert explainer.unsupported(p) is None
    assert (explainer.explain(p).relevance > 0).all()
    assert repr(p.model) == structure
    assert torch.equal(p.model(p.X_valid), outputs)
    assert all(torch.equal(value, state[name]) for name, value in p.model.state_dict().items())


def test_spectral_and_folded_networks_get_the_same_relevance():
    p = problem(
        draw(SpectralMLP(hidden=(7, 5), all_layers=True).build((D,), CLASSES, torch.Generator().manual_seed(0)))
    )
    q = problem(fold_spectral(copy.deepcopy(p.model)).requires_grad_(False))
    for explainer in (Saliency(), IntegratedGradients(), LRP(), DeepLift(), ShapDeep(), ShapKernel(samples=64)):
        np.testing.assert_allclose(explainer.explain(p).relevance, explainer.explain(q).relevance, rtol=1e-5)


def test_lrp_of_a_network_with_batch_norm_is_lrp_of_the_folded_one():
    p = problem(FOLDABLE["norm_then_dropout"]())
    folded = fold_batch_norm(copy.deepcopy(p.model))
    close(attributions(LRP(), p), row_by_row(lambda x, k: literal.lrp(folded, x, k), p), 1e-4)


# What is not supported is said, and does no harm.


class ReusedReLU(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(D, 8), nn.Linear(8, 5), nn.Linear(5, CLASSES)
        self.activation = nn.ReLU()

    def forward(self, x):
        return self.last(self.activation(self.second(self.activation(self.first(x)))))


class FunctionalReLU(ReusedReLU):
    def forward(self, x):
        return self.last(torch.relu(self.second(self.activation(self.first(x)))))


@pytest.mark.parametrize("explainer", [DeepLift(), LRP(), ShapDeep()], ids=lambda e: e.name)
@pytest.mark.parametrize(
    ("model", "reason"), [(ReusedReLU, "ReLU is used again"), (FunctionalReLU, "calls relu outside of them")]
)
def test_layers_that_cannot_be_hooked(explainer, model, reason):
    assert reason in explainer.unsupported(problem(draw(model())))
    assert Saliency().unsupported(problem(draw(model()))) is None


class ByKeyword(ReusedReLU):
    def forward(self, x):
        return self.last(input=self.activation(self.first(input=x)[:, :5]))


@pytest.mark.parametrize("explainer", [DeepLift(), LRP(), LRP(rule="gamma")], ids=["deeplift", "lrp", "gamma"])
def test_layers_that_are_called_by_keyword_are_not_supported(explainer):
    reason = explainer.unsupported(problem(draw(ByKeyword())))
    assert "sees what layers are given by position: Linear is called by keyword" in reason


def test_layer_use_is_seen_and_the_model_left_as_it_was():
    model = draw(FunctionalReLU())
    use = layer_use(model, rows())
    assert use.leaves == (nn.Linear, nn.ReLU, nn.Linear, nn.Linear)
    assert (use.reused, use.linear_outside, use.other_outside) == ((), (), ("relu",))
    assert layer_use(draw(ReusedReLU()), rows()).reused == ("ReLU",)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_lrp_of_an_unknown_layer_is_unsupported_and_leaves_the_model_usable():
    p = problem(sequential(nn.Linear(D, 8), nn.Softplus(), nn.Linear(8, CLASSES)))
    before, outputs = Saliency().explain(p).relevance, p.model(p.X_valid)
    assert LRP().unsupported(p) == "captum's LRP has no rule for Softplus"
    with pytest.raises(TypeError, match="Softplus"):
        LRP().explain(p)
    assert torch.equal(p.model(p.X_valid), outputs)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in p.model.modules())
    np.testing.assert_array_equal(Saliency().explain(p).relevance, before)
    assert DeepLift().unsupported(p) != LRP().unsupported(p)


def test_in_place_activations_are_explained_as_others():
    plain = network(activation=nn.ReLU)
    in_place = copy.deepcopy(plain)
    in_place[1].inplace = in_place[3].inplace = True
    for explainer in (DeepLift(), ShapDeep(), LRP(), Captum(method="GuidedBackprop")):
        found = explainer.explain(problem(in_place)).relevance
        np.testing.assert_allclose(found, explainer.explain(problem(plain)).relevance, rtol=1e-6)
    assert in_place[1].inplace


# Names.


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Captum(method="Salency"), ["unknown captum method 'Salency'", "did you mean", "Saliency"]),
        (lambda: Captum(method="Occlusion"), ["use 'occlusion' instead"]),
        (lambda: Captum(method="NoiseTunnel"), ["write 'NoiseTunnel(Saliency)'"]),
        (lambda: Captum(method="NoiseTunnel(Salency)"), ["unknown captum method 'Salency'", "Saliency"]),
        (lambda: Captum(method="NoiseTunnel(GradientShap)"), ["cannot go around GradientShap"]),
        (lambda: Captum(method="LayerConductance"), ["unknown captum method"]),
        (
            lambda: Captum(method="FeatureAblation", parameters={"perturbations": 2}),
            ["unknown entry 'perturbations' in 'parameters'", "FeatureAblation takes", "perturbations_per_eval"],
        ),
        (lambda: Saliency(parameters={"target": 1}), ["unknown entry 'target'", "Saliency takes abs"]),
        (lambda: IntegratedGradients(parameters={"n_steps": 3}), ["'n_steps' is a field of integrated_gradients"]),
        (lambda: IntegratedGradients(n_step=3), ["unknown field 'n_step'", "did you mean n_steps?"]),
        (lambda: Saliency(rows=0), ["saliency: rows: ", "got 0"]),
        (lambda: Shap(method="DeepExplaner"), ["shap: method: ", "DeepExplainer"]),
        (lambda: Saliency(method="LRP"), ["saliency: method: ", "got 'LRP'"]),
    ],
)
def test_wrong_names_are_errors_of_one_line(make, words):
    with pytest.raises(InputError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_parameters_reach_captum():
    p = of_kind("classification")
    signed = attributions(Saliency(parameters={"abs": False}), p)
    assert (signed < 0).any()
    close(np.abs(signed), attributions(Saliency(), p), 1e-6)
