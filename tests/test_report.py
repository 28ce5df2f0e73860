"""The report, from stores that are filled by hand: nothing is trained."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xai_bench.report.comparisons import Pair
from xai_bench.report.tables import Tables

from xai_bench.errors import InputError
from xai_bench.report import answers, comparisons, pixels, views, wording, write_report
from xai_bench.report import page as drawn_page
from xai_bench.results.frames import Results
from xai_bench.results.records import CellResult, Costs, DrawRecord, Measurement, ModelRecord, PlanRow
from xai_bench.results.store import Store
from xai_bench.statistics import interval

D = 6
METRICS = ("auroc", "average_precision", "precision_at_p", "somers_d", "spearman")
HOSTILE = "<script>alert(1)</script>|`x`"
INTERVAL = re.compile(r"[−\d.]+ \[[−\d.]+, [−\d.]+\]")
VOID = {"meta", "wbr", "link", "br", "img", "hr", "input"}
REASON = "all inputs are better than random ones by 0.010, less than 3 standard errors of 0.020"


def entry(label: str, name: str, **fields: object) -> dict:
    return {"label": label, "name": name, "version": 1, "fields": fields, "plugin": None, "fingerprint": {}}


def score(metric: str, explainer: str, seed: int) -> float:
    """1 for the oracle, chance for random; some fixed number below 1 for a method."""
    if explainer == "oracle":
        return 1.0
    if explainer == "random":
        return 0.5 + 0.01 * seed
    # 0.95 and 0.60 with small differences between seeds: intervals that do not overlap.
    return (0.95 if explainer in ("spectral", "saliency") else 0.60) + 0.004 * seed + 0.001 * len(metric)


def build(
    folder: Path,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    truth: bool = True,
    retention: bool = True,
    learned: bool = True,
    dataset: str = "toy",
    shape: tuple[int, int] | None = None,
    d: int = D,
    statuses: dict[str, tuple[str, str]] | None = None,
    areas: bool = True,
    extra: str | None = None,
    trainings: int = 1,
    facts: dict[str, object] | None = None,
    content: dict[str, object] | None = None,
    ks: tuple[int, ...] = (),
    curve: Callable[[str, int], float] | None = None,
    only: dict[str, tuple[int, ...]] | None = None,
) -> Results:
    """Two networks, spectral and column_norm and saliency and a selector, the controls; scores by ``score``.

    ``trainings``: model seeds on the first draw. ``facts``, ``content``: of every draw, of every network. ``ks``: the k
    that the suite names. ``curve``: the retained score of an explainer at k. ``only``: the seeds of an explainer.
    """
    explainers = {"net": ["spectral", "saliency"], "plain": ["column_norm", "saliency"], "": ["mutual_information"]}
    if extra:
        explainers["net"].append(extra)
    suite = {
        "name": "hand", "title": "By hand", "data_seeds": list(seeds),
        "model_seeds": list(range(trainings)), "folds": 0, "rankings": 200,
        "retention": {"rows": 5000, "orders": 10, "seeds": [0], "ks": ks, "masked_to": 99 if ks else 0}
        if retention else None,
        "datasets": [entry(dataset, "toy", path="/home/somebody/secret/file.csv")],
        "models": [entry("net", "spectral_mlp"), entry("plain", "mlp", group_lasso=0.0)],
        "explainers": [entry(e, e) for e in ("spectral", "column_norm", "saliency", "mutual_information")],
    }  # fmt: skip
    rng = np.random.default_rng(0)
    roles = ["relevant"] * 2 + ["noise"] * (d - 2)
    graded = [1.0, 0.5] + [0.0] * (d - 2)
    plan, cells, records = [], [], []
    for seed in seeds:
        known = {
            "dataset": "toy", "kind": "classification", "d": d, "n_outputs": 2, "n_train": 64, "n_valid": 16,
            "n_test": 20, "feature_names": [f"x{j + 1}" for j in range(d)], "feature_units": [],
            "feature_shape": shape, "class_names": [], "target_name": "class", "target_units": "", "target_std": 1.0,
            "constant": [], "ceiling": 0.99, "roles": roles if truth else None, "graded": graded if truth else None,
            "groups": [], "blocks": [], "windows": [],
            "resolution": None, "n_relevant": 2 if truth else None, "spearman_ceiling": 0.9 if truth else None,
            "chance": dict.fromkeys(METRICS, 0.5) if truth else {}, "notices": [],
        }  # fmt: skip
        draw = DrawRecord(f"draw{seed}", known | (facts or {}))
        repeated = range(trainings if seed == seeds[0] else 1)
        for model, names, again in [(m, n, t) for m, n in explainers.items() for t in repeated if m or t == 0]:
            key = f"{model}{seed}.{again}" if model else ""
            reached = {
                "kind": "classification", "train_score": 0.99, "valid_score": 0.97, "test_score": 0.96 + 0.005 * seed,
                "chance": 0.5, "p_value": 1e-9 if learned else 0.4, "learned": learned, "valid_loss": 0.1,
                "train_cpu": 1.5, "train_wall": 1.6, "ceiling": 0.99, "parameters": 100,
            }  # fmt: skip
            record = ModelRecord(key, reached | (content or {}), b"") if model else None
            for explainer in ("random", "oracle", *names):
                cell = f"{seed}-{model}-{explainer}-{again}"
                plan.append(PlanRow(cell, draw.key, key, dataset, model, explainer, seed, again, -1))
                status, reason = (statuses or {}).get(explainer, ("done", ""))
                if explainer == "oracle" and not truth:
                    status, reason = "unsupported", "the truth of this dataset is not known"
                if status == "missing" or seed not in (only or {}).get(explainer, seeds):
                    continue
                if status != "done":
                    cells.append((CellResult(cell, status, reason), draw, record))
                    continue
                found = [Measurement(m, score(m, explainer, seed)) for m in METRICS] if truth else []
                if retention:
                    for form in ("retrained", "masked"):
                        at = [k for k in ks if k < d] + [d] if ks else [1, 2, 3]
                        left = curve or (lambda _, k: 0.5 + 0.1 * k)
                        found += [Measurement(f"retention_{form}", left(explainer, k), k) for k in at]
                        value = score("area", explainer, seed) + 0.2 if areas else None
                        found.append(Measurement(f"retention_{form}_area", value, reason="" if areas else REASON))
                vector = None if explainer == "random" else rng.random(d) + np.array(graded)
                costs = Costs(0.001, 0.001, 0.01, 0.012, 2**20, 128, 64)
                cells.append((CellResult(cell, "done", "", costs, vector, tuple(found)), draw, record))
            records.append(record)
    provenance = {
        "started": "2026-01-01T00:00:00+00:00", "python": "3.11.7", "system": "Linux x86_64", "cores": 2, "jobs": 2,
        "threads": 1, "device": "cpu", "versions": {"torch": "2.13.0"}, "plugins": {},
        "wall": 61.2, "spent": {"training": 20.0, "rest": 0.2, "explaining": 90.4},
    }  # fmt: skip
    with Store(folder / "results.sqlite") as store:
        number = store.begin(suite, plan, provenance)
        for cell, draw, record in cells:
            store.add([cell], number, draw, record)
        return store.results()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return build(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def report(results, tmp_path_factory) -> Path:
    return write_report(results, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def page(report) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


def pages(folder: Path, **options: object) -> tuple[str, str]:
    """Page and summary of a store with these options."""
    target = write_report(build(folder / "store", **options), folder / "report").parent  # type: ignore[arg-type]
    return tuple((target / name).read_text(encoding="utf-8") for name in ("index.html", "summary.md"))  # type: ignore[return-value]


def test_the_page_says_where_the_time_went(page):
    assert "61 s of wall time before the report; of its workers: 90 s explaining, 20 s training" in page


class Elements(HTMLParser):
    """Fails where an element is not closed; collects addresses, ids and text outside style and script."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href"):
                self.addresses.append((tag, name, value))
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "script", "svg"} & set(self.open):
            self.text.append(data)


