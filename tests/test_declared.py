"""What a metric declares is what a report shows and compares by, also where its plugin is not there any more."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import TINY_NET
from tests.reports import build, rows
from xai_bench import Metric, run
from xai_bench.metrics.recovery import auroc
from xai_bench.report.kit.declared import declared
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import of_section
from xai_bench.report.sections.scores import Scores
from xai_bench.results.records import Measurement, MetricFacts
from xai_bench.results.store import Store, read
from xai_bench.scoring.recovery import declaration, metrics

SUITE = {
    "name": "declared",
    "data_seeds": [0, 1],
    "datasets": [{"name": "gaussian_correlated", "n": 200}],
    "models": [{"name": "mlp", **TINY_NET}],
    "explainers": [{"name": "column_norm"}, {"name": "saliency"}, {"name": "f_test"}],
}
PLUGIN = """
from xai_bench import Metric, register

def seven(relevance, truth):
    return 7.0

def none(truth):
    return 0.0

register(Metric("case_metric", seven, none, 0.0, 10.0, "A title of its own", descriptive=True))
"""


@pytest.fixture
def stored(tmp_path, plugin_registry):
    """The results of a run with the plugin, read when it is gone."""
    (tmp_path / "case.py").write_text(PLUGIN)
    plugin_registry.load_plugin(tmp_path / "case.py")
    run(SUITE, out=tmp_path)
    plugin_registry.forget("metrics", "case_metric")
    return read(tmp_path / "runs" / "declared")


def test_a_descriptive_score_of_a_plugin_is_shown_as_declared(stored, tmp_path):
    frames = Frames(stored)
    own = frames.recovery[frames.recovery["metric"] == "case_metric"]
    assert (own["mean"] == 7).all()
    html = of_section(Scores(frames, frames.datasets[0]))[0]
    assert "A title of its own" in html
    assert "case_metric" not in html.replace("_<wbr>", "_")
    assert 'data-order="7" style="--b:0.700"' in rows(html)["saliency"]


def test_facts_of_scores_stay_when_a_run_does_not_know_them(stored, tmp_path):
    run(SUITE, out=tmp_path)
    again = read(tmp_path / "runs" / "declared").metrics
    assert again["case_metric"] == stored.metrics["case_metric"]
    assert again["auroc"] == declaration(auroc)


def test_facts_come_with_what_is_taken_from_another_store(stored, tmp_path):
    run(SUITE, out=tmp_path / "other", known=[tmp_path / "runs" / "declared"])
    taken = read(tmp_path / "other" / "runs" / "declared")
    assert taken.metrics["case_metric"]["title"] == "A title of its own"


def test_bars_of_a_score_that_is_better_lower_are_full_at_the_low_end(tmp_path):
    """Values of AUROC, declared to be errors."""
    results = build(tmp_path)
    results.metrics["auroc"] = replace(declaration(auroc), better="lower", title="Errors")
    results._measurements.loc[results._measurements["cell"] == "0-net-saliency-0", "value"] = 0.0
    html = of_section(Scores(Frames(replace(results, _plan=results._plan.query("data_seed == 0"))), "toy"))[0]
    assert "Errors" in html
    assert "--b:0.000" in rows(html)["spectral"]
    assert 'data-order="0" style="--b:1.000"' in html


def test_stores_without_facts_use_those_that_are_declared_now():
    found = declared(["spearman", "auroc", "of_a_lost_plugin"], {})
    assert list(found) == ["auroc", "spearman", "of_a_lost_plugin"]
    assert (found["spearman"].title, found["spearman"].lower, found["spearman"].best) == ("Spearman", -1, 1)
    assert found["of_a_lost_plugin"].title == "of_a_lost_plugin"
    assert math.isnan(found["of_a_lost_plugin"].best)


def test_facts_are_json_and_bounds_without_end_are_none():
    for metric in metrics():
        facts = declaration(metric)
        assert MetricFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    endless = Metric("endless", lambda r, t: 1.0, lambda t: 0.0, -math.inf, math.inf, "Endless")
    facts = declaration(endless)
    assert (facts.lower, facts.upper) == (None, None)
    assert math.isnan(declared(["endless"], {"endless": facts})["endless"].best)


def test_a_score_without_bounds_has_no_bar(tmp_path):
    results = build(tmp_path)
    with Store(tmp_path / "results.sqlite") as store:
        cell = "0-net-saliency-0"
        store._db.execute("INSERT INTO measurements VALUES (?, ?, ?, ?, ?)", (cell, "lost", 0, 3.5, ""))
        store._db.commit()
        results = store.results()
    assert Measurement("lost", 3.5).metric in Frames(results).metrics
    assert '<td data-order="3.5">3.500' in of_section(Scores(Frames(results), "toy"))[0]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_score_that_is_no_number_costs_the_others_nothing(tmp_path, plugin_registry):
    odd = {"an_array": [0.5], "endless": math.inf}
    for name, value in odd.items():
        plugin_registry.register(Metric(name, lambda r, t, v=value: np.array(v), lambda t: 0.5, 0.0, 1.0, name))
    results = run({**SUITE, "data_seeds": [0], "explainers": [{"name": "column_norm"}]}, out=tmp_path)
    assert set(results.cells["status"]) == {"done"}
    rows = results.measurements.query("explainer == 'column_norm'").set_index("metric")
    assert rows.loc["auroc", "value"] >= 0
    assert rows.loc["an_array", "reason"] == "an_array: expected a number, got a ndarray"
    assert rows.loc["endless", "reason"] == "the value is inf"
