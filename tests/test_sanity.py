"""Layers initialised anew: which ones, that nothing else changes, and that it is computed once."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from xai_bench import run
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.running import loop
from xai_bench.scoring import sanity
from xai_bench.suites.suite import Sanity

FIELDS = {"hidden": (5, 4), "batch_norm": (True, False), "dropout": (0.1, 0.0)}


def network(architecture, seed, d=6):
    module = architecture.build((d,), 2, torch.Generator().manual_seed(seed)).eval()
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not name.endswith("weight"):
            tensor.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(seed + 1))
    return module.requires_grad_(False)


def same_layers(one, other):
    """For every layer: are all its tensors equal?"""
    parts = sanity.layers(one, torch.randn(3, 6))
    return [
        all(
            torch.equal(tensor, other.get_submodule(name).state_dict()[label])
            for name in layer
            for label, tensor in one.get_submodule(name).state_dict().items()
        )
        for layer in parts
    ]


@pytest.mark.parametrize(
    "architecture", [MLP(**FIELDS), SpectralMLP(**FIELDS, all_layers=True)], ids=["mlp", "spectral"]
)
def test_layers_are_dense_layers_with_their_batch_norm(architecture):
    module = network(architecture, 0)
    found = sanity.layers(module, torch.randn(3, 6))
    assert found == [["0", "2"], ["4"], ["6"]]
    named = itertools.chain.from_iterable(found)
    held = {f"{name}.{label}" for name in named for label in module.get_submodule(name).state_dict()}
    assert held == set(module.state_dict())


@pytest.mark.parametrize("architecture", [MLP(**FIELDS), SpectralMLP(**FIELDS)], ids=["mlp", "spectral"])
def test_one_layer_after_the_other_is_new_and_the_rest_is_kept(architecture):
    module, fresh = network(architecture, 0), network(architecture, 5)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    found = {
        (directions, k): same_layers(module, new)
        for directions, k, new in sanity.stages(module, fresh, torch.randn(3, 6))
    }
    assert found == {
        (("top",), 1): [True, True, False],
        (("top",), 2): [True, False, False],
        (("bottom",), 1): [False, True, True],
        (("bottom",), 2): [False, False, True],
        (("top", "bottom"), 3): [False, False, False],
    }
    X = torch.randn(4, 6)
    *_, (_, _, everything) = sanity.stages(module, fresh, X)
    assert torch.equal(everything(X), fresh(X))
    assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in before.items())


class HeadFirst(torch.nn.Module):
    """What is registered first is called last, or never: attention reads the weights of its ``out_proj``."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(4, 2)
        self.attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = torch.nn.BatchNorm1d(4)
        self.first = torch.nn.Linear(6, 4)

    def forward(self, x):
        x = self.norm(self.first(x))[:, None]
        return self.head(self.attention(x, x, x)[0][:, 0])


def test_layers_stand_in_the_order_in_which_they_are_called():
    module = HeadFirst().eval()
    found = sanity.layers(module, torch.randn(3, 6))
    assert found == [["first", "norm"], ["attention"], ["attention.out_proj"], ["head"]]
    assert not module.first._forward_pre_hooks


SUITE = {
    "name": "layers",
    "data_seeds": [0, 1],
    "datasets": [{"name": "gaussian_correlated", "n": 200}, {"name": "diabetes"}],
    "models": [
        {"name": "mlp", "hidden": [6, 5], "epochs": 0.1, "min_steps": 30, "checkpoints": 1},
        {"name": "spectral_mlp", "hidden": [6], "epochs": 0.1, "min_steps": 30, "checkpoints": 1},
    ],
    "explainers": [{"name": "column_norm"}, {"name": "saliency"}, {"name": "mutual_information"}],
    "sanity": {"datasets": ["gaussian_correlated"], "models": ["mlp"]},
}


def followed(results):
    rows = results.measurements
    return rows[rows["metric"].str.startswith("sanity_")].reset_index(drop=True)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(SUITE, out=tmp_path_factory.mktemp("layers"))


def test_every_relevance_of_the_part_is_followed(results):
    rows = followed(results)
    assert set(rows["dataset"]) == {"gaussian_correlated"}
    assert set(rows["explainer"]) == {"column_norm", "saliency"}
    assert set(rows["model"]) == {"mlp"}
    assert len(rows) == 2 * 2 * (2 * 3)  # data seeds, methods, directions, layers
    assert rows["value"].between(-1, 1).all()
    values = rows.set_index(["explainer", "data_seed", "metric", "k"])["value"]
    for seed in (0, 1):  # the first layer's columns do not change until it is their turn
        assert values["column_norm", seed, "sanity_top", 1] == pytest.approx(1)
        assert values["column_norm", seed, "sanity_top", 2] == pytest.approx(1)
        assert values["column_norm", seed, "sanity_bottom", 1] < 0.99
        new = {values["column_norm", seed, metric, 3] for metric in ("sanity_top", "sanity_bottom")}
        assert new == {values["column_norm", seed, "sanity_bottom", 1]}
        assert values["saliency", seed, "sanity_top", 1] < 1


def test_it_is_computed_once_kept_and_extended(results, tmp_path, monkeypatch):
    without = {key: value for key, value in SUITE.items() if key != "sanity"}
    assert followed(run(without, out=tmp_path)).empty
    part = run({**SUITE, "sanity": {**SUITE["sanity"], "explainers": ["saliency"]}}, out=tmp_path)
    assert set(followed(part)["explainer"]) == {"saliency"}
    pd.testing.assert_frame_equal(followed(run(SUITE, out=tmp_path)), followed(results), check_exact=True)
    monkeypatch.setattr(loop.Loop, "_store_followup", lambda *_: pytest.fail("it was computed again"))
    run(SUITE, out=tmp_path)


def test_a_failure_is_a_reason_and_tried_again(results, tmp_path, monkeypatch):
    def broken(*_arguments):
        raise RuntimeError("no luck")

    with monkeypatch.context() as patched:
        patched.setattr(sanity, "curves", broken)
        rows = followed(run(SUITE, out=tmp_path))
    assert rows["value"].isna().all()
    assert rows["reason"].str.contains("RuntimeError: no luck").all()
    assert len(rows) == 4
    pd.testing.assert_frame_equal(followed(run(SUITE, out=tmp_path)), followed(results), check_exact=True)


def test_equal_relevances_have_no_rank_correlation():
    class Constant:
        def explain(self, problem, seed=0):
            from types import SimpleNamespace

            return SimpleNamespace(over_inputs=np.ones(6))

    from xai_bench.explainers.base import Problem

    X = torch.randn(10, 6)
    problem = Problem(network(MLP(**FIELDS), 0), X, X[:, 0], X, X[:, 0], "classification", 2)
    found = sanity.curves(Constant(), MLP(**FIELDS), problem, np.arange(6.0), "m", 0)
    assert {m.value for m in found} == {None}
    assert {m.reason for m in found} == {"all relevances are equal"}


def test_all_layers_at_once_is_the_last_stage():
    module, fresh, X = network(MLP(**FIELDS), 0), network(MLP(**FIELDS), 5), torch.randn(3, 6)
    ((directions, k, found),) = sanity.stages(module, fresh, X, "all")
    *_, (last_directions, last_k, last) = sanity.stages(module, fresh, X)
    assert (directions, k) == (last_directions, last_k)
    assert found(X).equal(last(X))
    assert Sanity().model_dump(mode="json") == {"datasets": [], "data_seeds": [], "models": [], "explainers": []}
    assert Sanity(stages="all").model_dump()["stages"] == "all"
    assert sanity.key("each") == sanity.key() != sanity.key("all")
