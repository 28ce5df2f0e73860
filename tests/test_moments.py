"""Evidence from moments: against a literal version, and on rules that it can and cannot see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from tests.reference import moments as literal
from xai_bench.models.moments import ridge
from xai_bench.models.moments.basis import basis
from xai_bench.models.moments.evidence import Evidence
from xai_bench.models.moments.residual import target, whitened
from xai_bench.models.moments.rounds import find, starting_values
from xai_bench.models.moments.tails import minus_log_tail


def columns(n=90, seed=0):
    """Normal, heavy-tailed, three values, two values, mostly 0, constant, normal."""
    rng = np.random.default_rng(seed)
    some = [rng.normal(size=n), rng.standard_t(1, n), rng.integers(0, 3, n), rng.random(n) < 0.2]
    return np.column_stack([*some, np.where(rng.random(n) < 0.8, 0, rng.normal(size=n)), np.ones(n), rng.normal(size=n)])


def test_functions_are_those_of_gram_schmidt():
    X = columns()
    found = basis(X)
    expected = np.array([literal.functions(x) for x in X.T])
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert [int(one.any(1).sum()) for one in found] == [8, 8, 2, 1, int(expected[4].any(1).sum()), 0, 8]
    products = found[0] @ found[0].T / len(X)
    np.testing.assert_allclose(products, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(found.mean(2), 0, atol=1e-5)


@pytest.mark.parametrize("degrees", [1, 2, 8, 42, 378])
def test_tails_are_those_of_scipy(degrees):
    x = np.concatenate([[0.0], np.geomspace(0.1, 1200, 40)])
    expected = -chi2.logsf(x, degrees)
    np.testing.assert_allclose(minus_log_tail(x, degrees), expected, rtol=1e-9, atol=1e-12)


def test_tails_go_on_where_they_underflow():
    x = np.array([1e3, 1e4, 1e5])
    np.testing.assert_allclose(minus_log_tail(x, 2), x / 2, rtol=1e-12)
    np.testing.assert_allclose(minus_log_tail(x, 4), x / 2 - np.log1p(x / 2), rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, None])
@pytest.mark.parametrize("blocks", [3, 128])
def test_evidence_is_the_literal_one(classes, blocks, monkeypatch):
    monkeypatch.setattr("xai_bench.models.moments.evidence.COLUMNS_AT_ONCE", blocks)
    X, rng = columns(400 if classes is None else 90), np.random.default_rng(1)
    score = X[:, 0] * X[:, 6] + 0.3 * X[:, 3] + rng.normal(size=len(X))
    y = score if classes is None else np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score)
    Y = target(y, classes)
    r = whitened(Y, Y)
    assert len(r) == (1 if classes is None else classes - 1)
    prediction = np.column_stack([X[:, 0] ** 2, np.sin(X[:, 6])])
    found = Evidence(basis(X), r, (3, 0), basis(prediction)).screened
    np.testing.assert_allclose(found, literal.evidence(X, r, (3, 0), prediction), rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(Evidence(basis(X), r).screened, literal.evidence(X, r), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_left_out_predictions_are_those_of_fits_without_the_row(order, monkeypatch):
    monkeypatch.setattr(ridge, "STRENGTHS", (0.01,))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    Y = np.column_stack([X[:, 0] * X[:, 1], X[:, 2] + rng.normal(size=40)])
    found = ridge.fit(basis(X), Y, (ridge.Kernel(order, 1.0),))
    expected = literal.left_out(basis(X).astype(float), Y, order, 1.0, 0.01)
    np.testing.assert_allclose(found.left_out, expected, atol=2e-3)
    assert found.risk == pytest.approx(((Y - expected) ** 2).mean(0).sum(), rel=1e-3)
