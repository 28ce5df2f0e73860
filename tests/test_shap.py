"""shap's explainers against shap called in its plainest way, and against exact Shapley values."""

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
    chosen,
    close,
    draw,
    network,
    of_kind,
    problem,
    row_by_row,
    rows,
    target_column,
)
from tests.reference import attributions as literal
from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.explainers.base import BYTES_AN_ELEMENT, Problem, seeded
from xai_bench.explainers.shap import (
    Shap,
    ShapDeep,
    ShapGradient,
    ShapKernel,
    ShapPermutation,
    deep_values,
    gradient_values,
    gradients_together,
)
from xai_bench.explainers.shap_maskers import Coalitions, Masker, masker_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PendingDeprecationWarning")

# shap: as documented, for all outputs, and then the target's column.


@BOTH
@pytest.mark.parametrize("slots", [None, 1, 3])
def test_shap_deep(kind, slots):
    import shap

    p = of_kind(kind)
    background, classes = p.X_train[:9], torch.tensor(chosen(p))
    plain = shap.DeepExplainer(copy.deepcopy(p.model), background).shap_values(p.X_valid)
    close(deep_values(p.model, background, p.X_valid, classes, slots), target_column(plain, p))


def test_shap_deep_averages_deeplift_over_the_background():
    p = of_kind("classification")
    expected = np.mean(
        [row_by_row(lambda x, k, b=b: literal.deeplift_rescale(p.model, x, b, k), p) for b in p.X_train], 0
    )
    close(attributions(ShapDeep(), p), expected)


@BOTH
def test_shap_gradient_with_one_slot_is_the_plain_call(kind):
    import shap

    p = of_kind(kind)
    background, classes = p.X_train[:9], torch.tensor(chosen(p))
    explainer = shap.GradientExplainer(copy.deepcopy(p.model), background)
    seeds = np.random.default_rng(4)
    plain = [
        explainer.shap_values(x[None], nsamples=10, rseed=int(seeds.integers(2**31))).reshape(D, -1) for x in p.X_valid
    ]
    with seeded(0):
        found = gradient_values(p.model, background, p.X_valid, classes, 10, np.random.default_rng(4), slots=1)
    close(found, target_column(plain, p))


@BOTH
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("memory", [None, 4 * 6 * BYTES_AN_ELEMENT])
def test_shap_gradient_with_many_chunks_a_pass_is_that_with_one(kind, slots, memory):
    """As on a CUDA device, whose batches a small memory divides."""
    p = of_kind(kind)
    background, classes = p.X_train[:9], torch.tensor(chosen(p))
    generator = np.random.default_rng(4)
    order = [generator.permutation(9) if slots > 1 else np.arange(9) for _ in range(slots)]
    found = gradients_together(p.model, background, p.X_valid, classes, 10, generator, order, memory)
    with seeded(0):
        plain = gradient_values(p.model, background, p.X_valid, classes, 10, np.random.default_rng(4), slots)
    close(found, plain)


@BOTH
def test_shap_gradient_side_by_side_estimates_the_same(kind):
    p = of_kind(kind)
    expected = np.mean(
        [row_by_row(lambda x, k, b=b: literal.integrated_gradients(p.model, x, b, k, 20), p) for b in p.X_train], 0
    )
    # 4000 points a row: the standard error is a few per cent of the largest value.
    close(attributions(ShapGradient(samples=4000), p), expected, 0.08)


@BOTH
@pytest.mark.parametrize("method", ["KernelExplainer", "PermutationExplainer"])
def test_model_free_shap_is_the_plain_call_for_all_outputs(kind, method):
    import shap

    p = of_kind(kind)
    background = p.X_train.numpy()  # drawn without replacement and sorted: all 20 rows

    def predict(X):
        return p.model(torch.as_tensor(X, dtype=torch.float32)).numpy().astype(np.float64)

    found = attributions(Shap(method=method, samples=80, background=20), p)
    if method == "KernelExplainer":
        # 80 are more than the 62 coalitions of six inputs: nothing is drawn.
        plain = shap.KernelExplainer(predict, background).shap_values(p.X_valid.numpy(), l1_reg=False, silent=True)
        close(found, target_column(plain, p))
        return
    masker = shap.maskers.Independent(background)
    plain = shap.PermutationExplainer(predict, masker, seed=0)(p.X_valid.numpy(), max_evals=80 * 13, silent=True)
    # 160 orders (80 and their reverses) drawn apart: what is left differs by standard errors.
    close(found, target_column(plain.values.reshape(7, D, -1), p), 0.05)


