"""Published figures beside ours: the right ones, as published, and in no statistic of ours."""

from __future__ import annotations

import re

import pytest

from tests.conftest import TINY_NET
from xai_bench import registry, run
from xai_bench.report import write_report
from xai_bench.report.kit.frames import Frames
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
    assert [column.name for column in table.columns] == ["d = 2", "d = 4", "d = 16", "mean over d > 2"]
    assert [body.heading for body in table.bodies] == ["gradient, 2 draws", "mutual_information, 2 draws"]
    found = results.table().query("metric == 'precision_at_p'")
    for body, model, name in zip(table.bodies, ("mlp", ""), ("gradient", "mutual_information"), strict=True):
        ours, theirs = body.rows
        assert (ours.name, theirs.name) == ("ours, mlp" if model else "ours", "published")
        means = []
        assert ours.boxes[0].value is None, "without noise inputs there is no precision"
        for cell, d in zip(ours.boxes[1:], (4, 16), strict=False):
            rows = found[(found["dataset"] == f"ring (d={d})") & (found["explainer"] == name)]
            draws = rows.groupby("data_seed")["value"].mean()
            assert len(rows) == 4
            assert cell.value == pytest.approx(draws.mean())
            assert cell.small == f"{draws.min():.3f} to {draws.max():.3f}"
            means.append(draws.mean())
        both = means if name == "gradient" else means[1:]  # Mutual information was not published for d = 4.
        assert ours.boxes[-1].value == pytest.approx(sum(both) / len(both)), "d = p is left out"
        assert ours.boxes[-1].small == f"{len(both)} of them"
    assert "three states" not in table.caption, "mrmr is not in this suite"
    # The published file: ring, 16 inputs, saliency and mutual information.
    assert [row.rows[1].boxes[2].main for row in table.bodies] == ["0.417", "1.000"]
    assert table.bodies[0].rows[1].boxes[-1].value == pytest.approx((1.0 + 0.4167) / 2)


def test_each_method_says_how_many_draws_it_rests_on(tmp_path):
    run(SUITE, out=tmp_path, data_seeds=1, explainers=["gradient"])
    (table,) = published.tables_of(Frames(run(SUITE, out=tmp_path, explainers=["mutual_information"])))
    one, two = table.bodies
    assert (one.heading, two.heading) == ("gradient, 1 draw", "mutual_information, 2 draws")
    assert [cell.small for cell in one.rows[0].boxes[1:3]] == ["", ""], "one draw has no range"
    assert "of each draw and over the draws, whose number stands beside the method" in table.caption
    mixed = run(SUITE, out=tmp_path, explainers=["gradient"], datasets=["ring (d=4)"])
    (table,) = published.tables_of(Frames(mixed))
    assert table.bodies[0].heading == "gradient, 1 to 2 draws"
    small = [cell.small for cell in table.bodies[0].rows[0].boxes[1:3]]
    assert re.fullmatch(r"2 draws, [\d.]+ to [\d.]+", small[0])
    assert small[1] == "1 draw"


def test_every_name_is_in_the_file_and_known(results):
    file = published._file()
    assert set(published.METHODS.values()) <= set(file["method"])
    assert len(file) == 880
    assert published.values("ring", "saliency") | {2: 1.0, 8: 0.5, 2048: 0.0} == published.values("ring", "saliency")
    assert published.values("ring", "spectral") == {}
    assert set(published.METHODS) <= set(registry.names("explainers"))
    assert set(published.NOTES) <= set(published.METHODS)


def test_the_page_shows_them_with_their_source(results, tmp_path):
    page = write_report(results, tmp_path).read_text(encoding="utf-8")
    section = re.search(r'<section id="published">.*?</section>', page, re.S).group()
    assert "arXiv 2304.02383" in section
    assert "as published" in section
    assert "Published figures beside ours" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "published" not in (tmp_path / "recovery.csv").read_text(encoding="utf-8")


def test_other_suites_have_no_such_section(results, tmp_path):
    results.suite = {**results.suite, "datasets": [e for e in results.suite["datasets"] if e["name"] != "ring"]}
    assert 'id="published"' not in write_report(results, tmp_path).read_text(encoding="utf-8")
