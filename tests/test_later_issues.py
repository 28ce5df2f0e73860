"""Failing inputs that belong to later issues, each with what is right: strict expected failures that name the issue.

Whoever mends one takes its mark away; a mark that is left behind fails.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from packaging.version import Version

from tests.cases.tables import BASE, TABLES, N
from tests.reports import rows, section
from xai_bench import Explainer, SparseSettings, SpectralMLPClassifier, cli, run, write_report
from xai_bench.datasets.tables import CSV
from xai_bench.errors import InputError
from xai_bench.report import in_short
from xai_bench.report.kit import drawing
from xai_bench.report.sections import retained

ROOT = Path(__file__).parent.parent


def later(issue: str, what: str, **options):
    """An expected failure of an assertion, until that issue is done."""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"issue {issue}: {what}", **options)


def test_a_method_of_a_plugin_is_in_the_words(tiny, tmp_path, plugin_registry):
    class Mine(Explainer):
        name: ClassVar[str] = "mine_alone"
        needs: ClassVar[str] = "data"

        def relevance(self, problem):
            return problem.X_train.var(0)

    plugin_registry.register(Mine)
    del tiny["retention"]
    explainers = [{"name": "spectral"}, {"name": "mine_alone"}]
    results = run({**tiny, "data_seeds": [0], "explainers": explainers}, out=tmp_path)
    assert "mine_alone" in " ".join(words for _, words in in_short(results))


def test_a_legend_of_fourteen_methods_is_whole():
    names = [f"a_method_with_a_long_name_{i}" for i in range(14)]
    figure, _ = drawing.new(drawing.across(1), 3.0)
    with drawing.style():
        retained.legend(figure, {name: {"zorder": 1, "color": "k"} for name in names})
        figure.canvas.draw()
        (legend,) = figure.legends
        box, canvas = legend.get_window_extent(), figure.bbox
    assert [text.get_text() for text in legend.get_texts()] == names
    assert canvas.x0 - 1 <= box.x0
    assert box.x1 <= canvas.x1 + 1


def test_long_names_that_begin_alike_are_told_apart(tmp_path):
    alike = ["concentration_of_substance_before", "concentration_of_substance_after"]
    rng = np.random.default_rng(0)
    names = [*alike, *(f"x{j}" for j in range(40))]
    frame = pd.DataFrame(rng.normal(size=(60, 42)), columns=names).assign(y=rng.integers(0, 2, 60))
    table = {"name": "csv", "path": frame, "target": "y", "kind": "classification"}
    suite = {"name": "long", "data_seeds": [0], "folds": 2, "datasets": [table], "explainers": [{"name": "f_test"}]}
    write_report(run(suite, out=tmp_path), tmp_path / "report")
    (page,) = (tmp_path / "report" / "datasets").glob("*.html")
    found = rows(section(page.read_text(encoding="utf-8"), "relevance"))
    assert [name for name in names if name not in found] == []


def loaded(name, tmp_path):
    """The dataset of a table; the line of its error as a failed assertion."""
    path = tmp_path / "table.csv"
    path.write_text(TABLES[name], encoding="utf-8")
    try:
        return CSV(path=str(path), target="y", kind="classification").load(0)
    except InputError as error:
        raise AssertionError(f"refused: {error}") from None


def refusal(name, tmp_path):
    """The line that refuses a table; empty if it is read."""
    try:
        loaded(name, tmp_path)
    except AssertionError as error:
        return str(error)
    return ""


def rows_of(data):
    return np.concatenate([data.X_train, data.X_valid, data.X_test])


def said(data, *words):
    """Is there a notice with all of the words?"""
    return any(all(word in notice for word in words) for notice in data.notices)


@later("G", "other separators are refused")
@pytest.mark.parametrize("name", ["semicolons, decimal commas", "pipes"])
def test_other_separators(name, tmp_path):
    data = loaded(name, tmp_path)
    assert sorted(data.feature_names) == ["a", "b", "c"]
    assert rows_of(data).sum() == pytest.approx(BASE[["a", "b", "c"]].to_numpy().sum(), rel=1e-4)


@later("G", "the line names something else")
def test_a_header_with_trailing_commas(tmp_path):
    line = refusal("semicolons, header with trailing commas", tmp_path)
    assert not line or ("header" in line and "comma" in line)


@later("G", "a row is lost and values become names")
def test_no_header_line(tmp_path):
    assert "first line" in refusal("no header line", tmp_path)


@later("G", "blanks around names count")
def test_a_name_with_a_blank(tmp_path):
    assert loaded("name with a blank", tmp_path).target_name == "y"


@later("G", "the line that is the header is not named")
def test_a_title_above_the_header(tmp_path):
    assert "line 2" in refusal("title above the header", tmp_path)


@later("G", "empty rows and columns are refused")
@pytest.mark.parametrize("name", ["blank lines at the end", "a comma at the end of each line"])
def test_empty_rows_and_columns_are_left_out(name, tmp_path):
    data = loaded(name, tmp_path)
    assert (data.d, len(rows_of(data))) == (3, N)
    assert said(data, "empty")


@later("G", "numbers as people write them are refused")
@pytest.mark.parametrize(("name", "step"), [("thousands", 37), ("percent", 1)])
def test_written_numbers(name, step, tmp_path):
    data = loaded(name, tmp_path)
    a = np.sort(rows_of(data)[:, data.feature_names.index("a")])
    assert np.allclose(np.diff(a) / np.diff(a).mean(), 1)
    assert np.diff(a).mean() == pytest.approx(step) or np.diff(a).mean() == pytest.approx(step / 100)


@later("G", "words are refused")
def test_yes_and_no_are_one_input(tmp_path):
    data = loaded("yes and no", tmp_path)
    assert data.d == 3
    assert len(np.unique(rows_of(data)[:, [name.startswith("a") for name in data.feature_names]])) == 2


@later("G", "words are refused")
def test_three_words_are_one_input_of_three_columns(tmp_path):
    data = loaded("three words", tmp_path)
    assert data.d == 5
    assert len(data.inputs) == 3


@later("G", "dates are refused")
def test_dates_are_said(tmp_path):
    assert said(loaded("dates", tmp_path), "'a'")


@later("G", "missing values are refused")
def test_missing_values_are_imputed(tmp_path):
    data = loaded("missing values", tmp_path)
    assert np.isfinite(rows_of(data)).all()
    assert said(data, "'a'")


@later("G", "nothing is said")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("minus 999", ("'a'", "-999")),
        ("row number", ("'id'", "identifier")),
        ("copy of the target", ("'z'", "target")),
        ("identical columns", ("'a'", "'z'")),
        ("label with a blank", ("'ill'", "'ill '")),
        ("one mouse, fifteen rows", ("groups",)),
    ],
)
def test_what_a_notice_says(name, words, tmp_path):
    assert said(loaded(name, tmp_path), *words)


@later("G", "an identifier is refused as too coarse")
def test_a_long_identifier_is_left_out(tmp_path):
    data = loaded("sixteen-digit identifier", tmp_path)
    assert "id" not in data.feature_names
    assert said(data, "'id'")


@later("G", "a part without the class, in silence")
def test_two_rows_of_a_class(tmp_path):
    line = refusal("two rows of a class", tmp_path)
    assert "'2'" in line or "class 2" in line or said(loaded("two rows of a class", tmp_path), "2")


@later("G", "NA is read as missing")
def test_a_class_called_na(tmp_path):
    assert loaded("class called NA", tmp_path).class_names == ("DE", "NA")


@later("G", "accuracy alone")
def test_five_percent_positive_have_a_balanced_score(tmp_path):
    (tmp_path / "table.csv").write_text(TABLES["five percent positive"], encoding="utf-8")
    net = {"name": "mlp", "hidden": [4], "epochs": 0.1, "min_steps": 10, "checkpoints": 1}
    table = {"name": "csv", "path": str(tmp_path / "table.csv"), "target": "y", "kind": "classification"}
    suite = {
        "name": "rare",
        "data_seeds": [0],
        "datasets": [table],
        "models": [net],
        "explainers": [{"name": "saliency"}],
    }
    found = run(suite, out=tmp_path)
    assert [name for name in found.models if "balanced" in name]


NOTEBOOK = """
import multiprocessing, sys
code = '''
from xai_bench import Explainer, register, run
@register
class Mine(Explainer):
    name = "in_a_notebook"
    needs = "data"
    def relevance(self, problem):
        return problem.X_train.var(0)
suite = {"name": "cell", "data_seeds": [0], "datasets": [{"name": "diabetes"}]}
suite["explainers"] = [{"name": "in_a_notebook"}]
cells = run(suite, out=sys.argv[1], jobs=2).cells
print("status:", *cells.loc[cells["explainer"] == "in_a_notebook", "status"])
'''
if __name__ == "__main__":
    exec(compile(code, "<ipython-input-1>", "exec"))
