"""The spectral layer against the matrix it comes from, built in full."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from tests.reference.attributions import spectral_matrix
from xai_bench.explainers.base import Problem
from xai_bench.explainers.spectral import ColumnNorm, Spectral
from xai_bench.models.spectral import SpectralLinear, glorot_uniform


def random_layer(n_in=5, n_out=3, seed=0, bias=True, **trained):
    """All of its tensors random, float64."""
    layer = SpectralLinear(n_in, n_out, bias, **trained).double()
    generator = torch.Generator().manual_seed(seed)
    for tensor in layer.state_dict().values():
        tensor.normal_(generator=generator)
    return layer


def arrays(layer):
    return (layer.phi.detach().numpy(), layer.lambda_in.detach().numpy(), layer.lambda_out.detach().numpy())


@pytest.mark.parametrize(("n_in", "n_out"), [(5, 3), (1, 4), (4, 1), (7, 7)])
def test_weight_is_the_lower_left_block(n_in, n_out):
    layer = random_layer(n_in, n_out)
    block = spectral_matrix(*arrays(layer))[n_in:, :n_in]
    # Products of a few numbers of order one in float64.
    np.testing.assert_allclose(layer.weight.detach().numpy(), block, rtol=0, atol=1e-12)


def test_the_rest_of_the_matrix_carries_no_weight():
    layer = random_layer(4, 2)
    matrix = spectral_matrix(*arrays(layer))
    np.testing.assert_allclose(matrix[:, 4:], np.vstack([np.zeros((4, 2)), np.diag(arrays(layer)[2])]), atol=1e-12)
    np.testing.assert_allclose(matrix[:4, :4], np.diag(arrays(layer)[1]), atol=1e-12)
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvals(matrix).real), np.sort(np.concatenate(arrays(layer)[1:])), atol=1e-9
    )


def test_inverse_of_the_eigenvectors_is_twice_the_identity_minus_them():
    phi = random_layer(5, 3).phi.detach().numpy()
    vectors = np.eye(8)
    vectors[5:, :5] = phi
    np.testing.assert_allclose(np.linalg.inv(vectors), 2 * np.eye(8) - vectors, atol=1e-12)


def test_outputs_are_those_of_the_graph():
    layer = random_layer()
    X = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    matrix = spectral_matrix(*arrays(layer))
    for x, found in zip(X.numpy(), layer(X).detach().numpy(), strict=True):
        expected = (matrix @ np.concatenate([x, np.zeros(3)]))[5:] + layer.bias.detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_folded_layer_has_the_same_outputs(bias):
    layer = random_layer(bias=bias)
    folded = layer.fold()
    assert type(folded) is nn.Linear
    assert (folded.bias is not None) is bias
    X = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(folded(X), layer(X))
    with torch.no_grad():
        folded.weight.zero_()
    assert layer.weight.abs().min() > 0


def test_gradients_are_those_of_the_literal_layer():
    layer = random_layer(train_lambda_out=True)
    X = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    names = ("lambda_in", "lambda_out", "phi", "bias")
    literal = {name: getattr(layer, name).detach().clone().requires_grad_(True) for name in names}
    layer(X).square().sum().backward()
    rows = []
    for i in range(3):
        weights = [(literal["lambda_in"][j] - literal["lambda_out"][i]) * literal["phi"][i, j] for j in range(5)]
        rows.append(sum(X[:, j] * weights[j] for j in range(5)) + literal["bias"][i])
    torch.stack(rows, 1).square().sum().backward()
    for name in names:
        torch.testing.assert_close(getattr(layer, name).grad, literal[name].grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("trained", list(itertools.product([True, False], repeat=3)))
def test_what_is_trained_is_a_parameter_and_the_rest_a_buffer(trained):
    names = ("lambda_in", "lambda_out", "phi")
    layer = SpectralLinear(4, 2, **{f"train_{name}": flag for name, flag in zip(names, trained, strict=True)})
    parameters, buffers = dict(layer.named_parameters()), dict(layer.named_buffers())
    assert set(parameters) == {name for name, flag in zip(names, trained, strict=True) if flag} | {"bias"}
    assert set(buffers) == set(names) - set(parameters)
    assert set(layer.state_dict()) == {*names, "bias"}
    assert layer(torch.ones(1, 4)).shape == (1, 2)


def test_starts_as_in_the_paper():
    layer = SpectralLinear(30, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer.lambda_in, torch.ones(30))
    assert torch.equal(layer.lambda_out, torch.zeros(20))
    assert torch.equal(layer.bias, torch.zeros(20))
    assert set(dict(layer.named_parameters())) == {"lambda_in", "phi", "bias"}
    assert torch.equal(layer.phi, glorot_uniform(20, 30, torch.Generator().manual_seed(0)))
    bound = (6 / 50) ** 0.5
    assert 0.95 * bound < layer.phi.abs().max() <= bound
    assert abs(layer.phi.std() / (bound / 3**0.5) - 1) < 0.05


def test_relevance_is_the_norm_of_column_times_eigenvalue():
    layer = random_layer()
    layer.lambda_out.zero_()
    phi, eigenvalues, _ = arrays(layer)
    expected = [abs(eigenvalues[j]) * np.sqrt(sum(phi[i, j] ** 2 for i in range(3))) for j in range(5)]
    np.testing.assert_allclose(layer.relevance().numpy(), expected, rtol=1e-13)


def test_relevance_with_output_eigenvalues():
    layer = random_layer(train_lambda_out=True)
    phi, inner, outer = arrays(layer)
    expected = [np.sqrt(sum(((inner[j] - outer[i]) * phi[i, j]) ** 2 for i in range(3))) for j in range(5)]
    np.testing.assert_allclose(layer.relevance().numpy(), expected, rtol=1e-13)


def test_relevance_does_not_depend_on_the_gauge():
    layer, other = random_layer(), random_layer()
    for one in (layer, other):
        one.lambda_out.zero_()
    with torch.no_grad():
        other.lambda_in.mul_(torch.tensor([2.0, -0.5, 4.0, 1.0, 8.0]))
        other.phi.div_(torch.tensor([2.0, -0.5, 4.0, 1.0, 8.0]))
    assert torch.equal(layer.relevance(), other.relevance())
    assert not torch.equal(layer.lambda_in.abs(), other.lambda_in.abs())


def test_spectral_explainer_is_column_norm_of_the_folded_model():
    layer = random_layer().float()
    X, y = torch.randn(9, 5, generator=torch.Generator().manual_seed(1)), torch.zeros(9)

    def problem(first):
        model = nn.Sequential(first, nn.Tanh(), nn.Linear(3, 1)).eval()
        return Problem(model, X, y, X, y, "regression", 1)

    spectral, dense = problem(layer), problem(layer.fold())
    np.testing.assert_allclose(Spectral().explain(spectral).relevance, ColumnNorm().explain(dense).relevance, rtol=1e-6)
    assert Spectral().unsupported(dense) == "it needs a spectral first layer"
    assert ColumnNorm().unsupported(spectral) == "it needs an ordinary dense first layer"
    assert Spectral().explain(spectral).forward_rows == 0
