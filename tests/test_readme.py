"""What the README shows, works."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import pytest

from benchmarks import readme_numbers
from xai_bench import cli, registry, run
from xai_bench.conformance.explainers import check_explainer
from xai_bench.results.store import read
from xai_bench.suites import reading, shipped

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def method(tmp_path, plugin_registry):
    (code,) = [block for block in blocks("python") if "@register" in block]
    path = tmp_path / "mine.py"
    path.write_text(code)
    registry.load_plugin(path)
    return code


def test_a_method_of_ones_own_takes_fifteen_lines(method):
    assert len([line for line in method.splitlines() if line.strip()]) <= 15


def test_it_passes_the_checks_and_runs_with_workers(method, tiny, tmp_path):
    check_explainer(registry.get("explainers", "squared_gradient"))
    tiny["explainers"] = [{"name": "squared_gradient"}]
    cells = run(tiny, out=tmp_path, jobs=1).cells
    assert set(cells.loc[cells["explainer"] == "squared_gradient", "status"]) == {"done"}


def test_its_commands_work(method, tmp_path, monkeypatch, capsys):
    """A run as far as its plan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ndata_seeds = [0]\ndatasets = [{name = "xor"}]\nmodels = [{name = "mlp"}]\n'
        'explainers = [{name = "squared_gradient"}]\n'
    )
    block = README.split("## A method of your own")[1].split("```\n")[2]
    commands = [line.partition("#")[0].split() for line in block.splitlines()]
    assert [command[:2] for command in commands] == [["xai-bench", name] for name in ("check", "run", "run", "new")]
    for command in commands:
        monkeypatch.setattr(sys, "argv", [*command, *(["--dry-run"] if command[1] == "run" else [])])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, capsys.readouterr()
    assert "0 failed" in capsys.readouterr().out
    assert (tmp_path / "my_method" / "pyproject.toml").is_file()


def test_the_suite_is_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = blocks("toml")
    (tmp_path / "patients.csv").write_text("a,b,outcome\n" + "".join(f"{i},{i % 3},{i % 2}\n" for i in range(40)))
    (tmp_path / "mine.toml").write_text(text)
    loaded = reading.load("mine.toml")
    assert [entry.label for entry in loaded.datasets][:2] == ["xor (d=16)", "xor (d=64)"]


def test_commands_and_names_exist():
    for name in re.findall(r"`(\w+)`", README.split("## What is compared")[1].split("## How it differs")[0]):
        families = (registry.names(family) for family in ("explainers", "models", "datasets"))
        assert name in {*itertools.chain(*families), *shipped.shipped()}, name


def test_the_estimator_ranks_a_table(capsys):
    (code,) = [block for block in blocks("python") if "SpectralMLPClassifier" in block]
    exec(compile(code, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.strip().splitlines()) == 11  # ten inputs, and the type


def test_its_numbers_are_those_of_the_committed_pack():
    if not readme_numbers.PACK.is_file():
        pytest.skip("reports/standard has no pack")
    assert readme_numbers.block(README) == readme_numbers.table(read(readme_numbers.PACK))


def test_a_network_is_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in blocks("python") if "xai_bench.compare(" in block]
    exec(code, {})
    said = capsys.readouterr().out
    assert all(name in said for name in ("saliency", "deeplift", "lrp"))
    assert (tmp_path / "reports" / "mine" / "index.html").is_file()


@pytest.mark.slow
def test_a_table_is_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in blocks("python") if "xai_bench.explain(" in block]
    exec(code.replace("explain(X, y)", "explain(X, y, folds=2, seeds=1, permutations=99, null_trainings=19)"), {})
    assert "inputs carry information about 'target'" in capsys.readouterr().out
    assert (tmp_path / "answer" / "index.html").is_file()
