"""What simulated targets say about methods, decided as leaderboards are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from xai_bench.analysis.leader import Leader
from xai_bench.analysis.simulations import DENSE, ORDERS, SPARSE
from xai_bench.decisions import BETTER, QUANTILE, Decisions
from xai_bench.errors import unknown
from xai_bench.paired import Scores
from xai_bench.results.comparison import Comparison
from xai_bench.results.entrants import RECOVERY

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

CHOOSE, SCORE = "choose", "score"
ALL = "all"
KIND_COLUMNS = [
    "kind", "best", "score", "leader_score", "difference", "low", "high", "outcome", "recommended", "draws",
]  # fmt: skip


@dataclass(frozen=True)
class Simulation:
    """What was simulated, and how.

    Attributes
    ----------
    name, target : of the table, and of the column whose difficulty the targets have; "" for none
    rows, of_rows, inputs : on which targets were simulated, of how many
    kind : of the targets, classification or regression
    score, real, chance : what the forest reaches on the real target, by which score, and what a constant guess does;
        "" and NaN without one
    draws, asked : of every kind that choose, and as many that score; how many were asked for
    seconds : wall time of all of it
    """

    name: str
    target: str
    rows: int
    of_rows: int
    inputs: int
    kind: str
    score: str
    real: float
    chance: float
    draws: int
    asked: int
    seconds: float


@dataclass(frozen=True)
class Choice:
    """The entrant with the highest mean on the targets that choose, compared with the leader on those that score.

    Attributes
    ----------
    kind : of targets
    best : who was chosen
    score, leader_score : mean recovery of both on the targets that score
    difference, low, high : of the two, with its interval; NaN where both are the same or there are too few draws
    outcome : of the best against the leader
    recommended : the best one where it is shown to be better, else the leader
    draws : that score, of every dataset
    """

    kind: str
    best: str
    score: float
    leader_score: float
    difference: float
    low: float
    high: float
    outcome: str
    recommended: str
    draws: int


@dataclass(frozen=True)
class Verdict:
    """What simulated targets say about methods on a table.

    Attributes
    ----------
    asked : what was simulated
    values : recovery, one row an entrant and simulated target: see ``simulations.scores``
    difficulty : one row a kind of target: kind, relevant (inputs), signal (share of the variance that they give),
        reached (what the forest scores on such targets), real (on the real one)
    leader : of the suite ``standard``
    results : of all methods on all simulated targets
    """

    asked: Simulation
    values: pd.DataFrame
    difficulty: pd.DataFrame
    leader: Leader
    results: Results

    @cached_property
    def choice(self) -> Choice:
        """Over all kinds of targets."""
        return self._choice(ALL, 1)

    @property
    def recommended(self) -> str:
        """``spectral on mlp``, or a method that needs no network alone."""
        return self.choice.recommended

    def leaderboard(self, kind: str = ALL) -> pd.DataFrame:
        """Who leads on the targets that score, best first: see ``Results.leaderboard``; families are orders.

        Parameters
        ----------
        kind : ``all``, or one of ``by_kind``

        Raises
        ------
        InputError
            If there is no such kind.
        """
        return self._comparison(SCORE, kind).leaderboard()

    def pairs(self, kind: str = ALL) -> pd.DataFrame:
        """Every pair of the leaderboard: see ``Results.pairs``."""
        return self._comparison(SCORE, kind).pairs()

    def by_kind(self) -> pd.DataFrame:
        """One row a kind of target, see ``Choice``; intervals hold for all rows together."""
        return self._by_kind.copy()

    @cached_property
    def _by_kind(self) -> pd.DataFrame:
        rows = [self._choice(kind, len(self.kinds)) for kind in self.kinds]
        return pd.DataFrame([vars(row) for row in rows], columns=KIND_COLUMNS)

    @property
    def kinds(self) -> list[str]:
        """The kinds that were simulated: by how many inputs act together, and by how many are relevant."""
        families, densities = set(self.values["family"]), set(self.values["density"])
        found = [name for name in ORDERS.values() if name in families]
        return found + ([SPARSE, DENSE] if len(densities) > 1 else [])

    def _comparison(self, purpose: str, kind: str) -> Comparison:
        rows = self.values[self.values["purpose"] == purpose]
        if kind != ALL:
            if kind not in self.kinds:
                raise unknown("kind of target", kind, [ALL, *self.kinds])
            rows = rows[rows["density" if kind in (SPARSE, DENSE) else "family"] == kind]
        return Comparison("entrants", RECOVERY, rows)

    def _choice(self, kind: str, questions: int) -> Choice:
        """``questions``: that are asked at once, for all of which intervals hold."""
        facts = self._comparison(CHOOSE, kind).facts
        best = str(facts.loc[facts["ranked"], "score"].idxmax())
        judged = self._comparison(SCORE, kind)
        leader, known = self.leader.name, judged.facts
        score, of_leader = (float(known["score"][name]) for name in (best, leader))
        draws = int(known["draws"][best])
        if best == leader:
            nan = float("nan")
            return Choice(kind, best, score, of_leader, nan, nan, nan, "equal", leader, draws)
        outcome, difference, half = _against(judged.scores, best, leader, 1 - (1 - QUANTILE) / questions)
        recommended = best if outcome in BETTER else leader
        return Choice(
            kind, best, score, of_leader, difference, difference - half, difference + half, outcome, recommended, draws
        )


def _against(scores: Scores, best: str, leader: str, quantile: float) -> tuple[str, float, float]:
    """Outcome of the best against the leader, their difference, and half the width of its interval."""
    found = Decisions(scores.only([best, leader]), quantile=quantile)
    return str(found.outcomes[0, 1]), float(found.difference[0, 1]), float(found.half_width[0, 1])
