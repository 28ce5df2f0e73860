"""The explainers against slow literal versions, completeness, evaluation counts and what they refuse."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from tests.reference import explanations as literal
from xai_bench.errors import InputError
from xai_bench.explainers.base import Evaluations, Problem, seeded
from xai_bench.explainers.captum import LRP, Captum, DeepLift, InputXGradient, IntegratedGradients, Saliency, methods
from xai_bench.explainers.layers import fold_every_batch_norm, layer_use
from xai_bench.explainers.selectors import MutualInformation, PermutationImportance
from xai_bench.explainers.shap import (
    Shap,
    ShapDeep,
    ShapGradient,
    ShapKernel,
    ShapPermutation,
    deep_values,
    gradient_values,
)
from xai_bench.explainers.spectral import ColumnNorm, Spectral
from xai_bench.models.folding import fold_batch_norm, fold_spectral
from xai_bench.models.spectral import SpectralLinear

D, K, N = 5, 3, 14


def network(
    *, spectral: bool = False, batch_norm: bool = True, activations: tuple = (nn.Tanh, nn.ReLU), d: int = D, k: int = K
) -> nn.Sequential:
    """Like the networks of the suite: dense, activation, batch norm, dropout; random statistics and biases."""
    generator = torch.Generator().manual_seed(d + 10 * k)
    first = SpectralLinear(d, 8) if spectral else nn.Linear(d, 8)
    norm = [nn.BatchNorm1d(8), nn.Dropout(0.3)] if batch_norm else []
    model = nn.Sequential(first, activations[0](), *norm, nn.Linear(8, 7), activations[1](), nn.Linear(7, k)).eval()
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.normal_(0, 0.6, generator=generator)
    for module in model:
        if isinstance(module, nn.BatchNorm1d):
            module.running_var.uniform_(0.3, 2.0, generator=generator)
    return model.requires_grad_(False)


def problem_of(model: nn.Module, d: int = D, k: int = K, n: int = N) -> Problem:
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(60 + n, d, generator=generator) + 0.3
    y = torch.randint(k, (len(X),), generator=generator) if k > 1 else torch.randn(len(X), generator=generator)
    kind = "classification" if k > 1 else "regression"
    return Problem(model, X[:60], y[:60], X[60:], y[60:], kind, k)


def attributions(explainer, problem: Problem) -> np.ndarray:
    """(n, d) attributions of all validation rows, on a folded copy, as the base class asks for them."""
    model = fold_spectral(copy.deepcopy(problem.model))
    target = problem.y_valid if problem.kind == "classification" else None
    with seeded(0):
        values = explainer.attribute(model, problem.X_valid.clone(), target, problem)
    return values.detach().numpy() if isinstance(values, Tensor) else values


NETWORKS = {
    "mlp": network(),
    "spectral": network(spectral=True),
    "relu": network(batch_norm=False, activations=(nn.ReLU, nn.ReLU)),
}


@pytest.fixture(params=NETWORKS)
def problem(request) -> Problem:
    return problem_of(NETWORKS[request.param])


# Against literal versions. float32 sums of a few hundred terms of size 1: 1e-5 is ten times their rounding.


def test_saliency_is_the_gradient_row_by_row(problem):
    expected = literal.saliency(problem.model, problem.X_valid, problem.y_valid)
    np.testing.assert_allclose(attributions(Saliency(), problem), expected, atol=1e-5)


def test_input_x_gradient_row_by_row(problem):
    expected = literal.input_x_gradient(problem.model, problem.X_valid, problem.y_valid)
    np.testing.assert_allclose(attributions(InputXGradient(), problem), expected, atol=1e-5)


@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_integrated_gradients_point_by_point(problem, baseline):
    start = problem.X_train.mean(0) if baseline == "mean" else torch.zeros(D)
    expected = literal.integrated_gradients(problem.model, problem.X_valid, problem.y_valid, start, 12)
    found = attributions(IntegratedGradients(n_steps=12, baseline=baseline), problem)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_integrated_gradients_in_parts_are_the_same(problem):
    whole, parts = (attributions(IntegratedGradients(internal_batch_size=size), problem) for size in (10_000, 3 * N))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_lrp_is_the_epsilon_rule_in_float64(problem):
    layers = fold_batch_norm(fold_spectral(copy.deepcopy(problem.model)))
    expected = literal.epsilon_lrp(layers, problem.X_valid, problem.y_valid)
    # A small denominator z amplifies the rounding of float32: relative to the largest relevance.
    scale = expected.abs().max()
    np.testing.assert_allclose(attributions(LRP(), problem) / scale, expected / scale, atol=1e-4)


def test_lrp_ranks_as_input_x_gradient_on_relu_networks_without_bias():
    model = network(batch_norm=False, activations=(nn.ReLU, nn.ReLU))
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.bias.data.zero_()
    problem = problem_of(model)
    lrp, product = (explainer().explain(problem).relevance for explainer in (LRP, InputXGradient))
    assert (lrp.argsort() == product.argsort()).all()
    np.testing.assert_allclose(lrp, product, rtol=1e-4)


@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_deeplift_is_the_plain_library_call(problem, baseline):
    start = problem.X_train.mean(0, keepdim=True) if baseline == "mean" else torch.zeros(1, D)
    model = fold_spectral(copy.deepcopy(problem.model))
    expected = literal.captum_plain("DeepLift", model, problem.X_valid, problem.y_valid, baselines=start)
    np.testing.assert_allclose(attributions(DeepLift(baseline=baseline), problem), expected, atol=1e-5)


@pytest.mark.parametrize("slots", [None, 1, 4, 100])
def test_shap_deep_is_the_plain_library_call(problem, slots):
    model, background = fold_spectral(copy.deepcopy(problem.model)), problem.X_train[:20]
    expected = literal.shap_deep_plain(copy.deepcopy(model), background, problem.X_valid, problem.y_valid)
    found = deep_values(model, background, problem.X_valid, problem.y_valid, slots)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_shap_gradient_with_one_slot_is_the_plain_library_call(problem):
    model, background = fold_spectral(copy.deepcopy(problem.model)), problem.X_train[:20]
    seed = int(np.random.default_rng(5).integers(2**31))
    row, c = problem.X_valid[:1], problem.y_valid[:1]
    expected = literal.shap_gradient_plain(model, background, row, c, samples=30, seed=seed)
    found = gradient_values(model, background, row, c, 30, np.random.default_rng(5))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_shap_gradient_side_by_side_agrees_with_the_plain_call_in_the_limit():
    problem = problem_of(NETWORKS["mlp"])
    model, background = fold_spectral(copy.deepcopy(problem.model)), problem.X_train[:20]
    X, y = problem.X_valid, problem.y_valid
    plain = np.stack([literal.shap_gradient_plain(model, background, X, y, 300, seed) for seed in range(4)])
    rng = np.random.default_rng(0)
    ours = np.stack([gradient_values(model, background, X, y, 300, rng, slots=6) for _ in range(4)])
    # Standard error of the difference of two means of four, pooled; 5 of them is beyond chance for 70 numbers.
    error = np.sqrt((plain.var(0, ddof=1) + ours.var(0, ddof=1)).mean(0) / 4)
    assert (np.abs(plain.mean(0) - ours.mean(0)) < 5 * error).all()


def test_shap_kernel_and_permutation_are_the_plain_library_calls():
    problem = problem_of(network(spectral=True, d=4), d=4)
    kernel, permutation = ShapKernel(background=16, samples=64), ShapPermutation(background=16, samples=20)
    rows = replace(problem, X_valid=problem.X_valid[:4], y_valid=problem.y_valid[:4])
    model = fold_spectral(copy.deepcopy(problem.model))
    background = replace(rows, generator=np.random.default_rng(0)).background(16)
    exact = literal.shapley(model, background, rows.X_valid, rows.y_valid)
    # 64 coalitions are all 14 of four inputs: Kernel SHAP is exact, whatever is drawn.
    found = attributions(kernel, replace(rows, generator=np.random.default_rng(0)))
    plain = literal.shap_kernel_plain(model, background, rows.X_valid, rows.y_valid, 64)
    np.testing.assert_allclose(found, plain, atol=1e-5)
    np.testing.assert_allclose(found, exact, atol=1e-5)
    # Permutations converge: 40 orders (20 and back) against 4000 of the plain call and the exact values.
    found = attributions(permutation, replace(rows, generator=np.random.default_rng(0)))
    plain = literal.shap_permutation_plain(model, background, rows.X_valid, rows.y_valid, 400 * 9)
    np.testing.assert_allclose(plain, exact, atol=0.02 * np.abs(exact).max())
    np.testing.assert_allclose(found, exact, atol=0.1 * np.abs(exact).max())
    with torch.no_grad():
        total = (model(rows.X_valid) - model(background).mean(0)).gather(1, rows.y_valid[:, None])[:, 0]
    np.testing.assert_allclose(found.sum(1), total, atol=1e-5)


def test_all_shap_explainers_give_exact_shapley_values_of_a_linear_model():
    model = nn.Sequential(nn.Linear(4, K)).requires_grad_(False).eval()
    problem = problem_of(model, d=4, n=4)
    for explainer in (ShapDeep, ShapKernel, ShapPermutation):
        background = replace(problem, generator=np.random.default_rng(0)).background(16)
        exact = literal.shapley(model, background, problem.X_valid, problem.y_valid)
        found = attributions(explainer(background=16), replace(problem, generator=np.random.default_rng(0)))
        np.testing.assert_allclose(found, exact, atol=1e-5, err_msg=explainer.name)


def test_permutation_importance_by_hand():
    """Shuffled by the definition, 400 times: scikit-learn's five repeats lie within their spread."""
    problem = problem_of(network(), n=40)
    X, y = problem.X_valid, problem.y_valid
    rng, loss = np.random.default_rng(0), nn.functional.cross_entropy
    rises = np.zeros((400, D))
    for repeat in range(400):
        for j in range(D):
            shuffled = X.clone()
            shuffled[:, j] = shuffled[rng.permutation(len(X)), j]
            rises[repeat, j] = float(loss(problem.model(shuffled), y) - loss(problem.model(X), y))
    found = PermutationImportance(repeats=200).explain(problem).relevance
    error = rises.std(0) * np.sqrt(1 / 200 + 1 / 400)
    assert (np.abs(found - np.clip(rises.mean(0), 0, None)) < 5 * error).all()
    assert (found >= 0).all()


