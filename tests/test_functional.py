"""Functional tests of Compare-xAI: the functions are exact, the checks are those of its code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xai_bench import functional
from xai_bench.errors import InputError

EXPECTED = {
    "cough_and_fever": lambda x: 80.0 * (x[0] and x[1]),
    "cough_and_fever_10_90": lambda x: 90.0 if x[0] and x[1] else 10.0 if x[0] else 0.0,
    "a_and_b_or_c": lambda x: float(x[0] and (x[1] or x[2])),
    "counterexample_dummy_axiom": lambda x: x[1] ** 2,
}


@pytest.mark.parametrize("test", functional.TESTS, ids=lambda test: test.name)
def test_the_network_is_the_function(test):
    expected = EXPECTED.get(test.name, lambda x: x[0] + x[1])
    outputs = test.network()(torch.tensor(test.rows, dtype=torch.float32))[:, 0].tolist()
    assert outputs == [expected(row) for row in test.rows]
    problem = test.problem()
    assert len(problem.X_train) == sum(test.counts)
    assert len(np.unique(problem.X_valid.numpy(), axis=0)) == len(test.rows)


def test_the_rows_are_those_of_the_code():
    by_name = {test.name.removeprefix("x0_plus_x1_distrib_"): test for test in functional.TESTS}
    counts = dict(zip([tuple(row) for row in functional.PAIRS], by_name["non_uniform_stat_dep"].counts, strict=True))
    assert counts == {(0, 0): 50, (1, 1): 100, (1, 0): 450, (0, 1): 1050}
    X = by_name["uniform_stat_dep"].problem().X_train.numpy()
    assert np.mean((X == 1).all(1)) == pytest.approx(0.45)
    assert np.corrcoef(by_name["non_uniform_stat_indep"].problem().X_train.numpy().T)[0, 1] == pytest.approx(
        0, abs=1e-6
    )
    assert by_name["non_uniform_stat_indep"].problem().X_train.numpy().mean(0).tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("check", "importance", "score"),
    [
        (functional.symmetric, [3.0, 3.25], 0.75),
        (functional.symmetric, [3.0, 5.0], 0.0),
        (functional.first_is_larger, [2.0, 2.0], 0.0),
        (functional.first_is_larger, [2.1, 2.0], 1.0),
        (functional.first_is_largest, [2.0, 2.0, 3.0], 0.5),
        (functional.first_is_dummy, [0.0, 1.0], 1.0),
        (functional.first_is_dummy, [1.0, 4.0], 0.75),
        (functional.first_is_dummy, [4.0, 1.0], 0.0),
        (functional.first_is_dummy, [0.0, 0.0], 0.0),
    ],
)
def test_checks(check, importance, score):
    assert check(np.array(importance)) == score


def test_a_result_is_passed_or_has_a_reason():
    found = functional.results(["integrated_gradients", "spectral"])
    assert len(found) == 2 * len(functional.TESTS)
    assert ((found["reason"] == "") == found["passed"]).all()
    by = found.set_index(["explainer", "test"])
    assert by.loc["integrated_gradients", "passed"].sum() >= 5
    assert by.loc["spectral", "score"].isna().all()
    assert "captum" not in functional.methods()


def test_an_unknown_method_is_one_line():
    with pytest.raises(InputError, match="unknown explainer 'integrated_gradient': did you mean integrated_gradients"):
        functional.results(["integrated_gradient"])
