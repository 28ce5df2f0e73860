"""Tests of learning by permutation, against enumeration and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from xai_bench import permutation_tests


def p_by_enumeration(statistic, y, predicted):
    """The share of all permutations of the predictions whose statistic is as large."""
    found = [statistic(y, np.array(order)) for order in itertools.permutations(predicted)]
    return np.mean(np.array(found) >= statistic(y, predicted) - 1e-9)


def hits(y, predicted):
    return (y == predicted).sum()


def closeness(y, predicted):
    return -((y - predicted) ** 2).sum()


@pytest.mark.parametrize("seed", range(6))
def test_two_shuffled_classes_by_enumeration(seed):
    rng = np.random.default_rng(seed)
    y, predicted = rng.integers(0, 2, (2, 7))
    y[0], predicted[0] = 0, 0
    y[1], predicted[1] = 1, 1
    p_value = permutation_tests.better_than_shuffled_classes(y, predicted, 0)
    assert p_value == pytest.approx(p_by_enumeration(hits, y, predicted), rel=1e-12)
    assert permutation_tests.better_than_shuffled_classes(3 * y, 3 * predicted, 0) == p_value


def test_two_shuffled_classes_are_fishers_test():
    from scipy.stats import fisher_exact

    rng = np.random.default_rng(0)
    for n in (20, 300, 14_000):
        y = rng.random(n) < 0.1
        predicted = np.where(rng.random(n) < 0.1, y, rng.random(n) < 0.3)
        table = [[(y & predicted).sum(), (y & ~predicted).sum()], [(~y & predicted).sum(), (~y & ~predicted).sum()]]
        expected = fisher_exact(table, alternative="greater").pvalue
        assert permutation_tests.better_than_shuffled_classes(y.astype(int), predicted.astype(int), 0) == pytest.approx(
            expected
        )


@pytest.mark.parametrize("seed", range(8))
def test_more_shuffled_classes_by_enumeration(seed):
    """Random tables: four standard errors of their share, and 1 of 2000 that is added."""
    rng = np.random.default_rng(seed)
    y, predicted = rng.integers(0, 3, (2, 7))
    y[:4] = predicted[:4] = (0, 1, 2, 2)
    exact = p_by_enumeration(hits, y, predicted)
    found = permutation_tests.better_than_shuffled_classes(y, predicted, seed)
    drawn = 2000 if found <= 0.05 else 500 if found <= 0.2 else 100
    assert abs(found - exact) < 4 * math.sqrt(exact * (1 - exact) / drawn) + 1 / drawn


@pytest.mark.parametrize("seed", range(8))
def test_shuffled_values_by_enumeration(seed):
    rng = np.random.default_rng(seed)
    y, predicted = rng.normal(size=(2, 7))
    predicted += 5 + 0.3 * seed * y
    exact = p_by_enumeration(closeness, y, predicted)
    found = permutation_tests.better_than_shuffled_values(y, predicted, seed)
    drawn = 2000 if found <= 0.05 else 500 if found <= 0.2 else 100
    assert abs(found - exact) < 4 * math.sqrt(exact * (1 - exact) / drawn) + 1 / drawn
    assert permutation_tests.better_than_shuffled_values(100 * y + 3, 100 * predicted, seed) == found


def test_several_shuffled_targets_weigh_by_their_variance():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(6, 2)) * [1, 1000]
    predicted = y * [[1.0, 0.0]] + rng.normal(size=(6, 2)) * [0.2, 300]

    def together(order):
        return -(((y - predicted[list(order)]) / y.std(0)) ** 2).sum()

    exact = np.mean([together(order) >= together(range(6)) - 1e-9 for order in itertools.permutations(range(6))])
    found = permutation_tests.better_than_shuffled_values(y, predicted, 1)
    assert abs(found - exact) < 4 * math.sqrt(exact * (1 - exact) / 100) + 0.01
    assert 0.02 < exact < 0.5
    with_constant = np.column_stack([y, np.ones(6)]), np.column_stack([predicted, rng.normal(size=6)])
    assert permutation_tests.better_than_shuffled_values(*with_constant, 1) == found


def test_fourth_moment_by_enumeration():
    a, b = np.random.default_rng(0).lognormal(size=(2, 7))
    a, b = a - a.mean(), b - b.mean()
    sums = [(a * np.array(order)).sum() for order in itertools.permutations(b)]
    assert permutation_tests._fourth_moment(a, b) == pytest.approx(np.mean(np.array(sums) ** 4))


def test_bounds_are_above_what_permutations_give():
    """Where a bound stands for permutations, these give their least p-value but for one in 2000 at most."""
    rng = np.random.default_rng(0)
    y = rng.lognormal(size=200)
    predicted = y + 0.9 * rng.normal(size=200) * y.std()
    bound = permutation_tests.better_than_shuffled_values(y, predicted, 0)
    assert 0 < bound <= 1 / 2000
    sums = np.array([y @ rng.permutation(predicted) for _ in range(4000)])
    assert (sums >= y @ predicted).mean() <= bound + 4 * math.sqrt(bound / 4000)
    labels = np.arange(200) % 5
    guesses = np.where(np.arange(200) < 100, labels, rng.integers(0, 5, 200))
    bound = permutation_tests.better_than_shuffled_classes(labels, guesses, 0)
    assert 0 < bound <= 1 / 2000
    assert max((labels == rng.permutation(guesses)).sum() for _ in range(4000)) < (labels == guesses).sum()


def test_shuffling_shows_nothing_where_nothing_varies():
    one, y = np.ones(30, dtype=int), np.arange(30) % 3
    for labels, guesses in ((one, y), (y, one), (one, one), (y[:0], y[:0])):
        assert permutation_tests.better_than_shuffled_classes(labels, guesses, 0) == 1
    values, flat = np.arange(30.0), np.full(30, 0.1)
    noise = 1e-9 * np.random.default_rng(0).normal(size=30)
    for target, found in ((flat, values), (values, flat), (values, flat + noise), ([1.0], [1.0])):
        assert permutation_tests.better_than_shuffled_values(target, found, 0) == 1
    for broken in (math.nan, math.inf):
        assert permutation_tests.better_than_shuffled_values(values, np.where(values == 3, broken, values), 0) == 1
    assert permutation_tests.better_than_shuffled_values(values, 1e200 * values, 0) < 0.001
    with pytest.raises(ValueError, match="classes"):
        permutation_tests.better_than_shuffled_classes([0, 1], [0], 0)
    with pytest.raises(ValueError, match="values"):
        permutation_tests.better_than_shuffled_values([0.0, 1], [0.0], 0)
