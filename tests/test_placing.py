"""A method of one's own placed in another comparison: drift of the references, pairs, ranks that are withheld."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests import hand_made
from xai_bench import Explainer, InputError, cli, pack, place, read, run
from xai_bench.results import boards
from xai_bench.results.boards import Board
from xai_bench.results.placing import Placed
from xai_bench.results.records import Measurement
from xai_bench.running.against import asked_against
from xai_bench.running.request import Request

THERE = ("spectral", "column_norm", "saliency", "lrp", "f_test")
HERE = ("spectral", "column_norm", "saliency", "mine")
SEEDS = range(8)
MEANS = {"spectral": 0.9, "column_norm": 0.8, "saliency": 0.7, "lrp": 0.6, "f_test": 0.55, "mine": 0.75}


def scored(shift=0.0, of="saliency", content=""):
    """Cells with an AUROC around the method's mean, the same in every run but for ``shift``."""

    def change(row, found):
        rng = np.random.default_rng(list(f"{row.dataset}{row.data_seed}{row.model}{row.explainer}".encode()))
        value = MEANS.get(row.explainer, 0.5) + 0.01 * rng.normal() + (shift if row.explainer == of else 0.0)
        return replace(found, measurements=(Measurement("auroc", float(value)),))

    return change


@pytest.fixture
def made(tmp_path):
    """Results of a suite made by hand."""

    def build(name, methods, change=None, seeds=SEEDS, **changed):
        of = hand_made.suite(seeds, methods, **changed)
        return read(hand_made.build(tmp_path / name / "results.sqlite", of, change or scored()))

    return build


@pytest.fixture
def there(made):
    return Board.of(made("there", THERE))


def placed(made, there, **options):
    entrants = {"explainers": list(HERE[:3]), "models": []}
    return Placed(made("here", HERE, entrants=entrants, **options), there, ("mine",))


def test_a_board_is_the_leaderboard_of_its_run(made, tmp_path):
    results = made("there", THERE)
    board = Board.of(results)
    board.write(tmp_path / "a.json.gz")
    again = Board.read((tmp_path / "a.json.gz").read_bytes())
    again.write(tmp_path / "b.json.gz")
    assert again == board
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    pd.testing.assert_frame_equal(again.comparison.leaderboard(), results.leaderboard())
    assert again.versions == ("0.3.0",)
    assert again.machines == ("One, 2 cores, Linux x86_64",)


def test_equal_networks_have_no_drift(made, there):
    found = placed(made, there)
    assert list(found.drift["name"]) == list(HERE[:3])
    assert (found.drift[["difference", "low", "high"]] == 0).all(axis=None)
    assert (found.drift["draws"] == len(SEEDS)).all()
    assert found.withheld == ""


def test_drift_is_the_mean_over_datasets_with_the_interval_over_draws(made, there):
    def noisy(row, found):
        found = scored()(row, found)
        extra = 0.02 * np.random.default_rng([row.data_seed, len(row.dataset)]).normal() + 0.01
        value = found.measurements[0].value + (extra if row.explainer == "saliency" else 0.0)
        return replace(found, measurements=(Measurement("auroc", value),))

    found = placed(made, there, change=noisy).drift.set_index("name").loc["saliency"]
    # twice AUROC - 1; the two networks of a draw have the same difference; datasets are fixed and weigh alike
    both = [
        [2 * (0.02 * np.random.default_rng([seed, len(dataset)]).normal() + 0.01) for seed in SEEDS]
        for dataset in hand_made.DATASETS
    ]
    means, variances = np.mean(both, axis=1), np.var(both, axis=1, ddof=1)
    half = stats.t.ppf(0.975, 2 * (len(SEEDS) - 1)) * np.sqrt(sum(variances / len(SEEDS)) / 4)
    assert found["difference"] == pytest.approx(means.mean())
    assert found["local"] - found["there"] == pytest.approx(means.mean())
    assert (found["low"], found["high"]) == pytest.approx((means.mean() - half, means.mean() + half))


