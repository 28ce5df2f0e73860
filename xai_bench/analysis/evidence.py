"""Which inputs carry information about the target, each by itself: a test that is exact whatever the inputs are.

The hypothesis of an input is that it carries no information about the target. Its statistic is that of Kruskal and
Wallis (numbers as target) or of Pearson (classes), over ten quantiles of the input or the levels of a category. The
target is permuted, the inputs stay as they are, and the largest statistic over all inputs is what each is compared with
(Westfall and Young 1993): the chance that any input is wrongly said to carry information is at most the level.

An input that tells something only together with others, as in xor, cannot be found this way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xai_bench.analysis.rows import Rows, sources
from xai_bench.datasets.inputs import Inputs

BINS = 10
AT_ONCE = 64
"""Permutations that are counted in one product of matrices."""


def bins_of(X: NDArray, inputs: Inputs) -> list[NDArray]:
    """(n,) of each input: numbers of quantiles of its values, missing ones apart; or of its one-hot columns."""
    return [_quantiles(X[:, part[0]]) if len(part) == 1 else X[:, list(part)].argmax(1) for part in inputs]


def _quantiles(values: NDArray) -> NDArray:
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.empty(0)
    bins = np.searchsorted(edges, values, side="left")
    bins[np.isnan(values)] = len(edges) + 1
    return np.unique(bins, return_inverse=True)[1]


def p_values(bins: Sequence[NDArray], rows: Rows, permutations: int, seed: int = 0) -> NDArray:
    """(n_inputs,) of the hypothesis that the input carries no information, adjusted for all inputs together.

    The smallest possible one is 1 / (1 + permutations).
    """
    rng = np.random.default_rng(seed)
    design = _Design(bins)
    coded = _coded(rows.y, rows.kind)
    observed = design.statistics(coded[None])[0]
    reached = np.zeros(len(bins))
    for first in range(0, permutations, AT_ONCE):
        count = min(AT_ONCE, permutations - first)
        targets = np.stack([coded[sources(rows, rng)] for _ in range(count)])
        largest = design.statistics(targets).max(axis=1)
        reached += (largest[:, None] >= observed - 1e-9).sum(axis=0)
    return (1 + reached) / (1 + permutations)


def _coded(y: NDArray, kind: str) -> NDArray:
    """(n, t): standardised ranks; of classes, indicators scaled so that sums of squares add up to Pearson's chi2."""
    from scipy.stats import rankdata

    if kind == "regression":
        ranks = rankdata(y)
        return ((ranks - ranks.mean()) / max(ranks.std(ddof=1), 1e-300))[:, None]
    labels, codes = np.unique(y, return_inverse=True)
    share = np.bincount(codes) / len(y)
    return (np.eye(len(labels))[codes] - share) / np.sqrt(share)


class _Design:
    """The bins of all inputs side by side, as one sparse matrix."""

    def __init__(self, bins: Sequence[NDArray]) -> None:
        from scipy.sparse import csr_array

        widths = [int(one.max()) + 1 for one in bins]
        self.starts = np.cumsum([0, *widths[:-1]])
        n, d = len(bins[0]), len(bins)
        columns = np.column_stack(bins) + self.starts
        ones = csr_array((np.ones(n * d), columns.ravel(), np.arange(n + 1) * d), shape=(n, sum(widths)))
        self.membership = ones.T.tocsr()
        self.counts = np.maximum(np.asarray(self.membership.sum(axis=1)).ravel(), 1)
        self.widths = np.array(widths)

    def statistics(self, targets: NDArray) -> NDArray:
        """(m, n_inputs) for coded targets (m, n, t): normal scores of the chi2 statistics, comparable over inputs."""
        m, n, t = targets.shape
        sums = self.membership @ targets.transpose(1, 0, 2).reshape(n, m * t)
        squares = (sums**2 / self.counts[:, None]).reshape(-1, m, t).sum(axis=2)
        chi2 = np.add.reduceat(squares, self.starts, axis=0).T
        freedom = np.maximum((self.widths - 1) * max(t - 1, 1), 1)
        return np.asarray(_normal_score(chi2, freedom))


def _normal_score(chi2: NDArray, freedom: NDArray) -> NDArray:
    """Wilson and Hilferty (1931): about standard normal for a chi2 variable, without an end where p underflows."""
    spread = 2 / (9 * freedom)
    return (np.cbrt(chi2 / freedom) - (1 - spread)) / np.sqrt(spread)
