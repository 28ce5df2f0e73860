"""Which method on which kind of data? Methods by the traits of datasets."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.report.kit.frames import records
from xai_bench.report.kit.ranking import values_of
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
        """trait, name, score, datasets: the mean over families of the mean over their datasets."""
        traits = self.frames.cells.drop_duplicates("dataset").set_index("dataset")["traits"]
        means = (
            values_of(self.frames, "methods")
            .groupby(["dataset", "family", "name"], sort=False)["value"]
            .mean()
            .reset_index()
        )
        rows = means.assign(trait=means["dataset"].map(traits).fillna("").str.split(", ")).explode("trait")
        rows = rows[rows["trait"].notna() & (rows["trait"] != "")]
        families = rows.groupby(["trait", "family", "name"], sort=False)["value"].mean()
        counts = rows.groupby("trait")["dataset"].nunique().rename("datasets")
        found = families.groupby(["trait", "name"], sort=False).mean().rename("score").reset_index()
        return found.join(counts, on="trait")

    def words(self) -> str:
        few = "; with so few draws no difference here is decided" if len(self.frames.data_seeds) < 5 else ""
        return (
            "Mean recovery over the problems that have a trait, families weighing alike and methods averaged over "
            f"networks{few}. Problems have several traits: columns are not independent, and none is tested alone."
        )

    def tables(self) -> list[Table]:
        wide = self.frame.pivot(index="name", columns="trait", values="score")
        names = self.frame.drop_duplicates("trait").sort_values("datasets", ascending=False, kind="stable")
        values = wide.astype(float).to_dict("index")
        order = [name for name in self.frames.ranked if name in wide.index]
        columns = [Column(f"{r['trait']} ({plural(r['datasets'], 'dataset')})") for r in records(names)]
        rows = [Row(e, [shaded(values[e][trait]) for trait in names["trait"]], kind_of(self.frames, e)) for e in order]
        return [Table("Recovery by trait: 0 chance, 1 perfect", "Method", columns, rows)]


def shaded(value: float, link: str = "", shade: float | None = None, digits: int = 2) -> Box:
    """A score with its size as a shade, of another colour below 0. ``shade``: in [-1, 1], where it is not the score."""
    if pd.isna(value):
        return EMPTY
    strength = max(-1.0, min(1.0, value if shade is None else shade))
    return Box(number(value, digits), value=value, shade=strength, look="minus" if value < 0 else "", link=link)
