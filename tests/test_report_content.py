"""What a report says of a store: values, controls, what failed, what is not known."""

from __future__ import annotations

import re

import pytest

from tests.reports import INTERVAL, REASON, build, of_dataset, pages, parsed, rows, score, section, text_of
from xai_bench.report.kit.frames import Frames
from xai_bench.statistics import bounded_interval

SEEDS = tuple(range(5))


def test_the_page_says_where_the_time_went(page):
    assert "61 s of wall time before the report; of its workers: 90 s explaining, 20 s training" in page


def test_values_are_those_of_the_store(tmp_path):
    pages(tmp_path, seeds=SEEDS)
    values = [score("auroc", "spectral", seed) for seed in SEEDS]
    low, high = bounded_interval(values, 0.0, 1.0, 0.5)
    cell = f"{sum(values) / 5:.3f} <small>[{low:.3f}, {high:.3f}]</small>"
    assert cell in rows(section(of_dataset(tmp_path), "scores"))["spectral"]


def test_below_five_draws_values_have_no_interval(report):
    html = section((report / "datasets/toy.html").read_text(encoding="utf-8"), "scores")
    assert not INTERVAL.search(text_of(html))
    assert "0.959" in rows(html)["spectral"]


@pytest.mark.parametrize("trainings", [1, 3])
def test_intervals_stay_in_the_range_of_the_score(tmp_path, trainings):
    frame = Frames(build(tmp_path, seeds=SEEDS, trainings=trainings)).recovery
    frame = frame[frame["metric"] == "auroc"]
    assert (frame["n"] == 5).all()
    assert frame["low"].notna().all()
    assert (frame["high"] <= 1).all()
    assert (frame["low"] <= frame["mean"]).all()


def test_summary_holds_the_numbers_of_the_page(page, report):
    summary = (report / "summary.md").read_text(encoding="utf-8")
    first = re.sub(r"<svg.*?</svg>", "", section(page, "leaderboard").split("<details>")[0], flags=re.S)
    text = re.sub(r"<[^>]+>", " ", first)
    numbers = set(re.findall(r"\d+\.\d+(?: (?:ms|µs|s|MiB))?|\d+ %", text))
    assert numbers
    assert {number for number in numbers if number not in summary} == set()


def test_controls_are_shown_and_never_ranked(page, report):
    assert not {"random", "oracle"} & set(rows(section(page, "leaderboard")))
    assert not {"random", "oracle"} & set(rows(section(page, "standings")))
    html = (report / "datasets/toy.html").read_text(encoding="utf-8")
    assert '<tr class="control"><th scope="row">oracle</th>' in section(html, "scores")
    assert "1.000" in rows(section(html, "scores"))["oracle"]
    assert "0.500" in rows(section(html, "scores"))["chance, by formula"]


def test_failed_and_missing_cells_are_shown_with_reasons(tmp_path):
    page, summary = pages(
        tmp_path,
        statuses={
            "saliency": ("failed", "ValueError: no gradient (/opt/lib/thing.py:3)"),
            "column_norm": ("missing", ""),
            "mutual_information": ("timed_out", "more than 5 s"),
        },
    )
    for text in (page, summary, section(of_dataset(tmp_path), "problems_here") + page):
        assert "no gradient (thing.py:3)" in text
        assert "more than 5 s" in text
        assert "not run yet" in text
        assert "not run at all: `column_norm`" in text.replace("<code>", "`").replace("</code>", "`")
    assert "/opt" not in page + summary + of_dataset(tmp_path)
    assert "column_norm" not in rows(section(of_dataset(tmp_path), "scores"))


def test_one_draw_decides_nothing_and_says_so(tmp_path):
    page, summary = pages(tmp_path, seeds=(0,))
    for text in (text_of(page), summary):
        assert "below 5 draws nothing is decided" in text
        assert "decided pairs, which need 5 draws" in text
    assert 'id="pairs"' not in page
    assert not INTERVAL.search(text_of(of_dataset(tmp_path)))
    assert '<tr class="first">' not in page


def test_no_truth(tmp_path):
    page, summary = pages(tmp_path, truth=False)
    for text in (page, summary):
        assert "by retention (points over random" in text
    assert "<table" in section(page, "leaderboard")
    assert "<figure" not in section(page, "leaderboard")
    assert "The truth is not known" in section(of_dataset(tmp_path), "relevance")
    assert "<figure" in section(page, "retention")


def test_no_retention(tmp_path):
    page, _ = pages(tmp_path, retention=False)
    assert 'id="retention"' not in page
    assert "Not in this report: " in page
    assert "retention was not asked for" in page
    assert "<table" in section(page, "leaderboard")
    assert 'id="retained"' not in of_dataset(tmp_path)


def test_gains_without_a_value_have_their_reason(tmp_path):
    pages(tmp_path, gains=False)
    assert f"Draws without a value of retention (data seeds 0, 1 and 2): {REASON}." in of_dataset(tmp_path)


def test_nothing_learned(tmp_path):
    page, _ = pages(tmp_path, learned=False)
    assert "0 %" in rows(section(page, "leaderboard"))["spectral"]
    html = of_dataset(tmp_path)
    assert "not every network learned" in section(html, "scores")
    assert "†" in rows(section(html, "scores"))["spectral"]
    assert "0 of 3" in rows(section(html, "networks"))["net"]


def test_nothing_done(tmp_path):
    everything = ("spectral", "column_norm", "saliency", "mutual_information", "random", "oracle")
    page, _ = pages(tmp_path, statuses=dict.fromkeys(everything, ("failed", "broken")))
    parsed(page)
    parsed(of_dataset(tmp_path))
    assert "No methods are compared" in page
    assert "broken" in page
