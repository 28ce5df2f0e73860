"""The run loop and the store: the same bits however a run is cut up, failures stored, nothing lost."""

from __future__ import annotations

import inspect
import shutil
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from xai_bench import forecast, read, run
from xai_bench.errors import InputError
from xai_bench.results.records import Costs
from xai_bench.running import loop
from xai_bench.running.followups.retention import RetentionTask
from xai_bench.running.request import Request

COSTS = [*Costs.__annotations__, "train_cpu", "train_wall"]
NAMES = ["dataset", "model", "explainer", "data_seed", "model_seed", "fold", "metric", "k"]


def scores(results):
    """All numbers but costs, whichever machine they are from."""
    table = results.table().drop(columns="machine", errors="ignore")
    return table[~table["metric"].isin(COSTS)].reset_index(drop=True)


def assert_same(first, second):
    pd.testing.assert_frame_equal(scores(first), scores(second), check_exact=True)
    assert first.relevance.keys() == second.relevance.keys()
    for key, values in first.relevance.items():
        np.testing.assert_array_equal(values, second.relevance[key])


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    from tests.conftest import TINY_SUITE

    return run(TINY_SUITE, out=tmp_path_factory.mktemp("reference"))


@pytest.fixture
def finished(reference, tmp_path):
    """The folder of a run of its own that has all that ``reference`` has."""
    own = tmp_path / "finished"
    shutil.copytree(reference.folder.parents[1], own)
    return own


FAILING = """
from xai_bench import Explainer, register
import os, pathlib
@register
class Sometimes(Explainer):
    name = "sometimes"
    needs = "data"
    def relevance(self, problem):
        if pathlib.Path({flag!r}).exists():
            raise RuntimeError("no luck")
        return problem.X_train.var(0)
"""


@pytest.fixture
def failing(tiny, tmp_path, plugin_registry):
    """A suite with an explainer that fails, and the file whose removal ends that."""
    flag, plugin = tmp_path / "flag", tmp_path / "sometimes.py"
    flag.touch()
    plugin.write_text(FAILING.format(flag=str(flag)))
    plugin_registry.load_plugin(plugin)
    return {**tiny, "explainers": [{"name": "sometimes"}, {"name": "spectral"}]}, flag


def test_every_cell_is_done_or_unsupported(reference):
    cells = reference.cells
    assert set(cells["status"]) == {"done", "unsupported"}
    assert (cells.loc[cells["status"] == "unsupported", "reason"] != "").all()
    assert len(cells) == 4 * 2 + 2 * 2 * (2 * (2 + 3) + 1)
    trained = cells[cells["model"] != ""]
    assert trained[["train_score", "test_score", "chance", "p_value"]].notna().all().all()


def test_oracle_scores_one_and_random_chance(reference):
    found = reference.measurements
    draw = next(iter(reference.draws.values()))
    truth = found[found["dataset"] == "gaussian_correlated"]
    for metric, chance in draw["chance"].items():
        if chance is None or metric == "support_precision":  # a ranking has no support
            continue
        oracle = truth[(truth["explainer"] == "oracle") & (truth["metric"] == metric)]["value"]
        assert (oracle == 1.0).all()
        assert len(oracle) > 0
        random = truth[(truth["explainer"] == "random") & (truth["metric"] == metric)]["value"]
        error = truth[(truth["explainer"] == "random") & (truth["metric"] == f"{metric}_se")]["value"]
        assert (np.abs(random.to_numpy() - chance) < 4 * error.to_numpy()).all()


def test_a_run_that_was_interrupted_goes_on_to_the_same_bits(reference, tiny, tmp_path):
    def stop(progress):
        if progress.finished > 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny, out=tmp_path, on_progress=stop)
    halfway = read(tmp_path / "runs" / "tiny").cells["status"]
    assert 0 < (halfway == "missing").sum() < len(halfway)
    assert_same(reference, run(tiny, out=tmp_path))


def test_a_second_run_computes_nothing(reference, finished, tiny, monkeypatch):
    monkeypatch.setattr(loop.Loop, "_store_block", lambda *_: pytest.fail("a block was computed again"))
    monkeypatch.setattr(loop.Loop, "_store_followup", lambda *_: pytest.fail("a follow-up was computed again"))
    again = run(tiny, out=finished)
    assert_same(reference, again)
    pd.testing.assert_frame_equal(reference.cells, again.cells)


