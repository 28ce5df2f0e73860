"""``benchmarks/gates_path.py``: networks side by side are those that the explainer trains one by one."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from xai_bench.datasets.friedman import Friedman1
from xai_bench.datasets.ring import Xor
from xai_bench.explainers.base import Problem
from xai_bench.explainers.forests import seed_of
from xai_bench.explainers.gates import STG

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("dataset", [Xor(n=400, d=6), Friedman1(n=400, d=8)], ids=lambda dataset: dataset.name)
def test_gates_side_by_side_open_as_one_by_one(dataset, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gates_at = importlib.import_module("gates_path").gates_at
    data, strengths, quick = dataset.load(1000).standardised(), (0.05, 1.0, 8.0), STG(steps=150, hidden=(16, 8))
    arrays = [torch.from_numpy(a) for a in (data.X_train, data.y_train, data.X_valid, data.y_valid)]
    problems = [Problem(None, *arrays, data.kind, data.n_outputs) for _ in range(4)]  # each with its own generator
    one_by_one = [
        quick.model_copy(update={"strength": strength}).select(problem).relevance
        for strength, problem in zip(strengths, problems[1:], strict=True)
    ]
    found = gates_at(data, strengths, seed_of(problems[0]), quick).numpy()
    np.testing.assert_allclose(found, one_by_one, rtol=1e-3, atol=1e-4)
    assert ((found > 0).sum(1) > 0).any()
    assert ((found > 0).sum(1) < data.d).any()
