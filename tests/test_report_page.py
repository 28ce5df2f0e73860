"""The page as a file: what stands where, well-formed, offline, the same bytes, free of paths."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pandas as pd
import pytest

from tests.reports import HOSTILE, pages, parsed, section
from xai_bench.errors import InputError
from xai_bench.report import page as drawn_page
from xai_bench.report import write_report


def test_three_questions_are_answered_first(page):
    parser = parsed(page)
    text = " ".join(parser.text)
    positions = [
        page.index(f'<section id="{name}">') for name in ("recovery", "cost", "retention", "datasets", "reading")
    ]
    assert positions == sorted(positions)
    assert positions[0] < 0.6 * len(page)
    for name in ("recovery", "cost", "retention"):
        assert "<table" in section(page, name)
        assert "<p>" in section(page, name)
    assert "spectral" in text
    assert page.index('<section class="short"') < positions[0]


def test_page_is_well_formed_with_unique_ids(page):
    parser = parsed(page)
    assert len(parser.ids) == len(set(parser.ids))
    assert page.count("<svg ") >= 4
    targets = {
        value.removeprefix("#") for _, name, value in parser.addresses if name == "href" and value.startswith("#")
    }
    assert targets <= set(parser.ids)


def test_page_loads_nothing(page, report):
    for tag, name, value in parsed(page).addresses:
        if value.startswith(("http:", "https:", "//")):
            assert (tag, name) == ("a", "href"), f"<{tag} {name}={value}> would be loaded"
            assert "arxiv.org" in value
        elif not value.startswith("#"):
            assert (report / value).is_file(), value
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_no_path_of_the_machine(report, by_hand):
    for file in report.iterdir():
        text = file.read_text(encoding="utf-8")
        for word in ("/home/", "somebody", str(by_hand.folder), "/tmp/"):
            assert word not in text, f"{word} in {file.name}"


def test_hostile_labels_are_escaped(tmp_path):
    page, summary = pages(tmp_path, dataset=HOSTILE, extra=HOSTILE + "2")
    parsed(page)
    assert "<script>alert" not in page
    assert "<script>alert" not in summary
    assert page.count("<script") == 1
    assert "&lt;script&gt;" in page
    for line in summary.splitlines():
        if line.startswith("|"):
            assert "|`x`" not in line.replace("\\|", ""), line


def test_same_results_give_the_same_bytes(by_hand, report, tmp_path):
    (tmp_path / "index.html").write_text("an older page")
    write_report(by_hand, tmp_path)
    names = sorted(file.name for file in report.iterdir())
    always = {"index.html", "summary.md", "cells.csv", "measurements.csv", "recovery.csv", "cost.csv", "retention.csv"}
    assert set(names) == {*always, "agreement.csv"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes(), name
    assert sorted(file.name for file in tmp_path.iterdir()) == names  # no drafts are left


def end_this_process(*_: object) -> None:
    os._exit(3)


@pytest.mark.parametrize("begin", ["_begin", "end_this_process"])
def test_several_processes_draw_the_same_report(by_hand, tmp_path, monkeypatch, begin):
    again = by_hand._plan.assign(dataset="other")
    two = replace(by_hand, _plan=pd.concat([by_hand._plan, again], ignore_index=True))
    report = write_report(two, tmp_path / "alone").parent
    monkeypatch.setattr(drawn_page, "FOR_A_PROCESS", 1)
    if begin != "_begin":  # what processes leave undone is drawn here
        monkeypatch.setattr(drawn_page, "_begin", end_this_process)
    else:
        monkeypatch.setattr(drawn_page, "dataset", None)
    together = write_report(two, tmp_path / "together", jobs=2).parent
    for file in report.iterdir():
        assert (together / file.name).read_bytes() == file.read_bytes(), file.name


def test_no_processes_are_an_input_error(by_hand, tmp_path):
    with pytest.raises(InputError, match="jobs: expected at least 1, got 0"):
        write_report(by_hand, tmp_path, jobs=0)
    assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_an_input_error(by_hand, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write the report"):
        write_report(by_hand, tmp_path / "file" / "report")
