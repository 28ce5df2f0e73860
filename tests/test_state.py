"""Whatever somebody's code does to the process, the numbers of others keep their bits."""

from __future__ import annotations

import os
import random
import warnings

import numpy as np
import pytest
import torch

from tests import tasks
from tests.test_run import scores
from xai_bench import registry, run
from xai_bench.errors import InputError
from xai_bench.running import executors, state
from xai_bench.suites.suite import Limits, Suite
from xai_bench.workers import Done, Item, Replaced, Spent, ThisProcess, Workers

HOSTILE = {
    "dtype": "torch.set_default_dtype(torch.float64)",
    "device": "torch.set_default_device('meta')",
    "gradients": "torch.set_grad_enabled(False)",
    "inference": "kept.append(torch.inference_mode()); kept[-1].__enter__()",
    "autocast": "torch.set_autocast_enabled('cpu', True); torch.set_autocast_dtype('cpu', torch.float16)",
    "autocast_entered": "kept.append(torch.autocast('cpu', dtype=torch.bfloat16)); kept[-1].__enter__()",
    "function_mode": "kept.append(torch.overrides.BaseTorchFunctionMode()); kept[-1].__enter__()",
    "deterministic": "torch._C._set_deterministic_algorithms(True)",
    "precision": "torch.set_float32_matmul_precision('medium')",
    "mkldnn": "torch.backends.mkldnn.set_flags(False)",
    "threads": "torch.set_num_threads(2)",
    "denormals": "torch.set_flush_denormal(False)",
    "hooks": "torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 0)",
    "pre_hooks": "torch.nn.modules.module.register_module_forward_pre_hook(lambda m, i: None)",
    "anomalies": "torch.autograd.set_detect_anomaly(True)",
    "errors": "np.seterr(all='raise')",
    "warnings": "warnings.simplefilter('error')",
    "environment": "os.environ['OMP_NUM_THREADS'] = '2'; os.environ.pop('PATH', None)",
    "folder": "os.chdir('/')",
    "sklearn": "import sklearn; sklearn.set_config(transform_output='pandas')",
    "blas": "import threadpoolctl; kept.append(threadpoolctl.threadpool_limits(2))",
    "buffers": "np.setbufsize(16)",
    "path": "import sys; sys.path.clear()",
    "recursion": "import sys; sys.setrecursionlimit(200)",
    "signals": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "garbage": "import gc; gc.disable()",
    "seeds": "torch.manual_seed(1); np.random.seed(1); random.seed(1)",
}
NAMES = {"torch": torch, "np": np, "os": os, "random": random, "warnings": warnings, "kept": []}


def everything() -> list[object]:
    generators = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]
    return [*state._read(), *generators]


@pytest.mark.parametrize("action", HOSTILE)
def test_every_piece_of_state_is_set_back(action):
    before = everything()
    with state.guarded():
        exec(HOSTILE[action], dict(NAMES))
        assert everything() != before
    assert everything() == before
    with pytest.raises(ZeroDivisionError), state.guarded():
        exec(f"{HOSTILE[action]}\n1 / 0", dict(NAMES))
    assert everything() == before


def test_generators_begin_anew_inside_and_go_on_outside():
    def drawn() -> list[float]:
        return [random.random(), np.random.random(), float(torch.rand(()))]

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = [drawn(), drawn()]
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    found, inside = [drawn()], []
    for _ in range(2):
        with state.guarded():
            inside.append(drawn())
            with state.guarded():
                drawn()
            inside.append(drawn())
    assert [*found, drawn()] == expected
    assert inside[:2] == inside[2:]
    assert inside[0] != inside[1]


def test_what_cannot_be_set_back_is_said(monkeypatch):
    count = iter(range(9))
    part = state.Part("a counter", lambda: next(count), lambda value: None)
    monkeypatch.setattr(state, "PARTS", (part,))
    with pytest.raises(state.NotRestored, match="a counter"), state.guarded():
        pass


