"""Whose weights are read: the layer called first on the rows, wherever the model holds it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import CLASSES, D, draw, problem, rows
from xai_bench import registry
from xai_bench.explainers.base import Problem
from xai_bench.explainers.first_layer import first_layer
from xai_bench.explainers.selectors import PermutationImportance
from xai_bench.explainers.spectral import ColumnNorm, Spectral
from xai_bench.models.folding import first_and_rest
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.spectral import SpectralLinear


class HeadFirst(nn.Module):
    """The layer that is registered first is called last; the hidden width happens to be d."""

    def __init__(self, layer=nn.Linear):
        super().__init__()
        self.head = nn.Linear(D, CLASSES)
        self.first = layer(D, D)

    def forward(self, x):
        return self.head(torch.relu(self.first(x)))


class Skip(HeadFirst):
    def __init__(self):
        super().__init__()
        self.skip = nn.Linear(D, CLASSES)

    def forward(self, x):
        return super().forward(x) + self.skip(x)


class SkipFirst(Skip):
    def forward(self, x):
        return self.skip(x) + HeadFirst.forward(self, x)


class Gate(HeadFirst):
    """Reads the inputs with a comparison, which has no gradient."""

    def forward(self, x):
        return super().forward(x) * (x[:, :1] > 0)


class Concatenated(HeadFirst):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2 * D, CLASSES)

    def forward(self, x):
        return self.head(torch.cat([torch.relu(self.first(x)), x], 1))


class Twice(HeadFirst):
    def forward(self, x):
        return self.head(torch.relu(self.first(torch.relu(self.first(x)))))


class Standardised(HeadFirst):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.linspace(0.5, 2, D))

    def forward(self, x):
        return super().forward(x / self.scale)


class Reordered(HeadFirst):
    def forward(self, x):
        return super().forward(x.flip(1))


class OneByOne(nn.Module):
    """A layer of one input, applied to every input."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(1, 4), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(torch.relu(self.first(x[..., None])).mean(1))


class Recurrent(nn.Module):
    """Its first layer has two outputs."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.GRU(1, 4, batch_first=True), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(self.first(x[..., None])[0][:, -1])


ALONE = "its first layer is not the only one that reads the inputs"
THEMSELVES = "its first layer is not given the inputs themselves"
UNSUITED = {
    "skip": (Skip, ALONE),
    "skip_called_first": (SkipFirst, ALONE),
    "gate": (Gate, ALONE),
    "concatenated": (Concatenated, ALONE),
    "used_twice": (Twice, "its first layer is used more than once"),
    "standardised": (Standardised, THEMSELVES),
    "reordered": (Reordered, THEMSELVES),
    "one_by_one": (OneByOne, "its first layer is not given all inputs at once"),
    "recurrent": (Recurrent, "it needs an ordinary dense"),
    "norm_first": (lambda: nn.Sequential(nn.BatchNorm1d(D), nn.Linear(D, CLASSES)), "it needs an ordinary dense"),
    "norm_without_weights": (
        lambda: nn.Sequential(nn.BatchNorm1d(D, affine=False), nn.Linear(D, CLASSES)),
        THEMSELVES,
    ),
    "activation_first": (lambda: nn.Sequential(nn.Tanh(), nn.Linear(D, CLASSES)), THEMSELVES),
    "convolution": (
        lambda: nn.Sequential(nn.Unflatten(1, (1, D)), nn.Conv1d(1, 1, 1), nn.Flatten(), nn.Linear(D, CLASSES)),
        "it needs an ordinary dense",
    ),
    "no_weights": (lambda: nn.Sequential(nn.Tanh()), "it needs an ordinary dense"),
}


def problem_with(model):
    X = rows(20)
    y = torch.arange(20) % CLASSES
    return Problem(model, X, y, X[:7], y[:7], "classification", CLASSES)


@pytest.mark.parametrize("name", UNSUITED)
def test_networks_whose_first_weights_say_nothing_are_unsupported(name):
    build, reason = UNSUITED[name]
    assert ColumnNorm().unsupported(problem_with(draw(build()))).startswith(reason)
    if build in (Skip, Gate, Twice, Standardised):
        model = build()
        model.first = SpectralLinear(D, D)
        assert Spectral().unsupported(problem_with(draw(model))) == reason


def test_the_norm_is_that_of_the_layer_called_first():
    p = problem_with(draw(HeadFirst()))
    assert ColumnNorm().unsupported(p) is None
    np.testing.assert_allclose(ColumnNorm().explain(p).relevance, p.model.first.weight.norm(dim=0), rtol=1e-6)
    q = problem_with(draw(HeadFirst(SpectralLinear)))
    assert Spectral().unsupported(q) is None
    np.testing.assert_allclose(Spectral().explain(q).relevance, q.model.first.relevance(), rtol=1e-6)
    assert ColumnNorm().unsupported(q) == "it needs an ordinary dense first layer"
    assert Spectral().unsupported(p) == "it needs a spectral first layer"


def test_reshapes_and_dropout_may_stand_before_it():
    before = (nn.Unflatten(1, (2, D // 2)), nn.Flatten(), nn.Identity(), nn.Dropout(0.5))
    p = problem_with(draw(nn.Sequential(nn.Sequential(*before), nn.Linear(D, 4), nn.ReLU(), nn.Linear(4, CLASSES))))
    assert ColumnNorm().unsupported(p) is None
    np.testing.assert_allclose(ColumnNorm().explain(p).relevance, p.model[1].weight.norm(dim=0), rtol=1e-6)
    single = problem_with(draw(nn.Linear(D, CLASSES)))
    np.testing.assert_allclose(ColumnNorm().explain(single).relevance, single.model.weight.norm(dim=0), rtol=1e-6)


@pytest.mark.parametrize("architecture", [MLP(hidden=(7, 5)), SpectralMLP(hidden=(7, 5), all_layers=True)])
def test_networks_of_this_package_are_read_and_left_alone(architecture):
    p = problem(draw(architecture.build((D,), CLASSES, torch.Generator().manual_seed(0))))
    explainer = registry.create("explainers", "column_norm" if architecture.name == "mlp" else "spectral", {})
    state = copy.deepcopy(p.model.state_dict())
    assert first_layer(p.model, p.X_train) == (p.model[0], None)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in p.model.modules())
    assert all(torch.equal(value, state[name]) for name, value in p.model.state_dict().items())
    found = explainer.explain(p)
    assert (found.forward_rows, found.rows_explained) == (0, None)


def test_an_activation_that_a_chain_uses_twice_is_used_twice():
    relu = nn.ReLU()
    model = draw(nn.Sequential(nn.Linear(D, 5), relu, nn.Linear(5, 4), relu, nn.Linear(4, CLASSES)))
    first, rest = first_and_rest(model)
    assert torch.equal(rest(first(rows())), model(rows()))
    plain = copy.deepcopy(model)
    plain[3] = nn.ReLU()
    found, expected = (PermutationImportance().explain(problem_with(m)).relevance for m in (model, plain))
    np.testing.assert_array_equal(found, expected)
