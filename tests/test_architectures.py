"""What people write as ``build``, and what is made of it."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.toy import toy
from xai_bench.errors import InputError
from xai_bench.explainers.base import Problem
from xai_bench.explainers.captum import IntegratedGradients, Saliency
from xai_bench.explainers.layerwise import LRP, DeepLift
from xai_bench.explainers.shap import ShapDeep
from xai_bench.explainers.spectral import ColumnNorm
from xai_bench.models.base import Architecture
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many
from xai_bench.running import block
from xai_bench.scoring import sanity
from xai_bench.suites import plan, reading
from xai_bench.suites.suite import Entry

SHORT = {"epochs": 0.1, "min_steps": 30, "checkpoints": 3}


class Lazy(Architecture):
    """torch's own initial weights; written for the number of inputs."""

    name = "lazy"

    def build(self, d, n_outputs, generator):
        return nn.Sequential(nn.Linear(d, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, n_outputs))


class Numbered(Architecture):
    """Draws from numpy and random, takes a number under another name, and has lazy layers."""

    name = "numbered"

    def build(self, inputs: int, n_outputs: int, generator: torch.Generator) -> nn.Module:
        assert isinstance(inputs, int)
        first = nn.LazyLinear(5)
        last = nn.Linear(5, n_outputs)
        with torch.no_grad():
            last.weight.fill_(np.random.normal() + random.random())
        return nn.Sequential(first, nn.Tanh(), last)


