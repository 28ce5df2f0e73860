"""How the manual is built: code of pages, tables and links from outside of ``docs/``, the list of pages."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from docs.hooks import cells, components, linked
from tests.test_readme import ROOT, TEXTS
from xai_bench import registry

PAGE = """# A page

```python
x = 2
print("said")
x + 1
```

Text.

```python title="mine.py"
y = 5
```

```python
x * int(open("mine.py").read()[-2])
```

```console
$ xai-bench --version    # a comment
```
"""


def test_code_of_a_page_is_run_in_its_order(capsys):
    found = cells.run(PAGE)
    outputs = [output for cell, output in found if cell.language]
    assert outputs[:3] == ["said\n3\n", "", "10\n"]
    assert re.fullmatch(r"xai-bench [\d.]+\n", outputs[3])
    shown = cells.shown(found)
    assert "x + 1\n```\n\n``` {.text .printed}\nsaid\n3\n```\n" in shown
    assert PAGE.splitlines() == [line for line in PAGE.splitlines() if line in shown]
    assert capsys.readouterr() == ("", "")


def test_a_page_is_a_notebook():
    made = cells.notebook(cells.run(PAGE))
    assert json.loads(json.dumps(made)) == made
    kinds = [cell["cell_type"] for cell in made["cells"]]
    assert kinds == ["markdown", "code", "markdown", "code", "code", "code"]
    assert made["cells"][3]["source"].startswith("%%writefile mine.py\n")
    assert made["cells"][-1]["source"] == "!xai-bench --version"
    assert made["cells"][1]["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "said\n3\n"}]


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", TEXTS[page]):
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path) if path else ROOT / page
        if "docs/components/" in file.resolve().as_posix():  # These pages are generated.
            continue
        assert file.is_file(), target
        if anchor:
            assert anchor in {_anchor(title) for title in re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)}


def _anchor(title: str) -> str:
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip())


@pytest.mark.parametrize("code", ["python\n1 / 0", "console\n$ xai-bench list nosuchthing", "console\n$ rm file"])
def test_code_that_fails_stops_the_build(code):
    with pytest.raises(RuntimeError, match="in the block"):
        cells.run(f"```{code}\n```\n")


def test_links_that_leave_the_manual_find_copies():
    text = "[a](../pyproject.toml) [b](../reports/quick/index.html#x) [c](faq.md) [d](https://x.org/../y)"
    paths = {link: linked.place(path) for link, path in linked.outside(text, "index.md")}
    assert paths == {
        "../pyproject.toml": "repository/pyproject.toml.txt",
        "../reports/quick/index.html": "repository/reports/quick/index.html",
    }
    assert "[a](repository/pyproject.toml.txt) [b](repository/reports/quick/index.html#x) [c](faq.md)" in (
        linked.redirected(text, "index.md")
    )
    deeper = linked.redirected("[a](../../pyproject.toml) [b](../index.md)", "tutorials/x.md")
    assert deeper == "[a](../repository/pyproject.toml.txt) [b](../index.md)"
    copied = linked.copies(linked.ROOT / "reports/quick/index.html")
    assert len(copied) > 1
    assert all(path.suffix != ".xaipack" for path in copied)


def test_tables_stand_in_files():
    shown = linked.with_tables("<!-- csv: ../benchmarks/scores/decisions.csv -->", "statistics.md").splitlines()
    assert shown[0].startswith("| score | null | draws |")
    assert shown[1].startswith("| --- |")
    assert len(shown) == len((linked.ROOT / "benchmarks/scores/decisions.csv").read_text().splitlines()) + 1


def test_metrics_have_a_page_with_all_of_them():
    """The other families come by the same lines, and cost more to import."""
    page = components.page("metrics")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == sorted(registry.names("metrics"))
    assert "- source: `xai_bench.metrics.recovery:auroc`" in page


def test_fields_stand_in_a_table():
    lines = list(components._one(components.description("explainers/f_test")))
    assert any(line.startswith("| `max_inputs` | a whole number >= 1 | `not set` | Above this") for line in lines)
    assert components._escaped("a_b *c* <d> ``e_f``") == r"a\_b \*c\* \<d\> `e_f`"


def test_pages_that_are_absent_are_left_out():
    manual = pytest.importorskip("docs.hooks.manual", reason="mkdocs is not installed")
    nav = [
        "index.md",
        "nosuch.md",
        {"A": ["nosuch.md"]},
        {"C": "nosuch.md"},
        {"D": "faq.md"},
        {"B": ["faq.md", "components/models.md"]},
        "api.md",
    ]
    assert manual._present(nav) == ["index.md", {"D": "faq.md"}, {"B": ["faq.md", "components/models.md"]}, "api.md"]
    assert "::: xai_bench.running.run.run" in manual.api()


def test_what_the_manual_needs_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for each in project["optional-dependencies"]["docs"]:
        assert re.search(rf"^{re.split('[>=[]', each)[0]}==", pins, re.MULTILINE), each


def test_every_extra_is_explained():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\.\[(\w+)\]", page)) == set(project["optional-dependencies"])


def test_docstrings_are_converted_for_mkdocstrings():
    docstrings = pytest.importorskip("docs.hooks.docstrings", reason="mkdocstrings is not installed")
    text = """Do it.

Parameters
----------
a, b : two things,
    each long
c : one : thing

Returns
-------
x : the first
    of all
y : the second

Raises
------
InputError
    If not.
"""
    assert (
        docstrings.converted(text, "int")
        == """Do it.

Parameters
----------
a, b
    two things,
    each long
c
    one : thing

Returns
-------
int
    - `x`: the first of all
    - `y`: the second

Raises
------
InputError
    If not.
"""
    )
