"""How often the sparse path finds exactly the true inputs, by validation alone: data seeds 0 to 9.

All inputs, the true inputs and the chosen ones are trained with the same settings and scored on test rows.

    python benchmarks/sparse_supports.py > reports/sparse/summary.md
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch

from xai_bench import registry
from xai_bench.models.sparse import SparseSettings, sparse_path
from xai_bench.models.training import fit_many

SEEDS = range(10)
CASES = {
    "xor": {"n": 1000, "d": 20},
    "orange_skin": {"n": 4000, "d": 20},
    "nonlinear_additive": {"n": 4000, "d": 20},
    "friedman1": {"n": 2000, "d": 50},
    "gaussian_correlated": {"n": 4000},
    "null": {"n": 2000, "d": 20},
    "linear_sparse": {"n": 2000, "d": 1000},
}


def one(case: str, seed: int) -> dict[str, float]:
    """The support found on one draw against the true one."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = registry.create("datasets", case, CASES[case]).load(seed).standardised()
    start = time.process_time()
    path = sparse_path(data, SparseSettings(), seed)
    cpu = time.process_time() - start
    truth, found = data.truth.relevant, path.support
    refit = SparseSettings().refit()
    scores = {"all": fit_many(refit, data, [seed], chunk=1)[0].test_score, "chosen": path.model.test_score}
    if truth.any():
        scores["true"] = fit_many(refit, data, [seed], truth[None], chunk=1)[0].test_score
    wrong = {"false": int((found & ~truth).sum()), "missed": int((truth & ~found).sum())}
    return {"exact": float((found == truth).all()), **wrong, **scores, "cpu": cpu}


def main(cases: list[str]) -> None:
    """Print one line a case."""
    print("# Exact supports\n")
    print("The sparse path at its defaults; the strength is chosen by validation only. Data seeds 0 to 9.\n")
    print("| data | exact of 10 | false inputs | missed inputs | score: all / true / chosen inputs | CPU seconds |")
    print("|---|---:|---:|---:|---:|---:|")
    with ProcessPoolExecutor(2) as pool:
        for case in cases:
            rows = list(pool.map(partial(one, case), SEEDS))
            total = {key: sum(row[key] for row in rows) for key in ("exact", "false", "missed")}
            score = [np.mean([row[k] for row in rows]) if k in rows[0] else np.nan for k in ("all", "true", "chosen")]
            words = " / ".join("–" if np.isnan(value) else f"{value:.3f}" for value in score)
            fields = ", ".join(f"{key} = {value}" for key, value in CASES[case].items())
            cpu = np.median([row["cpu"] for row in rows])
            counts = f"{total['exact']:.0f} | {total['false']:.0f} | {total['missed']:.0f}"
            print(f"| `{case}` ({fields}) | {counts} | {words} | {cpu:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(CASES))
