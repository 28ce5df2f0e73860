"""Bugs that users reported of other tools and that could be ours too; each test names the tool and the thread.

Further ones stand where they belong, such as ``test_every_row_counts`` in ``test_explainers``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import CLASSES, D, attributions, draw, network, problem
from tests.test_run import assert_same
from tests.toy import toy
from xai_bench import registry, run
from xai_bench.datasets.base import GroundTruth, Window
from xai_bench.explainers.shap import ShapDeep
from xai_bench.metrics import recovery
from xai_bench.running import loop
from xai_bench.running.process import peak_memory, reset_peak_memory
from xai_bench.scoring import recovery as scoring
from xai_bench.scoring import retention
from xai_bench.statistics import log_area
from xai_bench.suites import plan, reading
from xai_bench.suites.suite import Retention

ROOT = Path(__file__).parents[1]
ROLES = ("relevant", "relevant", "redundant", "suppressor", "noise", "noise", "noise")
TRUTH = GroundTruth(
    ROLES,
    np.array([0.9, 0.4, 0.1, 0, 0, 0, 0]),
    resolution=0.5,
    windows=(Window("a", "line", "relevant", (0, 1)), Window("b", "line", "noise", (4, 5))),
)
WITHOUT_NOISE = GroundTruth(tuple("redundant" if role == "noise" else role for role in ROLES))
JUDGE = Retention(ks=(1, 3), judge={"epochs": 0.1, "min_steps": 20, "checkpoints": 1})


@pytest.fixture
def small(tiny):
    """One dataset, one network."""
    return {**tiny, "data_seeds": [0], "datasets": tiny["datasets"][:1], "models": tiny["models"][:1]}


def draws(count):
    content = {"name": "t", "datasets": [{"name": "xor"}], "explainers": [{"name": "mutual_information"}]}
    return plan.draws(reading.from_dict({**content, "data_seeds": list(range(count))}))


@pytest.fixture
def a_draw():
    return draws(1)[0]


# Scores that depend on the scale of an attribution: infidelity in captum (issues 613 and 1018).


@pytest.mark.parametrize("metric", scoring.metrics(), ids=lambda metric: metric.name)
@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e200])
def test_recovery_does_not_depend_on_the_scale(metric, scale):
    for relevance in ([0.8, 0.3, 0, 0.2, 0.5, 0.1, 0], [0.8, 0.7, 0, 0.2, 0.5, 0.1, 0]):
        truth = TRUTH if metric(np.array(relevance), TRUTH) is not None else WITHOUT_NOISE
        score = metric(np.array(relevance), truth)
        assert score is not None
        assert metric(scale * np.array(relevance), truth) == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_retention_does_not_depend_on_the_scale(a_draw, scale):
    relevance = np.random.default_rng(0).random(12)
    ranked = [retention.Ranked("plain", relevance, ""), retention.Ranked("scaled", scale * relevance, "")]
    found = retention.judge(toy(), a_draw, JUDGE, ranked, {}, {}).measurements
    assert found["scaled"] == found["plain"]


# Means over k, or over d, in which there is nothing left to choose.


def test_the_gain_of_retention_leaves_out_all_inputs(a_draw):
    settings = JUDGE.model_copy(update={"ks": (1, 3, 6), "judge": {**JUDGE.judge, "min_steps": 150}})
    relevance = np.where(np.arange(12) < 3, 1.0, 0.0)
    ranked = [retention.Ranked("own", relevance, ""), retention.Ranked("random", None, "")]
    found = retention.judge(toy(n=600), a_draw, settings, ranked, {}, {}).measurements
    curves = {cell: {m.k: m.value for m in rows if m.metric == "retention_retrained"} for cell, rows in found.items()}
    gain, gap = ({m.metric: m.value for m in found["own"]}[f"retention_retrained_{what}"] for what in ("gain", "gap"))
    own, random = (log_area([1, 3, 6], [curve[k] for k in (1, 3, 6)]) / np.log(6) for curve in curves.values())
    assert gain == pytest.approx(own - random)
    assert gap == pytest.approx(curves["own"][12] - random)


# Ties in the order of the columns, of which the first ones are often the relevant ones.


def test_a_constant_relevance_keeps_other_inputs_in_every_draw(monkeypatch):
    kept, original = set(), retention.top

    def top(relevance, k, tie_breaker):
        mask = original(relevance, k, tie_breaker)
        if np.ptp(relevance) == 0 and k == 3:
            kept.add(tuple(np.flatnonzero(mask)))
        return mask

    monkeypatch.setattr(retention, "top", top)
    for one in draws(4):
        retention.judge(toy(), one, JUDGE, [retention.Ranked("constant", np.ones(12), "")], {}, {})
    assert len(kept) == 4


# Values that do not add up to the output, unnoticed: shap, issue 3363.


class Squares(nn.Module):
    """An operation outside of the layers, which DeepExplainer does not see."""

    def __init__(self, scale):
        super().__init__()
        self.first, self.last, self.scale = nn.Linear(D, 8), nn.Linear(8, CLASSES), scale

    def forward(self, x):
        return self.last(self.first(x).square()) * self.scale


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_additivity_is_checked_at_the_scale_of_the_outputs(scale):
    with pytest.raises(ValueError, match="miss its output by"):
        attributions(ShapDeep(), problem(draw(Squares(scale))))
    sound = network()
    sound[-1].weight.mul_(scale)
    sound[-1].bias.mul_(scale)
    assert (ShapDeep().explain(problem(sound)).relevance > 0).all()


# Batches that are loops over rows in truth: Quantus, issues 96 and 350.


def test_masking_is_one_pass_for_all_test_rows(a_draw):
    data, model, passes = toy(), network(12), []
    model[-1].register_forward_hook(lambda _module, _inputs, output: passes.append(len(output)))
    scorer = retention.Scorer(data, a_draw, JUDGE, {"m": model}, {})
    some, everything = np.arange(12) < 3, np.ones(12, dtype=bool)
    for mask in (some, everything, some):
        scorer.masked("m", mask)
    assert passes == [len(data.y_test)] * 2, "one for each mask"


def test_random_rankings_are_scored_together(monkeypatch):
    calls = []
    original = recovery.area_under_roc
    monkeypatch.setattr(recovery, "area_under_roc", lambda *given: calls.append(1) or original(*given))
    assert len(recovery.random_scores(recovery.auroc, TRUTH, 1000, np.random.default_rng(0))) == 1000
    assert len(calls) == 1


# Methods that nobody can wait for: KernelExplainer at 400 inputs (shap, issue 77).


@pytest.mark.parametrize("name", ["shap_kernel", "captum_kernel_shap", "lime"])
def test_regressions_on_coalitions_are_refused_where_inputs_are_many(name):
    explainer = registry.create("explainers", name, {})
    reason = explainer.unsupported(problem(network(784)))
    assert reason == f"784 inputs are above max_inputs = {explainer.max_inputs}"


# Only a part is masked, as only the red channel was in Quantus (issue 75).


def test_every_hidden_pixel_is_hidden(a_draw):
    """In every row alike; of pictures at 0."""
    data = replace(toy(), feature_shape=(3, 4))
    seen = []
    model = nn.Identity()
    model.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].numpy()))
    mask = np.arange(12) % 3 == 0
    retention.Scorer(data, a_draw, JUDGE, {"m": model}, {}).masked("m", mask)
    np.testing.assert_array_equal(seen[0], np.where(mask, data.X_test, 0))


# What was computed is computed again after a change of order: benchopt, issue 807.


def test_another_order_computes_nothing(tiny, tmp_path, monkeypatch):
    first = run(tiny, out=tmp_path)
    for name in ("_store_block", "_store_followup"):
        monkeypatch.setattr(loop.Loop, name, lambda *_: pytest.fail("it was computed again"))
    turned = {key: [dict(reversed(entry.items())) for entry in reversed(tiny[key])]
              for key in ("datasets", "models", "explainers")}  # fmt: skip
    assert_same(first, run({**turned, **{key: tiny[key] for key in tiny if key not in turned}}, out=tmp_path))


# What one method does reaches the next one: benchopt, issue 632.

WRITES = """
from xai_bench import Explainer, register

