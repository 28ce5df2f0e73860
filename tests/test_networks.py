"""The networks beyond the MLP and their spectral layers, against slow literal versions and explicit matrices."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import attributions, draw
from tests.reference import networks as literal
from tests.reference.attributions import spectral_matrix
from tests.toy import toy
from xai_bench import registry, run
from xai_bench.datasets.inputs import each_column
from xai_bench.errors import InputError
from xai_bench.explainers.base import Problem
from xai_bench.explainers.captum import IntegratedGradients, Saliency
from xai_bench.explainers.layerwise import LRP, DeepLift
from xai_bench.explainers.shap import ShapGradient
from xai_bench.explainers.spectral import ColumnNorm, Spectral
from xai_bench.models import ft_transformer
from xai_bench.models.cnn import CNN, SpectralCNN
from xai_bench.models.folding import fold_spectral
from xai_bench.models.ft_transformer import FTTransformer, SpectralFTTransformer
from xai_bench.models.resnet import ResNet, SpectralResNet
from xai_bench.models.spectral import SpectralLayer, SpectralLinear
from xai_bench.models.spectral_conv import SpectralConv2d
from xai_bench.models.tokens import SpectralTokenizer
from xai_bench.models.training import fit_many
from xai_bench.scoring import sanity

SHORT = {"epochs": 0.1, "min_steps": 4, "checkpoints": 2}
TABLES = (
    ResNet(width=8, **SHORT),
    SpectralResNet(width=8, residual_dropout=0.1, **SHORT),
    FTTransformer(d_token=8, heads=2, ffn_dropout=0.1, **SHORT),
    SpectralFTTransformer(d_token=8, heads=2, residual_dropout=0.1, **SHORT),
)
PICTURES = (CNN(channels=(3, 4), hidden=6, **SHORT), SpectralCNN(channels=(3,), hidden=6, **SHORT))
EVERY = (*TABLES, *PICTURES)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(architecture, shape=(6,), n_outputs=3):
    """In eval mode, with drawn weights, float64."""
    return draw(architecture.network(shape, n_outputs, generator())).double()


def as_arrays(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def rows(n, d, seed=1):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def problem(architecture, n=40):
    """Six columns for tables, pictures of 4 x 5 pixels; weights drawn, float32."""
    shape = (4, 5) if architecture.needs_picture else (6,)
    model = draw(architecture.network(shape, 3, generator()))
    X = rows(n, int(np.prod(shape))).float()
    y = torch.arange(n) % 3
    return Problem(model, X, y, X[:7], y[:7], "classification", 3, shape if len(shape) > 1 else None)


@pytest.mark.parametrize("blocks", [1, 3])
def test_resnet_is_the_formula(blocks):
    module, X = network(ResNet(width=8, hidden_factor=1.5, blocks=blocks)), rows(4, 6)
    expected = [literal.resnet(x, as_arrays(module), blocks) for x in X.numpy()]
    np.testing.assert_allclose(module(X).numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("blocks", "heads"), [(1, 1), (2, 4), (3, 2)])
def test_ft_transformer_is_the_formula(blocks, heads):
    module, X = network(FTTransformer(d_token=8, heads=heads, blocks=blocks)), rows(3, 6)
    expected = [literal.ft_transformer(x, as_arrays(module), blocks, heads) for x in X.numpy()]
    np.testing.assert_allclose(module(X).numpy(), expected, rtol=0, atol=1e-9)


def test_dropout_stands_where_the_formula_has_it():
    block = list(ResNet(residual_dropout=0.3).build((5,), 2, generator())[1].added)
    expected = [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.Dropout]
    assert [type(layer) for layer in block] == expected
    assert (block[3].p, block[5].p) == (0.2, 0.3)
    of_transformer = FTTransformer(ffn_dropout=0.1, residual_dropout=0.3).build((5,), 2, generator())[1]
    found = (of_transformer.ffn.dropout.p, of_transformer.attention_dropout.p, of_transformer.ffn_dropout.p)
    assert found == (0.1, 0.3, 0.3)


def test_rows_in_turn_give_what_all_together_give(monkeypatch):
    module, X = network(FTTransformer(d_token=8, heads=2)), rows(11, 6).requires_grad_(True)
    whole = module(X)
    (gradient,) = torch.autograd.grad(whole.square().sum(), X)
    seen = []
    module[0].register_forward_hook(lambda _module, given, _output: seen.append(len(given[0])))
    monkeypatch.setattr(ft_transformer, "TOKENS", 4 * 7 + 3)
    torch.testing.assert_close(module(X), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(module(X).square().sum(), X)[0], gradient, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(module(X), whole, rtol=0, atol=1e-12)
    assert set(seen) == {4, 3}
    seen.clear()
    module.train()(X)
    assert seen == [11]


def test_heads_must_share_the_token():
    with pytest.raises(InputError, match="expected heads that divide d_token = 32, got heads = 5"):
        registry.create("models", "ft_transformer", {"heads": 5})


def test_cnn_pools_as_long_as_there_are_pixels():
    sizes = {(8, 8): 16 * 2 * 2, (28, 28): 16 * 7 * 7, (1, 9): 16 * 9, (3, 5, 7): 16 * 1 * 1}
    for shape, values in sizes.items():
        module = CNN().network(shape, 2, generator())
        assert [layer.in_features for layer in module if isinstance(layer, nn.Linear)] == [values, 50]
    with pytest.raises(InputError, match=r"cnn: expected pictures, \(rows, columns\), got rows of shape \(12,\)"):
        CNN().build((12,), 2, generator())


def test_networks_say_which_data_they_cannot_read():
    data = toy(60, 12)
    assert "it reads pictures" in CNN().unsupported(data)
    assert SpectralCNN().unsupported(replace(data, feature_shape=(3, 4))) is None
    assert FTTransformer().unsupported(data) is None
    assert FTTransformer(max_inputs=11).unsupported(data) == "12 inputs are above max_inputs = 11"
    assert ResNet().unsupported(data) is None


@pytest.mark.parametrize("architecture", EVERY, ids=lambda a: a.name)
def test_bits_depend_on_no_companion(architecture):
    data = toy(80, 12)
    data = replace(data, feature_shape=(3, 4)) if architecture.needs_picture else data
    masks = np.ones((2, 12), dtype=bool)
    masks[1, ::2] = False
    alone = architecture.fit(data, 3)
    together = fit_many(architecture, data, [4, 3], masks[::-1])
    for (name, one), other in zip(
        alone.module.state_dict().items(), together[1].module.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert together[0].module(torch.zeros(2, 6)).shape == (2, 3)


def test_a_network_learns_in_the_ordinary_loop():
    data = registry.create("datasets", "gaussian_independent", {"n": 400, "d": 12}).load(3).standardised()
    for architecture in (SpectralResNet(width=16, min_steps=150), FTTransformer(d_token=8, heads=2, min_steps=150)):
        assert architecture.fit(data, 0).valid_score > 0.9


def test_one_eigenvalue_a_token():
    layer = draw(SpectralTokenizer(5, 3)).double()
    X = rows(4, 5)
    phi = np.zeros((15, 5))
    for j in range(5):
        phi[3 * j : 3 * j + 3, j] = layer.phi[j].numpy()
    matrix = spectral_matrix(phi, layer.lambda_in.numpy(), np.zeros(15))[5:, :5]
    expected = X.numpy() @ matrix.T + layer.bias.numpy().ravel()
    np.testing.assert_allclose(layer(X)[:, 1:].flatten(1).numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(layer(X)[:, 0].numpy(), np.tile(layer.cls.numpy(), (4, 1)), rtol=0, atol=0)
    np.testing.assert_allclose(layer.relevance().numpy(), np.linalg.norm(matrix, axis=0), rtol=0, atol=1e-12)
    assert torch.equal(layer.fold()(X), layer(X))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("each", ["pixel", "channel"])
def test_spectral_convolution_is_the_lower_left_block(each, padding):
    shape = (4, 5)
    layer = draw(SpectralConv2d(2, 3, 3, padding=padding, shape=shape if each == "pixel" else None)).double()
    phi = literal.convolution_matrix(layer.phi.numpy(), *shape, padding)
    eigenvalues = np.broadcast_to(layer.lambda_in.numpy(), (2, *shape)).ravel()
    block = spectral_matrix(phi, eigenvalues, np.zeros(len(phi)))[40:, :40]
    X = rows(3, 40)
    found = layer(X.view(3, 2, *shape)).flatten(1).numpy()
    bias = layer.bias.numpy().repeat(len(phi) // 3)
    np.testing.assert_allclose(found, X.numpy() @ block.T + bias, rtol=0, atol=1e-12)
    norms = np.linalg.norm(block, axis=0).reshape(2, *shape)
    if each == "pixel":
        np.testing.assert_allclose(layer.relevance().numpy(), norms, rtol=0, atol=1e-12)
    elif padding == 2:  # every tap of every pixel meets an output
        np.testing.assert_allclose(layer.relevance().numpy()[:, None, None] + 0 * norms, norms, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [None, (4, 5)])
def test_folded_convolution_has_the_same_outputs(shape, bias):
    layer = draw(SpectralConv2d(2, 3, 3, padding=1, shape=shape, bias=bias)).double()
    X = rows(6, 40).view(6, 2, 4, 5)
    folded = layer.fold()
    kinds = [nn.Conv2d] if shape is None else [nn.Flatten, nn.Linear, nn.Unflatten]
    assert [type(part) for part in (folded if shape else [folded])] == kinds
    torch.testing.assert_close(folded(X), layer(X), rtol=0, atol=1e-12)
    assert not any(isinstance(part, SpectralLayer) for part in folded.modules())


def test_spectral_convolution_starts_as_an_ordinary_one():
    layer = SpectralConv2d(2, 3, 3, padding=1, shape=(4, 5), generator=generator())
    assert torch.equal(layer.lambda_in, torch.ones(2, 4, 5))
    assert torch.equal(layer.bias, torch.zeros(3))
    bound = (6 / (9 * 5)) ** 0.5
    assert 0.9 * bound < layer.phi.abs().max() <= bound
    assert set(dict(layer.named_parameters())) == {"lambda_in", "phi", "bias"}
    assert torch.equal(layer.phi, SpectralConv2d(2, 3, 3, generator=generator()).phi)


def test_penalties_are_those_of_the_first_layer():
    for architecture in (SpectralResNet(width=8), SpectralFTTransformer(d_token=8), SpectralCNN(channels=(3,))):
        module = network(architecture, (4, 5) if architecture.needs_picture else (6,))
        first = next(layer for layer in module if isinstance(layer, SpectralLayer))
        l1 = getattr(architecture, "l1_lambda", 0.0)
        expected = architecture.l2_lambda * (first.lambda_in**2).sum() + architecture.l2_phi * (first.phi**2).sum()
        torch.testing.assert_close(architecture.penalty(module), expected + l1 * first.lambda_in.abs().sum())
    plain = network(ResNet(width=8, group_lasso=0.5))
    columns = sum(plain[0].weight[:, j].square().sum().sqrt() for j in range(6))
    torch.testing.assert_close(ResNet(group_lasso=0.5).penalty(plain), 0.5 * columns)
    tokens = network(FTTransformer(d_token=8, group_lasso=0.5))
    vectors = sum(tokens[0].weight[j].square().sum().sqrt() for j in range(6))
    torch.testing.assert_close(FTTransformer(group_lasso=0.5).penalty(tokens), 0.5 * vectors)
    assert CNN().penalty(network(CNN(), (4, 5))) == 0


def test_first_layers_are_read_where_they_tell_inputs_apart():
    readers = {architecture.name: (ColumnNorm, Spectral)["spectral" in architecture.name] for architecture in EVERY}
    for architecture in EVERY:
        p = problem(architecture)
        for reader in (ColumnNorm, Spectral):
            fits = reader is readers[architecture.name] and architecture.name != "cnn"
            assert (reader().unsupported(p) is None) is fits, architecture.name
        if architecture.name == "cnn":
            continue
        found = readers[architecture.name]().explain(p).relevance
        first = next(m for m in p.model.modules() if next(m.parameters(recurse=False), None) is not None)
        columns = (
            first.relevance().flatten()
            if isinstance(first, SpectralLayer)
            else first.weight.norm(dim=0 if isinstance(first, nn.Linear) else 1)
        )
        np.testing.assert_allclose(found, columns.numpy(), rtol=1e-6)


def test_one_eigenvalue_a_channel_ranks_channels_and_no_pixels():
    model = draw(SpectralCNN(eigenvalues="channel", channels=(3,)).network((2, 4, 5), 3, generator()))
    X, y = rows(20, 40).float(), torch.arange(20) % 3
    columns = Problem(model, X, y, X[:7], y[:7], "classification", 3, inputs=each_column(40))
    found = Spectral().explain(columns).relevance
    layer = model[1]
    np.testing.assert_allclose(found, layer.relevance().repeat_interleave(20).numpy(), rtol=1e-6)
    whole = replace(columns, inputs=(tuple(range(20)), tuple(range(20, 40))))
    assert Spectral().unsupported(whole) is None
    pixels = replace(columns, inputs=tuple((j, j + 20) for j in range(20)), feature_shape=(4, 5))
    assert Spectral().unsupported(pixels).startswith("all inputs share the same eigenvalues")


@pytest.mark.parametrize("architecture", EVERY, ids=lambda a: a.name)
def test_attributions_see_the_folded_network(architecture):
    p = problem(architecture)
    folded = fold_spectral(copy.deepcopy(p.model))
    torch.testing.assert_close(folded(p.X_valid), p.model(p.X_valid), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, SpectralLayer) for part in folded.modules())
    for explainer in (Saliency(), IntegratedGradients(n_steps=4), ShapGradient(samples=4, background=4)):
        assert explainer.unsupported(p) is None
        assert attributions(explainer, p).shape == p.X_valid.shape


def test_methods_that_go_layer_by_layer_say_why_not():
    for architecture in EVERY:
        p = problem(architecture)
        for explainer in (LRP(), DeepLift()):
            reason = explainer.unsupported(p)
            if reason is None:
                assert np.isfinite(explainer.explain(p).relevance).all()
            else:
                assert reason.startswith("captum's"), reason
    assert "outside of them" in DeepLift().unsupported(problem(TABLES[2]))


@pytest.mark.parametrize("architecture", EVERY, ids=lambda a: a.name)
def test_every_weight_belongs_to_a_layer_that_sanity_can_initialise_anew(architecture):
    p = problem(architecture)
    fresh = architecture.network(p.shape, 3, generator(1))
    parts = sanity.layers(p.model, p.X_train)
    anew = sanity.reinitialised(p.model, fresh, parts)
    for name, tensor in anew.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name]), name


def test_every_network_goes_through_a_run(tmp_path):
    fields = {a.name: {k: v for k, v in a.model_dump().items() if k in a.model_fields_set} for a in EVERY}
    methods = {"spectral": {}, "column_norm": {}, "saliency": {"rows": 4}, "lrp": {"rows": 4}, "deeplift": {"rows": 4}}
    suite = {
        "name": "networks",
        "data_seeds": [0],
        "datasets": [{"name": "tetromino_linear", "n": 60}, {"name": "two_moons_noise", "n": 60, "d": 5}],
        "models": [{"name": name, **values} for name, values in fields.items()],
        "explainers": [{"name": name, **values} for name, values in methods.items()],
        "sanity": {"explainers": ["saliency"], "datasets": ["tetromino_linear"]},
    }
    results = run(suite, out=tmp_path)
    cells = results.cells[results.cells["explainer"].isin(methods)]
    assert set(cells["status"]) == {"done", "unsupported"}
    assert (cells.loc[cells["status"] == "unsupported", "reason"] != "").all()
    done = cells[cells["status"] == "done"].groupby(["dataset", "explainer"])["model"].agg(set)
    tables, pictures = ({architecture.name for architecture in group} for group in (TABLES, PICTURES))
    assert done["two_moons_noise", "saliency"] == tables
    assert done["tetromino_linear", "saliency"] == tables | pictures
    assert done["two_moons_noise", "spectral"] == {"spectral_resnet", "spectral_ft_transformer"}
    assert done["two_moons_noise", "column_norm"] == {"resnet", "ft_transformer"}
    assert "spectral_cnn" in done["tetromino_linear", "spectral"]
    followed = results.measurements[results.measurements["metric"] == "sanity_top"]
    assert set(followed["model"]) == tables | pictures


def test_skips_pass_the_eigenvalues_of_the_inputs_by():
    """What the docstring of ``models.spectral`` says of graphs of three layers."""
    rng = np.random.default_rng(0)
    sizes, values = (3, 4, 2), rng.normal(size=9)
    vectors = np.eye(9)
    vectors[3:7, :3], vectors[7:, 3:7] = rng.normal(size=(4, 3)), rng.normal(size=(2, 4))
    phi_1, phi_2 = vectors[3:7, :3], vectors[7:, 3:7]
    matrix = vectors @ np.diag(values) @ np.linalg.inv(vectors)
    second = phi_2 * (values[3:7] - values[7:, None])
    np.testing.assert_allclose(matrix[7:, 3:7], second, atol=1e-12)
    np.testing.assert_allclose(matrix[7:, :3], -second @ phi_1, atol=1e-12)
    assert sum(sizes) == 9


def test_the_layer_of_the_paper_is_one_of_these():
    assert issubclass(SpectralLinear, SpectralLayer)
    assert {name for name, _ in SpectralLinear(3, 2).named_parameters()} == {"lambda_in", "phi", "bias"}
