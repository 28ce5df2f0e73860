"""A part of a suite: run, begun anew, forgotten; what plugins return that no store holds; packs that are known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY_NET
from tests.test_cli import call
from tests.test_run import assert_same, scores
from xai_bench import forecast, pack, read, run
from xai_bench.errors import InputError
from xai_bench.running import loop

PART = {
    "name": "part",
    "data_seeds": [0, 1],
    "datasets": [{"name": "gaussian_correlated", "n": 100}, {"name": "xor", "n": 100, "d": 4}],
    "models": [{"name": "mlp", "group_lasso": 0.0, **TINY_NET}],
    "explainers": [{"name": "saliency"}, {"name": "column_norm"}, {"name": "f_test"}],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of the whole suite, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return run(PART, out=folder), folder


@pytest.fixture
def again(whole, tmp_path):
    """A copy of that run."""
    import shutil

    shutil.copytree(whole[1], tmp_path, dirs_exist_ok=True)
    return tmp_path


def totals(action, *arguments, **options) -> tuple[object, int]:
    """What a run returns, and how many cells it computed."""
    seen = [0]
    return action(*arguments, **options, on_progress=lambda progress: seen.append(progress.total)), seen[-1]


def test_a_fresh_start_of_a_part_forgets_what_is_named_only(whole, again):
    foreseen = forecast(PART, out=again, explainers=["saliency"], data_seeds=1, fresh=True)
    assert (foreseen.cells, foreseen.trainings) == (2, 0), "two datasets; the networks are those of other cells"
    found, computed = totals(run, PART, out=again, explainers=["saliency"], data_seeds=1, fresh=True)
    assert computed == 2
    assert_same(whole[0], found)
    assert (found.cells["status"] == whole[0].cells["status"]).all()
    costs = found.cells["explain_wall"] != whole[0].cells["explain_wall"]
    anew = (found.cells["explainer"] == "saliency") & (found.cells["data_seed"] == 0)
    assert not costs[~anew].any(), "nothing else was computed"


def test_a_fresh_start_of_a_dataset_trains_its_networks_anew(whole, again):
    asked = {"out": again, "datasets": ["xor"], "fresh": True}
    assert forecast(PART, **asked).trainings == 2
    found, computed = totals(run, PART, **asked)
    assert computed == (whole[0].cells["dataset"] == "xor").sum()
    assert_same(whole[0], found)


def test_a_fresh_start_of_the_whole_forgets_everything(whole, again):
    found, computed = totals(run, PART, out=again, fresh=True)
    assert computed == len(found.cells)
    assert len(found.provenance) == 1


@pytest.mark.parametrize("part", [{"data_seeds": 1}, {"datasets": ["xor"]}, {"explainers": ["f_test"]}])
def test_a_run_of_a_part_leaves_the_whole_in_plan_and_report(whole, again, part):
    found, computed = totals(run, PART, out=again, **part)
    assert computed == 0
    assert_same(whole[0], found)
    pd.testing.assert_frame_equal(found.cells, whole[0].cells)
    assert found.suite == whole[0].suite


def test_more_data_seeds_are_added_to_those_of_the_plan(whole, again):
    found, computed = totals(run, {**PART, "data_seeds": [1]}, out=again, data_seeds=3, explainers=["f_test"])
    assert found.suite["data_seeds"] == [0, 1, 2]
    assert computed == 2 * 3, "f_test and its controls on the third data seed of two datasets"
    old = found.cells[found.cells["data_seed"] < 2].set_index("cell")["status"]
    pd.testing.assert_series_equal(old.sort_index(), whole[0].cells.set_index("cell")["status"].sort_index())


def test_what_was_forgotten_is_computed_again(whole, again, capsys):
    code, out, _ = call("forget", again, "--explainers", "saliency,f_test", "--datasets", "xor", capsys=capsys)
    assert code == 0
    assert "forgotten: 4 cells, " in out
    assert "; explainers f_test, saliency; models mlp; datasets xor" in out
    left = read(again)
    assert (left.cells["status"] == "missing").sum() == 4
    assert len(left.models) == len(whole[0].models)
    found, computed = totals(run, PART, out=again)
    assert computed == 4
    assert_same(whole[0], found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name what is to be forgotten"),
        (("--explainers", "salency"), "did you mean saliency"),
        (("--models", "mlpp"), "did you mean mlp"),
        (("--datasets", "zzz"), "unknown dataset 'zzz': known: gaussian_correlated, xor"),
    ],
)
def test_mistakes_of_forget_are_one_line(again, capsys, arguments, message):
    code, _, err = call("forget", again, *arguments, capsys=capsys)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_pack_report_and_export_read_one_another(whole, again, tmp_path, capsys):
    code, out, _ = call("pack", again, "--out", tmp_path / "p" / "part.xaipack", capsys=capsys)
    assert code == 0
    assert out.startswith(f"written: {tmp_path / 'p' / 'part.xaipack'} (")
    path = tmp_path / "p" / "part.xaipack"
    tables = [call("export", place, capsys=capsys)[1] for place in (again, again / "runs" / "part", path)]
    assert tables[0] == tables[1] == tables[2]
    assert call("report", path, "--jobs", 1, capsys=capsys)[0] == 0
    assert (tmp_path / "p" / "reports" / "part" / "index.html").exists()
    for command in (("export", tmp_path / "nowhere"), ("pack", tmp_path / "nowhere"), ("report", tmp_path / "p")):
        code, _, err = call(*command, capsys=capsys)
        assert code == 2
        assert "no results" in err


def test_a_fresh_start_removes_a_damaged_store_and_nothing_else_does(again):
    path = again / "runs" / "part" / "results.sqlite"
    path.write_bytes(path.read_bytes()[:6000])
    for asked in ({}, {"datasets": ["xor"]}, {"datasets": ["xor"], "fresh": True}):
        with pytest.raises(InputError, match="damaged"):
            run(PART, out=again, **asked)
    assert path.stat().st_size == 6000
    part = {**PART, "datasets": PART["datasets"][1:], "models": [], "explainers": [{"name": "f_test"}]}
    assert set(run(part, out=again, fresh=True).cells["status"]) == {"done"}


def test_a_run_takes_what_a_pack_has(whole, tmp_path, monkeypatch):
    path = pack(whole[1], tmp_path / "part.xaipack")
    monkeypatch.setattr(loop.Loop, "_store_block", lambda *_: pytest.fail("a block was computed"))
    found = run(PART, out=tmp_path, known=[path])
    pd.testing.assert_frame_equal(scores(found), scores(whole[0]), check_exact=True)
    monkeypatch.undo()
    more = {**PART, "explainers": [*PART["explainers"], {"name": "input_x_gradient"}]}
    assert_networks_are_trained_for(more, tmp_path, path)


def assert_networks_are_trained_for(more, folder, path):
    """An explainer that a pack does not have needs its networks, which come out with the same bits."""
    found, computed = totals(run, more, out=folder / "more", known=[path])
    assert computed == 4
    expected = run(more, out=folder / "alone")
    pd.testing.assert_frame_equal(scores(found), scores(expected), check_exact=True)


def test_a_fresh_part_on_another_device_replaces_that_part_only(again):
    import sqlite3

    db = sqlite3.connect(again / "runs" / "part" / "results.sqlite")
    with db:
        db.execute("UPDATE provenance SET content = json_set(content, '$.device', 'cuda (a card)')")
        db.execute("UPDATE models SET content = json_set(content, '$.trained_on.device', 'cuda (a card)')")
    db.close()
    before = read(again)
    after = run(PART, out=again, datasets=["xor"], fresh=True)
    assert_same(before, after)
    there = after.cells["machine"].str.endswith("cuda (a card)")
    assert (there == (after.cells["dataset"] != "xor")).all()
    assert after.devices == ["cuda (a card)", "cpu"]


@pytest.mark.parametrize("name", ["data_seeds", "jobs"])
@pytest.mark.parametrize("number", [[0], 1.5, "two", True])
def test_what_is_no_number_is_one_line(name, number, tmp_path):
    for action in (run, forecast):
        with pytest.raises(InputError, match=rf"^{name}: expected a whole number, got .*: say how many.*$") as raised:
            action(PART, out=tmp_path, **{name: number})
        assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


# What plugins return and the store could not hold


PLUGIN = """
import math
import numpy as np
from xai_bench import Explainer, Metric, register

