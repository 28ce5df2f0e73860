"""Which pairs are decided: a matrix of methods, and the shares of the outcomes."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.decisions import MARGIN
from xai_bench.report.kit.ranking import percent
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, kind_of
from xai_bench.report.kit.wording import number, plural

SIGNS = {"better": "▲", "slightly better": "△", "equal": "=", "undecided": "·", "slightly worse": "▽", "worse": "▼"}
SHADES = {"better": 0.75, "slightly better": 0.35, "slightly worse": 0.35, "worse": 0.75}


class Pairs(Section):
    """Decisions over all pairs at once."""

    id, title, label, order = "pairs", "Decided pairs", "Pairs", 50

    def needs(self) -> bool:
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.frames.decided("methods")

    def words(self) -> str:
        return (
            "The method of the row against that of the column: ▲ better, △ better by less than the margin of "
            f"{MARGIN:g}, = practically equal, · undecided, ▽ and ▼ worse. The chance of any false decision in the whole matrix is 5 %."
        )

    def findings(self) -> list[str]:
        out = []
        for of in ("methods", "networks", "entrants"):
            rows = self.frames.decided(of)
            if rows.empty:
                continue
            kinds = rows["outcome"].replace({"worse": "better", "slightly worse": "slightly better"}).value_counts(normalize=True)
            width = ((rows["high"] - rows["low"]) / 2).median()
            text = ", ".join(f"{word} {percent(float(kinds.get(word, 0.0)))}" for word in ("better", "slightly better", "equal", "undecided"))
            smallest = f" Half of the pairs show differences of {number(width)} or more." if pd.notna(width) else ""
            out.append(f"Of {plural(len(rows) // 2, 'pair')} of {of}: {text}.{smallest}")
        return out

    def tables(self) -> list[Table]:
        return [self._matrix("methods", "Decided pairs of methods"), self._matrix("entrants", "Decided pairs of entrants", fold=True)]

    def _matrix(self, of: str, caption: str, *, fold: bool = False) -> Table:
        rows, board = self.frames.decided(of), self.frames.board(of)
        names = [name for name in board["name"] if name in set(rows["first"])]
        outcome = rows.set_index(["first", "second"])[["outcome", "difference", "low", "high"]].to_dict("index")

        def box(a: str, b: str) -> Box:
            if (a, b) not in outcome:
                return EMPTY if a != b else Box("")
            found = outcome[a, b]
            word = found["outcome"]
            return Box(SIGNS[word], value=found["difference"], shade=SHADES.get(word), look="minus" if "worse" in word else "")

        lines = [Row(a, [box(a, b) for b in names], kind_of(self.frames, a)) for a in names]
        return Table(caption, "", [Column(name) for name in names], lines, fold, "square upright")
