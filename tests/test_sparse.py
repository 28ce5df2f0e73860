"""The path of strengths: its steps against literal ones, its choice, and the supports that it finds."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.toy import QUICK, toy
from xai_bench.component import stream_seed
from xai_bench.datasets.ring import Xor
from xai_bench.errors import InputError
from xai_bench.models.path import (
    SLOW_FALL,
    Rows,
    SparseSettings,
    Walk,
    group_soft_threshold,
    slow,
    soft_threshold,
)
from xai_bench.models.sparse import (
    Constant,
    JudgedPath,
    Judgement,
    agreed,
    choose_support,
    fold_numbers,
    judged_path,
    sparse_path,
    sparsest_within_one_error,
    support_at,
    walked,
)
from xai_bench.models.training import fit_many

PARTS = ("train", "valid", "test")


def rows_of(data, weight=None):
    weight = np.ones(len(data.X_train)) if weight is None else weight
    return Rows(data.X_train, data.y_train, data.kind, data.n_outputs, weight)


def modules_of(walk):
    """One nn.Sequential for every network of a walk, with its present weights."""
    return [walk.network(slot, np.ones(walk.stack.width, dtype=bool)) for slot in range(walk.stack.m)]


def test_soft_threshold_moves_towards_zero_and_stops_there():
    values = [-2.0, -0.3, -0.1, 0.0, 0.1, 0.3, 2.0]
    literal = [math.copysign(max(abs(v) - 0.3, 0.0), v) for v in values]
    found = soft_threshold(torch.tensor(values, dtype=torch.float64), 0.3)
    np.testing.assert_allclose(found.numpy(), literal, rtol=0, atol=1e-15)
    assert (found[1:6] == 0).all()
    assert torch.equal(soft_threshold(torch.tensor(values), 0.0), torch.tensor(values))


def test_group_soft_threshold_shortens_columns():
    matrix = torch.tensor([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]], dtype=torch.float64)
    found = group_soft_threshold(matrix, 0.5)
    np.testing.assert_allclose(found[:, 0], [3 * 0.9, 4 * 0.9], rtol=0, atol=1e-15)
    assert (found[:, 1:] == 0).all()
    torch.testing.assert_close(group_soft_threshold(matrix, 0.0), matrix, rtol=0, atol=0)
    values = torch.linspace(-1, 1, 9, dtype=torch.float64)
    torch.testing.assert_close(group_soft_threshold(values[None], 0.3)[0], soft_threshold(values, 0.3))


def column_that_data_hold(held, strength, l2_phi, steps=2500, rate=0.03):
    """The norm of lambda phi where ||lambda phi - held||^2 / 2 is penalised, by the steps of the path from ``held``."""
    eigenvalue, vector = torch.tensor(1.0, dtype=torch.float64), held.clone()
    for _ in range(steps):
        miss = eigenvalue * vector - held
        moved = eigenvalue - rate * miss @ vector
        vector = vector - rate * (miss * eigenvalue + 2 * l2_phi * vector)
        eigenvalue = soft_threshold(moved, rate * strength)
    return float((eigenvalue * vector).norm())


def test_a_column_that_data_hold_falls_to_zero_from_a_quarter_of_its_norm():
    held, l2_phi = torch.tensor([0.6, 0.8, 2.4], dtype=torch.float64), 0.5
    norm = float(held.norm())
    # At a fixed product the two penalties leave c r^(2/3) of the norm r, c = 1.5 (2 a^2 b)^(1/3). Then r solves
    # norm - r = 2/3 c r^(-1/3), which has no root left where c exceeds its value at r = norm / 4.
    last = 1.5 * (0.75 * norm) * (0.25 * norm) ** (1 / 3)
    for share in (0.5, 0.97):
        strength = (share * last / 1.5) ** 1.5 / math.sqrt(2 * l2_phi)
        shrunk = column_that_data_hold(held, strength, l2_phi)
        assert norm - shrunk == pytest.approx(2 / 3 * share * last * shrunk ** (-1 / 3), rel=1e-4)
        assert shrunk > norm / 4
    assert shrunk < norm / 2, "close to the quarter before it falls"
    assert column_that_data_hold(held, (1.03 * last / 1.5) ** 1.5 / math.sqrt(2 * l2_phi), l2_phi) == 0


def test_columns_that_nothing_holds_arrive_at_zero_together_however_fine_the_path():
    data = toy(n=300, d=6)
    empty = np.array([False, False, True, True, False, True])
    rows = rows_of(data)
    rows.X[:, empty] = 0  # no gradient on their eigenvalues
    short = {"first_steps": 50, "level_steps": 50, "window": 20}
    finest = {"fall_of": "inputs", "least_fall": 1, "largest_fall": 0.05, "finest": 1.01, "least_steps": 2}
    settings = QUICK.model_copy(update={**short, **finest})
    walk = Walk(rows, [np.arange(192)], settings, 0, torch.float64)
    for step in range(1, 6):
        walk.step(0.5)
        left = walk.penalised[0, torch.from_numpy(empty)].numpy()
        np.testing.assert_allclose(left, 1 - step * settings.proximal_rate * 0.5, rtol=0, atol=1e-12)
    _, supports = Walk(rows, [np.arange(192)], settings, 0, torch.float32).follow([0.0, 0.1, 0.4])
    assert len(supports) > 4, "the step at which they leave was halved"
    assert set(supports[:, 0][:, empty].sum(1).tolist()) == {0, 3}, "all or none of them"


def literal_proximal_step(form, first, by):
    """The penalised values after their gradient step, one by one."""
    for j in range(first.in_features):
        if form == "spectral":
            moved = float(first.lambda_in[j])
            first.lambda_in[j] = math.copysign(max(abs(moved) - by, 0.0), moved)
        else:
            length = math.sqrt(sum(float(w) ** 2 for w in first.weight[:, j]))
            first.weight[:, j] *= max(1 - by / length, 0.0) if length else 0.0


@pytest.mark.parametrize(
    ("kind", "form", "proximal", "strength", "momentum"),
    [
        ("classification", "spectral", "sgd", 0.1, 0.0),
        ("regression", "spectral", "sgd", 0.2, 0.0),
        ("classification", "group_lasso", "sgd", 0.15, 0.0),
        ("regression", "group_lasso", "sgd", 0.3, 0.0),
        ("classification", "spectral", "sgd", 0.1, 0.8),
        ("regression", "group_lasso", "sgd", 0.3, 0.8),
        ("classification", "spectral", "adam", 3.0, 0.0),
        ("regression", "group_lasso", "adam", 4.0, 0.0),
    ],
)
def test_steps_equal_autograd_with_two_optimisers(kind, form, proximal, strength, momentum):
    # 64 rows and batches of 64: every step sees all rows, in whatever order.
    data = toy(n=100, d=6, kind=kind)
    weight = np.linspace(0.5, 1.5, 64)
    rate = 0.1 if proximal == "sgd" else 3e-3
    settings = SparseSettings(
        form=form, hidden=(7, 5), batch_size=64, l2_phi=1e-2, proximal=proximal, proximal_rate=rate, momentum=momentum
    )
    walk = Walk(rows_of(data, weight), [np.arange(64)], settings, 0, torch.float64)
    (module,) = modules_of(walk)
    first = module[0]
    penalised = first.lambda_in if form == "spectral" else first.weight
    of_penalised = (
        torch.optim.SGD([penalised], lr=rate, momentum=momentum, dampening=0.0)  # of (1 - momentum) times the gradient
        if proximal == "sgd"
        else torch.optim.Adam([penalised], lr=rate)
    )
    optimisers = [torch.optim.Adam([p for p in module.parameters() if p is not penalised], lr=1e-3), of_penalised]
    X, y = torch.from_numpy(data.X_train).double(), torch.from_numpy(data.y_train)
    with torch.no_grad():
        for _ in range(120):
            walk.step(strength)
    for _ in range(120):
        outputs = module(X)
        if kind == "classification":
            losses = nn.functional.cross_entropy(outputs, y, reduction="none")
        else:
            losses = (outputs[:, 0] - y) ** 2
        module.zero_grad()
        total = (losses * torch.from_numpy(weight)).mean()
        if form == "spectral":
            total = total + 1e-2 * (first.phi**2).sum()
        total.backward()
        penalised.grad *= 1 - momentum
        for step in optimisers:
            step.step()
        with torch.no_grad():
            literal_proximal_step(form, first, rate * strength)
    (found,) = modules_of(walk)
    zeros = penalised == 0 if form == "spectral" else (penalised == 0).all(0)
    assert 0 < zeros.sum() < 6
    assert torch.equal(walk.present()[0], ~zeros)
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
        torch.testing.assert_close(alone.penalised[0], together.penalised[slot], rtol=0, atol=1e-9)


def test_strong_penalties_give_exact_zeros_and_a_path_ends_empty():
    walk = Walk(rows_of(toy(n=300)), [np.arange(100), np.arange(90, 192)], QUICK, 0, torch.float64)
    offered = [0.0, *(0.05 * 2.0**k for k in range(12))]
    strengths, supports = walk.follow(offered)
    levels = len(strengths)
    assert strengths.tolist() == offered[:levels]
    assert levels < len(offered)
    assert (walk.penalised == 0).all()
    assert supports.shape == (levels, 2, 12)
    assert supports[0].all()
    assert supports[:-1].any((1, 2)).all()
    assert not supports[-1].any()
    unfinished, supports = Walk(rows_of(toy(n=300)), [np.arange(192)], QUICK, 0, torch.float32).follow([0.0])
    assert unfinished.tolist() == [0.0, math.inf]
    assert not supports[1].any()


def test_steps_that_lose_many_inputs_are_halved():
    rows = rows_of(toy(n=300, d=60))
    coarse = QUICK.model_copy(update={"least_fall": 4, "largest_fall": 1.0})
    fine = coarse.model_copy(update={"largest_fall": 0.3})
    offered, training = coarse.strengths(), [np.arange(192)]
    few, supports = Walk(rows, training, coarse, 0, torch.float32).follow(offered)
    steep = [coarse.model_copy(update={"largest_fall": 0.3}).too_steep(a, b) for a, b in itertools.pairwise(supports)]
    assert any(steep[1:-1])
    walk, starts = Walk(rows, training, fine, 0, torch.float32), []
    original = walk.level

    def level(strength, steps):
        starts.append((strength, walk.stack.flat.detach().clone()))
        return original(strength, steps)

    walk.level = level
    many, supports = walk.follow(offered)
    taken_back = [(start, again) for (s, start), (t, again) in itertools.pairwise(starts) if t < s]
    assert taken_back
    assert all(torch.equal(start, again) for start, again in taken_back)
    assert set(few[:-1]) <= set(many)
    assert (np.diff(many) > 0).all()
    first = steep.index(True)
    assert many[first + 1] < few[first + 1]  # what stands before the first steep step is the same walk
    assert many[: first + 1].tolist() == few[: first + 1].tolist()
    for (low, high), (before, after) in zip(
        itertools.pairwise(many[1:]), itertools.pairwise(supports[1:, 0].sum(1)), strict=True
    ):
        assert high <= low * fine.finest or before - after <= max(4, 0.3 * before)


def test_a_refined_path_changes_by_few_inputs_within_its_allowance():
    rows, training = rows_of(toy(n=300, d=12)), [np.arange(128), np.arange(64, 192)]
    coarse = QUICK.model_copy(update={"hidden": (8,), "levels": 12, "level_steps": 30, "window": 10, "first_steps": 60})
    fine = coarse.model_copy(update={"fall_of": "inputs", "least_fall": 1, "largest_fall": 0.05, "finest": 1.1})
    offered = coarse.strengths()
    plain = Walk(rows, training, coarse, 0, torch.float32)
    few, supports = plain.follow(offered)
    assert plain.trained == len(few)
    assert max((a != b).sum(1).mean() for a, b in itertools.pairwise(supports)) > 1
    free = Walk(rows, training, fine, 0, torch.float32)
    strengths, supports = free.follow(offered)
    for (low, high), (before, after) in zip(itertools.pairwise(strengths), itertools.pairwise(supports), strict=True):
        assert high <= low * fine.finest or (before != after).sum(1).mean() <= 1
    most = len(offered) + 2
    assert free.trained > most
    bound = Walk(rows, training, fine.model_copy(update={"most_levels": most}), 0, torch.float32)
    strengths, supports = bound.follow(offered)
    assert len(few) < len(strengths) <= bound.trained <= most
    assert not supports[-1].any()


def test_a_step_between_the_closest_strengths_is_made_in_parts():
    rows, training = rows_of(toy(n=300, d=12)), [np.arange(128), np.arange(64, 192)]
    whole = QUICK.model_copy(
        update={"hidden": (8,), "levels": 12, "level_steps": 32, "window": 10, "first_steps": 60}
        | {"fall_of": "inputs", "least_fall": 1, "largest_fall": 0.05, "finest": 10.0}
    )
    _, supports = Walk(rows, training, whole, 0, torch.float32).follow(whole.strengths())
    assert max((a != b).sum(1).mean() for a, b in itertools.pairwise(supports)) > 1
    parts = Walk(rows, training, whole.model_copy(update={"least_steps": 1}), 0, torch.float32)
    trained, level = [], parts.level

    def recorded(strength, steps):
        trained.append((strength, steps))
        return level(strength, steps)

    parts.level = recorded
    kept, supports = [], []
    for strength, support in parts.stations(whole.strengths()):
        kept.append(trained[-1] if strength < math.inf else (strength, 0))
        supports.append(support)
    assert len(kept) < len(trained)
    steps = {strength: [n for s, n in kept if s == strength] for strength, _ in kept}
    assert max(map(len, steps.values())) > 1
    assert all(sum(steps[strength]) == 32 for strength in list(steps)[1:-1])  # as many as in one piece
    assert list(steps)[:-1] == list(whole.strengths())[: len(steps) - 1]
    changes = [(a != b).sum(1).mean() for a, b in itertools.pairwise(supports)]
    larger = [part for part, change in zip(kept[1:], changes, strict=True) if change > 1 and part[0] < math.inf]
    assert all(n == 1 for _, n in larger)  # what one gradient step changes cannot be parted


def test_an_input_near_its_threshold_neither_leaves_nor_comes_back():
    settings = QUICK.model_copy(update={"window": 4, "certainty": 0.75})
    walk = Walk(rows_of(toy(n=300, d=4)), [np.arange(192)], settings, 0, torch.float32)
    first = [[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]]  # 3, 3, 2 and 2 of 4
    then = [[1, 0, 1, 1], [0, 0, 0, 1], [1, 0, 1, 0]]  # with the last of the first 3, 0, 2 and 3
    half = [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [1, 0, 1, 1]]
    after = iter([*first, *then, *half, *first])
    walk.step, walk.present = lambda strength: None, lambda: torch.tensor([next(after)], dtype=torch.bool)
    found = [walk.level(0.1, len(part)).tolist()[0] for part in (first, then, half, first)]
    assert found == [[True] * 4, [True, False, True, True], [True, False, True, True], [True] * 4]
    majority = Walk(
        rows_of(toy(n=300, d=4)), [np.arange(192)], settings.model_copy(update={"certainty": 0.5}), 0, torch.float32
    )
    again = iter([[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]])
    majority.step, majority.present = lambda strength: None, lambda: torch.tensor([next(again)], dtype=torch.bool)
    assert majority.level(0.1, 4).tolist() == [[False, True, False, True]]


def test_what_a_step_loses():
    before, after = np.zeros((2, 2, 40), dtype=bool)
    before[:, :30] = True
    after[0, 2:30] = after[1, :28] = after[1, 38:] = True  # 2 leave; 2 leave and 2 come
    sizes = SparseSettings(least_fall=0, largest_fall=0.03)
    inputs = SparseSettings(least_fall=0, largest_fall=0.09, fall_of="inputs")
    assert sizes.too_steep(before, after)  # (2 + 0) / 2 of 30
    assert not sizes.model_copy(update={"largest_fall": 0.04}).too_steep(before, after)
    assert inputs.too_steep(before, after)  # (2 + 4) / 2 of 30
    assert not inputs.model_copy(update={"largest_fall": 0.11}).too_steep(before, after)
    assert not inputs.model_copy(update={"least_fall": 3}).too_steep(before, after)
    assert inputs.model_copy(update={"least_fall": 2}).too_steep(before, after)


def test_a_step_that_is_taken_back_leaves_no_trace_in_the_weights():
    walk = Walk(rows_of(toy(n=300)), [np.arange(192)], QUICK, 0, torch.float64)
    walk.level(0.0)
    weights, averages = walk.stack.flat.detach().clone(), walk.adam.means.clone()
    start = walk._state()
    walk.level(1.0)
    assert not torch.equal(walk.stack.flat, weights)
    walk._restore(start)
    assert torch.equal(walk.stack.flat, weights)
    assert torch.equal(walk.adam.means, averages)
    assert int(walk.adam.steps) == QUICK.first_steps


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


def test_a_tolerance_admits_what_loses_no_more():
    rng = np.random.default_rng(0)
    w = np.ones(400)
    losses = np.stack([np.zeros(400), np.full(400, 0.1), np.full(400, 0.2), np.full(400, 0.3)])
    misses = np.zeros((4, 400))
    misses[1, :4] = misses[2, :7] = misses[3, :12] = 1  # .01, .0175 and .03
    misses = misses[:, rng.permutation(400)]
    sizes = np.array([9, 5, 3, 1])
    for tolerance, level in ((0.0, 0), (0.009, 0), (0.0101, 1), (0.017, 1), (0.018, 2), (0.029, 2), (0.031, 3)):
        assert sparsest_within_one_error(losses, sizes, w, misses, tolerance)[0] == level, tolerance


def literal_choice(judged, sizes, tolerance):
    """Fewest inputs among the levels within one paired error of the best, or within the tolerance of its score."""
    n, best = len(judged.losses[0]), min(range(len(sizes)), key=lambda k: judged.losses[k].mean())
    admitted = []
    for k in range(len(sizes)):
        paired = [a - b for a, b in zip(judged.losses[k], judged.losses[best], strict=True)]
        mean = sum(paired) / n
        error = math.sqrt(sum((p - mean) ** 2 for p in paired)) / n
        given_up = (judged.shortfalls[k].sum() - judged.shortfalls[best].sum()) / n
        if mean <= error or (tolerance and given_up <= tolerance):
            admitted.append((sizes[k], judged.losses[k].mean(), k))
    return min(admitted)[2]


def test_the_networks_that_are_asked_for_judge():
    rng = np.random.default_rng(0)
    levels, n, d, chosen = 6, 300, 8, set()
    supports = np.arange(d) < np.array([8, 7, 5, 3, 2, 0])[:, None, None]
    supports = np.repeat(supports, 5, axis=1)
    hard = rng.exponential(size=n)
    judgements = {
        judge: Judgement(
            hard + np.arange(levels)[:, None] * worse + rng.normal(size=(levels, n)) / 9,
            (rng.random(n) < 0.02 * (1 + worse * np.arange(levels)[:, None] * 20)).astype(float),
        )
        for judge, worse in (("refit", 0.002), ("path", 0.02))
    }
    path = JudgedPath(np.arange(6.0), supports, judgements, np.arange(n) % 5, np.ones(n), 0.0, 0.0)
    for judge, tolerance in itertools.product(("refit", "path"), (0.0, 0.01, 0.03, 0.1)):
        found = path.choose(SparseSettings(judged_by=judge, tolerance=tolerance))
        assert found.level == literal_choice(judgements[judge], [8, 7, 5, 3, 2, 0], tolerance), (judge, tolerance)
        np.testing.assert_allclose(found.losses, judgements[judge].losses.mean(1), rtol=1e-12)
        np.testing.assert_array_equal(found.support, supports[found.level, 0])
        chosen.add((judge, found.level))
    assert chosen > {("path", 0), ("path", 2), ("refit", 5)}
    without = replace(path, judgements={"path": judgements["path"]})
    assert without.choose(SparseSettings(judged_by="path")).level == path.choose(SparseSettings(judged_by="path")).level
    with pytest.raises(InputError, match="no refits"):
        without.choose(SparseSettings())


def test_support_by_votes_or_of_the_best_fold():
    folds = np.zeros((5, 6), dtype=bool)
    folds[:, :2] = True
    folds[:4, 2] = folds[:3, 3] = True
    assert np.flatnonzero(agreed(folds, [1, 1, 1, 1, 1], SparseSettings())).tolist() == [0, 1, 2]
    scattered = np.eye(5, 6, dtype=bool)
    assert np.flatnonzero(agreed(scattered, [3, 2, 1, 2, 3], SparseSettings())).tolist() == [2]
    assert not agreed(np.zeros((5, 6), dtype=bool), [1, 1, 1, 1, 1], SparseSettings()).any()


def test_trainings_are_counted_over_strengths_and_refits(xor):
    settings = QUICK.model_copy(update={"folds": 2, "votes": 2, "levels": 5, "first_steps": 100, "refit_steps": 20})
    path = judged_path(rows_of(xor), settings, 0)
    assert path.walked == np.isfinite(path.strengths).sum()
    distinct = sum(len({tuple(s) for s in path.supports[:, f] if s.any()}) for f in range(2))
    assert path.trainings == 2 * path.walked + distinct
    assert replace(path, judgements={"path": path.judgements["path"]}).trainings == 2 * path.walked


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
    _, supports = walk.follow([s for s in QUICK.strengths() if s < 0.13] + [0.13])
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


def test_all_supports_are_judged_by_refits(xor, xor_path):
    rows = Rows.of(xor)
    fold = fold_numbers(rows.y, rows.kind, 5, 1000)
    losses = []
    for f in range(5):
        part, _ = rows.split(np.flatnonzero(fold != f), np.flatnonzero(fold == f))
        (refit,) = fit_many(QUICK.refit(), part, [stream_seed("refit", 1000, f)], np.ones((1, 8), bool), chunk=1)
        losses.append(refit.valid_loss)
    assert xor_path.losses[0] == pytest.approx(np.mean(losses), abs=1e-4)


@pytest.mark.parametrize(("kind", "form"), [("classification", "spectral"), ("regression", "group_lasso")])
def test_a_path_judges_its_own_networks_without_refits(monkeypatch, kind, form):
    monkeypatch.setattr("xai_bench.models.sparse.fit_many", None)
    data = toy(n=300, kind=kind)
    settings = QUICK.model_copy(update={"form": form, "judged_by": "path", "levels": 4, "first_steps": 100})
    rows = rows_of(data, np.linspace(0.5, 1.5, 192))
    path = judged_path(rows, settings, 3, dtype=torch.float64)
    assert set(path.judgements) == {"path"}
    judged, fold = path.judgements["path"], fold_numbers(rows.y, kind, 5, 3)
    walk = Walk(rows, [np.flatnonzero(fold != f) for f in range(5)], settings, 3, torch.float64)
    X = rows.X.astype(float)
    for level, strength in enumerate(path.strengths):
        support = walk.level(strength) if math.isfinite(strength) else np.zeros((5, 12), dtype=bool)
        np.testing.assert_array_equal(path.supports[level], support)
        for f in range(5):
            held = fold == f
            layers = [m for m in walk.network(f, np.ones(12, dtype=bool)) if not isinstance(m, nn.ReLU)]
            h = X[held] * support[f]
            for k, layer in enumerate(layers):
                h = (h if k == 0 else np.maximum(h, 0)) @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
            y = rows.y[held]
            if kind == "classification":
                losses = np.log(np.exp(h).sum(1)) - h[np.arange(len(y)), y]
                shortfalls = h.argmax(1) != y
            else:
                losses = (h[:, 0] - y) ** 2
                shortfalls = losses / y.var()
            np.testing.assert_allclose(judged.losses[level, held], losses, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(judged.shortfalls[level, held], shortfalls, rtol=1e-6, atol=1e-9)
    assert path.choose(settings).losses[0] == pytest.approx(np.average(judged.losses[0], weights=rows.weight))


def test_runs_that_were_kept_before_there_was_a_second_judge_stay_valid():
    assert "judged_by" not in SparseSettings().identity()["fields"]
    assert SparseSettings(judged_by="path").identity()["fields"]["judged_by"] == "path"


@pytest.mark.parametrize("form", ["spectral", "group_lasso"])
def test_a_network_that_was_not_refitted_has_exact_zeros(xor, form):
    rows = rows_of(xor)
    settings = QUICK.model_copy(update={"form": form})
    some = np.arange(8) % 2 == 0
    untrained = Walk(rows, [np.arange(384)], settings, 0, torch.float32).network(0, some)[0].weight.norm(dim=0)
    np.testing.assert_array_equal(untrained.detach() > 0, some)
    module, support = walked([0.0, 0.1, 0.8], rows, settings, 1000)
    assert 0 < support.sum() < 8
    columns = module[0].weight.norm(dim=0)
    assert (columns[~torch.from_numpy(support)] == 0).all()
    assert (columns[torch.from_numpy(support)] > 0).any()
    x = torch.from_numpy(xor.X_test)
    torch.testing.assert_close(module(x), module(x * torch.from_numpy(support)), rtol=0, atol=0)


def test_group_lasso_takes_the_same_way(xor):
    settings = QUICK.model_copy(update={"form": "group_lasso", "proximal": "adam", "proximal_rate": 1e-2})
    path = sparse_path(xor, settings, 1000)
    assert path.support[xor.truth.relevant].all()
    assert path.model.test_score > 0.9
    assert isinstance(path.model.module[0], nn.Linear)


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
    early = SparseSettings(weakest=0.1, early_levels=2, early_ratio=1.1, levels=3, ratio=2)
    assert early.strengths() == pytest.approx([0, 0.1, 0.11, 0.121, 0.242, 0.484])
    for form in ("spectral", "group_lasso"):
        gentle = slow(form, agreed_by="votes")
        assert gentle.strengths()[1] * gentle.proximal_rate == pytest.approx(SLOW_FALL)
    refit = SparseSettings().refit()
    assert refit.steps(100_000) == 1000
    assert refit.l2_phi == refit.l2_lambda == refit.l1_lambda == refit.l1_phi == 0
