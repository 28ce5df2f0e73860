"""One thread and no denormals in every test process, as in the workers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests import reports
from xai_bench import registry
from xai_bench.report import write_report
from xai_bench.results.frames import Results

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
    plugins = dict(registry._plugins)
    yield registry
    registry._registered.update(before)
    registry._plugins.clear()
    registry._plugins.update(plugins)


@pytest.fixture(scope="session")
def by_hand(tmp_path_factory) -> Results:
    """A store that is filled by hand; do not change it."""
    return reports.build(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def report(by_hand, tmp_path_factory) -> Path:
    """The folder of its report."""
    return write_report(by_hand, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="session")
def page(report) -> str:
    """Its page."""
    return (report / "index.html").read_text(encoding="utf-8")
