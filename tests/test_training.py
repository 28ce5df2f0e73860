"""fit_many against the ordinary loop, and its independence of companions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.toy import toy
from xai_bench.component import stream_seed
from xai_bench.models.base import Architecture
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.spectral import SpectralLinear
from xai_bench.models.stacked import bucket
from xai_bench.models.streams import checkpoint_steps, learning_rate
from xai_bench.models.training import fit_many, fit_one

SHORT = {"epochs": 0.1, "min_steps": 20, "checkpoints": 4, "hidden": (10, 8, 6)}
ARCHITECTURES = [
    MLP(**SHORT, group_lasso=0.01, dropout=(0.2, 0.1, 0.0)),
    MLP(**SHORT, activations=("relu",), batch_norm=(True,), dropout=(0.0,)),
    SpectralMLP(**SHORT, all_layers=True, l1_phi=1e-3, l1_lambda=1e-3, l2_lambda=1e-2, l2_phi=1e-2),
    SpectralMLP(**SHORT, batch_norm=(False,), dropout=(0.0,)),
]


def weights(model):
    state = model.module.state_dict()
    return {name: value for name, value in state.items() if "num_batches" not in name}


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_weights_equal_training_alone_by_autograd(architecture, kind):
    data = toy(kind=kind)
    masks = np.zeros((3, data.d), dtype=bool)
    masks[0, :5] = masks[1, [0, 2, 7]] = masks[2] = True
    together = fit_many(architecture, data, [0, 1, 2], masks, dtype=torch.float64, chunk=4)
    for seed, mask, fitted in zip([0, 1, 2], masks, together, strict=True):
        alone = fit_one(architecture, data, seed, np.flatnonzero(mask).tolist(), dtype=torch.float64)
        for name, value in weights(alone).items():
            torch.testing.assert_close(weights(fitted)[name], value, rtol=0, atol=1e-9)
        assert fitted.valid_loss == pytest.approx(alone.valid_loss, abs=1e-9)
        assert fitted.test_score == pytest.approx(alone.test_score, abs=1e-9)


@pytest.mark.parametrize("rows", [700, 703])
def test_bits_do_not_depend_on_companions(rows):
    data = toy(n=rows, d=20)
    rng = np.random.default_rng(0)
    architecture = MLP(epochs=0.1, min_steps=30, hidden=(37, 11), dropout=(0.1,), batch_size=100)
    masks = np.zeros((20, 20), dtype=bool)
    for row, k in zip(masks, [3, 7, 20, 9] * 5, strict=True):
        row[rng.permutation(20)[:k]] = True
    seeds = list(range(20))
    reference = fit_many(architecture, data, seeds, masks)
    for chosen in (rng.permutation(20)[:7], [13]):
        again = fit_many(architecture, data, [seeds[i] for i in chosen], masks[chosen])
        for i, fitted in zip(chosen, again, strict=True):
            for name, value in weights(reference[i]).items():
                assert torch.equal(weights(fitted)[name], value), (i, name)
            assert fitted.valid_loss == reference[i].valid_loss


def test_a_network_that_is_asked_for_twice_is_trained_once():
    data = toy()
    mask = np.arange(data.d) < 4
    first, second, other = fit_many(MLP(**SHORT), data, [0, 0, 1], np.array([mask, mask, mask]))
    assert first is second
    assert first is not other


def test_other_architectures_train_in_a_plain_loop():
    class Line(Architecture):
        name = "line"

        def build(self, d: int, n_outputs: int, generator: torch.Generator) -> nn.Module:
            linear = nn.Linear(d, n_outputs)
            with torch.no_grad():
                linear.weight.normal_(generator=generator)
                linear.bias.zero_()
            return linear

    data, slopes = toy(kind="regression"), np.linspace(-1, 1, 12).astype(np.float32)
    data = replace(data, **{f"y_{part}": getattr(data, f"X_{part}") @ slopes for part in ("train", "valid", "test")})
    (fitted,) = fit_many(Line(epochs=0.1, min_steps=400, learning_rate=0.05), data, [0])
    np.testing.assert_allclose(fitted.module.weight[0].numpy(), slopes, atol=0.01)
    assert not fitted.module.training


def test_result_says_what_was_reached_beside_chance():
    data = toy(n=2000)
    (fitted,) = fit_many(MLP(epochs=0.1, min_steps=300), data, [0])
    majority = np.bincount(data.y_train).argmax()
    assert fitted.chance == pytest.approx((data.y_test == majority).mean())
    assert fitted.test_score > fitted.chance + 0.2
    assert fitted.learned
    noise = replace(data, **{f"X_{p}": np.zeros_like(getattr(data, f"X_{p}")) for p in ("train", "valid", "test")})
    (blind,) = fit_many(MLP(epochs=0.1, min_steps=20), noise, [0])
    assert not blind.learned


def test_the_best_checkpoint_is_kept():
    data = toy(n=200, d=10)
    (short,) = fit_many(
        MLP(epochs=0.1, min_steps=400, checkpoints=40, learning_rate=0.02, schedule="constant"), data, [0]
    )
    (last,) = fit_many(
        MLP(epochs=0.1, min_steps=400, checkpoints=1, learning_rate=0.02, schedule="constant"), data, [0]
    )
    assert short.valid_loss < last.valid_loss
    outputs = short.module(torch.from_numpy(data.X_valid))
    again = nn.functional.cross_entropy(outputs, torch.from_numpy(data.y_valid))
    assert float(again) == pytest.approx(short.valid_loss, abs=1e-5)


def test_padding_and_schedule():
    assert [bucket(k, 100) for k in (1, 4, 5, 8, 9, 64, 65, 100)] == [4, 4, 8, 8, 16, 64, 100, 100]
    architecture = MLP(learning_rate=0.1)
    assert learning_rate(architecture, 0, 100) == pytest.approx(0.1)
    assert learning_rate(architecture, 50, 100) == pytest.approx(0.05)
    assert learning_rate(MLP(schedule="constant"), 7, 100) == MLP().learning_rate
    assert MLP(epochs=20, batch_size=128, min_steps=300).steps(6400) == 1000
    assert MLP(epochs=20, batch_size=128, min_steps=300).steps(282) == 300
    assert checkpoint_steps(MLP(min_steps=1000), 80) == {1000}
    assert checkpoint_steps(MLP(min_steps=1000, checkpoints=4), 80) == {250, 500, 750, 1000}


def test_a_diverging_training_says_so():
    data = toy(kind="regression")
    data = replace(data, y_train=data.y_train * np.float32(1e30), y_valid=data.y_valid * np.float32(1e30))
    with pytest.raises(ValueError, match="diverged"):
        fit_many(MLP(**SHORT), data, [0])


@pytest.mark.parametrize(
    ("masks", "message"), [(np.ones((1, 3), bool), "shape"), (np.zeros((1, 12), bool), "keeps no input")]
)
def test_bad_masks_are_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        fit_many(MLP(**SHORT), toy(), [0], masks)


def test_only_the_first_layer_is_spectral_unless_asked():
    generator = torch.Generator().manual_seed(0)
    first = SpectralMLP().build((5,), 2, generator)
    everywhere = SpectralMLP(all_layers=True).build((5,), 2, generator)
    assert [isinstance(m, SpectralLinear) for m in first if hasattr(m, "in_features")] == [True, False, False, False]
    assert all(isinstance(m, SpectralLinear) for m in everywhere if hasattr(m, "in_features"))


def test_spectral_and_plain_networks_start_at_the_same_weights():
    generators = [torch.Generator().manual_seed(stream_seed("weights", 0)) for _ in range(2)]
    spectral, plain = SpectralMLP().build((6,), 2, generators[0]), MLP().build((6,), 2, generators[1])
    x = torch.randn(5, 6)
    torch.testing.assert_close(spectral.eval()(x), plain.eval()(x), rtol=0, atol=0)


def test_the_matching_penalty_is_the_minimum_over_gauges():
    """min over c of a c^2 + b ||w||^2 / c^2 is 2 sqrt(ab) ||w||."""
    a, b = 1e-3, 1e-2
    weight = torch.randn(7, 4, dtype=torch.float64)
    scales = torch.logspace(-3, 3, 20001, dtype=torch.float64)[:, None]
    norms = weight.norm(dim=0)
    spectral = (a * scales**2 + b * (norms / scales) ** 2).min(0).values.sum()
    plain = MLP(group_lasso=2 * (a * b) ** 0.5)
    module = nn.Sequential(nn.Linear(4, 7, dtype=torch.float64))
    with torch.no_grad():
        module[0].weight.copy_(weight)
    assert float(plain.penalty(module).detach()) == pytest.approx(float(spectral), rel=1e-6)


def test_networks_share_the_seconds_of_their_stack():
    """The seconds of all of them are no more than passed meanwhile."""
    import time

    cpu, wall = time.process_time(), time.perf_counter()
    fitted = fit_many(MLP(epochs=1, min_steps=1), toy(n=60), [0, 1, 2])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert len({one.train_cpu for one in fitted}) == 1
    assert 0 < sum(one.train_cpu for one in fitted) <= cpu
    assert 0 < sum(one.train_wall for one in fitted) <= wall


def test_weights_from_a_global_generator_differ_between_networks():
    """``build`` need not use the generator that it is given: torch's own is seeded from it, with 2^62 seeds."""

    class Plain(Architecture):
        name = "plain"

        def build(self, shape, n_outputs, generator):
            return nn.Linear(shape[0], n_outputs)

    weights = {Plain().network((1,), 2, torch.Generator().manual_seed(seed)).weight[0].item() for seed in range(150)}
    assert len(weights) == 150
