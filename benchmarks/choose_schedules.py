"""The grid of training schedules that the defaults of the networks come from; ``schedules_report`` reads it.

Everything is fixed beforehand, in ``schedules_grid``: networks, penalties, learning rates, lengths, datasets, data
seeds >= 1000 that no reported figure uses. For every point two trainings on the inputs as they are give the validation
loss and how well the trainings agree, and one with a row-permuted copy beside every input the share of the relevance
on the copies (.50 tells nothing). A picture has no copies. All of it once with the score of the first layer and once
with saliency. The truth is scored beside it and never used for the choice.

    python benchmarks/choose_schedules.py small medium     # what is missing; Ctrl-C stops, the same command goes on
    python benchmarks/schedules_report.py                  # the choice, and reports/schedules/summary.md
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from schedules_choice import SCORES
from schedules_grid import LONG_PENALTIES, LOOKS, SIZES, Case, Network, Size
from torch import nn

from xai_bench import registry
from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.models.mlp import MLPFamily
from xai_bench.models.snapshots import Snapshot, snapshots
from xai_bench.models.spectral import SpectralLinear
from xai_bench.scoring.settling import with_copies
from xai_bench.statistics import rank_correlations

RAW = Path(__file__).parent.parent / "runs" / "schedules" / "points.csv"
KEY = ("size", "dataset", "data_seed", "network", "penalty", "rate", "kept", "epochs")
MEASURED = ("steps", "cpu", "loss", *(f"{m}_{s}" for s in SCORES for m in ("share", "rank", "top", "auroc", "somers")))
UNIT = ("dataset", "data_seed", "network", "penalty", "rate", "trained")
"""What one group of trainings is done under; ``trained``: the epochs of the longest of them."""
SEEDS = (0, 1)
"""Of the trainings on the inputs as they are; the one beside copies has the first."""
ROWS = 256
"""Validation rows that saliency is taken over at the most, as in the suites."""
Vector = NDArray[np.float64]
Relevances = dict[str, Vector]


@dataclass(frozen=True)
class Draw:
    """One draw of a dataset, as it is and with a copy beside every input (None for pictures)."""

    as_is: Dataset
    with_copies: Dataset | None

    @property
    def varies(self) -> NDArray[np.bool_]:
        """(d,) the columns that are not constant on the training rows."""
        return np.ptp(self.as_is.X_train, axis=0) > 0


def draw_of(case: Case, data_seed: int) -> Draw:
    """Standardised."""
    data = registry.create("datasets", case.name, case.fields).load(data_seed).standardised()
    return Draw(data, None if case.picture else with_copies(data, stream_seed("copies", data_seed)))


def relevances(module: nn.Module, data: Dataset) -> Relevances:
    """Score to (d,): that of the first layer, and saliency, the mean absolute gradient of the true class or the output.

    Constant columns have 0. At most ``ROWS`` validation rows are explained.
    """
    first = next(module.children())
    assert isinstance(first, SpectralLinear | nn.Linear)
    own = first.relevance() if isinstance(first, SpectralLinear) else first.weight.norm(dim=0)
    X = torch.from_numpy(data.X_valid[:ROWS]).requires_grad_(True)
    outputs = module(X)
    target = torch.from_numpy(data.y_valid[:ROWS]) if data.kind == "classification" else torch.zeros(len(X)).long()
    (gradient,) = torch.autograd.grad(outputs.gather(1, target[:, None]).sum(), X)
    varies = np.ptp(data.X_train, axis=0) > 0
    values = (own, gradient.abs().mean(0, dtype=torch.float64))
    return {s: np.where(varies, v.double().numpy(), 0.0) for s, v in zip(SCORES, values, strict=True)}


def top_agreement(one: Vector, other: Vector) -> float:
    """The share of the quarter of the inputs that one training ranks highest which the other ranks there too."""
    k = max(1, round(len(one) / 4))
    return len({*np.argsort(-one, kind="stable")[:k]} & {*np.argsort(-other, kind="stable")[:k]}) / k


def signs(draw: Draw, modules: Sequence[nn.Module], copies: nn.Module | None) -> dict[str, float | None]:
    """The truth-free signs of settling, and the truth beside them, with both scores."""
    found: dict[str, float | None] = {}
    each = [relevances(module, draw.as_is) for module in modules]
    beside = None if copies is None or draw.with_copies is None else relevances(copies, draw.with_copies)
    truth = draw.as_is.truth_over_inputs
    for score in SCORES:
        vectors = [one[score] for one in each]
        varying = [vector[draw.varies] for vector in vectors]
        found[f"rank_{score}"] = float(rank_correlations(np.array(varying))[0, 1])
        found[f"top_{score}"] = top_agreement(*varying)
        if beside is not None:
            found[f"share_{score}"] = float(beside[score][draw.as_is.d :].sum() / beside[score].sum())
        for metric, name in (("auroc", "auroc"), ("somers", "somers_d")):
            if truth is not None:
                scored = registry.get("metrics", name)
                values = [scored(draw.as_is.canonical_over_inputs(vector), truth) for vector in vectors]
                found[f"{metric}_{score}"] = None if None in values else float(np.mean(values))
    return found


def looks(steps: int) -> set[int]:
    """Numbers of steps at which a training of ``steps`` steps may keep its weights, the last one included."""
    count = min(LOOKS, steps)
    return {round(steps * (i + 1) / count) for i in range(count)}


def rows_of(draw: Draw, architecture: MLPFamily, lengths: dict[float, int]) -> Iterator[dict[str, Any]]:
    """Rows of one training, or of the trainings of several lengths (epochs to steps) that it gives."""
    at = set().union(*map(looks, lengths.values()))
    trained = list(snapshots(architecture, draw.as_is, SEEDS, at))
    beside = None
    if draw.with_copies is not None:
        beside = [one for (one,) in snapshots(architecture, draw.with_copies, SEEDS[:1], at)]
    for epochs, steps in lengths.items():
        for kept in ("last", "best"):
            wanted = {steps} if kept == "last" else looks(steps)
            chosen = [best([row[i] for row in trained], wanted) for i in range(len(SEEDS))]
            copies = None if beside is None else best(beside, wanted).network()
            last = next(row for row in trained if row[0].steps == steps)
            yield {
                "kept": kept,
                "epochs": epochs,
                "steps": steps,
                "cpu": last[0].cpu,
                "loss": float(np.mean([one.valid_loss for one in chosen])),
                **signs(draw, [one.network() for one in chosen], copies),
            }


def best(training: Sequence[Snapshot], wanted: set[int]) -> Snapshot:
    """The snapshot with the lowest validation loss, of those after so many steps."""
    return min((one for one in training if one.steps in wanted), key=lambda one: one.valid_loss)


def units(size: Size, case: Case, network: Network, data_seed: int) -> Iterator[tuple[str, tuple[float, ...]]]:
    """(learning rate's schedule, epochs) of every group of trainings: all constant ones are looks at one."""
    lengths = size.epochs
    if data_seed in size.long_seeds and network.penalty in LONG_PENALTIES:
        lengths = (*lengths, *size.long)
    yield "constant", lengths
    for epochs in size.cosine:
        yield "cosine", (epochs,)


def done() -> set[tuple[str, ...]]:
    """The groups of trainings that stand in the file."""
    if not RAW.exists():
        RAW.parent.mkdir(parents=True, exist_ok=True)
        RAW.write_text(",".join((*KEY, *MEASURED, "trained", "version")) + "\n")
    with RAW.open() as file:
        return {tuple(row[name] for name in UNIT) for row in csv.DictReader(file)}


def measure(size_name: str, data_seeds: Sequence[int]) -> None:
    """Measure what is missing, one data seed after the other, and append it."""
    size, known = SIZES[size_name], done()
    for data_seed in data_seeds:
        for case in size.cases:
            draw: Draw | None = None
            for network in case.networks:
                for rate, epochs in units(size, case, network, data_seed):
                    key = (case.label, str(data_seed), network.label, f"{network.penalty:g}", rate, f"{max(epochs):g}")
                    if key in known:
                        continue
                    draw = draw or draw_of(case, data_seed)
                    architecture = network.architecture.model_copy(update={"schedule": rate})
                    n = len(draw.as_is.X_train)
                    lengths = {e: architecture.model_copy(update={"epochs": e}).steps(n) for e in epochs}
                    named = dict(zip(UNIT, key, strict=True)) | {"size": size_name, "version": version("xai-bench")}
                    append([named | row for row in rows_of(draw, architecture, lengths)])


def append(rows: Sequence[dict[str, Any]]) -> None:
    """Write rows in one go, the columns that the file has; numbers with five digits."""

    def text(value: Any) -> str:
        return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)

    with RAW.open() as file:
        names = next(csv.reader(file))
    with RAW.open("a") as file:
        file.write("".join(",".join(text(row.get(name)) for name in names) + "\n" for row in rows))


def main(names: Sequence[str]) -> None:
    """Measure these sizes of table, seed by seed, so that what is there at any time is balanced."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for data_seed in sorted({seed for name in names for seed in SIZES[name].data_seeds}):
        for name in names:
            if data_seed in SIZES[name].data_seeds:
                measure(name, [data_seed])
                print(f"{name} {data_seed} done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SIZES))
