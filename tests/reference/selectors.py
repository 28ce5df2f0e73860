"""Selectors literally: one input, one pair at a time."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import mutual_info_score


def states(column):
    """-1, 0, 1: below, within and above mean +- std / 2 (Ding and Peng 2005)."""
    mean, half = np.mean(column), np.std(column) / 2
    return [-1 if v < mean - half else 1 if v > mean + half else 0 for v in column]


def mrmr(X, y, kind):
    """Columns in the order of Peng, Long and Ding (2005), equation 7: relevance minus mean redundancy."""
    columns = [states(column) for column in X.T]
    target = states(y) if kind == "regression" else list(y)
    ranked: list[int] = []
    while len(ranked) < len(columns):
        best, best_value = -1, -np.inf
        for j, column in enumerate(columns):
            if j in ranked:
                continue
            value = mutual_info_score(column, target)
            if ranked:
                value -= np.mean([mutual_info_score(column, columns[s]) for s in ranked])
            if value > best_value:
                best, best_value = j, value
        ranked.append(best)
    return ranked


def relieff(X, y, kind, k):
    """Weights of ReliefF and, in regression, of RReliefF (Robnik-Sikonja and Kononenko 2003), neighbours alike."""
    n, d = X.shape
    low, high = X.min(0), X.max(0)

    def diff(j, a, b):
        return abs(X[a, j] - X[b, j]) / (high[j] - low[j]) if high[j] > low[j] else 0.0

    def nearest(i, among):
        others = [a for a in among if a != i]
        return sorted(others, key=lambda a: (sum(diff(j, i, a) for j in range(d)), a))[:k]

    weights = np.zeros(d)
    if kind == "regression":
        target, inputs, both = 0.0, np.zeros(d), np.zeros(d)
        for i in range(n):
            near = nearest(i, range(n))
            for a in near:
                apart = abs(y[i] - y[a]) / (max(y) - min(y))
                target += apart / len(near)
                for j in range(d):
                    inputs[j] += diff(j, i, a) / len(near)
                    both[j] += apart * diff(j, i, a) / len(near)
        return both / target - (inputs - both) / (n - target)
    share = {c: np.mean(y == c) for c in set(y.tolist())}
    for i in range(n):
        for c in share:
            near = nearest(i, [a for a in range(n) if y[a] == c])
            factor = -1.0 if c == y[i] else share[c] / (1 - share[y[i]])
            for a in near:
                for j in range(d):
                    weights[j] += factor * diff(j, i, a) / (n * len(near))
    return weights