@BOTH
@pytest.mark.parametrize("method", ["ExactExplainer", "PartitionExplainer", "SamplingExplainer"])
def test_other_explainers_tend_to_the_exact_values(kind, method):
    p = problem(network(4, CLASSES if kind == "classification" else 1), kind, n=3)
    expected = row_by_row(lambda x, k: literal.shapley_values(p.model, x, p.X_train, k), p)
    found = attributions(Shap(method=method, samples=3000 if method == "SamplingExplainer" else 50), p)
    if method == "PartitionExplainer":  # Owen values of a tree over inputs: equal in sum only
        expected, found = expected.sum(1), found.sum(1)
    # 3000 coalitions of one background row each: standard errors of some per cent.
    close(found, expected, 0.1 if method == "SamplingExplainer" else 1e-5)


def test_exact_values_are_for_few_inputs():
    reason = Shap(method="ExactExplainer").unsupported(problem(network(20)))
    assert reason == "it evaluates every coalition of inputs: 20 inputs are above 14"


def test_parameters_reach_shap():
    p = problem(network(12), n=2)
    few = attributions(Shap(method="KernelExplainer", samples=500, parameters={"l1_reg": "num_features(3)"}), p)
    assert ((few != 0).sum(1) <= 3).all()
    with pytest.raises(InputError, match="unknown entry 'nsamples' in 'parameters': KernelExplainer takes l1_reg"):
        Shap(method="KernelExplainer", parameters={"nsamples": 3})


@BOTH
def test_kernel_shap_is_exact_with_four_inputs(kind):
    p = problem(network(4, CLASSES if kind == "classification" else 1), kind)
    expected = row_by_row(lambda x, k: literal.shapley_values(p.model, x, p.X_train, k), p)
    close(attributions(ShapKernel(background=20), p), expected)


class Pairs(nn.Module):
    """x' A x for every output: inputs interact in pairs only."""

    def __init__(self, d, n_outputs):
        super().__init__()
        self.matrices = nn.Linear(d * d, n_outputs)

    def forward(self, x):
        return self.matrices((x[:, :, None] * x[:, None, :]).flatten(1))


@BOTH
def test_permutation_shap_is_exact_for_pairs(kind):
    p = of_kind(kind)
    model = draw(Pairs(4, p.n_outputs))
    X_train, X_valid = rows(20, 4, 2), rows(7, 4)
    p = Problem(model, X_train, p.y_train, X_valid, p.y_valid, kind, p.n_outputs)
    expected = row_by_row(lambda x, k: literal.shapley_values(model, x, X_train, k), p)
    # An order and its reverse are exact where inputs interact in pairs only.
    close(attributions(ShapPermutation(background=20, samples=1), p), expected)


def test_permutation_shap_tends_to_the_exact_values():
    p = problem(network(4), n=3)
    expected = row_by_row(lambda x, k: literal.shapley_values(p.model, x, p.X_train, k), p)
    close(attributions(ShapPermutation(background=20, samples=200), p), expected, 0.02)


@pytest.mark.parametrize("method", ["DeepExplainer", "GradientExplainer", "KernelExplainer", "PermutationExplainer"])
def test_linear_models_are_explained_exactly(method):
    p = problem(draw(nn.Sequential(nn.Linear(D, CLASSES))))
    expected = row_by_row(lambda x, k: p.model[0].weight[k] * (x - p.X_train.mean(0)), p)
    exact = method != "GradientExplainer"  # it draws background rows
    close(
        attributions(Shap(method=method, samples=64 if exact else 4000, background=20), p),
        expected,
        1e-5 if exact else 0.08,
    )