def parsed(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    assert parser.open == []
    return parser


def section(page: str, name: str) -> str:
    return page[page.index(f'<section id="{name}">') :].split("</section>")[0]


def rows(html: str) -> dict[str, str]:
    """Heading of a row to its HTML, tags left in."""
    found = re.findall(r"<tr class=\"(?:method|focus|control)\"><th scope=\"row\">(.*?)</th>(.*?)</tr>", html, re.S)
    return {name.replace("<wbr>", ""): cells for name, cells in found}


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


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


def test_no_path_of_the_machine(report, results):
    for file in report.iterdir():
        text = file.read_text(encoding="utf-8")
        for word in ("/home/", "somebody", str(results.folder), "/tmp/"):
            assert word not in text, f"{word} in {file.name}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot read '/home/me/x y/data.csv': gone", "cannot read 'data.csv': gone"),
        ("cannot read '/home/me/data.csv': gone", "cannot read 'data.csv': gone"),
        (r"no file C:\Users\me\data.csv", "no file data.csv"),
        ("csv:/srv/a/b.csv", "csv:b.csv"),
        ("~/runs/a.csv", "a.csv"),
        ("accuracy 3/4, a/b", "accuracy 3/4, a/b"),
        ("see https://arxiv.org/abs/2406.01183", "see https://arxiv.org/abs/2406.01183"),
        ("two\nlines", "two lines"),
    ],
)
def test_paths_are_cut(text, expected):
    assert wording.without_paths(text) == expected


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


