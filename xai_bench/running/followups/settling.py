"""Settling as a follow-up: every network of the first draws is trained once more, beside copies of the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.models.base import Architecture
from xai_bench.models.losses import Tensors
from xai_bench.models.source import ModelSource
from xai_bench.models.streams import Task, initial
from xai_bench.models.training import start_from_rows
from xai_bench.results.records import SettlingFacts
from xai_bench.results.store import Store
from xai_bench.running import block as computed
from xai_bench.running.describe import load_checked
from xai_bench.running.followups.base import FollowUp, Scope, Stored, as_trained
from xai_bench.running.state import guarded
from xai_bench.scoring import settling
from xai_bench.suites.plan import Block
from xai_bench.suites.suite import Suite


@dataclass(frozen=True)
class SettlingTask:
    """A network that is to be trained once more; ``block`` says which. ``content_hash``: what the data must be."""

    key: str
    block: Block
    weights: bytes
    content_hash: str | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """It is about a network, not about cells."""
        return ()

    def run(self) -> Iterator[SettlingFacts]:
        """Train and compare; yields one thing."""
        data = load_checked(self.block.draw, self.content_hash)
        with guarded():
            found = self._compare(data)
        yield found

    def _compare(self, data: Dataset) -> SettlingFacts:
        block = self.block
        assert block.model is not None
        source: ModelSource = block.model.component
        seed = stream_seed("settling", block.model_key)
        copies = data.feature_shape is None and not source.needs_picture
        beside = settling.with_copies(data, seed) if copies else data
        second = source.fit(beside, seed, device=block.device)
        untrained = source.network(
            data.shape, data.n_outputs, initial(Task(block.model_seed, tuple(range(data.d)))), data.kind
        )
        if isinstance(source, Architecture):
            tensors = Tensors(data, torch.float32, torch.device("cpu"))
            start_from_rows(source, untrained, tensors, tuple(range(data.d)))
        networks = (
            (data, computed.from_weights(source, data, self.weights, block.device, block.model_seed)),
            (beside, second.module),
            (data, untrained.requires_grad_(False).to(block.device).eval()),
        )
        problems = [computed.problem_of(rows, network, block.device, block.memory) for rows, network in networks]
        found = [settling.relevances(problem, seed) for problem in problems]
        constant = problems[0].constant
        varying = np.array([not constant[list(columns)].all() for columns in data.inputs])
        facts = settling.compared(found, varying, settling.top_of(data), copies)
        return replace(facts, train_cpu=second.train_cpu or 0.0, train_wall=second.train_wall or 0.0)


@dataclass(frozen=True)
class SettlingFollowUp(FollowUp[SettlingTask, SettlingFacts]):
    """Every network of the first draws of each dataset is trained once more: its first model seed, the first fold."""

    name: ClassVar[str] = "settling"
    version: ClassVar[int] = settling.VERSION
    scope: ClassVar[Scope] = "network"

    suite: Suite

    @classmethod
    def of(cls, suite: Suite) -> Self | None:
        return cls(suite) if suite.settling.draws else None

    def covers(self, blocks: Sequence[Block]) -> bool:
        block, suite = blocks[0], self.suite
        if (
            block.model is None
            or not block.model.component.trains
            or block.draw.permutation is not None
            or block.model_seed != suite.model_seeds[0]
        ):
            return False
        first_fold = block.draw.fold is None or block.draw.fold.number == 0
        return first_fold and block.draw.data_seed in suite.data_seeds[: suite.settling.draws]

    def due(self, blocks: Sequence[Block], stored: Stored) -> SettlingTask | None:
        block, key = blocks[0], settling.key()
        weights = stored.weights(block.model_key)
        if weights is None or stored.settling(block.model_key) == key:
            return None
        assert block.model is not None
        block = replace(block, model=as_trained(block.model, block.model_key, stored), cells=())
        return SettlingTask(key, block, weights, stored.content_hash(block.draw.key))

    def store(
        self, store: Store, task: SettlingTask, results: Sequence[SettlingFacts], reason: str, judge: str = ""
    ) -> None:
        failed = SettlingFacts(reasons=dict.fromkeys(settling.METHODS, reason or "no result"))
        facts, key = (results[0], task.key) if results else (failed, "")
        store.add_settling(task.block.model_key, key, facts)
