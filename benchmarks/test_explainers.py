"""Every explainer at its defaults on one network, d = 20, 64 and 784: what one ranking costs."""

from __future__ import annotations

import pytest
import torch

from xai_bench import registry
from xai_bench.block import warm_up
from xai_bench.explainers.base import Problem
from xai_bench.models.mlp import MLP, SpectralMLP

torch.set_num_threads(1)
torch.set_flush_denormal(True)
GENERIC = ("captum", "shap")
SLOW = ("shap_kernel", "shap_permutation")


@pytest.mark.parametrize("d", [20, 64, 784])
@pytest.mark.parametrize("name", [n for n in registry.names("explainers") if n not in GENERIC])
def test_explain(benchmark, name, d):
    if name in SLOW and d > 64:
        pytest.skip(f"{name} is run up to 64 inputs")
    benchmark.group = f"one ranking at d = {d}"
    explainer = registry.create("explainers", name, {})
    data = registry.create("datasets", "xor", {"n": 3000, "d": d}).load(0).standardised()
    architecture = SpectralMLP() if explainer.needs == "spectral" else MLP()
    model = architecture.build(d, data.n_outputs, torch.Generator().manual_seed(0)).eval()
    problem = Problem(
        model,
        torch.from_numpy(data.X_train),
        torch.from_numpy(data.y_train),
        torch.from_numpy(data.X_valid),
        torch.from_numpy(data.y_valid),
        data.kind,
        data.n_outputs,
    )
    warm_up(explainer)
    benchmark.pedantic(explainer.explain, (problem,), rounds=5, warmup_rounds=1)
