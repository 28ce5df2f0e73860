"""Entrants and their scores: above chance, paired by draw, with what failed at chance."""

from __future__ import annotations

from dataclasses import replace

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


def test_what_failed_counts_as_chance_and_what_is_unsupported_or_not_run_as_nothing(results):
    cells = results._cells.copy()
    at = results.cells.set_index("cell")
    lost = at.index[(at["explainer"] == "saliency") & (at["data_seed"] == 1)]
    not_run = at.index[(at["explainer"] == "saliency") & (at["data_seed"] == 2)]
    unsupported = at.index[(at["explainer"] == "f_test") & (at["dataset"] == "friedman1")]
    cells.loc[cells["key"].isin(lost), ["status", "reason"]] = "timed_out", "60 seconds"
    cells.loc[cells["key"].isin(unsupported), ["status", "reason"]] = "unsupported", "too many inputs"
    broken = replace(results, _cells=cells[~cells["key"].isin(not_run)])
    found = values(broken, "recovery").set_index(["explainer", "draw", "dataset"])["value"].sort_index()
    before = values(results, "recovery").set_index(["explainer", "draw", "dataset"])["value"].sort_index()
    assert (found["saliency", 1] == 0).all()
    assert found["saliency", 2].isna().all()
    assert np.isnan(found["f_test", 0, "friedman1"])
    np.testing.assert_allclose(found["column_norm"], before["column_norm"])
    board = broken.leaderboard("entrants").set_index("name")
    assert board.loc["saliency on mlp", "draws"] == 5
    assert board.loc["saliency on mlp", "ranked"]
    assert board.loc["f_test", "reason"] == "1 of 2 families: too many inputs"
    assert board.index[-1] == "f_test"


def test_networks_that_did_not_learn_are_included_and_told_apart(results):
    models = {key: replace(facts, learned=i % 2 == 0) for i, (key, facts) in enumerate(sorted(results.models.items()))}
    found = replace(results, models=models)
    rows = values(found, "recovery")
    own = rows[rows["explainer"] == "saliency"]
    board = found.leaderboard("entrants").set_index("name")
    assert board["score"].to_dict() == results.leaderboard("entrants").set_index("name")["score"].to_dict()
    assert board.loc["saliency on mlp", "learned"] == 0.5
    kept = own[own["learned"] == 1].groupby("dataset")["value"].mean().mean()
    assert board.loc["saliency on mlp", "score_learned"] == pytest.approx(kept)
    assert np.isnan(board.loc["f_test", "score_learned"])


def test_a_focus_and_what_is_said(results):
    assert results.focus == ""
    found = results.focused("saliency")
    assert found.focus == "saliency"
    assert set(found.against()["second"]) == {"f_test", "mutual_information", "column_norm"}
    assert set(results.against("saliency on mlp")["second"]) == {"f_test", "mutual_information", "column_norm on mlp"}
    assert "`saliency` alone against the 3 others is better than" in " ".join(found.in_words())
    with pytest.raises(InputError, match="did you mean saliency"):
        results.focused("salience")
    with pytest.raises(InputError, match="focus: expected the name"):
        results.against()
    text = repr(results)
    assert len(text.splitlines()) == 3
    assert "2 datasets, 4 methods" in text
    html = results._repr_html_()
    assert html.count("<tr") == 5
    assert "On these 2 families" in html
    assert "recovery (2 AUROC - 1, 6 draws)" in html
    assert results.variance_shares().empty
    assert "2 families are too few for 4 entrants" in results.rank_tests()


def test_what_cannot_be_ranked_is_one_clear_line(results):
    with pytest.raises(InputError, match="did you mean auroc"):
        results.leaderboard("entrants", "aurok")
    with pytest.raises(InputError, match="did you mean methods"):
        results.leaderboard("method")
    with pytest.raises(InputError, match="leaderboard of networks: expected at least two"):
        results.leaderboard("networks")