@register
class Bad(Explainer):
    name = "bad"
    needs = "data"
    how: str = "surrogate"
    def relevance(self, problem):
        if self.how == "surrogate":
            raise RuntimeError("\\udc80 \\x00 \\x1b[31m")
        class NoText(Exception):
            def __str__(self):
                raise ValueError("none")
        raise NoText

def single(relevance, truth):
    return np.float32(0.5)

def endless(relevance, truth):
    return -math.inf

register(Metric("single", single, lambda truth: np.float32(0.25), 0.0, 1.0, "single"))
register(Metric("endless", endless, lambda truth: math.nan, 0.0, 1.0, "endless"))
"""
COMPLEX = """
from xai_bench import Metric, register
register(Metric("imaginary", lambda relevance, truth: 1j, lambda truth: 0.5, 0.0, 1.0, "imaginary"))
"""
SMALL = {
    "name": "small",
    "data_seeds": [0],
    "datasets": [{"name": "xor", "n": 100, "d": 4}],
    "explainers": [{"name": "f_test"}],
}


@pytest.mark.parametrize("jobs", [None, 1])
def test_what_plugins_return_stops_no_run_and_no_later_one(tmp_path, plugin_registry, capsys, jobs):
    (tmp_path / "bad.py").write_text(PLUGIN)
    plugin_registry.load_plugin(tmp_path / "bad.py")
    bad = [{"name": "bad", "label": how, "how": how} for how in ("surrogate", "no_text")]
    suite = {**SMALL, "explainers": [*SMALL["explainers"], *bad]}
    for _ in range(2 if jobs is None else 1):  # what failed is tried again
        results = run(suite, out=tmp_path, jobs=jobs)
        reasons = results.failed.set_index("explainer")["reason"]
        assert set(reasons.index) == {"surrogate", "no_text"}
        assert reasons["surrogate"].startswith("RuntimeError: \ufffd")
        assert reasons["no_text"].startswith("NoText")
        table = read(tmp_path).table()
        assert set(table.query("metric == 'single'")["value"]) == {0.5}
        endless = table.query("metric == 'endless' and explainer == 'f_test'")
        assert endless["value"].isna().all()
        assert set(endless["reason"]) == {"the value is -inf"}
        (draw,) = results.draws.values()
        assert (draw.chance["single"], draw.chance["endless"]) == (0.25, None)
        assert json.dumps(draw.to_json(), allow_nan=False)
    assert results.metrics["single"].title == "single"


def test_a_score_that_is_no_number_is_a_reason_in_its_own_rows(tmp_path, plugin_registry):
    (tmp_path / "complex.py").write_text(COMPLEX)
    plugin_registry.load_plugin(tmp_path / "complex.py")
    results = run(SMALL, out=tmp_path)
    assert results.failed.empty
    own = results.measurements.query("metric == 'imaginary'").set_index("explainer")
    assert own["value"].isna().all()
    assert own.loc["f_test", "reason"] == "imaginary: expected a number, got a complex"
    assert "complex" in own.loc["random", "reason"]
    assert results.measurements.query("metric == 'auroc'")["value"].notna().all()


def test_a_new_metric_that_is_no_number_stops_nothing(tmp_path, plugin_registry):
    run(SMALL, out=tmp_path)
    (tmp_path / "complex.py").write_text(COMPLEX)
    plugin_registry.load_plugin(tmp_path / "complex.py")
    found = run(SMALL, out=tmp_path).measurements.query("metric == 'imaginary' and explainer == 'f_test'")
    assert found["value"].isna().all()
    assert found["reason"].str.contains("expected a number").all()


def one_in_training(folder):
    """A table of 500 rows whose target is 1 in one row, which is a training row of the first data seed, else 0."""
    from xai_bench import registry

    inputs = np.random.default_rng(0).normal(size=(500, 3))
    for row in range(500):
        table = pd.DataFrame(inputs, columns=["a", "b", "c"]).assign(y=(np.arange(500) == row).astype(int))
        path = folder / "table.csv"
        table.to_csv(path, index=False)
        data = registry.create("datasets", f"csv:{path}", {"target": "y", "kind": "regression"}).load(0, None)
        if data.y_train.any() and not data.y_valid.any():
            assert not data.y_test.any()
            return path
    raise AssertionError("no such row")


def test_a_target_that_is_constant_on_the_test_rows_is_a_reason(tmp_path):
    table = one_in_training(tmp_path)
    suite = {
        **SMALL,
        "datasets": [{"name": f"csv:{table}", "target": "y", "kind": "regression"}],
        "models": [{"name": "mlp", "group_lasso": 0.0, **TINY_NET}],
        "explainers": [{"name": "saliency"}, {"name": "f_test"}],
        "retention": {"judge": {"epochs": 0.1, "min_steps": 20, "checkpoints": 1}},
    }
    for _ in range(3):
        results = run(suite, out=tmp_path)
        assert set(results.cells["status"]) <= {"done", "unsupported"}
        (facts,) = results.models.values()
        assert facts.test_score is None
        assert facts.reasons["test_score"]
        none = results.measurements[results.measurements["value"].isna()]
        assert (none["reason"] != "").all()
    forecast(suite, out=tmp_path)
    read(pack(tmp_path, tmp_path / "small.xaipack")).table()
