"""Why steps of the sparse path are larger than asked for: walks in several ways, without a look at the truth.

Data seeds from 1000 on, three sets, both forms. A step is larger if successive supports differ by more than one input,
and more than 5 % of them (mean over the networks of the folds). Of these steps it is counted how many lie between
strengths closer than 1 %, which more strengths would not mend; in how many the number of inputs falls that much (in
the others inputs come and go); and how many networks take part.

A proximal step takes rate * strength from the size of what is penalised, an eigenvalue or the norm of a column, and the
gradient moves it too. Of the inputs that leave in larger steps two things are measured. Their speed: what they fell
since the penalty began, over what the penalty alone takes; near 1 the data do not hold them. And their spread, just
before the first of them is 0, over rate * strength: within so many gradient steps they arrive, at that speed 1. Where
that is few steps for many inputs, no strengths in between part them. A weaker strength when they arrive does: the walk
``slow``.

Every walk is a line of ``reports/sparse/steps.csv``; one that is there with the same settings is not repeated.

    python benchmarks/sparse_steps.py
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sparse_report
import torch
from numpy.typing import NDArray
from sparse_supports import CASES, append, done

from xai_bench import registry
from xai_bench.component import canonical_json
from xai_bench.datasets.base import Bools
from xai_bench.models.path import REFINED, STEADY, Form, Rows, SparseSettings, Walk, slow, tuned
from xai_bench.models.sparse import fold_numbers

RUNS = sparse_report.STEPS
SEEDS = (1000,)
SETS = ("orange_skin", "nonlinear_additive", "friedman1")
FORMS: tuple[Form, ...] = ("spectral", "group_lasso")
WALKS: dict[str, Callable[[Form], SparseSettings]] = {
    "refined": lambda form: tuned(form, **REFINED),
    "in parts": lambda form: tuned(form, **{**REFINED, **STEADY, "momentum": 0.0}),
    "steady": lambda form: tuned(form, **{**REFINED, **STEADY}),
    "slow": slow,
}


class Timed(Walk):
    """A walk that knows what the penalty has taken where it was trained at last; at strength 0 nothing."""

    taken = 0.0

    def level(self, strength: float, steps: int | None = None) -> Bools:
        self.taken = (
            self.settings.proximal_rate * strength * (steps or self.settings.level_steps)
        )  # strength 0 takes nothing
        return super().level(strength, steps)

    def sizes(self) -> NDArray:
        """(m, d) absolute eigenvalues, or norms of columns."""
        values = self.penalised.double()
        return (values.abs() if values.ndim == 2 else values.norm(dim=1)).numpy()


def walk(name: str, settings: SparseSettings, seed: int) -> dict[str, Any]:
    """The path of the networks of all folds, and what its steps are."""
    data = registry.create("datasets", *CASES[name]).load(seed).standardised()
    rows, started = Rows.of(data), time.process_time()
    fold = fold_numbers(rows.y, rows.kind, settings.folds, seed)
    networks = Timed(rows, [np.flatnonzero(fold != f) for f in range(settings.folds)], settings, seed, torch.float32)
    stations = [
        (strength, support, networks.sizes(), networks.taken)
        for strength, support in networks.stations(settings.strengths())
        if np.isfinite(strength)
    ]
    strengths, supports, sizes, taken = (np.array(values) for values in zip(*stations, strict=True))
    changed = (supports[1:] != supports[:-1]).sum(2)
    steps = sparse_report.Steps.of(strengths, supports.sum(2).mean(1), changed.mean(1))
    left = supports[:-1] & ~supports[1:] & steps.larger[:, None, None]
    return {
        "trained": networks.trained,
        "steps": len(changed),
        "larger": int(steps.larger.sum()),
        "close": int((steps.larger & steps.close).sum()),
        "falls": int((steps.larger & steps.falls).sum()),
        "largest": round(float(changed.mean(1).max()), 2),
        "networks": round(float((changed[steps.larger] > 1).sum(1).mean()), 2) if steps.larger.any() else "",
        **falling(sizes, taken, settings.proximal_rate * strengths, left.any(0)),
        "cpu": round(time.process_time() - started, 2),
    }


def falling(sizes: NDArray, taken: NDArray, speed: NDArray, left: Bools) -> dict[str, float | str]:
    """How fast inputs fall, in how many gradient steps they arrive, and how many they are: medians, "" where none is.

    Parameters
    ----------
    sizes : (levels, m, d) of what is penalised; the first level has no penalty
    taken : (levels,) what the penalty takes from each size on the way to a level
    speed : (levels,) what it takes in a gradient step
    left : (m, d) which inputs to look at: each from the first level to the last one before its size is 0
    """
    total, shares, arrivals = np.cumsum(taken), [], []
    for network in np.flatnonzero(left.any(1)):
        of_these = sizes[:, network, left[network]]
        gone = np.where((of_these == 0).any(0), (of_these == 0).argmax(0), len(sizes))
        for column, last in enumerate(gone - 1):
            if total[last] > 0:
                shares.append((of_these[0, column] - of_these[last, column]) / total[last])
        first = min(gone.min(), len(sizes) - 1)
        low, high = np.quantile(of_these[first - 1], [0.05, 0.95])
        arrivals.append((high - low) / speed[first])
    if not shares:
        return {"speed": "", "arrival": "", "inputs": ""}
    counts = left.sum(1)[left.any(1)]
    medians = {"speed": np.median(shares), "arrival": np.median(arrivals), "inputs": np.median(counts)}
    return {name: round(float(value), 3) for name, value in medians.items()}


def main() -> None:
    """Walk what is missing, then write the report."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    kept = done(RUNS, ("case", "method", "walk", "seed", "settings"))
    for seed, name, form, label in itertools.product(SEEDS, SETS, FORMS, WALKS):
        settings = WALKS[label](form)
        key = {"case": name, "method": form, "walk": label, "seed": seed}
        key["settings"] = canonical_json(settings.identity()["fields"])
        if tuple(map(str, key.values())) not in kept:
            append(RUNS, {**key, **walk(name, settings, seed)})
            print(*list(key.values())[:4], file=sys.stderr, flush=True)
    sparse_report.write()


if __name__ == "__main__":
    main()
