"""The page as a file: what stands where, well-formed, offline, the same bytes, free of paths."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pandas as pd
import pytest

from tests.reports import HOSTILE, of_dataset, pages, parsed, section, text_of
from xai_bench.errors import InputError
from xai_bench.report import page as drawn_page
from xai_bench.report import write_report
from xai_bench.report.kit.frames import Frames


def test_the_first_screen_is_sentences_a_figure_and_the_leaderboard(page):
    parsed(page)
    names = ("leaderboard", "standings", "datasets", "cost", "retention", "problems", "reading", "provenance")
    positions = [page.index(f'<section id="{name}"') for name in names]
    assert positions == sorted(positions)
    first = section(page, "leaderboard")
    assert first.index('class="words"') < first.index("<figure>") < first.index("<table")
    before = text_of(page[page.index("<body>") : page.index("<figure>")])
    assert len(before.split()) <= 120
    assert page.index('<nav id="contents"') > page.index("<figure>"), "the contents stand below the first screen"


def test_pages_are_well_formed_with_unique_ids(report):
    for file in sorted(report.rglob("*.html")):
        page = file.read_text(encoding="utf-8")
        parser = parsed(page)
        assert len(parser.ids) == len(set(parser.ids))
        assert page.count("<svg ") >= 2
        for _, name, value in parser.addresses:
            if name == "href" and not value.startswith("http"):
                path, _, anchor = value.partition("#")
                target = (file.parent / path).read_text(encoding="utf-8") if path else page
                assert not anchor or f' id="{anchor}"' in target, value


def test_pages_load_nothing(report):
    for file in report.rglob("*.html"):
        page = file.read_text(encoding="utf-8")
        for tag, name, value in parsed(page).addresses:
            if value.startswith(("http:", "https:", "//")):
                assert (tag, name) == ("a", "href"), f"<{tag} {name}={value}> would be loaded"
            elif name == "src" and file.name != "index.html" and tag == "script":
                assert (file.parent / value).is_file(), "the pages of datasets share one file of the report"
            elif name == "src":
                assert value.startswith("data:image/png;base64,")
        assert "@import" not in page
        assert not re.search(r"url\((?!#)", re.sub(r"<script>.*?</script>", "", page, flags=re.S))


def test_no_path_of_the_machine(report, by_hand):
    for file in [file for file in report.rglob("*") if file.is_file()]:
        text = file.read_text(encoding="utf-8")
        for word in ("/home/", "somebody", str(by_hand.folder), "/tmp/"):
            assert word not in text, f"{word} in {file.name}"


def test_hostile_labels_are_escaped(tmp_path):
    page, summary = pages(tmp_path, dataset=HOSTILE, extra=HOSTILE + "2")
    (own,) = (tmp_path / "report" / "datasets").glob("*.html")
    for text in (page, own.read_text(encoding="utf-8")):
        parsed(text)
        assert "<script>alert" not in text
        assert text.count("</script>") == 1
    assert own.name == "script-alert-1-script-x.html"
    assert "<script>alert" not in summary
    assert "&lt;script&gt;" in page
    for line in summary.splitlines():
        if line.startswith("|"):
            assert "|`x`" not in line.replace("\\|", ""), line


def files_of(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_same_results_give_the_same_bytes(by_hand, report, tmp_path):
    (tmp_path / "datasets").mkdir()
    for name in ("index.html", "datasets/of_another_run.html"):
        (tmp_path / name).write_text("an older page")
    write_report(by_hand, tmp_path)
    assert set(files_of(tmp_path)) == {
        "index.html",
        "summary.md",
        "datasets/toy.html",
        "datasets/tables.js",
    }  # no drafts
    assert files_of(tmp_path) == files_of(report)


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
    assert files_of(together) == files_of(report)


def test_no_processes_are_an_input_error(by_hand, tmp_path):
    with pytest.raises(InputError, match="jobs: expected at least 1, got 0"):
        write_report(by_hand, tmp_path, jobs=0)
    assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_an_input_error(by_hand, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write the report"):
        write_report(by_hand, tmp_path / "file" / "report")


def test_addresses_depend_on_the_label_alone_unless_two_would_be_alike(by_hand):
    labels = ["Ring (d=8)", "ring d 8", "Ring", "??"]
    plans = [by_hand._plan.assign(dataset=label) for label in labels]
    frames = Frames(replace(by_hand, _plan=pd.concat(plans, ignore_index=True)))
    one, other, ring, odd = frames.addresses.values()
    assert (ring, odd) == ("datasets/ring.html", "datasets/dataset.html")
    assert one != other
    assert all(re.fullmatch(r"datasets/ring-d-8-[0-9a-f]{8}\.html", name) for name in (one, other))


def test_the_page_of_a_dataset_leads_back_and_on(by_hand, tmp_path):
    again = by_hand._plan.assign(dataset="other")
    two = replace(by_hand, _plan=pd.concat([by_hand._plan, again], ignore_index=True))
    write_report(two, tmp_path / "report")
    page = of_dataset(tmp_path)
    assert '<a href="../index.html">By hand</a>' in page
    assert '<a href="other.html">other</a>' in page
