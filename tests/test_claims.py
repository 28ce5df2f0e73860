"""What a run shows in words: from leaderboards that are made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.test_comparison import FOUR, cells
from xai_bench.errors import InputError
from xai_bench.results.claims import claims
from xai_bench.results.comparison import Comparison, same_networks, units


def told(file="", focus="", of="methods", **frames) -> list[str]:
    """The sentences about these scores; what is not given was not measured."""

    def compare(of, metric):
        if metric not in frames:
            raise InputError(f"unknown metric {metric!r}")
        scale = 100.0 if metric == "retention" else 1.0
        same = same_networks(frames[metric], of)
        return Comparison(of, metric, units(frames[metric], of), scale=scale, same=same)

    return claims(SimpleNamespace(compare=compare, focus=focus), of, file)  # type: ignore[arg-type]


BY = "by recovery (2 AUROC - 1, 10 draws)"
CLOSE = {("s", "m"): 0.9, ("g", "m"): 0.9, ("f", ""): 0.2}


def test_nobody_is_named_as_leader_where_nothing_is_decided():
    first, second, third = told("pack", recovery=cells(CLOSE), retention=cells(CLOSE | {("s", "m"): 0.1}))
    assert first in {
        f"On these 2 families 2 of 3 are not shown to be worse than the best {BY}: {who}."
        for who in ("`s` and `g`", "`g` and `s`")
    }
    assert second == (
        "Of 3 pairs of methods 2 are better (2 by over 0.050, 0 by less, 0 open), 1 practically equal, 0 undecided."
    )
    assert third.startswith("`g` leads by retention (points over random, 2 families), ")
    assert third.endswith(": all 2 others ranked are shown to be worse (pack).")


def test_the_first_sentence_follows_the_scores():
    (first, _) = told(recovery=cells(CLOSE | {("s", "m"): 0.5}))
    assert first.startswith("On these 2 families `g` leads by recovery (2 AUROC - 1, 10 draws), 0.9")
    assert first.endswith(": all 2 others ranked are shown to be worse.")
    (first, _) = told(recovery=cells(dict.fromkeys(CLOSE, 0.5)))
    assert first == f"On these 2 families none of 3 is shown to be worse than the best {BY}."


def test_the_second_sentence_counts_amounts():
    exact = {"a": 0.5, "b": 0.47, "c": 0.44, "d": 0.2}
    frame = cells({(name, "m"): mean for name, mean in exact.items()}, spread=0.002)
    assert "5 are better" in told(recovery=frame)[1] or "6 are better" in told(recovery=frame)[1]
    comparison = Comparison("methods", "recovery", units(frame, "methods"))
    pairs, found = comparison.pairs(), comparison.counts()
    assert found["beyond"] == (pairs["low"] > 0.05).sum() > 0
    assert found["slightly"] == (pairs["outcome"] == "slightly better").sum() > 0
    assert found["pairs"] == len(pairs)


def test_where_no_pair_is_better_no_amounts_are_counted():
    near = cells({("a", "m"): 0.5, ("b", "m"): 0.49}, spread=0.03)
    assert told(recovery=near)[1] == "Of 1 pair of methods 0 are better, 1 practically equal, 0 undecided."


def test_what_leads_by_one_score_is_named_where_another_shows_it_to_be_worse():
    leads = cells(CLOSE | {("f", ""): 0.99})
    assert "; `f` is worse" in told(recovery=leads, retention=cells(CLOSE))[2]
    assert "`f` is worse" not in told(recovery=leads, retention=cells(CLOSE | {("f", ""): 0.9}))[2]


def test_the_families_of_both_scores_are_compared_by_the_first_one():
    three = (("a", "A"), ("b", "B"), ("c", "C"))
    frame = cells(CLOSE, datasets=three)
    alone = frame["value"] + np.where((frame["dataset"] == "c") & (frame["explainer"] == "f"), 9.0, 0.0)
    frame["value"] = alone
    third = told(recovery=frame, retention=cells(CLOSE, datasets=three[:2]))[2]
    assert third.endswith("; on the 2 families of both, 2 are first by recovery.")
    frame.loc[frame["explainer"] == "g", "value"] = 0.5
    assert told(recovery=frame, retention=cells(CLOSE, datasets=three[:2]))[2].endswith(
        "of both, `s` leads by recovery."
    )
    assert "of both" not in told(recovery=frame, retention=cells(CLOSE, datasets=three))[2]


@pytest.mark.parametrize("seed", range(12))
def test_the_first_sentence_says_what_the_ranks_say(seed):
    """Somebody was named as the leader, all others being worse, beside ranks 1 to 2 in the table, without a word."""
    means = {"a": 0.6, "b": 0.55, "c": 0.5, "d": 0.45, "e": 0.4}
    frame = cells({(name, ""): mean for name, mean in means.items()}, spread=0.05)
    frame["value"] += 0.05 * np.random.default_rng(seed).normal(size=len(frame))
    board = Comparison("methods", "recovery", units(frame, "methods")).leaderboard()
    group = board[board["first_group"]]
    assert (group["rank_low"] == 1).all()
    (first, _) = told(recovery=frame)
    if len(group) > 1:
        assert f"{len(group)} of 5 are not shown to be worse" in first
    else:
        assert f"`{group['name'].iloc[0]}` leads by recovery" in first
    possible = int((board["rank_low"] == 1).sum())
    assert (f"all pairs at once leave the first rank to {possible}" in first) == (possible > len(group))


def test_a_lead_on_data_that_networks_hardly_learn_is_named():
    frame = cells({("s", "m"): 0.5, ("f", ""): 0.6}, spread=0.0001)
    frame.loc[(frame["dataset"] == "a") & (frame["explainer"] == "f"), "value"] += 0.2
    assert "hardly learned" not in told(recovery=frame)[0]
    frame.loc[(frame["dataset"] == "a") & (frame["explainer"] == "s"), "learned"] = 0.0
    said = "; without `a`, hardly learned by networks, it is better than {} of 1 other."
    assert told(recovery=frame)[0].endswith(said.format(1))
    of_b = (frame["dataset"] == "b") & (frame["explainer"] == "f")
    frame.loc[of_b, "value"] -= 0.11
    assert told(recovery=frame)[0].endswith(said.format(0))
    frame.loc[frame["explainer"] == "s", "learned"] = 0.0
    assert "hardly learned" not in told(recovery=frame)[0]


def test_a_method_on_fewer_networks_is_marked():
    means = {("s", "m"): 0.9, ("s", "n"): 0.5, ("g", "m"): 0.9, ("f", ""): 0.2}
    assert "`g` (on 1 of 2 networks)" in told(recovery=cells(means))[0]
    assert "networks)" not in told(recovery=cells(means | {("g", "n"): 0.5}))[0]


def test_a_focus_is_part_of_the_first_sentence():
    (first, _) = told(focus="g on m", of="entrants", recovery=cells(FOUR))
    assert first.endswith("; `g on m` alone against the 4 others is better than 2 and worse than 2.")
    assert "all 4 others ranked are shown to be worse" in first
    frame = cells(FOUR)
    frame.loc[(frame["explainer"] == "g") & (frame["model"] == "m"), "value"] = np.nan
    assert "`g on m`" not in told(focus="g on m", of="entrants", recovery=frame)[0]


def test_below_five_draws_nothing_is_decided():
    first, second = told(recovery=cells(FOUR, draws=3))
    assert first.startswith("On these 2 families by recovery (2 AUROC - 1, 3 draws): `s` 0.7")
    assert first.endswith("; below 5 draws nothing is decided.")
    assert second == "None of the 3 pairs of methods is decided."
    third = told(recovery=cells(FOUR), retention=cells(FOUR, draws=2))[2]
    assert third.endswith("; of 2 draws: below 5 nothing is decided.")


def test_where_nothing_can_be_compared_the_reason_is_said():
    assert told() == ["No methods are compared: unknown metric 'recovery'."]
    assert "by retention (points over random, 10 draws)" in told(retention=cells(FOUR))[0]


@pytest.mark.parametrize("of", ["methods", "networks", "entrants"])
def test_never_more_than_three_sentences(of):
    assert len(told(of=of, recovery=cells(FOUR), retention=cells(FOUR))) == 3