def test_same_results_give_the_same_bytes(results, report, tmp_path):
    (tmp_path / "index.html").write_text("an older page")
    write_report(results, tmp_path)
    names = sorted(file.name for file in report.iterdir())
    always = {"index.html", "summary.md", "cells.csv", "measurements.csv", "recovery.csv", "cost.csv", "retention.csv"}
    assert set(names) == {*always, "agreement.csv"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes(), name
    assert sorted(file.name for file in tmp_path.iterdir()) == names  # no drafts are left


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


def test_controls_are_shown_and_never_ranked(page, results):
    table = Tables(results)
    for frame in (table.recovery, table.retention):
        assert not frame.loc[frame["explainer"].isin(["random", "oracle"]), "near"].any()
    for name in ("recovery", "retention"):
        html = section(page, name)
        for control in [row for row in rows(html) if row.startswith(("random", "oracle", "chance"))]:
            assert "•" not in rows(html)[control]
        assert re.search(r"oracle</th>", html)
    # The oracle has 1.000 everywhere; it must not be the highest mean.
    assert "1.000" not in re.sub(r"<tr class=\"control\">.*?</tr>", "", section(page, "recovery"), flags=re.S)


def test_overlap_with_the_highest_is_marked(page):
    html = rows(section(page, "recovery"))
    assert html["spectral"].count("•") == 2
    assert "•" not in html["mutual_information"]


def test_a_mean_of_one_draw_is_neither_near_nor_apart(tmp_path):
    page, summary = pages(tmp_path, only={"spectral": (0,)})
    html = rows(section(page, "recovery"))
    assert "•" not in html["spectral"]
    assert "(1 of 3 seeds)" in html["spectral"]
    assert "•" in html["saliency"]
    assert "Its interval overlaps" not in page + summary
    assert summary.count("On 1 dataset it has one draw only, so no interval.") == 2, "recovery and retention"
    assert "`spectral` on `net` is " not in summary
    assert "cannot be told from the highest mean: 2 of 4 on `toy` (AUROC). Left out, of one draw: 1 value" in summary
    assert "Values are means over up to 3 data seeds" in summary
    assert "A mean of one draw has no interval: it is neither near nor apart" in summary
    assert "2 of 4 1 of one draw left out" in summary
    assert "no difference is shown" not in summary
    assert "one data seed is shared, so no interval, on 1 dataset" in summary


def test_the_highest_mean_is_one_with_an_interval(tmp_path):
    results = build(tmp_path, only={"saliency": (2,)})
    tables = Tables(results)
    best = comparisons.leader(tables.recovery, "toy", "auroc")
    assert best.top == best.near == [Pair("net", "spectral")]
    assert len(best.compared) == 3
    assert best.left_out == 2
    lone = tables.recovery.query("explainer == 'saliency' and metric == 'auroc'")
    assert (lone["mean"] > best.row["mean"]).all()
    assert not lone["near"].any()
    answer = answers.recovery(tables)
    assert "Its interval overlaps that of the highest mean on 1 of 1 dataset." in answer.short


def test_an_interval_alone_is_compared_with_nothing(tmp_path):
    others = dict.fromkeys(("saliency", "column_norm", "mutual_information"), (1,))
    page, summary = pages(tmp_path, only=others)
    assert "•" not in rows(section(page, "recovery"))["spectral"]
    assert "On 1 dataset no other pair has an interval." in summary
    assert "cannot be told from the highest mean:" not in summary
    assert "wherever" not in summary


@pytest.mark.parametrize("alone", ["spectral", "column_norm", "mutual_information"])
def test_the_highest_mean_is_that_of_all_where_nothing_is_compared(tmp_path, alone):
    names = ("spectral", "saliency", "column_norm", "mutual_information")
    recovery = Tables(build(tmp_path, only={name: (1,) for name in names if name != alone})).recovery
    rows = recovery.query("metric == 'auroc' and explainer not in ('random', 'oracle')")
    best = comparisons.leader(recovery, "toy", "auroc")
    assert [pair.explainer for pair in best.compared] == [alone]
    assert best.near is None
    assert best.row["mean"] == rows["mean"].max()


def test_differences_are_over_shared_data_seeds_only(tmp_path):
    tables = Tables(build(tmp_path, only={"column_norm": (0, 1), "saliency": (1, 2)}))
    one, other = Pair("plain", "column_norm"), Pair("plain", "saliency")
    gap = comparisons.difference(tables, "toy", "auroc", one, other)
    assert (gap.n, gap.mean) == (1, pytest.approx(score("auroc", "column_norm", 1) - score("auroc", "saliency", 1)))
    view = views.standings(tables, tables.recovery, {"toy": ["auroc"]})
    assert any("(2 of 3 seeds)" in cell.small for cell in view.bodies[0].rows[0].cells)


def test_every_value_of_one_draw_says_so(tmp_path):
    names = ("spectral", "saliency", "column_norm", "mutual_information")
    _, summary = pages(tmp_path, only=dict.fromkeys(names, (1,)))
    assert "Every value rests on one of the 3 data seeds only: no intervals" in summary
    assert "On 1 dataset it has one draw only, so no interval." in summary


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
        assert "nothing was run of" in text
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


def test_areas_without_a_value_have_their_reason(tmp_path):
    page, summary = pages(tmp_path, areas=False)
    assert REASON in page
    assert REASON in summary
    assert "no area has a value" in section(page, "retention")


def test_values_above_one_are_shown(page):
    assert "above 1, shown as they are" in section(page, "retention")
    assert "1.1" in rows(section(page, "retention"))["spectral"]


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


@pytest.mark.parametrize(("d", "shape"), [(64, (8, 8)), (300, None)], ids=["picture", "long row"])
def test_many_inputs_are_maps(tmp_path, d, shape):
    page, _ = pages(tmp_path, d=d, shape=shape)
    parsed(page)
    assert ("pictures" if shape else "strips") in page
    if shape is None:
        assert "the largest of 2 neighbouring inputs" in page
    else:
        assert 'viewBox="0 0 8 8"' in page


def test_cells_are_drawn_where_they_are():
    values = np.array([[0.0, 1.0, 1.0], [0.5, 0.0, 1.0]])
    drawn = np.zeros_like(values)
    palette = ["white", "light", "middle", "dark"]
    svg = pixels.cells(values, 1.0, palette)
    for color, path in re.findall(r'<path fill="(\w+)" d="([^"]*)"', svg):
        for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path):
            drawn[int(y), int(x) : int(x) + int(width)] = palette.index(color)
    assert drawn.tolist() == [[0, 3, 3], [2, 0, 3]]