def test_permutation_importance_of_a_regression_uses_the_squared_error():
    model = nn.Sequential(nn.Linear(3, 1)).requires_grad_(False).eval()
    model[0].weight.data = torch.tensor([[2.0, 0.0, 0.0]])
    X = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    problem = Problem(model, X, model(X)[:, 0], X, model(X)[:, 0], "regression", 1)
    found = PermutationImportance(rows=4000).explain(problem).relevance
    # E (2 x - 2 x')^2 = 8; its standard error over 4000 rows is below 0.2.
    np.testing.assert_allclose(found, [8, 0, 0], atol=1)


def test_mutual_information_of_a_gaussian_pair():
    """-log(1 - rho^2) / 2 in nats; the nearest-neighbour estimate of 2000 rows errs by about 0.03."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 2)).astype(np.float32)
    y = (0.8 * X[:, 0] + 0.6 * rng.normal(size=3000)).astype(np.float32)
    tensors = torch.from_numpy(X), torch.from_numpy(y)
    problem = Problem(None, *tensors, *tensors, "regression", 1)
    MutualInformation().explain(problem)  # loads scikit-learn
    found = MutualInformation().explain(problem)
    np.testing.assert_allclose(found.relevance, [-np.log(1 - 0.64) / 2, 0], atol=0.1)
    assert found.setup_cpu > 5 * found.explain_cpu


def test_spectral_relevance_is_the_column_norm_of_the_folded_model():
    problem = problem_of(NETWORKS["spectral"])
    layer = problem.model[0]
    expected = layer.lambda_in.abs() * layer.phi.norm(dim=0)
    layer.lambda_out.zero_()
    found = Spectral().explain(problem).relevance
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    folded = replace(problem, model=fold_spectral(copy.deepcopy(problem.model)))
    np.testing.assert_allclose(ColumnNorm().explain(folded).relevance, found, rtol=1e-5)
    assert "spectral" in Spectral().unsupported(folded)
    assert "ordinary" in ColumnNorm().unsupported(problem)


# Completeness: attributions add up to f(x) - f(baseline).


def test_integrated_gradients_and_deeplift_add_up(problem):
    start = problem.X_train.mean(0, keepdim=True)
    difference = (problem.model(problem.X_valid) - problem.model(start)).gather(1, problem.y_valid[:, None])[:, 0]
    np.testing.assert_allclose(attributions(DeepLift(), problem).sum(1), difference, atol=1e-4)
    # A ReLU's kink may fall anywhere between two of 400 points: slopes of up to 10 are wrong for 1 / 400 of the way.
    np.testing.assert_allclose(attributions(IntegratedGradients(n_steps=400), problem).sum(1), difference, atol=0.025)


def test_integrated_gradients_add_up_closely_where_the_network_is_smooth():
    problem = problem_of(network(activations=(nn.Tanh, nn.Tanh)))
    start = problem.X_train.mean(0, keepdim=True)
    difference = (problem.model(problem.X_valid) - problem.model(start)).gather(1, problem.y_valid[:, None])[:, 0]
    np.testing.assert_allclose(attributions(IntegratedGradients(n_steps=50), problem).sum(1), difference, atol=1e-4)


def test_shap_deep_adds_up(problem):
    background = problem.X_train[:20]
    model = fold_spectral(copy.deepcopy(problem.model))
    found = deep_values(model, background, problem.X_valid, problem.y_valid)
    difference = (problem.model(problem.X_valid) - problem.model(background).mean(0)).gather(
        1, problem.y_valid[:, None]
    )
    np.testing.assert_allclose(found.sum(1), difference[:, 0], atol=1e-4)


def test_shap_deep_says_so_if_its_values_do_not_add_up():
    class Squared(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(D, K)

        def forward(self, x):
            return self.layer(x).square()

    problem = problem_of(Squared().requires_grad_(False).eval())
    assert "square" in ShapDeep().unsupported(problem)
    with pytest.raises(ValueError, match="miss its output"):
        ShapDeep().explain(problem)


# Counts, targets and set-up.


def test_evaluation_counts():
    problem = problem_of(NETWORKS["spectral"], n=30)
    found = Saliency(rows=20).explain(problem)
    assert (found.forward_rows, found.backward_rows) == (20, 20)
    found = IntegratedGradients(rows=20, n_steps=7).explain(problem)
    assert (found.forward_rows, found.backward_rows) == (140, 140)
    found = LRP(rows=20).explain(problem)
    assert (found.forward_rows, found.backward_rows) == (40, 20)
    found = MutualInformation().explain(problem)
    assert (found.forward_rows, found.backward_rows) == (0, 0)
    found = PermutationImportance(rows=20, repeats=3).explain(problem)
    assert (found.forward_rows, found.backward_rows) == (20 * (1 + 3 * D), 0)


def test_a_model_that_is_one_spectral_layer_is_counted_too():
    problem = problem_of(SpectralLinear(D, K).requires_grad_(False).eval())
    assert Saliency().explain(problem).forward_rows == N
    assert LRP().explain(problem).forward_rows == 2 * N


def test_lrp_of_a_model_that_is_one_layer():
    """captum looks at the children only: without one it returns the gradient times the output."""
    model = nn.Linear(D, K).requires_grad_(False).eval()
    problem = problem_of(model)
    expected = literal.epsilon_lrp(nn.Sequential(model), problem.X_valid, problem.y_valid)
    np.testing.assert_allclose(attributions(LRP(), problem), expected, atol=1e-4)


def test_predicted_class_is_explained_on_demand(problem):
    predicted = replace(problem, y_valid=problem.model(problem.X_valid).argmax(1))
    assert not torch.equal(predicted.y_valid, problem.y_valid)
    found = Saliency(target="predicted_class").explain(problem).relevance
    np.testing.assert_array_equal(found, Saliency().explain(predicted).relevance)


@pytest.mark.parametrize("explainer", [ShapDeep, ShapGradient, ShapKernel, DeepLift, LRP, IntegratedGradients])
def test_regression_explains_the_only_output(explainer):
    problem = problem_of(network(k=1), k=1)
    as_class = replace(problem, kind="classification", y_valid=torch.zeros(N, dtype=torch.int64))
    found = explainer().explain(problem).relevance
    assert (found > 0).all()
    np.testing.assert_array_equal(found, explainer().explain(as_class).relevance)


# Folding.


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_keeps_outputs(name):
    model, X = NETWORKS[name], torch.randn(50, D)
    folded = fold_batch_norm(fold_spectral(copy.deepcopy(model)))
    assert {type(layer) for layer in folded} <= {nn.Linear, nn.Tanh, nn.ReLU}
    torch.testing.assert_close(folded(X), model(X), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_folding_batch_norm_keeps_outputs_wherever_it_stands(place):
    """First of all, between a dense layer and its activation, and after the activation."""
    layers = [nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, K)]
    norm = nn.BatchNorm1d(6)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        tensor.data.normal_()
    norm.running_var.uniform_(0.3, 2)
    layers.insert(place, norm)
    model, X = nn.Sequential(*layers).eval(), torch.randn(50, 6)
    folded = fold_batch_norm(copy.deepcopy(model))
    assert len(folded) == 3
    torch.testing.assert_close(folded(X), model(X), atol=1e-5, rtol=1e-5)


def test_folding_batch_norm_inside_a_module_keeps_outputs():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(spectral=True)

        def forward(self, x):
            return self.net(x)

    model, X = Wrapped().eval(), torch.randn(50, D)
    folded = fold_every_batch_norm(fold_spectral(copy.deepcopy(model)))
    assert not any(isinstance(module, nn.BatchNorm1d | SpectralLinear) for module in folded.modules())
    torch.testing.assert_close(folded(X), model(X), atol=1e-5, rtol=1e-5)
    assert LRP().unsupported(problem_of(model)) is None
    plain = attributions(LRP(), problem_of(network(spectral=True)))
    np.testing.assert_array_equal(attributions(LRP(), problem_of(model)), plain)


def test_folding_keeps_a_layer_that_is_used_twice_one_layer():
    shared = SpectralLinear(D, D)
    folded = fold_spectral(nn.Sequential(shared, nn.Tanh(), shared))
    assert isinstance(folded[0], nn.Linear)
    assert folded[0] is folded[2]


def test_folding_keeps_the_hooks_of_the_model():
    counted = Evaluations()
    model = copy.deepcopy(NETWORKS["spectral"])
    counted.watch(model)
    fold_batch_norm(fold_spectral(model))(torch.randn(6, D))
    assert counted.forward_rows == 6


# What is refused, and why.


class Reused(nn.Module):
    """One ReLU module after both layers."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(D, 6), nn.Linear(6, 6), nn.Linear(6, K)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.last(self.relu(self.second(self.relu(self.first(x)))))


