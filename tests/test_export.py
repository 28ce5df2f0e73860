"""Tables for papers and programs: every number in full, or rounded with intervals; nothing that LaTeX would run."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.hand_made import build, suite
from tests.test_cli import call
from xai_bench import read
from xai_bench.errors import InputError
from xai_bench.results import exporting, formats, shown, tables
from xai_bench.results.formats import Shown
from xai_bench.results.records import Measurement
from xai_bench.statistics import bounded_interval, interval

LEVEL = {"saliency": 0.9, "lrp": 0.7, "f_test": 0.69}


def graded(row, found):
    """Saliency is clearly the best, whatever the draw."""
    rng = np.random.default_rng(list(row.cell.encode()))
    auroc = LEVEL.get(row.explainer, 0.5) + 0.02 * rng.random()
    kept = tuple(m for m in found.measurements if m.metric != "auroc")
    return replace(found, measurements=(*kept, Measurement("auroc", auroc)))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read(build(tmp_path_factory.mktemp("six") / "results.sqlite", suite(range(6)), graded))


@pytest.fixture(scope="module")
def two_draws(tmp_path_factory):
    return read(build(tmp_path_factory.mktemp("two") / "results.sqlite", suite(), graded))


# Frames


def test_recovery_has_means_over_draws_and_intervals_in_the_range(results):
    frame = tables.recovery(results)
    assert set(frame["metric"]) == {"auroc", "contrast"}
    assert list(frame["dataset"].unique()) == ["toy", "other"], "in the order of the suite"
    row = frame[(frame["entrant"] == "lrp on plain") & (frame["dataset"] == "toy") & (frame["metric"] == "auroc")]
    own = results.measurements
    own = own[(own["entrant"] == "lrp on plain") & (own["dataset"] == "toy") & (own["metric"] == "auroc")]["value"]
    assert row["mean"].item() == pytest.approx(own.mean())
    assert (row["low"].item(), row["high"].item()) == pytest.approx(bounded_interval(own, 0, 1, 0.5))
    assert set(frame["draws"]) == {6}


def test_below_five_draws_means_stand_alone(two_draws):
    for name in ("recovery", "retention", "networks"):
        frame = tables.table(two_draws, name)
        assert len(frame)
        assert frame[["low", "high"]].isna().all(axis=None)
    assert "[" not in formats.markdown(shown.shown(two_draws, "recovery")).split("Brackets")[0]


def test_retention_is_in_points(results):
    frame = tables.retention(results)
    own = results.measurements
    own = own[(own["metric"] == "retention_retrained_gain") & (own["dataset"] == "toy") & (own["entrant"] == "f_test")]
    row = frame[(frame["entrant"] == "f_test") & (frame["dataset"] == "toy")].iloc[0]
    assert tuple(row[["mean", "low", "high"]]) == pytest.approx(interval(100 * own["value"])[:3])


def test_costs_of_other_machines_are_apart(tmp_path):
    from xai_bench import merge

    build(tmp_path / "a.sqlite", suite([0, 1, 2]), cost=1.0)
    build(tmp_path / "b.sqlite", suite([3, 4]), cost=5.0, processor="Two", day=2)
    both = read(merge(tmp_path / "c.sqlite", tmp_path / "a.sqlite", tmp_path / "b.sqlite").path)
    assert both.machines == ["One, 2 cores, Linux x86_64", "Two, 2 cores, Linux x86_64"]
    frame = tables.cost(both).set_index(["entrant", "machine"])
    one, two = (frame.loc[("lrp on net", machine)] for machine in both.machines)
    assert (one["given_cpu"], one["end_cpu"], one["cells"]) == (1.0, 2.0, 6)
    assert (two["given_cpu"], two["end_cpu"], two["cells"]) == (5.0, 10.0, 4)
    assert frame.loc[("f_test", both.machines[0]), "end_cpu"] == 1.0, "no network is trained for it"
    text = formats.latex(shown.shown(both, "cost"))
    assert "% Machine 2: Two, 2 cores, Linux x86_64." in text
    assert text.count(r"\midrule") == 2


def test_the_page_shows_the_costs_of_one_machine(tmp_path):
    from xai_bench import merge
    from xai_bench.report.kit.frames import Frames
    from xai_bench.report.sections.cost import Cost

    build(tmp_path / "a.sqlite", suite([0, 1, 2]), cost=1.0)
    build(tmp_path / "b.sqlite", suite([3, 4]), cost=5.0, processor="Two", day=2)
    frames = Frames(read(merge(tmp_path / "c.sqlite", tmp_path / "b.sqlite", tmp_path / "a.sqlite").path))
    assert frames.machine == "One, 2 cores, Linux x86_64"
    assert set(frames.cost(["model", "explainer"])["given_cpu"]) == {1.0}
    finding = Cost(frames).findings()[-1]
    assert "these are of 30 explanations on One, 2 cores, Linux x86_64. Made elsewhere: 20 on Two," in finding
    alone = Frames(read(tmp_path / "a.sqlite"))
    assert len(Cost(alone).findings()) == 1


def test_training_on_another_machine_is_not_mixed_in(tmp_path):
    from xai_bench import merge
    from xai_bench.report.kit.frames import Frames

    build(tmp_path / "a.sqlite", suite([0, 1]), cost=1.0)
    build(tmp_path / "b.sqlite", suite([2, 3]), cost=5.0, processor="Two", day=2)
    both = read(merge(tmp_path / "c.sqlite", tmp_path / "a.sqlite", tmp_path / "b.sqlite").path)
    assert set(Frames(both).trained["train_cpu"]) == set(tables.networks(both)["train_cpu"]) == {1.0}
    frame = tables.cost(both).set_index(["entrant", "machine"])
    assert [frame.loc[("lrp on net", machine), "end_cpu"] for machine in both.machines] == [2.0, 10.0]


def test_relevances_have_the_names_of_their_inputs(results):
    frame = results.relevances()
    cell = results.cells[results.cells["entrant"] == "lrp on net"].iloc[0]
    own = frame[(frame["entrant"] == "lrp on net") & (frame["dataset"] == cell["dataset"]) & (frame["data_seed"] == 0)]
    np.testing.assert_array_equal(own["relevance"], results.relevance[cell["cell"]])
    assert list(own["input"]) == [f"x{j}" for j in range(6)]
    assert list(own["role"]) == ["relevant"] * 2 + ["noise"] * 4


def test_networks(results):
    frame = tables.networks(results)
    assert frame[["dataset", "model"]].to_numpy().tolist() == [
        [d, m] for d in ("toy", "other") for m in ("net", "plain")
    ]
    np.testing.assert_allclose(frame["mean"], 0.7)
    assert set(frame["learned"]) == {1.0}


# Texts


def rows_of(latex: str) -> list[list[str]]:
    body = latex[latex.index(r"\toprule") : latex.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    return [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in lines]


def assert_sound(latex: str) -> None:
    """One tabular with booktabs' rules, as many columns everywhere as it declares, balanced braces."""
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", latex)
    assert {len(row) for row in rows_of(latex)} == {len(columns)}
    for command in (r"\toprule", r"\bottomrule", r"\end{tabular}"):
        assert latex.count(command) == 1
    assert latex.count(r"\midrule") >= 1
    code = "\n".join(line for line in latex.splitlines() if not line.startswith("%"))
    plain = re.sub(r"\\[{}]", "", code)
    assert plain.count("{") == plain.count("}")
    text = re.sub(r"\\textbackslash|\\begin\{tabular\}\{[lr]+\}", "", plain)
    assert not re.search(r"(?<!\\)[%#_]", text)
    assert text.isascii()


