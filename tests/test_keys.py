"""A number depends on its key only: what other code measured, or on other data, is never shown as if it had not."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xai_bench import read, registry, run
from xai_bench.datasets.base import GroundTruth
from xai_bench.errors import InputError
from xai_bench.metrics.base import Metric
from xai_bench.metrics.recovery import auroc
from xai_bench.results.store import Store
from xai_bench.running import loop
from xai_bench.running.followups.retention import RetentionFollowUp
from xai_bench.scoring import recovery, retention, sanity
from xai_bench.suites import plan, reading

SMALL = {
    "name": "small",
    "data_seeds": [0, 1],
    "datasets": [{"name": "gaussian_correlated", "n": 100}],
    "explainers": [{"name": "mutual_information"}, {"name": "f_test"}],
}
LABELS = ("f_test", "mutual_information", "oracle", "random")
STALE_METRIC = """
from xai_bench import Metric, register

worst = register(
    Metric("case_metric", lambda relevance, truth: 7.0, lambda truth: 0.5, 0.0, 10.0, "A title", descriptive=True)
)
"""
TRUTH = GroundTruth(("relevant", "relevant", "noise"), np.array([0.9, 0.4, 0.0]))


@pytest.fixture
def nothing_again(monkeypatch):
    """From the call on, a block that is computed is an error."""
    return lambda: monkeypatch.setattr(loop.Loop, "_store_block", lambda *_: pytest.fail("a block was computed again"))


def values(results, metric: str) -> pd.Series:
    found = results.measurements[results.measurements["metric"] == metric]
    return found.groupby("explainer")["value"].apply(list)


# Metrics: what changed is scored again from what is stored.


def test_a_changed_metric_is_scored_again(tmp_path, plugin_registry, nothing_again):
    plugin = tmp_path / "stale_metric.py"
    plugin.write_text(STALE_METRIC)
    registry.load_plugin(plugin)
    first = run(SMALL, out=tmp_path)
    assert values(first, "case_metric").to_dict() == {label: [7.0, 7.0] for label in LABELS}
    plugin.write_text(STALE_METRIC.replace("7.0", "3.0").replace("0.5,", "0.25,"))
    registry.load_plugin(plugin)
    nothing_again()
    second = run(SMALL, out=tmp_path)
    assert values(second, "case_metric").to_dict() == {label: [3.0, 3.0] for label in LABELS}
    assert {content["chance"]["case_metric"] for content in second.draws.values()} == {0.25}
    others = [
        table[~table["metric"].str.startswith("case_metric")] for table in (first.measurements, second.measurements)
    ]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in others), check_exact=True)


@pytest.mark.parametrize("change", [{"version": 2}, {"reads": "values"}, {"depends_on": ("table.txt",)}])
def test_what_a_metric_declares_of_its_numbers_counts(tmp_path, monkeypatch, change):
    register(monkeypatch, "case_version")
    before = recovery.identities()
    if "depends_on" in change:
        (tmp_path / "table.txt").write_text("1")
        monkeypatch.chdir(tmp_path)
        change = {"depends_on": (str(tmp_path / "table.txt"),)}
    register(monkeypatch, "case_version", **change)
    after = recovery.identities()
    assert {name for name in before if before[name] != after[name]} == {"case_version"}


def register(monkeypatch, name: str, score=lambda relevance, truth: 0.5, **fields) -> Metric:
    """A metric that is known for the time of one test."""
    metric = Metric(name, score, lambda truth: 0.5, 0.0, 1.0, "a title", **fields)
    monkeypatch.setitem(registry._registered["metrics"], name, metric)
    place = registry.Place(globals(), __file__, 1)
    monkeypatch.setitem(registry._origins, ("metrics", name), place)
    return metric


def test_a_raised_version_scores_again_and_an_undefined_score_goes(tmp_path, monkeypatch, nothing_again):
    register(monkeypatch, "case_version", lambda relevance, truth: 0.5)
    run(SMALL, out=tmp_path)
    register(monkeypatch, "case_version", lambda relevance, truth: None, version=2)
    nothing_again()
    assert not len(values(run(SMALL, out=tmp_path), "case_version"))


def test_a_metric_that_is_gone_keeps_its_numbers(tmp_path, monkeypatch, nothing_again):
    with monkeypatch.context() as known:
        register(known, "case_gone")
        first = run(SMALL, out=tmp_path)
    nothing_again()
    assert values(run(SMALL, out=tmp_path), "case_gone").to_dict() == values(first, "case_gone").to_dict()


def test_cells_outside_of_the_suite_are_scored_again_when_they_are_back(tmp_path, monkeypatch, nothing_again):
    register(monkeypatch, "case_version", lambda relevance, truth: 0.1)
    run(SMALL, out=tmp_path)
    register(monkeypatch, "case_version", lambda relevance, truth: 0.2, version=2)
    run({**SMALL, "explainers": SMALL["explainers"][:1]}, out=tmp_path)
    nothing_again()
    assert set(values(run(SMALL, out=tmp_path), "case_version").explode()) == {0.2}


def test_cells_that_are_taken_from_another_run_are_scored_again(tmp_path, monkeypatch, nothing_again):
    register(monkeypatch, "case_version", lambda relevance, truth: 0.1)
    run(SMALL, out=tmp_path / "a")
    register(monkeypatch, "case_version", lambda relevance, truth: 0.2, version=2)
    run({**SMALL, "explainers": SMALL["explainers"][:1]}, out=tmp_path / "b")
    nothing_again()
    taken = run(SMALL, out=tmp_path / "b", known=[tmp_path / "a" / "runs" / "small"])
    assert set(values(taken, "case_version").explode()) == {0.2}


def test_a_store_that_does_not_know_its_metrics_is_scored_again(tmp_path, nothing_again):
    first = run(SMALL, out=tmp_path)
    with Store(tmp_path / "runs" / "small" / "results.sqlite") as store, store._db:
        store._db.execute("DELETE FROM scored")
        store._db.execute("UPDATE measurements SET value = -5 WHERE metric = 'auroc'")
    nothing_again()
    again = run(SMALL, out=tmp_path)
    pd.testing.assert_frame_equal(first.measurements, again.measurements, check_exact=True)


def test_a_second_run_scores_nothing(tmp_path, monkeypatch):
    run(SMALL, out=tmp_path)
    monkeypatch.setattr(Store, "add_scores", lambda *_: pytest.fail("it was scored again"))
    run(SMALL, out=tmp_path)


def test_a_metric_gets_copies():
    def destructive(relevance, truth):
        relevance /= relevance.sum()
        truth.relevance[:] = 0
        return 1.0

    relevance, grades = np.array([3.0, 2.0, 1.0]), TRUTH.relevance.copy()
    metric = replace(auroc, function=destructive, chance=lambda truth: destructive(np.ones(3), truth))
    metric(relevance, TRUTH)
    metric.chance_of(TRUTH)
    assert relevance.tolist() == [3.0, 2.0, 1.0]
    assert (TRUTH.relevance == grades).all()


def test_a_metric_that_overwrites_relevances_changes_no_cell(tmp_path, monkeypatch):
    def destructive(relevance, truth):
        relevance /= relevance.sum()
        return 1.0

    alone = run(SMALL, out=tmp_path / "alone")
    register(monkeypatch, "aaa_destructive", destructive)
    beside = run(SMALL, out=tmp_path / "beside")
    for key, relevance in alone.relevance.items():
        np.testing.assert_array_equal(relevance, beside.relevance[key])
    table = beside.measurements[~beside.measurements["metric"].str.startswith("aaa_")].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.measurements, table, check_exact=True)


# Explainers of plugins and scripts.

SCRIPT = """
import numpy as np
from xai_bench import Explainer, register

