"""Entrants and their leaderboard: scores above chance, paired by draw, and what draws can tell apart."""

from __future__ import annotations

import numpy as np
import pytest

from xai_bench import run
from xai_bench.errors import InputError
from xai_bench.results.entrants import Entrant, scores

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


def test_scores_are_above_chance_and_paired_by_draw(results):
    found = scores(results, "auroc")
    assert set(found.entrants) == {"f_test", "mutual_information", "saliency on mlp", "column_norm on mlp"}
    rows = results.measurements
    rows = rows[(rows["metric"] == "auroc") & (rows["entrant"] == "saliency on mlp")]
    for dataset, values in zip(found.datasets, found.values, strict=True):
        own = rows[rows["dataset"] == dataset].sort_values("data_seed")["value"].to_numpy(float)
        np.testing.assert_allclose(values[:, found.entrants.index("saliency on mlp")], 2 * own - 1)


def test_the_leaderboard_ranks_by_the_mean_over_datasets(results):
    board = results.leaderboard()
    assert list(board["score"]) == sorted(board["score"], reverse=True)
    assert (board["rank_low"] <= board["rank_high"]).all()
    assert board["first_group"].iloc[0]
    assert set(board["draws"]) == {6}
    found = scores(results, "auroc")
    of_f = np.mean([values[:, found.entrants.index("f_test")].mean() for values in found.values])
    assert board.set_index("entrant").loc["f_test", "score"] == pytest.approx(of_f)


def test_below_five_draws_nothing_is_decided(tmp_path):
    board = run({**SUITE, "data_seeds": [0, 1, 2]}, out=tmp_path).leaderboard()
    assert (board["rank_low"] == 1).all()
    assert (board["rank_high"] == len(board)).all()
    assert (board["undecided"] == len(board) - 1).all()
    assert board["first_group"].all()


def test_what_cannot_be_ranked_is_one_clear_line(results):
    with pytest.raises(InputError, match="did you mean auroc"):
        results.leaderboard("aurok")
