"""Functional tests of Compare-xAI: what a method must say of a function that is known exactly.

Source: Belaid, Huellermeier, Rabus, Krestel, "Do We Need Another Explainable AI Method? Toward Unifying Post-hoc XAI
Evaluation Methods into an Interactive and Multi-dimensional Benchmark", arXiv 2207.14160; definitions from the code,
github Karim-53/Compare-xAI. There a tree is fitted to every function but one; here a network computes it, with weights
set by hand, exactly on all rows of the test.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from xai_bench import registry
from xai_bench.errors import InputError, reason_of, unknown
from xai_bench.explainers.base import Problem

Floats = NDArray[np.float64]
PASSED = 0.995
"""A score from here on is passed: 1 to two digits, as some methods draw at random."""
REPEATS = 4
"""How often every row that is explained stands there: shuffling few rows says little, and a mean stays what it is."""
COLUMNS = ["test", "check", "explainer", "score", "passed", "reason"]


Layer: TypeAlias = tuple[list[list[float]], list[float]]
Layers: TypeAlias = tuple[Layer, ...]


@dataclass(frozen=True)
class Test:
    """A function on a few rows, and what is asked of the importances of its inputs.

    Attributes
    ----------
    name, check : as in Compare-xAI
    rows : (k, d) the different rows, each of which is explained
    counts : (k,) how often each stands in the training rows
    layers : weights and biases of the dense layers, with ReLU between them
    score : importances (d,) to a score in [0, 1], 1 for passed
    """

    name: str
    check: str
    rows: Floats
    counts: tuple[int, ...]
    layers: Layers
    score: Callable[[Floats], float]

    def network(self) -> nn.Sequential:
        """The function, in eval mode."""
        modules: list[nn.Module] = []
        for weight, bias in self.layers:
            dense = nn.Linear(len(weight[0]), len(weight))
            with torch.no_grad():
                dense.weight.copy_(torch.tensor(weight))
                dense.bias.copy_(torch.tensor(bias))
            modules += [dense, nn.ReLU()]
        return nn.Sequential(*modules[:-1]).eval().requires_grad_(False)

    def problem(self) -> Problem:
        """What a method is given; equal tests give equal bits."""
        network, order = self.network(), np.random.default_rng(0)
        train, explained = np.repeat(self.rows, self.counts, axis=0), np.repeat(self.rows, REPEATS, axis=0)
        X, X_explained = (torch.tensor(order.permutation(part), dtype=torch.float32) for part in (train, explained))
        with torch.no_grad():
            y, y_explained = network(X)[:, 0], network(X_explained)[:, 0]
        return Problem(network, X, y, X_explained, y_explained, "regression", 1)


def symmetric(importance: Floats) -> float:
    """1 less the difference of the two importances, in their units; 0 if that is below 0."""
    return max(0.0, 1.0 - abs(importance[0] - importance[1]))


def first_is_larger(importance: Floats) -> float:
    """1 if the first input is more important than the second."""
    return float(importance[0] > importance[1])


def first_is_largest(importance: Floats) -> float:
    """The share of the other inputs that are not more important than the first."""
    return float(np.mean(importance[1:] <= importance[0]))


def first_is_dummy(importance: Floats) -> float:
    """1 if the first input has no importance and the second has; else 1 less their ratio, to five digits."""
    first, second = abs(importance[0]), abs(importance[1])
    if first == 0 and second > 0:
        return 1.0
    return 0.0 if second == 0 or second < first else round(1 - first / second, 5)


def _grid(values: int, d: int) -> Floats:
    return np.array(list(itertools.product(range(values), repeat=d)), dtype=float)


PAIRS = _grid(2, 2)
BOTH: Layer = ([[1, 1]], [-1])
"""x0 and x1, of 0 and 1."""
SUM: Layers = (([[1.0, 0], [0, 1]], [0.0, 0]), ([[1.0, 1]], [0.0]))
TESTS = (
    Test("cough_and_fever", "importance_symmetric", PAIRS, (250,) * 4, (BOTH, ([[80]], [0])), symmetric),
    Test(
        "cough_and_fever_10_90",
        "importance_is_cough_more_important_than_fever",
        PAIRS,
        (250,) * 4,
        (([[1, 1], [1, 0]], [-1, 0]), ([[80, 10]], [0])),
        first_is_larger,
    ),
    Test(
        "a_and_b_or_c",
        "importance_x0_more_important",
        _grid(2, 3),
        (125,) * 8,
        (([[1, 0, 0], [0, 1, 1], [0, 1, 1]], [0, 0, -1]), ([[1, 1, -1]], [-1]), ([[1]], [0])),
        first_is_largest,
    ),
    *(
        Test(f"x0_plus_x1_distrib_{name}", "importance_symmetric", PAIRS, counts, SUM, symmetric)
        for name, counts in (
            ("non_uniform_stat_dep", (50, 1050, 450, 100)),
            ("uniform_stat_dep", (450, 50, 50, 450)),
            ("non_uniform_stat_indep", (300, 900, 100, 300)),
        )
    ),
    Test(
        "counterexample_dummy_axiom",
        "importance_is_b_dummy",
        _grid(6, 2),
        (28,) * 36,
        (([[0, 1]] * 5, [0, -1, -2, -3, -4]), ([[1, 2, 2, 2, 2]], [0])),
        first_is_dummy,
    ),
)
"""The order of the rows is that of their digits: 00, 01, 10, 11."""


def methods() -> list[str]:
    """Explainers of the package that need no field."""
    found = []
    for name in registry.names("explainers"):
        try:
            registry.create("explainers", name, {})
        except InputError:
            continue
        found.append(name)
    return found


def results(explainers: Iterable[str] | None = None) -> pd.DataFrame:
    """Every test of every method.

    Parameters
    ----------
    explainers : names; None for ``methods``

    Returns
    -------
    columns test, check, explainer, score (NaN where there is none), passed, reason (why there is none, or what
    importances failed)

    Raises
    ------
    InputError
        If there is no explainer of a name.
    """
    known = registry.names("explainers")
    rows = []
    for name in methods() if explainers is None else explainers:
        if name not in known:
            raise unknown("explainer", name, known)
        rows += [_result(test, name) for test in TESTS]
    return pd.DataFrame(rows, columns=COLUMNS)


def _result(test: Test, name: str) -> tuple[str, str, str, float, bool, str]:
    explainer, problem = registry.create("explainers", name, {}), test.problem()
    score, passed, reason = float("nan"), False, explainer.unsupported(problem) or ""
    if not reason:
        try:
            importance = explainer.explain(problem).relevance
        except Exception as error:  # a method that fails has its reason in the table
            reason = reason_of(error)
        else:
            score = test.score(importance.astype(float))
            passed = score >= PASSED
            reason = "" if passed else f"importances {', '.join(f'{value:.3g}' for value in importance)}"
    return test.name, test.check, name, score, passed, reason
