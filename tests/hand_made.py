"""Runs of a small suite, or of a part of it, made by hand: as many data seeds and methods as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tests import stores
from xai_bench.results.records import CellResult, Costs, Measurement, PlanRow
from xai_bench.results.store import Store

METHODS = ("saliency", "lrp", "f_test")
DATASETS, MODELS = ("toy", "other"), ("net", "plain")
RECORD = {
    "device": "cpu", "python": "3.11.7", "system": "Linux x86_64", "cores": 2, "processor": "One",
    "versions": {"xai-bench": "0.3.0", "torch": "2.5.0"},
}  # fmt: skip
Change = Callable[[PlanRow, CellResult], CellResult]


def suite(
    seeds: Sequence[int] = (0, 1), methods: Sequence[str] = METHODS, datasets: Sequence[str] = DATASETS, **changed: Any
) -> dict[str, Any]:
    """The suite of those data seeds, methods and datasets, as its ``config``."""
    settings: dict[str, Any] = {
        "name": "hand", "title": "", "data_seeds": list(seeds), "model_seeds": [0], "folds": 0, "crossed": True,
        "limits": {"seconds": None, "memory": None}, "retention": None, "calibration": None,
    }  # fmt: skip
    axes = {"datasets": datasets, "models": MODELS, "explainers": methods}
    entries = {axis: [{"label": name, "name": name, "version": 1, "fields": {"n": 9}} for name in names]
               for axis, names in axes.items()}  # fmt: skip
    return settings | entries | changed


def plan(of: Mapping[str, Any]) -> list[PlanRow]:
    """The plan of a suite, in its order."""
    names = [entry["label"] for entry in of["explainers"]]
    rows = []
    for dataset in (entry["label"] for entry in of["datasets"]):
        for seed in of["data_seeds"]:
            for model in ("", *(entry["label"] for entry in of["models"])):
                own = [name for name in names if (name == "f_test") == (model == "")]
                for name in ["random", *own] if own else []:
                    key = f"{dataset}-{seed}-{model}-{name}"
                    network = f"{dataset}{seed}{model}" if model else ""
                    rows.append(PlanRow(key, f"{dataset}{seed}", network, dataset, model, name, seed, 0, -1))
    return rows


def cell(row: PlanRow, cost: float = 0.1) -> CellResult:
    """A result that depends on the key of the cell only, costs apart. ``cost``: CPU seconds."""
    rng = np.random.default_rng(list(row.cell.encode()))
    scores = [Measurement(name, float(rng.random())) for name in ("auroc", "contrast")]
    scores += [Measurement("retention_retrained", float(rng.random()), k) for k in (1, 3)]
    scores += [Measurement("retention_retrained_gain", float(rng.random())), Measurement("empty", None, 0, "no value")]
    costs = Costs(0.0, 0.0, cost, cost, None, 64, 32)
    return CellResult(row.cell, "done", "", costs, rng.random(stores.D), tuple(scores))


def build(
    path: Path, of: Mapping[str, Any] | None = None, change: Change | None = None, day: int = 1, cost: float = 0.1,
    **record: Any,
) -> Path:  # fmt: skip
    """Write a run of a suite as a store. ``change``: what becomes of each cell; ``record``: facts of the run."""
    of = of or suite()
    metrics = {"auroc": "1", "contrast": "1"}
    with Store(path) as store:
        number = store.begin(of, plan(of), RECORD | {"started": f"2026-01-{day:02}"} | record, stores.METRICS)
        for (key, model), rows in groupby(plan(of), lambda row: (row.draw, row.model_key)):
            block = list(rows)
            facts = {"metrics": metrics, "content_hash": key, "chance": dict.fromkeys(metrics, 0.5)}
            draw = stores.draw(block[0].dataset, block[0].data_seed, **facts)
            network = stores.network(model, train_cpu=cost) if model else None
            cells = [(row, cell(row, cost)) for row in block]
            store.add([change(*both) if change else both[1] for both in cells], number, draw, network)
            store.add_followup("retention", f"of {key}", "never", {row.cell: () for row in block}, "judge")
        store.add_judgements("judge", {"f0": (0.5, 0.1)})
    return path


def only(explainer: str, **facts: Any) -> Change:
    """A change of the cells of one method."""
    return lambda row, found: replace(found, **facts) if row.explainer == explainer else found
