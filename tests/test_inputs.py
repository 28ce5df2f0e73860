"""Inputs of several columns: the partition, its order, names and masks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.test_draws import Given, table
from tests.toy import toy
from xai_bench import registry
from xai_bench.datasets.base import GroundTruth, Window
from xai_bench.datasets.boolean import CARDINALITIES, Monk1
from xai_bench.datasets.inputs import (
    columns_of,
    inputs_of,
    moved,
    names_of,
    number_of,
    partition,
    several_columns,
    shape_of,
    with_singles,
)
from xai_bench.datasets.ring import Xor
from xai_bench.errors import InputError
from xai_bench.metrics.recovery import oracle_relevance, random_scores
from xai_bench.scoring import recovery

INPUTS = ((0, 4), (1,), (2, 3, 5))


def test_partition_is_ordered():
    assert partition([[5, 2, 3], [1], (4, 0)], 6) == INPUTS
    assert with_singles([[4, 0], [2, 3, 5]], 6) == INPUTS
    with pytest.raises(InputError, match=r"columns 0 \.\. 5"):
        partition(INPUTS[:2], 6)


def test_masks_there_and_back():
    rng = np.random.default_rng(0)
    for _ in range(20):
        kept = rng.random(3) < 0.5
        columns = columns_of(kept, INPUTS)
        assert [columns[list(part)].all() for part in INPUTS] == list(kept)
        assert columns.sum() == sum(len(part) for part, keep in zip(INPUTS, kept, strict=True) if keep)
        np.testing.assert_array_equal(inputs_of(columns, INPUTS), kept)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: inputs_of(np.array([1, 0, 0, 0, 0, 0], dtype=bool), INPUTS), r"all or none of the columns \(0, 4\)"),
        (lambda: inputs_of(np.ones(5, dtype=bool), INPUTS), "6 columns, got one of 5"),
        (lambda: columns_of(np.ones(6, dtype=bool), INPUTS), "3 inputs, got one of 6"),
    ],
)
def test_masks_that_do_not_fit(call, line):
    with pytest.raises(ValueError, match=line):
        call()


def test_moved_follows_the_columns():
    permutation = np.random.default_rng(1).permutation(6)
    after = moved(INPUTS, permutation)
    assert sorted(tuple(sorted(permutation[list(part)])) for part in after) == list(INPUTS)
    assert moved(after, np.argsort(permutation)) == INPUTS


def test_names():
    names = ("size=10", "age", "red", "green", "size=11", "blue")
    assert names_of(INPUTS, names) == ("size", "age", "red + green + blue")


def test_of_one_hot_columns():
    data = Monk1(noise=2).load(3)
    assert [len(part) for part in data.canonical_inputs] == [*CARDINALITIES, 1, 1]
    assert sorted(data.input_names) == ["a1", "a2", "a3", "a4", "a5", "a6", "noise1", "noise2"]
    for part, name in zip(data.inputs, data.input_names, strict=True):
        assert {data.feature_names[column].split("=")[0] for column in part} == {name}
        if len(part) > 1:
            assert (data.X_train[:, list(part)].sum(1) == 1).all()
    assert {frozenset(block) for block in data.truth.blocks} == {frozenset(p) for p in data.inputs if len(p) > 1}


def test_values_over_inputs_between_both_orders():
    data = Monk1(noise=2).load(3)
    canonical = data.canonical_over_inputs(np.array(data.input_names))
    assert list(canonical) == ["a1", "a2", "a3", "a4", "a5", "a6", "noise1", "noise2"]
    assert tuple(data.shuffled_over_inputs(canonical)) == data.input_names
    kept = np.arange(8) % 3 == 0  # of a1, a4, noise1, in canonical order
    columns = columns_of(data.shuffled_over_inputs(kept), data.inputs)
    np.testing.assert_array_equal(data.canonical(columns), columns_of(kept, data.canonical_inputs))


def test_blocks_are_derived_from_inputs_and_inputs_from_blocks():
    X, truth = np.random.default_rng(0).normal(size=(40, 5)), GroundTruth(("noise",) * 5)
    data = Given(table(X=X, truth=truth, inputs=((0, 2), (1,), (3, 4)))).load(0)
    assert {frozenset(b) for b in data.canonical_truth.blocks} == {frozenset({0, 2}), frozenset({3, 4})}
    blocked = GroundTruth(("noise",) * 5, blocks=((4, 3), (2, 0)))
    assert Given(table(X=X, truth=blocked)).load(0).canonical_inputs == ((0, 2), (1,), (3, 4))


def test_names_that_the_source_gives_stay_with_their_columns():
    data = Given(table(inputs=((2, 1), (0,)), input_names=("pair", "single"))).load(1)
    names = dict(zip(data.input_names, data.inputs, strict=True))
    assert sorted(data.permutation[list(names["pair"])]) == [1, 2]
    assert data.permutation[list(names["single"])] == [0]


def test_channels_of_a_pixel_are_one_input():
    pixels = tuple((j, j + 4, j + 8) for j in range(4))
    data = Given(table(X=np.random.default_rng(0).random((40, 12)), inputs=pixels, feature_shape=(2, 2))).load(0)
    assert data.inputs == data.canonical_inputs == pixels
    assert data.d == 12


def test_every_column_is_an_input_unless_something_else_is_said():
    data = Xor(n=60, d=4).load(0)
    assert data.inputs == ((0,), (1,), (2,), (3,))
    assert data.input_names == data.feature_names
    np.testing.assert_array_equal(data.input_permutation, data.permutation)
    assert toy(d=3).inputs == ((0,), (1,), (2,))
    assert data.standardised().inputs == data.inputs


def test_number_of_each_column():
    assert number_of(INPUTS).tolist() == [0, 1, 2, 2, 0, 2]


@pytest.mark.parametrize(
    ("d", "inputs", "pixels", "shape"),
    [
        (6, INPUTS, None, (6,)),
        (6, tuple((j,) for j in range(6)), (2, 3), (2, 3)),
        (12, tuple((j, j + 6) for j in range(6)), (2, 3), (2, 2, 3)),
        (12, tuple((2 * j, 2 * j + 1) for j in range(6)), (2, 3), (12,)),  # channels last
    ],
)
def test_shape_of_a_row(d, inputs, pixels, shape):
    assert shape_of(d, inputs, pixels) == shape


def over_inputs(values, inputs):
    return np.array([sum(values[column] for column in columns) for columns in inputs])


GRADES = np.array([0.1, 0.0, 0.3, 0.0, 0.2, 0.4])
TRUTHS = {
    "roles": {"roles": ("relevant", "noise", "noise", "redundant", "negligible", "suppressor")},
    "graded": {"roles": ("relevant", "noise", "noise", "relevant", "noise", "noise"), "relevance": GRADES},
    "noise": {"roles": ("relevant", "relevant", "noise", "noise", "noise", "noise"), "relevance": GRADES},
    "groups": {"roles": ("relevant", "relevant", "noise", "noise", "noise", "noise"), "groups": ((0, 1),)},
    "groups_within": {"roles": ("relevant",) * 2 + ("noise",) * 4, "groups": ((0, 4), (2, 1))},
}


@pytest.mark.parametrize("name", TRUTHS)
def test_scores_over_inputs_are_those_of_the_sums_over_blocks(name):
    by_columns = GroundTruth(**TRUTHS[name], blocks=several_columns(INPUTS), resolution=0.2)
    assert_same_scores(by_columns, INPUTS)
    assert by_columns.over(INPUTS).blocks == ()


@pytest.mark.parametrize("name", ["monk1", "monk2", "monk3"])
def test_scores_of_monk_over_inputs_are_those_over_blocks(name):
    data = registry.create("datasets", name, {}).load(0)
    assert_same_scores(data.canonical_truth, data.canonical_inputs)
    truth = data.truth_over_inputs
    assert len(truth.roles) == len(data.inputs) < data.d
    np.testing.assert_array_equal(oracle_relevance(truth), [role == "relevant" for role in truth.roles])


def assert_same_scores(by_columns, inputs):
    by_inputs, rng = by_columns.over(inputs), np.random.default_rng(0)
    for _ in range(20):
        relevance = rng.integers(0, 4, len(by_columns.roles)).astype(float)
        joined = over_inputs(relevance, inputs)
        for metric in recovery.metrics():
            assert metric(relevance, by_columns) == metric(joined, by_inputs), metric.name
    for metric in recovery.metrics():
        assert metric.chance_of(by_columns) == metric.chance_of(by_inputs)
        if metric.reads == "ranks" and metric.name != "auroc_windows":
            one, other = (random_scores(metric, t, 5, np.random.default_rng(1)) for t in (by_columns, by_inputs))
            np.testing.assert_array_equal(one, other)


def test_windows_and_groups_over_inputs_and_truths_of_single_columns():
    windows = (Window("w", "line", "relevant", (1, 2, 3)), Window("v", "line", "noise", (0, 4, 5)))
    truth = GroundTruth(("relevant",) * 6, windows=windows, groups=((4, 5),))
    assert [w.columns for w in truth.over(INPUTS).windows] == [(1, 2), (0, 2)]
    assert truth.over(INPUTS).groups == ((0, 2),)
    assert truth.over(tuple((j,) for j in range(6))) is truth