def test_ones_own_is_placed_and_changes_nobodys_place(made, there):
    board = placed(made, there).leaderboard.set_index("name")
    assert list(board.index) == ["spectral", "column_norm", "mine", "saliency", "lrp", "f_test"]
    assert (board.loc["mine", "rank_low"], board.loc["mine", "rank_high"]) == (3, 3)
    assert not board.loc["mine", "confirmatory"]
    pd.testing.assert_frame_equal(board.drop("mine"), there.comparison.leaderboard().set_index("name"))


def test_ranks_are_those_of_the_pairs(made, there):
    """All local scores are lower: mine is below saliency as shipped, and above it on the same networks."""

    def lower(row, found):
        value = scored()(row, found).measurements[0].value - (0.02 if row.explainer in HERE else 0.0)
        value -= 0.04 if row.explainer == "mine" else 0.0
        return replace(found, measurements=(Measurement("auroc", value),))

    found = placed(made, there, change=lower)
    assert found.withheld == ""
    pairs = found.pairs.set_index("second")["outcome"]
    assert pairs["saliency"] != "worse"
    board = found.leaderboard.set_index("name")
    against = {name: pairs[name] for name in HERE[:3]} | {"lrp": "better", "f_test": "better"}
    words = list(against.values())
    expected = [1 + sum("worse" in word for word in words), 6 - sum("better" in word for word in words)]
    assert board.loc["mine", ["rank_low", "rank_high"]].tolist() == expected
    assert board.loc["mine", "better_than"] == sum("better" in word for word in words)
    assert board["rank_low"].is_monotonic_increasing


def test_pairs_are_those_of_the_local_networks(made, there):
    """All have drifted alike: the differences stay."""

    def drifted(row, found):
        found = scored()(row, found)
        return replace(found, measurements=(Measurement("auroc", found.measurements[0].value - 0.05),))

    first, second = placed(made, there).pairs, placed(made, there, change=drifted).pairs
    assert list(first["first"].unique()) == ["mine"]
    assert dict(zip(first["second"], first["outcome"], strict=True)) == {
        "column_norm": "worse", "saliency": "better", "spectral": "worse",
    }  # fmt: skip
    assert (first["low"] < first["difference"]).all()
    assert (first["difference"] < first["high"]).all()
    assert first["difference"].to_numpy() == pytest.approx(second["difference"].to_numpy())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"change": scored(0.04)}, r"saliency drifts beyond 0.05: \+0.080 \[\+0.080, \+0.080\]"),
        ({"change": scored(-0.04, "spectral")}, r"spectral drifts beyond 0.05: -0.080"),
        ({"seeds": range(4)}, "the drift of spectral has no interval, 4 draws being fewer than five"),
    ],
)
def test_a_rank_is_withheld_where_references_drift(made, there, options, reason):
    found = placed(made, there, **options)
    mine = found.leaderboard.set_index("name").loc["mine"]
    assert pd.isna(mine["rank_low"])
    assert not mine["ranked"]
    assert not mine["first_group"]
    assert re.search(reason, mine["reason"]), mine["reason"]
    lines = "\n".join(found.words())
    assert "rank withheld: " in lines
    others = found.leaderboard.set_index("name").drop("mine")
    pd.testing.assert_frame_equal(others, there.comparison.leaderboard().set_index("name"), check_dtype=False)


def test_an_uncertain_drift_withholds_too(made, there):
    def noisy(row, found):
        found = scored()(row, found)
        extra = 0.1 * (-1) ** row.data_seed if row.explainer == "saliency" else 0.0
        return replace(found, measurements=(Measurement("auroc", found.measurements[0].value + extra),))

    assert placed(made, there, change=noisy).withheld.startswith("saliency may drift beyond 0.05")


def test_other_data_withhold_a_rank(made, there):
    columns = {**there.columns, "data": ["elsewhere" for _ in there.columns["draw"]]}
    found = placed(made, replace(there, columns=columns))
    assert found.withheld.startswith("the data of ")


def test_draws_that_are_not_run_have_no_other_data(made, there):
    found = placed(made, there)
    assert len(found.drift)
    found.results.draws.pop("toy3")
    assert found.withheld == ""


