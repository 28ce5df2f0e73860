"""How often a hopeless fit counts as one that has learned, and how often a fit of something real does.

    python benchmarks/false_alarms.py [--fits 10000]

A fit is hopeless where the target does not depend on the inputs. Every fit draws new rows, splits them as a run does,
fits a linear classifier or regression to the training rows by least squares, and asks for the p-value of its test
predictions; ``learned`` is p < .01. Beside it stands another rule, for comparison: folds at random whatever the class,
and the binomial test of the hits against the share that the commonest class of the training rows has among the test
rows (in a regression, the paired t test of squared errors against those of the training mean). It prints a table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import bdtrc, stdtr

from xai_bench.datasets.splitting import Fold, split
from xai_bench.models.base import Kind
from xai_bench.models.learning import LEVEL, p_of

INPUTS = 5
REAL_FITS = 10
"""Hopeless fits to one of something real."""


@dataclass(frozen=True)
class Targets:
    """Of one fit, as ``p_of`` reads them."""

    kind: Kind
    y_train: torch.Tensor
    y_valid: torch.Tensor
    y_test: torch.Tensor
    target_std: float = 1.0


@dataclass(frozen=True)
class Case:
    """A kind of task. ``shares``: of the classes, () in a regression. ``strength``: of the first input, if it is real.

    ``folds``: 0 for a test part of a fifth. ``constant``: predictions are. ``heavy``: target and inputs are lognormal.
    """

    name: str
    n: int
    shares: tuple[float, ...] = ()
    folds: int = 0
    strength: float = 0.5
    constant: bool = False
    heavy: bool = False


CASES = (
    Case("balanced, 80 test rows", 400, (0.5, 0.5)),
    Case("5 % positive, 200 test rows", 1000, (0.95, 0.05)),
    Case("balanced, folds of 20 rows", 100, (0.5, 0.5), folds=5, strength=0.8),
    Case("10 % positive, folds of 20 rows", 100, (0.9, 0.1), folds=5, strength=1.0),
    Case("constant predictor", 1000, (0.95, 0.05), constant=True),
    Case("six classes, 80 test rows", 400, (0.4, 0.2, 0.1, 0.1, 0.1, 0.1)),
    Case("six classes, folds of 20 rows", 100, (0.4, 0.2, 0.1, 0.1, 0.1, 0.1), folds=5, strength=1.0),
    Case("regression, 80 test rows", 400, strength=0.4),
    Case("regression, folds of 20 rows", 100, folds=5, strength=0.8),
    Case("regression, lognormal target and inputs", 400, heavy=True, strength=0.4),
)


def drawn(case: Case, strength: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Inputs (n, 5) and target (n,), which depends on the first input by ``strength``."""
    X = rng.normal(size=(case.n, INPUTS))
    if not case.shares:
        y = strength * X[:, 0] + rng.normal(size=case.n)
        return (np.exp(1.5 * X), np.exp(1.5 * y)) if case.heavy else (X, y)
    y = rng.permutation(np.repeat(np.arange(len(case.shares)), np.round(np.array(case.shares) * case.n).astype(int)))
    X[:, 0] += 2 * strength * y / (len(case.shares) - 1)
    return X, y


def predictions(case: Case, X: NDArray, y: NDArray, train: NDArray, test: NDArray) -> NDArray:
    """(test, outputs) of a linear fit; rows of rare classes weigh more, so that every class is predicted."""
    ones = np.ones((len(X), 1))
    design = np.hstack([ones if case.constant else X, ones])
    if not case.shares:
        return design[test] @ np.linalg.lstsq(design[train], y[train], rcond=None)[0][:, None]
    wanted = np.eye(len(case.shares))[y[train]]
    weight = np.ones((len(train), 1)) if case.constant else np.sqrt(1 / wanted.sum(0)[y[train]])[:, None]
    return design[test] @ np.linalg.lstsq(weight * design[train], weight * wanted, rcond=None)[0]


def compared(case: Case, found: NDArray, y_train: NDArray, y_test: NDArray) -> float:
    """The p-value of the test against a constant guess."""
    n = len(y_test)
    if not case.shares:
        gain = (y_test - y_train.mean()) ** 2 - (y_test - found[:, 0]) ** 2
        return float(stdtr(n - 1, -gain.mean() / (gain.std(ddof=1) / n**0.5)))
    share = float((y_test == np.bincount(y_train).argmax()).mean())
    hits = int((found.argmax(1) == y_test).sum())
    return float(bdtrc(hits - 1, n, share)) if hits else 1.0


def fits(case: Case, count: int, strength: float, seed: int, note: Callable[[float, float], None]) -> None:
    """Call ``note`` with both p-values of every fit; each draws new rows, the numbers of the folds go round."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        X, y = drawn(case, strength, rng)
        fold = Fold(number % case.folds, case.folds) if case.folds else None
        parts = split(y, bool(case.shares), fold, rng)
        other = split(y, not fold and bool(case.shares), fold, rng)
        found, otherwise = (predictions(case, X, y, p.train, p.test) for p in (parts, other))
        targets = Targets(
            "classification" if case.shares else "regression",
            *(torch.from_numpy(y[rows]) for rows in parts),
        )
        note(p_of(torch.from_numpy(found), targets), compared(case, otherwise, y[other.train], y[other.test]))


def learned(case: Case, count: int, strength: float, seed: int) -> tuple[float, float]:
    """The share of fits that count as learned, and that by the other rule."""
    below: list[tuple[bool, bool]] = []
    fits(case, count, strength, seed, lambda p, other: below.append((p < LEVEL, other < LEVEL)))
    share, by_other = np.mean(below, axis=0)
    return float(share), float(by_other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=10_000, help="hopeless fits of each kind")
    count = parser.parse_args().fits
    print(f"Share of fits with p < {LEVEL:g}: {count} hopeless ones of each kind, {count // REAL_FITS} real ones.")
    print(f"{'':42s}{'hopeless':>10s}{'other rule':>12s}{'real':>10s}{'other rule':>12s}")
    for number, case in enumerate(CASES):
        alarms, other = learned(case, count, 0.0, 2 * number)
        power, other_power = learned(case, count // REAL_FITS, case.strength, 2 * number + 1)
        print(f"{case.name:42s}{alarms:10.2%}{other:12.2%}{power:10.1%}{other_power:12.1%}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
