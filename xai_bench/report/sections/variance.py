"""Where the scores vary: draw, initial weights, architecture, method."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xai_bench.errors import InputError
from xai_bench.report.kit.frames import records
from xai_bench.report.kit.ranking import percent
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import Column, Row, Table, valued
from xai_bench.report.kit.wording import listed, plural, without_paths
from xai_bench.variance import SHARES


class Variance(Section):
    """Shares of the variance of recovery on every dataset."""

    id, title, label, order = "variance", "What makes the scores differ?", "Variance", 70

    def needs(self) -> bool:
        return len(self.frame) > 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        """See ``Results.variance_shares``; datasets on which scores vary."""
        try:
            found = self.frames.results.variance_shares()
        except InputError:
            return pd.DataFrame()
        return found[found["variance"] > 0].assign(dataset=found["dataset"].map(without_paths)) if len(found) else found

    def words(self) -> str:
        means = self.frame[SHARES].mean().dropna().sort_values(ascending=False)
        shown = [f"{percent(value)} {str(name).replace('_', ' ')}" for name, value in means.items()]
        return (
            f"Shares of the variance of recovery, means over {plural(len(self.frame), 'dataset')}: {listed(shown, 8)}. "
            "What the factors do together, and what is not told apart, is the rest."
        )

    def tables(self) -> list[Table]:
        columns = [Column(name.replace("_", " ").capitalize()) for name in SHARES if self.frame[name].notna().any()]
        names = [name for name in SHARES if self.frame[name].notna().any()]
        rows = [
            Row(row["dataset"], [*[valued(row[name], percent, row[name]) for name in names],
                                 valued(row["variance"] ** 0.5)],
                link=self.frames.addresses.get(row["dataset"], ""))
            for row in records(self.frame)
        ]  # fmt: skip
        return [Table("Shares of the variance", "Dataset", [*columns, Column("Standard deviation")], rows, fold=True)]