# Memory.


@pytest.mark.parametrize("background", [1, 5])
def test_the_masker_is_that_of_shap(background):
    import shap

    draws, none = np.random.default_rng(0), np.iinfo(np.int32).max
    reference, x = draws.normal(size=(background, D)), draws.normal(size=D)
    x[2], reference[:, 3] = reference[0, 2], x[3]
    plain, own = shap.maskers.Independent(reference), Masker(reference)
    np.testing.assert_array_equal(own.invariants(x), plain.invariants(x))
    for changes in ([none, 0, 4, 1, 4, 0, 0], [0], [none], [none, 5, -6, 1, -2, -1, 3], [none, *range(D), *range(D)]):
        (laid_out,), differ = plain(np.array(changes), x)
        (rows,), varying = own(np.array(changes), x)
        np.testing.assert_array_equal(varying, differ)
        assert len(rows) == len(laid_out)
        chosen = rows[varying.reshape(-1)]
        for start in range(0, len(chosen), 3):
            np.testing.assert_array_equal(chosen[start : start + 3], laid_out[differ.reshape(-1)][start : start + 3])
        assert isinstance(chosen, Coalitions)


@BOTH
@pytest.mark.parametrize("method", ["PermutationExplainer", "ExactExplainer"])
def test_the_masker_changes_no_bit(kind, method, monkeypatch):
    import shap

    from xai_bench.explainers import shap as module

    p = of_kind(kind)
    p.X_valid[1], p.X_valid[2, 0] = p.X_train[3], p.X_train[4, 0]
    found = []
    for masker in (Masker, shap.maskers.Independent):
        p.generator.bit_generator.state = np.random.default_rng(0).bit_generator.state
        monkeypatch.setattr(module, "masker_of", lambda reference, *_, masker=masker: masker(reference))
        found.append(attributions(Shap(method=method, samples=3, background=20), p))
    np.testing.assert_array_equal(*found)


def test_rows_that_are_more_than_a_batch_are_not_laid_out():
    reference = np.zeros((7, D))
    assert isinstance(masker_of(reference, 10, 69), Masker)
    assert not isinstance(masker_of(reference, 10, 70), Masker)


@pytest.mark.parametrize(
    ("explainer", "unit"),
    [
        *[(Shap(method="DeepExplainer", background=4), 10), (Shap(method="GradientExplainer", samples=4), 20)],
        *[(ShapKernel(samples=60, background=4), 1), (ShapPermutation(samples=2, background=4), 1)],
        *[(Shap(method="ExactExplainer", background=4), 1), (Shap(method="PartitionExplainer", background=4), 4)],
    ],
    ids=lambda e: getattr(e, "method", None),
)
def test_batches_follow_the_memory_and_values_stay(explainer, unit):
    p = problem(network(12), n=10)
    passes = []
    p.model.register_forward_hook(lambda _module, _inputs, output: passes.append(len(output)))

    def found(memory):
        passes.clear()
        values = attributions(explainer, replace(p, memory=memory, generator=np.random.default_rng(0)))
        return values, max(passes)

    plain, most = found(None)
    enough, as_many = found(2**31)
    assert as_many == most
    np.testing.assert_array_equal(enough, plain)
    few, fewer = found(3 * 12 * BYTES_AN_ELEMENT)
    assert fewer < most
    assert fewer <= max(3, unit)
    if explainer.method == "GradientExplainer":  # rows side by side share their draws
        assert np.corrcoef(few.ravel(), plain.ravel())[0, 1] > 0.5
    else:
        close(few, plain)


# shap's absolute tolerances: below 1e-8 an input counts as that of the background, below 1e-10 a value as 0.

METHODS = ["KernelExplainer", "PermutationExplainer", "ExactExplainer", "PartitionExplainer", "SamplingExplainer"]