def test_the_first_group_is_bold(results):
    text = exporting.export(results, "latex")
    assert_sound(text)
    board = results.leaderboard()
    assert list(board.loc[board["first_group"], "name"]) == ["saliency"]
    bold = [row[0].strip() for row in rows_of(text) if r"\textbf" in row[0]]
    assert bold == [r"\textbf{saliency}"]
    assert r"\textbf{0.8" in rows_of(text)[1][1], "its score too"
    assert "**saliency**" in exporting.export(results, "markdown")


def test_nothing_is_bold_where_nothing_is_decided(two_draws):
    text = exporting.export(two_draws, "latex")
    assert r"\textbf" not in text
    assert "Nothing is bold" in text


@pytest.mark.parametrize("of", ["methods", "networks", "entrants"])
@pytest.mark.parametrize("table", ["leaderboard", "pairs"])
def test_boards_of_all_kinds(results, table, of):
    if of == "networks":
        assert set(results.leaderboard("networks")["name"]) == {"net", "plain"}
    for text in (exporting.export(results, "latex", table, of), exporting.export(results, "markdown", table, of)):
        assert len(text.splitlines()) > 4
    assert_sound(exporting.export(results, "latex", table, of))
    frame = pd.read_csv(io.StringIO(exporting.export(results, "csv", table, of)))
    expected = results.leaderboard(of) if table == "leaderboard" else results.pairs(of)
    assert list(frame.columns) == list(expected.columns)
    first = frame.columns[0]
    assert list(frame[first]) == list(expected[first])


