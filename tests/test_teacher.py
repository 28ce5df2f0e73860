"""The teacher's data: its closed forms against integrals, and that the other inputs are never read."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xai_bench import registry
from xai_bench.datasets.base import GroundTruth
from xai_bench.datasets.teacher import Network, Teacher
from xai_bench.errors import InputError

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def literal(network, x):
    """The network's output for one row."""
    return sum(
        v * math.erf(sum(w * value for w, value in zip(row, x, strict=True)) / math.sqrt(2))
        for v, row in zip(network.outer, network.weights, strict=True)
    )


def drawn(**fields):
    source = Teacher(relevant=2, d=4, n=50, hidden=3, gain=1.0, **fields)
    return source, source.network(np.random.default_rng(5))


def test_the_network_is_the_formula():
    _, network = drawn()
    X = np.random.default_rng(0).normal(size=(6, 2))
    np.testing.assert_allclose(network(X), [literal(network, x) for x in X], rtol=0, atol=1e-12)


def test_explained_variances_are_those_of_a_quadrature():
    _, network = drawn()
    values = np.array([[literal(network, (a, b)) for b in NODES] for a in NODES])
    means = {(True, True): values, (True, False): values @ WEIGHTS, (False, True): WEIGHTS @ values}
    for kept, mean in means.items():
        weights = np.outer(WEIGHTS, WEIGHTS) if mean.ndim == 2 else WEIGHTS
        centre = (weights * mean).sum()
        assert abs(centre) < 1e-9
        # 40 points of Gauss and Hermite for erf functions of a gain of 1.
        assert network.explained(np.array(kept)) == pytest.approx((weights * (mean - centre) ** 2).sum(), abs=1e-6)
    assert network.explained(np.array([True, True])) == pytest.approx(1)
    assert network.explained(np.array([False, False])) == 0


def test_each_input_has_the_same_length_of_weights():
    network = Teacher(hidden=8, relevant=4, gain=3.0).network(np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(network.weights, axis=0), 3 * math.sqrt(2), rtol=1e-12)
    assert np.mean(np.square(network.weights).sum(1)) == pytest.approx(9)


def test_targets_are_made_of_the_inputs_of_the_truth_alone():
    source = Teacher(n=400, d=7, relevant=3, noise=0.0, truth_seed=2)
    table = source.draw(np.random.default_rng(1))
    assert table.truth.roles == ("relevant",) * 3 + ("noise",) * 4
    from xai_bench.component import stream_seed

    network = source.network(np.random.default_rng(stream_seed("truth", 2)))
    np.testing.assert_allclose(table.y, [literal(network, x[:3]) for x in table.X], rtol=0, atol=1e-10)
    grades = table.truth.relevance
    assert (grades[:3] > 0).all()
    assert grades[:3].sum() > 1  # total indices count interactions several times
    assert (grades[3:] == 0).all()


def test_grades_are_total_sobol_indices():
    source, network = drawn(truth_seed=0)
    network = source.network(np.random.default_rng(9))
    lost = 1 - network.explained(np.array([False, True]))
    values = np.array([[literal(network, (a, b)) for b in NODES] for a in NODES])
    within = (WEIGHTS @ (values - WEIGHTS @ values) ** 2) @ WEIGHTS
    assert lost == pytest.approx(within, abs=1e-6)


def test_ceiling():
    source, full = Teacher(d=5, relevant=3, noise=0.5), np.ones(5, dtype=bool)
    truth = source.draw(np.random.default_rng(0)).truth
    assert source.ceiling(full, truth) == pytest.approx(0.8)
    assert source.ceiling(np.array([1, 1, 1, 0, 0], dtype=bool)) == pytest.approx(0.8)
    without = np.array([1, 0, 1, 1, 1], dtype=bool)
    assert source.ceiling(without, truth) == pytest.approx(0.8 * (1 - truth.relevance[1]))
    assert source.ceiling(without) is None
    assert source.ceiling(np.array([1, 0, 0, 1, 1], dtype=bool), truth) is None
    assert source.ceiling(~np.array([1, 1, 1, 0, 0], dtype=bool), truth) == 0


def test_a_draw_says_what_it_is():
    source = registry.create("datasets", "teacher", {"n": 100})
    family = source.family_of(source.load(0))
    assert family == ("teacher", ("marginal", "interacting", "regression"))
    first, second = (source.load(seed).canonical_truth for seed in (0, 1))
    assert isinstance(first, GroundTruth)
    assert first.roles == second.roles
    assert (first.relevance != second.relevance).any()
    with pytest.raises(InputError, match="expected relevant <= d, got relevant = 5 and d = 3"):
        registry.create("datasets", "teacher", {"d": 3})


def test_one_hidden_node_of_one_input():
    network = Network(np.array([[2.0]]), np.array([1.0]))
    assert network.explained(np.array([True])) == pytest.approx(2 / math.pi * math.asin(0.8))
