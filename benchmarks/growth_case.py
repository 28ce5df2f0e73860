"""One point of a growth curve, in a process of its own: seconds and peak memory as one line of JSON.

python benchmarks/growth_case.py '{"what": "saliency", "d": 64, "n": 2000}'
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

import xai_bench
from xai_bench import registry
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.running.block import problem_of
from xai_bench.running.process import peak_memory, reset_peak_memory, warm_up

ROUNDS = 3
ENOUGH = 5.0
"""Seconds after which a point is not repeated."""
EXPLAINERS = ("spectral", "saliency", "integrated_gradients", "lrp", "shap_deep", "mutual_information")


def main(case: dict[str, Any]) -> dict[str, Any]:
    """Seconds (median) and bytes above what the process holds before."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    work = run_of(case) if case["what"] == "run" else task_of(case)
    start, seconds = reset_peak_memory(), []
    while len(seconds) < ROUNDS and sum(seconds) < ENOUGH:
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    peak = peak_memory()
    grown = None if start is None or peak is None else peak - start
    return {"seconds": statistics.median(seconds), "grown": grown, "peak": peak}


def task_of(case: dict[str, Any]) -> Callable[[], Any]:
    """Training one network for 200 steps or its epochs, or one explanation."""
    data = registry.create("datasets", "xor", {"n": case["n"], "d": case["d"]}).load(0).standardised()
    if case["what"] == "training":
        fields = {"epochs": 1e-9, "min_steps": 200} if case["axis"] == "d" else {}
        return lambda: fit_many(SpectralMLP(**fields), data, [0], chunk=1)
    explainer = registry.create("explainers", case["what"], {})
    architecture = SpectralMLP() if explainer.needs == "spectral" else MLP(batch_norm=(False,))
    model = architecture.build((data.d,), data.n_outputs, torch.Generator().manual_seed(0)).eval()
    problem = problem_of(data, model)
    warm_up(explainer)
    return lambda: explainer.explain(problem)


def run_of(case: dict[str, Any]) -> Callable[[], Any]:
    """A whole run in this process: xor, one network, the first so many explainers and data seeds."""
    names = (*EXPLAINERS, "column_norm", "input_x_gradient", "deeplift", "permutation_importance", "f_test", "mrmr")
    suite: dict[str, Any] = {
        "name": "growth",
        "data_seeds": list(range(case.get("seeds", 1))),
        "datasets": [{"name": "xor", "n": case["n"], "d": case["d"]}],
        "models": [{"name": "spectral_mlp"}],
        "explainers": [{"name": name} for name in names[: case.get("explainers", 4)]],
        "retention": case.get("retention"),
    }
    for name in names:
        warm_up(registry.create("explainers", name, {}))

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            xai_bench.run({k: v for k, v in suite.items() if v is not None}, out=folder)

    return run


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