class Functional(Reused):
    """The activations are functions."""

    def forward(self, x):
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))))


class Skip(Reused):
    """A skip connection, the second half without activation."""

    def forward(self, x):
        hidden = self.relu(self.first(x.view(-1, D)))
        return self.last(hidden + self.second(hidden))


@pytest.mark.parametrize("explainer", [DeepLift, LRP, ShapDeep])
def test_a_module_used_twice_is_refused(explainer):
    assert "ReLU is used again" in explainer().unsupported(problem_of(Reused().eval()))


@pytest.mark.parametrize("explainer", [DeepLift, LRP, ShapDeep])
def test_activations_that_are_functions_are_refused(explainer):
    assert "calls relu outside" in explainer().unsupported(problem_of(Functional().eval()))
    assert Saliency().unsupported(problem_of(Functional().eval())) is None


def test_a_skip_connection_is_linear_but_has_no_lrp_rule():
    problem = problem_of(Skip().requires_grad_(False).eval())
    assert "calls add outside" in LRP().unsupported(problem)
    start = problem.X_train.mean(0, keepdim=True)
    difference = (problem.model(problem.X_valid) - problem.model(start)).gather(1, problem.y_valid[:, None])[:, 0]
    assert DeepLift().unsupported(problem) is None
    np.testing.assert_allclose(attributions(DeepLift(), problem).sum(1), difference, atol=1e-4)
    assert ShapDeep().unsupported(problem) is None
    assert ShapDeep().explain(problem).relevance.shape == (D,)


