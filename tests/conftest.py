"""One thread and no denormals in every test process, as in the workers."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from tests import reports
from xai_bench import registry
from xai_bench.report import write_report
from xai_bench.results.frames import Results

torch.set_num_threads(1)
torch.set_flush_denormal(True)
# No test waits for a wall clock: a busy machine is no fault of the data that are drawn.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")

TINY_NET = {"hidden": [8], "epochs": 0.1, "min_steps": 30, "checkpoints": 2}
TINY_SUITE = {
    "name": "tiny",
    "data_seeds": [0, 1],
    "datasets": [{"name": "gaussian_correlated", "n": 300}, {"name": "diabetes"}],
    "models": [{"name": "spectral_mlp", **TINY_NET}, {"name": "mlp", "group_lasso": 0.0, **TINY_NET}],
    "explainers": [{"name": "spectral"}, {"name": "column_norm"}, {"name": "saliency"}, {"name": "mutual_information"}],
    "retention": {"judge": {"epochs": 0.1, "min_steps": 20, "checkpoints": 2}},
    "settling": {"draws": 0},
}


SEED = "XAI_BENCH_TEST_SEED"
"""Environment variable: the seed that the sampled tests draw with; ``random`` for another one every time."""


def pytest_addoption(parser):
    parser.addoption(
        "--every-combination", action="store_true", help="Run every explainer on every dataset and model, not a sample."
    )


def pytest_configure(config):
    """Before workers start: they are to draw the same sample."""
    if os.environ.get(SEED, "0") == "random":
        os.environ[SEED] = str(random.SystemRandom().randrange(10**6))
    os.environ.setdefault(SEED, "0")


def pytest_report_header(config):
    if config.getoption("--every-combination"):
        return "every combination of dataset, model and explainer"
    return f"a sample of the combinations of dataset, model and explainer: {SEED}={os.environ[SEED]}"


@pytest.fixture
def standing_clock(monkeypatch):
    """Time stands still in this process; ``time.sleep`` moves it on, and returns at once."""
    now = [1000.0]
    for name in ("perf_counter", "monotonic", "process_time"):
        monkeypatch.setattr(time, name, lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)


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