def test_a_part_of_a_suite_keeps_the_rest(reference, tiny, tmp_path):
    part = run(tiny, out=tmp_path, datasets=["diabetes"], explainers=["saliency"])
    done = part.cells[part.cells["status"] == "done"]
    assert set(done["dataset"]) == {"diabetes"}
    assert set(done["explainer"]) == {"saliency", "random"}
    assert_same(reference, run(tiny, out=tmp_path))


def test_models_narrow_a_suite_as_datasets_and_explainers_do(reference, tiny, tmp_path):
    foreseen = forecast(tiny, out=tmp_path, models=["mlp"], datasets=["diabetes"])
    part = run(tiny, out=tmp_path, models=["mlp"], datasets="diabetes", explainers=["saliency", "spectral"])
    computed = part.cells[part.cells["status"] != "missing"]
    assert set(zip(computed["dataset"], computed["model"], strict=True)) == {("diabetes", "mlp")}
    assert set(computed["explainer"]) == {"saliency", "spectral", "random", "oracle"}
    assert (foreseen.cells, foreseen.trainings, len(computed)) == (2 * (2 + 3), 2, 2 * (2 + 2))
    assert_same(reference, run(tiny, out=tmp_path))


@pytest.mark.parametrize(
    "labels",
    [
        {"models": ["mlp"], "explainers": ["mutual_information"]},
        {"models": ["spectral_mlp"], "datasets": ["diabetes"]},
    ],
)
@pytest.mark.parametrize("ask", [run, forecast])
def test_labels_that_never_occur_together(tiny, tmp_path, ask, labels):
    tiny["models"] = [{**tiny["models"][0], "datasets": ["gaussian_correlated"]}, tiny["models"][1]]
    with pytest.raises(InputError, match=r"expected labels that occur together in the suite 'tiny', got .*models"):
        ask(tiny, out=tmp_path, **labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ask", [run, forecast])
def test_arguments_are_those_of_a_request(tiny, ask):
    assert list(inspect.signature(ask).parameters) == [f.name for f in fields(Request)]
    assert all(f"{f.name}" in ask.__doc__ for f in fields(Request))
    with pytest.raises(TypeError, match="dataset"):
        ask(tiny, dataset=["diabetes"])
    with pytest.raises(TypeError, match="positional"):
        ask(tiny, "folder")


def test_parts_that_were_run_elsewhere_are_taken_and_not_computed(reference, tiny, tmp_path, monkeypatch):
    names = [entry["name"] for entry in tiny["datasets"]]
    parts = [tmp_path / name / "runs" / "tiny" for name in names]
    for name in names:
        run(tiny, out=tmp_path / name, datasets=[name])
    nothing = forecast(tiny, out=tmp_path / "whole", known=parts)
    assert (nothing.cells, nothing.trainings) == (0, 0)
    assert nothing.followups == (("retention", "draw", 0),)
    assert not (tmp_path / "whole").exists()
    monkeypatch.setattr(loop.Loop, "_store_block", lambda *_: pytest.fail("a block was computed again"))
    monkeypatch.setattr(loop.Loop, "_store_followup", lambda *_: pytest.fail("a follow-up was computed again"))
    whole = run(tiny, out=tmp_path / "whole", known=parts)
    assert_same(reference, whole)
    assert whole.draws == reference.draws
    assert whole.models.keys() == reference.models.keys()
    assert len(whole.provenance) == 3, "one record a part, and that of this run"
    costs = [read(part).cells.set_index("cell")["explain_cpu"].dropna() for part in parts]
    pd.testing.assert_series_equal(
        whole.cells.set_index("cell")["explain_cpu"].dropna().sort_index(), pd.concat(costs).sort_index()
    )
    again = run(tiny, out=tmp_path / "whole", known=[*parts, tmp_path / "whole" / "runs" / "tiny"])
    assert len(again.provenance) == 4, "what is here already is not taken twice"


def test_a_part_that_was_run_elsewhere_is_completed(reference, tiny, tmp_path):
    part = tmp_path / "part" / "runs" / "tiny"
    run(tiny, out=tmp_path / "part", data_seeds=1, explainers=["saliency", "spectral"])
    foreseen = forecast(tiny, out=tmp_path / "whole", known=[part])
    stored = (read(part).cells["status"] != "missing").sum()
    assert (foreseen.settled, foreseen.cells) == (stored, 52 - stored)
    assert foreseen.trainings == 4, "the networks of one of two data seeds"
    assert_same(reference, run(tiny, out=tmp_path / "whole", known=[part]))


def test_a_cell_under_two_labels_is_taken_once(tiny, tmp_path):
    tiny["datasets"] = [{**tiny["datasets"][0], "label": label} for label in ("one", "other")]
    first = run(tiny, out=tmp_path / "there")
    assert first.cells["cell"].duplicated().any()
    second = run(tiny, out=tmp_path / "here", known=[tmp_path / "there" / "runs" / "tiny"])
    assert_same(first, second)
    assert len(second.provenance) == 2


def test_a_fresh_start_does_not_forget_what_it_is_to_take(tiny, tmp_path):
    before = run(tiny, out=tmp_path, datasets=["diabetes"])
    own = tmp_path / "runs" / "tiny"
    for ask in (run, forecast):
        with pytest.raises(InputError, match="what a fresh start forgets"):
            ask(tiny, out=tmp_path, fresh=True, known=[own])
    assert_same(before, read(own))


def test_what_failed_elsewhere_is_not_taken(failing, tmp_path):
    suite, flag = failing
    assert len(run(suite, out=tmp_path / "there").failed)
    flag.unlink()
    assert run(suite, out=tmp_path / "here", known=[tmp_path / "there" / "runs" / "tiny"]).failed.empty


def test_a_folder_without_results_is_not_taken_and_nothing_is_lost(tiny, tmp_path):
    before = run(tiny, out=tmp_path, datasets=["diabetes"])
    with pytest.raises(InputError, match="no results in"):
        run(tiny, out=tmp_path, fresh=True, known=[tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no results in"):
        forecast(tiny, out=tmp_path, known=[tmp_path / "nowhere"])
    assert_same(before, read(tmp_path / "runs" / "tiny"))


def test_more_data_seeds_compute_the_new_ones_only(reference, tiny, tmp_path):
    one = run(tiny, out=tmp_path, data_seeds=1)
    assert set(one.cells["data_seed"]) == {0}
    seen = []
    both = run(tiny, out=tmp_path, data_seeds=2, on_progress=lambda p: seen.append(p.total))
    assert seen[0] == len(both.cells) / 2
    assert_same(reference, both)


def test_adding_an_explainer_changes_no_other_number(reference, tiny, tmp_path):
    tiny["explainers"] = [{"name": "integrated_gradients"}, *tiny["explainers"]]
    more = run(tiny, out=tmp_path)
    old, new = scores(reference), scores(more)
    new = new[new["explainer"] != "integrated_gradients"].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, new, check_exact=True)


def test_a_failed_cell_is_tried_again_and_never_a_result(failing, tmp_path):
    suite, flag = failing
    failed = run(suite, out=tmp_path).failed
    assert set(failed["explainer"]) == {"sometimes"}
    assert failed["reason"].str.contains("RuntimeError: no luck").all()
    flag.unlink()
    assert run(suite, out=tmp_path).failed.empty


def test_a_dataset_that_cannot_be_loaded_is_a_failure_with_a_reason(tiny, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,b,y\n" + "".join(f"{i % 9},{i % 7},0\n" for i in range(60)))
    tiny["datasets"] = [{"name": f"csv:{table}", "target": "y", "kind": "classification"}, *tiny["datasets"]]
    with pytest.raises(InputError, match="one class"):
        run(tiny, out=tmp_path)


def test_the_table_is_tidy(reference):
    table = reference.table()
    assert not table.duplicated(NAMES).any()
    assert {"retention_retrained_gain", "retention_masked", "explain_cpu", "auroc"} <= set(table["metric"])
    missing = table[table["value"].isna() & (table["status"] == "done") & (table["metric"] != "peak_memory")]
    assert (missing["reason"] != "").all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jobs": 0}, "jobs"),
        ({"data_seeds": 0}, "data_seeds"),
        ({"datasets": ["diabets"]}, "did you mean diabetes"),
        ({"models": ["mpl"]}, "did you mean mlp"),
        ({"explainers": ["spectrl"]}, "did you mean spectral"),
    ],
)
def test_bad_arguments(tiny, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        run(tiny, out=tmp_path, **arguments)


def test_retention_that_fails_is_a_reason_and_judged_again(reference, tiny, tmp_path, monkeypatch):
    def broken(_task):
        raise MemoryError("too much")

    monkeypatch.setattr(RetentionTask, "run", broken)
    seen = []
    failed = run(tiny, out=tmp_path, on_progress=lambda p: seen.append(list(p.followup_failures)))
    gains = failed.measurements[failed.measurements["metric"] == "retention_retrained_gain"]
    assert gains["reason"].str.contains("MemoryError: too much").all()
    assert len(seen[-1]) == 4  # two datasets, two data seeds
    monkeypatch.undo()
    assert_same(reference, run(tiny, out=tmp_path))


METRIC = """
from xai_bench import Metric, register

def top(relevance, truth):
    return float(truth.relevant[relevance.argmax()])

register(Metric("top", top, lambda truth: truth.n_relevant / len(truth.roles), 0.0, 1.0, "top input is relevant"))
"""


def test_a_new_metric_scores_what_is_stored_and_explains_nothing_again(
    reference, finished, tiny, tmp_path, plugin_registry, monkeypatch
):
    plugin = tmp_path / "metric.py"
    plugin.write_text(METRIC)
    plugin_registry.load_plugin(plugin)
    with monkeypatch.context() as patched:
        patched.setattr(loop.Loop, "_store_block", lambda *_: pytest.fail("a block was computed again"))
        scored = run(tiny, out=finished)
    fresh = run(tiny, out=tmp_path / "fresh")
    assert_same(scored, fresh)
    found = scored.measurements[scored.measurements["metric"] == "top"]
    done = reference.measurements[reference.measurements["metric"] == "auroc"]
    assert len(found) == len(done)
    assert (found.loc[found["explainer"] == "oracle", "value"] == 1).all()


PLUGIN_FAMILY = """
import numpy as np
import torch
from xai_bench import Architecture, DataSource, Explainer, GroundTruth, Table, register

@register
class Line(DataSource):
    "y = x1"
    name = "line"
    n: int = 100
    def draw(self, rng):
        X = rng.normal(size=(self.n, 4))
        return Table(X, X[:, 0], "regression", GroundTruth(("relevant", "noise", "noise", "noise")))

@register
class Linear(Architecture):
    "One dense layer"
    name = "linear"
    def build(self, d, n_outputs, generator):
        layer = torch.nn.Linear(d, n_outputs)
        with torch.no_grad():
            layer.weight.normal_(generator=generator)
        return torch.nn.Sequential(layer)

@register
class Spread(Explainer):
    "Variance of the inputs"
    name = "spread"
    needs = "data"
    def relevance(self, problem):
        return problem.X_train.var(0)
"""


def test_two_processes_give_the_same_bits_beside_what_a_plugin_has(reference, tiny, tmp_path, plugin_registry):
    """A dataset, a network and a method of a plugin: all are found in the workers."""
    plugin = tmp_path / "family.py"
    plugin.write_text(PLUGIN_FAMILY)
    plugin_registry.load_plugin(plugin)
    names = [entry["name"] for entry in tiny["datasets"]]
    tiny["datasets"] = [*tiny["datasets"], {"name": "line"}]
    linear = {"name": "linear", "min_steps": 300, "datasets": ["line"]}
    tiny["models"] = [*({**entry, "datasets": names} for entry in tiny["models"]), linear]
    tiny["explainers"] = [*tiny["explainers"], {"name": "lrp"}, {"name": "spread"}]
    results = run(tiny, out=tmp_path, jobs=2)
    found = scores(results)
    old = ~found["explainer"].isin(["lrp", "spread"]) & (found["dataset"] != "line")
    pd.testing.assert_frame_equal(scores(reference), found[old].reset_index(drop=True), check_exact=True)
    for key, values in reference.relevance.items():
        np.testing.assert_array_equal(values, results.relevance[key])
    assert set(results.cells.loc[results.cells["explainer"] == "spread", "status"]) == {"done"}
    of_plugin = results.cells[results.cells["model"] == "linear"]
    assert set(of_plugin.loc[of_plugin["explainer"] != "spectral", "status"]) == {"done"}
    assert {"saliency", "column_norm", "lrp"} <= set(of_plugin["explainer"])
    auroc = results.measurements.query("metric == 'auroc' and model == 'linear'").set_index("explainer")["value"]
    assert (auroc[["saliency", "column_norm", "lrp"]] == 1.0).all()
    assert of_plugin["learned"].all()