class Swish(nn.Module):
    """An activation that no library knows."""

    def forward(self, x):
        return x * torch.sigmoid(x)


@pytest.mark.parametrize(
    ("explainer", "layer", "reason"),
    [
        (LRP, nn.GELU, "captum's LRP has no rule for GELU"),
        (DeepLift, nn.GELU, "captum's DeepLift has no rule for GELU"),
        (DeepLift, Swish, "captum's DeepLift has no rule for Swish"),
        (ShapDeep, Swish, "shap's DeepExplainer does not know Swish"),
    ],
)
def test_layers_without_a_rule_are_refused(explainer, layer, reason):
    model = nn.Sequential(nn.Linear(D, 6), layer(), nn.Linear(6, K)).eval()
    assert explainer().unsupported(problem_of(model)) == reason


def test_lrp_refuses_a_batch_norm_that_cannot_be_folded():
    model = nn.Sequential(nn.Linear(D, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, K)).eval()
    assert "BatchNorm1d before Tanh" in LRP().unsupported(problem_of(model))


@pytest.mark.parametrize("explainer", [DeepLift, LRP, ShapDeep, Saliency, ShapGradient])
def test_layers_that_overwrite_their_input_are_explained(explainer):
    """ReLU(inplace=True) gives what ReLU() gives."""
    model = network(batch_norm=False, activations=(nn.ReLU, nn.ReLU))
    overwriting = copy.deepcopy(model)
    overwriting[1].inplace = overwriting[3].inplace = True
    assert explainer().unsupported(problem_of(overwriting)) is None
    expected = explainer().explain(problem_of(model)).relevance
    np.testing.assert_allclose(explainer().explain(problem_of(overwriting)).relevance, expected, rtol=1e-5)
    assert overwriting[1].inplace


