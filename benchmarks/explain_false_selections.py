"""How often ``explain`` says of an input that tells nothing that it carries information, and how often it finds others.

Tables with a known answer: four inputs tell something (a line, a parabola, a category, a step), six are independent
decoys, two are correlated .8 with the first and carry information through it. Without signal the target is drawn by
itself. The test is that of ``explain``, at its level for all inputs together.

    python benchmarks/explain_false_selections.py > table.md        # about a minute of one core
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from xai_bench.analysis.evidence import bins_of, p_values
from xai_bench.analysis.found import SURE
from xai_bench.analysis.rows import Rows

RELEVANT, DECOYS, CORRELATED = 4, 6, 2
AIM, LEAST = 0.95, 0.92


def table(n: int, signal: bool, kind: str, rng: np.random.Generator) -> tuple[NDArray, Rows]:
    """X (n, 12), the relevant inputs first, then independent and correlated decoys; and the target."""
    X = rng.normal(size=(n, RELEVANT + DECOYS + CORRELATED))
    X[:, 2] = rng.integers(0, 3, n)
    X[:, -CORRELATED:] = 0.8 * X[:, :1] + 0.6 * X[:, -CORRELATED:]
    rule = 0.6 * X[:, 0] + 0.45 * (X[:, 1] ** 2 - 1) + 0.8 * (X[:, 2] == 1) + 0.6 * (X[:, 3] > 1)
    value = signal * rule + rng.normal(size=n)
    y = value if kind == "regression" else (value > np.median(value)).astype(int)
    return X, Rows(y, "regression" if kind == "regression" else "classification")


def bounds(hits: int, runs: int) -> tuple[float, float]:
    """The 95 % interval of Clopper and Pearson."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, runs - hits + 1))
    return low, 1.0 if hits == runs else float(beta.ppf(0.975, hits + 1, runs - hits))


def row(n: int, signal: bool, kind: str, runs: int, permutations: int) -> str:
    """One line of the table."""
    none, found, through = 0, np.zeros(RELEVANT), 0.0
    for run in range(runs):
        X, rows = table(n, signal, kind, np.random.default_rng([run, n, signal, kind == "regression"]))
        bins = bins_of(X, tuple((j,) for j in range(X.shape[1])))
        said = p_values(bins, rows, permutations, seed=run) <= SURE
        decoys = said[RELEVANT : RELEVANT + DECOYS] if signal else said
        none += not decoys.any()
        found += said[:RELEVANT]
        through += said[-CORRELATED:].mean()
    low, high = bounds(none, runs)
    met = "met" if none / runs >= AIM and low >= LEAST else "missed"
    power = " ".join(f"{share:.2f}" for share in found / runs) if signal else "–"
    share = f"{through / runs:.2f}" if signal else "–"
    return (
        f"| {kind} | {n} | {'yes' if signal else 'no'} | {none / runs:.3f} [{low:.3f}, {high:.3f}] | {met} | {power} | "
        f"{share} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=999)
    arguments = parser.parse_args()
    print(
        f"{arguments.runs} runs a line, {arguments.permutations} permutations each. None wrong: the share of runs in "
        "which no input that tells nothing is said to carry information, with its 95 % interval; the aim is "
        f"{AIM}, its lower bound {LEAST}. Power: the share of runs in which the line, the parabola, the category and "
        "the step are found.\n"
    )
    print(
        "| target | rows | signal | none wrong | aim | power | correlated .8, found |\n|---|---:|---|---|---|---|---:|"
    )
    for kind in ("regression", "classification"):
        for n, signal in ((100, False), (300, False), (100, True), (300, True)):
            print(row(n, signal, kind, arguments.runs, arguments.permutations), flush=True)


if __name__ == "__main__":
    main()