def end_this_process(_tables: Tables) -> None:
    os._exit(3)


@pytest.mark.parametrize("begin", ["_begin", "end_this_process"])
def test_several_processes_draw_the_same_report(results, tmp_path, monkeypatch, begin):
    again = results._plan.assign(dataset="other")
    two = replace(results, _plan=pd.concat([results._plan, again], ignore_index=True))
    report = write_report(two, tmp_path / "alone").parent
    monkeypatch.setattr(drawn_page, "FOR_A_PROCESS", 1)
    if begin != "_begin":  # what processes leave undone is drawn here
        monkeypatch.setattr(drawn_page, "_begin", end_this_process)
    else:
        monkeypatch.setattr(drawn_page, "dataset", None)
    together = write_report(two, tmp_path / "together", jobs=2).parent
    for file in report.iterdir():
        assert (together / file.name).read_bytes() == file.read_bytes(), file.name


def test_no_processes_are_an_input_error(results, tmp_path):
    with pytest.raises(InputError, match="jobs: expected at least 1, got 0"):
        write_report(results, tmp_path, jobs=0)
    assert not list(tmp_path.iterdir())


def test_a_strip_keeps_the_largest_of_its_neighbours():
    assert pixels._strip(np.array([1.0, 3.0, 2.0, 0.0, 5.0]), 2).tolist() == [[3.0, 2.0, 5.0]]


def test_unwritable_folder_is_an_input_error(results, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write the report"):
        write_report(results, tmp_path / "file" / "report")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (4.2e-7, "0.4 µs"), (1.49e-4, "149 µs"), (0.0032, "3.2 ms"), (0.9996, "1.0 s"), (1234.0, "1,234 s"),
     (9.96, "10 s"), (float("nan"), "–")],
)  # fmt: skip
def test_seconds(value, expected):
    assert wording.seconds(value) == expected
