"""Entrants and their scores: above chance, paired by draw, with what failed at chance."""

from __future__ import annotations

import numpy as np
import pytest

from xai_bench import run
from xai_bench.errors import InputError
from xai_bench.results.entrants import Entrant, values

NET = {"hidden": [4], "epochs": 0.1, "min_steps": 5, "checkpoints": 1}
SUITE = {
    "name": "ranked",
    "data_seeds": list(range(6)),
    "rankings": 5,
    "datasets": [{"name": "gaussian_independent", "n": 100, "d": 12}, {"name": "friedman1", "n": 100}],
    "models": [{"name": "mlp", **NET}],
    "explainers": [{"name": "f_test"}, {"name": "mutual_information"}, {"name": "saliency"}, {"name": "column_norm"}],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(SUITE, out=tmp_path_factory.mktemp("ranked"))


def test_an_entrant_is_a_method_on_a_network(results):
    assert Entrant.of("saliency", "mlp") == Entrant("saliency", "mlp")
    assert Entrant.of("f_test", "").id == "f_test"
    assert Entrant.of("random", "mlp").tier == "control"
    for frame in (results.cells, results.measurements, results.table()):
        assert {"saliency on mlp", "f_test"} <= set(frame["entrant"])


def test_values_are_two_aurocs_less_one_on_every_draw(results):
    found = values(results, "recovery")
    assert set(found["explainer"]) == {"f_test", "mutual_information", "saliency", "column_norm"}
    assert set(found["family"]) == {"gaussian_independent", "friedman"}
    rows = results.measurements
    rows = rows[(rows["metric"] == "auroc") & (rows["entrant"] == "saliency on mlp")]
    own = found[(found["explainer"] == "saliency") & (found["model"] == "mlp")]
    both = own.merge(rows, left_on=["dataset", "draw"], right_on=["dataset", "data_seed"], suffixes=("", "_stored"))
    assert len(both) == 12
    np.testing.assert_allclose(both["value"], 2 * both["value_stored"].astype(float) - 1)


def test_the_leaderboards_of_a_run(results):
    for of, names in (
        ("entrants", {"f_test", "mutual_information", "saliency on mlp", "column_norm on mlp"}),
        ("methods", {"f_test", "mutual_information", "saliency", "column_norm"}),
    ):
        board = results.leaderboard(of)
        assert set(board["name"]) == names
        assert list(board["score"]) == sorted(board["score"], reverse=True)
        assert (board["rank_low"] <= board["rank_high"]).all()
        assert board["first_group"].iloc[0]
        assert set(board["draws"]) == {6}
        assert len(results.pairs(of)) == 6
    frame = values(results, "recovery")
    of_f = frame[frame["explainer"] == "f_test"].groupby("dataset")["value"].mean().mean()
    assert board.set_index("name").loc["f_test", "score"] == pytest.approx(of_f)


def test_what_cannot_be_ranked_is_one_clear_line(results):
    with pytest.raises(InputError, match="did you mean auroc"):
        results.leaderboard("entrants", "aurok")
    with pytest.raises(InputError, match="did you mean methods"):
        results.leaderboard("method")
    with pytest.raises(InputError, match="leaderboard of networks: expected at least two"):
        results.leaderboard("networks")
