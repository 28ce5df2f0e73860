"""Committed reports are what this version gives, or say that they are not; and how they are made."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import xai_bench
from benchmarks import committed_reports as reports
from benchmarks import standard_leader
from tests.conftest import TINY_NET
from xai_bench import registry
from xai_bench.datasets import base
from xai_bench.results.store import read
from xai_bench.scoring import recovery, retention, sanity, settling
from xai_bench.suites import plan

TINY = f"""
name = "tiny"
data_seeds = [0, 1]
[[datasets]]
name = "gaussian_correlated"
n = 200
[[models]]
name = "mlp"
hidden = {TINY_NET["hidden"]}
epochs = 0.1
min_steps = 5
checkpoints = 2
[[explainers]]
name = "column_norm"
[[explainers]]
name = "f_test"
[retention]
judge = {{epochs = 0.1, min_steps = 5, checkpoints = 2, hidden = [4]}}
[sanity]
"""
VERSION = version("xai-bench")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with ``reports``: a suite that was measured anew, and a report of an earlier version."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.toml").write_text(TINY)
    old = folder / "reports" / "old"
    old.mkdir(parents=True)
    (old / "index.html").write_text("<h1>Old</h1>\n<p>Text</p>\n")
    (old / "summary.md").write_text("# Old\n\nText\n")
    marks = '# Marks\nold = "measured by version 0.0.1"\ntiny = "measured by version 0.0.2"\n'
    (folder / "reports" / "measured.toml").write_text(marks)
    reports.make(str(folder / "tiny.toml"), folder / "reports", folder)
    reports.finish(folder / "reports")
    return folder / "reports"


def test_no_committed_report_is_stale_without_saying_so():
    marks = reports.marks()
    for folder in reports.folders():
        if folder.name in marks:
            continue
        pack = reports.pack_of(folder)
        assert pack is not None, f"{folder.name} has no pack: make it anew, or mark it in reports/measured.toml"
        assert not (changed := reports.stale(pack)), f"{folder.name}: {changed}: make it anew, or mark it"


def test_marks_are_shown():
    marks = reports.marks()
    assert set(marks) <= set(reports.listed_files())
    for name, mark in marks.items():
        for path in filter(Path.is_file, (reports.REPORTS / name / file for file in ("index.html", "summary.md"))):
            assert reports.sentence(mark) in path.read_text(encoding="utf-8"), f"{path}: run make reports SUITES="


def test_the_list_of_reports_is_that_of_today():
    found = (reports.REPORTS / reports.LIST).read_text(encoding="utf-8")
    assert found == reports.listed(), "run make reports SUITES="


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("All done. Measured by xai-bench 0.3.0, drawn by xai-bench 0.4.0.", "By xai-bench 0.3.0."),
        ("Measured by xai-bench 0.2.0 and 0.3.0.", "By xai-bench 0.2.0 and 0.3.0."),
        ("Measured by a version of xai-bench that was not recorded.", "The version is not recorded."),
        ("Text", "The version is not recorded."),
    ],
)
def test_the_list_says_what_a_summary_says_of_versions(tmp_path, said, expected):
    (tmp_path / "summary.md").write_text(f"# Title\n\n{said}\n")
    assert reports.recorded(tmp_path / "summary.md") == expected


def test_a_report_with_a_pack_has_no_tables_beside_it():
    for folder in reports.folders():
        if (pack := reports.pack_of(folder)) is not None:
            names = {"index.html", "summary.md", "datasets", reports.PICTURE, pack.name}
            assert {path.name for path in folder.iterdir()} <= names


def test_pages_link_to_files_that_are_there():
    for folder in reports.folders():
        page = (folder / "index.html").read_text(encoding="utf-8")
        for name in re.findall(r'href="([\w.-]+\.(?:csv|md|xaipack))"', page):
            assert (folder / name).is_file(), (folder.name, name)


def test_a_suite_that_is_measured_anew_has_a_pack_and_no_mark(made):
    folder = made / "tiny"
    names = {"index.html", "summary.md", "datasets", reports.PICTURE, "tiny.xaipack"}
    assert {path.name for path in folder.iterdir()} | {reports.PICTURE} == names
    for name in ("index.html", "summary.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert f"Measured by xai-bench {VERSION}, drawn by xai-bench {VERSION}." in text
        assert "version 0.0.2" not in text
        assert '.csv"' not in text
    assert reports.marks(made) == {"old": "measured by version 0.0.1"}
    assert (made / "measured.toml").read_text().startswith("# Marks\n")


def test_the_mark_of_an_earlier_version_is_on_the_page_and_in_the_list(made):
    assert (
        '</h1>\n<p class="notice" id="measured">Measured by version 0.0.1.</p>' in (made / "old/index.html").read_text()
    )
    assert (made / "old/summary.md").read_text() == "# Old\n\n> Note: Measured by version 0.0.1.\n\nText\n"
    text = (made / "README.md").read_text()
    assert "| [old](old/index.html) | Old | [summary](old/summary.md) | Measured by version 0.0.1. |" in text
    assert f"By xai-bench {VERSION}; [pack](tiny/tiny.xaipack)." in text
    page = (made / "index.html").read_text(encoding="utf-8")
    assert '<a href="tiny/index.html">tiny</a>' in page
    assert '<a href="old/index.html">old</a> – Old <small>Measured by version 0.0.1.</small>' in page


def test_marks_are_replaced_and_removed(made):
    before = {name: (made / "old" / name).read_text() for name in ("index.html", "summary.md")}
    reports.show_mark(made / "old", "another")
    assert (made / "old/index.html").read_text().count("measured") == 1
    assert "> Note: Another.\n" in (made / "old/summary.md").read_text()
    reports.show_mark(made / "old", "")
    assert (made / "old/index.html").read_text() == "<h1>Old</h1>\n<p>Text</p>\n"
    assert (made / "old/summary.md").read_text() == "# Old\n\nText\n"
    reports.show_mark(made / "old", "measured by version 0.0.1")
    assert {name: (made / "old" / name).read_text() for name in before} == before


def test_what_was_just_made_is_not_stale(made):
    assert reports.stale(made / "tiny" / "tiny.xaipack") == []


CHANGES = {
    "explainer": (lambda: registry.get("explainers", "f_test"), "version", "explainers f_test: version was 1, is 99"),
    "network": (lambda: registry.get("models", "mlp"), "version", "models mlp: version was"),
    "loading": (lambda: base, "LOADING", "datasets gaussian_correlated: loading was"),
    "splitting": (lambda: plan, "VERSION", "12 cells have another key"),
    "controls": (lambda: plan, "CONTROL_VERSION", "8 cells have another key"),
    "metrics": (lambda: recovery, "VERSION", "metrics auroc: scored by other code"),
    "retention": (lambda: retention, "VERSION", "retention: 12 cells were judged in another way"),
    "settling": (lambda: settling, "VERSION", "settling: 2 networks, trained once more in another way"),
    "sanity": (lambda: sanity, "VERSION", "sanity: networks were initialised anew in another way"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_named(made, monkeypatch, what):
    owner, name, expected = CHANGES[what]
    monkeypatch.setattr(owner(), name, 99)
    found = reports.stale(made / "tiny" / "tiny.xaipack")
    assert any(text.startswith(expected) for text in found), found


def test_a_field_that_came_later_is_a_change(made, monkeypatch):
    """As if the default of a field were another one, or the field were new."""
    kind = registry.get("explainers", "f_test")
    monkeypatch.setattr(kind, "identity", lambda self: {**base.Component.identity(self), "fields": {"new": 1}})
    (found,) = reports.stale(made / "tiny" / "tiny.xaipack")
    assert found == "explainers f_test: fields was {'max_inputs': None}, is {'new': 1}"


def test_a_component_that_is_gone_is_a_change(made, monkeypatch):
    original = registry.get

    def get(family, name):
        if name == "f_test":
            raise xai_bench.InputError("unknown explainer 'f_test'")
        return original(family, name)

    monkeypatch.setattr(registry, "get", get)
    assert reports.stale(made / "tiny" / "tiny.xaipack") == ["explainers f_test: unknown explainer 'f_test'"]


def test_a_run_with_failures_replaces_no_report(made, monkeypatch, tmp_path):
    failed = pd.DataFrame({"reason": ["ValueError: broken"]})
    results = SimpleNamespace(failed=failed, suite={"name": "tiny"})
    monkeypatch.setattr(xai_bench, "run", lambda *_, **__: results)
    with pytest.raises(SystemExit, match="tiny: 1 cells failed, the report stays as it was: ValueError: broken"):
        reports.make("tiny", made, tmp_path)


def test_the_frozen_leader_is_that_of_the_committed_pack():
    if not standard_leader.PACK.is_file():
        pytest.skip("reports/standard has no pack")
    assert standard_leader.TARGET.read_text(encoding="utf-8") == standard_leader.text_of(read(standard_leader.PACK))
