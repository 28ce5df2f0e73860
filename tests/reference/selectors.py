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
