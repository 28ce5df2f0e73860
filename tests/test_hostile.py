"""Every piece of harm in every family of components: what stands beside it, and what comes after it, keeps its bits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch

from tests.test_state import HOSTILE, NAMES, everything
from xai_bench import Architecture, DataSource, Explainer, GroundTruth, Metric, Table
from xai_bench.results.records import CellResult
from xai_bench.running import block as computing
from xai_bench.running import describe
from xai_bench.suites import plan, reading

ACTIONS = {**HOSTILE, "error": "raise RuntimeError('no luck')", "end": "raise SystemExit(3)", "child": "os.fork()"}
FAMILIES = ("datasets", "models", "explainers", "metrics")
OWN = {"explainers": "hostile_explained", "metrics": "hostile_scored"}
"""Whose own numbers may be others."""
acting: dict[str, str] = {}
"""Family to what its hostile component does."""


def act(family: str) -> None:
    exec(ACTIONS[acting[family]] if family in acting else "", dict(NAMES))


class Drawn(DataSource):
    name: ClassVar[str] = "hostile_drawn"

    def draw(self, rng):
        X = rng.normal(size=(60, 4))
        act("datasets")
        truth = GroundTruth(("relevant", "noise", "noise", "noise"))
        return Table(X, (X[:, 0] > 0).astype(int), "classification", truth)


class Built(Architecture):
    name: ClassVar[str] = "hostile_built"

    def build(self, shape, n_outputs, generator):
        layer = torch.nn.Linear(shape[0], n_outputs)
        torch.nn.init.normal_(layer.weight, generator=generator)
        act("models")
        return torch.nn.Sequential(layer)


class Explained(Explainer):
    name: ClassVar[str] = "hostile_explained"

    def relevance(self, problem):
        act("explainers")
        return np.arange(1.0, problem.d + 1)


def scored(relevance, truth):
    act("metrics")
    return 0.5


SUITE = {
    "name": "hostile",
    "data_seeds": [0],
    "rankings": 2,
    "datasets": [{"name": "hostile_drawn"}],
    "models": [{"name": "hostile_built", "epochs": 0.1, "min_steps": 2, "checkpoints": 1}],
    "explainers": [{"name": "hostile_explained"}, {"name": "saliency"}, {"name": "column_norm"}],
}


@pytest.fixture
def block(plugin_registry):
    """A draw, a network and three methods, whose components do what ``acting`` says."""
    for part in (Drawn, Built, Explained, Metric("hostile_scored", scored, lambda truth: 0.5, 0.0, 1.0, "hostile")):
        plugin_registry.register(part)
    (found,) = (one for one in plan.blocks(reading.from_dict(SUITE)) if one.model is not None)
    yield found
    acting.clear()


def found(block, spared: str = ""):
    """Label of a cell to the bits of its relevance and scores, of those that are done; ``spared``: left out."""
    for module in (describe, computing):
        for cached in (one for one in vars(module).values() if hasattr(one, "cache_clear")):
            cached.cache_clear()
    labels = {cell.key: cell.label for cell in block.cells}
    cells = {labels[one.key]: one for one in computing.run_block(block) if isinstance(one, CellResult)}
    assert cells.keys() == set(labels.values()), "every cell has a result"
    return {
        label: (
            None if cell.relevance is None else cell.relevance.tobytes(),
            [one for one in cell.measurements if not one.metric.startswith(spared or " ")],
        )
        for label, cell in cells.items()
        if cell.status == "done" and label != spared
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours_and_successors_keep_their_bits(family, block):
    expected, wanted = found(block), found(block, OWN.get(family, ""))
    assert set(expected) == {"random", "oracle", "hostile_explained", "saliency", "column_norm"}
    before = everything()
    for action in ACTIONS:
        acting[family] = action
        beside = found(block, OWN.get(family, ""))
        assert everything() == before, action
        for label, bits in beside.items():
            if family != "models" or label in ("random", "oracle"):  # The others explain the network in question.
                assert bits == wanted[label], (action, label)
        if family in OWN:
            assert beside.keys() == wanted.keys(), (action, "it harms itself only")
    acting.clear()
    assert found(block) == expected, "afterwards"


class Tied(Architecture):
    """Two layers share their weights."""

    name: ClassVar[str] = "tied"

    def build(self, shape, n_outputs, generator):
        layer = torch.nn.Linear(shape[0], shape[0])
        torch.nn.init.normal_(layer.weight, generator=generator)
        return torch.nn.Sequential(layer, torch.nn.Tanh(), layer, torch.nn.Linear(shape[0], n_outputs))


def test_tied_weights_are_stored_and_come_back_tied(block, plugin_registry):
    plugin_registry.register(Tied)
    suite = {**SUITE, "models": [{"name": "tied", "epochs": 0.1, "min_steps": 2, "checkpoints": 1}]}
    (tied,) = (one for one in plan.blocks(reading.from_dict(suite)) if one.model is not None)
    items = list(computing.run_block(tied))
    (prepared,) = (item for item in items if isinstance(item, computing.Prepared))
    labels = {cell.key: cell.label for cell in tied.cells}
    status = {labels[item.key]: item.status for item in items if isinstance(item, CellResult)}
    assert status["saliency"] == "done"
    assert "failed" not in status.values()
    data = describe.load_checked(tied.draw, None)
    module = computing.from_weights(tied.model.component, data, prepared.model.weights, "cpu", tied.model_seed)
    assert module[0] is module[2]
