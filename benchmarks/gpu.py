"""A CUDA device against the CPU beside it: checks first, then times, in one table. At most eight minutes on an H100.

    python benchmarks/gpu.py --out FOLDER                  # checks, training, explainers, a small suite
    python benchmarks/gpu.py --out FOLDER --device cpu     # the same on a machine without one: that it runs

Every row is printed, and added to ``FOLDER/gpu.csv``, when it is there; a part that takes longer than its seconds is
cut short, and says so. ``FOLDER/gpu.md`` is the table. Products are in full float32: TF32 is off, as in every run.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine import multiplications

from xai_bench import registry, run
from xai_bench.datasets.base import Dataset
from xai_bench.devices import described, resolve, synchronise
from xai_bench.models import stacked
from xai_bench.models.graph_engine import STEPS_BEFORE, GraphEngine
from xai_bench.models.losses import Tensors
from xai_bench.models.mlp import MLP
from xai_bench.models.stacked import advance, initial_networks, most_at_once, one_thread
from xai_bench.models.streams import Streams, Task, batch_rows
from xai_bench.models.torch_engine import TorchEngine
from xai_bench.running.block import problem_of
from xai_bench.running.process import warm_up, warm_up_training
from xai_bench.running.state import standardise

TESTS = ("tests/test_graph_engine.py", "tests/test_devices.py")
SECONDS = {"checks": 170.0, "training": 60.0, "explainers": 50.0, "suite": 150.0, "profile": 20.0}
"""Of every part, at the most."""
WIDE = {"hidden": (2048, 1024, 1024)}
SIZES: tuple[tuple[int, int, dict[str, Any], float], ...] = (
    (20, 128, {}, 10.0),
    (784, 128, {}, 100.0),
    (784, 1024, {}, 0.0),
    (784, 1024, WIDE, 0.0),
)
"""Inputs, rows of a batch, further fields of the network; how many times faster than the CPU 16 networks should be."""
SHARE_AIM = 0.4
"""Of the measured float32 limit, for the wide network."""
NETWORKS = 16
CPU_STACKS = {20: 8, 784: 2}
"""Networks side by side that a CPU trains fastest (``benchmarks/engine.py``)."""
EXPLAINERS = ("shap_gradient", "shap_permutation", "feature_ablation", "integrated_gradients", "saliency")
SUITE = "quick"


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, where, and beside what."""

    part: str
    what: str
    on: str
    value: float
    unit: str
    times_faster: float | None = None
    note: str = ""


class Table:
    """Rows that are printed and kept as they come."""

    def __init__(self, folder: Path) -> None:
        self.rows: list[Row] = []
        self.folder = folder
        self._path = folder / "gpu.csv"
        self._markdown = folder / "gpu.md"
        with self._path.open("w", newline="") as file:
            csv.writer(file).writerow(field.name for field in fields(Row))

    def add(self, *values: Any) -> None:
        """Keep a row, and print it."""
        row = Row(*values)
        self.rows.append(row)
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(astuple(row))
        faster = "" if row.times_faster is None else f"{row.times_faster:.2f} x"
        print(
            f"{row.part:10} {row.what:44} {row.on:28} {row.value:12.4g} {row.unit:14} {faster:10} {row.note}",
            flush=True,
        )
        self._markdown.write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """The table for people."""
        lines = ["| part | what | on | value | times faster | note |", "|---|---|---|---|---|---|"]
        for row in self.rows:
            faster = "" if row.times_faster is None else f"{row.times_faster:.2f}"
            lines.append(f"| {row.part} | {row.what} | {row.on} | {row.value:.4g} {row.unit} | {faster} | {row.note} |")
        return "\n".join(lines) + "\n"


@dataclass
class Budget:
    """Seconds of a part: what does not fit is left out, and said."""

    seconds: float
    began: float

    @property
    def left(self) -> float:
        return self.seconds - (time.perf_counter() - self.began)


@contextmanager
def part(table: Table, name: str) -> Iterator[Budget]:
    """A part of the measurement; what goes wrong in it is printed, and the next part goes on."""
    budget = Budget(SECONDS[name], time.perf_counter())
    try:
        yield budget
    except Exception as error:
        traceback.print_exc()
        table.add(name, "broke off", "", 0.0, "", None, f"{type(error).__name__}: {str(error).splitlines()[0][:80]}")
    table.add(name, "the whole part", "", time.perf_counter() - budget.began, "s")


