"""Data sources that meet a set of texts: one takes its order, one sorts it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xai_bench.datasets.base import DataSource, GroundTruth, Table

NAMES = frozenset({"age", "height", "weight", "pulse", "sodium", "iron"})


class Disordered(DataSource):
    """Every input is drawn in the order of a set."""

    name: ClassVar[str] = "disordered"
    n: int = 60

    def draw(self, rng):
        X = {name: child.normal(size=self.n) for name, child in zip(self.order(), rng.spawn(len(NAMES)), strict=True)}
        columns = [X[name] for name in sorted(NAMES)]
        truth = GroundTruth(("relevant",) + ("noise",) * (len(NAMES) - 1))
        y = (columns[0] > 0).astype(int)
        return Table(X=np.stack(columns, axis=1), y=y, kind="classification", truth=truth)

    def order(self):
        return NAMES


class Ordered(Disordered):
    """The same inputs, whatever the order of the set."""

    name: ClassVar[str] = "ordered"

    def order(self):
        return sorted(NAMES)
