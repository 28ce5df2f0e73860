"""Whether ``sparsity="auto"`` costs score: the estimators with all inputs and with chosen ones, on ten tables.

Tables of 10 to 64 columns that scikit-learn brings along: four with their own target, six with a simulated one on the
same inputs, whose correlations stay (``datasets.simulated``). Default estimators, the same split for both. Asked for:
the mean difference of the test scores is not more than one standard error below 0 on nine of ten. Every pair of fits is
a line of ``benchmarks/scores/sparse_tables.csv``; one that is there is not repeated, so this can be stopped.

    python benchmarks/sparse_tables.py             # what is missing, one split after the other; then the table
"""

from __future__ import annotations

import csv
import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pages import Table
from sklearn import datasets
from sklearn.model_selection import train_test_split

from xai_bench import SpectralMLPClassifier, SpectralMLPRegressor
from xai_bench.datasets.base import Kind
from xai_bench.datasets.simulated import Simulated

SCORES = Path(__file__).parent / "scores"
RUNS, SUMMARY = SCORES / "sparse_tables.csv", SCORES / "sparse_tables.md"
SPLITS = range(5)
ASKED = 9


class Rule(NamedTuple):
    """A simulated target: how many inputs act at a time, and of what kind it is."""

    order: int
    kind: Kind


TABLES: dict[str, tuple[str, Rule | None]] = {
    "diabetes": ("diabetes", None),
    "wine": ("wine", None),
    "breast_cancer": ("breast_cancer", None),
    "diabetes, single effects": ("diabetes", Rule(1, "regression")),
    "wine, pairs": ("wine", Rule(2, "classification")),
    "breast_cancer, single effects": ("breast_cancer", Rule(1, "regression")),
    "breast_cancer, classes": ("breast_cancer", Rule(1, "classification")),
    "breast_cancer, pairs": ("breast_cancer", Rule(2, "regression")),
    "digits": ("digits", None),
    "digits, single effects": ("digits", Rule(1, "regression")),
}


class Split(NamedTuple):
    """Rows to fit on, and rows to score."""

    kind: Kind
    X: NDArray
    y: NDArray
    X_test: NDArray
    y_test: NDArray


def split(name: str, seed: int) -> Split:
    """A fifth of the rows is held out; a simulated target has fresh noise for each seed."""
    source, rule = TABLES[name]
    bunch = getattr(datasets, f"load_{source}")()
    if rule is None:
        kind: Kind = "regression" if source == "diabetes" else "classification"
        stratify = bunch.target if kind == "classification" else None
        X, X_test, y, y_test = train_test_split(
            bunch.data, bunch.target, test_size=0.2, random_state=seed, stratify=stratify
        )
        return Split(kind, X, y, X_test, y_test)
    frame = pd.DataFrame(bunch.data, columns=[f"x{j}" for j in range(bunch.data.shape[1])])
    single = tuple((j,) for j in range(frame.shape[1]))
    data = Simulated(path=frame, inputs=single, order=rule.order, kind=rule.kind).load(seed)
    X, y = np.concatenate([data.X_train, data.X_valid]), np.concatenate([data.y_train, data.y_valid])
    return Split(rule.kind, X, y, data.X_test, data.y_test)


def one(name: str, seed: int) -> dict[str, Any]:
    """Both fits on one split."""
    part = split(name, seed)
    estimator: Any = SpectralMLPClassifier if part.kind == "classification" else SpectralMLPRegressor
    record: dict[str, Any] = {"table": name, "split": seed, "rows": len(part.X), "columns": part.X.shape[1]}
    for label, sparsity in (("dense", None), ("auto", "auto")):
        started = time.process_time()
        model = estimator(sparsity=sparsity, random_state=seed).fit(part.X, part.y)
        record[f"{label}_score"] = round(float(model.score(part.X_test, part.y_test)), 6)
        record[f"{label}_cpu"] = round(time.process_time() - started, 2)
        record["kept"] = int(model.support_.sum())
    return record


def summary(runs: pd.DataFrame) -> str:
    """One row a table, and a sentence whether the aim is met."""
    rows, held = [], 0
    for name, group in runs.groupby("table", sort=False):
        gap = group["auto_score"] - group["dense_score"]
        error = gap.std(ddof=1) / math.sqrt(len(gap)) if len(gap) > 1 else math.nan
        held += (fine := gap.mean() >= -error)
        rows.append([
            str(name), f"{group['rows'].iloc[0]}, {group['columns'].iloc[0]}", f"{len(group)}",
            f"{group['kept'].mean():.1f}", f"{group['dense_score'].mean():.3f}", f"{group['auto_score'].mean():.3f}",
            f"{gap.mean():+.4f}", f"{error:.4f}", "no" if fine else "yes",
            f"{group['dense_cpu'].median():.1f}, {group['auto_cpu'].median():.1f}",
        ])  # fmt: skip
    head = ["Table", "Rows, columns", "Splits", "Columns kept", "Score: all", "Score: auto", "Difference",
            "Its standard error", "Below by more", "CPU seconds: all, auto"]  # fmt: skip
    met = "met" if held >= ASKED and len(rows) == len(TABLES) else "missed"
    return (
        '# `sparsity="auto"` against all inputs\n\n'
        f"On {held} of {len(rows)} tables the score with the chosen inputs is not below that with all inputs by more "
        f"than one standard error of the difference over splits; asked for: {ASKED} of {len(TABLES)}: {met}. Scores "
        "are accuracy or R2 on the rows held out; splits of one table share rows. `python benchmarks/sparse_tables.py` "
        f"writes this from `sparse_tables.csv`.\n\n{Table('', head, rows).markdown()}\n"
    )


def main() -> None:
    """Run what is missing, then write the table."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    kept = pd.read_csv(RUNS) if RUNS.exists() else pd.DataFrame({"table": [], "split": []})
    done = set(zip(kept["table"], kept["split"], strict=True))
    for seed in SPLITS:
        for name in TABLES:
            if (name, seed) in done:
                continue
            record, new = one(name, seed), not RUNS.exists()
            with RUNS.open("a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(record), lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerow(record)
            print(*record.values(), file=sys.stderr, flush=True)
    write()


def write() -> None:
    """The table from the kept runs."""
    runs = pd.read_csv(RUNS)
    runs["order"] = runs["table"].map({name: i for i, name in enumerate(TABLES)})
    SUMMARY.write_text(summary(runs.sort_values(["order", "split"])), encoding="utf-8")


if __name__ == "__main__":
    main()