def checks(table: Table, budget: Budget) -> None:
    """The tests that need a CUDA device, by pytest, in a process of their own."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-v", "-n", "0", "-p", "no:cacheprovider", "-m", "gpu", *TESTS]
    log, code = table.folder / "checks.txt", None
    with log.open("w") as file:
        try:
            code = subprocess.run(
                [*command, "--durations=5"], cwd=root, timeout=budget.left, stdout=file, stderr=file, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            table.add("checks", "pytest -m gpu", "", budget.seconds, "s", None, "STOPPED: no time")
    lines = log.read_text().strip().splitlines() or ["no output"]
    print("\n".join(line for line in lines if "PASSED" not in line)[-7000:], flush=True)
    if code is not None:
        table.add("checks", "pytest -m gpu", "", float(code), "exit code", None, lines[-1].strip("= "))


def limit(device: str) -> float:
    """What a large float32 matrix product reaches now, floating-point operations a second."""
    n = 8192 if device != "cpu" else 1024
    x, out = torch.randn(n, n, device=device), torch.empty(n, n, device=device)
    for _ in range(3):
        torch.mm(x, x, out=out)
    synchronise(device)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(x, x, out=out)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return float(2.0 * n**3 / np.median(seconds))


@contextmanager
def steps_of(engine: Callable[..., Any], data: Tensors, architecture: MLP, m: int) -> Iterator[Callable[[int], None]]:
    """A function that makes so many steps of m networks side by side; a graph is captured beforehand."""
    n, d = data.X_train.shape
    rows, columns = batch_rows(architecture, n), [tuple(range(d))] * m
    streams = [Streams(Task(seed, columns[0]), n, rows) for seed in range(m)]
    with one_thread(data.device), torch.inference_mode():
        trained = engine(architecture, data, columns, streams, d, rows)
        for slot, module in enumerate(initial_networks(architecture, data, columns, streams)):
            trained.load(slot, module)
        stops = advance(trained, architecture, streams, range(1, 10**6), 10**6, data.device)

        def make(steps: int) -> None:
            for _ in range(steps):
                next(stops)

        make(STEPS_BEFORE + 2)
        yield make


def step_seconds(engine: Callable[..., Any], data: Tensors, architecture: MLP, m: int, most: float) -> float:
    """Wall seconds of a step of m networks side by side: the median of three stretches, of ``most`` seconds in all."""
    with steps_of(engine, data, architecture, m) as make:
        steps, seconds = 4, []
        while len(seconds) < 4:
            synchronise(data.device)
            start = time.perf_counter()
            make(steps)
            synchronise(data.device)
            seconds.append((time.perf_counter() - start) / steps)
            if len(seconds) == 1:  # how many steps a stretch has; the first one is not counted
                steps = max(int(most / 3 / max(seconds[0], 1e-9)), 1)
    return float(np.median(seconds[1:]))


def training(table: Table, budget: Budget, device: str) -> None:
    """Seconds a network and step: the compiled engine on a CPU thread, torch's stack and the graph on the device."""
    limits = limit(device)
    table.add("training", "large float32 product", device, limits / 1e12, "TFLOP/s", None, "TF32 off")
    for d, rows, further, aim in SIZES:
        architecture = MLP(batch_size=rows, **further)
        data = registry.create("datasets", "xor", {"n": 5000, "d": d}).load(0).standardised()
        what = f"d {d}, batch {rows}" + (f", {'-'.join(map(str, architecture.hidden))}" if further else "")
        flops = multiplications(architecture, d, data.n_outputs, rows)
        here = there = Tensors(data, torch.float32, torch.device("cpu"))
        together = 1 if further else CPU_STACKS[d]
        cpu = step_seconds(stacked.Engine, here, architecture, together, 1.5) / together
        table.add(
            "training",
            what,
            f"CPU, one thread, {together}",
            1e6 * cpu,
            "us a step",
            None,
            f"{flops / cpu / 1e9:.0f} GFLOP/s",
        )
        there = Tensors(data, torch.float32, torch.device(device))
        most = most_at_once(architecture, there, None, d, rows, False)
        stacks = sorted({NETWORKS, min(64, most), most}) if not further else sorted({2, min(8, most), min(16, most)})
        runs = [(TorchEngine, stacks[0]), *((GraphEngine, m) for m in [1, *stacks])]
        for engine, m in runs:
            if budget.left < 5:
                table.add("training", what, f"{engine.__name__}, {m}", 0.0, "", None, "left out: no time")
                continue
            try:
                seconds = step_seconds(engine, there, architecture, m, 1.0) / m
            except torch.OutOfMemoryError:
                table.add("training", what, f"{engine.__name__}, {m}", 0.0, "", None, "out of memory")
                continue
            share = flops / seconds / limits
            note = f"{flops / seconds / 1e12:.2f} TFLOP/s, {100 * share:.0f} % of the limit"
            if m >= NETWORKS and aim and engine is GraphEngine:
                note += f"; aim {aim:g} x: {'met' if cpu / seconds >= aim else 'MISSED'}"
            if further and m == stacks[-1]:
                note += f"; aim {100 * SHARE_AIM:.0f} %: {'met' if share >= SHARE_AIM else 'MISSED'}"
            table.add("training", what, f"{engine.__name__}, {m}", 1e6 * seconds, "us a step", cpu / seconds, note)
            if device != "cpu":
                torch.cuda.empty_cache()


