"""Packages that ``xai-bench new`` writes: they are whole, keep the contract, and stand in a report once installed."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from xai_bench import InputError, new_package, registry
from xai_bench.conformance import families
from xai_bench.starter import FAMILY_OF
from xai_bench.suites import reading

KINDS = sorted(FAMILY_OF)


@pytest.fixture
def component(monkeypatch):
    """What the entry point of a package names, imported as once the package is installed."""

    def imported(folder: Path, kind: str):
        monkeypatch.syspath_prepend(str(folder))
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        ((name, value),) = project["entry-points"][f"xai_bench.{FAMILY_OF[kind]}"].items()
        module, attribute = value.split(":")
        made = getattr(importlib.import_module(module), attribute)
        assert made.name == name
        return made

    yield imported
    for name in [name for name in sys.modules if name.startswith("xai_bench_")]:
        del sys.modules[name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole_and_its_component_keeps_the_contract(kind, tmp_path, component, plugin_registry):
    folder = new_package(kind, f"my_{kind}", tmp_path / "new")
    assert folder == tmp_path / "new" / f"my_{kind}"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    module = f"xai_bench_my_{kind}"
    assert found == {"pyproject.toml", "README.md", "suite.toml", f"{module}.py", f"tests/test_my_{kind}.py"}
    assert len([line for line in (folder / "README.md").read_text().splitlines() if line.strip()]) <= 5
    assert "$" not in "".join(path.read_text() for path in folder.rglob("*.*"))
    made = component(folder, kind)
    assert [row for row in families.check_report(made) if row.outcome == "failed"] == []
    plugin_registry.register(made)
    reading.load(str(folder / "suite.toml"))


@pytest.mark.parametrize(
    ("kind", "name", "made"),
    [
        ("explainer", "local_explainer", "LocalExplainerExplainer"),
        ("dataset", "table", "TableDataset"),
        ("model", "architecture", "ArchitectureModel"),
        ("metric", "reduced", "reduced_metric"),
        ("metric", "list", "list_metric"),
    ],
)
def test_a_name_that_the_module_uses_already_gets_another_class(kind, name, made, tmp_path, component):
    found = component(new_package(kind, name, tmp_path), kind)
    assert getattr(sys.modules[f"xai_bench_{name}"], made) is found


@pytest.mark.parametrize("name", ["two words", "a-b", "2nd", "class", "Mine", "größe", "", "../out", "a/b", "."])
def test_a_name_is_a_word_of_small_letters(name, tmp_path):
    with pytest.raises(InputError, match="expected a name of small letters") as raised:
        new_package("explainer", name, tmp_path)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), [("explainer", "saliency"), ("dataset", "xor"), ("metric", "auroc")])
def test_a_shipped_name_is_taken(kind, name, tmp_path):
    with pytest.raises(InputError, match=f"the name '{name}' is taken among {FAMILY_OF[kind]}"):
        new_package(kind, name, tmp_path)
    new_package("model", name, tmp_path)  # another family has no such name


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("kept")
    (tmp_path / "file").write_text("kept")
    for name in ("mine", "file"):
        with pytest.raises(InputError, match="exists: choose another name or --out"):
            new_package("explainer", name, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept", "mine"]
    with pytest.raises(InputError, match="cannot write"):
        new_package("explainer", "mine", tmp_path / "file")


def test_an_unknown_kind_is_told():
    with pytest.raises(InputError, match="unknown kind of package 'explainr': did you mean explainer"):
        new_package("explainr", "mine")


@pytest.mark.slow
def test_an_installed_package_is_listed_tested_run_and_in_the_report(tmp_path):
    """By the commands of its README; nothing is installed beside the tests."""
    target = tmp_path / "installed"
    path = os.pathsep.join([str(target), str(Path(registry.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path}

    def output(*command: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *map(str, command)], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    output("xai_bench", "new", "explainer", "mine")
    output("pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--target", target, tmp_path / "mine")
    assert "  mine " in output("xai_bench", "list", "explainers")
    assert "passed" in output("pytest", "-q", "-p", "no:cacheprovider", tmp_path / "mine" / "tests")
    suite = tmp_path / "mine" / "suite.toml"
    ran = output("xai_bench", "run", suite, "--data-seeds", 1, "--out", tmp_path / "out", "--jobs", 1)
    assert "mine: 4 cells: 4 done" in ran
    assert ">mine<" in (tmp_path / "out" / "reports" / "mine" / "index.html").read_text(encoding="utf-8")