"""


@later("G", "every worker dies")
@pytest.mark.slow
def test_a_component_from_a_notebook_runs_in_workers(tmp_path):
    script = tmp_path / "kernel.py"
    script.write_text(NOTEBOOK)
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=300, check=False)
    assert "status: done" in done.stdout, done.stderr[-500:]


SHORT = SparseSettings(
    hidden=(8,),
    learning_rate=1e-2,
    proximal_rate=0.1,
    first_steps=150,
    ratio=2.25,
    levels=6,
    level_steps=40,
    window=40,
    refit_steps=60,
    refit_checkpoints=4,
    folds=4,
    votes=4,
    agreement=0.4,
)


@later("H", "both dummies of a category fall one by one")
def test_a_category_that_counts_is_kept():
    assert all(map(category_is_kept, range(8)))


def category_is_kept(seed):
    """On 200 rows, of which the category and one of three numbers decide."""
    rng = np.random.default_rng(seed)
    category = rng.integers(0, 2, 200)
    X = np.column_stack([rng.normal(size=(200, 3)), category, 1 - category])
    y = (X[:, 0] + 1.5 * (category - 0.5) + 0.2 * rng.normal(size=200) > 0).astype(int)
    model = SpectralMLPClassifier(sparsity="auto", path=SHORT, random_state=seed, epochs=2).fit(X, y)
    return model.support_[3:].any()


def test_lower_bounds_are_those_that_work():
    """With torch 2.3 Adam fails on the CPU; typer before 0.15.4 fails with the click that it asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = dict(dependency.split(">=") for dependency in project["dependencies"])
    assert Version(bounds["torch"]) >= Version("2.4")
    assert Version(bounds["typer"]) >= Version("0.15.4")