def explained(name: str, data: Dataset, device: str) -> float:
    """Wall seconds of an explanation of a network with the default widths: the less of two, after one to warm up."""
    explainer = registry.create("explainers", name, {"rows": 8} if data.d > 100 and name == "shap_permutation" else {})
    module = MLP().network((data.d,), data.n_outputs, torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    module.to(device)
    warm_up(explainer, device)
    seconds = []
    for turn in range(3):
        problem = replace(problem_of(data, module, device), generator=np.random.default_rng(0))
        synchronise(device)
        start = time.perf_counter()
        explainer.explain(problem)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
        if turn == 0 and seconds[0] > 10:
            return seconds[0]
    return min(seconds[1:])


def explainers(table: Table, budget: Budget, device: str) -> None:
    """Whole explanations at the defaults (shap_permutation: of 8 rows at 784 inputs)."""
    for d in (20, 784):
        data = registry.create("datasets", "xor", {"n": 3000, "d": d}).load(0).standardised()
        for name in EXPLAINERS:
            if budget.left < 10:
                table.add("explainers", f"{name}, d {d}", "", 0.0, "", None, "left out: no time")
                continue
            there, here = (explained(name, data, where) for where in (device, "cpu"))
            table.add("explainers", f"{name}, d {d}", "CPU, one thread", here, "s")
            table.add("explainers", f"{name}, d {d}", device, there, "s", here / there)


def profile(table: Table, budget: Budget, device: str) -> None:
    """What the device does in a step: kernels, and how long they are at work."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorded

    with (table.folder / "profile.txt").open("w") as file:
        for (d, rows, further, _), m in ((SIZES[0], NETWORKS), (SIZES[1], NETWORKS), (SIZES[1], stacked.DEVICE_CHUNK)):
            architecture = MLP(batch_size=rows, **further)
            data = registry.create("datasets", "xor", {"n": 5000, "d": d}).load(0).standardised()
            tensors = Tensors(data, torch.float32, torch.device(device))
            with steps_of(GraphEngine, tensors, architecture, m) as make:
                make(20)
                with recorded(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as found:
                    make(32)
                    synchronise(device)
            kernels = [event for event in found.events() if event.device_type == torch.autograd.DeviceType.CUDA]
            busy = sum(event.time_range.elapsed_us() for event in kernels) / 32
            what = f"d {d}, batch {rows}, {m} networks at once"
            table.add("profile", what, device, busy, "us a step", None, f"{len(kernels) / 32:.0f} kernels")
            averages = found.key_averages().table(sort_by="self_device_time_total", row_limit=40)
            file.write(f"{what}\n{averages}\n")
            if budget.left < 0:
                break


def suite(table: Table, budget: Budget, device: str) -> None:
    """One draw of every dataset of a suite, by one process: wall seconds, the warm-up of training apart."""
    taken: dict[str, float] = {}
    what = f"{SUITE}, one draw"
    with tempfile.TemporaryDirectory() as folder:
        for where in ("cpu", device):
            if taken and budget.left < taken["cpu"]:
                table.add("suite", what, where, 0.0, "s", None, "left out: no time")
                continue
            warm_up_training(where)
            start = time.perf_counter()
            results = run(SUITE, data_seeds=1, out=Path(folder) / ("cpu" if where == "cpu" else "cuda"), device=where)
            synchronise(where)
            taken.setdefault(where, time.perf_counter() - start)
            states = ", ".join(f"{n} {state}" for state, n in results.cells["status"].value_counts().items())
            faster = None if where == "cpu" else taken["cpu"] / taken[where]
            table.add("suite", what, where, taken[where], "s", faster, states)
            networks = results.cells[results.cells["model"] != ""].drop_duplicates(["dataset", "model"])
            mean = float(networks["train_wall"].astype(float).mean())
            table.add("suite", "training alone, mean", where, mean, "s a network", None, f"{len(networks)} networks")


def main() -> None:
    """Check, measure, print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True, help="folder for gpu.csv and gpu.md")
    arguments.add_argument("--device", default="auto", help="cpu, cuda or auto")
    arguments.add_argument("--parts", default=",".join(SECONDS), help=f"some of {', '.join(SECONDS)}")
    arguments.add_argument("--seconds", type=float, help="of every part, instead of its own")
    chosen = arguments.parse_args()
    if chosen.seconds is not None:
        SECONDS.update(dict.fromkeys(SECONDS, chosen.seconds))
    chosen.out.mkdir(parents=True, exist_ok=True)
    device, table = resolve(chosen.device), Table(chosen.out)
    standardise()
    table.add("machine", described(device), f"torch {torch.__version__}", float(os.cpu_count() or 0), "processors")
    measures: dict[str, Callable[[Table, Budget], None]] = {
        "checks": checks,
        "training": lambda table, budget: training(table, budget, device),
        "explainers": lambda table, budget: explainers(table, budget, device),
        "suite": lambda table, budget: suite(table, budget, device),
        "profile": lambda table, budget: profile(table, budget, device),
    }
    for name in chosen.parts.split(","):
        with part(table, name) as budget:
            if name == "checks" and device == "cpu":
                table.add(name, "pytest -m gpu", "cpu", 0.0, "", None, "left out: no CUDA device")
                continue
            measures[name](table, budget)
    print("\n" + table.markdown())


if __name__ == "__main__":
    main()
