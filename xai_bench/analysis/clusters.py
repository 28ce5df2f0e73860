"""Inputs that stand for one another: which of them is used is a matter of chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.inputs import Inputs
from xai_bench.statistics import rank_correlations
from xai_bench.tables.encoding import filled

INTERCHANGEABLE = 0.8
"""Rank correlation, without its sign, that all pairs of a cluster have at least."""


def association(X: NDArray, inputs: Inputs) -> NDArray[np.float64]:
    """(n_inputs, n_inputs) the largest rank correlation of their columns, without its sign; 1 on the diagonal."""
    (full,) = filled(X)
    correlation = np.abs(np.nan_to_num(rank_correlations(full.T)))
    starts = [part[0] for part in inputs]
    order = [column for part in inputs for column in part]
    ordered = correlation[np.ix_(order, order)]
    edges = np.cumsum([0, *map(len, inputs)])[:-1] if len(starts) else np.empty(0, dtype=int)
    found = np.maximum.reduceat(np.maximum.reduceat(ordered, edges, axis=0), edges, axis=1)
    np.fill_diagonal(found, 1.0)
    return found


def clusters(strength: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n_inputs,) the number of the cluster of each input, by complete linkage, numbered from 0 in order."""
    d = len(strength)
    if d < 2:
        return np.zeros(d, dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - (strength + strength.T) / 2
    np.fill_diagonal(distance, 0.0)
    labels = fcluster(linkage(squareform(distance, checks=False), "complete"), 1 - INTERCHANGEABLE, "distance")
    first = {label: i for i, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([first[label] for label in labels.tolist()], dtype=np.int64)
