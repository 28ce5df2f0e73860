"""On which inputs folds agree, where some inputs can stand for others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests.toy import QUICK
from xai_bench.models import sparse
from xai_bench.models.agreement import Collinearity, agreed, stand_ins, voted
from xai_bench.models.path import Rows, SparseSettings
from xai_bench.models.sparse import JudgedPath, Judgement, stable_support

N = 120


def mixed(seed=0):
    """Two numbers, a copy of the first, three dummies, a near copy of the second, a constant."""
    rng = np.random.default_rng(seed)
    numbers, category = rng.normal(size=(N, 2)), rng.integers(0, 3, N)
    near = numbers[:, 1] + 0.3 * rng.normal(size=N)
    return np.column_stack([numbers, -3 * numbers[:, 0], np.eye(3)[category], near, np.full(N, 2.0)])


def chosen(*inputs, d=8):
    return np.isin(np.arange(d), inputs)


@pytest.mark.parametrize("by", [(0,), (1, 3), (3, 4), (0, 2, 6), (3, 4, 5, 6)])
def test_explained_is_the_adjusted_r2_of_regressions(by):
    X, weight = mixed(), np.random.default_rng(1).uniform(0.5, 2, N)
    found = Collinearity(X, weight).explained(chosen(*by))
    for j in range(7):
        if j in by:
            assert found[j] == 1
            continue
        r2 = LinearRegression().fit(X[:, by], X[:, j], weight).score(X[:, by], X[:, j], weight)
        adjusted = 1 - (1 - r2) * (N - 1) / (N - len(by) - 1)
        assert found[j] == pytest.approx(max(adjusted, 0), abs=1e-8)
    assert found[7] == 0


def test_nothing_is_explained_by_none_or_by_as_many_inputs_as_rows():
    X = np.random.default_rng(0).normal(size=(6, 9))
    seen = Collinearity(X, np.ones(6))
    assert not seen.explained(chosen(d=9)).any()
    np.testing.assert_array_equal(seen.explained(chosen(0, 1, 2, 3, 4, 5, d=9)), chosen(0, 1, 2, 3, 4, 5, d=9))


def test_overlap_is_that_of_what_supports_say():
    seen = Collinearity(mixed(), np.ones(N))
    assert seen.overlap(chosen(0), chosen(2)) == pytest.approx(1)
    assert seen.overlap(chosen(3, 4), chosen(4, 5)) == pytest.approx(1)
    assert 0.8 < seen.overlap(chosen(1), chosen(6)) < 1
    assert seen.overlap(chosen(), chosen()) == 1
    assert seen.overlap(chosen(0), chosen()) == 0
    assert seen.stability(chosen(0), np.array([chosen(2), chosen()])) == pytest.approx(0.5)


def test_overlap_is_dice_where_inputs_are_not_correlated():
    X = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 9)) - 0.0)[0]
    X = np.linalg.qr(X - X.mean(0))[0]
    a, b = chosen(0, 1, 2, 3, d=9), chosen(2, 3, 4, d=9)
    assert Collinearity(X, np.ones(200)).overlap(a, b) == pytest.approx(2 * 2 / 7, abs=1e-9)


def test_folds_vote_for_what_theirs_explain():
    seen, settings = Collinearity(mixed(), np.ones(N)), SparseSettings()
    folds = np.array([chosen(0, 1), chosen(2, 1), chosen(0, 1), chosen(2, 6), chosen(2, 1, 5)])
    assert np.flatnonzero(voted(folds, settings)).tolist() == [1]
    found = {tuple(np.flatnonzero(support)) for support in stand_ins(folds, seen, settings)}
    assert found == {(0, 1), (1, 2), (2, 6)}
    alone = np.array([chosen(1, 3), chosen(1), chosen(1), chosen(1, 5), chosen(1)])
    assert stand_ins(alone, seen, settings) == []


def of_losses(monkeypatch, loss):
    """Refits whose loss is ``loss`` of the support."""

    def judged(rows, fold, supports, settings, seed, dtype):
        noise = np.random.default_rng(0).normal(size=(len(supports), N)) / 5
        noise -= noise.mean(1, keepdims=True)
        losses = noise + np.array([[loss(set(np.flatnonzero(of_folds[0])))] for of_folds in supports])
        return Judgement(losses, np.zeros_like(losses))

    monkeypatch.setattr(sparse, "pooled_refits", judged)


LOOSE = QUICK.model_copy(update={"agreement": 0.4})


def stable(folds, settings=LOOSE):
    X = mixed()
    rows = Rows(X, np.zeros(N), "regression", 1, np.ones(N))
    judgement = Judgement(np.zeros((1, N)), np.zeros((1, N)))
    path = JudgedPath(np.ones(1), folds[None], {"refit": judgement}, np.arange(N) % 5, np.ones(N), 0.0, 0.0)
    found = path.choose(settings)
    return np.flatnonzero(stable_support(rows, path, found, settings, 0)).tolist(), found


def test_of_equally_good_supports_the_most_stable_is_taken(monkeypatch):
    folds = np.array([chosen(0, 1), chosen(2, 1), chosen(0, 1), chosen(2, 6), chosen(2, 1, 5)])
    of_losses(monkeypatch, lambda support: 0.0)
    support, found = stable(folds)
    assert np.flatnonzero(found.support).tolist() == [1]  # by votes
    assert support in ([0, 1], [1, 2])
    of_losses(monkeypatch, lambda support: 0.001 if 2 in support else 0.0)
    assert stable(folds)[0] == [0, 1]
    of_losses(monkeypatch, lambda support: 0.001 if 0 in support else 0.0)
    assert stable(folds)[0] == [1, 2]
    of_losses(monkeypatch, lambda support: 0.0 if 6 in support else 1.0)
    assert stable(folds)[0] == [2, 6]
    of_losses(monkeypatch, lambda support: float(len(support)))
    assert stable(folds)[0] == [1]
    small = chosen(0), chosen(2), chosen(0), chosen(2), chosen(0)
    of_losses(monkeypatch, lambda support: 0.0 if not support else 1.0)
    support, _ = stable(np.array(small))
    assert support == np.flatnonzero(agreed(np.array(small), [0] * 5, LOOSE)).tolist() == [0]


def test_votes_or_networks_of_the_path_look_at_no_further_refit(monkeypatch):
    monkeypatch.setattr(sparse, "stable_support", None)
    X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    rows = Rows(X, (X[:, 0] > 0).astype(np.int64), "classification", 2, np.ones(40))
    short = QUICK.model_copy(update={"first_steps": 100, "levels": 1, "refit_steps": 5, "folds": 2, "votes": 2})
    for changed in ({"agreed_by": "votes"}, {"judged_by": "path"}):
        found = sparse.choose_support(rows, short.model_copy(update=changed), 0)
        assert replace(found, model=None).support.shape == (2,)
