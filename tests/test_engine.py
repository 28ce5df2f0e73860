"""The compiled engine against autograd, against torch's stack, and against itself in other company."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numba
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.reference import splitmix
from tests.toy import toy
from xai_bench.models import kernels, stacked
from xai_bench.models.dropout import dropout_key, keep_masks
from xai_bench.models.engine import Engine
from xai_bench.models.losses import RowWeights, Tensors, loss
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.stack import parts_of
from xai_bench.models.streams import Streams, Task
from xai_bench.models.torch_engine import TorchEngine
from xai_bench.models.training import _seed_dropout, fit_many, fit_one

SHORT = {"epochs": 0.1, "min_steps": 20, "checkpoints": 4, "batch_size": 64}
ARCHITECTURES = {
    "shipped": MLP(**SHORT),
    "spectral": SpectralMLP(**SHORT, hidden=(30, 20)),
    "all spectral": SpectralMLP(
        **SHORT, hidden=(17, 9), all_layers=True, l1_phi=1e-3, l1_lambda=1e-3, l2_lambda=1e-2, l2_phi=1e-2
    ),
    "judge": MLP(**SHORT, hidden=(64, 32), activations=("relu",), batch_norm=(False,), dropout=(0.0,), group_lasso=0.0),
    "odd": MLP(**SHORT, hidden=(37, 11), batch_norm=(False, True), dropout=(0.1, 0.5), group_lasso=0.01),
    "narrow": MLP(**SHORT, hidden=(1,), activations=("tanh",), batch_norm=(True,), dropout=(0.3,)),
}
KINDS = ("classification", "regression", "several targets")
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)


def data_of(kind, n=300, d=12):
    data = toy(n, d, kind="classification" if kind == "classification" else "regression")
    if kind != "several targets":
        return data
    parts = ("train", "valid", "test")
    both = {f"y_{p}": np.stack([getattr(data, f"y_{p}"), getattr(data, f"X_{p}")[:, 3]], 1) for p in parts}
    return replace(data, n_outputs=2, **both)


def bits(fitted):
    state = {name: value for name, value in fitted.module.state_dict().items() if "num_batches" not in name}
    return state | {"loss": torch.tensor(fitted.valid_loss), "score": torch.tensor(fitted.test_score)}


def same_bits(one, other):
    return all(torch.equal(value, bits(other)[name]) for name, value in bits(one).items())


def engine_of(architecture, data, m=1, rows=50, row_weights=None):
    """An engine with m loaded networks, their modules and streams."""
    tensors = Tensors(data, torch.float32, torch.device("cpu"), row_weights)
    streams = [Streams(Task(seed, tuple(range(data.d))), len(data.X_train), rows) for seed in range(m)]
    engine = Engine(architecture, tensors, [tuple(range(data.d))] * m, streams, data.d, rows)
    modules = [architecture.build((data.d,), data.n_outputs, s.init) for s in streams]
    for slot, module in enumerate(modules):
        engine.load(slot, module)
    return engine, modules, streams


@every_architecture
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_those_of_autograd(architecture, kind, weighted):
    data = data_of(kind)
    rng = np.random.default_rng(0)
    weights = RowWeights(rng.exponential(size=192), rng.exponential(size=48)) if weighted else None
    engine, modules, streams = engine_of(architecture, data, m=2, row_weights=weights)
    index = torch.stack([s.batches(1)[0] for s in streams])
    with torch.no_grad():
        engine.step(index, 0, 0.0)
    tensors = engine.data
    for slot, (module, stream) in enumerate(zip(modules, streams, strict=True)):
        _seed_dropout(module, stream)
        rows = index[slot]
        w = None if tensors.w_train is None else tensors.w_train[rows]
        loss(module(tensors.X_train[rows])[None], tensors.y_train[rows][None], data.kind, w)[0].backward()
        for where, parts in zip(engine.places, parts_of(module), strict=True):
            for name, parameter in parts.items():
                found = where.view(engine.grad, name)[slot]
                # Sums of 50 products in float32, and a tanh within 3e-7.
                torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=2e-6)


@every_architecture
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_steps_are_those_of_the_ordinary_loop(architecture, kind):
    data = data_of(kind)
    rng = np.random.default_rng(0)
    weights = RowWeights(rng.exponential(size=192), rng.exponential(size=48))
    for seed in range(3):
        options = {"row_weights": weights if seed == 2 else None, "rows": 50 if seed == 1 else None}
        (fast,) = fit_many(architecture, data, [seed], **options)
        slow = fit_one(architecture, data, seed, **options)
        assert fast.valid_loss == pytest.approx(slow.valid_loss, rel=3e-6)


@every_architecture
def test_the_engine_is_torch_s_stack_but_for_rounding(architecture, monkeypatch):
    data = data_of("classification")
    masks = np.ones((3, 12), dtype=bool)
    masks[1, 3:] = masks[2, :7] = False
    ours = fit_many(architecture, data, [0, 1, 2], masks)
    monkeypatch.setattr(stacked, "Engine", TorchEngine)
    for one, other in zip(ours, fit_many(architecture, data, [0, 1, 2], masks), strict=True):
        assert one.valid_loss == pytest.approx(other.valid_loss, rel=3e-6)


SIZES = st.integers(1, 40)


@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(SIZES, min_size=1, max_size=3).map(tuple),
    d=st.integers(1, 40),
    rows=st.integers(2, 70),
    spectral=st.booleans(),
    many=st.integers(2, 6),
    kind=st.sampled_from(KINDS[:2]),
    seed=st.integers(0, 1000),
)
@example(hidden=(37, 11), d=20, rows=64, spectral=False, many=5, kind="classification", seed=0)
@example(hidden=(37, 11), d=20, rows=64, spectral=True, many=3, kind="regression", seed=0)
@example(hidden=(64, 32), d=33, rows=32, spectral=False, many=6, kind="classification", seed=1)
def test_bits_alone_and_in_company(hidden, d, rows, spectral, many, kind, seed):
    rng = np.random.default_rng(seed)
    data = toy(120, max(d, 3), kind=kind)
    fields = {**SHORT, "min_steps": 6, "checkpoints": 2, "hidden": hidden}
    architecture = SpectralMLP(**fields, all_layers=True) if spectral else MLP(**fields)
    masks = rng.random((many, data.d)) < 0.5
    masks[:, 0] = True
    masks[0] = True
    seeds = list(range(many))
    together = fit_many(architecture, data, seeds, masks, rows=rows)
    order = rng.permutation(many)
    shuffled = fit_many(architecture, data, [seeds[i] for i in order], masks[order], rows=rows, chunk=2)
    for place, i in enumerate(order):
        (alone,) = fit_many(architecture, data, [seeds[i]], masks[[i]], rows=rows, chunk=1)
        assert same_bits(together[i], alone)
        assert same_bits(together[i], shuffled[place])


def test_bits_do_not_depend_on_threads():
    data, architecture, before = toy(), MLP(**SHORT), torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found += fit_many(architecture, data, [0])
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert same_bits(*found)


def test_bits_do_not_depend_on_the_cache():
    """What a loop calls is compiled into it; apart from it, code of this process and of the cache can differ."""
    fresh = numba.njit(kernels.adam.signatures[0], fastmath=kernels.FAST, error_model="numpy")(kernels.adam.py_func)
    rng = np.random.default_rng(0)
    arrays = [np.abs(rng.normal(size=(2, 200))).astype(np.float32) for _ in range(4)]
    rest = (5, 16, 16, 150, np.array([0.1, 0, 0, 0.2, 0.3], dtype=np.float32), np.float32(0.01), np.float32(1.5))
    copies = [array.copy() for array in arrays]
    kernels.adam(*arrays, *rest)
    fresh(*copies, *rest)
    for one, other in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bits_do_not_depend_on_where_and_in_which_order_the_data_lie():
    for kind in KINDS:
        data = data_of(kind, d=32)
        moved = {}
        for name in ("X_train", "X_valid", "X_test", "y_train", "y_valid", "y_test"):
            array = getattr(data, name)
            room = np.zeros(array.size + 1, array.dtype)[1:]
            moved[name] = np.moveaxis(room.reshape(array.shape[::-1]), 0, -1) if array.ndim == 2 else room
            moved[name][...] = array
        architecture = MLP(**SHORT, hidden=(20,))
        assert same_bits(fit_many(architecture, data, [0])[0], fit_many(architecture, replace(data, **moved), [0])[0])


def test_a_layer_that_keeps_nothing_is_blind():
    architecture = MLP(**SHORT, hidden=(9,), dropout=(1 - 1e-7,), group_lasso=0.0, batch_norm=(False,))
    (fast,), slow = fit_many(architecture, toy(), [0]), fit_one(architecture, toy(), 0)
    assert fast.valid_loss == pytest.approx(slow.valid_loss, rel=3e-6)


def test_without_a_folder_for_its_cache_numba_compiles(monkeypatch):
    original, asked = numba.njit, []

    def refusing(*arguments, **options):
        asked.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return original(*arguments, **options)

    monkeypatch.setattr(numba, "njit", refusing)
    double = kernels.compiled("float32(float32)")(lambda x: x * kernels.TWO)
    assert double(np.float32(1.5)) == 3
    assert asked == [True, False]


def test_numba_is_loaded_where_it_is_used_only():
    code = "import sys, xai_bench.models.stacked; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def run_forward(z, activation=kernels.NONE, rate=0.0, key=1, step=0):
    """``kernels.forward`` of one network with neither bias nor batch norm: (activations, outputs, kept)."""
    h, rows = z.shape
    z = z[None].astype(np.float32).copy()
    out, keep, flat = np.zeros_like(z), np.zeros(z.shape, np.int8), np.zeros((1, h), np.float32)
    limit, scale = (round(65536 * (1 - rate)) if rate else -1), np.float32(1 / (1 - rate))
    keys, stats = np.array([key], dtype=np.uint64), np.zeros((1, 2, h), np.float32)
    kernels.forward(rows, z, out, keep, stats, flat, activation, 0, -1, -1, -1, limit, scale, keys, step)
    return z[0], out[0], keep[0]


def test_tanh_is_within_three_in_ten_million():
    x = np.concatenate([np.linspace(-12, 12, 200_001), np.logspace(-30, 1, 1000), [0.0]])
    x = x.astype(np.float32)[None]
    found = run_forward(x, kernels.TANH)[0]
    assert np.abs(found - np.tanh(x.astype(np.float64))).max() < 3e-7
    np.testing.assert_array_equal(run_forward(-x, kernels.TANH)[0], -found)


@pytest.mark.parametrize("activation", [kernels.NONE, kernels.RELU, kernels.TANH])
def test_what_is_not_a_number_stays_so(activation):
    values = np.array([[np.nan, 1.0, -np.inf, np.inf] * 8])
    found = run_forward(values, activation)[0]
    expected = {kernels.NONE: values, kernels.RELU: np.maximum(values, 0), kernels.TANH: np.tanh(values)}[activation]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_training_that_diverges_says_so(activation):
    data = toy(kind="regression")
    data = replace(data, y_train=data.y_train * np.float32(1e30), y_valid=data.y_valid * np.float32(1e30))
    with pytest.raises(ValueError, match="diverged"):
        fit_many(MLP(**SHORT, activations=(activation,), batch_norm=(False,)), data, [0])
    data = toy()
    data.X_train[::3] = np.nan
    with pytest.raises(ValueError, match="diverged"):
        fit_many(MLP(**{**SHORT, "checkpoints": 1}, activations=(activation,)), data, [0])


def test_denormal_numbers_are_flushed_where_torch_flushes_them():
    small = np.full((1, 32), 2**20, dtype=np.int32).view(np.float32)  # 1.5e-39: written as bits, or it is flushed here
    assert not run_forward(small, rate=0.5)[1].view(np.int32).any()
    try:
        torch.set_flush_denormal(False)
        assert run_forward(small, rate=0.5)[1].view(np.int32).any()
    finally:
        torch.set_flush_denormal(True)


def test_splitmix_is_the_published_one():
    """The first outputs for the seed 1234567, as other implementations give them."""
    found = [splitmix.output((1234567 + k * splitmix.GOLDEN) % splitmix.WORD) for k in (1, 2, 3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize(("width", "rows"), [(3, 7), (5, 32), (1, 1), (4, 50)])
@pytest.mark.parametrize("rate", [0.2, 0.5, 1e-6, 0.999])
def test_masks_are_the_same_everywhere(width, rows, rate):
    for key, step in [(dropout_key(3, (0, 1, 4), 1), 0), (2**63 - 1, 17), (0, 2**31)]:
        literal = splitmix.keep_mask(key, step, width, rows, rate)
        np.testing.assert_array_equal(keep_masks(torch.tensor([key, 5]), step, width, rows, rate)[0], literal)
        kept = run_forward(np.ones((width, rows)), rate=rate, key=key, step=step)
        np.testing.assert_array_equal(kept[2], literal)
        np.testing.assert_allclose(kept[1], literal / (1 - rate), rtol=1e-6)


def test_masks_keep_the_share_that_is_asked_for_independently():
    """Of networks, layers, steps, features and rows: no correlation beyond chance."""
    n_steps, width, rows = 40, 32, 128
    keys = torch.tensor([dropout_key(seed, (0, 1), which) for seed in range(3) for which in range(2)])
    for rate in (0.2, 0.5):
        kept = torch.stack([keep_masks(keys, step, width, rows, rate) for step in range(n_steps)], 1).double()
        sd = math.sqrt(rate * (1 - rate))
        centred = (kept - (1 - rate)) / sd  # (key, step, feature, row)
        assert abs(float(centred.mean())) < 4.5 / math.sqrt(kept.numel())
        assert float(centred.mean((1, 2, 3)).abs().max()) < 4.5 / math.sqrt(kept[0].numel())
        limit = 4.5 / math.sqrt(kept.numel() * 0.9)
        assert abs(float((centred[:, 1:] * centred[:, :-1]).mean())) < limit
        assert abs(float((centred[:, :, 1:] * centred[:, :, :-1]).mean())) < limit
        for lag in (1, 2, 3, 4):
            assert abs(float((centred[..., lag:] * centred[..., :-lag]).mean())) < limit
        between = (centred.flatten(1) @ centred.flatten(1).T) / centred[0].numel()
        between.fill_diagonal_(0)
        assert float(between.abs().max()) < 5 / math.sqrt(centred[0].numel())


def test_a_subclass_with_a_penalty_of_its_own_is_trained_by_autograd():
    class Heavy(MLP):
        name = "heavy"

        def penalty(self, module: nn.Module) -> torch.Tensor:
            return 10.0 * next(module.children()).weight.square().sum()

    assert stacked.is_served(MLP())
    assert stacked.is_served(SpectralMLP())
    assert not stacked.is_served(Heavy())
    fields = {**SHORT, "hidden": (8,), "min_steps": 200}
    (plain,), (heavy,) = (fit_many(made, toy(), [0]) for made in (MLP(**fields, group_lasso=0.0), Heavy(**fields)))
    assert heavy.module[0].weight.norm() < 0.2 * plain.module[0].weight.norm()
