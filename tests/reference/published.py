"""Slow literal versions of how published figures are compared, and of the simulations ``correlated_blocks`` and
``pathways``."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def welch(ours: tuple[float, float, int], theirs: tuple[float, float, int], margin: float) -> tuple[float, float]:
    """p-values of "differ by the margin or more", by two tests (Schuirmann), and of "differ by the margin or less": the
    chance of as large a distance, either way, where the true difference is the margin."""
    (a, s, n), (b, t, m) = ours, theirs

    def p_value(difference: float, alternative: str) -> float:
        return float(stats.ttest_ind_from_stats(difference, s, n, 0.0, t, m, False, alternative).pvalue)

    distance = abs(a - b)
    agrees = max(p_value(a - b + margin, "greater"), p_value(a - b - margin, "less"))
    return agrees, min(1.0, p_value(distance - margin, "greater") + p_value(-distance - margin, "less"))


def holm(p_values: list[float], level: float) -> list[bool]:
    """Holm's step-down procedure, hypothesis by hypothesis."""
    rejected = [False] * len(p_values)
    while not all(rejected):
        left = [i for i, gone in enumerate(rejected) if not gone]
        smallest = min(left, key=lambda i: p_values[i])
        if p_values[smallest] > level / len(left):
            break
        rejected[smallest] = True
    return rejected


def signal(row: np.ndarray, of_input: np.ndarray, of_pair: np.ndarray) -> float:
    """Effect times input over the signals, and effect times product over their pairs."""
    total = math.fsum(row[i] * of_input[i] for i in range(len(of_input)))
    for i in range(len(of_input)):
        for j in range(i + 1, len(of_input)):
            total += of_pair[i, j] * row[i] * row[j]
    return total


def blocks(
    rng: np.random.Generator, rule: str, n: int, d: int, signals: int, snr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and targets of the protocol of Chamma et al., step by step: normal rows of a block covariance, columns drawn
    as signals and put first, effects of signals and of their pairs, noise of the size of the signal on these rows."""
    covariance = np.eye(d)
    for start in range(0, d, 5):
        covariance[start : start + 5, start : start + 5] = 0.8
    np.fill_diagonal(covariance, 1.0)
    X = rng.multivariate_normal(np.zeros(d), covariance, n, method="cholesky")
    first = rng.choice(d, signals, replace=False)
    X = X[:, [*first, *(j for j in range(d) if j not in first)]]
    effects = [-0.5, -1, -2, -3, 0.5, 1, 2, 3]
    of_input, of_pair = rng.choice(effects, signals), rng.choice(effects, (signals, signals))
    if rule == "interactions":
        of_input = np.zeros(signals)
    elif rule != "both":
        of_pair = np.zeros((signals, signals))
    clean = np.array([signal(row, of_input, of_pair) for row in X])
    y = clean + math.sqrt(np.sum(clean**2)) / (snr * math.sqrt(n)) * rng.normal(size=n)
    return X, np.maximum(y, 0) if rule == "relu" else y


def facts(X: np.ndarray, y: np.ndarray, signals: int) -> list[float]:
    """Positive facts of a draw: spread and kurtosis of y; its mean square correlation with signals, with the other
    inputs, with products of two signals, and with products of a signal and another input."""
    centred = y - y.mean()
    square = np.corrcoef(np.column_stack([y, X]).T)[0, 1:] ** 2
    products = [np.corrcoef(X[:, i] * X[:, j], y)[0, 1] ** 2 for i in range(signals) for j in range(i)]
    others = [np.corrcoef(X[:, i] * X[:, j], y)[0, 1] ** 2 for i in range(signals, X.shape[1]) for j in range(signals)]
    kurtosis = np.mean(centred**4) / np.mean(centred**2) ** 2
    return [
        float(value)
        for value in (
            *(y.std(), kurtosis, square[:signals].mean(), square[signals:].mean()),
            *(np.mean(products), np.mean(others)),
        )
    ]


def pathways(row: np.ndarray) -> float:
    """The target of ``pathways`` without noise."""
    return row[0] + 2 * math.log(1 + 2 * row[1] ** 2 + (row[2] + 1) ** 2) + row[3] * row[4]
