"""A method of one's own, placed in a comparison that somebody else ran.

The other run's networks are not here: reference methods are run again on local ones. Where they come out as there,
scores of one's own method may stand beside those of that comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import t as student

from xai_bench.decisions import MARGIN, WORSE
from xai_bench.paired import LEAST_DRAWS
from xai_bench.results import entrants
from xai_bench.results.boards import METRIC, Board
from xai_bench.results.comparison import APART, Comparison, compared, standing
from xai_bench.results.frames import Results
from xai_bench.wording import plural

REFERENCES = ("spectral", "column_norm", "saliency")
"""Methods that are run again."""
LEVEL = 0.95
DRIFT = ["name", "local", "there", "difference", "low", "high", "families", "draws"]


@dataclass(frozen=True)
class Placed:
    """One's own methods beside the methods of another comparison.

    Attributes
    ----------
    results : the local run, of the references and of one's own methods
    board : the other comparison
    own : names of one's own methods
    margin : a drift beyond it, either way, withholds ranks
    """

    results: Results
    board: Board
    own: tuple[str, ...]
    margin: float = MARGIN

    @cached_property
    def _local(self) -> Comparison:
        return self.results.compare("methods", METRIC)

    @cached_property
    def drift(self) -> pd.DataFrame:
        """Local minus shipped recovery of the references, paired by draw.

        Families are fixed and weigh alike, and so do datasets within one; the 95 % interval is over draws, missing
        below five draws of a dataset.

        Returns
        -------
        name, local, there, difference, low, high, families, draws (of the dataset that has the fewest)
        """
        names = [name for name in REFERENCES if name in set(self._local.values["name"])]
        return pd.DataFrame([self._drift(name) for name in names], columns=DRIFT)

    def _drift(self, name: str) -> tuple[object, ...]:
        axes = ["family", "dataset", "draw"]
        sides = [
            frame[frame["name"] == name].set_index(axes)["value"].rename(side)
            for side, frame in (("local", self._local.values), ("there", self.board.values))
        ]
        both = pd.concat(sides, axis=1, join="inner").dropna()
        both["difference"] = both["local"] - both["there"]
        of_datasets = both.groupby(level=["family", "dataset"], sort=False)
        means, n = of_datasets.mean(), of_datasets.size()
        if means.empty:
            return name, *[math.nan] * 5, 0, 0
        own = n.groupby(level="family", sort=False).transform("size")
        families = means.index.get_level_values("family").nunique()
        weights = 1 / (families * own)
        variance = (weights**2 * of_datasets["difference"].var() / n).sum()
        quantile = student.ppf((1 + LEVEL) / 2, (n - 1).sum()) if n.min() >= LEAST_DRAWS else math.nan
        local, there, difference = means.mul(weights, axis=0).sum()
        half = float(quantile * math.sqrt(variance))
        return name, local, there, difference, difference - half, difference + half, families, int(n.min())

    @cached_property
    def withheld(self) -> str:
        """Why ranks are not given, "" if they are: data differ, or a reference is not shown to drift less than the
        margin."""
        other = self._other_data()
        if other:
            return f"the data of {plural(other, 'draw')} are not those of {self.board.suite} as shipped"
        for row in self.drift.to_dict("records"):
            name, low, high = row["name"], row["low"], row["high"]
            if math.isnan(low):
                return f"the drift of {name} has no interval, {plural(int(row['draws']), 'draw')} being fewer than five"
            if low <= -self.margin or high >= self.margin:
                word = "drifts beyond" if abs(row["difference"]) >= self.margin else "may drift beyond"
                return f"{name} {word} {self.margin:g}: {_interval(row['difference'], low, high)}"
        return ""

    def _other_data(self) -> int:
        """Draws that both have, with other rows."""
        there = self.board.cells.drop_duplicates(["dataset", "draw"]).set_index(["dataset", "draw"])["data"]
        cells = self.results.cells.drop_duplicates(["dataset", "data_seed"])
        count = 0
        for dataset, seed, key in zip(cells["dataset"], cells["data_seed"], cells["draw"], strict=True):
            known = there.get((dataset, seed), "")
            if known and key in self.results.draws:  # What is not run has no data yet.
                count += not self.results.draws[key].content_hash.startswith(known)
        return count

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One's own methods compared with the references on the local networks, paired by draw.

        Returns
        -------
        first (one's own), second, difference, low, high, outcome (of the first), families, draws, wins
        """
        found = self._local.pairs()
        turned = found["second"].isin(self.own) & ~found["first"].isin(self.own)
        back = found[turned].rename(columns={"first": "second", "second": "first", "low": "high", "high": "low"})
        back = back.assign(
            difference=-back["difference"], low=-back["low"], high=-back["high"], wins=1 - back["wins"],
            outcome=back["outcome"].map(_turned),
        )  # fmt: skip
        rows = pd.concat([found[~turned], back[found.columns]])
        rows = rows[rows["first"].isin(self.own) & ~rows["second"].isin(self.own)]
        return rows.sort_values(["first", "second"], kind="stable", ignore_index=True)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """The other comparison's leaderboard of methods with one's own in their places: see ``Results.leaderboard``.

        One's own are compared with its confirmatory methods only, and change nobody's decisions. What ``pairs`` decides
        of the references, on networks that are the same ones, counts for ranks too. Rows stand in the order of the
        ranks that the decided pairs leave, equal ones in that of the scores. Where ranks are withheld one's own have
        none and stand last; the reason says why.
        """
        cells = entrants.values(self.results, METRIC)
        own = cells[cells["explainer"].isin(self.own)].assign(confirmatory=False, method_confirmed=False)
        comparison = compared(pd.concat([self.board.cells, own], ignore_index=True), "methods", METRIC)
        found = comparison.leaderboard()
        if self.withheld:
            mine = found["name"].isin(self.own)
            found.loc[mine, ["rank_low", "rank_high"]] = pd.NA
            found.loc[mine, ["first_group", "ranked"]] = False
            found.loc[mine, "reason"] = f"rank withheld: {self.withheld}"
        else:
            for name in comparison.others.keys() & set(self.own):
                found = self._settled(found, name, comparison)
        order = ["ranked", "rank_low", "rank_high", "score"]
        return found.sort_values(order, ascending=[False, True, True, False], kind="stable", ignore_index=True)

    def _settled(self, board: pd.DataFrame, name: str, comparison: Comparison) -> pd.DataFrame:
        """The board where what is decided on the local networks counts for one's own of that name."""
        one, mine = comparison.others[name], board["name"] == name
        local = self.pairs[(self.pairs["first"] == name) & (self.pairs["outcome"] != APART)]
        known = dict(zip(one.others, one.outcomes.tolist(), strict=True))
        known |= {other: word for other, word in zip(local["second"], local["outcome"], strict=True) if other in known}
        counts = standing(np.array(list(known.values())), ranked=bool(board.loc[mine, "ranked"].all()))
        board.loc[mine, list(counts)] = list(counts.values())
        if any(known.get(other) in WORSE for other in board.loc[board["first_group"], "name"]):
            board.loc[mine, "first_group"] = False
        return board

    def words(self) -> Iterator[str]:
        """What was found, line by line, for a terminal."""
        board = self.board
        draws = int(board.values["draw"].nunique())
        versions, machines = ", ".join(board.versions), "; ".join(board.machines)
        yield f"against {board.suite}, measured by xai-bench {versions} on {machines}"
        yield f"{plural(board.values['name'].nunique(), 'method')}, {plural(draws, 'draw')}; scores are {METRIC}"
        yield "local minus there, paired by draw, with 95 % intervals:"
        for row in self.drift.to_dict("records"):
            interval = _interval(row["difference"], row["low"], row["high"])
            scope = _scope(row["families"], row["draws"])
            yield f"  {row['name']}: {row['local']:.3f} - {row['there']:.3f} = {interval}, {scope}"
        yield "on the local networks, paired by draw, with simultaneous intervals:"
        for row in self.pairs.to_dict("records"):
            numbers = [row["difference"], row["low"], row["high"]]
            interval = "" if math.isnan(row["difference"]) else f"{_interval(*numbers)}: "
            yield f"  {row['first']} minus {row['second']}: {interval}{row['outcome']}"
        yield from self._places()

    def _places(self) -> Iterator[str]:
        found = self.leaderboard
        yield f"{'rank':>7}  {'score':>6}  method"
        for row in found.to_dict("records"):
            low, high = row["rank_low"], row["rank_high"]
            rank = "" if pd.isna(low) else str(low) if low == high else f"{low}-{high}"
            mark = "* " if row["name"] in self.own else ""
            why = f" ({row['reason']})" if row["reason"] else ""
            yield f"{rank:>7}  {row['score']:>6.3f}  {mark}{row['name']}{why}"
        yield "* your own: compared with the others, whose ranks stay as they are"


def _turned(outcome: str) -> str:
    words = {"better": "worse", "worse": "better"}
    return " ".join(words.get(word, word) for word in outcome.split())


def _interval(difference: float, low: float, high: float) -> str:
    return f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]" if math.isfinite(low) else f"{difference:+.3f}"


def _scope(families: int, draws: int) -> str:
    return f"{plural(families, 'family', 'families')}, {plural(draws, 'draw')}"


def own_names(wanted: Sequence[str], board: Board) -> tuple[str, ...]:
    """Those of the wanted methods that the other comparison does not have."""
    return tuple(name for name in dict.fromkeys(wanted) if name not in set(board.values["name"]))
