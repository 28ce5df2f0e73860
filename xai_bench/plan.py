"""From a suite to the blocks that are still to be computed: pure functions of the suite and the keys done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    """One explainer in one block. ``explainer`` is None for the controls random and oracle.

    ``candidates``: its settings, among which validation chooses; () if there is no choice.
    """

    key: str
    label: str
    explainer: Any | None
    candidates: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Block:
    """One draw, one trained model (or none), and the explainers that share it.

    ``model_key`` is that of the trained network; "" in blocks without a model, whose ``model_seed`` says which
    plain network their rankings are masked on. ``memory`` is the suite's limit in bytes; no key depends on it.
    """

    draw: Draw
    model: Entry | None
    model_seed: int
    model_key: str
    cells: tuple[Cell, ...]
    rankings: int
    memory: int | None = None

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
        standardise = suite.standardise if entry.standardise is None else entry.standardise
        for seed in suite.data_seeds:
            for fold in folds:
                content = {
                    "dataset": identity,
                    "data_seed": seed,
                    "fold": list(fold) if fold else None,
                    "standardise": standardise,
                }
                result.append(Draw(sha256(canonical_json(content)), entry, seed, fold, standardise))
    return result


def model_key(draw: Draw, model: Entry, model_seed: int) -> str:
    """The key of a trained network."""
    content = {"draw": draw.key, "model": model.identity(), "model_seed": model_seed}
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
        Cell(
            sha256(canonical_json({**place, "explainer": entry.identity()})),
            entry.label,
            entry.component,
            entry.candidates,
        )
        for entry in explainers
    ]
    return Block(draw, model, seed, trained, tuple(cells), suite.rankings, suite.limits.bytes)


def by_draw(planned: list[Block]) -> dict[str, list[Block]]:
    """Draw key to the blocks of that draw, in the order of the plan."""
    result: dict[str, list[Block]] = {}
    for block in planned:
        result.setdefault(block.draw.key, []).append(block)
    return result


def in_rounds(todo: Sequence[Block]) -> list[Block]:
    """The blocks round by round: one draw of every dataset, then the next; the cost of all is known after the first."""
    rounds: dict[tuple[int, int], list[Block]] = {}
    for block in todo:
        rounds.setdefault((block.draw.data_seed, block.draw.fold.number if block.draw.fold else 0), []).append(block)
    return [block for blocks in rounds.values() for block in blocks]


def missing(planned: list[Block], done: Collection[str]) -> list[Block]:
    """The blocks with the cells that are not done; blocks with none left are gone."""
    rest = [replace(b, cells=tuple(c for c in b.cells if c.key not in done)) for b in planned]
    return [b for b in rest if b.cells]
