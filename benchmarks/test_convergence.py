"""Is a short schedule enough? The judge's and the networks' beside a long one, on every dataset of two suites."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from xai_bench.models.mlp import MLPFamily, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.scoring.retention import judge_of
from xai_bench.suites.reading import load
from xai_bench.suites.suite import Entry, Retention

SUITES = ("quick", "standard")
SEEDS = (0, 1, 2)
LONG: dict[str, Any] = {
    "epochs": 100.0,
    "min_steps": 2000,
    "schedule": "constant",
    "learning_rate": 1e-3,
    "checkpoints": 100,
}
NETWORKS: dict[str, MLPFamily] = {"judge": judge_of(Retention()), "spectral_mlp": SpectralMLP()}


@cache
def datasets() -> dict[str, tuple[Entry, bool]]:
    """Label to a dataset of the suites, and whether it is standardised."""
    found = {}
    for name in SUITES:
        suite = load(name)
        for entry in suite.datasets:
            found[entry.label] = entry, suite.standardise if entry.standardise is None else entry.standardise
    return found


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("label", datasets())
def test_schedule(benchmark, label, network):
    """All inputs, one data seed, three seeds of the network; the checkpoint with the lowest validation loss of each."""
    benchmark.group = f"convergence of {network}"
    entry, standardise = datasets()[label]
    if absent := entry.component.missing():
        pytest.skip(absent)
    data = entry.component.load(0)
    data = data.standardised() if standardise else data
    short = NETWORKS[network]
    long = short.model_copy(update=LONG)
    found = benchmark.pedantic(fit_many, (short, data, SEEDS), {"chunk": len(SEEDS)}, rounds=1)
    other = fit_many(long, data, SEEDS, chunk=len(SEEDS))
    benchmark.extra_info.update(
        table="convergence",
        network=network,
        dataset=label,
        kind=data.kind,
        rows=len(data.y_train),
        steps=[short.steps(len(data.y_train)), long.steps(len(data.y_train))],
        short=[fit.test_score for fit in found],
        long=[fit.test_score for fit in other],
        chance=float(np.mean([fit.chance for fit in found])),
    )
