"""What a run of a million cells asks of the process that hands them out: one table.

python benchmarks/million.py [--cells 1000000] [--out FOLDER] [--scheduler tcp://HOST:PORT] [--csv FILE]

Nothing is computed: a stub in place of the workers yields a result for every cell at once, with a relevance of six
inputs and ten scores, so that all time is that of the parent. A draw has ten cells: few cells for a draw are the
dearest case, since draws are described and blocks are stored one by one.

With a scheduler the results come from the workers of that cluster, which make them up: the table says what dask and the
network add to the parent, what the scheduler and the workers take, and how many bytes go each way.
"""

from __future__ import annotations

import argparse
import csv
import pickle
import resource
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from xai_bench import workers
from xai_bench.results.opening import FILE
from xai_bench.results.store import Store
from xai_bench.running import cluster
from xai_bench.running import loop as loops
from xai_bench.running import run as runner
from xai_bench.running.loop import Loop
from xai_bench.running.request import Asked, Request
from xai_bench.running.runs import Runs
from xai_bench.scoring import recovery
from xai_bench.workers import Done, Event, Item

EXPLAINERS = (
    *("f_test", "mutual_information", "mrmr", "lasso", "random_forest", "random_forest_permutation"),
    *("gradient_boosting", "moments"),
)
CELLS_OF_A_DRAW = len(EXPLAINERS) + 2
SEEDS = 1000
"""Draws of a dataset at the most."""


