"""Which pairs are decided: a matrix of methods, and the shares of the outcomes."""

from __future__ import annotations

import math
from functools import cached_property

import pandas as pd

from xai_bench.decisions import MARGIN
from xai_bench.errors import InputError
from xai_bench.paired import LEAST_DRAWS
from xai_bench.report.kit.frames import records
from xai_bench.report.kit.ranking import percent
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import Box, Column, Row, Table, kind_of
from xai_bench.report.kit.wording import listed, number, plural, without_paths
from xai_bench.results.comparison import APART, PAIRS, UNITS, Unit
from xai_bench.wording import are

SIGNS = {
    "better": "▲", "slightly better": "△", "equal": "=", "undecided": "·", "slightly worse": "▽", "worse": "▼",
    APART: "×",
}  # fmt: skip
THAN = {
    "better": "than",
    "slightly better": "than",
    "equal": "to",
    "undecided": "against",
    "slightly worse": "than",
    "worse": "than",
    APART: "from",
}
MIRRORED = {
    "better": "worse",
    "slightly better": "slightly worse",
    "slightly worse": "slightly better",
    "worse": "better",
}
SHADES = {"better": 0.75, "slightly better": 0.35, "slightly worse": 0.35, "worse": 0.75}
EXPECTED: dict[str, tuple[Unit, float, float | None]] = {
    "standard": ("entrants", 1 / 2, 3 / 4),
    "quick": ("methods", 1 / 3, None),
}
"""Suite to what was expected before it was run: of which pairs what share would be better, and decided at all."""


class Pairs(Section):
    """Decisions over all pairs at once."""

    id, title, label, order = "pairs", "Decided pairs", "Pairs", 50

    def needs(self) -> bool | str:
        if self.frame.empty:
            return False
        if (self.frame["draws"] < LEAST_DRAWS).all():
            return f"decided pairs, which need {LEAST_DRAWS} draws"
        return True

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self._pairs("methods")

    def _pairs(self, of: Unit) -> pd.DataFrame:
        found = self.frames.comparison(of)
        pairs = found.pairs() if found else pd.DataFrame(columns=PAIRS)
        return pairs.assign(first=pairs["first"].map(without_paths), second=pairs["second"].map(without_paths))

    def words(self) -> str:
        apart = ", × no network in common" if (self.frame["outcome"] == APART).any() else ""
        return (
            "The method of the row against that of the column: ▲ better, △ better by less than the margin of "
            f"{MARGIN:g}, = practically equal, · undecided, ▽ and ▼ worse{apart}; a small number: on "
            "so many networks, where one explains more. The chance of any false decision is meant to be at most 5 % in "
            "each matrix."
        )

    def findings(self) -> list[str]:
        out = []
        for of in UNITS:
            if (found := self.frames.comparison(of)) is None or len(found.together) < 2:  # type: ignore[arg-type]
                continue
            shares, pairs = (
                ", ".join(f"{word} {percent(value)}" for word, value in found.shares().items()),
                found.counts()["pairs"],
            )
            least = found.smallest_detectable
            width = f" Half of the pairs could show a difference of {number(least)}." if math.isfinite(least) else ""
            apart = f" Without a network in common: {plural(len(found.apart), 'pair')}." if found.apart else ""
            out.append(f"Of {plural(pairs, 'pair')} of {of}: {shares}.{width}{apart}")
        out += [text for text in (self._further(), self._expected()) if text]
        if self.frames.results.focus:
            out.append(self._focus())
        return out

    def _further(self) -> str:
        """What the families say of others: the unit is then the family."""
        try:
            found = self.frames.results.compare("methods", whole_kind=True)
            board, counts = found.leaderboard(), found.counts()
        except InputError:
            return ""
        first = int((board["first_group"] & board["ranked"] & board["confirmatory"]).sum())
        decided = counts["pairs"] - counts["undecided"]
        return (
            f"For further families of this kind {decided} of "
            f"{plural(counts['pairs'], 'pair')} of methods {are(decided)} decided, and {first} of "
            f"{len(found.together)} methods {are(first)} not shown to be worse than the best."
        )

    def _expected(self) -> str:
        """What was expected of the shipped suite, and whether it came out so."""
        expected = EXPECTED.get(str(self.frames.results.suite["name"]))
        if expected is None:
            return ""
        of, *aims = expected
        if (found := self.frames.comparison(of)) is None or found.decisions is None:
            return ""
        counts = found.counts()
        reached = counts["better"] / counts["pairs"], 1 - counts["undecided"] / counts["pairs"]
        parts = [
            f"{percent(aim)} {what}; it is {percent(share)}: {'reached' if share >= aim else 'missed'}"
            for what, aim, share in zip(("better", "decided"), aims, reached, strict=True)
            if aim is not None
        ]
        return f"Expected of the pairs of {of} before the run: {'. '.join(parts)}."

    def _focus(self) -> str:
        """What is in focus against all others, step-down."""
        try:
            rows = self.frames.results.against()
        except InputError as error:
            return without_paths(error)
        parts = [f"{word} {THAN[word]} {listed([f'`{without_paths(n)}`' for n in group], 20)}"
                 for word in SIGNS if len(group := rows.loc[rows["outcome"] == word, "second"])]  # fmt: skip
        return (
            f"`{without_paths(self.frames.results.focus)}` against each of the others, step-down: {'; '.join(parts)}."
        )

    def tables(self) -> list[Table]:
        return [
            self._matrix("methods", "Decided pairs of methods"),
            self._matrix("entrants", "Decided pairs of entrants", fold=True),
        ]

    def _matrix(self, of: Unit, caption: str, *, fold: bool = False) -> Table:
        pairs, board = self._pairs(of), self.frames.board(of)
        outcome = {(r["first"], r["second"]): (r["outcome"], r["difference"]) for r in records(pairs)}
        outcome |= {(b, a): (MIRRORED.get(word, word), -gap) for (a, b), (word, gap) in outcome.items()}
        few = _on_few(pairs, board)
        names = [name for name in board["name"] if any(name in pair for pair in outcome)]

        def box(a: str, b: str) -> Box:
            word, gap = outcome.get((a, b), ("", 0.0))
            if not word:
                return Box("")
            look, small = "minus" if "worse" in word else "", few.get(frozenset((a, b)), "")
            return Box(SIGNS[word], small, None if math.isnan(gap) else gap, shade=SHADES.get(word), look=look)

        lines = [Row(a, [box(a, b) for b in names], kind_of(self.frames, a.partition(" on ")[0])) for a in names]
        return Table(caption, "against", [Column(name) for name in names], lines, fold, "square upright")


def _on_few(pairs: pd.DataFrame, board: pd.DataFrame) -> dict[frozenset[str], str]:
    """Two methods, one of which explains more networks than both do: on how many they are compared."""
    own = board.set_index("name")["networks"].to_dict()
    return {
        frozenset((row["first"], row["second"])): str(row["networks"])
        for row in records(pairs[pairs["networks"].notna()])
        if 0 < row["networks"] < max(own[row["first"]], own[row["second"]])
    }
