"""A small store by hand, without a run: two datasets, two data seeds, two networks, five methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xai_bench.results.records import (
    CellResult,
    Costs,
    DrawFacts,
    DrawRecord,
    Measurement,
    MetricFacts,
    ModelFacts,
    ModelRecord,
    PlanRow,
)
from xai_bench.results.store import Store

SUITE = {"name": "hand", "data_seeds": [0, 1], "model_seeds": [0], "folds": 0, "retention": None}
EXPLAINERS = {"net": ("random", "saliency"), "plain": ("random", "saliency", "lrp"), "": ("random", "f_test")}
METRICS = (MetricFacts("auroc", "AUROC", 0.0, 1.0), MetricFacts("contrast", "Contrast", 0.0, 1.0, "values"))
D = 6


def draw(dataset: str = "toy", seed: int = 0, **facts: Any) -> DrawRecord:
    known: dict[str, Any] = {
        "kind": "classification",
        "d": D,
        "n_outputs": 2,
        "n_train": 64,
        "n_valid": 16,
        "n_test": 20,
    }
    known |= {"feature_names": tuple(f"x{j}" for j in range(D)), "roles": ("relevant",) * 2 + ("noise",) * 4}
    return DrawRecord(f"{dataset}{seed}", DrawFacts(dataset=dataset, **(known | facts)))


def network(key: str, **facts: Any) -> ModelRecord:
    known: dict[str, Any] = {"kind": "classification", "train_score": 0.9, "valid_score": 0.8, "test_score": 0.7}
    known |= {"chance": 0.5, "p_value": 1e-9, "learned": True, "train_cpu": 1.0, "train_wall": 1.5}
    return ModelRecord(key, ModelFacts(**(known | facts)), b"weights of " + key.encode())


def cell(key: str, relevance: Any = None, **facts: Any) -> CellResult:
    rng = np.random.default_rng(len(key))
    scores = tuple(Measurement(name, float(rng.random())) for name in ("auroc", "contrast"))
    vector = rng.random(D) if relevance is None else relevance
    known: dict[str, Any] = {
        "costs": Costs(0.1, 0.2, 0.3, 0.4, None, 64, 32),
        "relevance": vector,
        "measurements": scores,
    }
    return CellResult(key, "done", **(known | facts))


def rows() -> list[PlanRow]:
    """The plan, in its order."""
    return [
        PlanRow(f"{dataset}-{seed}-{model}-{name}", f"{dataset}{seed}", f"{dataset}{seed}{model}" if model else "",
                dataset, model, name, seed, 0, -1)
        for dataset in ("toy", "other") for seed in (0, 1) for model, names in EXPLAINERS.items() for name in names
    ]  # fmt: skip


def build(path: Path, *, backwards: bool = False) -> Path:
    """Write that store; ``backwards``: its blocks in the opposite order. Returns ``path``."""
    with Store(path) as store:
        number = store.begin(SUITE, rows(), {"started": "2026-01-01T00:00:00+00:00", "device": "cpu"}, METRICS)
        for row in reversed(rows()) if backwards else rows():
            model = network(row.model_key) if row.model else None
            store.add([cell(row.cell)], number, draw(row.dataset, row.data_seed), model)
        for dataset in ("toy", "other"):
            cells = [row.cell for row in rows() if row.draw == f"{dataset}0"]
            gain = (Measurement("retention_retrained_gain", 0.5), Measurement("retention_retrained", 0.25, 3))
            judge = f"judge of {dataset}"
            store.add_judgements(judge, {"f0": (0.5, 0.1)})
            store.add_followup("retention", f"retention of {dataset}", "retention_", dict.fromkeys(cells, gain), judge)
    return path


def counts(path: Path) -> dict[str, int]:
    """Table to its number of rows, by SQLite alone."""
    import sqlite3

    db = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    db.close()
    return found
