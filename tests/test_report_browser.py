"""Reports in a real browser: Debian's chromium, driven by playwright; skipped where either is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.reports import build
from xai_bench.report import write_report

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (390, 1024, 1440)
REPORTS = Path(__file__).parents[1] / "reports"
COMMITTED = sorted(pack.parent.name for pack in REPORTS.glob("*/*.xaipack"))
"""Suites whose pages this version of the report drew."""
NAMES = {"feature_names": [f"a_quantity_with_a_long_name_{i}" for i in range(60)]}
OUTSIDE = """() => [...document.querySelectorAll('.paper svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const own = text.getBoundingClientRect();
    return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1;
  }).map(text => text.textContent);
})"""
SMALL = """() => [...document.querySelectorAll('svg text')].filter(text => {
  const svg = text.ownerSVGElement, scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return scale > 0 && parseFloat(getComputedStyle(text).fontSize) * scale < 9;
}).map(text => text.textContent)"""
BEFORE = """() => {
  const figure = document.querySelector('figure'), range = document.createRange();
  range.setStart(document.body, 0); range.setEndBefore(figure);
  return range.toString().trim().split(/\\s+/).length;
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The report of five draws, of 60 inputs with long names, two trainings, retention, and noise on the scores."""
    at = tmp_path_factory.mktemp("browser")
    results = build(at / "store", seeds=tuple(range(5)), d=60, trainings=2, facts=NAMES)
    noise = 0.03 * np.random.default_rng(0).random(len(results._measurements))
    results._measurements["value"] = results._measurements["value"].astype(float) - noise
    return write_report(results, at / "report").parent


@pytest.fixture(params=["index.html", "datasets/toy.html"])
def address(request, folder):
    return f"file://{folder / request.param}"


def opened(browser, address, width, **options):
    """A page, and what it complains about and asks for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    page, heard = context.new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url) if request.url[:5] not in ("file:", "data:") else None)
    page.goto(address)
    return page, heard


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_nothing_is_cut_and_nothing_is_asked_for(browser, address, width):
    page, heard = opened(browser, address, width)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(SMALL) == []
    assert heard == []
    page.context.close()


@pytest.mark.parametrize("suite", COMMITTED)
def test_committed_pages_fit_at_every_width(browser, suite):
    for width in WIDTHS:
        page, heard = opened(browser, f"file://{REPORTS / suite / 'index.html'}", width)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(SMALL) == []
        assert heard == []
        page.context.close()


@pytest.mark.parametrize("suite", [None, *COMMITTED])
def test_the_first_figure_is_on_the_first_screen(browser, folder, suite):
    report = folder if suite is None else REPORTS / suite
    page, _ = opened(browser, f"file://{report / 'index.html'}", 1440)
    box = page.locator("figure .paper").first.bounding_box()
    assert box["y"] + box["height"] <= 900
    assert page.evaluate(BEFORE) <= 120
    page.context.close()


@pytest.mark.parametrize("suite", [None, *COMMITTED])
def test_the_first_figure_fits_a_phone(browser, folder, suite):
    report = folder if suite is None else REPORTS / suite
    page, _ = opened(browser, f"file://{report / 'index.html'}", 390)
    drawn = page.locator("figure .paper").first
    assert drawn.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert drawn.locator("svg:visible").count() == 1
    page.context.close()


def test_tables_are_sorted_over_all_rows_and_filtered(browser, folder):
    page, _ = opened(browser, f"file://{folder / 'datasets' / 'toy.html'}", 1440)
    section = page.locator("#relevance")
    table = section.locator("table").first
    names = table.locator("tbody th")
    assert names.count() == 20
    table.locator("thead th").nth(4).click()
    sorted_ = [float(text) for text in table.locator("tbody tr td:nth-child(5)").all_text_contents()]
    every = page.evaluate(
        "new DataTable.Api(document.querySelector('#relevance table')).rows().nodes().toArray()"
        ".map(row => +row.cells[4].textContent)"
    )
    assert len(every) == 60
    assert sorted_ == sorted(every, reverse=True)[:20]
    section.locator("input[type=search]").first.fill("name_47")
    assert names.all_text_contents() == ["a_quantity_with_a_long_name_47"]
    page.context.close()


def test_a_column_is_sorted_by_its_values_where_the_first_row_has_none(browser, folder):
    """The differences behind the signs of decided pairs; in the first row stands the diagonal."""
    page, _ = opened(browser, f"file://{folder / 'index.html'}", 1440)
    table = page.locator("#pairs table").first
    table.locator("thead th").nth(1).click()
    orders = table.locator("tbody td:nth-child(2)").evaluate_all("cells => cells.map(cell => cell.dataset.order)")
    values = [float(order) for order in orders if order]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    page.context.close()


def test_a_table_is_saved_as_csv(browser, folder, tmp_path):
    page, _ = opened(browser, f"file://{folder / 'index.html'}", 1440, accept_downloads=True)
    with page.expect_download() as waiting:
        page.locator("#leaderboard button", has_text="CSV").click()
    waiting.value.save_as(tmp_path / "table.csv")
    head, *rows = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith('"Method","Rank","Recovery"')
    assert len(rows) == 4
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe_playwright_python is not installed")
    page, _ = opened(browser, address, 1440, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    page.context.close()


def test_everything_is_there_without_javascript(browser, folder):
    page, _ = opened(browser, f"file://{folder / 'index.html'}", 390, java_script_enabled=False)
    assert page.locator("#leaderboard tbody tr").count() == 4
    page.goto(f"file://{folder / 'datasets' / 'toy.html'}")
    assert page.locator("#relevance table").first.locator("tbody tr").count() == 60
    page.context.close()


def test_a_page_is_printed_whole(browser, folder):
    page, _ = opened(browser, f"file://{folder / 'index.html'}", 1440)
    page.emulate_media(media="print")
    assert page.locator(".tools").first.is_hidden()
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflow") == "visible"
    assert len(page.pdf()) > 10_000
    page.context.close()
