"""What a run shows in words: from leaderboards that are made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.test_comparison import FOUR, cells
from xai_bench.errors import InputError
from xai_bench.results.claims import claims
from xai_bench.results.comparison import Comparison, units


def told(file="", focus="", of="methods", **frames) -> list[str]:
    """The sentences about these scores; what is not given was not measured."""

    def compare(of, metric):
        if metric not in frames:
            raise InputError(f"unknown metric {metric!r}")
        scale = 100.0 if metric == "retention" else 1.0
        return Comparison(of, metric, units(frames[metric], of), scale=scale)

    return claims(SimpleNamespace(compare=compare, focus=focus), of, file)  # type: ignore[arg-type]


def test_who_leads_how_much_is_decided_and_where_scores_disagree():
    close = {("s", "m"): 0.9, ("g", "m"): 0.9, ("f", ""): 0.2}
    turned = {("s", "m"): 0.1, ("g", "m"): 0.3, ("f", ""): 0.2}
    first, second, third = told("pack", recovery=cells(close), retention=cells(turned))
    assert first.startswith("By recovery (2 AUROC - 1, 2 families, 10 draws) `")
    assert "not shown to be worse than the best of 3: `" in first
    assert second.startswith("Of 3 pairs of methods 2 are decided as better, 0 as better by less than 0.050, 1 as ")
    assert third.startswith(
        "By retention (points over random inputs, 2 families, 10 draws) another one has the highest"
    )
    assert "`g`, 3" in third or "`g`, 2" in third
    assert third.endswith("is shown to be worse (pack).")
    assert told(recovery=cells(close), retention=cells(close))[2].split(") ")[1].startswith("`")
    assert "leads too" in told(recovery=cells(close), retention=cells(close))[2]


def test_a_focus_is_part_of_the_first_sentence():
    (first, _) = told(focus="g on m", of="entrants", recovery=cells(FOUR))
    assert first.endswith("; `g on m` is better than 2 and worse than 2 of the 4 others.")
    assert "all 4 others are shown to be worse than the best" in first


def test_below_five_draws_nothing_is_decided():
    first, second = told(recovery=cells(FOUR, draws=3))
    assert "`s` has the highest mean" in first
    assert "below 5 draws nothing is decided" in first
    assert second == "None of the 3 pairs of methods is decided, and no detectable difference is known."


def test_where_nothing_can_be_compared_the_reason_is_said():
    assert told() == ["No methods are compared: unknown metric 'recovery'."]
    assert told(retention=cells(FOUR))[0].startswith("By retention (points over random inputs")


@pytest.mark.parametrize("of", ["methods", "networks", "entrants"])
def test_never_more_than_three_sentences(of):
    assert len(told(of=of, recovery=cells(FOUR), retention=cells(FOUR))) == 3
