"""Two means of independent draws, theirs and ours: do they agree within a margin, or differ by more?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from xai_bench.published.anchors import Mean
from xai_bench.statistics import LEAST_DRAWS

Outcome = Literal["agrees", "differs", "undecided"]
MARGIN, LEVEL = 0.03, 0.05
MOST_DRAWS = 10_000
"""More draws than this are not asked for."""


class Compared(NamedTuple):
    """Ours less theirs.

    Attributes
    ----------
    difference : of the means
    error : its standard error, with the Monte Carlo errors of both; NaN below five draws of ours
    degrees : of freedom (Welch 1947)
    agrees : p-value of "they differ by the margin or more"
    differs : p-value of "they differ by the margin or less"
    """

    difference: float
    error: float
    degrees: float
    agrees: float
    differs: float


def compared(ours: Mean, theirs: Mean, margin: float = MARGIN, shared: float = 0.0) -> Compared:
    """Compare two means.

    Runs of theirs whose spread is not published are taken to vary as draws of ours do, one run if their number is not
    published either. A standard deviation of which it is not said how many runs it is of is taken as the error of their
    mean: it cannot be larger.

    Parameters
    ----------
    margin : differences up to here do not matter
    shared : of draws that are splits of one table, test rows over training rows (Nadeau and Bengio 2003): their
        variance is that much larger; 0 for independent draws
    """
    difference = ours.mean - theirs.mean
    if ours.n is None or ours.n < LEAST_DRAWS or ours.sd is None:
        return Compared(difference, math.nan, math.nan, math.nan, math.nan)
    own = ours.sd**2 * (1 / ours.n + shared)
    runs, spread = theirs.n or 1, theirs.sd is not None
    foreign = (theirs.sd if theirs.sd is not None else ours.sd) ** 2 / runs
    error = math.sqrt(own + foreign)
    if error == 0:
        within = abs(difference) <= margin
        return Compared(difference, 0.0, math.inf, 0.0 if within else 1.0, 1.0 if within else 0.0)
    from scipy.special import stdtr

    estimated = foreign if spread and runs > 1 else 0.0
    parts = own**2 / (ours.n - 1) + (estimated**2 / (runs - 1) if estimated else 0.0)
    degrees = (own + estimated) ** 2 / parts if parts > 0 else float(ours.n - 1)
    near, far = (margin - abs(difference)) / error, (margin + abs(difference)) / error
    return Compared(
        difference,
        error,
        degrees,
        float(stdtr(degrees, -near)),
        min(1.0, float(stdtr(degrees, near) + stdtr(degrees, -far))),
    )


def draws_needed(ours: Mean, theirs: Mean, level: float, margin: float = MARGIN, shared: float = 0.0) -> int | None:
    """The fewest draws of ours at which the pair would be decided, if difference and spreads stayed as they are.

    Decided is a pair of which one p-value is at most ``level``. None where no number of draws up to ``MOST_DRAWS`` is
    enough: where the difference is close to the margin, or their error is large. See ``compared``.
    """

    def enough(n: int) -> bool:
        found = compared(ours._replace(n=n), theirs, margin, shared)
        return min(found.agrees, found.differs) <= level

    if ours.n is None or ours.sd is None or not enough(MOST_DRAWS):
        return None
    low, high = LEAST_DRAWS - 1, MOST_DRAWS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def next_level(rows: Sequence[Compared], outcomes: Sequence[Outcome], level: float = LEVEL) -> float:
    """What the smallest p-value of the undecided rows would have to be at most, for Holm's procedure to go on."""
    asked = sum(not math.isnan(row.error) for row in rows)
    done = sum(outcome != "undecided" for outcome in outcomes)
    return level / max(asked - done, 1)


def decided(rows: Sequence[Compared], level: float = LEVEL) -> list[Outcome]:
    """What is decided of every row; the chance of any wrong decision among them is at most ``level``.

    Of the two hypotheses of a row one is true, and a decision is wrong if it rejects that one. Holm's procedure (1979)
    over the rows, by the smaller p-value of each: a row that is decided early on is so far from the margin that it is
    hardly ever decided wrongly. Rows without an error ask nothing.
    """
    outcomes: list[Outcome] = ["undecided"] * len(rows)
    asked = sorted((min(row.agrees, row.differs), i) for i, row in enumerate(rows) if not math.isnan(row.error))
    for number, (p, i) in enumerate(asked):
        if p > level / (len(asked) - number):
            break
        outcomes[i] = "agrees" if rows[i].agrees < rows[i].differs else "differs"
    return outcomes