@register
class Mine(Explainer):
    name = "case_script"
    needs = "data"
    def relevance(self, problem):
        return np.arange(problem.d) + 1.0
"""


def test_an_edited_class_of_a_script_is_another_cell(tmp_path, plugin_registry):
    def results(text: str):
        (tmp_path / "script.py").write_text(text)
        registry.forget("explainers", "case_script")
        runpy.run_path(str(tmp_path / "script.py"), run_name="the_script")
        found = run({**SMALL, "explainers": [{"name": "case_script"}]}, out=tmp_path)
        cells = found.cells.query("explainer == 'case_script'")
        return {row.draw: (row.cell, found.relevance[row.cell]) for row in cells.itertuples()}

    first = results(SCRIPT)
    second = results(SCRIPT.replace("np.arange(problem.d)", "problem.d - np.arange(problem.d)"))
    for draw, (cell, relevance) in first.items():
        other, reversed_order = second[draw]
        assert other != cell
        np.testing.assert_array_equal(relevance + reversed_order, np.full(len(relevance), len(relevance) + 2.0))
    third = results(SCRIPT + "\n# a comment\nunused = 1\n")
    assert [cell for cell, _ in third.values()] == [cell for cell, _ in first.values()]


# Data: other data under one key are refused.

SOURCE = """
import itertools
import numpy as np
from xai_bench import DataSource, GroundTruth, Table, register

count = itertools.count()

@register
class Drifting(DataSource):
    name = "case_drifting"
    def draw(self, rng):
        X = rng.normal(size=(60, 3)) + {drift}
        return Table(X, X[:, 0], "regression", GroundTruth(("relevant", "noise", "noise")))
