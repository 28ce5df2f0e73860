"""Null runs: planned apart, the same bits as anything else, never among the results, and thresholds that hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xai_bench import run
from xai_bench.datasets.base import GroundTruth
from xai_bench.errors import InputError
from xai_bench.report.kit.frames import Frames
from xai_bench.results import selections
from xai_bench.running.describe import load
from xai_bench.suites import plan, reading

CORRELATION = """
import numpy as np
from xai_bench import Explainer, register

@register
class Correlation(Explainer):
    "Absolute correlation with the target"
    name = "correlation"
    needs = "data"
    def relevance(self, problem):
        X, y = problem.X_train.numpy().astype(float), problem.y_train.numpy().astype(float)
        return np.abs((X - X.mean(0)).T @ (y - y.mean())) / len(y)
"""
NET = {"hidden": [6], "epochs": 0.1, "min_steps": 20, "checkpoints": 1}
SUITE = {
    "name": "nulls",
    "data_seeds": [0, 1, 2],
    "datasets": [
        {"name": "linear_sparse", "n": 300, "d": 16, "relevant": 2},
        {"name": "null", "n": 300, "d": 12},
        {"name": "diabetes"},
    ],
    "models": [{"name": "mlp", **NET}, {"name": "spectral_mlp", **NET}],
    "explainers": [{"name": "correlation"}, {"name": "column_norm"}],
    "calibration": {"datasets": ["linear_sparse", "null"], "models": ["mlp"]},
}


@pytest.fixture
def correlation(tmp_path, plugin_registry):
    path = tmp_path / "correlation.py"
    path.write_text(CORRELATION)
    plugin_registry.load_plugin(path)


def test_null_runs_are_planned_apart_and_change_no_key(correlation):
    plain = plan.blocks(reading.from_dict({k: v for k, v in SUITE.items() if k != "calibration"}))
    both = plan.blocks(reading.from_dict(SUITE))
    assert both[: len(plain)] == plain
    nulls = both[len(plain) :]
    assert len(nulls) == 2 * 40 * 2  # datasets, permutations, with and without a network
    assert {block.draw.dataset.label for block in nulls} == {"linear_sparse", "null"}
    assert {block.model_label for block in nulls} == {"", "mlp"}
    assert all(cell.explainer is not None for block in nulls for cell in block.cells)
    keys = [cell.key for block in both for cell in block.cells]
    assert len(set(keys)) == len(keys)
    more = plan.blocks(reading.from_dict({**SUITE, "calibration": {**SUITE["calibration"], "runs": 25}}))
    assert {cell.key for block in nulls for cell in block.cells} < {cell.key for block in more for cell in block.cells}


def test_a_null_draw_is_its_draw_with_permuted_targets(correlation):
    found = reading.from_dict(SUITE)
    real, null, other = load(plan.draws(found)[0]), *map(load, plan.null_draws(found)[:2])
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(real, f"X_{part}"), getattr(null, f"X_{part}"))
        y, permuted = getattr(real, f"y_{part}"), getattr(null, f"y_{part}")
        assert not np.array_equal(y, permuted)
        np.testing.assert_array_equal(np.sort(y), np.sort(permuted))
    assert not np.array_equal(null.y_train, other.y_train)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"runs": 19}, "runs"),
        ({"datasets": ["nul"]}, "did you mean null"),
        ({"explainers": ["saliency"]}, "unknown explainer 'saliency'"),
        ({"modells": []}, "did you mean models"),
        ({"datasets": 3}, "datasets"),
    ],
)
def test_a_mistake_is_one_clear_line(correlation, table, message):
    for name in ("calibration", "sanity"):
        if name == "sanity" and "runs" in table:
            continue
        with pytest.raises(InputError, match=rf"^\[{name}\].*{message}"):
            reading.from_dict({**SUITE, name: table})


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    from xai_bench import registry

    folder = tmp_path_factory.mktemp("nulls")
    (folder / "correlation.py").write_text(CORRELATION)
    registry.load_plugin(folder / "correlation.py")
    fewer = {"data_seeds": [0, 1], "datasets": SUITE["datasets"][:2], "models": SUITE["models"][:1]}
    yield Frames(run({**SUITE, **fewer}, out=folder))
    registry.forget("explainers", "correlation")


def test_null_cells_are_not_results(frames):
    results = frames.results
    assert (results.null_cells["status"] == "done").all()
    assert len(results.null_cells) == 2 * 40 * 2
    assert sorted(results.null_cells["permutation"].unique()) == list(range(40))
    assert not set(results.null_cells["cell"]) & set(results.cells["cell"])
    assert len(results.cells) == 2 * 2 * (3 + 3)
    assert set(results.measurements["cell"]) <= set(results.cells["cell"])
    assert len(results.draws) == 4


def test_false_selections_of_a_simple_method_are_as_few_as_promised(frames):
    frame = frames.calibration
    assert frame[["dataset", "model", "explainer"]].values.tolist() == [
        [dataset, *pair]
        for dataset in ("linear_sparse", "null")
        for pair in (("no model", "correlation"), ("mlp", "column_norm"))
    ]
    assert (frame["runs"] == 20).all()
    assert (frame["judges"] == 20).all()
    assert frame["false_runs"].between(0, 4).all()
    real = frame.set_index(["dataset", "explainer"]).loc[("linear_sparse", "correlation")]
    assert real["precision_n"] in (1, 2)  # draws of which something is selected
    assert real["recall"] > 0
    null = frame.set_index(["dataset", "explainer"]).loc[("null", "correlation")]
    assert np.isnan(null["precision"])
    assert null["noise_above"] < 0.1


def test_the_leaderboard_of_false_selections_is_the_share_of_noise_above(frames):
    board = frames.results.leaderboard("methods", "false_selections").set_index("name")
    expected = frames.calibration.groupby("explainer")["noise_above"].mean()
    assert board["score"].to_dict() == pytest.approx(expected.to_dict())
    assert list(board["score"]) == sorted(board["score"])
    assert set(board["of_families"]) == {2}
    assert set(frames.results.leaderboard("methods")["of_families"]) == {1}


def test_the_threshold_is_that_of_the_relevances(frames):
    frame = frames.calibration.set_index(["dataset", "explainer"])
    nulls = frames.results.null_cells.query("dataset == 'linear_sparse' and explainer == 'correlation'")
    largest = [
        (r := frames.results.relevance[cell])[np.argmax(r)] / r.sum()
        for cell in nulls.sort_values("permutation")["cell"]
    ]
    row = frame.loc[("linear_sparse", "correlation")]
    assert row["threshold"] == pytest.approx(max(largest[:20]))
    assert row["false_runs"] == sum(value > max(largest[:20]) for value in largest[20:])


def test_the_selection_above_a_threshold():
    truth = GroundTruth(("relevant", "relevant", "noise", "noise", "redundant"))
    relevance = np.array([4.0, 1, 2, 1, 2])  # shares .4, .1, .2, .1, .2
    assert selections.selected(relevance, truth, 0.15) == {"precision": 0.5, "recall": 0.5, "noise_above": 0.5}
    nothing = selections.selected(relevance, truth, 0.5)
    assert np.isnan(nothing["precision"])
    assert nothing["recall"] == nothing["noise_above"] == 0
    blocks = GroundTruth(truth.roles, blocks=((2, 3),))
    assert selections.selected(relevance, blocks, 0.25)["noise_above"] == 1.0


def test_unfinished_null_runs_give_no_threshold_but_a_reason(frames):
    from dataclasses import replace

    results = frames.results
    cells = results._cells.copy()
    first = results.null_cells.query("explainer == 'column_norm' and dataset == 'null'")["cell"].iloc[0]
    cells.loc[cells["key"] == first, ["status", "reason"]] = "failed", "ValueError: no luck"
    broken = Frames(replace(results, _cells=cells))
    row = broken.calibration.iloc[-1]
    assert np.isnan(row["threshold"])
    assert row["reason"] == "19 of 20 null runs are done: ValueError: no luck"
    assert len(broken.results.failed) == 1
    pd.testing.assert_frame_equal(broken.cells, frames.cells)
