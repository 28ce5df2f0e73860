"""Training many networks at once beside training them one after the other, in the same run.

make bench
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xai_bench import registry
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.training import fit_many, fit_one
from xai_bench.retention import judge_of
from xai_bench.suite import Retention

torch.set_num_threads(1)
torch.set_flush_denormal(True)
NETWORKS = 32


@pytest.fixture(scope="module", params=[20, 64])
def data(request):
    return registry.create("datasets", "xor", {"n": 5000, "d": request.param}).load(0).standardised()


@pytest.mark.benchmark(group="32 judges, all inputs")
class TestJudges:
    def test_stacked(self, benchmark, data):
        benchmark.pedantic(fit_many, (judge_of(Retention()), data, range(NETWORKS)), rounds=5, warmup_rounds=1)

    def test_one_after_the_other(self, benchmark, data):
        """A quarter of them: compare four times this time."""

        def sequential():
            for seed in range(NETWORKS // 4):
                fit_one(judge_of(Retention()), data, seed)

        benchmark.pedantic(sequential, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="32 judges on 8 inputs")
class TestMaskedJudges:
    @pytest.fixture
    def masks(self, data):
        rng = np.random.default_rng(0)
        masks = np.zeros((NETWORKS, data.d), dtype=bool)
        for row in masks:
            row[rng.permutation(data.d)[:8]] = True
        return masks

    def test_stacked(self, benchmark, data, masks):
        benchmark.pedantic(fit_many, (judge_of(Retention()), data, range(NETWORKS), masks), rounds=5, warmup_rounds=1)

    def test_one_after_the_other(self, benchmark, data, masks):
        """A quarter of them: compare four times this time."""

        def sequential():
            for seed in range(NETWORKS // 4):
                fit_one(judge_of(Retention()), data, seed, np.flatnonzero(masks[seed]).tolist())

        benchmark.pedantic(sequential, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="one training at d = 784")
@pytest.mark.parametrize(
    "architecture", [MLP(epochs=1, min_steps=100), SpectralMLP(epochs=1, min_steps=100)], ids=["mlp", "spectral_mlp"]
)
def test_first_layer(benchmark, architecture):
    data = registry.create("datasets", "xor", {"n": 3000, "d": 784}).load(0).standardised()
    benchmark.pedantic(fit_many, (architecture, data, [0]), {"chunk": 1}, rounds=5, warmup_rounds=1)
