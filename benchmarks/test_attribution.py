"""Every explainer at its defaults beside its library's documented call: same network, same rows, d = 20 to 4096."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from documented import documented, one_row_at_a_time

from xai_bench import registry
from xai_bench.explainers.base import Explainer, Problem
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.running import block

SIZES = (20, 64, 784, 4096)
ROUNDS = 7
GENERIC = ("captum", "shap")
LARGEST = {
    **dict.fromkeys(("lassonet", "spectral_path", "group_lasso_path", "boruta", "random_forest_permutation"), 20),
    **dict.fromkeys(("shapley_sampling", "lime", "captum_kernel_shap", "shap_kernel"), 64),
    **dict.fromkeys(("gradient_boosting", "lasso"), 64),
    **dict.fromkeys(("feature_ablation", "occlusion", "shap_permutation", "permutation_importance"), 784),
    **dict.fromkeys(("random_forest", "tree_shap", "mutual_information", "mrmr"), 784),
}
"""Inputs up to which a method is run: beyond, one round takes minutes."""
SLOW = {"lassonet", "spectral_path", "group_lasso_path", "boruta"}
FEW_ROWS = 8
"""Rows explained by methods that perturb inputs one by one, from 784 inputs on."""
FEW = ("feature_ablation", "occlusion", "shap_permutation")


def problem_of(explainer: Explainer, d: int) -> Problem:
    """A network with the default widths on d inputs, and as many validation rows as the explainer explains."""
    data = registry.create("datasets", "xor", {"n": 3000, "d": d}).load(0).standardised()
    shared: dict[str, Any] = {"batch_norm": (False,), "dropout": (0.0,), "activations": ("relu",)}
    architecture = (SpectralMLP if explainer.needs == "spectral" else MLP)(**shared)
    model = architecture.build((d,), data.n_outputs, torch.Generator().manual_seed(0)).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    rows = min(getattr(explainer, "rows", len(data.y_valid)), len(data.y_valid))
    side = int(d**0.5)
    shape = (side, side) if explainer.name == "occlusion" and side * side == d else None
    whole = block.problem_of(data, model)
    return replace(whole, X_valid=whole.X_valid[:rows], y_valid=whole.y_valid[:rows], feature_shape=shape)


def cases() -> list[Any]:
    return [
        pytest.param(name, d, id=f"{name}-{d}", marks=pytest.mark.benchmark(group=f"one ranking, d = {d}"))
        for name in registry.names("explainers")
        if name not in GENERIC
        for d in SIZES
        if d <= LARGEST.get(name, max(SIZES))
    ]


@pytest.mark.parametrize(("name", "d"), cases())
def test_explain(side_by_side, name, d):
    few = name in FEW and d >= 784
    explainer = registry.create("explainers", name, {"rows": FEW_ROWS} if few else {})
    problem = problem_of(explainer, d)
    if reason := explainer.unsupported(problem):
        pytest.skip(reason)
    block.warm_up(explainer)
    theirs = documented(explainer, problem)
    facts = {"table": "attribution", "method": name, "d": d, "rows": len(problem.X_valid)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if theirs is not None:
            recorded: list[float] = []

            def ours() -> None:
                found = explainer.explain(problem)
                recorded.append(found.setup_wall + found.explain_wall)

            calls = side_by_side(ours, theirs, rounds=ROUNDS, **facts)
            of_rounds = np.array(recorded[-ROUNDS * calls :]).reshape(ROUNDS, calls).mean(1)
            side_by_side.benchmark.extra_info["recorded"] = of_rounds.tolist()
        else:
            benchmark = side_by_side.benchmark
            rounds = 2 if name in SLOW else 5
            benchmark.pedantic(explainer.explain, (problem,), rounds=rounds, warmup_rounds=0 if name in SLOW else 1)
            benchmark.extra_info.update(facts, ours=list(benchmark.stats.stats.data))


@pytest.mark.benchmark(group="one row at a time")
@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "lrp"])
def test_rows_in_a_loop(side_by_side, name):
    """Whole batches beside a loop over rows, d = 64."""
    explainer = registry.create("explainers", name, {})
    problem = problem_of(explainer, 64)
    facts = {"table": "loop", "method": name, "d": 64, "rows": len(problem.X_valid)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        side_by_side(lambda: explainer.explain(problem), lambda: one_row_at_a_time(explainer, problem), **facts)
