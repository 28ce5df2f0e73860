"""Entrants, methods or networks compared by one score: who is ranked where, and what is decided of every pair."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.decisions import BETTER, MARGIN, WORSE, Decisions, OneAgainstAll, Scores, shares
from xai_bench.errors import InputError, unknown
from xai_bench.rank_tests import MOST, RankTests, rank_tests
from xai_bench.results import entrants
from xai_bench.results.same_networks import SameNetworks

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

Unit = Literal["methods", "networks", "entrants"]
UNITS: tuple[str, ...] = get_args(Unit)
BOARD = [
    "name", "explainer", "model", "score", "rank_low", "rank_high", "first_group", "better_than", "worse_than",
    "equal", "undecided", "families", "of_families", "draws", "ranked", "reason", "learned", "score_learned",
    "families_learned", "confirmatory", "networks",
]  # fmt: skip
PAIRS = ["first", "second", "difference", "low", "high", "outcome", "networks", "families", "draws", "wins"]
APART = "different networks"
"""What is said of two methods that explain no network in common: nothing of them is compared."""


@dataclass(frozen=True)
class Comparison:
    """What the scores of a run say of its entrants, its methods or its networks.

    Those that are ranked and confirmatory are decided of together, all pairs at once. Anyone else (not ranked, or not
    among the confirmatory entrants of the suite) is compared with these only, and changes nobody's decisions.

    Attributes
    ----------
    of : what is compared. ``methods``: their scores are averaged over networks, within a draw; ``networks``: over the
        methods that ran on all of them
    metric : see ``entrants.SCORES``
    values : one row a dataset, draw and name: see ``units``
    whole_kind : family means are the unit, for further problems of this kind; else families are fixed
    scale : what the scores are multiplied by where they are shown: 100 for points
    sign : 1 where a higher score is better, else -1
    same : of methods, their scores by network: a pair is decided on the networks that both explain; None to compare
        what they reach on their own networks
    """

    of: Unit
    metric: str
    values: pd.DataFrame
    whole_kind: bool = False
    scale: float = 1.0
    sign: int = 1
    margin: float = MARGIN
    same: SameNetworks | None = None

    @property
    def scores(self) -> Scores:
        """Of all names, the better the higher."""
        return self._every_draw.of_families() if self.whole_kind else self._every_draw

    @cached_property
    def _every_draw(self) -> Scores:
        rows = self.values[self.values["value"].notna()]
        frame = rows[["dataset", "family", "draw"]].assign(entrant=rows["name"], value=self.sign * rows["value"])
        if self.same is None:
            return Scores.of(frame)
        draws = {str(dataset): pd.Index(sorted(own.unique())) for dataset, own in rows.groupby("dataset")["draw"]}
        return self.same.versions(Scores.of(frame), draws, self.sign)

    @cached_property
    def facts(self) -> pd.DataFrame:
        """One row a name, its index: explainer, model, confirmatory, networks, families, draws, ranked, reason,
        score, learned, score_learned, families_learned."""
        rows = []
        total = self.values["family"].nunique()
        for name, group in self.values.groupby("name", sort=False):
            known = group[group["value"].notna()]
            families = known["family"].nunique()
            learned = group["learned"].astype(float)
            rows.append({
                "name": name,
                **{column: group[column].iloc[0] for column in ("explainer", "model", "confirmatory", "networks")},
                "score": _over_families(known, "value"),
                "families": families,
                "of_families": total,
                "draws": int(known.groupby("dataset", sort=False)["draw"].nunique().min()) if len(known) else 0,
                "ranked": families == total,
                "reason": "" if families == total else _why(group, families, total),
                "learned": float(learned.mean()) if learned.notna().any() else np.nan,
                "score_learned": _over_families(seen := known[known["value_learned"].notna()], "value_learned"),
                "families_learned": seen["family"].nunique(),
            })  # fmt: skip
        return pd.DataFrame(rows).set_index("name")

    @property
    def together(self) -> list[str]:
        """The names that are decided of together."""
        facts = self.facts
        return [str(name) for name in facts.index[facts["ranked"] & facts["confirmatory"]]]

    @cached_property
    def decisions(self) -> Decisions | None:
        """Of all pairs of these; None for fewer than two."""
        if len(self.together) < 2:
            return None
        return Decisions(self.scores.only(self.together), margin=self.margin)

    @cached_property
    def others(self) -> dict[str, OneAgainstAll]:
        """Everyone else with a score, compared with these."""
        prior = self.decisions.prior if self.decisions else None
        names = [name for name in self.scores.entrants if name not in self.together]
        return {
            name: OneAgainstAll.later(self.scores.only([*self.together, name]), name, prior=prior, margin=self.margin)
            for name in names
            if self.together
        }

    def leaderboard(self) -> pd.DataFrame:
        """See ``Results.leaderboard``."""
        board = self.facts.copy()
        for column in ("rank_low", "rank_high", "better_than", "worse_than", "equal", "undecided"):
            board[column] = pd.Series(pd.NA, index=board.index, dtype="Int64")
        board["first_group"] = False
        outcomes = {}
        if self.decisions is not None:
            first = self.decisions.not_worse_than_best
            for i, name in enumerate(self.together):
                board.loc[name, "first_group"] = bool(first[i])
                outcomes[name] = np.delete(self.decisions.outcomes[i], i)
        for name, one in self.others.items():
            board.loc[name, "first_group"] = bool(one.not_worse_than_best and board.loc[name, "ranked"])
            outcomes[name] = one.outcomes
        for name, words in outcomes.items():
            counts = standing(words, ranked=bool(board.loc[name, "ranked"]))
            board.loc[name, list(counts)] = list(counts.values())
        board[["score", "score_learned"]] *= self.scale
        board[["explainer", "model"]] = board[["explainer", "model"]].replace("", None)
        board = board.reset_index().assign(goodness=lambda frame: self.sign * frame["score"])
        order = ["ranked", "goodness", "name"]
        return board.sort_values(order, ascending=[False, False, True], kind="stable", ignore_index=True)[BOARD]

    def pairs(self) -> pd.DataFrame:
        """See ``Results.pairs``."""
        rows = []
        board = [str(name) for name in self.leaderboard()["name"]]
        place = {name: i for i, name in enumerate(board)}
        if self.decisions is not None:
            found, names = self.decisions, self.together
            for i, first in enumerate(names):
                for j, second in enumerate(names):
                    if place[first] < place[second]:
                        numbers = found.difference[i, j], found.half_width[i, j]
                        rows.append((first, second, *numbers, str(found.outcomes[i, j])))
        for name, one in self.others.items():
            for j, second in enumerate(one.others):
                numbers = one.difference[j], one.half_width[j]
                rows.append((name, second, *numbers, str(one.outcomes[j])))
        rows.sort(key=lambda row: (place[row[0]], place[row[1]]))
        return pd.DataFrame([self._pair(*row) for row in rows], columns=PAIRS)

    def _pair(self, first: str, second: str, difference: float, half: float, outcome: str) -> tuple[object, ...]:
        networks = self.same.count(first, second) if self.same else None
        if networks == 0:
            difference, outcome = np.nan, APART
        ends = sorted((self.sign * (difference - half), self.sign * (difference + half)))
        numbers = [self.scale * number + 0.0 for number in (self.sign * difference, *ends)]
        scores, count = self._every_draw, pd.NA if networks is None else networks
        return first, second, *numbers, outcome, count, *scores.shared(first, second), scores.wins(first, second)

    @property
    def apart(self) -> list[tuple[str, str]]:
        """Pairs of those that are decided of together that explain no network in common."""
        pairs = itertools.combinations(self.together, 2)
        return [pair for pair in pairs if self.same is not None and self.same.count(*pair) == 0]

    @property
    def outcomes(self) -> NDArray[np.str_]:
        """(k,): what is decided of the pairs of those that are decided of together; pairs ``apart`` are left out."""
        if self.decisions is None:
            return np.array([], dtype="<U15")
        versions = self.decisions.scores.versions
        upper = np.triu(np.ones_like(self.decisions.comparable) if versions is None else versions.shared, 1)
        return self.decisions.outcomes[upper]

    def counts(self) -> dict[str, int]:
        """Numbers of ``outcomes``: pairs; better, of these ``beyond`` and ``slightly`` (by surely more and surely less
        than the margin); equal, undecided."""
        words = self.outcomes
        better, slight = (np.isin(words, kind) for kind in (BETTER + WORSE, (BETTER[1], WORSE[1])))
        return {
            "pairs": len(words), "better": int(better.sum()), "beyond": self._beyond, "slightly": int(slight.sum()),
            "equal": int((words == "equal").sum()), "undecided": int((words == "undecided").sum()),
        }  # fmt: skip

    @property
    def _beyond(self) -> int:
        """Pairs whose whole interval is beyond the margin."""
        if self.decisions is None:
            return 0
        least = np.triu(np.abs(self.decisions.difference), 1) - self.decisions.half_width
        return int((least > self.margin).sum())

    def shares(self) -> dict[str, float]:
        """Outcome to its share of ``outcomes``."""
        return shares(self.outcomes)

    @property
    def smallest_detectable(self) -> float:
        """The difference that half of the pairs could show, in units of the score; NaN where nothing can be said."""
        return self.scale * self.decisions.smallest_detectable if self.decisions else np.nan

    def on(self, families: Collection[str]) -> Comparison:
        """The same on some families only."""
        return replace(self, values=self.values[self.values["family"].isin(families)])

    def without(self, datasets: Collection[str]) -> Comparison:
        """The same on the other datasets only."""
        return replace(self, values=self.values[~self.values["dataset"].isin(datasets)])

    def against(self, name: str) -> pd.DataFrame:
        """One of them compared with all others, step-down: fewer questions than all pairs, so more decisions.

        Returns
        -------
        columns second, difference, outcome; in the order of the leaderboard

        Raises
        ------
        InputError
            If there is no such name.
        """
        if name not in self.scores.entrants:
            raise unknown(self.of.removesuffix("s"), name, self.scores.entrants)
        if name in self.others:
            found = self.others[name]
        elif self.decisions is None:
            raise InputError(f"{name} is compared with nobody: fewer than two have a score in every family")
        else:
            found = self.decisions.one(name)
        rows = pd.DataFrame({
            "second": found.others, "difference": self.scale * self.sign * found.difference,
            "outcome": found.step_down,
        })  # fmt: skip
        if self.same is not None:
            gone = [self.same.count(name, second) == 0 for second in found.others]
            rows.loc[gone, ["difference", "outcome"]] = np.nan, APART
        place = {name: i for i, name in enumerate(self.leaderboard()["name"])}
        return rows.sort_values("second", key=lambda column: column.map(place), ignore_index=True)


def standing(outcomes: NDArray[np.str_], ranked: bool) -> dict[str, int]:
    """From what is decided of somebody against each of the others to better_than, worse_than, equal and undecided.

    Of those that are ``ranked`` also rank_low and rank_high, the ranks that these leave.
    """
    better, worse = int(np.isin(outcomes, BETTER).sum()), int(np.isin(outcomes, WORSE).sum())
    found = {"better_than": better, "worse_than": worse}
    found |= {word: int((outcomes == word).sum()) for word in ("equal", "undecided")}
    return found | ({"rank_low": 1 + worse, "rank_high": len(outcomes) + 1 - better} if ranked else {})


def leader(board: pd.DataFrame) -> pd.Series | None:
    """The row of a leaderboard that is alone in the first group: all others are shown to be worse; None if none is."""
    found = board[board["first_group"]]
    return found.iloc[0] if len(found) == 1 and len(board) > 1 else None


def _over_families(rows: pd.DataFrame, value: str) -> float:
    """Mean over draws, then datasets, then families."""
    if rows.empty:
        return float("nan")
    means = rows.groupby(["family", "dataset"], sort=False)[value].mean()
    return float(means.groupby(level="family", sort=False).mean().mean())


def _why(group: pd.DataFrame, families: int, total: int) -> str:
    """Why somebody is not ranked."""
    missing = group[group["value"].isna()]
    told = next((text for text in missing["reason"] if text), "")
    return f"{families} of {total} families" + (f": {told}" if told else "")


def compare(
    results: Results,
    of: Unit = "methods",
    metric: str = "recovery",
    *,
    whole_kind: bool = False,
    margin: float = MARGIN,
) -> Comparison:
    """Compare the entrants, methods or networks of a run: see ``Results.leaderboard``.

    Raises
    ------
    InputError
        If ``of`` or the metric is not known, or the run has no score to compare.
    """
    if of not in UNITS:
        raise unknown("kind of leaderboard", str(of), UNITS)
    return compared(entrants.values(results, metric), of, metric, whole_kind=whole_kind, margin=margin)


def compared(
    cells: pd.DataFrame, of: Unit, metric: str, *, whole_kind: bool = False, margin: float = MARGIN
) -> Comparison:
    """As ``compare``, of the scores of entrants: see ``entrants.values``.

    Raises
    ------
    InputError
        If there is no score to compare.
    """
    cells = cells[~cells.groupby(["explainer", "model"])["unsupported"].transform("all")]
    found = units(cells, of)
    if found["name"].nunique() < 2:
        raise InputError(f"leaderboard of {of}: expected at least two with {metric}, got {found['name'].nunique()}")
    scale, sign = entrants.shown(metric)
    return Comparison(of, metric, found, whole_kind, scale, sign, margin, same_networks(cells, of))


def ranked_by_families(results: Results, metric: str) -> RankTests | str:
    """Friedman, Nemenyi and Wilcoxon on the ranks within families, or the reason why they are left out.

    Of the names under ``diagram`` in the table ``[entrants]`` of the suite; where there are none, of all methods, if
    they are twelve at the most.

    Raises
    ------
    InputError
        See ``compare``.
    """
    named = [str(name) for name in (results.suite.get("entrants") or {}).get("diagram") or ()]
    methods = not named or set(named) <= set(results.cells["explainer"])
    scores = results.compare("methods" if methods else "entrants", metric).scores
    absent = [name for name in named if name not in scores.entrants]
    if absent:
        return f"without a score: {', '.join(absent)}"
    if not named and scores.m > MOST:
        return f"more than {MOST} methods, and the suite names none under diagram in [entrants]"
    return rank_tests(scores.only(named or scores.entrants))


def units(cells: pd.DataFrame, of: Unit) -> pd.DataFrame:
    """From the scores of entrants to those of what is compared.

    Parameters
    ----------
    cells : see ``entrants.values``

    Returns
    -------
    columns name, explainer, model, dataset, family, draw, value, value_learned, learned, reason, confirmatory,
    networks; one row a name, dataset and draw
    """
    if of == "entrants":
        return cells.assign(name=entrants.ids(cells), networks=(cells["model"] != "").astype(int))
    if of == "methods":
        return _averaged(cells, "explainer", "model")
    return _averaged(_on_all_networks(cells), "model", "explainer")


def same_networks(cells: pd.DataFrame, of: Unit) -> SameNetworks | None:
    """What ``units`` averages over networks; None where it does not."""
    return SameNetworks.of(_counted(cells, "explainer", "model")) if of == "methods" else None


def _on_all_networks(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of the confirmatory methods that, on a dataset, every confirmatory network supports.

    A later network that does not support one of them has no score there.
    """
    own = cells[(cells["model"] != "") & cells["method_confirmed"]]
    listed = own[own["network_confirmed"]]
    networks = listed["model"].nunique()
    supported = listed[~listed["unsupported"]].groupby(["dataset", "explainer"], sort=False)["model"].nunique()
    whole = set(supported.index[supported == networks])
    kept = [key in whole for key in zip(own["dataset"], own["explainer"], strict=True)]
    return own[np.array(kept, dtype=bool)].assign(unsupported=False)  # an empty list would choose no column


