"""The rule that chooses training schedules, on frames whose answer is known."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def rule(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("schedules_choice")


LENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)


def frame(agreement, loss, share=None, noise=0.0, rate="constant", kept="last"):
    """One row a length and data seed, of one network on one dataset."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(1000, 1005):
        for i, epochs in enumerate(LENGTHS):
            row = {"dataset": "a", "data_seed": seed, "network": "mlp", "penalty": 1.0, "rate": rate, "kept": kept}
            row |= {"epochs": epochs, "steps": 3 * epochs, "loss": loss[i] + (seed - 1002) / 100}
            row |= {"rank_first": agreement[i] + noise * rng.normal(), "top_first": agreement[i]}
            rows.append(row | {"share_first": np.nan if share is None else share[i]})
    return pd.DataFrame(rows)


def test_the_shortest_settled_schedule_with_a_good_loss_is_chosen(rule):
    measured = frame([0.1, 0.1, 0.5, 0.9, 0.905], [2, 2, 1, 1, 1])
    choice = rule.choose(rule.candidates(measured, "first"))
    assert choice == rule.Choice(1.0, "constant", "last", 30.0, "3")  # 1 to 3 epochs do not improve, but 3 to 10 do


def test_both_signs_must_have_settled(rule):
    measured = frame([0.9] * 5, [1] * 5, share=[0.5, 0.4, 0.3, 0.2, 0.2])
    assert rule.choose(rule.candidates(measured, "first")).epochs == 30
    assert rule.choose(rule.candidates(frame([0.9] * 5, [1] * 5), "first")).epochs == 1


def test_an_improvement_that_is_not_sure_to_be_small_is_the_first_fall_back(rule):
    measured = frame([0.5, 0.8, 0.9, 0.9, 0.9], [1] * 5, noise=0.1)
    table = rule.candidates(measured, "first")
    assert (table["rise_high"] >= 0.01).all()
    assert rule.choose(table.assign(rise=[0.3, 0.1, 0.005, 0.004, np.inf])).by == "a"


@pytest.mark.parametrize(
    ("agreement", "loss", "epochs", "by"),
    [
        ([0.1, 0.2, 0.5, 0.9, 0.9], [1, 1, 2, 3, 4], 30, "b"),  # settled where the loss is above the best
        ([0.1, 0.2, 0.5, 0.7, 0.9], [1, 1, 2, 3, 4], 3, "c"),  # never settled: good, with the best signs
        ([0.1, 0.2, 0.5, 0.7, 0.9], None, 30, "d"),  # nothing good either: the best signs within 1000 steps
    ],
)
def test_fall_backs(rule, agreement, loss, epochs, by):
    table = rule.candidates(frame(agreement, loss or [1] * 5), "first")
    if loss is None:
        table = table.assign(worst_excess=2.0, steps=[10, 30, 100, 1000, 1001])
    choice = rule.choose(table)
    assert (choice.epochs, choice.by) == (epochs, by)


def test_of_equal_steps_the_simplest_is_chosen(rule):
    settled = ([0.9] * 5, [1] * 5)
    measured = pd.concat([frame(*settled, rate=r, kept=k) for r in ("cosine", "constant") for k in ("best", "last")])
    assert rule.choose(rule.candidates(measured, "first"))[1:4] == ("constant", "last", 1.0)


def test_choices_are_made_at_the_penalty_that_a_network_has(rule):
    early, late = frame([0.9] * 5, [1] * 5), frame([0.1, 0.9, 0.9, 0.9, 0.9], [1] * 5)
    plain = late.assign(network="mlp_unpenalised")
    found = rule.choices(pd.concat([early, late.assign(penalty=10.0), plain]), "first", 10.0)
    assert {name: (one.penalty, one.epochs) for name, one in found.items()} == {
        "mlp": (10.0, 3.0),
        "mlp_unpenalised": (1.0, 3.0),
    }


def test_the_penalty_is_that_of_the_least_regret(rule):
    ours, theirs = frame([0.9] * 5, [4, 3, 2, 1, 2]), frame([0.9] * 5, [2] * 5, rate="cosine")
    small = pd.concat([ours, ours.assign(penalty=10.0, loss=0.5), theirs.assign(network="mlp_unpenalised", loss=0)])
    medium = pd.concat([theirs, theirs.assign(penalty=10.0, loss=5.0)])
    assert rule.losses_by_penalty(small).to_dict() == pytest.approx({1.0: np.log(1.01), 10.0: np.log(0.51)})
    assert rule.penalty_of([small]) == 10  # .69 below
    assert rule.penalty_of([small, medium]) == 1  # .91 above


def test_networks_that_are_compared_share_the_longest_schedule_with_the_best_signs(rule):
    def both(agreement, **fields):
        found = frame(agreement, [1] * 5, **fields)
        return found.assign(rank_saliency=found["rank_first"], top_saliency=found["top_first"], share_saliency=np.nan)

    plain = pd.concat([both([0.1, 0.9, 0.9, 0.9, 0.9]), both([0.1, 0.9, 0.95, 0.95, 0.95], kept="best")])
    spectral = pd.concat([both([0.1, 0.5, 0.9, 0.9, 0.9]), both([0.1, 0.5, 0.7, 0.7, 0.7], kept="best")])
    found = rule.shared(pd.concat([plain, spectral.assign(network="spectral_mlp")]), 1.0)
    assert found == rule.Choice(1.0, "constant", "last", 10.0, "")


def test_losses_are_compared_in_standard_errors_of_the_best_and_on_shared_seeds(rule):
    measured = frame([0.9] * 5, [2, 1, 1.5, 1, 1])
    measured = measured[~((measured["epochs"] == 100) & (measured["data_seed"] > 1000))]
    error = np.std([-0.02, -0.01, 0, 0.01, 0.02], ddof=1) / 5**0.5
    found = rule.excess(measured)["a"]
    assert found["constant", "last", 1.0] == pytest.approx(1 / error)
    assert found["constant", "last", 100.0] == pytest.approx(0, abs=1e-9)


def test_claims_need_every_interval_on_one_side(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    claims = importlib.import_module("schedules_claims")
    wide, up, down = (claims.Interval(m, m - h, m + h, 5) for m, h in ((0.1, 0.2), (0.1, 0.05), (-0.1, 0.05)))
    assert [claims.verdict(each) for each in ([up, up], [up, wide], [up, down], [down, down])] == [
        "higher",
        "",
        "",
        "lower",
    ]


def test_equal_seconds_are_more_epochs_of_a_cheaper_network(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    claims = importlib.import_module("schedules_claims")
    plain = frame([0.5, 0.6, 0.7, 0.8, 0.9], [1] * 5).assign(auroc_first=[0.5, 0.6, 0.7, 0.8, 0.9] * 5, cpu=1.0)
    spectral = plain.assign(network="spectral_mlp", auroc_first=0.8, cpu=3.0)
    both = pd.concat([plain, spectral])
    found = claims.differences(both, "spectral_mlp", claims.Choice(1.0, "constant", "last", 10.0, "3"), "auroc_first")
    assert found["equal epochs"].mean == pytest.approx(0.1)
    assert found["equal CPU seconds"].mean == pytest.approx(0.0)  # ten epochs cost what thirty plain ones cost
