"""Recovery: does a relevance find the inputs that are truly relevant?

Every score has the value expected under random breaking of ties in the relevance, so that no score depends
on the order of the columns (``ranking``). Sums run over sorted positions: a permutation changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.base import Bools, Floats, GroundTruth, Ints, Role
from xai_bench.datasets.truth import STRONGEST_FIRST, sum_of
from xai_bench.errors import InputError
from xai_bench.metrics.base import Metric
from xai_bench.metrics.ranking import (
    area_under_roc,
    expected_average_precision,
    expected_precision_at_p,
    rank_correlation,
    somers,
)

VALUES_AT_ONCE = 2**19
"""Relevances of random rankings that are scored in one go: some 50 MB of temporary arrays."""


class Reduced(NamedTuple):
    """Items to rank, a of them, after blocks are summed and groups count once.

    Attributes
    ----------
    relevance : (..., a) float
    roles : (a,) positions in ``STRONGEST_FIRST``
    graded : (a,) float, or None
    """

    relevance: Floats
    roles: Ints
    graded: Floats | None
    resolution: float | None

    def being(self, role: Role) -> Bools:
        """(a,) True where that is the role."""
        return self.roles == STRONGEST_FIRST.index(role)

    @property
    def relevant(self) -> Bools:
        return self.being("relevant")

    @property
    def noise(self) -> Bools:
        return self.being("noise")

    def where(self, keep: Bools) -> Reduced:
        """The items of ``keep`` (a,) only."""
        graded = None if self.graded is None else self.graded[keep]
        return Reduced(self.relevance[..., keep], self.roles[keep], graded, self.resolution)

    def against_noise(self, role: Role) -> Reduced | None:
        """The items of a role and the noise, without the other roles; None if there is nothing to tell apart."""
        chosen = self.being(role)
        return self.where(chosen | self.noise) if chosen.any() and self.noise.any() else None

    def relevant_or_noise(self) -> Reduced | None:
        return self.against_noise("relevant")

    def clear_or_noise(self) -> Reduced | None:
        """As ``relevant_or_noise``, without the relevant inputs below the resolution of the truth."""
        if self.graded is None or self.resolution is None:
            return None
        return self.where(~self.relevant | (self.graded >= self.resolution)).relevant_or_noise()

    def with_order(self) -> Reduced | None:
        """None if there is no graded truth, or if all its values are equal."""
        return None if self.graded is None or np.ptp(self.graded) == 0 else self


def reduced(relevance: NDArray, truth: GroundTruth) -> Reduced:
    """The items that a metric ranks.

    The columns of a block are summed to one attribute, in the relevance and in the graded truth alike: so the
    truth scores 1 whatever the sizes of the blocks. Of a group of interchangeable attributes the best member
    counts, once.

    Parameters
    ----------
    relevance : (d,) finite float

    Raises
    ------
    InputError
        If two blocks, or two groups, share a column.
    """
    relevance = np.asarray(relevance, dtype=np.float64)
    rank = {role: i for i, role in enumerate(STRONGEST_FIRST)}
    roles = np.array([rank[role] for role in truth.roles], dtype=np.int8)
    graded = truth.relevance
    for kind, parts in (("blocks", truth.blocks), ("groups", _groups_of_attributes(truth))):
        if not parts:
            continue
        items = _partition(kind, parts, len(roles))
        join = _sums if kind == "blocks" else _maxima
        relevance = join(relevance, items)
        graded = None if graded is None else join(graded, items)
        roles = -_maxima(-roles, items)
    return Reduced(relevance, roles, graded, truth.resolution)


def _maxima(values: NDArray, items: list[tuple[int, ...]]) -> NDArray:
    starts = np.cumsum([0, *map(len, items[:-1])])
    return np.maximum.reduceat(values[list(chain.from_iterable(items))], starts)


def _sums(values: Floats, items: list[tuple[int, ...]]) -> Floats:
    listed = values.tolist()
    return np.array([sum_of([listed[i] for i in item]) if len(item) > 1 else listed[item[0]] for item in items])


def _groups_of_attributes(truth: GroundTruth) -> list[tuple[int, ...]]:
    """Groups as positions in the partition by blocks."""
    if not truth.blocks:
        return list(truth.groups)
    attribute = {
        column: i for i, item in enumerate(_partition("blocks", truth.blocks, len(truth.roles))) for column in item
    }
    return [tuple(sorted({attribute[column] for column in group})) for group in truth.groups]


def _partition(kind: str, parts: Sequence[tuple[int, ...]], n: int) -> list[tuple[int, ...]]:
    """``parts`` and the rest of 0..n-1 one by one, by their first members."""
    taken = [column for part in parts for column in set(part)]
    if len(set(taken)) < len(taken):
        shared = sorted({column for column in taken if taken.count(column) > 1})
        raise InputError(f"truth: expected {kind} without common columns, got {shared} twice: join those {kind}")
    items = [tuple(sorted(set(part))) for part in parts if part]
    items += [(column,) for column in set(range(n)).difference(taken)]
    return sorted(items)


def spearman_ceiling(truth: GroundTruth) -> float | None:
    """The best Spearman correlation of a ranking without ties; None without graded truth.

    The truth has mid-ranks, the ranking a strict order that agrees with it: sqrt(1 - sum (t^3 - t) / (n^3 - n))
    over the runs of t ties.
    """
    items = reduced(np.zeros(len(truth.roles)), truth).with_order()
    if items is None or items.graded is None:
        return None
    order = np.empty(len(items.graded))
    order[np.argsort(items.graded)] = np.arange(len(order))
    return float(rank_correlation(order, items.graded))


def _auroc(items: Reduced) -> Floats | None:
    rest = items.relevant_or_noise()
    return None if rest is None else area_under_roc(rest.relevance, rest.relevant)


def _auroc_clear(items: Reduced) -> Floats | None:
    rest = items.clear_or_noise()
    return None if rest is None else area_under_roc(rest.relevance, rest.relevant)


def _auroc_redundant(items: Reduced) -> Floats | None:
    rest = items.against_noise("redundant")
    return None if rest is None else area_under_roc(rest.relevance, ~rest.noise)


def _auroc_originals(items: Reduced) -> Floats | None:
    copies = items.being("redundant")
    if items.noise.any() or not items.relevant.any() or not copies.any():
        return None
    rest = items.where(items.relevant | copies)
    return area_under_roc(rest.relevance, rest.relevant)


def _auroc_suppressor(items: Reduced) -> Floats | None:
    rest = items.against_noise("suppressor")
    return None if rest is None else area_under_roc(rest.relevance, ~rest.noise)


def _average_precision(items: Reduced) -> Floats | None:
    rest = items.relevant_or_noise()
    return None if rest is None else expected_average_precision(rest.relevance, rest.relevant)


def _precision_at_p(items: Reduced) -> Floats | None:
    rest = items.relevant_or_noise()
    return None if rest is None else expected_precision_at_p(rest.relevance, rest.relevant)


def _somers_d(items: Reduced) -> Floats | None:
    rest = items.with_order()
    return None if rest is None or rest.graded is None else somers(rest.relevance, rest.graded)


def _spearman(items: Reduced) -> Floats | None:
    rest = items.with_order()
    return None if rest is None or rest.graded is None else rank_correlation(rest.relevance, rest.graded)


def _contrast(items: Reduced) -> Floats | None:
    rest = items.relevant_or_noise()
    if rest is None:
        return None
    lowest, highest = rest.relevance[..., rest.relevant].min(-1), rest.relevance[..., rest.noise].max(-1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = 1 / (1 + highest / lowest)  # a / (a + b) without the sum, which overflows
    return np.where(lowest == highest, 0.5, np.where(lowest > 0, share, 0.0))


def _support(items: Reduced) -> tuple[Bools, Bools] | None:
    """Selected, and relevant, of relevant and noise items; None without an exact zero."""
    rest = items.relevant_or_noise()
    if rest is None or (items.relevance > 0).all():
        return None
    return rest.relevance > 0, rest.relevant


def _support_precision(items: Reduced) -> Floats | None:
    found = _support(items)
    if found is None or not found[0].any():
        return None
    return np.asarray((found[0] & found[1]).sum() / found[0].sum())


def _support_recall(items: Reduced) -> Floats | None:
    found = _support(items)
    return None if found is None else np.asarray((found[0] & found[1]).sum() / found[1].sum())


def _half(items: Reduced) -> float | None:
    return None if items.relevant_or_noise() is None else 0.5


def _half_clear(items: Reduced) -> float | None:
    return None if items.clear_or_noise() is None else 0.5


def _half_redundant(items: Reduced) -> float | None:
    return None if items.against_noise("redundant") is None else 0.5


def _half_originals(items: Reduced) -> float | None:
    return None if _auroc_originals(items) is None else 0.5


def _half_suppressor(items: Reduced) -> float | None:
    return None if items.against_noise("suppressor") is None else 0.5


def _none(items: Reduced) -> None:
    return None


def _zero(items: Reduced) -> float | None:
    return None if items.with_order() is None else 0.0


def _share(items: Reduced) -> float | None:
    rest = items.relevant_or_noise()
    return None if rest is None else float(rest.relevant.mean())


def _average_precision_by_chance(items: Reduced) -> float | None:
    """(H + (p - 1) (n - H) / (n - 1)) / n with H the n-th harmonic number: more than p / n."""
    rest = items.relevant_or_noise()
    if rest is None:
        return None
    p, n = int(rest.relevant.sum()), len(rest.relevant)
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    return (harmonic + (p - 1) * (n - harmonic) / (n - 1)) / n


@dataclass(frozen=True)
class _Score:
    """A function of reduced items as the function of a metric."""

    of_items: Callable[[Reduced], Floats | None]

    def __call__(self, relevance: NDArray, truth: GroundTruth) -> float | None:
        score = self.of_items(reduced(relevance, truth))
        return None if score is None else float(score)


@dataclass(frozen=True)
class _Chance:
    """A function of reduced items as the chance level of a metric."""

    of_items: Callable[[Reduced], float | None]

    def __call__(self, truth: GroundTruth) -> float | None:
        return self.of_items(reduced(np.zeros(len(truth.roles)), truth))


auroc = Metric("auroc", _Score(_auroc), _Chance(_half), 0.0, 1.0, "AUROC", order=10, headline=True)
"""Area under the ROC curve: the chance that a relevant input ranks above a noise input."""
auroc_clear = Metric(
    "auroc_clear", _Score(_auroc_clear), _Chance(_half_clear), 0.0, 1.0, "AUROC, clear", order=20, headline=True
)
"""AUROC without the relevant inputs whose graded truth is below the resolution that the dataset states."""
auroc_originals = Metric(
    "auroc_originals",
    _Score(_auroc_originals),
    _Chance(_half_originals),
    0.0,
    1.0,
    "AUROC, originals",
    order=15,
    headline=True,
)
"""The chance that a relevant input ranks above a redundant one, where no input is noise: a real table with decoys that
are made of its own columns. A lower bound: a measured column may be noise, and a decoy as useful as its columns."""
average_precision = Metric(
    "average_precision",
    _Score(_average_precision),
    _Chance(_average_precision_by_chance),
    0.0,
    1.0,
    "Average precision",
    order=40,
)
"""Average precision: precision at the rank of every relevant input, averaged."""
precision_at_p = Metric(
    "precision_at_p", _Score(_precision_at_p), _Chance(_share), 0.0, 1.0, "Precision at p", order=50
)
"""Share of the p relevant inputs among the p highest ranked."""
somers_d = Metric("somers_d", _Score(_somers_d), _Chance(_zero), -1.0, 1.0, "Somers’ D", order=60, headline=True)
"""Somers' D against graded truth: concordant minus discordant pairs, over pairs whose truth differs."""
spearman = Metric("spearman", _Score(_spearman), _Chance(_zero), -1.0, 1.0, "Spearman", order=70)
"""Spearman's rank correlation with graded truth, mid-ranks on both sides."""