def test_layer_use_sees_products_of_two_activations():
    class Gated(Reused):
        def forward(self, x):
            hidden = self.first(x)
            return self.last(0.5 * hidden) + self.last(hidden * hidden)

    use = layer_use(Gated(), torch.randn(2, D))
    assert use.reused == ("Linear",)
    assert use.linear_outside == ("mul", "add")
    assert use.other_outside == ("mul",)


# Names and parameters.


def test_unknown_names_are_errors_with_a_suggestion():
    with pytest.raises(InputError, match="did you mean GuidedBackprop"):
        Captum(method="GuidedBackprob")
    with pytest.raises(InputError, match="use 'shap_deep'"):
        Captum(method="DeepLiftShap")
    with pytest.raises(InputError, match="captum method 'LayerLRP'"):
        Captum(method="LayerLRP")
    with pytest.raises(InputError, match="'KernelExplainer'"):
        Shap(method="KernelExplainers")
    with pytest.raises(InputError, match=r"unknown entry 'n_step' .* IntegratedGradients takes n_steps, method"):
        Captum(method="IntegratedGradients", parameters={"n_step": 3})
    with pytest.raises(InputError, match="set it beside"):
        IntegratedGradients(parameters={"n_steps": 3})
    with pytest.raises(InputError, match="Saliency takes abs"):
        Saliency(parameters={"baselines": 3})
    with pytest.raises(InputError, match="method"):
        Saliency(method="LRP")


