"""Published figures beside ours: the right ones, as published, and in no statistic of ours."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.conftest import TINY_NET
from xai_bench import registry, run
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import show
from xai_bench.report.sections import published

SUITE = {
    "name": "published",
    "data_seeds": [0, 1],
    "folds": 2,
    "datasets": [{"name": "ring", "grid": {"d": [2, 4, 16]}}, {"name": "xor", "n": 500, "d": 8}, {"name": "diabetes"}],
    "models": [{"name": "mlp", **TINY_NET}],
    "explainers": [{"name": "column_norm"}, {"name": "saliency", "label": "gradient"}, {"name": "mutual_information"}],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(SUITE, out=tmp_path_factory.mktemp("published"))


def test_ours_beside_the_published_values(results):
    (table,) = published.tables_of(Frames(results))  # xor has other rows, diabetes is not published
    names = ["Source", "Draws", "d = 2", "d = 4", "d = 16", "mean over d > 2"]
    assert [column.name for column in table.columns] == names
    found = results.table().query("metric == 'precision_at_p'")
    for i, (name, source) in enumerate((("gradient", "ours, mlp"), ("mutual_information", "ours"))):
        ours, theirs = table.rows[2 * i : 2 * i + 2]
        assert {ours.name, theirs.name} == {name}
        assert [ours.boxes[j].main for j in (0, 1)] == [source, "2"]
        assert theirs.boxes[0].main == "published"
        means = []
        assert ours.boxes[2].value is None, "without noise inputs there is no precision"
        for cell, d in zip(ours.boxes[3:], (4, 16), strict=False):
            rows = found[(found["dataset"] == f"ring (d={d})") & (found["explainer"] == name)]
            draws = rows.groupby("data_seed")["value"].mean()
            assert len(rows) == 4
            assert cell.value == pytest.approx(draws.mean())
            assert cell.small == f"{draws.min():.3f} to {draws.max():.3f}"
            means.append(draws.mean())
        both = means if name == "gradient" else means[1:]  # Mutual information was not published for d = 4.
        assert ours.boxes[-1].value == pytest.approx(sum(both) / len(both)), "d = p is left out"
        assert ours.boxes[-1].small == f"{len(both)} of them"
    said = " ".join(published.Published(Frames(results)).findings())
    assert "mrmr" not in said, "it is not in this suite"
    assert "`gradient`: theirs explains a network" in said
    # The published file: ring, 16 inputs, saliency and mutual information.
    assert [row.boxes[4].main for row in table.rows[1::2]] == ["0.417", "1.000"]
    assert table.rows[1].boxes[-1].value == pytest.approx((1.0 + 0.4167) / 2)


def test_each_method_says_how_many_draws_it_rests_on(tmp_path):
    run(SUITE, out=tmp_path, data_seeds=1, explainers=["gradient"])
    (table,) = published.tables_of(Frames(run(SUITE, out=tmp_path, explainers=["mutual_information"])))
    assert [row.boxes[1].main for row in table.rows] == ["1", "1", "2", "1"]
    assert [cell.small for cell in table.rows[0].boxes[3:5]] == ["", ""], "one draw has no range"
    mixed = run(SUITE, out=tmp_path, explainers=["gradient"], datasets=["ring (d=4)"])
    (table,) = published.tables_of(Frames(mixed))
    assert table.rows[0].boxes[1].main == "1 to 2"
    small = [cell.small for cell in table.rows[0].boxes[3:5]]
    assert re.fullmatch(r"2 draws, [\d.]+ to [\d.]+", small[0])
    assert small[1] == "1 draw"


def test_every_name_is_in_the_file_and_known(results):
    assert len(published.ring().figures) == 880
    assert published.values("ring", "saliency") | {2: 1.0, 8: 0.5, 2048: 0.0} == published.values("ring", "saliency")
    assert published.values("ring", "spectral") == {}
    assert {pair.ours for pair in published.ring().methods} <= set(registry.names("explainers"))


def test_what_was_measured_is_said_of_the_data_that_are_shown():
    entry = {"name": "random_forest"}
    said = published.said_of("forest", entry, {"ring_xor, d = 128", "ring, d = 16"})
    assert said[0].startswith("`forest`: 500 trees in both;")
    change = "a forest that is fitted on five sixths of the rows"
    assert said[1:] == [f"On ring_xor, d = 128 {change} gives 0.97 (4 draws; published 1.00)."]
    assert published.said_of("forest", entry, {"ring, d = 16"}) == said[:1]


def test_of_one_size_there_is_no_mean(results):
    one = dict(results.suite, datasets=[e for e in results.suite["datasets"] if e["label"] == "ring (d=4)"])
    (table,) = published.tables_of(Frames(dataclasses.replace(results, suite=one)))
    assert [column.name for column in table.columns] == ["Source", "Draws", "d = 4"]
    assert {len(row.boxes) for row in table.rows} == {3}


def test_the_page_shows_them_with_their_source(results):
    shown = show(published.Published, Frames(results))
    assert shown.title == "Published figures beside ours"
    assert "arXiv 2304.02383" in shown.html
    assert "as published" in shown.html
    assert "arXiv 2304.02383" in shown.summary


def test_other_suites_have_no_such_section(results):
    other = {**results.suite, "datasets": [e for e in results.suite["datasets"] if e["name"] != "ring"]}
    assert show(published.Published, Frames(dataclasses.replace(results, suite=other))) is None
