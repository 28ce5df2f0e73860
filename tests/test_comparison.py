"""Leaderboards and pairs from frames: who is ranked, who is decided of together, what is said of the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xai_bench.results.comparison import Comparison, same_networks, units

AXES = ["dataset", "family", "draw", "explainer", "model"]


def cells(means, draws=10, datasets=(("a", "A"), ("b", "B")), seed=0, spread=0.02, **columns) -> pd.DataFrame:
    """Scores of entrants (explainer, model) with these means on every dataset."""
    rng = np.random.default_rng(seed)
    rows = [
        (dataset, family, draw, explainer, model, mean + spread * rng.normal())
        for dataset, family in datasets
        for draw in range(draws)
        for (explainer, model), mean in means.items()
    ]
    frame = pd.DataFrame(rows, columns=[*AXES, "value"])
    plain = {
        "value_learned": frame["value"], "learned": np.where(frame["model"] == "", np.nan, 1.0), "unsupported": False,
        "reason": "", "confirmatory": True, "method_confirmed": True, "network_confirmed": True,
    }  # fmt: skip
    return frame.assign(**{**plain, **columns})


def board(frame, of="entrants", **options) -> pd.DataFrame:
    return Comparison(of, "recovery", units(frame, of), **options).leaderboard().set_index("name")


FOUR = {("s", "m"): 0.9, ("s", "n"): 0.6, ("g", "m"): 0.5, ("g", "n"): 0.4, ("f", ""): 0.2}


def test_families_weigh_alike_and_datasets_within_them():
    frame = cells({("s", "m"): 0.5, ("f", ""): 0.2}, datasets=(("a", "A"), ("b", "B"), ("c", "B")), spread=0.0)
    frame["value"] += frame["dataset"].map({"a": 0.0, "b": 0.1, "c": 0.3})
    found = board(frame)
    assert found.loc["s on m", "score"] == pytest.approx((0.5 + 0.7) / 2)
    assert found.loc["s on m", "families"] == 2


def test_methods_are_averaged_over_networks_and_networks_over_shared_methods():
    frame = cells(FOUR | {("only_on_m", "m"): 0.99}, spread=0.0)
    methods = board(frame, "methods")
    assert methods["score"].to_dict() == pytest.approx({"only_on_m": 0.99, "s": 0.75, "g": 0.45, "f": 0.2})
    assert methods["networks"].to_dict() == {"only_on_m": 1, "s": 2, "g": 2, "f": 0}
    networks = board(frame, "networks")
    assert networks["score"].to_dict() == pytest.approx({"m": 0.7, "n": 0.5})


def test_without_networks_there_are_none_to_compare():
    """A suite of selectors only: the section of its report failed."""
    frame = cells({("forest", ""): 0.9, ("lasso", ""): 0.5})
    assert units(frame, "networks").empty
    assert list(units(frame, "methods")["name"].unique()) == ["forest", "lasso"]


def test_ranks_count_decided_pairs():
    found = board(cells(FOUR))
    assert list(found.index) == ["s on m", "s on n", "g on m", "g on n", "f"]
    assert list(found["rank_low"]) == list(found["rank_high"]) == [1, 2, 3, 4, 5]
    assert list(found["first_group"]) == [True, False, False, False, False]
    assert list(found["better_than"]) == [4, 3, 2, 1, 0]


def test_without_a_score_in_every_family_nobody_is_ranked_and_shared_families_are_compared():
    frame = cells(FOUR)
    gone = (frame["explainer"] == "f") & (frame["dataset"] == "b")
    frame.loc[gone, ["value", "unsupported", "reason"]] = np.nan, True, "too many inputs"
    found = board(frame)
    assert list(found["ranked"]) == [True, True, True, True, False]
    assert found.loc["f", "reason"] == "1 of 2 families: too many inputs"
    assert pd.isna(found.loc["f", "rank_low"])
    assert found.loc["f", "worse_than"] == 4
    assert list(found["rank_high"][:4]) == [1, 2, 3, 4]
    pairs = Comparison("entrants", "recovery", units(frame, "entrants")).pairs()
    assert set(pairs.loc[pairs["first"] == "f", "families"]) == {1}


def test_a_later_method_changes_nobodys_decisions():
    frame = cells(FOUR, spread=0.1, draws=8)
    own = frame[frame["explainer"] == "g"].assign(explainer="mine", confirmatory=False, method_confirmed=False)
    own["value"] = 0.7 + 0.3 * np.random.default_rng(1).normal(size=len(own))
    both = pd.concat([own, frame])
    for of in ("entrants", "methods", "networks"):
        before, after = board(frame, of), board(both, of)
        pd.testing.assert_frame_equal(after.loc[before.index], before)
    for of, names in (("entrants", 2), ("methods", 1)):
        before = Comparison(of, "recovery", units(frame, of)).pairs()
        after = Comparison(of, "recovery", units(both, of)).pairs()
        later = after["first"].str.startswith("mine")
        pd.testing.assert_frame_equal(after[~later].reset_index(drop=True), before)
        assert later.sum() == names * len(board(frame, of))


def test_a_later_network_changes_nobodys_decisions():
    frame = cells(FOUR, spread=0.1, draws=8)
    own = frame[frame["model"] == "n"].assign(model="x", confirmatory=False, network_confirmed=False)
    own.loc[own["explainer"] == "g", ["value", "unsupported", "reason"]] = np.nan, True, "no gradient"
    both = pd.concat([frame, own])
    for of in ("entrants", "methods", "networks"):
        before, after = board(frame, of), board(both, of)
        pd.testing.assert_frame_equal(after.loc[before.index], before)
    assert not board(both, "networks").loc["x", "ranked"]
    assert board(both, "networks").loc["x", "reason"] == "0 of 2 families: no gradient"


def test_below_five_draws_nothing_is_decided():
    found = board(cells(FOUR, draws=4))
    assert (found["rank_low"] == 1).all()
    assert (found["rank_high"] == 5).all()
    assert (found["undecided"] == 4).all()
    assert found["first_group"].all()


def compared(means, **options) -> Comparison:
    frame = cells(means, **options)
    return Comparison("methods", "recovery", units(frame, "methods"), same=same_networks(frame, "methods"))


PARTS = {
    ("s", "m"): 0.9, ("s", "n"): 0.3, ("g", "m"): 0.9, ("h", "n"): 0.3,
    ("t", "m"): 0.9, ("t", "n"): 0.5, ("f", ""): 0.4,
}  # fmt: skip


def test_methods_are_compared_on_the_networks_that_both_explain():
    found = compared(PARTS)
    pairs = {frozenset((r["first"], r["second"])): r for r in found.pairs().to_dict("records")}
    assert pairs[frozenset("sg")]["outcome"] == "equal"
    assert pairs[frozenset("sh")]["outcome"] == "equal"
    assert pairs[frozenset("st")]["outcome"] == "better"
    assert pairs[frozenset("gf")]["outcome"] == "better"
    assert {pair: r["networks"] for pair, r in pairs.items() if "f" not in pair} == {
        frozenset("sg"): 1, frozenset("sh"): 1, frozenset("st"): 2, frozenset("gt"): 1, frozenset("ht"): 1,
        frozenset("gh"): 0,
    }  # fmt: skip
    assert pd.isna(pairs[frozenset("gf")]["networks"])
    frame = cells(PARTS)
    one = frame[(frame["model"] == "m")].pivot(index=["dataset", "draw"], columns="explainer", values="value")
    row = pairs[frozenset("sg")]
    assert row["difference"] == pytest.approx((one[row["first"]] - one[row["second"]]).mean())
    assert row["wins"] == pytest.approx((one[row["first"]] > one[row["second"]]).mean())


def test_methods_without_a_network_in_common_are_not_compared():
    found = compared(PARTS)
    assert found.apart == [("g", "h")]
    (row,) = (r for r in found.pairs().to_dict("records") if {r["first"], r["second"]} == {"g", "h"})
    assert row["outcome"] == "different networks"
    assert np.isnan([row["difference"], row["low"], row["high"]]).all()
    assert row["families"] == row["draws"] == 0
    assert found.counts()["pairs"] == len(found.pairs()) - 1
    assert found.against("g").set_index("second").loc["h", "outcome"] == "different networks"
    board = found.leaderboard().set_index("name")
    assert board.loc["g", "undecided"] == 1
    assert compared(PARTS | {("h", "m"): 0.1}).apart == []


def test_decisions_on_shared_networks_are_those_of_the_entrants():
    """Of three methods of which one explains one network only, its pairs are those on that network."""
    means = {("s", "m"): 0.8, ("s", "n"): 0.2, ("g", "m"): 0.7, ("f", ""): 0.4}
    frame = cells(means, spread=0.1)
    found = Comparison("methods", "recovery", units(frame, "methods"), same=same_networks(frame, "methods"))
    only = frame[(frame["model"] != "n") & (frame["explainer"] != "f")]
    alone = Comparison("methods", "recovery", units(only, "methods")).decisions
    both = found.decisions
    i, j = (both.scores.entrants.index(name) for name in "sg")
    assert both.difference[i, j] == pytest.approx(alone.difference[0, 1])
    assert both.difference[i, j] == pytest.approx(-both.difference[j, i])
    assert both.half_width[i, j] == pytest.approx(both.half_width[j, i])


def test_with_the_same_networks_nothing_changes():
    frame = cells(FOUR)
    plain = Comparison("methods", "recovery", units(frame, "methods"))
    same = Comparison("methods", "recovery", units(frame, "methods"), same=same_networks(frame, "methods"))
    assert same.scores.versions is None
    pd.testing.assert_frame_equal(same.pairs().drop(columns="networks"), plain.pairs().drop(columns="networks"))


def test_further_families_are_compared_on_the_same_networks():
    many = tuple((name, name) for name in "abcdefghijklmnop")
    frame = cells(PARTS, datasets=many)
    found = Comparison("methods", "recovery", units(frame, "methods"), True, same=same_networks(frame, "methods"))
    pairs = {frozenset((r["first"], r["second"])): r["outcome"] for r in found.pairs().to_dict("records")}
    assert pairs[frozenset("sg")] == "equal"
    assert pairs[frozenset("gh")] == "different networks"


def test_pairs_are_in_units_of_the_score():
    frame = cells(FOUR)
    plain = Comparison("entrants", "recovery", units(frame, "entrants")).pairs()
    points = Comparison("entrants", "retention", units(frame, "entrants"), scale=100.0).pairs()
    np.testing.assert_allclose(points["difference"], 100 * plain["difference"])
    assert list(plain["outcome"]) == list(points["outcome"])
    assert ((plain["low"] < plain["difference"]) & (plain["difference"] < plain["high"])).all()
    lower = Comparison("entrants", "false_selections", units(frame, "entrants"), sign=-1)
    assert lower.leaderboard()["name"].iloc[0] == "f"
    assert lower.pairs()["difference"].iloc[0] < 0
    assert lower.pairs()["outcome"].iloc[0] == "better"


def test_a_focus_is_compared_step_down():
    found = Comparison("entrants", "recovery", units(cells(FOUR), "entrants")).against("g on m")
    assert dict(zip(found["second"], found["outcome"], strict=True)) == {
        "s on m": "worse", "s on n": "worse", "g on n": "better", "f": "better",
    }  # fmt: skip
