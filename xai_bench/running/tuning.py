"""Choosing among settings by validation, with the same number of tries for everybody who has something to choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.explainers.base import Problem, Selection, Selector, seeded
from xai_bench.models.base import Architecture, FittedModel
from xai_bench.suites.suite import Entry

Setting = dict[str, Any]


def fit_best(entry: Entry, data: Dataset, seed: int, device: str = "cpu") -> tuple[FittedModel, Setting]:
    """The network with the lowest validation loss, and its setting; its training costs what all tries cost.

    A try that diverges is out.

    Raises
    ------
    ValueError
        If all diverge.
    """
    best, chosen, cpu, wall = None, {}, 0.0, 0.0
    failure: ValueError | None = None
    for setting in entry.candidates:
        architecture: Architecture = entry.settled(setting).component
        try:
            fitted = architecture.fit(data, seed, device=device)
        except ValueError as error:
            failure = error
            continue
        cpu, wall = cpu + (fitted.train_cpu or 0.0), wall + (fitted.train_wall or 0.0)
        if best is None or fitted.valid_loss < best.valid_loss:
            best, chosen = fitted, setting
    if best is None:
        raise failure or ValueError("there is no setting to try")
    return replace(best, train_cpu=cpu, train_wall=wall), chosen


class Tuned(Selector):
    """A selector with several settings, of which the highest ``valid_score`` is taken; all tries are its set-up.

    It promises nothing: the rows that chose the setting would test it too.
    """

    name: ClassVar[str] = "tuned"

    _first: Selector = PrivateAttr()
    _tries: list[tuple[Setting, Selector]] = PrivateAttr()
    _chosen: Setting = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, selector: Selector, settings: Sequence[Setting]) -> Tuned:
        tuned = cls()
        tuned._first = selector
        entry = Entry(label="", component=selector)
        tuned._tries = [(setting, entry.settled(setting).component) for setting in settings]
        return tuned

    @property
    def chosen(self) -> Setting:
        """The setting that ``select`` chose last."""
        return self._chosen

    def unsupported(self, problem: Problem) -> str | None:
        return self._first.unsupported(problem)

    def joined(self, columns: NDArray, problem: Problem) -> NDArray[np.float64]:
        return self._first.joined(columns, problem)

    def rows_explained(self, problem: Problem) -> int | None:
        return self._first.rows_explained(problem)

    def select(self, problem: Problem) -> Selection:
        """A try depends on its own setting only, not on the others.

        Raises
        ------
        ValueError
            If a try has no ``valid_score`` to choose by.
        """
        base = int(problem.generator.integers(2**62))
        best, highest = None, -math.inf
        for setting, selector in self._tries:
            seed = stream_seed("try", base, setting)
            with seeded(seed):
                found = selector.select(replace(problem, generator=np.random.default_rng(seed)))
            if found.valid_score is None:
                raise ValueError(f"{selector.name} has no validation score to choose by: remove tune")
            if best is None or found.valid_score > highest:
                best, highest, self._chosen = found, found.valid_score, setting
        assert best is not None
        return best
