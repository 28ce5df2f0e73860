"""One thread and no denormals in every test process, as in the workers."""

from __future__ import annotations

import pytest
import torch

from xai_bench import registry

torch.set_num_threads(1)
torch.set_flush_denormal(True)

TINY_NET = {"hidden": [8], "epochs": 0.1, "min_steps": 30, "checkpoints": 2}
TINY_SUITE = {
    "name": "tiny",
    "data_seeds": [0, 1],
    "datasets": [{"name": "gaussian_correlated", "n": 300}, {"name": "diabetes"}],
    "models": [{"name": "spectral_mlp", **TINY_NET}, {"name": "mlp", "group_lasso": 0.0, **TINY_NET}],
    "explainers": [{"name": "spectral"}, {"name": "column_norm"}, {"name": "saliency"}, {"name": "mutual_information"}],
    "retention": {"judge": {"epochs": 0.1, "min_steps": 20, "checkpoints": 2}},
}


@pytest.fixture
def tiny() -> dict:
    """A suite of four explainers, two models and two datasets that runs in about two seconds."""
    return {**TINY_SUITE}


@pytest.fixture
def plugin_registry():
    """Whatever a test registers is forgotten afterwards."""
    before = {family: dict(known) for family, known in registry._registered.items()}
    held = [(table, dict(table)) for table in (registry._origins, registry._plugins, registry._known_codes)]
    yield registry
    registry._registered.update(before)
    for table, content in held:
        table.clear()
        table.update(content)
