"""What README and manual show, works. The code of the tutorials is run when the manual is built (``make docs``)."""

from __future__ import annotations

import itertools
import math
import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer

from benchmarks import between, hard_numbers, paper_numbers, readme_numbers
from xai_bench import cli, registry, run
from xai_bench.conformance.explainers import check_explainer
from xai_bench.results.store import read
from xai_bench.suites import reading, shipped

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md")}
SUITES, RESULTS, SCIKIT, REPORT = (PAGES[f"docs/{name}.md"] for name in ("suites", "results", "scikit", "report"))
TEXTS = {"README.md": README, **PAGES}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_it_is_short_and_names_both_commands():
    assert len(README.splitlines()) <= 120
    assert {"make demo", "make test"} <= {line.partition("#")[0].strip() for line in README.splitlines()}


@pytest.mark.parametrize("page", TEXTS)
def test_code_is_python(page):
    for code in re.findall(r"```python.*?\n(.*?)```", TEXTS[page], flags=re.DOTALL):
        compile(code, page, "exec")


def _commands() -> list[str]:
    """Every command line of README and manual, without its comment."""
    lines = (line.partition("  #")[0].removeprefix("$ ") for text in TEXTS.values() for line in text.splitlines())
    found = {line.strip() for line in lines if line.startswith("xai-bench ")}
    found |= {code for text in TEXTS.values() for code in re.findall(r"`(xai-bench [a-z]+ [^`]*)`", text)}
    return sorted(found - {"xai-bench data fetch"})  # Named in a sentence, not to be typed.


@pytest.fixture(scope="module")
def group():
    return typer.main.get_command(cli.app)


@pytest.mark.parametrize("line", _commands())
def test_commands_are_understood(line, group):
    """Read as the command line reads them, and not called."""
    words, command = shlex.split(line)[1:], group
    context = command.make_context("xai-bench", ["--help"], resilient_parsing=True)
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, words[0]
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, [word for word in words if word != "..."], parent=context)


@pytest.fixture
def method(tmp_path, plugin_registry):
    (code,) = [block for block in blocks("python") if "@register" in block]
    path = tmp_path / "mine.py"
    path.write_text(code)
    registry.load_plugin(path)
    return code


def test_a_method_of_ones_own_takes_fifteen_lines(method):
    assert len([line for line in method.splitlines() if line.strip()]) <= 15


def test_it_passes_the_checks_and_runs(method, tiny, tmp_path):
    """In workers it is found as any plugin is: see ``test_run``."""
    check_explainer(registry.get("explainers", "squared_gradient"))
    tiny["explainers"] = [{"name": "squared_gradient"}]
    cells = run(tiny, out=tmp_path).cells
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
    (text,) = blocks("toml", SUITES)
    (tmp_path / "patients.csv").write_text("a,b,outcome\n" + "".join(f"{i},{i % 3},{i % 2}\n" for i in range(40)))
    (tmp_path / "mine.toml").write_text(text)
    loaded = reading.load("mine.toml")
    assert [entry.label for entry in loaded.datasets][:2] == ["xor (d=16)", "xor (d=64)"]


def test_commands_and_names_exist():
    text = RESULTS
    for numbers in (paper_numbers, hard_numbers):  # labels of a suite
        text = text.replace(between.found(text, numbers.BEGIN, numbers.END), "")
    for name in re.findall(r"`(\w+)`", text.split("## What is compared")[1].split("## Speed")[0]):
        families = (registry.names(family) for family in ("explainers", "models", "datasets"))
        assert name in {*itertools.chain(*families), *shipped.shipped()}, name


def test_the_estimator_ranks_a_table(capsys):
    (code,) = blocks("python", SCIKIT)
    exec(compile(code, "scikit.md", "exec"), {})
    assert len(capsys.readouterr().out.strip().splitlines()) == 11  # ten inputs, and the type


def test_its_numbers_are_those_of_the_committed_pack():
    if not readme_numbers.PACK.is_file():
        pytest.skip("reports/standard has no pack")
    results = read(readme_numbers.PACK)
    table = readme_numbers.table(results)
    assert readme_numbers.block(RESULTS) == table
    assert readme_numbers.block(README) == table.partition("\n\n")[0] + "\n"


def test_what_is_said_of_the_paper_is_of_the_committed_packs():
    if not paper_numbers.PACK.is_file():
        pytest.skip("reports/paper has no pack")
    assert between.found(RESULTS, paper_numbers.BEGIN, paper_numbers.END) == paper_numbers.today()


def test_differences_are_told_by_their_intervals():
    rows = [
        ("the other", "a", "AUROC", 0.2, 0.1, 0.3),
        ("the other", "b", "AUROC", -0.2, -0.3, -0.1),
        ("the other", "c", "AUROC", 0.1, -0.1, 0.3),
        ("the other", "d", "AUROC", 0.9, math.nan, math.nan),
    ]
    found = pd.DataFrame(rows, columns=["other", "data", "score", "difference", "low", "high"])
    said = list(paper_numbers.sentences(found))
    assert [text.partition(":")[2].strip() for text in said[:3]] == [f"{data} (AUROC)." for data in "abc"]
    assert said[3] == "Nothing is decided below 5 draws: 1 of 4 differences."
    starts = ("The all-spectral network is ahead", "It is behind", "Between it and the other no", "Nothing")
    assert all(text.startswith(start) for text, start in zip(said, starts, strict=True))


def test_a_suite_runs_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    axes = 'datasets = [{name = "xor", n = 40, d = 3}]\nexplainers = [{name = "f_test"}]\n'
    (tmp_path / "mine.toml").write_text(f'name = "mine"\ndata_seeds = [0]\n{axes}')
    (code,) = blocks("python", SUITES)
    exec(code, {})
    assert (tmp_path / "reports" / "mine" / "index.html").is_file()


def test_results_are_asked_in_python(by_hand):
    (code,) = blocks("python", REPORT)
    exec(code.replace("mine", by_hand.leaderboard("methods")["name"][0]), {"results": by_hand})


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
