"""What a ranking is worth: plain functions of relevances and a truth, every tie at its expected value.

Sums run over sorted positions: a permutation changes no bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.base import Bools, Floats, Ints


class Ties(NamedTuple):
    """Values (..., n) in descending order, by position; ``first`` and ``last`` position of each run of ties."""

    order: Ints
    first: Ints
    last: Ints

    @classmethod
    def of(cls, values: NDArray) -> Ties:
        order = np.argsort(-values, axis=-1)
        ordered = np.take_along_axis(values, order, -1)
        new = np.ones(values.shape, dtype=bool)
        new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        end = np.ones(values.shape, dtype=bool)
        end[..., :-1] = new[..., 1:]
        n = values.shape[-1]
        position = np.arange(n)
        first = np.maximum.accumulate(np.where(new, position, 0), axis=-1)
        last = np.minimum.accumulate(np.where(end, position, n - 1)[..., ::-1], axis=-1)[..., ::-1]
        return cls(order, first, last)

    def by_item(self, values: Ints) -> Ints:
        """``values`` by position to values by item."""
        result = np.empty_like(values)
        np.put_along_axis(result, self.order, values, -1)
        return result

    def twice_mid_rank(self) -> Ints:
        """(..., n) 2 * mid-rank - (n + 1) in ascending order: integers with mean 0."""
        return self.by_item(self.order.shape[-1] - 1 - self.first - self.last)

    def relevant(self, relevant: Bools) -> tuple[Ints, Ints]:
        """Relevant items before, and inside, the run of ties at each position."""
        marked = relevant[self.order].astype(np.int64)
        count = np.cumsum(marked, axis=-1)
        before = np.take_along_axis(count - marked, self.first, -1)
        return before, np.take_along_axis(count, self.last, -1) - before


def area_under_roc(relevance: Floats, relevant: Bools) -> Floats:
    """The chance that a relevant input stands before a noise input, a tie counting one half (mid-ranks).

    Parameters
    ----------
    relevance : (..., n) float
    relevant : (n,) bool, neither all nor none

    Returns
    -------
    (...) in [0, 1]
    """
    p, n = int(relevant.sum()), len(relevant)
    wins = Ties.of(relevance).twice_mid_rank()[..., relevant].sum(-1) + p * (n - p)
    return wins / (2 * p * (n - p))


def expected_average_precision(relevance: Floats, relevant: Bools) -> Floats:
    """Average precision, expected over random orders of ties (McSherry and Najork 2008, ECIR).

    Shapes as in ``area_under_roc``. The i-th of t tied items with r relevant ones among them, behind n0 items
    with r0 relevant ones, adds (r / t) (r0 + 1 + (i - 1) (r - 1) / (t - 1)) / (n0 + i).
    """
    ties = Ties.of(relevance)
    before, inside = ties.relevant(relevant)
    tied = ties.last - ties.first + 1
    position = np.arange(relevance.shape[-1])
    hits = before + 1 + (position - ties.first) * (inside - 1) / np.maximum(tied - 1, 1)
    return (inside / tied * hits / (position + 1)).sum(-1) / relevant.sum()


def expected_precision_at_p(relevance: Floats, relevant: Bools) -> Floats:
    """Share of relevant inputs among the first p, their number, expected over random orders of ties.

    Shapes as in ``area_under_roc``.
    """
    ties = Ties.of(relevance)
    _, inside = ties.relevant(relevant)
    p = int(relevant.sum())
    return (inside / (ties.last - ties.first + 1))[..., :p].sum(-1) / p


def somers(relevance: Floats, graded: Floats) -> Floats:
    """Somers' D of ``relevance`` (..., n) given the truth ``graded`` (n,), not constant (Somers 1962).

    Of the pairs whose truth differs, the share in the same order less the share in the opposite order; a tie
    in the relevance counts 0. In [-1, 1]; time O(n log n).
    """
    n = graded.shape[-1]
    ties, true = Ties.of(relevance), Ties.of(graded)
    descending, level = ties.by_item(ties.first), true.by_item(n - 1 - true.last)
    # Inside a level the codes ascend, so that pairs with equal truth are never counted.
    agree = inversions(np.sort(level * n + descending, axis=-1) % n)
    ascending = n - 1 - ties.by_item(ties.last)
    differ = inversions(np.sort(level * n + ascending, axis=-1) % n)
    pairs = (n * n - int((true.last - true.first + 1).sum())) // 2
    return (agree - differ) / pairs


def inversions(codes: Ints) -> Ints:
    """Number of pairs i < j with ``codes[..., i] > codes[..., j] >= 0``, in time O(n log n).

    Bit by bit from the highest: such a pair differs first in one bit, which is 1 in i and 0 in j (the counting
    step of a wavelet tree). Items with equal higher bits stand side by side in their first order.
    """
    total = np.zeros(codes.shape[:-1], dtype=np.int64)
    start = np.ones(codes.shape, dtype=bool)
    for bit in reversed(range(int(codes.max(initial=0)).bit_length())):
        higher = codes >> (bit + 1)
        start[..., 1:] = higher[..., 1:] != higher[..., :-1]
        one = (codes >> bit) & 1
        ones_before = np.cumsum(one, axis=-1) - one
        ones_outside = np.maximum.accumulate(np.where(start, ones_before, 0), axis=-1)
        total += ((ones_before - ones_outside) * (1 - one)).sum(-1)
        codes = np.take_along_axis(codes, np.argsort(codes >> bit, axis=-1, kind="stable"), -1)
    return total


def rank_correlation(relevance: Floats, graded: Floats) -> Floats:
    """Spearman's correlation of ``relevance`` (..., n) and ``graded`` (n,), not constant, with mid-ranks.

    0 for a constant relevance, its expectation under random orders. Else ties are not broken: a ranking
    without ties reaches ``spearman_ceiling`` at best.
    """
    x, y = Ties.of(relevance).twice_mid_rank().astype(float), Ties.of(graded).twice_mid_rank().astype(float)
    spread = (x * x).sum(-1) * (y * y).sum(-1)
    return np.where(spread > 0, (x * y).sum(-1) / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)
