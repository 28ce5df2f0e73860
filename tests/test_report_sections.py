"""Sections of the page: one protocol, a reason in the place of one that fails, and sections of plugins."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pandas as pd
import pytest

from tests.reports import build, parsed, section
from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.report import in_short, sections, write_report
from xai_bench.report import page as drawn_page
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import prose
from xai_bench.report.kit.section import Figure, Section, known, show
from xai_bench.report.kit.tables import Body, Box, Column, Row, Table
from xai_bench.report.sections.agreement import WhichAgree
from xai_bench.report.sections.cost import Cost
from xai_bench.report.sections.networks import Networks

PLUGIN = """
import pandas as pd
from xai_bench import register
from xai_bench.report.kit.markup import prose
from xai_bench.report.kit.section import Section

@register
class Lengths(Section):
    id, order, within = "lengths", 35, "datasets"
    def html(self):
        if self.dataset == "other":
            raise ValueError("no lengths here")
        return f"<p>{len(self.dataset)} letters</p>"
    def csv(self):
        return {f"lengths_{self.dataset}.csv": pd.DataFrame({"length": [len(self.dataset)]})}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A store of which little is drawn."""
    return build(tmp_path_factory.mktemp("small"), seeds=(0,), truth=False, retention=False)


def written(results, folder: Path, jobs: int = 1) -> str:
    return write_report(results, folder, jobs).read_text(encoding="utf-8")


def without(page: str, reason: str) -> list[str]:
    """The lines of a page but for links to files, and for the paragraphs with a reason."""
    return [line for line in page.splitlines() if reason not in line and ".csv" not in line]


@pytest.mark.parametrize("kind", [Cost, WhichAgree, Networks], ids=["section", "part", "of a dataset"])
def test_a_section_that_fails_prints_its_reason_and_the_page_survives(small, tmp_path, monkeypatch, kind):
    before = written(small, tmp_path / "before")

    def fail(self: Section) -> list[Table]:
        raise RuntimeError("<b>boom</b> in /home/me/x.py\nand more")

    monkeypatch.setattr(kind, "tables", fail)
    after = written(small, tmp_path / "after")
    parsed(after)
    assert "&lt;b&gt;boom&lt;/b&gt; in x.py" in after
    assert "<b>boom" not in after
    (line,) = {line for line in after.splitlines() if "boom" in line and "notice" in line}
    assert f"The section <code>{kind.id}</code> is not shown, because it failed: RuntimeError:" in line
    assert "and more" not in line
    lost = set(without(before, "boom")) - set(without(after, "boom"))
    own = show_html(kind, small, monkeypatch)
    assert all(text in own for text in lost), "only the section itself is missing"
    summary = (tmp_path / "after" / "summary.md").read_text(encoding="utf-8")
    assert ("is not shown, because it failed" in summary) == kind.in_summary
    assert "<b>boom" not in summary
    assert (tmp_path / "after" / "cells.csv").is_file()


def show_html(kind: type[Section], results, monkeypatch) -> str:
    """What the section prints where it does not fail."""
    monkeypatch.undo()
    place = ("toy", "d1") if kind.within == "datasets" else ("", "")
    shown = show(kind, Frames(results), *place)
    return f"{shown.html}<p>{prose(shown.short)}</p>"


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("words", 3),
        ("tables", [None]),
        ("figures", "none"),
        ("csv", {"../x.csv": pd.DataFrame()}),
        ("csv", {"x.csv": 1}),
        ("findings", None),
        ("needs", SystemExit(3)),
        ("html", RuntimeError("\udc80 \0")),
        ("short", RecursionError()),
    ],
)
def test_whatever_a_section_returns_the_page_survives(small, tmp_path, monkeypatch, method, result):
    def returned(self: Section) -> object:
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(Cost, method, returned)
    if (method, result) == ("words", 3):
        monkeypatch.setattr(Cost, "html", lambda self: 1 / 0)
    page = written(small, tmp_path)
    parsed(page)
    assert "because it failed" in section(page, "cost")
    assert "\0" not in page
    assert not (tmp_path.parent / "x.csv").exists()
    assert dict(in_short(small))["cost"].startswith("The section cost is not shown")


def test_a_section_that_cannot_be_loaded_says_so_at_the_end(small, tmp_path, plugin_registry, monkeypatch):
    point = next(iter(entry_points(group="xai_bench.sections", name="cost")))
    wrong = type(point)("absent", "xai_bench.nowhere:Absent", "xai_bench.sections")
    monkeypatch.setattr(registry, "_entry_points", lambda family: {"cost": point, "absent": wrong})
    page = written(small, tmp_path)
    assert "No module named &#39;xai_bench.nowhere&#39;" in section(page, "absent")
    assert 'href="#absent"' in page
    assert page.index('id="cost"') < page.index('id="absent"')


def test_an_installation_without_sections_is_an_input_error(small, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_entry_points", lambda family: {})
    with pytest.raises(InputError, match="install xai_bench again"):
        write_report(small, tmp_path / "report")
    assert not (tmp_path / "report").exists()


class Mine(Section):
    """A section with one of everything."""

    id, title, label, order = "mine", "Mine & yours", "Mine", 15

    def words(self) -> str:
        return "One number of `spectral`."

    def figures(self) -> list[Figure]:
        return [Figure('<svg viewBox="0 0 1 1"></svg>', "<a dot>", "A dot.")]

    def tables(self) -> list[Table]:
        return [Table("A table.", "Name", [Column("Number")], [Body([Row("one", [Box("1.000", value=1.0)])])])]

    def csv(self) -> dict[str, pd.DataFrame]:
        return {"mine.csv": pd.DataFrame({"number": [1.0]}), "recovery.csv": pd.DataFrame({"number": [2.0]})}


def test_a_registered_section_stands_in_its_order(small, tmp_path, plugin_registry):
    plugin_registry.register(Mine)
    page = written(small, tmp_path)
    parsed(page)
    assert page.index('id="recovery"') < page.index('id="mine"') < page.index('id="cost"')
    assert '<a href="#mine">Mine</a>' in page
    text = section(page, "mine")
    for part in ("Mine &amp; yours", "<code>spectral</code>", "&lt;a dot&gt;", "A dot.", "1.000"):
        assert part in text
    assert (tmp_path / "mine.csv").read_text() == "number\n1\n"
    assert "dataset" in (tmp_path / "recovery.csv").read_text(), "another section had the name first"
    assert "<code>recovery.csv</code> of the section <code>mine</code>" in section(page, "provenance")
    assert "| one | 1.000 |" in (tmp_path / "summary.md").read_text()


def test_a_part_of_a_dataset_comes_from_a_plugin_file(small, tmp_path, plugin_registry):
    (tmp_path / "lengths.py").write_text(PLUGIN)
    plugin_registry.load_plugin(tmp_path / "lengths.py")
    two = replace(small, _plan=pd.concat([small._plan, small._plan.assign(dataset="other")], ignore_index=True))
    page = written(two, tmp_path / "report")
    assert page.count("<p>3 letters</p>") == 1
    assert page.count("because it failed: ValueError: no lengths here") == 1
    assert (tmp_path / "report" / "lengths_toy.csv").is_file()
    assert '<a href="lengths_toy.csv">' in page


def test_a_process_that_draws_loads_the_plugins(small, tmp_path, plugin_registry, monkeypatch):
    (tmp_path / "lengths.py").write_text(PLUGIN)
    plugin_registry.load_plugin(tmp_path / "lengths.py")
    plugins = plugin_registry.plugins()
    plugin_registry.forget("sections", "lengths")
    monkeypatch.setattr(plugin_registry, "_plugins", {})
    monkeypatch.setattr(drawn_page, "_given", [])
    drawn_page._begin(Frames(small), plugins, ["lengths"])
    ((shown,),) = drawn_page._drawn("toy", "d1")
    assert "3 letters" in shown.html


def test_a_reason_to_leave_a_section_out_is_told(small, tmp_path, plugin_registry):
    class Absent(Mine):
        """Left out."""

        id, order = "absent", 16

        def needs(self) -> str:
            return "nothing <b> was asked for"

    plugin_registry.register(Absent)
    text = section(written(small, tmp_path), "absent")
    assert "Not in this report: nothing &lt;b&gt; was asked for." in text
    assert "A dot." not in text


def test_every_section_of_the_folder_is_an_entry_point_in_a_file_of_its_own():
    points = {point.name: point.value for point in entry_points(group="xai_bench.sections")}
    found = {}
    for file in Path(sections.__path__[0]).glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Section" for base in node.bases):
                found[f"{sections.__name__}.{file.stem}:{node.name}"] = file.stem
    assert set(points.values()) == set(found)
    shipped = [kind for kind in known() if kind.__module__.startswith(sections.__name__)]
    assert {kind.id: f"{kind.__module__}:{kind.__name__}" for kind in shipped} == points
    places = [(kind.within, kind.order) for kind in shipped]
    assert len(set(places)) == len(places)
    assert {kind.within for kind in shipped} <= {"", *points}


def test_words_are_two_sentences_at_most(by_hand, tmp_path):
    stores = [by_hand, build(tmp_path / "one", seeds=(0,)), build(tmp_path / "no", truth=False, retention=False)]
    spoken = 0
    for results in stores:
        for kind in known():
            one = kind(Frames(results), "toy" if kind.within == "datasets" else "")
            if one.needs() is True:
                words = one.words()
                spoken += bool(words)
                assert len(re.findall(r"[.?!](?= [A-Z“`]|$)", words)) <= 2, f"{kind.id}: {words}"
    assert spoken > 10
