"""Inputs on which the package once fell short, each with what is right."""

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

from tests.cases.tables import TABLES
from tests.reports import rows, section
from xai_bench import Explainer, SparseSettings, SpectralMLPClassifier, cli, run, write_report
from xai_bench.errors import InputError
from xai_bench.report import in_short
from xai_bench.report.kit import drawing
from xai_bench.report.sections import retained

ROOT = Path(__file__).parent.parent


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
    (facts,) = found.models.values()
    assert 0 <= facts.test_balanced <= 1


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


def dummies_of_two(rng):
    category = rng.integers(0, 2, 200)
    return category - 0.5, np.column_stack([category, 1 - category])


def dummies_of_three(rng):
    category = rng.integers(0, 3, 200)
    return category - 1, np.eye(3)[category]


def copies(rng):
    values = rng.normal(size=200)
    return values, np.column_stack([values, -2 * values])


def near_copies(rng):
    values = rng.normal(size=200)
    return values, values[:, None] + 0.1 * rng.normal(size=(200, 2))


@pytest.mark.parametrize(
    ("block", "seeds"),
    [(dummies_of_two, (1, 3, 6)), (dummies_of_three, (1, 3)), (copies, (1, 3)), (near_copies, (1, 3))],
)
def test_of_inputs_that_can_stand_for_each_other_one_is_kept(block, seeds):
    assert all(one_is_kept(block, seed) for seed in seeds)


def one_is_kept(block, seed):
    """On 200 rows, of which the block and one of three numbers decide."""
    rng = np.random.default_rng(seed)
    effect, columns = block(rng)
    numbers = rng.normal(size=(200, 3))
    y = (numbers[:, 0] + 1.5 * effect + 0.2 * rng.normal(size=200) > 0).astype(int)
    X = np.column_stack([numbers, columns])
    model = SpectralMLPClassifier(sparsity="auto", path=SHORT, random_state=seed, epochs=2).fit(X, y)
    return model.support_[0] and model.support_[3:].any()


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
        (
            "data_seeds = [0]",
            f"data_seeds = [0]\nfolds = {10**12}",
            "folds: expected a whole number >= 0 and <= 1000, got 1000000000000",
        ),
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