@register
class Writes(Explainer):
    "Overwrites all rows it is given"
    name = "writes"
    def relevance(self, problem):
        relevance = problem.X_train.var(0)
        for rows in (problem.X_train, problem.X_valid, problem.y_train, problem.y_valid):
            rows.zero_()
        for parameter in problem.model.parameters():
            parameter.zero_()
        return relevance
"""


def test_a_method_that_overwrites_its_rows_harms_no_other(small, tmp_path, plugin_registry):
    plugin = tmp_path / "writes.py"
    plugin.write_text(WRITES)
    plugin_registry.load_plugin(plugin)
    small |= {"sanity": {}, "explainers": [{"name": "saliency"}, {"name": "mutual_information"}]}
    alone = run(small, out=tmp_path / "alone")
    small["explainers"] = [{"name": "writes"}, *small["explainers"]]
    after = run(small, out=tmp_path / "after")
    assert set(after.cells["status"]) == {"done"}
    others = after._plan[after._plan["explainer"] != "writes"].reset_index(drop=True)
    relevance = {key: after.relevance[key] for key in alone.relevance}
    assert_same(replace(after, _plan=others, relevance=relevance), alone)


# Time of something else charged to the method that happens to run first.

SLOW = """
import time
import torch
from xai_bench import Architecture, Explainer, register

