"""Why steps of the sparse path are larger than asked for: walks in several ways, without a look at the truth.

Data seeds from 1000 on, three sets, both forms. A step is larger if successive supports differ by more than one input,
and more than 5 % of them (mean over the networks of the folds). Of these steps it is counted how many lie between
strengths closer than 1 %, which more strengths would not mend; in how many the number of inputs falls that much (in
the others inputs come and go); and how many networks take part. Every walk is a line of ``reports/sparse/steps.csv``;
one that is there with the same settings is not repeated.

    python benchmarks/sparse_steps.py
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any

import numpy as np
import sparse_report
import torch
from sparse_supports import CASES, append, done

from xai_bench import registry
from xai_bench.component import canonical_json
from xai_bench.models.path import REFINED, STEADY, Form, Rows, SparseSettings, Walk, tuned
from xai_bench.models.sparse import fold_numbers

RUNS = sparse_report.STEPS
SEEDS = (1000,)
SETS = ("orange_skin", "nonlinear_additive", "friedman1")
FORMS: tuple[Form, ...] = ("spectral", "group_lasso")
WALKS: dict[str, dict[str, Any]] = {
    "refined": {},
    "in parts": {name: value for name, value in STEADY.items() if name != "momentum"},
    "steady": STEADY,
}
"""What a walk has beside REFINED."""


def walk(name: str, settings: SparseSettings, seed: int) -> dict[str, Any]:
    """The path of the networks of all folds, and what its steps are."""
    data = registry.create("datasets", *CASES[name]).load(seed).standardised()
    rows, started = Rows.of(data), time.process_time()
    fold = fold_numbers(rows.y, rows.kind, settings.folds, seed)
    networks = Walk(rows, [np.flatnonzero(fold != f) for f in range(settings.folds)], settings, seed, torch.float32)
    strengths, supports = networks.follow(settings.strengths())
    finite = np.isfinite(strengths)
    changed = (supports[1:] != supports[:-1]).sum(2)[finite[1:]]
    steps = sparse_report.Steps.of(strengths[finite], supports.sum(2).mean(1)[finite], changed.mean(1))
    return {
        "trained": networks.trained,
        "steps": len(changed),
        "larger": int(steps.larger.sum()),
        "close": int((steps.larger & steps.close).sum()),
        "falls": int((steps.larger & steps.falls).sum()),
        "largest": round(float(changed.mean(1).max()), 2),
        "networks": round(float((changed[steps.larger] > 1).sum(1).mean()), 2) if steps.larger.any() else "",
        "cpu": round(time.process_time() - started, 2),
    }


def main() -> None:
    """Walk what is missing, then write the report."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    kept = done(RUNS, ("case", "method", "walk", "seed", "settings"))
    for seed, name, form, (label, changes) in itertools.product(SEEDS, SETS, FORMS, WALKS.items()):
        settings = tuned(form, **{**REFINED, **changes})
        key = {"case": name, "method": form, "walk": label, "seed": seed}
        key["settings"] = canonical_json(settings.identity()["fields"])
        if tuple(map(str, key.values())) not in kept:
            append(RUNS, {**key, **walk(name, settings, seed)})
            print(*list(key.values())[:4], file=sys.stderr, flush=True)
    sparse_report.write()


if __name__ == "__main__":
    main()
