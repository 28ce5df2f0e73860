"""Scores that are paired by draw: families of datasets weigh alike, and so do the datasets within one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xai_bench.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

LEAST_DRAWS = 5
"""Draws of a dataset below which a pair is undecided."""
LEAST_FAMILIES = 15
"""Families below which nothing is said of further problems of their kind."""


@dataclass(frozen=True)
class Versions:
    """By which scores two entrants are compared, where it depends on the other one: methods on the networks of both.

    Attributes
    ----------
    values : for every dataset (draws, v), the scores of v versions of the entrants, NaN where there is none
    column : (m, m), the version by which the row's entrant is compared with the column's
    shared : (m, m), whether the two can be compared at all; symmetric
    """

    values: tuple[Floats, ...]
    column: NDArray[np.int_]
    shared: Bools

    @classmethod
    def plain(cls, scores: Scores) -> Versions:
        """Everybody by the same scores, whoever the other one is."""
        column = np.repeat(np.arange(scores.m)[:, None], scores.m, axis=1)
        return cls(scores.values, column, np.ones((scores.m, scores.m), dtype=np.bool_))

    def only(self, chosen: Sequence[int]) -> Versions:
        """Of these entrants, in this order."""
        kept = np.ix_(chosen, chosen)
        used, column = np.unique(self.column[kept], return_inverse=True)
        values = tuple(values[:, used] for values in self.values)
        return Versions(values, column.reshape(len(chosen), len(chosen)), self.shared[kept])


@dataclass(frozen=True)
class Scores:
    """Scores of m entrants on several datasets, paired by draw.

    Attributes
    ----------
    entrants : m names
    datasets : names
    values : for every dataset (draws, m), NaN where an entrant has no score
    families : that of every dataset; () where each is a family of its own
    versions : what pairs are compared by; None for ``values``
    """

    entrants: tuple[str, ...]
    datasets: tuple[str, ...]
    values: tuple[Floats, ...]
    families: tuple[str, ...] = ()
    versions: Versions | None = None

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Scores:
        """From one row a score: columns ``dataset``, ``draw``, ``entrant``, ``value``, and ``family`` if there is one.

        Rows that repeat are averaged.

        Raises
        ------
        InputError
            If a column does not exist.
        """
        for column in ("dataset", "draw", "entrant", "value"):
            if column not in frame.columns:
                raise unknown("column", column, map(str, frame.columns))
        entrants = tuple(map(str, frame["entrant"].unique()))
        values, families = [], []
        for _, rows in frame.groupby("dataset", sort=False):
            table = rows.pivot_table("value", "draw", "entrant", aggfunc="mean", dropna=False)
            values.append(table.reindex(columns=list(entrants)).to_numpy(np.float64))
            families.append(str(rows["family"].iloc[0]) if "family" in rows else "")
        datasets = tuple(map(str, frame["dataset"].unique()))
        return cls(entrants, datasets, tuple(values), tuple(families) if "family" in frame else ())

    @property
    def m(self) -> int:
        """Number of entrants."""
        return len(self.entrants)

    @cached_property
    def means(self) -> Floats:
        """(families, m): mean over the datasets of a family of the mean over their draws; NaN without a score."""
        return self._of_families(self.values)

    def _of_families(self, values: Sequence[Floats]) -> Floats:
        """``means`` of any columns."""
        of_datasets = np.array([_mean(one) for one in values])
        named = np.array(self.families or self.datasets)
        return np.array([_mean(of_datasets[named == family]) for family in dict.fromkeys(named)])

    def shared(self, first: str, second: str) -> tuple[int, int]:
        """(families, draws) that two entrants share; the latter on the dataset that has the fewest."""
        named = self.families or self.datasets
        seen = [int(np.isfinite(values).sum()) for values in self._differences(first, second)]
        both = [(family, n) for family, n in zip(named, seen, strict=True) if n]
        return len({family for family, _ in both}), min((n for _, n in both), default=0)

    def wins(self, first: str, second: str) -> float:
        """The share of the draws in which the first is the better one; equal scores count half, families alike."""
        higher = [
            np.where(np.isfinite(values), (np.sign(values) + 1) / 2, np.nan)
            for values in self._differences(first, second)
        ]
        return float(_mean(self._of_families(higher)))

    def _differences(self, first: str, second: str) -> list[Floats]:
        """For every dataset (draws,), the first less the second; NaN where they cannot be compared."""
        i, j = self.entrants.index(first), self.entrants.index(second)
        versions = self.versions or Versions.plain(self)
        gone = 0.0 if versions.shared[i, j] else np.nan
        a, b = versions.column[i, j], versions.column[j, i]
        return [values[:, a] - values[:, b] + gone for values in versions.values]

    def only(self, names: Sequence[str]) -> Scores:
        """The scores of these entrants, in this order."""
        chosen = [self.entrants.index(name) for name in names]
        versions = None if self.versions is None else self.versions.only(chosen)
        values = tuple(values[:, chosen] for values in self.values)
        return Scores(tuple(names), self.datasets, values, self.families, versions)

    def of_families(self) -> Scores:
        """Family means as the only draws: what they say of further problems of this kind.

        Raises
        ------
        InputError
            If there are fewer than fifteen families.
        """
        if len(self.means) < LEAST_FAMILIES:
            raise InputError(
                f"problems of this kind: expected at least {LEAST_FAMILIES} families, got {len(self.means)}: "
                "what is said holds on these problems"
            )
        versions = self.versions and replace(self.versions, values=(self._of_families(self.versions.values),))
        return Scores(self.entrants, ("families",), (self.means,), versions=versions)


def _mean(values: Floats) -> Floats:
    """Over the first axis, of what is there."""
    there = np.isfinite(values)
    count = there.sum(0)
    return np.divide(np.where(there, values, 0.0).sum(0), count, out=np.full(count.shape, np.nan), where=count > 0)


@dataclass(frozen=True)
class Design:
    """Who has a score where, and what it weighs; of pairs of r chosen entrants with all m.

    Attributes
    ----------
    seen : for every dataset (draws, m), 1 where there is a score
    rows : the r entrants
    shared : for every dataset (r, m), draws that both have
    weights : for every dataset (r, m): 1 / (families that both have x its datasets that both have)
    degrees : (r, m), sum of the shared draws less one
    comparable : (r, m), whether both share a dataset, and five draws of each that they share
    """

    seen: tuple[Floats, ...]
    rows: NDArray[np.int_]
    shared: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    degrees: Floats
    comparable: Bools

    @classmethod
    def of(cls, scores: Scores, rows: NDArray[np.int_]) -> Design:
        seen = tuple(np.isfinite(values).astype(np.float64) for values in scores.values)
        shared = tuple(s[:, rows].T @ s for s in seen)
        there = np.array([n > 0 for n in shared])
        named = np.array(scores.families or scores.datasets)
        within = np.zeros(there.shape)
        families = np.zeros(there.shape[1:])
        for family in dict.fromkeys(named):
            of_family = there[named == family].sum(0)
            within[named == family] = of_family
            families += of_family > 0
        weights = there / np.maximum(within * families, 1.0)
        enough = np.all([~t | (n >= LEAST_DRAWS) for t, n in zip(there, shared, strict=True)], axis=0)
        comparable = enough & there.any(0)
        comparable[np.arange(len(rows)), rows] = False
        degrees = np.maximum(np.array(shared) - 1, 0.0).sum(0)
        return cls(seen, rows, shared, tuple(weights), degrees, comparable)

    @cached_property
    def complete(self) -> bool:
        """Whether every entrant has every score."""
        return all(bool(seen.all()) for seen in self.seen)

    def moments(self, values: Sequence[Floats]) -> tuple[Floats, Floats]:
        """(..., r, m) mean differences and their variances, of ``values`` (..., draws, m) with 0 where none is seen."""
        return self._of_all(values) if self.complete else self._of_shared(values)

    def _of_all(self, values: Sequence[Floats]) -> tuple[Floats, Floats]:
        """From means (..., m) and covariances, which are added up over datasets first: much faster."""
        shape = (*values[0].shape[:-2], values[0].shape[-1])
        mean, spread = np.zeros(shape), np.zeros(shape)
        both = np.zeros((*shape[:-1], len(self.rows), shape[-1]))
        for x, weights in zip(values, self.weights, strict=True):
            n, weight = x.shape[-2], float(weights.flat[0])
            of_draws = x.mean(-2)
            rest = (x - of_draws[..., None, :]) * (weight / np.sqrt(n * max(n - 1, 1)))
            mean += weight * of_draws
            spread += np.einsum("...nm,...nm->...m", rest, rest)
            both += np.swapaxes(rest[..., self.rows], -1, -2) @ rest
        own = self.rows
        difference = mean[..., own, None] - mean[..., None, :]
        return difference, np.maximum(spread[..., own, None] + spread[..., None, :] - 2 * both, 0.0)

    def _of_shared(self, values: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Pair by pair: of each the draws that both have."""
        shape = (*values[0].shape[:-2], len(self.rows), values[0].shape[-1])
        mean, variance = np.zeros(shape), np.zeros(shape)
        for x, seen, n, weight in zip(values, self.seen, self.shared, self.weights, strict=True):
            own, own_seen, safe = x[..., self.rows], seen[:, self.rows], np.maximum(n, 1.0)
            turned = np.swapaxes(own, -1, -2)
            difference = (turned @ seen - own_seen.T @ x) / safe
            squares = np.swapaxes(own * own, -1, -2) @ seen + own_seen.T @ (x * x) - 2 * (turned @ x)
            spread = np.maximum(squares - safe * difference * difference, 0.0) / np.maximum(n - 1, 1.0)
            mean += weight * difference
            variance += weight**2 * spread / safe
        return mean, variance