def test_parameters_reach_the_method():
    problem = problem_of(NETWORKS["mlp"])
    signed = attributions(Saliency(parameters={"abs": False}), problem)
    assert (signed < 0).any()
    coarse = attributions(Captum(method="IntegratedGradients", parameters={"n_steps": 12}), problem)
    np.testing.assert_array_equal(coarse, attributions(IntegratedGradients(n_steps=12), problem))
    rule = attributions(IntegratedGradients(parameters={"method": "riemann_left"}), problem)
    assert not np.allclose(rule, attributions(IntegratedGradients(), problem))


@pytest.mark.parametrize(
    "method", sorted({"GuidedBackprop", "Deconvolution", "FeatureAblation", "ShapleyValues", "Lime"})
)
def test_other_methods_of_captum_run(method):
    assert method in methods()
    problem = problem_of(network(d=3), d=3, n=3)
    found = Captum(method=method).explain(problem)
    assert found.forward_rows > 0
    assert (found.relevance > 0).any()


def test_shap_kernel_takes_enough_coalitions_for_a_unique_solution():
    """With fewer coalitions than inputs the values would be arbitrary; at 2d they recover a linear model."""
    d = 40
    model = nn.Sequential(nn.Linear(d, 1)).requires_grad_(False).eval()
    problem = problem_of(model, d=d, k=1, n=4)
    found = ShapKernel(samples=10, background=10).explain(problem).relevance
    exact = np.abs(model[0].weight[0].numpy()) * np.abs(
        problem.X_valid.numpy() - replace(problem, generator=np.random.default_rng(0)).background(10).numpy().mean(0)
    ).mean(0)
    assert spearmanr(found, exact).statistic > 0.9
