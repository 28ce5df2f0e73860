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
from xai_bench.report import page as drawn_page
from xai_bench.report import sections, write_report
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import environment
from xai_bench.report.kit.section import Figure, Section, known, show
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table
from xai_bench.report.sections.cost import Cost
from xai_bench.report.sections.networks import Networks

PLUGIN = """
from xai_bench import register
from xai_bench.report.kit.section import Section

@register
class Lengths(Section):
    id, order, within = "lengths", 35, "datasets"
    def html(self):
        if self.dataset == "other":
            raise ValueError("no lengths here")
        return f"<p>{len(self.dataset)} letters</p>"
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A store of which little is drawn."""
    return build(tmp_path_factory.mktemp("small"), seeds=(0,), truth=False, retention=False)


def written(results, folder: Path, jobs: int = 1) -> str:
    return write_report(results, folder, jobs).read_text(encoding="utf-8")


def test_a_column_that_is_sorted_by_values_says_so_in_every_row():
    """DataTables looks at the first row only."""
    boxes = [[first, Box("x", text=True)] for first in (EMPTY, Box("2 s", value=2.0), Box("–", value=float("nan")))]
    table = Table("A", "Name", [Column("Time"), Column("Words", text=True)], [Row("a", own) for own in boxes])
    html = environment().get_template("parts.html.j2").module.table(table)
    words = ' class="text"'
    assert re.findall(r"<td([^>]*)>", html) == [
        *(' data-order=""', words),
        *(' data-order="2"', words),
        *(' data-order=""', words),
    ]


@pytest.mark.parametrize("kind", [Cost, Networks], ids=["section", "of a dataset"])
def test_a_section_that_fails_prints_its_reason_and_the_page_survives(small, tmp_path, monkeypatch, kind):
    def fail(self: Section) -> list[Table]:
        raise RuntimeError("<b>boom</b> in /home/me/x.py\nand more")

    monkeypatch.setattr(kind, "tables", fail)
    page = written(small, tmp_path)
    text = page if not kind.within else (tmp_path / "datasets/toy.html").read_text(encoding="utf-8")
    parsed(text)
    assert "&lt;b&gt;boom&lt;/b&gt; in x.py" in section(text, kind.id)
    (line,) = {line for line in text.splitlines() if "boom" in line}
    assert f"The section <code>{kind.id}</code> is not shown, because it failed: RuntimeError:" in line
    assert "and more" not in line
    others = ("provenance", "leaderboard") if not kind.within else ("scores", "relevance")
    assert all("<table" in section(text, name) or "<dl" in section(text, name) for name in others)
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert ("is not shown, because it failed" in summary) == (not kind.within)
    assert "<b>boom" not in summary


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("words", 3),
        ("tables", [None]),
        ("figures", "none"),
        ("findings", None),
        ("needs", SystemExit(3)),
        ("html", RuntimeError("\udc80 \0")),
        ("markdown", RecursionError()),
    ],
)
def test_whatever_a_section_returns_the_page_survives(small, monkeypatch, method, result):
    def returned(self: Section) -> object:
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(Cost, method, returned)
    if (method, result) == ("words", 3):
        monkeypatch.setattr(Cost, "html", lambda self: 1 / 0)
    shown = show(Cost, Frames(small))
    assert "because it failed" in shown.html
    assert "\0" not in shown.html


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
        return [Table("A table.", "Name", [Column("Number")], [Row("one", [Box("1.000", value=1.0)])])]


def test_a_registered_section_stands_in_its_order(small, tmp_path, plugin_registry):
    plugin_registry.register(Mine)
    page = written(small, tmp_path)
    parsed(page)
    assert page.index('id="leaderboard"') < page.index('id="mine"') < page.index('id="cost"')
    assert '<a href="#mine">Mine</a>' in page
    text = section(page, "mine")
    for part in ("Mine &amp; yours", "<code>spectral</code>", "&lt;a dot&gt;", "A dot.", "1.000"):
        assert part in text
    assert "| one | 1.000 |" in (tmp_path / "summary.md").read_text()


def test_a_part_of_a_dataset_comes_from_a_plugin_file(small, tmp_path, plugin_registry):
    (tmp_path / "lengths.py").write_text(PLUGIN)
    plugin_registry.load_plugin(tmp_path / "lengths.py")
    two = replace(small, _plan=pd.concat([small._plan, small._plan.assign(dataset="other")], ignore_index=True))
    written(two, tmp_path / "report")
    toy, other = (text(tmp_path / "report/datasets" / f"{name}.html") for name in ("toy", "other"))
    assert toy.count("<p>3 letters</p>") == 1
    assert other.count("because it failed: ValueError: no lengths here") == 1


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_a_process_that_draws_loads_the_plugins(small, tmp_path, plugin_registry, monkeypatch):
    (tmp_path / "lengths.py").write_text(PLUGIN)
    plugin_registry.load_plugin(tmp_path / "lengths.py")
    plugins = plugin_registry.plugins()
    plugin_registry.forget("sections", "lengths")
    monkeypatch.setattr(plugin_registry, "_plugins", {})
    monkeypatch.setattr(drawn_page, "_given", [])
    drawn_page._begin(Frames(small), plugins, plugin_registry.of_scripts("sections"), "Title")
    (page,) = drawn_page._drawn("toy")
    assert "3 letters" in page


def test_a_reason_to_leave_a_section_out_is_told(small, tmp_path, plugin_registry):
    class Absent(Mine):
        """Left out."""

        id, order = "absent", 16

        def needs(self) -> str:
            return "nothing <b> was asked for"

    plugin_registry.register(Absent)
    page = written(small, tmp_path)
    assert "Not in this report: nothing &lt;b&gt; was asked for" in page
    assert 'id="absent"' not in page


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
    assert {kind.within for kind in shipped} == {"", "datasets"}


def test_words_are_two_sentences_at_most(by_hand, tmp_path):
    five = build(tmp_path / "five", seeds=tuple(range(5)), trainings=2)
    stores = [by_hand, five, build(tmp_path / "no", seeds=(0,), truth=False, retention=False)]
    spoken = 0
    for frames in map(Frames, stores):
        for kind in known():
            if kind.id == "leaderboard":  # three sentences
                continue
            one = kind(frames, "toy" if kind.within == "datasets" else "")
            if one.needs() is True:
                words = one.words()
                spoken += bool(words)
                assert len(re.findall(r"[.?!](?= [A-Z“`]|$)", words)) <= 2, f"{kind.id}: {words}"
    assert spoken > 10