auroc_redundant = Metric(
    "auroc_redundant",
    _Score(_auroc_redundant),
    _Chance(_half_redundant),
    0.0,
    1.0,
    "AUROC, redundant",
    descriptive=True,
    order=120,
)
"""How high redundant inputs rank: the chance that one stands above a noise input; descriptive, neither good nor bad."""
auroc_suppressor = Metric(
    "auroc_suppressor",
    _Score(_auroc_suppressor),
    _Chance(_half_suppressor),
    0.0,
    1.0,
    "AUROC, suppressors",
    descriptive=True,
    order=130,
)
"""How high suppressors rank: the chance that one stands above a noise input; descriptive, neither good nor bad."""
contrast = Metric("contrast", _Score(_contrast), _Chance(_none), 0.0, 1.0, "Contrast", reads="values", order=90)
"""a / (a + b), a the lowest relevance of a relevant input, b the highest of a noise input; above 1/2: a gap.

1/2 where a = b, also where both are 0. It depends on the sizes of relevances, for which no chance is defined.
"""
support_precision = Metric(
    "support_precision",
    _Score(_support_precision),
    _Chance(_share),
    0.0,
    1.0,
    "Support: precision",
    reads="support",
    order=100,
)
"""Share of relevant inputs among those of relevance above 0, where there are exact zeros; chance is any random set.

Not defined where nothing is selected. Other roles than relevant and noise count neither way.
"""
support_recall = Metric(
    "support_recall", _Score(_support_recall), _Chance(_none), 0.0, 1.0, "Support: recall", reads="support", order=110
)
"""Share of the relevant inputs whose relevance is above 0, where there are exact zeros.

Chance is the share of inputs selected, which is not a fact of the truth: none is given.
"""


