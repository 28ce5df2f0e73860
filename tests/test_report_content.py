"""What a page says of a store: values, controls, what failed, what is not known."""

from __future__ import annotations

import re

from tests.reports import INTERVAL, REASON, pages, parsed, rows, score, section, text_of
from xai_bench.report.kit.frames import Frames
from xai_bench.statistics import interval


def test_the_page_says_where_the_time_went(page):
    assert "61 s of wall time before the report; of its workers: 90 s explaining, 20 s training" in page


def test_values_are_those_of_the_store(page):
    found = interval([score("auroc", "spectral", seed) for seed in (0, 1, 2)])
    cell = f"{found.mean:.3f} <small>[{found.low:.3f}, {found.high:.3f}]</small>"
    assert cell in rows(section(page, "recovery"))["spectral"]


def test_summary_holds_the_numbers_of_the_page(page, report):
    summary = (report / "summary.md").read_text(encoding="utf-8")
    for name in ("recovery", "cost", "retention"):
        text = text_of(section(page, name))
        numbers = set(INTERVAL.findall(text)) | set(re.findall(r"[\d.,]+ (?:ms|µs|s|MiB)\b", text))
        assert numbers, name
        assert {number for number in numbers if number not in summary} == set()


def test_controls_are_shown_and_never_ranked(page, by_hand):
    table = Frames(by_hand)
    for frame in (table.recovery, table.retention):
        assert not frame.loc[frame["explainer"].isin(["random", "oracle"]), "near"].any()
    for name in ("recovery", "retention"):
        html = section(page, name)
        for control in [row for row in rows(html) if row.startswith(("random", "oracle", "chance"))]:
            assert "•" not in rows(html)[control]
        assert re.search(r"oracle</th>", html)
    # The oracle has 1.000 everywhere; it must not be the highest mean.
    assert "1.000" not in re.sub(r"<tr class=\"control\">.*?</tr>", "", section(page, "recovery"), flags=re.S)


def test_failed_and_missing_cells_are_shown_with_reasons(tmp_path):
    page, summary = pages(
        tmp_path,
        statuses={
            "saliency": ("failed", "ValueError: no gradient (/opt/lib/thing.py:3)"),
            "column_norm": ("missing", ""),
            "mutual_information": ("timed_out", "more than 5 s"),
        },
    )
    for text in (page, summary):
        assert "no gradient (thing.py:3)" in text
        assert "more than 5 s" in text
        assert "not run yet" in text
        assert "not run at all: `column_norm`" in text.replace("<code>", "`").replace("</code>", "`")
    assert "/opt" not in page + summary
    assert "saliency" not in rows(section(page, "recovery"))


def test_one_seed_has_no_intervals_and_says_so(tmp_path):
    page, summary = pages(tmp_path, seeds=(0,))
    for name in ("recovery", "retention"):
        assert not INTERVAL.search(text_of(section(page, name)))
        assert '<b class="mark" title="its interval' not in section(page, name)
    assert "one data seed only" in page
    assert "one data seed only" in summary


def test_no_truth(tmp_path):
    page, _ = pages(tmp_path, truth=False)
    assert "No answer: no method was scored" in section(page, "recovery")
    assert "<table" not in section(page, "recovery")
    assert "not known" in page
    assert "<table" in section(page, "retention")


def test_no_retention(tmp_path):
    page, _ = pages(tmp_path, retention=False)
    assert "retention was not asked for" in section(page, "retention")
    assert "<table" in section(page, "recovery")


def test_gains_without_a_value_have_their_reason(tmp_path):
    page, summary = pages(tmp_path, gains=False)
    for text in (section(page, "retention"), summary):
        assert f"data seeds 0, 1 and 2: {REASON}" in text
    assert "no gain has a value" in section(page, "retention")


def test_nothing_learned(tmp_path):
    page, _ = pages(tmp_path, learned=False)
    assert "learned 0 of 3" in section(page, "recovery")
    assert "Not every training learned" in section(page, "recovery")
    assert "†" in rows(section(page, "recovery"))["spectral"]


def test_nothing_done(tmp_path):
    everything = ("spectral", "column_norm", "saliency", "mutual_information", "random", "oracle")
    page, _ = pages(tmp_path, statuses=dict.fromkeys(everything, ("failed", "broken")))
    parsed(page)
    assert page.count("No answer") >= 3
    assert "broken" in page
