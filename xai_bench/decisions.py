"""Which entrant is better? Simultaneous decisions over pairs, from scores that are paired by draw.

An entrant is a method on a network, or a method that needs none. Families of datasets are fixed and weigh alike;
uncertainty comes from draws. Variances are moderated: a pair whose few scores happen to be equal is no certainty.
Critical values come from resampling the draws' residuals with all means equal, so that the chance of any false
decision among all pairs is bounded (Romano and Wolf 2005 for the step-down form; Hsu 1984 for comparisons with the
best; Smyth 2004 for the moderation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench.component import stream_seed
from xai_bench.errors import unknown
from xai_bench.paired import Bools, Design, Floats, Scores, Versions

Outcome = Literal["better", "slightly better", "equal", "slightly worse", "worse", "undecided"]

MARGIN = 0.05
"""Differences of the score below this make no practical difference."""
PRIOR_DEGREES = 16.0
"""Degrees of freedom that the mean variance over pairs counts for."""
QUANTILE = 0.98
"""Of the largest statistic over pairs: with residuals of real scores, whose atoms and covariances no normal replicate
has, .98 keeps the chance of any false decision below .05. ``benchmarks/simulate_decisions.py`` measures it; its table
is ``benchmarks/scores/decisions.csv``."""
REPLICATES = 2000
AT_ONCE = 2**22
"""Random numbers in one go (32 MiB)."""
BETTER, WORSE = ("better", "slightly better"), ("worse", "slightly worse")


def _moderated(variance: Floats, degrees: Floats, prior: float) -> Floats:
    """Variances drawn towards ``prior``."""
    return (PRIOR_DEGREES * prior + degrees * variance) / (PRIOR_DEGREES + degrees)


class _Pairs:
    """Differences of r chosen entrants from all m, and what they would be where all means are equal.

    Attributes
    ----------
    difference, error : (r, m), mean score of the row's entrant less that of the column's, and its moderated error
    comparable : (r, m), see ``Design``
    prior : the variance that others are drawn towards
    statistics : (replicates, r, m), difference over error, resampled; 0 for pairs that cannot be compared
    """

    def __init__(
        self, scores: Scores, rows: Sequence[int], prior: float | None, replicates: int, rng: np.random.Generator
    ) -> None:
        own = np.asarray(rows, dtype=np.int_)
        versions = scores.versions or Versions.plain(scores)
        self._chosen: tuple[NDArray[np.int_], NDArray[np.int_]] | None = None
        if scores.versions is not None:
            used, place = np.unique(versions.column[own], return_inverse=True)
            self._chosen = place.reshape(len(own), scores.m), versions.column[:, own].T
            own, scores = used, replace(scores, values=versions.values, versions=None)
        design = Design.of(scores, own)
        filled = [np.where(s > 0, v, 0.0) for v, s in zip(scores.values, design.seen, strict=True)]
        self.comparable = self._pick(design.comparable) & versions.shared[rows]
        self.difference, variance = map(self._pick, design.moments(filled))
        self._degrees = self._pick(design.degrees)
        known = variance[self.comparable]
        self.prior = prior if prior is not None else float(known.mean()) if known.size else 0.0
        self.error = np.sqrt(_moderated(variance, self._degrees, self.prior))
        self.statistics = self._resampled(design, filled, replicates, rng)

    def _pick(self, of_versions: NDArray[Any]) -> NDArray[Any]:
        """(..., r, m) of pairs, from (..., versions of the rows, all versions)."""
        return of_versions if self._chosen is None else of_versions[..., self._chosen[0], self._chosen[1]]

    def _resampled(self, design: Design, filled: Sequence[Floats], replicates: int, rng: np.random.Generator) -> Floats:
        """The residuals of each dataset times standard normal matrices: all means equal, covariances as they are."""
        residuals = [s * (x - x.sum(0) / np.maximum(s.sum(0), 1)) for x, s in zip(filled, design.seen, strict=True)]
        parts = []
        most = max(1, AT_ONCE // max(len(r) * max(r.shape) for r in residuals))
        for start in range(0, replicates, most):
            count = min(most, replicates - start)
            drawn = []
            for r, seen in zip(residuals, design.seen, strict=True):
                g = rng.standard_normal((count, len(r), len(r)))
                drawn.append(seen * (g @ r) / math.sqrt(max(len(r) - 1, 1)))
            mean, variance = map(self._pick, design.moments(drawn))
            error = np.sqrt(_moderated(variance, self._degrees, self.prior))
            parts.append(np.divide(mean, error, out=np.zeros_like(error), where=error > 0))
        statistics = np.concatenate(parts)
        statistics[:, ~self.comparable] = 0.0
        return statistics

    def half_width(self, critical: float) -> Floats:
        """(r, m): half the width of the simultaneous intervals; NaN where nothing can be said."""
        return np.where(self.comparable & (self.error > 0), critical * self.error, np.nan)


def _outcomes(difference: Floats, half_width: Floats, margin: float) -> NDArray[np.str_]:
    """What intervals decide: (...) words of ``Outcome``."""
    low, high = difference - half_width, difference + half_width
    within = (low > -margin) & (high < margin)
    result = np.full(np.shape(low), "undecided", dtype="<U15")
    result[within] = "equal"
    for sign, word in ((low > 0, "better"), (high < 0, "worse")):
        result[sign & ~within] = word
        result[sign & within] = f"slightly {word}"
    return result


def _quantile(statistics: Floats, quantile: float) -> float:
    """Exceeded by one more statistic with a probability of 1 - ``quantile``."""
    return float(np.quantile(statistics, quantile, method="weibull"))


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
        rng = np.random.default_rng(stream_seed("decisions", seed))
        self._pairs = _Pairs(scores, range(scores.m), None, replicates, rng)

    @property
    def difference(self) -> Floats:
        """(m, m): mean score of the row's entrant less that of the column's, over the families that both have."""
        return self._pairs.difference

    @property
    def error(self) -> Floats:
        """(m, m): the moderated standard error of every difference."""
        return self._pairs.error

    @property
    def prior(self) -> float:
        """The mean variance over pairs, which the variance of a pair is drawn towards."""
        return self._pairs.prior

    @property
    def comparable(self) -> Bools:
        """(m, m): both entrants share a dataset, and five draws of each that they share."""
        return self._pairs.comparable

    @cached_property
    def critical(self) -> float:
        """How many standard errors a difference must be away from 0: the same for all pairs."""
        return _quantile(np.abs(self._pairs.statistics).max((1, 2)), self.quantile)

    @property
    def half_width(self) -> Floats:
        """(m, m): half the width of the simultaneous interval of every difference; NaN where nothing can be said."""
        return self._pairs.half_width(self.critical)

    @property
    def smallest_detectable(self) -> float:
        """The median half width over pairs: differences below it are mostly undecided."""
        widths = self.half_width[np.triu_indices(self.scores.m, 1)]
        return float(np.nanmedian(widths)) if np.isfinite(widths).any() else math.nan

    @cached_property
    def outcomes(self) -> NDArray[np.str_]:
        """(m, m): what is decided of the row's entrant against the column's."""
        return _outcomes(self.difference, self.half_width, self.margin)

    @cached_property
    def not_worse_than_best(self) -> Bools:
        """(m,): entrants that are not shown to be worse than the best one (comparisons with the best).

        It asks fewer questions than all pairs do, and so may leave out an entrant that is undecided in every pair.
        """
        return np.array([self.one(name).not_worse_than_best for name in self.scores.entrants])

    def ranks(self) -> NDArray[np.int_]:
        """(m, 2): the lowest and the highest rank that the decided pairs leave to every entrant; 1 is the best."""
        above = np.isin(self.outcomes, WORSE).sum(1)
        below = np.isin(self.outcomes, BETTER).sum(1)
        return np.stack([1 + above, self.scores.m - below], axis=1)

    def shares(self) -> dict[str, float]:
        """Outcome to its share of all pairs, each counted once."""
        return shares(self.outcomes[np.triu_indices(self.scores.m, 1)])

    def one(self, name: str) -> OneAgainstAll:
        """One entrant against every other.

        Raises
        ------
        InputError
            If there is no such entrant.
        """
        return OneAgainstAll(self.scores, name, self._pairs, _index(self.scores, name), self.margin, self.quantile)


class OneAgainstAll:
    """What scores say of one entrant against every other: fewer questions than all pairs, so more decisions.

    Attributes
    ----------
    name : the entrant
    others : m - 1 names, in the order of the scores; all arrays are in this order
    difference, half_width : (m - 1,), the entrant's score less that of the other; of simultaneous intervals
    comparable : (m - 1,), whether they share enough draws
    """

    def __init__(self, scores: Scores, name: str, pairs: _Pairs, row: int, margin: float, quantile: float) -> None:
        kept = np.arange(scores.m) != scores.entrants.index(name)
        self.name, self.margin, self.quantile = name, margin, quantile
        self.others = tuple(entrant for entrant in scores.entrants if entrant != name)
        self.difference, self._error = pairs.difference[row, kept], pairs.error[row, kept]
        self._statistics, self.comparable = pairs.statistics[:, row, kept], pairs.comparable[row, kept]
        self.half_width = pairs.half_width(_quantile(np.abs(self._statistics).max(1), quantile))[row, kept]

    @classmethod
    def later(
        cls,
        scores: Scores,
        name: str,
        *,
        prior: float | None = None,
        margin: float = MARGIN,
        quantile: float = QUANTILE,
        replicates: int = REPLICATES,
        seed: int = 0,
    ) -> OneAgainstAll:
        """An entrant that is not decided of together with the others.

        Parameters
        ----------
        scores : of the entrant and at least one other
        prior : the variance that those of the pairs are drawn towards: that of the others; None for the mean of these
        margin, quantile, replicates, seed : see ``Decisions``

        Raises
        ------
        InputError
            If there is no such entrant.
        """
        rng = np.random.default_rng(stream_seed("decisions", "later", seed))
        pairs = _Pairs(scores, [_index(scores, name)], prior, replicates, rng)
        return cls(scores, name, pairs, 0, margin, quantile)

    @cached_property
    def outcomes(self) -> NDArray[np.str_]:
        """(m - 1,): what the simultaneous intervals decide."""
        return _outcomes(self.difference, self.half_width, self.margin)

    @cached_property
    def step_down(self) -> tuple[Outcome, ...]:
        """(m - 1,): the furthest difference is tested first; once it is decided, the others are compared with the
        largest of what is left (Romano and Wolf 2005, Econometrica 73). What the simultaneous intervals say of the
        margin stays as it is: it says more than the sign alone."""
        left = [int(j) for j in np.flatnonzero(self._asked)]
        found = [str(word) for word in self.outcomes]
        while left:
            bound = _quantile(np.abs(self._statistics[:, left]).max(1), self.quantile)
            decided = [j for j in left if abs(self.difference[j]) > bound * self._error[j]]
            if not decided:
                break
            for j in decided:
                if found[j] == "undecided":
                    found[j] = "better" if self.difference[j] > 0 else "worse"
            left = [j for j in left if j not in decided]
        return tuple(found)  # type: ignore[arg-type]

    @property
    def not_worse_than_best(self) -> bool:
        """Whether no other one comes out further above than the furthest does where all are equal (Hsu 1984)."""
        if not self._asked.any():
            return True
        bound = _quantile((-self._statistics).max(1), self.quantile)
        return bool((self.difference + bound * self._error >= 0)[self._asked].all())

    @property
    def _asked(self) -> Bools:
        return self.comparable & (self._error > 0)


def _index(scores: Scores, name: str) -> int:
    if name not in scores.entrants:
        raise unknown("entrant", name, scores.entrants)
    return scores.entrants.index(name)


def shares(outcomes: NDArray[np.str_]) -> dict[str, float]:
    """Outcome to its share of pairs (k,), whichever of the two is the better one."""
    words = {"worse": "better", "slightly worse": "slightly better"}
    kinds = [words.get(str(word), str(word)) for word in outcomes]
    return {k: kinds.count(k) / max(len(kinds), 1) for k in ("better", "slightly better", "equal", "undecided")}
