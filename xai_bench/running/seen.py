"""Which data were seen under which key: other data under the same key are a failure, never mixed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from xai_bench.results.records import CellResult
from xai_bench.results.store import Store
from xai_bench.running.describe import other_data
from xai_bench.running.under_way import OpenBlock
from xai_bench.suites.plan import Block, Draw


class SeenData:
    """The hashes of the data of every draw, as they are stored or were seen first in this run."""

    def __init__(self, planned: Iterable[Block], store: Store) -> None:
        self._store = store
        self._hashes: dict[tuple[str, int], str | None] = {}
        self._keys: defaultdict[tuple[str, int], dict[str, None]] = defaultdict(dict)
        for block in planned:
            self._keys[_place(block.draw)][block.draw.key] = None

    def hash_of(self, draw: Draw) -> str | None:
        """Of the data of a draw; None if they were not seen yet."""
        place = _place(draw)
        if place not in self._hashes:
            stored = (self._store.content_hash(key) for key in self._keys[place])
            self._hashes[place] = next((found for found in stored if found is not None), None)
        return self._hashes[place]

    def check(self, work: OpenBlock) -> None:
        """Keep nothing of a block whose data differ from what another worker had under the same key."""
        if work.prepared is None:
            return
        draw, found = work.block.draw, work.prepared.content_hash
        if self.hash_of(draw) in (None, found):
            self._hashes[_place(draw)] = found
            return
        work.prepared = None
        work.cells = [CellResult(cell.key, "failed", other_data(draw)) for cell in work.cells]


def _place(draw: Draw) -> tuple[str, int]:
    """What draws have in common whose data are the same before they are split, standardised or permuted."""
    return draw.dataset.label, draw.data_seed
