"""Which entrant is better? Simultaneous decisions over all pairs, from scores that are paired by draw.

An entrant is a method on a network, or a method that needs none. Datasets are fixed and weigh alike; uncertainty
comes from draws. Variances are moderated: a pair whose few scores happen to be equal is no certainty. Critical values
come from resampling the draws' residuals with all means equal, so that the chance of any false decision among all
pairs is bounded (Romano and Wolf 2005 for the step-down form; Hsu 1984 for comparisons with the best; Smyth 2004 for
the moderation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench.component import stream_seed
from xai_bench.errors import unknown

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Outcome = Literal["better", "slightly better", "equal", "slightly worse", "worse", "undecided"]

MARGIN = 0.05
"""Differences of the score below this make no practical difference."""
PRIOR_DEGREES = 16.0
"""Degrees of freedom that the mean variance over pairs counts for."""
LEAST_DRAWS = 5
"""Draws of a dataset below which a pair is undecided."""
QUANTILE = 0.98
"""Of the largest statistic over pairs. ``benchmarks/simulate_decisions.py`` measures error rates with residuals of real
scores; the tests, with normal scores and with atoms at the best one."""
REPLICATES = 2000
AT_ONCE = 2**22
"""Random numbers in one go (32 MiB)."""


@dataclass(frozen=True)
class Scores:
    """Scores of m entrants on several datasets, paired by draw.

    Attributes
    ----------
    entrants : m names
    datasets : names
    values : for every dataset (draws, m), NaN where an entrant has no score
    """

    entrants: tuple[str, ...]
    datasets: tuple[str, ...]
    values: tuple[Floats, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Scores:
        """From one row a score: columns ``dataset``, ``draw``, ``entrant``, ``value``; rows that repeat are averaged.

        Raises
        ------
        InputError
            If a column does not exist.
        """
        for column in ("dataset", "draw", "entrant", "value"):
            if column not in frame.columns:
                raise unknown("column", column, map(str, frame.columns))
        entrants = tuple(map(str, frame["entrant"].unique()))
        datasets = tuple(map(str, frame["dataset"].unique()))
        values = []
        for dataset in datasets:
            rows = frame[frame["dataset"] == dataset]
            table = rows.pivot_table("value", "draw", "entrant", aggfunc="mean", dropna=False)
            values.append(table.reindex(columns=list(entrants)).to_numpy(np.float64))
        return cls(entrants, datasets, tuple(values))

    @property
    def m(self) -> int:
        """Number of entrants."""
        return len(self.entrants)


@dataclass(frozen=True)
class _Moments:
    """Of every ordered pair of entrants: (m, m) mean difference, variance, degrees of freedom, comparability."""

    mean: Floats
    variance: Floats
    degrees: Floats
    known: Bools


def _moments(values: Sequence[Floats], shown: Sequence[Bools]) -> _Moments:
    """``values``: (..., draws, m) with 0 where ``shown`` (draws, m) is False; moments are (..., m, m)."""
    m = shown[0].shape[1]
    total: Floats = np.zeros((*values[0].shape[:-2], m, m))
    variance, degrees, shared = np.zeros_like(total), np.zeros((m, m)), np.zeros((m, m))
    enough = np.ones((m, m), dtype=bool)
    for x, mask in zip(values, shown, strict=True):
        seen = mask.astype(np.float64)
        n = seen.T @ seen
        squares = np.swapaxes(x * x, -1, -2) @ seen
        sums = np.swapaxes(x, -1, -2) @ seen
        there = n > 0
        safe = np.where(there, n, 1.0)
        mean = (sums - np.swapaxes(sums, -1, -2)) / safe
        of_squares = squares + np.swapaxes(squares, -1, -2) - 2 * (np.swapaxes(x, -1, -2) @ x)
        spread = np.maximum(of_squares - safe * mean * mean, 0.0) / np.maximum(n - 1, 1.0)
        total += np.where(there, mean, 0.0)
        variance += np.where(there, spread / safe, 0.0)
        degrees += np.where(there, n - 1, 0.0)
        shared += there
        enough &= ~there | (n >= LEAST_DRAWS)
    safe = np.maximum(shared, 1.0)
    known = enough & (shared > 0) & ~np.eye(m, dtype=bool)
    return _Moments(total / safe, variance / safe**2, degrees, known)


def _moderated(moments: _Moments, prior: float) -> Floats:
    return (PRIOR_DEGREES * prior + moments.degrees * moments.variance) / (PRIOR_DEGREES + moments.degrees)


class Decisions:
    """What scores say of every pair of entrants, all pairs at once.

    Parameters
    ----------
    scores : of at least two entrants
    margin : differences of the score within +- margin are practically equal
    quantile : of the largest statistic over pairs
    seed : of the resampling, by name: equal scores give equal decisions
    """

    def __init__(
        self,
        scores: Scores,
        *,
        margin: float = MARGIN,
        quantile: float = QUANTILE,
        replicates: int = REPLICATES,
        seed: int = 0,
    ) -> None:
        self.scores, self.margin, self.quantile = scores, margin, quantile
        self._shown = [np.isfinite(v) for v in scores.values]
        filled = [np.where(s, v, 0.0) for v, s in zip(scores.values, self._shown, strict=True)]
        self._moments = _moments(filled, self._shown)
        known = self._moments.known
        self._prior = float(self._moments.variance[known].mean()) if known.any() else 0.0
        self.error = np.sqrt(_moderated(self._moments, self._prior))
        """(m, m): the moderated standard error of every difference."""
        self._statistics = self._resampled(filled, replicates, np.random.default_rng(stream_seed("decisions", seed)))

    @property
    def difference(self) -> Floats:
        """(m, m): mean score of the row's entrant less that of the column's, over the datasets that both have."""
        return self._moments.mean

    @property
    def comparable(self) -> Bools:
        """(m, m): both entrants share a dataset, and five draws of each that they share."""
        return self._moments.known

    def _resampled(self, filled: Sequence[Floats], replicates: int, rng: np.random.Generator) -> Floats:
        """(replicates, m, m): statistics of all pairs where all means are equal and residuals are those of the data."""
        residuals = []
        for x, shown in zip(filled, self._shown, strict=True):
            n = np.maximum(shown.sum(0), 1)
            residuals.append(np.where(shown, x - x.sum(0) / n, 0.0))
        parts = []
        most = max(1, AT_ONCE // max(len(r) * max(len(r), self.scores.m) for r in residuals))
        for start in range(0, replicates, most):
            count = min(most, replicates - start)
            drawn = []
            for r, shown in zip(residuals, self._shown, strict=True):
                g = rng.standard_normal((count, len(r), len(r)))
                drawn.append(np.where(shown, g @ r, 0.0) / math.sqrt(max(len(r) - 1, 1)))
            moments = _moments(drawn, self._shown)
            error = np.sqrt(_moderated(moments, self._prior))
            parts.append(np.divide(moments.mean, error, out=np.zeros_like(error), where=error > 0))
        statistics = np.concatenate(parts)
        statistics[:, ~self.comparable] = 0.0
        return statistics

    @cached_property
    def critical(self) -> float:
        """How many standard errors a difference must be away from 0: the same for all pairs."""
        return float(np.quantile(np.abs(self._statistics).max((1, 2)), self.quantile))

    @property
    def half_width(self) -> Floats:
        """(m, m): half the width of the simultaneous interval of every difference; NaN where nothing can be said."""
        return np.where(self.comparable & (self.error > 0), self.critical * self.error, np.nan)

    @property
    def smallest_detectable(self) -> float:
        """The median half width over pairs: differences below it are mostly undecided."""
        widths = self.half_width[np.triu_indices(self.scores.m, 1)]
        return float(np.nanmedian(widths)) if np.isfinite(widths).any() else math.nan

    @cached_property
    def outcomes(self) -> NDArray[np.str_]:
        """(m, m): what is decided of the row's entrant against the column's."""
        low, high = self.difference - self.half_width, self.difference + self.half_width
        within = (low > -self.margin) & (high < self.margin)
        result = np.full(low.shape, "undecided", dtype="<U15")
        result[within] = "equal"
        for sign, word in ((low > 0, "better"), (high < 0, "worse")):
            result[sign & ~within] = word
            result[sign & within] = f"slightly {word}"
        return result

    @cached_property
    def not_worse_than_best(self) -> Bools:
        """(m,): entrants that are not shown to be worse than the best one (comparisons with the best).

        It asks fewer questions than all pairs do, and so may leave out an entrant that is undecided in every pair.
        """
        result = np.ones(self.scores.m, dtype=bool)
        for i in range(self.scores.m):
            largest = self._statistics[:, :, i].max(1)  # how far others come out above i where all are equal
            bound = float(np.quantile(largest, self.quantile))
            others = self.comparable[i] & (self.error[i] > 0)
            result[i] = bool((self.difference[i] + bound * self.error[i] >= 0)[others].all())
        return result

    def ranks(self) -> NDArray[np.int_]:
        """(m, 2): the lowest and the highest rank that the decided pairs leave to every entrant; 1 is the best."""
        above = np.isin(self.outcomes, ("worse", "slightly worse")).sum(1)
        below = np.isin(self.outcomes, ("better", "slightly better")).sum(1)
        return np.stack([1 + above, self.scores.m - below], axis=1)

    def shares(self) -> dict[str, float]:
        """Outcome to its share of all pairs, each counted once."""
        upper = self.outcomes[np.triu_indices(self.scores.m, 1)]
        words = {"worse": "better", "slightly worse": "slightly better"}
        kinds = [words.get(str(word), str(word)) for word in upper]
        return {k: kinds.count(k) / max(len(kinds), 1) for k in ("better", "slightly better", "equal", "undecided")}

    def against(self, focus: str) -> list[tuple[str, Outcome]]:
        """What is decided of one entrant against every other, step-down: fewer questions, more decisions.

        The furthest difference is tested first; once it is decided, the others are compared with the largest of
        what is left (Romano and Wolf 2005, Econometrica 73). Equality is decided by the intervals of ``outcomes``.

        Raises
        ------
        InputError
            If there is no such entrant.
        """
        if focus not in self.scores.entrants:
            raise unknown("entrant", focus, self.scores.entrants)
        i = self.scores.entrants.index(focus)
        left = [j for j in range(self.scores.m) if self.comparable[i, j] and self.error[i, j] > 0]
        found: dict[int, Outcome] = {}
        while left:
            bound = float(np.quantile(np.abs(self._statistics[:, i, left]).max(1), self.quantile))
            decided = [j for j in left if abs(self.difference[i, j]) > bound * self.error[i, j]]
            if not decided:
                break
            for j in decided:
                found[j] = "better" if self.difference[i, j] > 0 else "worse"
            left = [j for j in left if j not in decided]
        # An interval within the margin says more than the sign alone.
        within = np.char.endswith(self.outcomes[i], "equal") | np.char.startswith(self.outcomes[i], "slightly")
        return [
            (name, self.outcomes[i, j] if within[j] else found.get(j, "undecided"))
            for j, name in enumerate(self.scores.entrants)
            if j != i
        ]
