"""Figures: axes with what was measured on them, and files of the same bytes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from tests.hand_made import build, suite
from tests.test_cli import call
from tests.test_export import graded
from xai_bench import merge, plots, read
from xai_bench.errors import InputError


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read(build(tmp_path_factory.mktemp("six") / "results.sqlite", suite(range(6)), graded))


@pytest.fixture(autouse=True)
def _closed():
    from matplotlib import pyplot

    yield
    pyplot.close("all")


def texts(axes) -> list[str]:
    return [label.get_text() for label in axes]


def test_the_front_is_what_nothing_beats_in_both():
    rng = np.random.default_rng(0)
    cost, score = rng.integers(0, 6, (2, 60)).astype(float)
    literal = [
        not any(
            cost[j] <= cost[i] and score[j] >= score[i] and (cost[j] < cost[i] or score[j] > score[i])
            for j in range(60)
        )
        for i in range(60)
    ]
    np.testing.assert_array_equal(plots.front(cost, score), literal)


def test_the_leaderboard(results):
    axes = results.plot("leaderboard")
    board = results.leaderboard()
    assert texts(axes.get_yticklabels()) == list(board["name"])
    assert texts(axes.child_axes[0].get_yticklabels())[0] == "1"
    ends = [line.get_xdata()[-1] for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(ends, board["score"])
    colors = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
    assert colors == [plots.FIRST if first else plots.OTHER for first in board["first_group"]]


def test_cost_against_recovery(results):
    axes = results.plot("cost", of="entrants")
    points = plots.cost_points(results, "entrants", "recovery")
    (drawn,) = (line for line in axes.lines if line.get_linestyle() == "None")
    np.testing.assert_allclose(drawn.get_ydata(), points["score"])
    np.testing.assert_allclose(drawn.get_xdata(), 0.1)
    bold = {text.get_text() for text in axes.texts if text.get_weight() == "bold"}
    assert bold == {points.loc[points["score"].idxmax(), "name"]}
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize("given", [True, False])
def test_every_entrant_is_named_and_no_name_overlaps_another(results, monkeypatch, given):
    from matplotlib import pyplot
    from matplotlib.text import Text

    names = [f"a_method_with_a_long_name_{i} on net" for i in range(30)]
    many = pd.DataFrame({"name": names, "machine": "One", "seconds": 0.1, "score": 0.5})
    monkeypatch.setattr(plots, "cost_points", lambda *_: many)
    axes = results.plot("cost", of="entrants", ax=pyplot.subplots(figsize=(3, 2))[1] if given else None)
    axes.figure.canvas.draw()
    assert sorted(texts(axes.texts)) == sorted(names)
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without its line
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert {text.get_fontsize() * 96 / 72 for text in axes.texts} == {10}, "pixels"
    pyplot.close(axes.figure)


def test_costs_of_two_machines_have_a_front_each(tmp_path):
    parts = [
        build(tmp_path / "a.sqlite", suite([0, 1, 2]), graded),
        build(tmp_path / "b.sqlite", suite([3, 4]), graded, cost=5.0, processor="Two", day=2),
    ]
    axes = read(merge(tmp_path / "c.sqlite", *parts).path).plot("cost")
    assert texts(axes.get_legend().get_texts()) == ["One, 2 cores, Linux x86_64", "Two, 2 cores, Linux x86_64"]


def test_pairs(results):
    axes = results.plot("pairs")
    names = list(results.leaderboard()["name"])
    assert texts(axes.get_yticklabels()) == texts(axes.get_xticklabels()) == names
    found = results.pairs().iloc[0]
    values = axes.collections[0].get_array().reshape(len(names), len(names))
    assert values[0, 1] == pytest.approx(found["difference"])
    assert values[1, 0] == pytest.approx(-found["difference"])
    signs = {tuple(np.round(text.get_position(), 1)): text.get_text() for text in axes.texts}
    assert signs[1.5, 0.5] == plots.SIGNS[found["outcome"]] == ">"
    assert signs[0.5, 1.5] == "<"


def test_retention_curves(results):
    axes = results.plot("retention", dataset="other")
    rows = results.measurements
    rows = rows[(rows["metric"] == "retention_retrained") & (rows["dataset"] == "other")]
    mean = rows[(rows["entrant"] == "f_test")].groupby("k")["value"].mean()
    assert any(
        len(line.get_ydata()) == 2 and np.allclose(line.get_ydata(), mean) and np.allclose(line.get_xdata(), mean.index)
        for line in axes.lines
    )
    assert axes.get_title() == "other"


def test_agreement_is_clustered(results):
    grid = results.plot("agreement")
    shown = texts(grid.ax_heatmap.get_yticklabels())
    assert sorted(shown) == ["f_test", "lrp", "saliency"]
    assert grid.dendrogram_row.reordered_ind == grid.dendrogram_col.reordered_ind


def test_relevances_stand_below_the_truth(results):
    axes = results.plot("relevance", dataset="toy")
    rows = texts(axes.get_yticklabels())
    assert rows[0] == "truth"
    assert set(rows[1:]) == set(results.cells.loc[~results.cells["explainer"].isin(["random"]), "entrant"])
    assert set(texts(axes.get_xticklabels())[:2]) == {"x0", "x1"}, "the relevant inputs come first"
    values = axes.collections[0].get_array().reshape(len(rows), 6)
    np.testing.assert_array_equal(values[0], [1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(values[1:].max(axis=1), 1)
    frame = results.relevances()
    frame = frame[(frame["dataset"] == "toy") & (frame["entrant"] == rows[1])]
    mean = frame.groupby("input")["relevance"].mean()
    np.testing.assert_allclose(values[1], (mean / mean.max())[texts(axes.get_xticklabels())])


def test_a_figure_can_be_drawn_on_axes_that_are_there(results):
    from matplotlib import pyplot

    _, axes = pyplot.subplots()
    assert results.plot("leaderboard", ax=axes) is axes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("leaderbord", {}), "did you mean leaderboard"),
        (("relevance", {"dataset": "toi"}), "did you mean toy"),
        (("leaderboard", {"dataset": "toy"}), "dataset is of other figures"),
        (("cost", {"of": "networks"}), "expected methods or entrants"),
        (("retention", {"metric": "retention_nothing"}), "got none in this run"),
    ],
)
def test_bad_choices_are_one_line(results, arguments, words):
    kind, choices = arguments
    with pytest.raises(InputError, match=words) as raised:
        results.plot(kind, **choices)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("suffix", "head"), [(".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")])
def test_files_have_the_same_bytes(results, tmp_path, suffix, head, capsys):
    from matplotlib import pyplot

    path = tmp_path / f"a{suffix}"
    code, out, _ = call("figure", results.folder, "leaderboard", "--out", path, capsys=capsys)
    assert (code, out) == (0, f"written: {path}\n")
    again = plots.save(results, "leaderboard", tmp_path / f"b{suffix}")
    assert path.read_bytes() == again.read_bytes()
    assert path.read_bytes().startswith(head)
    assert not pyplot.get_fignums()


def test_files_that_cannot_be_written(results, tmp_path, capsys):
    for path in (tmp_path / "a.gif", tmp_path / "no" / "a.svg"):
        code, _, err = call("figure", results.folder, "leaderboard", "--out", path, capsys=capsys)
        assert (code, len(err.splitlines())) == (2, 1)