def suite_of(cells: int) -> dict[str, Any]:
    """A suite of about so many cells: datasets that differ in their rows, up to a thousand draws of each."""
    draws = max(cells // CELLS_OF_A_DRAW, 1)
    datasets = max(draws // SEEDS, 1)
    return {
        "name": "million",
        "data_seeds": list(range(draws // datasets)),
        "datasets": [{"name": "xor", "n": 100 + i, "d": 6, "label": f"xor {i}"} for i in range(datasets)],
        "explainers": [{"name": name} for name in EXPLAINERS],
        "settling": {"draws": 0},
    }


def made_up(block: Any, *_: Any) -> Iterator[Any]:
    """In place of ``run_block``: a result for every cell of a block, of which nothing is computed."""
    import numpy as np

    from xai_bench.results.records import CellResult, Costs, DrawRecord, Measurement
    from xai_bench.running.block import Prepared
    from xai_bench.running.describe import recorded
    from xai_bench.scoring import recovery

    draw, rng = block.draw, np.random.default_rng(0)
    facts = recorded(replace(draw, key="", data_seed=0), tuple(recovery.identities().items())).facts
    content_hash = f"{draw.dataset.label} {draw.data_seed}"
    yield Prepared(DrawRecord(draw.key, replace(facts, content_hash=content_hash)), None, (), content_hash)
    relevance, costs = rng.random(6), Costs(*rng.random(4).tolist(), 10**6, 100, 100, 100)
    scores = tuple(Measurement(name, float(rng.random())) for name in recovery.identities())[:10]
    for cell in block.cells:
        yield CellResult(cell.key, "done", costs=costs, relevance=relevance, measurements=scores)


class Stub:
    """An executor that makes up what a block comes to; follow-ups come to nothing."""

    size = 1

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, tuple[Any, ...]]] = deque()

    def room(self) -> bool:
        return len(self._waiting) < 2

    def submit(self, task: int, function: Callable[..., Any], *arguments: Any) -> None:
        self._waiting.append((task, arguments))

    def wait(self) -> list[Event]:
        task, arguments = self._waiting.popleft()
        return [*(Item(task, item) for item in (made_up(*arguments) if arguments else ())), Done(task)]


@contextmanager
def stubbed() -> Iterator[None]:
    """Runs inside compute nothing."""

    @contextmanager
    def chosen(*_: Any) -> Iterator[Stub]:
        yield Stub()

    before, loops.executor = loops.executor, chosen  # type: ignore[assignment]
    try:
        yield
    finally:
        loops.executor = before


@contextmanager
def elsewhere(address: str) -> Iterator[cluster.Site]:
    """Runs inside have their results made up by the workers of a cluster; behind them it is said what that took."""
    sizes, before = Counter[str](), (loops.run_block, workers.by_value, cluster.pickle)

    def sent(content: Any) -> bytes:
        packed = before[1](content)
        sizes["to the workers"] += len(packed)
        return packed

    def received(packed: bytes) -> Any:
        sizes["from the workers"] += len(packed)
        sizes["messages"] += 1
        return pickle.loads(packed)

    loops.run_block, workers.by_value = made_up, sent  # type: ignore[assignment]
    cluster.pickle = SimpleNamespace(loads=received)  # type: ignore[assignment]
    try:
        with cluster.reached(address, {}) as site:
            client = site.client
            begun = client.run_on_scheduler(time.process_time), sum(client.run(time.process_time).values())
            yield site
            ended = client.run_on_scheduler(time.process_time), sum(client.run(time.process_time).values())
    finally:
        loops.run_block, workers.by_value, cluster.pickle = before  # type: ignore[assignment]
    print(f"| scheduler, meanwhile | {ended[0] - begun[0]:.1f} |")
    print(f"| workers of dask, meanwhile, without the processes that compute | {ended[1] - begun[1]:.1f} |")
    print("\n" + ", ".join(f"{count:,} {what}" for what, count in sizes.items()) + " (bytes)\n")


class Stages:
    """CPU seconds and memory of one stage after the other."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.rows: list[tuple[str, str, str, str]] = []
        print(f"| stage | CPU s | µs a cell | peak so far, MiB |\n|{'---|' * 4}")

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        begun = time.process_time()
        yield
        took = time.process_time() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1024 if sys.platform.startswith("linux") else 2**20
        )
        self.rows.append((name, f"{took:.1f}", f"{1e6 * took / self.cells:.1f}", f"{peak:.0f}"))
        print(f"| {' | '.join(self.rows[-1])} |", flush=True)


def on_cluster(cells: int, folder: Path, address: str) -> None:
    """Print what a run asks of the parent and of dask."""
    stages = Stages(cells)
    asked = Asked.of(Request(suite_of(cells), out=folder))
    with Store(asked.folder / FILE) as store, elsewhere(address) as site:
        facts = runner.provenance(1)
        runs = Runs(store, store.begin(asked.suite.config(), asked.rows(), facts, recovery.declared()), facts)
        loop = runner._loop(asked, store)
        with stages.of("hand out to a cluster, take, store all cells"):
            loop.run(None, runs, None, site)
        assert loop.progress.done == cells


def write(path: Path, cells: int, rows: Iterable[Sequence[str]]) -> None:
    """The table as a file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("stage", f"CPU s ({cells:,} cells)", "µs a cell", "peak so far, MiB"))
        lines.writerows(rows)


def main(cells: int, folder: Path, file: Path | None = None) -> None:
    """Print the table, and write it to ``file``."""
    stages = Stages(cells)
    with stages.of("read and plan the suite"):
        asked = Asked.of(Request(suite_of(cells), out=folder))
    planned = sum(len(block.cells) for block in asked.planned)
    stages.cells = planned
    path = asked.folder / FILE
    with stubbed(), Store(path) as store:
        with stages.of("what is missing, forecast"):
            loop = runner._loop(asked, store)
            loop.forecast(1)
        with stages.of("store the plan"):
            facts = runner.provenance(1)
            number = store.begin(asked.suite.config(), asked.rows(), facts, recovery.declared())
        with stages.of("hand out, take, store all cells"):
            runs = Runs(store, number, facts)
            loop.run(1, runs, None)
            runs.end({"seconds": loop.ledger.measured.summary()})
        del loop
        with stages.of("once more: nothing is missing"):
            again: Loop = runner._loop(asked, store)
            assert again.forecast(1).cells == 0
        del again, asked
        with stages.of("read all results"):
            results = store.results()
        with stages.of("table of the cells"):
            counts = results.cells["status"].value_counts()
        assert counts["done"] == planned
    print(f"\n{planned:,} cells; {path.stat().st_size / planned:,.0f} bytes of the store a cell")
    if file is not None:
        write(file, planned, stages.rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--scheduler")
    parser.add_argument("--csv", type=Path, help="file that receives the table, too (without a scheduler)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        out = given.out or Path(place)
        if given.scheduler:
            on_cluster(given.cells, out, given.scheduler)
        else:
            main(given.cells, out, given.csv)