def normed(scale, offset=0.0, dtype=torch.float32):
    """Batch norm on raw inputs, of which the first is in units of its own, before equal weights."""
    X = (rows(330, 4) + offset) * torch.tensor([scale, 1.0, 1.0, 1.0])
    norm, last = nn.BatchNorm1d(4, eps=0.0), nn.Linear(4, 1)
    model = nn.Sequential(norm, last).eval().requires_grad_(False)
    norm.running_mean.copy_(X.double().mean(0))
    norm.running_var.copy_(X.double().var(0))
    last.weight.fill_(1.0)
    last.bias.zero_()
    y = model(X)[:, 0]
    return Problem(model, X[:300], y[:300], X[300:], y[300:], "regression", 1)


@pytest.mark.parametrize("method", METHODS)
def test_the_scale_of_a_column_does_not_matter(method):
    explainer = Shap(method=method, background=16, rows=8, samples=60)
    expected = explainer.explain(normed(1.0), seed=1).relevance
    assert expected.min() > 0.3
    for scale, offset in ((1e-12, 0), (1e-9, 0), (1e-9, 100), (1.0, 1e4), (1e12, 0)):
        found = explainer.explain(normed(scale, offset), seed=1).relevance
        close(found, expected, 1e-2 if offset else 1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_scale_of_the_outputs_does_not_matter(method, scale):
    p = problem(network(4), n=3)
    small = copy.deepcopy(p.model)
    for tensor in (small[-1].weight, small[-1].bias):
        tensor.mul_(scale)
    explainer = Shap(method=method, background=8, samples=40)
    found, expected = (explainer.explain(q, seed=1).relevance for q in (replace(p, model=small), p))
    np.testing.assert_allclose(found / scale, expected, rtol=1e-4)


def test_a_value_of_the_background_changes_nothing():
    p = problem(network(), n=2)
    p.X_train[:, 2] = p.X_valid[0, 2]
    for method in ("KernelExplainer", "PermutationExplainer", "SamplingExplainer"):
        found = attributions(Shap(method=method, samples=64), p)
        assert found[0, 2] == 0
        assert found[1, 2] != 0


# A generic name has the defaults of the method that has a name of its own.


@pytest.mark.parametrize("named", [ShapDeep, ShapGradient, ShapKernel, ShapPermutation])
def test_generic_names_have_the_defaults_of_the_named_ones(named):
    generic = registry.create("explainers", f"shap:{named().method}", {})
    assert generic.fields() == named().fields()
    p = problem(network(), n=5)
    np.testing.assert_array_equal(generic.explain(p, seed=2).relevance, named().explain(p, seed=2).relevance)
    assert generic.unsupported(problem(network(784))) == named().unsupported(problem(network(784)))
    assert Shap(method=named().method, rows=3, samples=9).explain(p).rows_explained == 3


@pytest.mark.parametrize(
    ("method", "name", "value", "words"),
    [
        ("KernelExplainer", "l1_reg", "num_features(none)", "expected num_features(N), aic, bic or a number >= 0"),
        ("KernelExplainer", "l1_reg", -1.0, "got -1.0"),
        ("KernelExplainer", "l1_reg", True, "got True"),
        ("PermutationExplainer", "batch_size", 0, "expected a whole number >= 1, got 0"),
        ("ExactExplainer", "batch_size", "many", "expected a whole number >= 1, got 'many'"),
        ("PartitionExplainer", "fixed_context", 7, "expected 0 or 1, got 7"),
    ],
)
def test_arguments_are_checked(method, name, value, words):
    with pytest.raises(InputError) as caught:
        Shap(method=method, parameters={name: value})
    assert str(caught.value).startswith(f"shap: parameters.{name}: expected ")
    assert words in str(caught.value)
    assert Shap(method="KernelExplainer", parameters={"l1_reg": "num_features(3)"}).parameters
    assert Shap(method="KernelExplainer", parameters={"l1_reg": False}).parameters == {"l1_reg": False}