def _counted(cells: pd.DataFrame, name: str, over: str) -> pd.DataFrame:
    """The cells that are averaged over one axis: over what is confirmatory of it, where there is some."""
    confirmed = cells[f"{'network' if over == 'model' else 'method'}_confirmed"] | (cells[over] == "")
    only = cells[confirmed].groupby(name)[over].nunique()
    return cells[confirmed | ~cells[name].isin(only.index)]


def _averaged(cells: pd.DataFrame, name: str, over: str) -> pd.DataFrame:
    """Means over one axis, within a draw."""
    cells = _counted(cells, name, over)
    supported = cells[~cells["unsupported"]]
    by = ["dataset", "family", "draw", name]
    # A mean over fewer networks in one draw than in another would compare networks: it is left undefined.
    means = supported.groupby(by, sort=False).agg(
        value=("value", _whole_mean), value_learned=("value_learned", "mean"), learned=("learned", "mean")
    )  # fmt: skip
    told = cells.assign(reason=cells["reason"].where(cells["reason"] != ""))
    facts = told.groupby(by, sort=False).agg(reason=("reason", "first"), confirmatory=("confirmatory", "max"))
    found = facts.join(means).reset_index().fillna({"reason": ""})
    counted = supported[supported[over] != ""].groupby(name)[over].nunique() if over == "model" else None
    found["networks"] = 1 if counted is None else found[name].map(counted).fillna(0).astype(int)
    found["name"] = found[name]
    return found.assign(**{over: ""})


def _whole_mean(values: pd.Series) -> float:
    return float(values.mean(skipna=False))
