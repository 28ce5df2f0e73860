"""From a suite to the blocks that are still to be computed: pure functions of the suite and the keys done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xai_bench.component import canonical_json, sha256
from xai_bench.datasets.base import Fold
from xai_bench.suites.suite import CONTROLS, Entry, Suite

VERSION = 1
"""Raise it when the same dataset, seed and fold are split or standardised in another way."""
PERMUTATION_VERSION = 1
"""Raise it when the targets of a null run are permuted in another way."""
CONTROL_VERSION = 2
"""Raise it when the relevance of ``oracle`` is another one, or ``random`` is made in another way."""


@dataclass(frozen=True)
class Draw:
    """One split of one draw of one dataset: what the models of a suite are trained on.

    ``key`` depends on the dataset's identity, the data seed, the fold, standardisation and the permutation, not on
    labels. ``permutation`` is the number of a null run, whose targets are permuted; None for the data as they are.
    """

    key: str
    dataset: Entry
    data_seed: int
    fold: Fold | None
    standardise: bool
    permutation: int | None = None
    files: str | None = None
    """The fingerprint of what the dataset reads, as the key has it; None for any."""


@dataclass(frozen=True, slots=True)
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
    plain network their rankings are masked on. ``memory`` is the suite's limit in bytes, ``device`` where it is
    computed; no key depends on them.
    """

    draw: Draw
    model: Entry | None
    model_seed: int
    model_key: str
    cells: tuple[Cell, ...]
    rankings: int
    memory: int | None = None
    device: str = "cpu"

    @property
    def model_label(self) -> str:
        """The model's label, "" for none."""
        return self.model.label if self.model else ""


def draws(suite: Suite, identities: Identities | None = None) -> list[Draw]:
    """Every draw of the suite, in its order."""
    identities = identities or Identities()
    return [
        _draw(suite, entry, identities, seed, fold)
        for entry in suite.datasets
        for seed in suite.data_seeds
        for fold in _folds(suite)
    ]


def null_draws(suite: Suite, identities: Identities | None = None) -> list[Draw]:
    """The null runs of every dataset that is calibrated: its first draw with permuted targets.

    As many again as there are runs: the first half sets the thresholds, the second half judges them.
    """
    table = suite.calibration
    if table is None:
        return []
    chosen = [entry for entry in suite.datasets if table.covers("datasets", entry.label)]
    first, identities = (suite.data_seeds[0], _folds(suite)[0]), identities or Identities()
    return [_draw(suite, entry, identities, *first, number) for entry in chosen for number in range(2 * table.runs)]


def _folds(suite: Suite) -> list[Fold | None]:
    return [Fold(i, suite.folds) for i in range(suite.folds)] or [None]


class Identities:
    """The identity of every entry of a suite, asked for once: one that reads a file does so once a plan."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Entry, dict[str, Any]]] = {}

    def of(self, entry: Entry) -> dict[str, Any]:
        """As ``entry.identity()``."""
        if id(entry) not in self._known:
            self._known[id(entry)] = entry, entry.identity()
        return self._known[id(entry)][1]


def _draw(
    suite: Suite,
    entry: Entry,
    identities: Identities,
    seed: int,
    fold: Fold | None,
    permutation: int | None = None,
) -> Draw:
    standardise = suite.standardise if entry.standardise is None else entry.standardise
    identity = identities.of(entry)
    content: dict[str, Any] = {
        "version": VERSION,
        "dataset": identity,
        "data_seed": seed,
        "fold": list(fold) if fold else None,
        "standardise": standardise,
    }
    if permutation is not None:
        content["permutation"] = [PERMUTATION_VERSION, permutation]
    files = canonical_json(identity["fingerprint"])
    return Draw(sha256(canonical_json(content)), entry, seed, fold, standardise, permutation, files)


def _model_key(draw: Draw, model: Entry, identities: Identities, model_seed: int) -> str:
    """The key of a network. One that is not trained here has no seed."""
    seed = model_seed if model.component.trains else None
    content = {"draw": draw.key, "model": identities.of(model), "model_seed": seed}
    return sha256(canonical_json(content))


def blocks(suite: Suite, device: str = "cpu") -> list[Block]:
    """All blocks of a suite, null runs last. Explainers that need no model run once, in blocks without one."""
    identities = Identities()
    found = _blocks(suite, identities, draws(suite, identities), suite.models, suite.explainers, (), CONTROLS)
    table = suite.calibration
    if table is not None:
        # A given network knows the targets as they are, not as they are permuted.
        trained = [entry for entry in suite.models if entry.component.trains]
        models = tuple(entry for entry in trained if table.covers("models", entry.label))
        explainers = tuple(entry for entry in suite.explainers if table.covers("explainers", entry.label))
        for draw in null_draws(suite, identities):
            assert draw.permutation is not None
            # Every null run has initial weights of its own, as another real run has.
            found += _blocks(suite, identities, [draw], models, explainers, (draw.permutation,), ())
    return [replace(block, device=device) for block in found]


def _blocks(
    suite: Suite,
    identities: Identities,
    chosen: list[Draw],
    models: tuple[Entry, ...],
    explainers: tuple[Entry, ...],
    seeds: tuple[int, ...],
    controls: tuple[str, ...],
) -> list[Block]:
    """``seeds``: of the models; () for those that the suite gives the draw."""
    with_model = [e for e in explainers if e.component.needs != "data"]
    without = [e for e in explainers if e.component.needs == "data"]
    result = []
    for draw in chosen:
        if without:
            result.append(_block(suite, identities, draw, None, (seeds or suite.model_seeds)[0], without, controls))
        result += [
            _block(suite, identities, draw, model, seed, with_model, controls)
            for model in models
            if model.is_for(draw.dataset.label)
            for seed in (seeds or model_seeds(suite, draw))[: None if model.component.trains else 1]
            if with_model
        ]
    return result


def model_seeds(suite: Suite, draw: Draw) -> tuple[int, ...]:
    """The model seeds of a draw: all of them, or the first if the seeds are not crossed and it is a further draw."""
    return suite.model_seeds if suite.crossed or draw.data_seed == suite.data_seeds[0] else suite.model_seeds[:1]


def _block(
    suite: Suite,
    identities: Identities,
    draw: Draw,
    model: Entry | None,
    seed: int,
    explainers: list[Entry],
    controls: tuple[str, ...],
) -> Block:
    trained = _model_key(draw, model, identities, seed) if model else ""
    place = {"draw": draw.key, "model": trained}
    cells = [
        Cell(
            sha256(canonical_json({**place, "control": [name, CONTROL_VERSION], "rankings": suite.rankings})),
            name,
            None,
        )
        for name in controls
    ]
    cells += [
        Cell(
            sha256(canonical_json({**place, "explainer": identities.of(entry)})),
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
