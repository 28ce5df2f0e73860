"""How often the sparse path finds exactly the true inputs, by validation alone, with both forms of its penalty.

Data seeds 0 to 9. All inputs, the true and the chosen ones are trained with the same settings and scored on test
rows. Pictures have no known truth: there the number of pixels counts, and what the network of the path itself,
exact zeros and no refit, reaches. Every run is kept in ``reports/sparse/runs.jsonl``; one that is there with the same
settings is not repeated.

    python benchmarks/sparse_supports.py             # all cases, then the report
    python benchmarks/sparse_supports.py xor mnist   # some
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import sparse_report
import torch

from xai_bench import registry
from xai_bench.component import canonical_json
from xai_bench.datasets.base import Dataset
from xai_bench.models.path import Form, Rows, SparseSettings, tuned
from xai_bench.models.sparse import JudgedPath, judged_path, refitted, walked
from xai_bench.models.training import score

SEEDS = range(10)
PROCESSES = 2
RUNS = Path(__file__).parents[1] / "reports" / "sparse" / "runs.jsonl"


class Case(NamedTuple):
    """A dataset, and the tolerances with which one path is read."""

    dataset: str
    fields: dict[str, int]
    tolerances: tuple[float, ...] = (0.0,)


CASES = {
    "xor": Case("xor", {"n": 1000, "d": 20}),
    "orange_skin": Case("orange_skin", {"n": 4000, "d": 20}),
    "nonlinear_additive": Case("nonlinear_additive", {"n": 4000, "d": 20}),
    "friedman1": Case("friedman1", {"n": 2000, "d": 50}),
    "gaussian_correlated": Case("gaussian_correlated", {"n": 4000}),
    "null": Case("null", {"n": 2000, "d": 20}),
    "linear_sparse": Case("linear_sparse", {"n": 2000, "d": 1000}),
    "mnist_01": Case("mnist_01", {}, (0.0, 0.01)),
    "mnist": Case("mnist", {}, (0.0, 0.01)),
}


def one(name: str, form: Form, seed: int) -> list[dict[str, Any]]:
    """One path on one draw: a record for every tolerance."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    case = CASES[name]
    data = registry.create("datasets", case.dataset, case.fields).load(seed).standardised()
    settings = tuned(form)
    path = judged_path(Rows.of(data), settings, seed)
    everything = refitted(data, np.ones(data.d, dtype=bool), settings, seed).test_score
    truth = data.truth.relevant if data.truth else None
    true = refitted(data, truth, settings, seed).test_score if truth is not None and truth.any() else None
    known = {
        "case": name,
        "form": form,
        "seed": seed,
        "settings": canonical_json(settings.fields()),
        "n": len(data.X_train) + len(data.X_valid) + len(data.X_test),
        "d": data.d,
        "relevant": None if truth is None else np.flatnonzero(data.canonical(truth)).tolist(),
        "strengths": [float(f"{strength:.6g}") for strength in path.strengths if np.isfinite(strength)],
        "sizes": path.supports.sum(2).mean(1).round(2).tolist(),
        "losses": path.losses.mean(1).round(6).tolist(),
        "walk_cpu": round(path.walk_cpu, 2),
        "refit_cpu": round(path.refit_cpu, 2),
    }
    chosen = [choice(data, path, settings.model_copy(update={"tolerance": t}), seed) for t in case.tolerances]
    return [{**known, **record, "scores": {"all": everything, "true": true, **record["scores"]}} for record in chosen]


def choice(data: Dataset, path: JudgedPath, settings: SparseSettings, seed: int) -> dict[str, Any]:
    """What one tolerance chooses from a path, refitted; of pictures also the network of the path, not refitted."""
    chosen = path.choose(settings)
    record: dict[str, Any] = {
        "tolerance": settings.tolerance,
        "level": chosen.level,
        "support": np.flatnonzero(data.canonical(chosen.support)).tolist(),
        "scores": {"chosen": refitted(data, chosen.support, settings, seed).test_score},
    }
    if data.feature_shape is not None and np.isfinite(chosen.strength):
        module, support = walked(path.strengths[: chosen.level + 1], Rows.of(data), settings, seed)
        with torch.no_grad():
            outputs = module(torch.from_numpy(data.X_test))
        record["scores"]["unrefitted"] = score(outputs, torch.from_numpy(data.y_test), data.kind)
        record["unrefitted_inputs"] = int(support.sum())
    return record


def done() -> Iterator[tuple[str, Form, int]]:
    """The runs that are kept and have today's settings."""
    current = {form: canonical_json(tuned(form).fields()) for form in get_args(Form)}
    for line in RUNS.read_text().splitlines() if RUNS.exists() else []:
        record = json.loads(line)
        if record["settings"] == current[record["form"]]:
            yield record["case"], record["form"], record["seed"]


def main(names: list[str]) -> None:
    """Run what is missing, case by case, the two forms in turn; then write the report."""
    kept = set(done())
    missing = [
        (name, form, seed)
        for name, seed, form in product(names, SEEDS, get_args(Form))
        if (name, form, seed) not in kept
    ]
    # A thread pool of torch does not survive a fork.
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(one, *run): run for run in missing}
        for job in as_completed(jobs):
            with RUNS.open("a") as file:
                file.writelines(json.dumps(record) + "\n" for record in job.result())
            print(*jobs[job], file=sys.stderr, flush=True)
    sparse_report.write(RUNS)


if __name__ == "__main__":
    main(sys.argv[1:] or list(CASES))
