"""Recovery above chance, with and without the networks that did not learn."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import CONTROLS, NO_MODEL
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Table, by_dataset, fold_long, of_seeds, plain, share
from xai_bench.report.kit.wording import listed, number, plural

FORMULA = "(score − chance) / (best − chance)"
COLUMNS = [
    Column("Network", text=True), Column("Score", text=True), Column("Chance"), Column("All networks", FORMULA),
    Column("Those that learned", FORMULA), Column("Learned", "Networks"),
    Column("Test score above chance, of what the ceiling allows", "Networks"),
]  # fmt: skip


class AboveChance(Section):
    """Scores relative to chance."""

    id, title = "chance", "Above chance, and with networks that learned only"
    within, order = "scrutiny", 10

    def needs(self) -> bool:
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The first headline score of every dataset."""
        first = {d: (self.frames.headline(d) or [""])[0] for d in self.frames.datasets}
        rows = self.frames.above_chance
        return rows[~rows["explainer"].isin(CONTROLS) & (rows["metric"] == rows["dataset"].map(first))]

    def words(self) -> str:
        return (
            f"A score is worth what it has above chance: {FORMULA}, chance by formula; where every input is relevant "
            "there is nothing to find, and no score. Beside it stands the network’s test score above chance, as a "
            "share of what the ceiling allows where that is known: a method cannot find what its network has not found."
        )

    def findings(self) -> list[str]:
        """What is left out with the networks that did not learn, dataset by dataset."""
        trained = self.frame[self.frame["model"] != NO_MODEL]
        poor = trained[trained["networks_learned"] < trained["networks"]]
        if trained.empty or poor.empty:
            return ["Every network that was explained learned: nothing is left out."] if len(trained) else []
        clauses = []
        for dataset, group in poor.groupby("dataset", sort=False):
            networks = group.drop_duplicates("model")
            kept = group[group["networks_learned"] > 0]
            idle = int((networks["networks"] - networks["networks_learned"]).sum())
            clause = f"`{dataset}` ({plural(idle, 'network')}"
            if len(kept):
                everything, only = kept["normalised"].mean(), kept["learned_normalised"].mean()
                clause += (
                    f"; without them the mean of the pairs concerned is {number(only)} instead of {number(everything)}"
                )
            clauses.append(f"{clause})")
        return [f"Some networks did not learn: {listed(clauses, 12)}."]

    def tables(self) -> list[Table]:
        caption = "Recovery above chance: 0 is a random ranking, 1 the best. Of the scores that lead the tables."
        bodies = by_dataset(self.frames, self.frame, self._boxes)
        return [fold_long(Table(caption, "Method, by dataset", COLUMNS, bodies))]

    def _boxes(self, row: dict[str, Any]) -> list[Box]:
        learned = f"{int(row['networks_learned'])} of {int(row['networks'])}"
        some, seeds = row["networks_learned"] < row["networks"], len(self.frames.data_seeds)
        return [
            Box(self.frames.title(row["metric"]), text=True),
            plain(row["chance"]),
            of_seeds(row, "normalised", "n", seeds, share(row["normalised"], 0, 1)),
            of_seeds(row, "learned_normalised", "learned_n", seeds),
            Box(learned, value=row["networks_learned"], unlearned=some) if row["model"] != NO_MODEL else EMPTY,
            plain(row["reach"]),
        ]