def test_a_process_is_as_workers_are_and_afterwards_as_it_was():
    torch.set_default_dtype(torch.float64)
    try:
        with executors.executor(None, Suite.model_construct(limits=Limits())):
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


# Whole runs.

PLUGIN = """
import os, random, warnings
import numpy as np
import torch
from xai_bench import Architecture, DataSource, Explainer, GroundTruth, Metric, Table, register

kept = []
torch.set_default_dtype(torch.float64)

class Hostile(Explainer):
    needs = "linear_first_layer"
    def relevance(self, problem):
        self.act()
        return np.ones(problem.d)

class Zeroing(Hostile):
    def unsupported(self, problem):
        for rows in (problem.X_train, problem.X_valid, problem.y_train, problem.y_valid):
            rows.zero_()
        for parameter in problem.model.parameters():
            parameter.zero_()
        return super().unsupported(problem)
    def act(self):
        pass

@register
class HostileZeroing(Zeroing):
    name = "hostile_zeroing"

{explainers}

def worst(relevance, truth):
    torch.set_default_dtype(torch.float64)
    relevance /= relevance.sum() + 1
    if truth.relevance is not None:
        truth.relevance[:] = 0
    return float(np.random.random())

register(Metric("aaa_hostile", worst, lambda truth: 0.5, 0.0, 1.0, "hostile"))

def failing(relevance, truth):
    raise KeyError("no luck")

def ending(relevance, truth):
    raise SystemExit(3)

register(Metric("aac_ending", ending, lambda truth: 0.5, 0.0, 1.0, "ending"))

register(Metric("aab_failing", failing, lambda truth: 1 / 0, 0.0, 1.0, "failing"))

@register
class Drawn(DataSource):
    name = "hostile_drawn"
    def draw(self, rng):
        X = rng.normal(size=(100, 4))
        torch.set_default_dtype(torch.float64)
        return Table(X, X[:, 0], "regression", GroundTruth(("relevant", "noise", "noise", "noise")))
    def ceiling(self, mask, truth=None):
        torch.set_default_dtype(torch.float64)
        return None

@register
class Built(Architecture):
    name = "hostile_built"
    def build(self, d, n_outputs, generator):
        layer = torch.nn.Linear(d, n_outputs)
        torch.set_default_dtype(torch.float64)
        return torch.nn.Sequential(layer)
"""
EXPLAINER = """
@register
class {name}(Hostile):
    name = "{name}"
    def act(self):
        {action}
"""
NET = {"hidden": [8], "epochs": 0.1, "min_steps": 20, "checkpoints": 1}
PLAIN = {
    "name": "state",
    "data_seeds": [0],
    "datasets": [{"name": "gaussian_correlated", "n": 200}, {"name": "xor", "n": 200, "d": 6}],
    "models": [{"name": "mlp", **NET}],
    "explainers": [{"name": "column_norm"}, {"name": "saliency"}, {"name": "lasso"}],
    "sanity": {},
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(PLAIN, out=tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("jobs", [None, pytest.param(1, marks=pytest.mark.slow)])
def test_neighbours_of_hostile_code_keep_their_bits(alone, tmp_path, plugin_registry, jobs):
    parts = [EXPLAINER.format(name=f"hostile_{name}", action=action) for name, action in HOSTILE.items()]
    (tmp_path / "hostile.py").write_text(PLUGIN.format(explainers="".join(parts)))
    registry.load_plugin(tmp_path / "hostile.py")
    hostile = [{"name": name} for name in registry.names("explainers") if name.startswith("hostile")]
    assert len(hostile) == len(HOSTILE) + 1
    suite = {
        **PLAIN,
        "datasets": [{"name": "hostile_drawn"}, *PLAIN["datasets"]],
        "models": [{"name": "hostile_built", "min_steps": 5}, *PLAIN["models"]],
        "explainers": [*hostile, *PLAIN["explainers"]],
    }
    before = everything()
    try:
        found = run(suite, out=tmp_path, jobs=jobs)
        assert everything() == before
    finally:
        torch.set_default_dtype(torch.float32)
    cells = found.cells
    assert set(cells["status"]) == {"done"}, cells[cells["status"] != "done"]["reason"].tolist()
    table, expected = scores(found), scores(alone)
    keys = ["dataset", "model", "explainer", "metric", "k"]
    both = expected.merge(table, on=keys, suffixes=("_alone", "_beside"))
    assert len(both) == len(expected) > 40
    assert (both["value_alone"] == both["value_beside"]).all()
    for key, relevance in alone.relevance.items():
        np.testing.assert_array_equal(relevance, found.relevance[key])
    values = table[(table["metric"] == "aaa_hostile") & (table["explainer"] != "random")]["value"]
    assert len(set(values)) == 1, "a metric that draws from the global generator draws the same for every cell"
    reasons = found.measurements.query("metric == 'aab_failing'")["reason"]
    assert reasons.str.contains("KeyError").all()
    assert len(reasons) > 40
    assert found.measurements.query("metric == 'aac_ending'")["reason"].str.contains("sys.exit(3)", regex=False).all()


# Processes that cannot go on.


def test_a_worker_that_cannot_go_on_is_replaced():
    with Workers(1, None, tasks.nothing) as workers:
        events, processes = [], set()
        for task, first in ((1, True), (2, False)):
            workers.submit(task, tasks.spent, first)
            processes |= {worker.process.pid for worker in workers._workers}
            while not events or type(events[-1]).__name__ not in ("Replaced", "Done"):
                events += workers.wait()
            events.append(None)
        kinds = [type(event).__name__ for event in events if event is not None]
    assert kinds == ["Item", "Item", "Replaced", "Item", "Item", "Done"]
    assert len(processes) == 2


def test_this_process_stops_when_it_cannot_go_on():
    executor = ThisProcess()
    executor.submit(1, tasks.spent, True)
    with pytest.raises(InputError, match=r"something stays changed; .*use jobs"):
        executor.wait()


SPOILING = """
from xai_bench import Explainer, register
@register
class Spoiling(Explainer):
    name = "spoiling"
    needs = "data"
    def relevance(self, problem):
        from tests.tasks import spoilt
        spoilt.append(1)
        return problem.X_train.var(0)
"""


class Replacing(ThisProcess):
    """Says that it was replaced, and goes on."""

    def wait(self):
        task, function, arguments = self._waiting.popleft()
        events = []
        try:
            for content in function(*arguments):
                events.append(Item(task, content))
        except Spent as spent:
            tasks.spoilt.clear()
            return [*events, Replaced(task, str(spent))]
        return [*events, Done(task)]


def test_the_rest_of_a_block_is_handed_out_again(alone, tmp_path, monkeypatch, plugin_registry):
    """The cell that spoils its process fails; those after it are computed in another process."""
    (tmp_path / "spoiling.py").write_text(SPOILING)
    registry.load_plugin(tmp_path / "spoiling.py")
    part = state.Part("a list", lambda: list(tasks.spoilt), lambda value: None)
    monkeypatch.setattr(state, "PARTS", (*state.PARTS, part))
    monkeypatch.setattr(executors, "ThisProcess", Replacing)
    explainers = [{"name": "f_test"}, {"name": "spoiling"}, *PLAIN["explainers"]]
    found = run({**PLAIN, "explainers": explainers}, out=tmp_path)
    status = found.cells.groupby("explainer")["status"].agg(set).to_dict()
    assert status.pop("spoiling") == {"failed"}
    assert set(map(frozenset, status.values())) == {frozenset({"done"})}
    assert found.cells.query("explainer == 'spoiling'")["reason"].str.contains("cannot be set back: a list").all()
    for key, relevance in alone.relevance.items():
        np.testing.assert_array_equal(relevance, found.relevance[key])
