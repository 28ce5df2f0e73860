"""Which method on which kind of data? Methods by the traits of datasets."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.report.kit.frames import CONTROLS
from xai_bench.report.kit.ranking import scores_of
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, kind_of
from xai_bench.report.kit.wording import number, plural


class Traits(Section):
    """Mean recovery over the datasets that have a trait, families weighing alike."""

    id, title, label, order = "traits", "Which method on which kind of data?", "Kinds of data", 30

    def needs(self) -> bool:
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        """trait, explainer, score, datasets, draws: the mean over families of the mean over their datasets."""
        kinds = self.frames.cells.drop_duplicates("dataset").set_index("dataset")[["family", "traits"]]
        means = scores_of(self.frames).groupby(["dataset", "explainer"], sort=False)["value"].mean().reset_index()
        rows = means.join(kinds, on="dataset").assign(trait=lambda f: f["traits"].str.split(", ")).explode("trait")
        rows = rows[rows["trait"].fillna("") != ""]
        families = rows.groupby(["trait", "family", "explainer"], sort=False)["value"].mean()
        counts = rows.groupby("trait")["dataset"].nunique().rename("datasets")
        found = families.groupby(["trait", "explainer"], sort=False).mean().rename("score").reset_index()
        return found.join(counts, on="trait")

    def words(self) -> str:
        few = "; with so few draws no difference here is decided" if len(self.frames.data_seeds) < 5 else ""
        return (
            "Mean recovery over the problems that have a trait, families weighing alike and methods averaged over networks"
            f"{few}. A problem can have several traits, so columns are not independent, and no column is tested by itself."
        )

    def tables(self) -> list[Table]:
        wide = self.frame.pivot(index="explainer", columns="trait", values="score")
        names = self.frame.drop_duplicates("trait").sort_values("datasets", ascending=False, kind="stable")
        order = [e for e in self.frames.ranked if e in wide.index and e not in CONTROLS]
        columns = [Column(f"{r.trait} ({plural(r.datasets, 'dataset')})") for r in names.itertuples()]
        rows = [Row(e, [shaded(wide.loc[e, t]) for t in names["trait"]], kind_of(self.frames, e)) for e in order]
        return [Table("Recovery by trait: 0 chance, 1 perfect", "Method", columns, rows)]


def shaded(value: float, link: str = "") -> Box:
    """A score whose size is its shade; below chance it has another colour."""
    if pd.isna(value):
        return EMPTY
    return Box(number(value, 2), value=value, shade=max(-1.0, min(1.0, value)), look="minus" if value < 0 else "", link=link)