class Convolution(Architecture):
    name = "convolution"
    needs_picture = True

    def build(self, shape, n_outputs, generator):
        rows, columns = shape
        return nn.Sequential(
            nn.Unflatten(1, (1, rows, columns)),
            nn.Conv2d(1, 3, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(0.2, inplace=True),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(3 * rows * columns, n_outputs),
        )


class OneLogit(Architecture):
    name = "one_logit"

    def build(self, d, n_outputs, generator):
        return nn.Sequential(nn.Linear(d, 16), nn.ReLU(), nn.Linear(16, 1))


class Block(nn.Module):
    """One logit, and not a chain."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(d, 6), nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x)))


class OneLogitBlock(Architecture):
    name = "one_logit_block"

    def build(self, shape, n_outputs, generator):
        return Block(shape[0])

    def penalty(self, module):
        assert isinstance(module, Block)
        return 0.01 * module.first.weight.square().sum()


def two_classes(n=300, d=12, **fields):
    data = toy(n, d)
    parts = {f"y_{p}": (getattr(data, f"y_{p}") > 0).astype(np.int64) for p in ("train", "valid", "test")}
    return replace(data, n_outputs=2, **parts, **fields)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def state(module):
    return list(module.state_dict().values())


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(state(one), state(other), strict=True))


@pytest.mark.parametrize("architecture", [Lazy(), Numbered(), Convolution(), MLP(hidden=(4,))], ids=lambda a: a.name)
def test_equal_generators_give_equal_networks_whatever_was_drawn_before(architecture):
    shape = (3, 4) if architecture.needs_picture else (12,)
    one = architecture.network(shape, 3, generator())
    torch.rand(3), np.random.normal(), random.random()
    kept = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    other, third = architecture.network(shape, 3, generator()), architecture.network(shape, 3, generator(1))
    assert torch.equal(torch.get_rng_state(), kept[0])
    assert (np.random.get_state()[1] == kept[1]).all()
    assert random.getstate() == kept[2]
    assert same(one, other)
    assert not same(one, third)
    assert one.training


def test_as_many_generators_as_wished_give_as_many_networks():
    weights = {
        float(Lazy().network((3,), 2, torch.Generator().manual_seed(seed))[0].weight[0, 0]) for seed in range(300)
    }
    assert len(weights) == 300


def test_torch_s_own_initial_weights_train_to_the_same_bits():
    data, found = toy(), []
    for _ in range(2):
        found.append(fit_many(Lazy(**SHORT), data, [0])[0])
        torch.rand(7), np.random.normal()
    assert same(found[0].module, found[1].module)
    assert found[0].valid_loss == found[1].valid_loss
    assert fit_many(Lazy(**SHORT), data, [1])[0].valid_loss != found[0].valid_loss


class Fixed(nn.Module):
    """Random features that are no buffer, and two layers with the same weights."""

    def __init__(self, d, n_outputs, generator):
        super().__init__()
        self.features = torch.randn(d, 6, generator=generator)
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.head = nn.Linear(6, n_outputs, dtype=torch.float64)

    def forward(self, x):
        hidden = torch.tanh(self.second(torch.tanh(self.first(x @ self.features))))
        return self.head(hidden.to(self.head.weight.dtype))


class FixedFeatures(Architecture):
    name = "fixed_features"

    def build(self, d, n_outputs, generator):
        return Fixed(d, n_outputs, generator)


def test_a_stored_network_is_the_one_that_was_trained():
    data = two_classes()
    dataset = plan.draws(
        reading.from_dict({"datasets": [{"name": "xor", "d": 12}], "explainers": [{"name": "f_test"}], "name": "x"})
    )[0]
    entry = Entry(label="fixed_features", component=FixedFeatures(**SHORT))
    trained = plan.Block(dataset, entry, 3, "key", (), 2)
    module, record = block._model(trained, data, None)
    again, _ = block._model(trained, data, record.weights)
    X = torch.from_numpy(data.X_test)
    assert torch.equal(again(X), module(X))
    assert again.head.weight.dtype == torch.float32


def test_the_shape_is_that_of_a_row():
    seen = []

    class Seeing(Convolution):
        def build(self, shape, n_outputs, generator):
            seen.append(shape)
            return super().build(shape, n_outputs, generator)

    data = two_classes(d=12, feature_shape=(3, 4))
    mask = np.arange(12) % 3 > 0
    (whole,) = fit_many(Seeing(**SHORT), data, [0])
    (part,) = fit_many(Seeing(**SHORT), data, [0], mask[None])
    assert seen == [(3, 4), (3, 4)]
    assert whole.module(torch.zeros(5, 12)).shape == (5, 2)
    X = torch.from_numpy(data.X_test)
    zeroed = torch.where(torch.from_numpy(mask), X, 0.0)
    torch.testing.assert_close(part.module(X[:, mask]), part.module.network(zeroed))
    (plain,) = fit_many(Lazy(**SHORT), data, [0], mask[None])
    assert plain.module[0].in_features == 8


def test_dropout_layers_of_one_shape_draw_different_masks():
    class Twice(Architecture):
        name = "twice"

        def build(self, shape, n_outputs, generator):
            return nn.Sequential(nn.Linear(shape[0], n_outputs), nn.Dropout(0.5), nn.Dropout(0.5, inplace=True))

    data, shares = toy(n=2000), []

    class Watched(Twice):
        def build(self, shape, n_outputs, generator):
            module = super().build(shape, n_outputs, generator)
            module.register_forward_hook(lambda m, _x, out: shares.append(float((out == 0).float().mean())))
            return module

    fit_many(Watched(**{**SHORT, "checkpoints": 1}), data, [0])
    assert np.mean(shares[1:-4]) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("architecture", [OneLogit(**SHORT), OneLogitBlock(**SHORT)], ids=lambda a: a.name)
def test_one_logit_stands_for_two_classes(architecture):
    data = two_classes()
    network = architecture.network((12,), 2, generator())
    X = torch.from_numpy(data.X_train)
    logit = network[:-1](X)
    torch.testing.assert_close(network(X).softmax(1)[:, 1:], torch.sigmoid(logit))
    assert all(p.shape != (2, 1) for p in network.parameters())
    (fitted,) = fit_many(architecture, data, [0])
    assert torch.equal(fitted.module[-1].weight, torch.tensor([[-0.5], [0.5]]))
    assert fitted.test_score > 0.5
    assert all("head" not in name for layer in sanity.layers(fitted.module, X) for name in layer)
    assert len(sanity.layers(fitted.module, X)) == 2


def test_attribution_methods_know_both_logits():
    data = two_classes()
    (fitted,) = fit_many(OneLogit(**{**SHORT, "min_steps": 300}), data, [0])
    arrays = (data.X_train, data.y_train, data.X_valid, data.y_valid)
    problem = Problem(fitted.module, *(torch.tensor(a) for a in arrays), "classification", 2)
    for explainer in (Saliency(), IntegratedGradients(), DeepLift(), LRP(), ShapDeep(), ColumnNorm()):
        assert explainer.unsupported(problem) is None
        relevance = explainer.explain(problem).relevance
        assert set(np.argsort(relevance)[-3:]) & {0, 1, 2}, explainer.name


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (lambda: nn.Linear(12, 5), "classification", r"expected outputs \(n, 2\) for inputs \(n, 12\), got \(2, 5\)"),
        (lambda: nn.Linear(12, 1), "regression", r"got \(2, 1\) for n = 2: return one value a target"),
        (lambda: nn.Sequential(nn.Linear(12, 2), nn.Flatten(0)), "classification", r"got \(4,\)"),
        (lambda: nn.LSTM(12, 2), "classification", r"got \('tuple',\)"),
        (lambda: nn.Linear(7, 2), "classification", r"got one that fails on them: RuntimeError: mat1 and mat2"),
        (lambda: torch.relu, "classification", r"expected a torch.nn.Module, got builtin_function_or_method"),
        (lambda: torch.jit.script(nn.Linear(12, 2)), "classification", r"expected a torch.nn.Module, got "),
        (lambda: nn.Sequential(nn.ReLU(True), nn.Linear(12, 2)), "classification", r"got one that overwrites them"),
        (lambda: nn.Linear(12, 2).requires_grad_(False), "classification", r"expected weights that can be trained"),
        (lambda: None, "classification", r"expected a torch.nn.Module, got NoneType: return the network"),
    ],
)
def test_what_is_no_network_for_the_task_is_one_line(made, kind, message):
    class Wrong(Architecture):
        name = "wrong"

        def build(self, shape, n_outputs, generator):
            return made()

    with pytest.raises(InputError, match=f"^wrong: build: .*{message}") as caught:
        Wrong().network((12,), 2, generator(), kind)
    assert "\n" not in str(caught.value)