def oracle_relevance(truth: GroundTruth) -> Floats:
    """The relevance (d,) that scores 1 in every metric of ranks: the graded truth, or else 1 for relevant and 0.

    Not in the descriptive ones. ``contrast`` is 1 where the grades of noise are 0.

    Raises
    ------
    InputError
        If the truth contradicts itself: a noise input with a grade not below that of every relevant input.
    """
    oracle = truth.relevant.astype(float) if truth.relevance is None else truth.relevance.astype(float)
    items = reduced(oracle, truth).relevant_or_noise()
    if items is not None and items.relevance[items.relevant].min() <= items.relevance[items.noise].max():
        low, high = items.relevance[items.relevant].min(), items.relevance[items.noise].max()
        raise InputError(
            f"graded truth: expected every relevant input above every noise input, got {low:g} and {high:g}: "
            "correct the roles or the grades"
        )
    return oracle


def random_scores(metric: Metric, truth: GroundTruth, rankings: int, rng: np.random.Generator) -> Floats | None:
    """Scores (rankings,) of uniformly random rankings without ties, or None where the metric is not defined.

    What is ranked are attributes and groups, not columns: by columns, a large block or group would stand
    before the others by its size alone. Equal states of ``rng`` give equal rankings for all metrics.
    """
    items = reduced(np.zeros(len(truth.roles)), truth)
    a = len(items.relevant)
    column = _columns_of_items(truth)
    scores = []
    step = max(1, VALUES_AT_ONCE // a)
    for start in range(0, rankings, step):
        rows = min(step, rankings - start)
        ranks = rng.permuted(np.broadcast_to(np.arange(1.0, a + 1), (rows, a)), axis=1)
        if isinstance(metric.function, _Score):
            batch = metric.function.of_items(items._replace(relevance=ranks))
            if batch is None:
                return None
            scores.append(batch)
            continue
        relevance = np.zeros((rows, len(truth.roles)))
        relevance[:, column] = ranks
        single = [metric(row, truth) for row in relevance]
        if any(score is None for score in single):
            return None
        scores.append(np.array(single, dtype=np.float64))
    return np.concatenate(scores) if scores else np.empty(0)


def _columns_of_items(truth: GroundTruth) -> Ints:
    """(a,) one column of each item: a relevance there, and 0 elsewhere, is the relevance of the item."""
    d = len(truth.roles)
    blocks = _partition("blocks", truth.blocks, d)
    groups = _partition("groups", _groups_of_attributes(truth), len(blocks))
    return np.array([blocks[group[0]][0] for group in groups])
