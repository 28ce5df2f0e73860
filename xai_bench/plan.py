"""From a suite to the blocks that are still to be computed: pure functions of the suite and the keys done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from xai_bench.component import canonical_json, sha256
from xai_bench.datasets.base import Fold
from xai_bench.suite import CONTROLS, Entry, Suite


@dataclass(frozen=True)
class Draw:
    """One split of one draw of one dataset: what the models of a suite are trained on.

    ``key`` depends on the dataset's identity, the data seed, the fold and standardisation, not on labels.
    """

    key: str
    dataset: Entry
    data_seed: int
    fold: Fold | None
    standardise: bool


@dataclass(frozen=True)
class Cell:
    """One explainer in one block. ``explainer`` is None for the controls random and oracle."""

    key: str
    label: str
    explainer: Any | None


@dataclass(frozen=True)
class Block:
    """One draw, one trained model (or none), and the explainers that share it.

    ``model_key`` is that of the trained network; "" in blocks without a model, whose ``model_seed`` says which
    plain network their rankings are masked on.
    """

    draw: Draw
    model: Entry | None
    model_seed: int
    model_key: str
    cells: tuple[Cell, ...]
    rankings: int

    @property
    def model_label(self) -> str:
        """The model's label, "" for none."""
        return self.model.label if self.model else ""


def draws(suite: Suite) -> list[Draw]:
    """Every draw of the suite, in its order."""
    folds: list[Fold | None] = [Fold(i, suite.folds) for i in range(suite.folds)] or [None]
    result = []
    for entry in suite.datasets:
        identity = entry.component.identity()
        for seed in suite.data_seeds:
            for fold in folds:
                content = {
                    "dataset": identity,
                    "data_seed": seed,
                    "fold": list(fold) if fold else None,
                    "standardise": suite.standardise,
                }
                result.append(Draw(sha256(canonical_json(content)), entry, seed, fold, suite.standardise))
    return result


def model_key(draw: Draw, model: Entry, model_seed: int) -> str:
    """The key of a trained network."""
    content = {"draw": draw.key, "model": model.component.identity(), "model_seed": model_seed}
    return sha256(canonical_json(content))


def blocks(suite: Suite) -> list[Block]:
    """All blocks of a suite. Explainers that need no model run once, in blocks without one."""
    with_model = [e for e in suite.explainers if e.component.needs != "data"]
    without = [e for e in suite.explainers if e.component.needs == "data"]
    result = []
    for draw in draws(suite):
        if without:
            result.append(_block(suite, draw, None, suite.model_seeds[0], without))
        result += [
            _block(suite, draw, model, seed, with_model)
            for model in suite.models_on(draw.dataset.label)
            for seed in model_seeds(suite, draw)
            if with_model
        ]
    return result


def model_seeds(suite: Suite, draw: Draw) -> tuple[int, ...]:
    """The model seeds of a draw: all of them, or the first if the seeds are not crossed and it is a further draw."""
    return suite.model_seeds if suite.crossed or draw.data_seed == suite.data_seeds[0] else suite.model_seeds[:1]


def _block(suite: Suite, draw: Draw, model: Entry | None, seed: int, explainers: list[Entry]) -> Block:
    trained = model_key(draw, model, seed) if model else ""
    place = {"draw": draw.key, "model": trained}
    cells = [
        Cell(sha256(canonical_json({**place, "control": name, "rankings": suite.rankings})), name, None)
        for name in CONTROLS
    ]
    cells += [
        Cell(sha256(canonical_json({**place, "explainer": entry.component.identity()})), entry.label, entry.component)
        for entry in explainers
    ]
    return Block(draw, model, seed, trained, tuple(cells), suite.rankings)


def by_draw(planned: list[Block]) -> dict[str, list[Block]]:
    """Draw key to the blocks of that draw, in the order of the plan."""
    result: dict[str, list[Block]] = {}
    for block in planned:
        result.setdefault(block.draw.key, []).append(block)
    return result


def missing(planned: list[Block], done: Collection[str]) -> list[Block]:
    """The blocks with the cells that are not done; blocks with none left are gone."""
    rest = [replace(b, cells=tuple(c for c in b.cells if c.key not in done)) for b in planned]
    return [b for b in rest if b.cells]
