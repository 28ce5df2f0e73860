"""Methods are compared on the networks that both explain: the lead of a network is not that of its only method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xai_bench.paired import Scores, Versions

if TYPE_CHECKING:
    import pandas as pd

Networks = Mapping[str, frozenset[str]]
"""Dataset to the networks that a method explains there."""
OfNetworks = Mapping[tuple[str, str], NDArray[np.float64]]
"""Method and network to (draws,) scores."""
COLUMNS = ["name", "model", "dataset", "draw", "value"]


@dataclass(frozen=True)
class SameNetworks:
    """Which networks methods share, and their scores on each.

    Attributes
    ----------
    scores : one row a method, network, dataset and draw: ``COLUMNS``; methods that need no network are not in it
    """

    scores: pd.DataFrame

    @classmethod
    def of(cls, cells: pd.DataFrame) -> SameNetworks:
        """From the cells that methods are averaged over: see ``entrants.values``."""
        own = cells[(cells["model"] != "") & ~cells["unsupported"]]
        return cls(own.assign(name=own["explainer"])[COLUMNS])

    @cached_property
    def networks(self) -> dict[str, Networks]:
        """Method to its networks."""
        found: dict[str, dict[str, frozenset[str]]] = {}
        for (name, dataset), models in self.scores.groupby(["name", "dataset"], sort=False)["model"]:
            found.setdefault(str(name), {})[str(dataset)] = frozenset(models)
        return dict(found)

    def common(self, first: str, second: str) -> Networks | None:
        """The networks that both methods explain, by dataset; {} if there is none.

        None where one of them needs no network: such a method is compared as it is.
        """
        if first not in self.networks or second not in self.networks:
            return None
        own, other = self.networks[first], self.networks[second]
        # Where the other one explains no network at all it has no score: nothing is compared there.
        both = {dataset: models & other.get(dataset, models) for dataset, models in own.items()}
        return {dataset: models for dataset, models in both.items() if models} if own.keys() & other.keys() else {}

    def count(self, first: str, second: str) -> int | None:
        """How many networks both methods explain on some dataset; None where one of them needs no network."""
        if self.common(first, second) is None:
            return None
        own, other = self.networks[first], self.networks[second]
        return len(frozenset().union(*(models & other[dataset] for dataset, models in own.items() if dataset in other)))

    def versions(self, scores: Scores, draws: Mapping[str, pd.Index], sign: int) -> Scores:
        """The same scores, pairs of which are decided on the networks that both methods explain.

        Parameters
        ----------
        scores : of methods
        draws : dataset to the draws in the order of ``scores``
        sign : what ``scores`` are multiplied by
        """
        if len({frozenset(own.items()) for own in self.networks.values()}) < 2:
            return scores
        names, m = scores.entrants, scores.m
        labels = {(name, _key(self.networks.get(name))): i for i, name in enumerate(names)}
        column, shared = np.zeros((m, m), dtype=np.int_), np.ones((m, m), dtype=np.bool_)
        for i, first in enumerate(names):
            for j, second in enumerate(names):
                shared[i, j] = self.count(first, second) != 0
                both = self.common(first, second) if shared[i, j] else None
                label = first, _key(self.networks.get(first) if both is None else both)
                column[i, j] = labels.setdefault(label, len(labels))
        further = [(name, dict(key or ())) for name, key in list(labels)[m:]]
        values = []
        for dataset, own in zip(scores.datasets, scores.values, strict=True):
            of_networks = self._of_networks(dataset, draws[dataset])
            means = [_mean(of_networks, name, networks.get(dataset, frozenset())) for name, networks in further]
            values.append(np.column_stack([own, *(sign * mean for mean in means)]))
        return replace(scores, versions=Versions(tuple(values), column, shared))

    def _of_networks(self, dataset: str, draws: pd.Index) -> OfNetworks:
        """The scores on a dataset, NaN where one is missing."""
        rows = self._by_dataset[dataset]
        table = rows.pivot_table("value", "draw", ["name", "model"], aggfunc="mean", dropna=False).reindex(draws)
        names, models = table.columns.get_level_values("name"), table.columns.get_level_values("model")
        columns = zip(names, models, table.to_numpy(np.float64).T, strict=True)
        return {(str(name), str(model)): values for name, model, values in columns}

    @cached_property
    def _by_dataset(self) -> dict[str, pd.DataFrame]:
        return {str(dataset): rows for dataset, rows in self.scores.groupby("dataset", sort=False)}


def _mean(of_networks: OfNetworks, name: str, models: frozenset[str]) -> NDArray[np.float64]:
    """(draws,) of a method on these networks; NaN where one is missing, or there is none."""
    wanted = [of_networks[name, model] for model in sorted(models)]
    return np.mean(wanted, axis=0) if wanted else np.full(len(next(iter(of_networks.values()))), np.nan)


def _key(networks: Networks | None) -> frozenset[tuple[str, frozenset[str]]] | None:
    return None if networks is None else frozenset(networks.items())
