"""How well moments, and networks that start from them, find the inputs of rules that are new to them.

    python benchmarks/moments.py                     # what is missing in reports/moments/runs.csv, then the summary
    python benchmarks/moments.py --summary           # the summary only

The rules and their formulas stand in ``moments_rules.py``; they were written after the constants of
``xai_bench.models.moments`` were frozen, and nothing was changed after they had been measured. Data seeds 0, 1, 2; 512
inputs; 833 rows (300 where said), all of which every method may use. Ring family: six folds of each draw, one for the
networks. Noise: classes at random, normal inputs, 833 rows, 64 inputs.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import moments_summary
import numpy as np
import pandas as pd
import torch
from moments_rules import FAILURES, FRESH, OfRule
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from xai_bench import registry
from xai_bench.datasets.base import Dataset, DataSource
from xai_bench.datasets.splitting import Fold
from xai_bench.explainers.base import Problem, score_on_valid
from xai_bench.explainers.moments import SpectralMoments, found
from xai_bench.metrics.recovery import precision_at_p
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.moments.rounds import find
from xai_bench.models.spectral import SpectralLinear
from xai_bench.models.training import fit_many

FOLDER = Path(__file__).parent.parent / "reports" / "moments"
RUNS, SUMMARY = FOLDER / "runs.csv", FOLDER / "summary.md"
SEEDS = (0, 1, 2)
TREES = 200
NOISE_RUNS, NOISE_ROWS, NOISE_INPUTS = 200, 833, 64
RING_SETS, RING_SIZES, RING_FOLDS = ("ring", "xor", "ring_xor", "ring_xor_sum"), (8, 32, 128, 512, 2048), 6
COLUMNS = ("part", "rule", "rows", "d", "seed", "method", "fold", "precision", "score", "false", "cpu", "version")


class Outcome(NamedTuple):
    """The relevance (d,), a score on rows that were not trained on, and false selections; None where there is none."""

    relevance: NDArray[np.float64]
    score: float | None = None
    selected: tuple[int, ...] | None = None


def problem(data: Dataset) -> Problem:
    """What an explainer without a network sees."""
    arrays = (torch.from_numpy(a) for a in (data.X_train, data.y_train, data.X_valid, data.y_valid))
    return Problem(None, *arrays, data.kind, data.n_outputs)


def moments(data: Dataset) -> Outcome:
    """Evidence alone."""
    known = found(problem(data))
    return Outcome(known.evidence, None, known.active)


def spectral_moments(data: Dataset) -> Outcome:
    """The networks started from it; their score is that of rows held out in their folds."""
    given = problem(data)
    relevance, held_out = SpectralMoments().trained(given)
    y = torch.cat([given.y_train, given.y_valid])
    judged = Problem(None, given.X_train, y, given.X_valid, y, data.kind, data.n_outputs)
    predicted = held_out.argmax(1) if data.kind == "classification" else held_out[:, 0]
    return Outcome(relevance, score_on_valid(judged, predicted))


def random_forest(data: Dataset) -> Outcome:
    """Impurity importance of 200 trees on training and validation rows; the score is that of the test rows."""
    kind: Any = RandomForestClassifier if data.kind == "classification" else RandomForestRegressor
    forest = kind(n_estimators=TREES, random_state=0, n_jobs=1)
    X, y = np.concatenate([data.X_train, data.X_valid]), np.concatenate([data.y_train, data.y_valid])
    forest.fit(X, y)
    return Outcome(forest.feature_importances_, float(forest.score(data.X_test, data.y_test)))


def of_network(architecture: SpectralMLP | MLP) -> Callable[[Dataset], Outcome]:
    """The first layer of a network with default training; the score is that of the test rows."""

    def method(data: Dataset) -> Outcome:
        (fitted,) = fit_many(architecture, data, [0])
        first = next(fitted.module.children())
        weight = first.weight.detach() if isinstance(first, SpectralLinear) else first.weight  # type: ignore[union-attr]
        return Outcome(weight.norm(dim=0).double().numpy(), fitted.test_score)  # type: ignore[union-attr, operator]

    return method


METHODS: dict[str, Callable[[Dataset], Outcome]] = {
    "moments": moments,
    "spectral_moments": spectral_moments,
    "random_forest": random_forest,
    "spectral, start at 1": of_network(SpectralMLP()),
    "spectral, start from moments": of_network(SpectralMLP(initial_eigenvalues="moments")),
    "plain, start from moments": of_network(MLP(initial_columns="moments")),
}
RING_METHODS = {"moments": RING_FOLDS, "spectral_moments": 1}
"""Folds of each draw that a method is measured on."""


class Case(NamedTuple):
    """One line of the runs before it is measured; ``rows`` are those of the draw."""

    part: str
    rule: str
    rows: int
    d: int
    seed: int
    method: str
    fold: int = 0


def cases() -> Iterator[Case]:
    """Everything: what is cheap comes first, and one data seed after the other."""
    for seed, method in itertools.product(SEEDS, METHODS):
        for fold, d, name in itertools.product(range(RING_METHODS.get(method, 0)), RING_SIZES, RING_SETS):
            yield Case("ring", name, 1000, d, seed, method, fold)
        for rule in FRESH:
            yield Case("fresh", rule, 1041, 512, seed, method)
        for rule, n in FAILURES:
            yield Case("failure", rule, n, 512, seed, method)
        if seed == 0 and method == "moments":
            for run in range(NOISE_RUNS):
                yield Case("noise", "noise", NOISE_ROWS, NOISE_INPUTS, run, method)


def loaded(case: Case) -> Dataset:
    """A draw, standardised."""
    if case.part == "ring":
        source: DataSource = registry.create("datasets", case.rule, {"n": case.rows, "d": case.d})
        return source.load(case.seed, fold=Fold(case.fold, RING_FOLDS)).standardised()
    return OfRule(rule=case.rule, n=case.rows, d=case.d).load(case.seed).standardised()


def measured(case: Case) -> list[Any]:
    """Precision, score, false selections and CPU seconds; "" for what there is not."""
    if case.part == "noise":
        rng, start = np.random.default_rng(case.seed), time.process_time()
        X, y = rng.normal(size=(case.rows, case.d)), rng.integers(0, 2, case.rows)
        false = len(find(X, y, 2).active)
        return ["", "", false, f"{time.process_time() - start:.2f}"]
    data = loaded(case)
    assert data.truth is not None
    start = time.process_time()
    outcome = METHODS[case.method](data)
    cpu = time.process_time() - start
    false_ones = "" if outcome.selected is None else sum(not data.truth.relevant[j] for j in outcome.selected)
    precision = precision_at_p(outcome.relevance - outcome.relevance.min(), data.truth)
    score = "" if outcome.score is None else f"{outcome.score:.4f}"
    return [f"{precision:.4f}", score, false_ones, f"{cpu:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--summary", action="store_true", help="do not measure")
    parser.add_argument("--part", choices=("fresh", "failure", "ring", "noise"), help="measure this part only")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not RUNS.exists():
        RUNS.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    before = pd.read_csv(RUNS, dtype=str, keep_default_na=False)
    done = set(before[list(Case._fields)].itertuples(index=False, name=None))
    for case in cases():
        wanted = not options.summary and options.part in (None, case.part)
        if wanted and tuple(map(str, case)) not in done:
            row = [*case, *measured(case), version("xai-bench")]
            with RUNS.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(row)
    SUMMARY.write_text(moments_summary.text(moments_summary.read(RUNS)), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
