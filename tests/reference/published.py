"""Slow literal versions of how published figures are compared, and of the targets of ``correlated_blocks``."""

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