loaded = []

@register
class Slow(Architecture):
    name = "slow"
    def build(self, d, n_outputs, generator):
        time.sleep(0.4)
        return torch.nn.Sequential(torch.nn.Linear(d, n_outputs))

@register
class Loads(Explainer):
    "Loads a library when it is first used"
    name = "loads"
    def relevance(self, problem):
        if not loaded:
            time.sleep(0.4)
            loaded.append(True)
        return problem.X_train.var(0)
"""


def test_training_and_loading_are_charged_to_no_method(small, tmp_path, plugin_registry, standing_clock):
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW)
    plugin_registry.load_plugin(plugin)
    small |= {"models": [{"name": "slow", "min_steps": 10}], "explainers": [{"name": "loads"}, {"name": "saliency"}]}
    cells = run({**small, "retention": None}, out=tmp_path).cells.set_index("explainer").loc[["loads", "saliency"]]
    assert list(cells["train_wall"]) == pytest.approx([0.4, 0.4])
    assert (cells["setup_wall"] + cells["explain_wall"] == 0).all()


# Memory that Python does not allocate itself is missed by tracemalloc.


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_memory_of_torch_counts_for_the_method_that_takes_it():
    def taken(megabytes):
        start = reset_peak_memory()
        torch.ones(megabytes * 2**18).sum()
        return (peak_memory() - start) / 2**20

    taken(1)
    assert 190 < taken(200) < 300
    assert 5 < taken(10) < 50, "neither more nor less after a hungry one"


# Hard pins, and heavy libraries that nobody uses: Quantus, issue 142; AIX360, issues 98 and 126.

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BY_PANDAS = {"openpyxl": "ExcelFile"}
"""What pandas needs for a function that is called."""
EXTRAS = [
    line
    for name, lines in PROJECT["optional-dependencies"].items()
    if name not in ("dev", "browser", "docs")
    for line in lines
]


OF_BENCHMARKS = PROJECT["optional-dependencies"]["examples"]
MODULES = {
    "scikit-learn": "sklearn", "sage-importance": "sage", "interpret-core": "interpret", "xgboost-cpu": "xgboost",
}  # fmt: skip
"""Distributions whose module has another name."""


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], *EXTRAS])
def test_requirements_are_used_and_have_no_upper_bound(requirement):
    found = re.fullmatch(r"([a-z0-9-]+)>=[\d.]+(; sys_platform [!=]= 'darwin')?", requirement)
    assert found, f"{requirement}: expected a lower bound only"
    module = MODULES.get(found[1], found[1].replace("-", "_"))
    used = (
        rf"^\s*(import|from) {module}\b|[\"']{module}[\"'.]"
        if module not in BY_PANDAS
        else rf"\bpd\.{BY_PANDAS[module]}\("
    )
    imports = re.compile(used, re.MULTILINE)
    folder = ROOT / ("benchmarks" if requirement in OF_BENCHMARKS else "xai_bench")
    assert any(imports.search(file.read_text(encoding="utf-8")) for file in folder.rglob("*.py"))
