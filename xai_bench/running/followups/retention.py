"""Retention as a follow-up: when all relevances of a draw are stored, every distinct mask is judged once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from xai_bench.component import canonical_json, sha256
from xai_bench.models.source import ModelSource
from xai_bench.results.store import Store
from xai_bench.running import block as computed
from xai_bench.running.describe import load_checked
from xai_bench.running.followups.base import FollowUp, Rows, Scope, Stored, as_trained
from xai_bench.running.state import guarded
from xai_bench.scoring import retention
from xai_bench.suites.plan import Block, Draw
from xai_bench.suites.suite import Retention, Suite


@dataclass(frozen=True)
class RetentionTask:
    """The rankings of one draw that are to be judged, and the networks they are masked on.

    ``judge``: key of the judge on this draw. ``models``: key to (source, weights, seed). ``known``: masks that
    the judge has scored before. ``device``: where judges are trained and masks are scored.
    ``content_hash``: what the data must be, if that is known.
    """

    key: str
    judge: str
    draw: Draw
    settings: Retention
    ranked: tuple[retention.Ranked, ...]
    models: Mapping[str, tuple[ModelSource, bytes, int]]
    known: Mapping[str, tuple[float, float]]
    device: str = "cpu"
    content_hash: str | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(ranked.cell for ranked in self.ranked)

    def run(self) -> Iterator[retention.Judged]:
        """Judge every ranking; yields one thing."""
        data, models = load_checked(self.draw, self.content_hash), {}
        for key, (source, weights, seed) in self.models.items():
            with guarded():
                models[key] = computed.from_weights(source, data, weights, self.device, seed)
        with guarded():
            judged = retention.judge(data, self.draw, self.settings, self.ranked, models, self.known, self.device)
        yield judged


@dataclass(frozen=True)
class RetentionFollowUp(FollowUp[RetentionTask, retention.Judged]):
    """The retention of all rankings of one draw, as ``settings`` say."""

    name: ClassVar[str] = "retention"
    version: ClassVar[int] = retention.VERSION
    scope: ClassVar[Scope] = "draw"
    reason_at: ClassVar[tuple[str, int]] = ("retention_retrained_gain", 0)

    suite: Suite
    settings: Retention

    @classmethod
    def of(cls, suite: Suite) -> Self | None:
        return None if suite.retention is None else cls(suite, suite.retention)

    def covers(self, blocks: Sequence[Block]) -> bool:
        draw = blocks[0].draw
        return draw.permutation is None and self.settings.holds(draw.dataset.label, draw.data_seed)

    def due(self, blocks: Sequence[Block], stored: Stored) -> RetentionTask | None:
        draw, plain = blocks[0].draw, self._plain_networks(blocks)
        key, judge = self.key(draw, plain.values()), retention.judge_key(draw, self.settings)
        followed = stored.followed(self.name, key, [cell.key for block in blocks for cell in block.cells])
        settled = stored.settled(among=[cell.key for block in blocks for cell in block.cells])
        ranked: dict[str, retention.Ranked] = {}
        networks: dict[str, tuple[ModelSource, bytes, int]] = {}
        for block in blocks:
            if not self.settings.every_model_seed and block.model_seed != self.suite.model_seeds[0]:
                continue
            waiting = [cell for cell in block.cells if cell.key not in followed]
            relevances = stored.relevances(cell.key for cell in waiting)
            judged = [c.key for c in waiting if c.key in relevances or (c.label == "random" and c.key in settled)]
            network = block.model_key or plain.get(block.model_seed, "")
            if judged and network not in networks and (found := _network(blocks, network, stored)) is not None:
                networks[network] = found
            masked_on = network if network in networks else ""
            ranked |= {cell: retention.Ranked(cell, relevances.get(cell), masked_on) for cell in judged}
        if not ranked:
            return None
        rankings, known = tuple(ranked.values()), stored.judgements(judge)
        content_hash = stored.content_hash(draw.key)
        return RetentionTask(key, judge, draw, self.settings, rankings, networks, known, blocks[0].device, content_hash)

    def key(self, draw: Draw, plain_networks: Iterable[str]) -> str:
        """What the retention of a draw's rankings depends on. ``plain_networks``: keys of those that mask."""
        settings = self.settings.of_a_draw()
        judge = retention.judge_key(draw, self.settings)
        return sha256(canonical_json([self.version, judge, settings, sorted(plain_networks)]))

    def rows(self, task: RetentionTask, result: retention.Judged) -> Rows:
        return result.measurements

    def store(
        self, store: Store, task: RetentionTask, results: Sequence[retention.Judged], reason: str, judge: str = ""
    ) -> None:
        for judged in results:
            store.add_judgements(task.judge, judged.judgements)
        super().store(store, task, results, reason, judge or task.judge)

    def _plain_networks(self, blocks: Sequence[Block]) -> dict[int, str]:
        """Model seed to the key of the suite's plain network of that seed; without a judge any network will do."""
        dataset = blocks[0].draw.dataset.label
        entry = self.suite.plain_model(dataset)
        if entry is None and not self.settings.judges:
            entry = next(iter(self.suite.models_on(dataset)), None)
        return {b.model_seed: b.model_key for b in blocks if b.model and entry and b.model.label == entry.label}


def _network(blocks: Sequence[Block], key: str, stored: Stored) -> tuple[ModelSource, bytes, int] | None:
    """The source, as chosen, the weights and the seed of the network of that key; None if it is not stored."""
    weights = stored.weights(key)
    block = next((block for block in blocks if block.model_key == key), None)
    if weights is None or block is None or block.model is None:
        return None
    return as_trained(block.model, key, stored).component, weights, block.model_seed
