"""Whether a network learned: false alarms, power, scores that are not defined, and what chance is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.toy import toy
from xai_bench.datasets.base import Fold
from xai_bench.datasets.classics import Null
from xai_bench.datasets.ring import RingXorSum
from xai_bench.datasets.splitting import split
from xai_bench.models.learning import balanced_of, chance_of, fitted_model, p_of, score
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many

FITS = 600
POWER_FITS = 200
"""Powers lie far from what is asked for."""


@dataclass
class Targets:
    kind: str
    y_train: torch.Tensor
    y_valid: torch.Tensor
    y_test: torch.Tensor
    target_std: float = 1.0


def targets(kind, y_train, y_test, target_std=1.0):
    y_train, y_test = (torch.as_tensor(np.asarray(y)) for y in (y_train, y_test))
    return Targets(kind, y_train, y_train, y_test, target_std)


def logits(classes, of=2):
    return torch.eye(of)[torch.as_tensor(np.asarray(classes))]


def linear(X, wanted, rows):
    """Outputs of a least-squares fit to the training rows, on all rows."""
    design = np.column_stack([X, np.ones(len(X))])
    return torch.from_numpy(design @ np.linalg.lstsq(design[rows], wanted[rows], rcond=None)[0])


def p_values(make, folds=0, fits=FITS):
    """Of so many linear fits to draws (X, y) of ``make``; classes weigh alike where y are classes."""
    rng, found = np.random.default_rng(0), []
    for number in range(fits):
        X, y = make(rng)
        classes = y.dtype.kind == "i"
        parts = split(y, classes, Fold(number % folds, folds) if folds else None, rng)
        wanted = np.eye(y.max() + 1)[y] / np.bincount(y) if classes else y[:, None]
        outputs = linear(X, wanted - wanted[parts.train].mean(0), parts.train)[parts.test]
        kind = "classification" if classes else "regression"
        found.append(p_of(outputs, targets(kind, y[parts.train], y[parts.test])))
    return np.array(found)


def classes_of(shares, n, strength=0.0):
    def make(rng):
        y = rng.permutation(np.repeat(np.arange(len(shares)), [round(share * n) for share in shares]))
        X = rng.normal(size=(n, 4))
        X[:, 0] += strength * y
        return X, y

    return make


def values_of(n, strength=0.0, heavy=False):
    def make(rng):
        X = rng.normal(size=(n, 4))
        y = strength * X[:, 0] + rng.normal(size=n)
        return (np.exp(1.5 * X), np.exp(1.5 * y)) if heavy else (X, y)

    return make


SIX = (0.4, 0.2, 0.1, 0.1, 0.1, 0.1)


class TestFalseAlarms:
    """More fits of more kinds, and what another rule gives: benchmarks/false_alarms.py."""

    @pytest.mark.parametrize(
        ("make", "folds"),
        [
            (classes_of((0.5, 0.5), 400), 0),
            (classes_of((0.95, 0.05), 400), 0),
            (classes_of((0.5, 0.5), 100), 5),
            (classes_of(SIX, 100), 5),
            (values_of(100), 5),
            (values_of(200, heavy=True), 0),
        ],
        ids=["balanced", "5 %", "20 rows", "six classes", "regression", "heavy tails"],
    )
    def test_of_hopeless_fits(self, make, folds):
        p = p_values(make, folds)
        for level in (0.01, 0.05):
            assert (p < level).mean() <= level + 3 * math.sqrt(level * (1 - level) / FITS)
        assert ((p > 0) & (p <= 1)).all()
        assert np.median(p) > 0.4

    @pytest.mark.parametrize(
        ("make", "folds", "least"),
        [
            (classes_of((0.5, 0.5), 400, 2.0), 0, 0.98),
            (classes_of((0.95, 0.05), 1000, 2.0), 0, 0.8),
            (classes_of((0.5, 0.5), 100, 2.5), 5, 0.7),
            (values_of(100, 1.5), 5, 0.98),
        ],
        ids=["balanced", "5 %", "20 rows", "regression"],
    )
    def test_power(self, make, folds, least):
        assert (p_values(make, folds, POWER_FITS) < 0.01).mean() >= least

    def test_a_constant_guess_never_learned(self):
        for share in (0.5, 0.95):
            y = np.random.default_rng(0).random(200) < share
            assert p_of(logits(np.ones(200, dtype=int)), targets("classification", y, y.astype(int))) == 1
        y = np.random.default_rng(0).normal(size=50)
        assert p_of(torch.full((50, 1), float(y.mean())), targets("regression", y, y)) == 1

    def test_hopeless_networks_on_folds(self):
        learned = []
        for seed in range(3):
            for fold in range(6):
                data = Null(n=300, d=10).load(seed, Fold(fold, 6)).standardised()
                found = fit_many(MLP(epochs=0.1, min_steps=40, hidden=(16,), checkpoints=2), data, [0, 1])
                learned += [fit.learned for fit in found]
                assert all(abs(fit.chance - 0.5) < 0.11 for fit in found)
        assert sum(learned) <= 2

    def test_an_accuracy_of_half_is_nothing_where_the_commonest_training_class_is_rare(self):
        """Accuracy .521 where that class has .407 of the test rows."""
        rng = np.random.default_rng(0)
        y = (rng.random(167) < 0.407).astype(int)
        train = np.r_[np.zeros(100, dtype=int), np.ones(110, dtype=int)]
        guesses = np.where(rng.random(167) < 0.521, y, 1 - y)
        found = targets("classification", train, y)
        assert chance_of(found) == pytest.approx(y.mean())
        assert p_of(logits(guesses), found) > 0.01


class TestChance:
    def test_is_near_the_share_of_the_majority_on_every_fold(self):
        source = RingXorSum(n=1000, d=256)
        for fold in range(6):
            data = source.load(0, Fold(fold, 6))
            of = targets("classification", data.y_train, data.y_test)
            assert chance_of(of) == pytest.approx(max(data.y_test.mean(), 1 - data.y_test.mean()), abs=0.01)

    def test_of_a_regression_is_r2_of_the_training_mean(self):
        y_train, y_test = np.array([1.0, 2.0, 6.0]), np.array([0.0, 2.0, 4.0, 4.0])
        expected = 1 - ((y_test - 3) ** 2).mean() / y_test.var()
        assert chance_of(targets("regression", y_train, y_test)) == pytest.approx(expected)


class TestScores:
    def test_equal_sklearns(self):
        from sklearn.metrics import accuracy_score, r2_score

        rng = np.random.default_rng(0)
        y, guess = rng.normal(size=(2, 30, 3))
        assert score(torch.from_numpy(guess), torch.from_numpy(y), "regression") == pytest.approx(r2_score(y, guess))
        one = score(torch.from_numpy(guess[:, :1]), torch.from_numpy(y[:, 0]), "regression")
        assert one == pytest.approx(r2_score(y[:, 0], guess[:, 0]))
        labels = rng.integers(0, 3, 30)
        accuracy = score(torch.from_numpy(guess), torch.from_numpy(labels), "classification")
        assert accuracy == accuracy_score(labels, guess.argmax(1))

    def test_targets_that_do_not_vary_are_left_out(self):
        rng = np.random.default_rng(0)
        y, guess = rng.normal(size=(2, 30, 2))
        alone = score(torch.from_numpy(guess[:, :1]), torch.from_numpy(y[:, 0]), "regression")
        y[:, 1] = 0.1
        assert score(torch.from_numpy(guess), torch.from_numpy(y), "regression") == pytest.approx(alone)
        assert math.isnan(score(torch.from_numpy(guess[:, 1:]), torch.from_numpy(y[:, 1]), "regression"))

    def test_a_constant_test_part_has_no_score_and_says_why(self):
        """A target that is 1 in one training row and 0 elsewhere."""
        data = toy(n=500, kind="regression")
        y = {f"y_{part}": np.zeros_like(getattr(data, f"y_{part}")) for part in ("train", "valid", "test")}
        y["y_train"][3] = 1
        data = replace(data, **y).standardised()
        (fitted,) = fit_many(MLP(epochs=0.1, min_steps=20, hidden=(8,), checkpoints=2), data, [0])
        assert (fitted.valid_score, fitted.test_score, fitted.chance) == (None, None, None)
        assert (fitted.p_value, fitted.learned) == (1.0, False)
        assert math.isfinite(fitted.train_score)
        assert math.isfinite(fitted.test_mae)
        assert "not defined on the valid and test rows: the target does not vary" in fitted.unscored

    def test_a_usual_fit_has_no_reason(self):
        data = toy()
        (fitted,) = fit_many(MLP(epochs=0.1, min_steps=20, hidden=(8,), checkpoints=2), data, [0])
        assert fitted.unscored == ""
        assert None not in (fitted.train_score, fitted.valid_score, fitted.test_score, fitted.chance)

    def test_is_a_function_of_predictions_and_targets(self):
        rng = np.random.default_rng(0)
        y, guess = rng.normal(size=(2, 40, 1))
        of = targets("regression", y[:, 0], y[:, 0])
        assert p_of(torch.from_numpy(guess), of) == p_of(torch.from_numpy(guess), of)

    def test_an_infinite_loss_is_a_failure(self):
        with pytest.raises(ValueError, match="diverged"):
            fitted_model(nn.Identity(), targets("regression", [0.0], [0.0]), {}, math.inf, 0.0, 0.0)

    def test_unequal_classes_are_tested_by_order(self):
        """Five per cent of the rows are positive: none is called so, though they stand first."""
        rng = np.random.default_rng(0)
        y = (np.arange(100) % 20 == 0).astype(int)
        margins = y + 0.3 * rng.normal(size=100) - 3
        ordered = torch.from_numpy(np.column_stack([np.zeros(100), margins]))
        assert ordered.argmax(1).sum() == 0
        assert p_of(ordered, targets("classification", y, y)) < 0.01
        assert p_of(ordered[torch.from_numpy(rng.permutation(100))], targets("classification", y, y)) > 0.05

    @pytest.mark.parametrize(("every", "by_order"), [(2, False), (3, False), (4, True)])
    def test_three_times_the_rows_is_unequal(self, every, by_order):
        """No row is called positive, though the positive ones stand first: by hits that is chance."""
        y = (np.arange(120) % every == 0).astype(int)
        ordered = torch.from_numpy(np.column_stack([np.zeros(120), y - 3.0]))
        assert (p_of(ordered, targets("classification", y, y)) < 0.01) is by_order

    def test_balanced_accuracy_is_that_of_scikit_learn(self):
        from sklearn.metrics import balanced_accuracy_score

        rng = np.random.default_rng(0)
        y, guess = rng.choice(3, 60, p=[0.8, 0.15, 0.05]), rng.normal(size=(60, 3))
        found = balanced_of(torch.from_numpy(guess), torch.from_numpy(y))
        assert found == pytest.approx(balanced_accuracy_score(y, guess.argmax(1)))
