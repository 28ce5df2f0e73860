"""The path of strengths: its steps against literal ones, its choice, and the supports that it finds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.toy import toy
from xai_bench.datasets.ring import Xor
from xai_bench.errors import InputError
from xai_bench.models.sparse import (
    Constant,
    Rows,
    SparseSettings,
    Walk,
    agreed,
    choose_support,
    fold_numbers,
    soft_threshold,
    sparse_path,
    sparsest_within_one_error,
    support_at,
)

QUICK = SparseSettings(
    hidden=(32, 16), learning_rate=3e-3, first_steps=300, ratio=2.25, levels=8, refit_steps=400, refit_checkpoints=20
)
PARTS = ("train", "valid", "test")


def rows_of(data, weight=None):
    weight = np.ones(len(data.X_train)) if weight is None else weight
    return Rows(data.X_train, data.y_train, data.kind, data.n_outputs, weight)


def modules_of(walk):
    """One nn.Sequential for every network of a walk, with its present weights."""
    snapshot = walk.stack.snapshot()
    modules = []
    for slot in range(walk.stack.m):
        module = walk.stack.architecture.build(walk.stack.width, walk.stack.layers[-1].n_out, torch.Generator())
        modules.append(module.to(snapshot.flat.dtype))
        walk.stack.store(slot, modules[slot], snapshot)
    return modules


def test_soft_threshold_moves_towards_zero_and_stops_there():
    values = [-2.0, -0.3, -0.1, 0.0, 0.1, 0.3, 2.0]
    literal = [math.copysign(max(abs(v) - 0.3, 0.0), v) for v in values]
    found = soft_threshold(torch.tensor(values, dtype=torch.float64), 0.3)
    np.testing.assert_allclose(found.numpy(), literal, rtol=0, atol=1e-15)
    assert (found[1:6] == 0).all()
    assert torch.equal(soft_threshold(torch.tensor(values), 0.0), torch.tensor(values))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_steps_equal_autograd_with_two_optimisers(kind):
    # 64 rows and batches of 64: every step sees all rows, in whatever order.
    data = toy(n=100, d=6, kind=kind)
    weight = np.linspace(0.5, 1.5, 64)
    settings = SparseSettings(hidden=(7, 5), batch_size=64, l2_phi=1e-2)
    walk = Walk(rows_of(data, weight), [np.arange(64)], settings, 0, torch.float64)
    (module,) = modules_of(walk)
    first = module[0]
    others = [p for name, p in module.named_parameters() if name != "0.lambda_in"]
    adam = torch.optim.Adam(others, lr=1e-3)
    X, y = torch.from_numpy(data.X_train).double(), torch.from_numpy(data.y_train)
    with torch.no_grad():
        for _ in range(60):
            walk.step(0.3)
    for _ in range(60):
        outputs = module(X)
        if kind == "classification":
            losses = nn.functional.cross_entropy(outputs, y, reduction="none")
        else:
            losses = (outputs[:, 0] - y) ** 2
        module.zero_grad()
        ((losses * torch.from_numpy(weight)).mean() + 1e-2 * (first.phi**2).sum()).backward()
        adam.step()
        with torch.no_grad():
            for j in range(6):
                moved = float(first.lambda_in[j] - 0.1 * first.lambda_in.grad[j])
                first.lambda_in[j] = math.copysign(max(abs(moved) - 0.1 * 0.3, 0.0), moved)
    (found,) = modules_of(walk)
    assert (first.lambda_in == 0).any()
    for name, value in module.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=1e-10)


def test_networks_side_by_side_equal_networks_alone():
    rows = rows_of(toy(n=300))
    training = [np.arange(f, 192, 2) for f in (0, 1)] + [np.arange(96)]
    together = Walk(rows, training, QUICK, 3, torch.float64)
    with torch.no_grad():
        for _ in range(100):
            together.step(0.1)
    for slot, chosen in enumerate(training):
        alone = Walk(rows, [chosen], QUICK, 3, torch.float64)
        with torch.no_grad():
            for _ in range(100):
                alone.step(0.1)
        torch.testing.assert_close(alone.eigenvalues[0], together.eigenvalues[slot], rtol=0, atol=1e-9)


def test_strong_penalties_give_exact_zeros_and_a_path_ends_empty():
    walk = Walk(rows_of(toy(n=300)), [np.arange(100), np.arange(90, 192)], QUICK, 0, torch.float64)
    offered = [0.0, *(0.05 * 2.0**k for k in range(12))]
    strengths, supports, losses = walk.follow(offered)
    levels = len(strengths)
    assert strengths.tolist() == offered[:levels]
    assert levels < len(offered)
    assert (walk.eigenvalues == 0).all()
    assert supports.shape == (levels, 2, 12)
    assert supports[0].all()
    assert supports[:-1].any((1, 2)).all()
    assert not supports[-1].any()
    assert losses.shape == (levels, 192)
    assert (losses[:, 90:100] == 0).all()
    assert (losses[:, :90] > 0).all()
    unfinished, supports, _ = Walk(rows_of(toy(n=300)), [np.arange(192)], QUICK, 0, torch.float32).follow([0.0])
    assert unfinished.tolist() == [0.0, math.inf]
    assert not supports[1].any()


def test_the_sparsest_level_within_one_paired_error_is_chosen():
    rng = np.random.default_rng(0)
    hard = rng.exponential(10, size=200)  # the same for all levels: unpaired errors would hide every difference
    weight = rng.integers(1, 4, size=200).astype(float)
    noise = rng.normal(size=200)
    noise += 0.05 - np.average(noise, weights=weight)  # worse, by less than its error of about 0.08
    losses = np.stack([hard + 0.3, hard, hard + 0.02 * noise, hard + 0.1])
    level, differences, errors = sparsest_within_one_error(losses, np.array([9, 5, 3, 1]), weight)
    best = int(np.argmin([np.average(row, weights=weight) for row in losses]))
    for row, difference, error in zip(losses, differences, errors, strict=True):
        paired = row - losses[best]
        mean = sum(w * p for w, p in zip(weight, paired, strict=True)) / sum(weight)
        spread = math.sqrt(sum((w * (p - mean)) ** 2 for w, p in zip(weight, paired, strict=True))) / sum(weight)
        assert (difference, error) == (pytest.approx(mean, abs=1e-12), pytest.approx(spread, abs=1e-12))
    assert level == 2
    assert best == 1
    assert sparsest_within_one_error(losses[[0, 1, 3]], np.array([9, 5, 1]), weight)[0] == 1
    assert sparsest_within_one_error(losses[[1, 1]], np.array([5, 2]), weight)[0] == 1


def test_support_by_votes_or_of_the_best_fold():
    folds = np.zeros((5, 6), dtype=bool)
    folds[:, :2] = True
    folds[:4, 2] = folds[:3, 3] = True
    assert np.flatnonzero(agreed(folds, [1, 1, 1, 1, 1], SparseSettings())).tolist() == [0, 1, 2]
    scattered = np.eye(5, 6, dtype=bool)
    assert np.flatnonzero(agreed(scattered, [3, 2, 1, 2, 3], SparseSettings())).tolist() == [2]
    assert not agreed(np.zeros((5, 6), dtype=bool), [1, 1, 1, 1, 1], SparseSettings()).any()


def test_folds_keep_the_shares_of_classes():
    y = np.array([0] * 50 + [1] * 23)
    folds = fold_numbers(y, "classification", 5, 0)
    for label, count in ((0, 50), (1, 23)):
        sizes = np.bincount(folds[y == label], minlength=5)
        assert sizes.sum() == count
        assert np.ptp(sizes) <= 1
    assert (fold_numbers(y, "classification", 5, 1) != folds).any()


def test_constant_predictor_says_shares_or_means():
    y = np.array([0, 0, 1, 1, 1, 1])
    shares = Constant.of(y, "classification", 3, np.array([1.0, 1, 1, 1, 1, 1]))(torch.zeros(2, 0)).exp()
    np.testing.assert_allclose(shares.numpy(), [[3 / 9, 5 / 9, 1 / 9]] * 2)
    values = np.array([[0.0, 1.0], [4.0, 3.0]])
    mean = Constant.of(values, "regression", 2, np.array([3.0, 1.0]))(torch.zeros(1, 0))
    np.testing.assert_allclose(mean.numpy(), [[1.0, 1.5]])


@pytest.fixture(scope="module")
def xor():
    return Xor(n=600, d=8).load(1000).standardised()


@pytest.fixture(scope="module")
def xor_path(xor):
    return sparse_path(xor, QUICK, 1000)


def test_both_inputs_of_xor_are_found_by_validation_alone(xor, xor_path):
    np.testing.assert_array_equal(xor_path.support, xor.truth.relevant)
    assert xor_path.model.test_score > 0.93
    assert xor_path.model.module[0].in_features == 2
    assert 0 < xor_path.strength < math.inf
    levels = len(xor_path.strengths)
    assert xor_path.supports.shape == (levels, 5, 8)
    assert xor_path.losses.shape == xor_path.differences.shape == xor_path.errors.shape == (levels,)
    assert xor_path.supports[0].all()
    assert not xor_path.supports[-1].any()
    assert xor_path.losses[-1] == pytest.approx(math.log(2), abs=0.01)
    assert xor_path.differences.min() == 0


def test_test_rows_have_no_say(xor, xor_path):
    other = replace(xor, X_test=-xor.X_test[::-1].copy(), y_test=xor.y_test[::-1].copy())
    again = sparse_path(other, QUICK, 1000)
    np.testing.assert_array_equal(again.losses, xor_path.losses)
    np.testing.assert_array_equal(again.supports, xor_path.supports)


def test_a_given_strength_keeps_what_its_walk_keeps(xor):
    rows = rows_of(xor)
    found = support_at(0.13, rows, QUICK, 1000)
    walk = Walk(rows, [np.arange(len(rows.X))], QUICK, 1000, torch.float32)
    _, supports, _ = walk.follow([s for s in QUICK.strengths() if s < 0.13] + [0.13])
    np.testing.assert_array_equal(found, supports[-2, 0])  # the last level is the empty one
    assert found[xor.truth.relevant].all()
    assert not found.all()
    assert support_at(0.0, rows, QUICK, 1000).all()
    assert not support_at(100.0, rows, QUICK, 1000).any()


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_nothing_is_found_where_nothing_is(kind):
    data = toy(n=500, d=8, kind=kind)
    rng = np.random.default_rng(1000)
    noise = {f"X_{part}": rng.normal(size=getattr(data, f"X_{part}").shape).astype(np.float32) for part in PARTS}
    path = sparse_path(replace(data, **noise), QUICK, 1000)
    assert not path.support.any()
    assert isinstance(path.model.module, Constant)
    assert path.model.test_score == pytest.approx(path.model.chance, abs=1e-6)
    assert not path.model.learned


def test_large_supports_are_judged_on_the_path(xor):
    settings = QUICK.model_copy(update={"largest_refit": 2})
    path = choose_support(rows_of(xor), settings, 1000)
    np.testing.assert_array_equal(path.support, xor.truth.relevant)


def test_a_diverging_path_says_so(xor):
    rows = Rows(xor.X_train * np.float32(1e25), xor.y_train, xor.kind, xor.n_outputs, np.ones(len(xor.X_train)))
    with pytest.raises(ValueError, match="diverged at strength 0"):
        choose_support(rows, QUICK, 0)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="did you mean"):
        SparseSettings(level=3)
    with pytest.raises(InputError, match="votes <= folds"):
        SparseSettings(folds=3)
    with pytest.raises(InputError, match="window"):
        SparseSettings(window=300)
    rows = Rows(np.zeros((9, 2)), np.arange(9) % 2, "classification", 2, np.ones(9))
    with pytest.raises(InputError, match="at least 10 rows"):
        choose_support(rows, SparseSettings(), 0)
    assert len(SparseSettings().strengths()) == 17
    assert SparseSettings().strengths()[16] == pytest.approx(0.005 * 1.5**15)
    refit = SparseSettings().refit()
    assert refit.steps(100_000) == 1000
    assert refit.l2_phi == refit.l2_lambda == refit.l1_lambda == refit.l1_phi == 0