"""
DRIFTING = {**SMALL, "datasets": [{"name": "case_drifting"}], "data_seeds": [0, 1, 2]}


def drift(tmp_path: Path, what: str) -> None:
    (tmp_path / "source.py").write_text(SOURCE.format(drift=what))
    registry.load_plugin(tmp_path / "source.py")


def test_data_that_differ_from_those_stored_are_refused(tmp_path, plugin_registry, monkeypatch):
    drift(tmp_path, "next(count)")
    first = run(DRIFTING, out=tmp_path)
    assert set(first.cells["status"]) == {"done"}
    more = {**DRIFTING, "explainers": [*DRIFTING["explainers"], {"name": "lasso"}]}
    second = run(more, out=tmp_path)
    refused = second.cells.query("explainer == 'lasso'")
    assert set(refused["status"]) == {"failed"}
    assert refused["reason"].str.contains(r"data seed \d: other data than before").all()
    assert refused["reason"].str.count("\n").sum() == 0
    for key, content in first.draws.items():
        assert second.draws[key] == content


def test_data_that_workers_see_differently_are_never_mixed(tmp_path, plugin_registry, monkeypatch):
    """Two blocks of one draw, whose data drift between them: what comes second is refused as a whole."""
    from xai_bench.running import describe

    drift(tmp_path, "next(count)")
    monkeypatch.setattr(describe, "load", describe.load.__wrapped__)
    monkeypatch.setattr(loop.Loop, "_submit", _without_hash(loop.Loop._submit))
    net = {"hidden": [4], "epochs": 0.1, "min_steps": 5, "checkpoints": 1}
    suite = {
        **DRIFTING,
        "models": [{"name": "mlp", **net}],
        "explainers": [*DRIFTING["explainers"], {"name": "saliency"}],
    }
    found = run(suite, out=tmp_path)
    status = found.cells.groupby("explainer")["status"].agg(set)
    assert status["f_test"] == {"done"}
    assert status["saliency"] == {"failed"}
    assert not found.models


def _without_hash(submit):
    """Workers are not told what the data must be, as two that begin at the same time."""

    def submitting(self, workers, work):
        self._seen.hash_of = lambda draw: None
        submit(self, workers, work)
        del self._seen.hash_of

    return submitting


def test_follow_ups_of_other_data_are_refused(tmp_path, plugin_registry):
    drift(tmp_path, "next(count)")
    run(DRIFTING, out=tmp_path)
    seen = []
    judged = {**DRIFTING, "retention": {"judge": {"epochs": 0.1, "min_steps": 5, "checkpoints": 1}}}
    run(judged, out=tmp_path, on_progress=lambda p: seen.append(list(p.followup_failures)))
    assert len(seen[-1]) == 3
    assert all("other data than before" in reason for reason in seen[-1])


def test_a_file_that_changes_during_a_run_is_refused(tmp_path):
    table = tmp_path / "table.csv"
    rows = np.random.default_rng(0).normal(size=(60, 3))
    np.savetxt(table, rows, delimiter=",", header="a,b,y", comments="")
    suite = {
        **SMALL,
        "data_seeds": [0, 1, 2],
        "datasets": [{"name": "csv", "path": str(table), "target": "y", "kind": "regression"}],
    }

    def edit(_progress):
        np.savetxt(table, rows + 1, delimiter=",", header="a,b,y", comments="")

    cells = run(suite, out=tmp_path, on_progress=edit).cells
    reasons = cells.loc[cells["status"] == "failed", "reason"]
    assert len(reasons) > 0
    assert reasons.str.contains("changed since the run began").all()


# Keys hold the versions of all they depend on.


@pytest.mark.parametrize("name", ["VERSION", "CONTROL_VERSION", "PERMUTATION_VERSION"])
def test_versions_of_the_plan_are_part_of_the_keys(monkeypatch, name):
    content = {**SMALL, "calibration": {"runs": 20}}

    def keys() -> dict[str, set[str]]:
        blocks = plan.blocks(reading.from_dict(content))
        cells = [(block, cell) for block in blocks for cell in block.cells]
        return {
            "controls": {cell.key for _, cell in cells if cell.explainer is None},
            "null": {cell.key for block, cell in cells if block.draw.permutation is not None},
            "rest": {c.key for block, c in cells if c.explainer is not None and block.draw.permutation is None},
        }

    before = keys()
    monkeypatch.setattr(plan, name, 99)
    after = keys()
    changed = {part for part in before if not before[part] & after[part]}
    assert all(before[part] == after[part] for part in before if part not in changed)
    assert changed == {"VERSION": {*before}, "CONTROL_VERSION": {"controls"}, "PERMUTATION_VERSION": {"null"}}[name]


def test_versions_of_retention_and_sanity_are_part_of_their_keys(monkeypatch):
    (draw,) = plan.draws(reading.from_dict({**SMALL, "data_seeds": [0]}))
    settings = reading.from_dict({**SMALL, "retention": {}}).retention
    before = retention.judge_key(draw, settings), sanity.key()
    monkeypatch.setattr(retention, "VERSION", 99)
    monkeypatch.setattr(sanity, "VERSION", 99)
    assert retention.judge_key(draw, settings) != before[0]
    assert sanity.key() != before[1]


def test_a_new_version_of_retention_judges_again(tmp_path, monkeypatch):
    judged = {**SMALL, "data_seeds": [0], "retention": {"judge": {"epochs": 0.1, "min_steps": 5, "checkpoints": 1}}}
    run(judged, out=tmp_path)
    monkeypatch.setattr(RetentionFollowUp, "version", 99)
    stored = []
    original = loop.Loop._store_followup
    monkeypatch.setattr(loop.Loop, "_store_followup", lambda *given: stored.append(1) or original(*given))
    run(judged, out=tmp_path)
    assert stored == [1]


# Files of a suite.

TOML = """
data_seeds = [0]
plugins = ["own/mine.py"]
[[datasets]]
name = "csv:table.csv"
target = "y"
kind = "regression"
[[datasets]]
name = "csv"
label = "grid"
target = "y"
kind = "regression"
grid = {path = ["table.csv"]}
[[explainers]]
name = "case_suite"
"""


def suite_in(folder: Path) -> Path:
    (folder / "own").mkdir(parents=True)
    method = (
        SCRIPT.replace("case_script", "case_suite")
        .replace("np.arange", "from_helper(np.arange")
        .replace("d) + 1.0", "d) + 1.0)")
    )
    (folder / "own" / "mine.py").write_text(f"from helper import from_helper\n{method}")
    (folder / "own" / "helper.py").write_text("def from_helper(values):\n    return values\n")
    np.savetxt(
        folder / "table.csv", np.random.default_rng(0).normal(size=(60, 3)), delimiter=",", header="a,b,y", comments=""
    )
    (folder / "mine.toml").write_text(TOML)
    return folder / "mine.toml"


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_files_are_looked_for_beside_the_suite_and_in_the_working_directory(
    tmp_path, plugin_registry, monkeypatch, place
):
    path = suite_in(tmp_path / "folder")
    if place == "inside":
        monkeypatch.chdir(path.parent)
        (tmp_path / "other").mkdir()
        path = path.rename(tmp_path / "other" / "mine.toml")
    results = run(path, out=tmp_path)
    assert set(results.cells["status"]) == {"done", "unsupported"}
    assert [entry["label"] for entry in results.suite["datasets"]] == ["table", "grid (path=table.csv)"]
    assert read(tmp_path / "runs" / "mine").cells["cell"].tolist() == results.cells["cell"].tolist()


def test_a_file_beside_the_suite_comes_first(tmp_path, plugin_registry, monkeypatch):
    path = suite_in(tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("not a table")
    assert set(run(path, out=tmp_path).cells["status"]) == {"done", "unsupported"}


@pytest.mark.parametrize("lacking", ["own/mine.py", "table.csv"])
def test_an_error_says_where_it_looked(tmp_path, plugin_registry, lacking):
    path = suite_in(tmp_path / "folder")
    (path.parent / lacking).unlink()
    with pytest.raises(
        InputError, match=rf"expected a file '{lacking}' in the suite's folder '.*folder' or in the"
    ) as e:
        run(path, out=tmp_path)
    assert "\n" not in str(e.value)
    optional = TOML.replace('kind = "regression"', 'kind = "regression"\noptional = true')
    if lacking == "table.csv":
        path.write_text(optional + '[[datasets]]\nname = "xor"\nn = 60\n')
        assert set(run(path, out=tmp_path).cells["dataset"]) == {"xor"}


@pytest.mark.parametrize("plugins", ["mine.py", [3], [""]])
def test_plugins_are_a_list_of_paths(plugins):
    with pytest.raises(
        InputError, match=r"suite: plugins: expected a list of paths, such as plugins = \[\"mine.py\"\]"
    ):
        reading.from_dict({**SMALL, "plugins": plugins})


def test_labels_do_not_depend_on_where_a_suite_is_read_from(tmp_path, plugin_registry):
    found = [reading.load(suite_in(tmp_path / name)) for name in ("one", "two")]
    assert json.dumps(found[0].config()) == json.dumps(found[1].config())