def test_words_are_the_numbers(made, there):
    found = placed(made, there)
    lines = list(found.words())
    assert lines[0] == "against hand, measured by xai-bench 0.3.0 on One, 2 cores, Linux x86_64"
    score = found.drift.set_index("name").loc["saliency", "there"]
    assert f"  saliency: {score:.3f} - {score:.3f} = +0.000 [+0.000, +0.000], 2 families, 8 draws" in lines
    mine = found.leaderboard.set_index("name").loc["mine", "score"]
    assert f"{3:>7}  {mine:>6.3f}  * mine" in lines


# What is run for it.

TINY = """
name = "small"
data_seeds = [0, 1, 2, 3, 4]
[settling]
draws = 0
[retention]
[[datasets]]
name = "xor"
n = 60
d = 4
[[datasets]]
name = "diabetes"
[[models]]
name = "spectral_mlp"
hidden = [4]
epochs = 0.1
min_steps = 20
[[explainers]]
name = "spectral"
[[explainers]]
name = "saliency"
[[explainers]]
name = "f_test"
"""
MINE = """
from xai_bench import Explainer, register

@register
class Mine(Explainer):
    name = "mine"
    needs = "data"

    def relevance(self, problem):
        return problem.X_train.var(0)
"""


@pytest.fixture
def files(tmp_path, monkeypatch, plugin_registry):
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(TINY)
    Path("mine.py").write_text(MINE)
    Path("there.toml").write_text(TINY.replace("[retention]\n", ""))
    pack(run("there.toml", out="there").folder, "there.xaipack")


def test_the_command_runs_the_references_and_ones_own_and_places_it(files, monkeypatch, capsys):
    command = "run small.toml --explainers mine --plugin mine.py --against there.xaipack --jobs 1"
    monkeypatch.setattr(sys, "argv", ["xai-bench", *command.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "small_mine: 35 cells: 35 done" in out  # of xor alone: controls, two references on the network, and mine
    assert "  saliency: " in out
    assert "= +0.000 [+0.000, +0.000], 1 family, 5 draws" in out
    assert "  mine minus spectral: " in out
    assert "* mine" in out
    assert Path("reports/small_mine/index.html").is_file()
    found = place("small.toml", ["mine"], against="there.xaipack")  # takes what is stored
    assert found.withheld == ""
    assert "\n".join(found.words()) in out


class Other(Explainer):
    name: ClassVar[str] = "other"
    needs: ClassVar[str] = "data"

    def relevance(self, problem):
        return problem.X_train.var(0)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "expected methods of your own in explainers, got none"),
        ({"explainers": ["f_test"]}, "'f_test' is in that comparison already"),
        ({"explainers": ["othr"]}, "unknown explainer 'othr': did you mean other"),
        ({"explainers": ["other"], "models": ["spectral_mlp"]}, "do without --known and --models"),
        ({"explainers": ["other"], "known": ["there.xaipack"]}, "do without --known and --models"),
        ({"explainers": ["other"], "suite": "quick"}, "expected results of the suite 'quick', got those of 'small'"),
        ({"explainers": ["other"], "against": "shipped"}, "unknown shipped comparison 'small'"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(options, line, made, tmp_path, plugin_registry, monkeypatch):
    plugin_registry.register(Other)
    of = hand_made.suite(SEEDS, THERE)
    hand_made.build(tmp_path / "there.sqlite", {**of, "name": "small"}, scored())
    (tmp_path / "small.toml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    against = options.get("against", "there.sqlite")
    request = Request(**{"suite": "small.toml", **{k: v for k, v in options.items() if k != "against"}})
    with pytest.raises(InputError, match=line) as raised:
        asked_against(request, against)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("suite", ["quick", "standard"])
def test_shipped_comparisons_are_those_of_the_committed_packs(suite):
    path = Path(__file__).parents[1] / "reports" / suite / f"{suite}.xaipack"
    assert boards.shipped(suite) == Board.of(read(path)), "write it anew: python -m benchmarks.committed_reports"
