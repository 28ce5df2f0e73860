"""Evidence from moments: against a literal version, and on rules that it can and cannot see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from tests.networks import network, problem
from tests.reference import moments as literal
from tests.toy import toy
from xai_bench.errors import InputError
from xai_bench.estimators import SpectralMLPClassifier
from xai_bench.explainers import moments as explainers
from xai_bench.explainers.base import Problem
from xai_bench.explainers.moments import Moments, SpectralMoments
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.moments import ensemble, evidence, ridge, rounds
from xai_bench.models.moments.basis import basis
from xai_bench.models.moments.ensemble import FOLDS, MEMBERS, RATE, Ensemble, one_cycle
from xai_bench.models.moments.evidence import Evidence
from xai_bench.models.moments.residual import target, whitened
from xai_bench.models.moments.rounds import find, starting_values
from xai_bench.models.moments.tails import minus_log_tail
from xai_bench.models.streams import Streams
from xai_bench.models.training import fit_many, fit_one


def columns(n=90, seed=0):
    """Normal, heavy-tailed, three values, two values, mostly 0, constant, normal."""
    rng = np.random.default_rng(seed)
    some = [rng.normal(size=n), rng.standard_t(1, n), rng.integers(0, 3, n), rng.random(n) < 0.2]
    return np.column_stack(
        [*some, np.where(rng.random(n) < 0.8, 0, rng.normal(size=n)), np.ones(n), rng.normal(size=n)]
    )


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


def test_target_and_residual():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 200)
    r = whitened(target(classes, 4), target(classes, 4))
    assert r.shape == (3, 200)  # the last class follows from the others
    np.testing.assert_allclose(r @ r.T / 200, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(r.mean(1), 0, atol=1e-12)
    values = rng.standard_t(1, 200)
    Y = target(values, None)
    median, spread = np.median(values), np.median(np.abs(values - np.median(values))) / 0.6745
    np.testing.assert_allclose(Y[:, 0], np.clip(values - median, -4 * spread, 4 * spread))
    skew = np.exp(rng.normal(size=(200, 1)))
    assert np.abs(whitened(skew, skew)).max() < 0.9 * np.abs((skew - skew.mean()) / skew.std()).max()
    assert whitened(1e-9 * rng.normal(size=(200, 1)), Y).shape == (0, 200)  # what a perfect fit leaves
    assert whitened(np.zeros((200, 1)), np.zeros((200, 1))).shape == (0, 200)


@pytest.mark.parametrize("classes", [2, 3])
def test_inputs_are_tested_again_with_the_covariance_of_the_products(classes, monkeypatch):
    monkeypatch.setattr(evidence, "RETESTED", 10_000)
    rng = np.random.default_rng(3)
    X = rng.normal(size=(420, 4))
    X[:, 1] = 0.9 * X[:, 0] + 0.4 * X[:, 1]
    score = X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3] + rng.normal(size=420)
    Y = target(np.digitize(score, [0.5] if classes == 2 else [0, 1]), classes)
    r = whitened(Y, Y)
    found = Evidence(basis(X), r)
    again = np.array([found.retested(k) for k in range(4)])
    np.testing.assert_allclose(again, [literal.retested(X, r, k) for k in range(4)], rtol=2e-3)
    assert (again <= found.screened).all()
    assert again[0] < found.screened[0] - 2  # of dependent inputs


def test_known_partners_are_tested_again_too():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 6))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    Y = target(y, 2)
    r = whitened(Y, Y)
    alone, known = Evidence(basis(X), r), Evidence(basis(X), r, (1,))
    # One choice among five partners less: log(6 * 5) against log(6 * 1).
    assert known.retested(0) == pytest.approx(alone.retested(0) + np.log(5), abs=0.01)
    assert known.retested(0) <= known.screened[0]
    by_prediction = Evidence(basis(X), r, (), basis(X[:, 1:2]))
    assert by_prediction.retested(0) == pytest.approx(known.retested(0), abs=0.01)


def disjunction(x, rng):
    return (x[:, 0] * x[:, 1] > 0.3) | (np.abs(x[:, 2]) > 0.8)


def curved(x, rng):
    return x[:, 0] * x[:, 1] + x[:, 2] ** 2 + 0.3 * rng.normal(size=len(x))


def three_classes(x, rng):
    return np.digitize(x[:, 0] * x[:, 1] + 0.5 * x[:, 2], [-0.2, 0.2])


@pytest.mark.parametrize(("rule", "classes"), [(disjunction, 2), (curved, None), (three_classes, 3)])
def test_rounds_find_inputs_that_act_together(rule, classes):
    rng = np.random.default_rng(1000)
    x = rng.uniform(-1, 1, size=(800, 40))
    found = find(x, np.asarray(rule(x, rng), dtype=float if classes is None else int), classes)
    assert set(found.active) == {0, 1, 2}
    assert sorted(found.active, key=lambda j: -found.evidence[j]) == list(found.active)
    assert found.evidence[3:].max() < found.evidence[:3].min()


def test_a_parity_of_three_is_not_seen():
    rng = np.random.default_rng(1000)
    x = rng.uniform(-1, 1, size=(800, 20))
    assert find(x, (x[:, :3].prod(1) > 0).astype(int), 2).active == ()


def test_a_copy_waits_and_then_tells_nothing_more():
    rng = np.random.default_rng(1000)
    x = rng.uniform(-1, 1, size=(400, 10))
    x[:, 7] = x[:, 0] + 0.01 * rng.normal(size=400)
    found = find(x, x[:, 0] + 0.3 * rng.normal(size=400), None)
    assert len(found.active) == 1
    assert set(found.active) <= {0, 7}
    assert rounds._without_proxies(basis(x), [0, 7, 3], near=0.2) == [0, 3]


def measured_twice(n=400, d=30):
    """Classes of the product of two hidden values, each measured by three inputs with errors of their own."""
    rng = np.random.default_rng(1000)
    hidden = rng.choice([-1.0, 1.0], size=(n, 2))
    X = rng.normal(size=(n, d))
    X[:, :6] = np.repeat(hidden, 3, axis=1) + 0.4 * X[:, :6]
    return X.astype(np.float32), (hidden.prod(1) > 0).astype(np.int64)


def test_what_passed_once_is_ordered_by_that_evidence_and_starts_at_even_odds():
    X, y = measured_twice()
    found, psi, Y = find(X, y, 2), basis(X), target(y, 2)
    first = Evidence(psi, whitened(Y - ridge.fit(psi[:0], Y).left_out, Y))
    bar = np.log(rounds.ROUNDS / rounds.LEVEL)
    assert (np.isfinite(found.passed) == (np.arange(30) < 6)).all()
    assert 2 <= len(found.active) < 6
    waiting = sorted(set(range(6)) - set(found.active))
    assert np.flatnonzero(found.waiting).tolist() == waiting
    assert (found.evidence[waiting] < bar).all(), "the others have explained them"
    np.testing.assert_allclose(found.ordered[waiting], [first.retested(j) for j in waiting])
    active = list(found.active)
    assert (found.ordered[active] == found.evidence[active]).all()
    expected = starting_values(found.evidence)
    expected[waiting] = 0.5
    np.testing.assert_allclose(found.starting, expected)
    assert (found.ordered[6:] == found.evidence[6:]).all()
    noise = find(X[:, 6:], y, 2)
    assert (noise.passed == -np.inf).all()
    assert (noise.ordered == noise.evidence).all()


def test_an_input_that_helps_nothing_is_not_confirmed():
    rng = np.random.default_rng(1000)
    x = rng.normal(size=(300, 4))
    psi, Y = basis(x), target(x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=300), None)
    entered = [0, 1, 2]
    assert rounds._confirmed(psi, Y, entered, ridge.fit(psi[entered], Y)) == [0, 1]


def test_neighbours_in_a_series_of_noise_are_not_selected():
    false = screened = 0
    for seed in range(5000, 5020):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(400, 24))
        for j in range(1, 24):
            x[:, j] = 0.9 * x[:, j - 1] + 0.19**0.5 * x[:, j]
        y = rng.integers(0, 2, 400)
        Y = target(y, 2)
        screened += Evidence(basis(x), whitened(Y, Y)).screened.max() > np.log(rounds.ROUNDS / rounds.LEVEL)
        false += bool(find(x, y, 2).active)
    assert screened >= 1
    assert false == 0


def test_a_target_or_inputs_that_are_constant_have_no_evidence():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)
    assert find(x, np.zeros(50, dtype=int), 2).active == ()
    assert find(x, np.zeros(50), None).active == ()
    found = find(np.column_stack([x, np.ones(50)]), y, 2)
    assert found.evidence[3] == found.evidence.min()
    assert np.isfinite(found.evidence).all()
    assert np.isfinite(find(x[:, :1], y, 2).evidence).all()


def test_more_rows_than_are_looked_at_are_thinned_out(monkeypatch):
    monkeypatch.setattr(rounds, "ROWS", 200)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 3)), rng.integers(0, 2, 400)
    kept = np.linspace(0, 399, 200).astype(int)
    np.testing.assert_array_equal(find(x, y, 2).evidence, find(x[kept], y[kept], 2).evidence)


def test_the_approximate_ridge_is_near_the_exact_one(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    Y = (X[:, :1] * X[:, 1:]).clip(-3, 3) + 0.1 * rng.normal(size=(300, 1))
    exact = ridge.fit(basis(X), Y)
    monkeypatch.setattr(ridge, "EXACT_ROWS", 150)
    assert ridge.fit(basis(X), Y).risk == pytest.approx(exact.risk, rel=0.1)


def test_starting_values():
    found = starting_values(np.array([-1e6, -5.0, 0.0, 2.0, 1e6]))
    np.testing.assert_allclose(found, [0.05, 0.05, 0.5, 1 / (1 + np.exp(-2)), 1.0])


def test_one_cycle_is_that_of_torch():
    steps, weight = 100, torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    # torch's halves meet between two steps.
    np.testing.assert_allclose([one_cycle(step, steps) for step in range(steps)], rates, atol=0.06 * RATE)
    assert max(one_cycle(step, steps) for step in range(steps)) == RATE


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_networks_are_those_of_autograd(kind):
    data = toy(kind=kind, d=5)
    X, y, start = data.X_train, data.y_train, np.array([1.0, 0.6, 0.05, 0.05, 0.3])
    given = Ensemble(X, y, kind, data.n_outputs, start, seed=4)
    streams = [Streams(s._task, len(rows), 128) for s, rows in zip(given.streams, given.training, strict=True)]
    rates = [1e-3, 5e-3, 2e-3, 4e-3]
    with torch.no_grad():
        for rate in rates:
            given.step(rate)
        result = given.result()
    Z = (X - X.mean(0)) / X.std(0)
    expected = literal.trained(Z, y, kind, data.n_outputs, start, rates, given.training, streams)
    assert len(expected) == FOLDS * MEMBERS
    np.testing.assert_allclose(result.relevance, np.mean([a * b for a, b in expected], axis=0), atol=1e-5)
    assert result.held_out.shape == (len(X), data.n_outputs)
    seen = [set(rows.tolist()) for rows in given.training]
    assert all(set(np.flatnonzero(given.fold == k)).isdisjoint(seen[MEMBERS * k]) for k in range(FOLDS))


def together(n=400, d=30):
    """Classes of the product of the first two inputs."""
    rng = np.random.default_rng(1000)
    X = torch.from_numpy(rng.normal(size=(n, d)).astype(np.float32))
    y = (X[:, 0] * X[:, 1] > 0).long()
    return Problem(None, X[:300], y[:300], X[300:], y[300:], "classification", 2)


def test_explainers_look_at_all_rows_and_rank_by_evidence_or_networks():
    p = together()
    X, y = torch.cat([p.X_train, p.X_valid]).numpy(), torch.cat([p.y_train, p.y_valid]).numpy()
    expected = find(X, y, 2)
    np.testing.assert_allclose(Moments().explain(p).relevance, np.logaddexp(0, expected.evidence))
    found = SpectralMoments(steps=60).explain(p, seed=1).relevance
    assert set(np.argsort(-found)[:2]) == {0, 1}
    ordered = np.argsort(-expected.ordered)
    assert expected.active == tuple(ordered[:2]), "the candidates are the first 24 of these"
    rest = ordered[24:]
    assert (np.diff(found[rest]) <= 0).all()
    assert 0 < found[rest].max() <= explainers.LEAST * found.max() * 1.01
    relevance, held_out = SpectralMoments(steps=60).trained(p)
    assert (held_out.argmax(1) == y).mean() > 0.8
    assert len(relevance) == 30


def test_networks_judge_inputs_that_wait():
    X, y = (torch.from_numpy(part) for part in measured_twice())
    p = Problem(None, X[:300], y[:300], X[300:], y[300:], "classification", 2)
    found = SpectralMoments(candidates=1, further=0, steps=300).explain(p, seed=1).relevance
    assert set(np.argsort(-found)[:6]) == set(range(6))
    assert np.sort(found)[-6] > 1e3 * np.sort(found)[-7], "no other is a candidate"


def test_active_inputs_come_before_those_that_wait_and_these_before_others(monkeypatch):
    evidence = np.linspace(3, -3, 30)
    evidence[[7, 9]] = 6.0, -5.0
    passed = np.full(30, -np.inf)
    passed[[7, 9, 20]] = 6.0, 80.0, 70.0
    known = rounds.Found(evidence, (7,), passed)
    seen = []

    def blind(X, y, kind, n_outputs, start, seed, steps):
        seen.append((X, start))
        return ensemble.Trained(np.zeros(X.shape[1]), np.zeros((len(X), 2)))

    monkeypatch.setattr(explainers, "found", lambda problem: known)
    monkeypatch.setattr(ensemble, "train", blind)
    p = together()
    found = SpectralMoments(candidates=1, further=1).explain(p, seed=1).relevance
    ((columns, start),) = seen
    assert (columns == torch.cat([p.X_train, p.X_valid]).numpy()[:, [0, 7, 9, 20]]).all()
    np.testing.assert_allclose(start, [1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-6)), 0.5, 0.5])
    rest = [j for j in range(30) if j not in (7, 9, 20)]
    assert np.argsort(-found, kind="stable").tolist() == [7, 9, 20, *rest]
    assert found[7] == pytest.approx(explainers.LEAST)
    monkeypatch.setattr(explainers, "TESTED", 2)
    assert SpectralMoments(candidates=1).chosen(known).tolist() == [7, 9]
    assert SpectralMoments(candidates=4).chosen(known).tolist() == [0, 7, 9, 20]


def test_held_out_values_of_a_regression_are_in_its_units():
    p = together()
    y, y_valid = (100 + 10 * X[:, 3] for X in (p.X_train, p.X_valid))
    p = replace(p, y_train=y, y_valid=y_valid, kind="regression", n_outputs=1)
    _, held_out = SpectralMoments(steps=200).trained(p)
    wanted = torch.cat([y, y_valid]).numpy()
    assert ((held_out[:, 0] - wanted) ** 2).mean() < 0.3 * wanted.var()


def test_what_is_not_supported():
    few = problem(network(), n=4, n_train=10)
    assert Moments().unsupported(few) == "it needs 20 rows, and there are 14"
    enough = together()
    assert SpectralMoments().unsupported(enough) is None
    small = replace(enough, memory=400 * 30 * 32 * 2 - 1)
    assert "more than half of the limit" in Moments().unsupported(small)
    assert Moments().unsupported(replace(small, memory=small.memory + 1)) is None
    with pytest.raises(InputError, match="steps"):
        SpectralMoments(steps=0)


@pytest.mark.parametrize(
    "architecture", [SpectralMLP(initial_eigenvalues="moments"), MLP(initial_columns="moments")], ids=lambda a: a.name
)
@pytest.mark.parametrize("columns", [None, (0, 1, 5, 7)])
def test_networks_start_from_the_evidence_of_their_training_rows(architecture, columns):
    data = toy(n=400)
    chosen = list(range(data.d)) if columns is None else list(columns)
    fields = {"hidden": (6,), "epochs": 1e-9, "min_steps": 1, "checkpoints": 1, "learning_rate": 1e-30}
    architecture = architecture.model_copy(update=fields)
    plain = architecture.model_copy(update={"initial_eigenvalues": "ones", "initial_columns": "glorot"})
    mask = np.isin(np.arange(data.d), chosen)
    (given,) = fit_many(architecture, data, [3], mask[None])
    (usual,) = fit_many(plain, data, [3], mask[None])
    start = starting_values(find(data.X_train[:, chosen], data.y_train, 3).evidence)
    before, after = (next(one.module.children()).weight.detach() for one in (usual, given))
    np.testing.assert_allclose(after, before * torch.from_numpy(start).float(), rtol=1e-5)
    alone = fit_one(architecture, data, 3, columns)
    np.testing.assert_allclose(next(alone.module.children()).weight.detach(), after, rtol=1e-5)


def test_the_usual_start_has_the_identity_that_it_had():
    assert "initial_columns" not in MLP().identity()["fields"]
    assert MLP(initial_columns="moments").identity()["fields"]["initial_columns"] == "moments"
    assert SpectralMLP().identity()["fields"]["initial_eigenvalues"] == "ones"
    with pytest.raises(InputError, match="initial_eigenvalues: expected 'ones' or 'moments', got 'moment'"):
        SpectralMLP(initial_eigenvalues="moment")


def test_the_estimator_starts_from_the_evidence():
    data = toy(n=400)
    options = {"hidden": (8,), "epochs": 1, "learning_rate": 1e-9, "random_state": 0, "batch_size": 1000}
    found = SpectralMLPClassifier(initial_eigenvalues="moments", **options).fit(data.X_train, data.y_train)
    Z = (data.X_train - data.X_train.mean(0)) / data.X_train.std(0)
    np.testing.assert_allclose(
        found.eigenvalues_, starting_values(find(Z, data.y_train, 3).evidence), rtol=1e-3, atol=1e-5
    )
    assert set(SpectralMLPClassifier(**options).fit(data.X_train, data.y_train).eigenvalues_.round(6)) == {1.0}
