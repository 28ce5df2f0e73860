"""Stability and agreement literally, with loops over selections and pairs."""

from __future__ import annotations

import itertools

import numpy as np


def kuncheva(selected):
    """Mean over pairs of selections of k of d inputs: (r - k^2 / d) / (k - k^2 / d), r inputs in common."""
    d, k = len(selected[0]), sum(selected[0])
    pairs = [sum(a and b for a, b in zip(*pair, strict=True)) for pair in itertools.combinations(selected, 2)]
    return np.mean([(r - k * k / d) / (k - k * k / d) for r in pairs])


def nogueira(selected):
    """Definition 4 and theorem 7 of the paper, term by term."""
    m, d = len(selected), len(selected[0])
    p = [sum(row[f] for row in selected) / m for f in range(d)]
    k = [sum(row) for row in selected]
    k_bar = sum(k) / m
    null = k_bar / d * (1 - k_bar / d)
    index = 1 - sum(m / (m - 1) * q * (1 - q) for q in p) / d / null
    phi = []
    for i in range(m):
        first = sum(selected[i][f] * p[f] for f in range(d)) / d
        rest = index / 2 * (2 * k_bar * k[i] / d**2 - k[i] / d - k_bar / d + 1)
        phi.append((first - k[i] * k_bar / d**2 + rest) / null)
    mean = sum(phi) / m
    return index, 4 / m**2 * sum((value - mean) ** 2 for value in phi)


def jackknife(vectors):
    """Mean Spearman correlation over pairs, and its variance by leaving each row out."""
    from scipy.stats import spearmanr

    def mean(rows):
        return np.mean([spearmanr(a, b).statistic for a, b in itertools.combinations(rows, 2)])

    m = len(vectors)
    without = [mean([row for j, row in enumerate(vectors) if j != i]) for i in range(m)]
    return mean(vectors), (m - 1) / m * sum((value - np.mean(without)) ** 2 for value in without)