def second_run(suite, out, answer):
    try:
        run(suite, out=out, fresh=True)
        answer.put("ran")
    except InputError as error:
        answer.put(str(error))


@later("I", "the second run forgets what the first has stored")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_second_run_in_one_folder_is_refused(tmp_path):
    suite = {
        "name": "held",
        "data_seeds": [0],
        "datasets": [{"name": "diabetes"}],
        "explainers": [{"name": "f_test"}, {"name": "lasso"}],
    }
    context = multiprocessing.get_context("fork")
    answer, begun = context.Queue(), []

    def on_progress(progress):
        if not begun:
            begun.append(context.Process(target=second_run, args=(suite, tmp_path, answer)))
            begun[0].start()
            begun[0].join(60)

    run(suite, out=tmp_path, on_progress=on_progress)
    line = answer.get(timeout=60)
    assert str(os.getpid()) in line
    assert len(line.splitlines()) == 1


@later("I", "cells are lost, and the exit code is 0")
@pytest.mark.slow
def test_an_explainer_that_forks_is_a_failure(tmp_path):
    suite = tmp_path / "forking.toml"
    suite.write_text(
        'name = "forking"\ndata_seeds = [0]\ndatasets = [{name = "diabetes"}]\n'
        'explainers = [{name = "forks"}, {name = "f_test"}]\n'
    )
    plugin = Path(__file__).parent / "cases" / "forks.py"
    command = [sys.executable, "-m", "xai_bench", "run", suite, "--plugin", plugin, "--out", tmp_path, "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "not run" not in done.stdout
    assert done.returncode == 1, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "data_seeds = [0]",
            "data_seeds = [[0]]",
            "data_seeds: expected a list of one or more whole numbers >= 0, got [[0]]",
        ),
        (
            "data_seeds = [0]",
            "data_seeds = [9223372036854775808]",
            "data_seeds: expected whole numbers below 2^63, got",
        ),
        (
            "data_seeds = [0]",
            "data_seeds = [0]\nfolds = 1e20",
            "folds: expected a whole number >= 0 and <= 1000, got 1e+20",
        ),
        ("data_seeds = [0]", f"data_seeds = [0]\nfolds = {10**12}", "folds: expected a whole number >= 0 and <= 1000"),
        ('"mlp"', '"mlp", epochs = inf', "mlp: epochs: expected a finite number > 0, got inf"),
        ('"mlp"', '"mlp", epochs = nan', "mlp: epochs: expected a finite number > 0, got nan"),
        ('"xor"', '"xor", n = 100000000000000000000', "xor: n: expected whole numbers below 2^63"),
    ],
)
def test_values_that_no_run_ends_with_are_refused(old, new, line, tmp_path, monkeypatch, capsys):
    text = 'name = "large"\ndata_seeds = [0]\ndatasets = [{name = "xor"}]\nmodels = [{name = "mlp"}]\n'
    suite = tmp_path / "large.toml"
    suite.write_text((text + 'explainers = [{name = "saliency"}]\n').replace(old, new))
    monkeypatch.setattr(sys, "argv", ["xai-bench", "run", str(suite), "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert line in err
    assert len(err.strip().splitlines()) == 1