@pytest.mark.parametrize("table", ["recovery", "retention", "cost", "networks", "relevances", "numbers"])
def test_other_tables_in_every_format(results, table, tmp_path):
    assert_sound(exporting.export(results, "latex", table))
    lines = [line for line in exporting.export(results, "markdown", table).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    frame = tables.table(results, table)
    if table != "numbers":
        assert exporting.export(results, "parquet", table, out=tmp_path / "a.parquet") is None
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame, check_dtype=False)
    again = pd.read_csv(io.StringIO(exporting.export(results, "csv", table)))
    assert len(again) == len(frame)
    for name in frame.select_dtypes("number"):
        np.testing.assert_array_equal(again[name].to_numpy(float), frame[name].to_numpy(float, na_value=np.nan))


def test_a_matrix_shows_means_with_their_intervals(results):
    table = shown.shown(results, "recovery", metric="auroc")
    assert table.head == ("Entrant", "toy", "other")
    row = next(row for row in table.rows if row[0] == "saliency on net")
    own = tables.recovery(results, "auroc").set_index(["entrant", "dataset"]).loc[("saliency on net", "other")]
    assert row[2] == f"{own['mean']:.3f} [{own['low']:.3f}, {own['high']:.3f}]"
    assert {table.rows[i][0] for i in table.strong} == {"saliency on net", "saliency on plain"}


NASTY = ["50 % & more", r"a_b\c{d}$#~^", "<x> | *y* `z`", "−0.1 – ≥ ±", "[1] first", "two\nlines"]


def test_nothing_is_taken_for_a_command():
    table = Shown(["name", *"ab"], [[text, text, "1"] for text in NASTY], ["50 % of\nit"], frozenset({0, 4}), 2)
    text = formats.latex(table)
    assert_sound(text)
    assert r"50 \% \& more" in text
    assert r"a\_b\textbackslash{}c\{d\}\$\#\textasciitilde{}\textasciicircum{}" in text
    assert "% 50 % of it" in text
    lines = [line for line in text.splitlines() if "first" in line]
    assert lines[0].startswith(("{}", r"\textbf{")), "a bracket behind a line break would be its argument"
    marks = formats.markdown(table).splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in marks[: len(NASTY) + 2]} == {4}
    assert r"\<x\> \| \*y\* \`z\`" in marks[4]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(results, tmp_path):
    nasty = Shown(["name", "b"], [[text, text] for text in NASTY])
    parts = [exporting.export(results, "latex", table) for table in ("leaderboard", "pairs", "recovery")]
    body = "\n\n".join([*parts, formats.latex(nasty)])
    document = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}\n"
    (tmp_path / "a.tex").write_text(f"{document}{body}\\end{{document}}\n")
    subprocess.run(["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, check=True, capture_output=True)


# Bad input


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"format": "excel"}, "unknown format 'excel'"),
        ({"table": "leaderbord"}, "did you mean leaderboard"),
        ({"table": "pairs", "of": "method"}, "did you mean methods"),
        ({"table": "cost", "of": "methods"}, "of: expected a leaderboard or pairs, got the table 'cost'"),
        ({"table": "cost", "metric": "auroc"}, "metric: expected leaderboard, pairs, recovery, got the table 'cost'"),
        ({"table": "recovery", "metric": "aurok"}, "did you mean auroc"),
        ({"format": "parquet"}, "name it with --out FILE"),
    ],
)
def test_bad_choices_are_one_line(results, choices, words):
    with pytest.raises(InputError, match=words) as raised:
        exporting.export(results, **choices)
    assert "\n" not in str(raised.value)


def test_parquet_without_pyarrow_says_so(results, tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ImportError("no engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", missing)
    with pytest.raises(InputError, match="pip install pyarrow"):
        exporting.export(results, "parquet", out=tmp_path / "a.parquet")


def test_the_command(results, tmp_path, capsys):
    place = results.folder
    code, out, _ = call("export", place, "--format", "latex", capsys=capsys)
    assert (code, out) == (0, exporting.export(results, "latex"))
    target = tmp_path / "pairs.md"
    options = ("--table", "pairs", "--of", "entrants", "--format", "markdown", "--out", target)
    code, out, _ = call("export", place, *options, capsys=capsys)
    assert (code, out) == (0, f"written: {target}\n")
    assert target.read_text() == exporting.export(results, "markdown", "pairs", "entrants")
    for options in (("--out", tmp_path), ("--format", "parquet", "--out", tmp_path / "no" / "a"), ("--table", "x")):
        code, out, err = call("export", place, *options, capsys=capsys)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
