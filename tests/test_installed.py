"""What a wheel and an sdist hold, what an installed package does, and which versions its metadata name."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import xai_bench
from xai_bench import registry

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_MINIMAL = {"torch"}
"""constraints-minimum.txt says why."""


def call(*arguments: object, cwd: Path, **environment: str) -> str:
    """The output of a command, which succeeds."""
    done = subprocess.run(
        list(map(str, arguments)), cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def package_files() -> set[str]:
    """Every file of the package, as a path below the root."""
    folder = ROOT / "xai_bench"
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """An sdist of a copy of the checkout and, as pip would, a wheel of what the sdist holds; without an index."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("xai_bench", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith(".git"):
            shutil.copy(path, folder)
    (folder / "reports" / "quick").mkdir(parents=True)
    (folder / "reports" / "quick" / "index.html").write_text("a report")
    call(sys.executable, "-m", "build", "--no-isolation", cwd=folder, PYTHONPATH="")
    files = sorted((folder / "dist").iterdir())
    (sdist,), (wheel,) = ([path for path in files if path.name.endswith(end)] for end in (".tar.gz", ".whl"))
    return {"sdist": sdist, "wheel": wheel}


def held(path: Path) -> set[str]:
    """The files in an archive; in an sdist, below its folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return set(wheel.namelist())
    with tarfile.open(path) as sdist:
        return {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_archives_hold_the_package_and_no_more(built, kind):
    files = held(built[kind])
    expected = package_files()
    for end in (".toml", ".j2", ".css", ".js", ".csv", ".json.gz", ".py.txt", "py.typed", "LICENSE.txt"):
        assert any(name.endswith(end) for name in expected), end
    assert expected <= files, sorted(expected - files)
    beside = {name.partition("/")[0] for name in files - expected}
    metadata = {f"xai_bench-{xai_bench.__version__}.dist-info"}
    if kind == "sdist":
        metadata = {"PKG-INFO", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.cfg"}
        metadata |= {"xai_bench.egg-info", "CHANGELOG.md", "CITATION.cff", "SECURITY.md"}
    assert beside == metadata
    assert built[kind].stat().st_size < 2e6


@pytest.mark.slow
def test_an_index_would_take_them(built):
    pytest.importorskip("twine")
    call(sys.executable, "-m", "twine", "check", "--strict", *built.values(), cwd=built["wheel"].parent)


@pytest.mark.slow
def test_the_installed_package_lists_what_the_checkout_does(built, tmp_path):
    target = tmp_path / "target"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target")
    call(*pip, target, built["wheel"], cwd=tmp_path, PYTHONPATH="")
    script = target / "bin" / "xai-bench"
    environment = {"PYTHONPATH": str(target)}
    where = call(sys.executable, "-c", "import xai_bench; print(xai_bench.__file__)", cwd=tmp_path, **environment)
    assert Path(where.strip()) == target / "xai_bench" / "__init__.py"
    assert call(script, "--version", cwd=tmp_path, **environment).split()[-1] == xai_bench.__version__
    listed = call(script, "list", cwd=tmp_path, **environment)
    for family in ("datasets", "models", "explainers", "metrics"):
        missing = [name for name in registry.names(family) if not re.search(rf"\b{name}\b", listed)]
        assert not missing, family


def test_versions_agree():
    """Of the package, its metadata, its citation and the first section of its changelog."""
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    newest = re.search(r"^## (\S+) \(", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {xai_bench.__version__, PROJECT["version"], citation[1], newest[1]} == {xai_bench.__version__}


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without zeros at the end: 3.0 is 3.0.0."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def test_constraints_are_the_lower_bounds():
    text = (ROOT / "constraints-minimum.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    bounds = dict(
        re.fullmatch(r"([\w-]+)>=([\d.]+)", each).groups()
        for each in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["selectors"])
    )
    assert set(bounds) <= set(pins)
    wrong = {
        name: (bound, pins[name])
        for name, bound in bounds.items()
        if name not in NOT_MINIMAL and release(pins[name]) != release(bound)
    }
    assert not wrong


def test_dependencies_are_what_is_imported():
    """Each has a module here: none is declared in vain."""
    modules = {"scikit-learn": "sklearn", "scikit-posthocs": "scikit_posthocs"}
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "xai_bench").rglob("*.py"))
    for dependency in PROJECT["dependencies"]:
        name = re.split("[>=]", dependency)[0]
        module = modules.get(name, name)
        assert importlib.util.find_spec(module) is not None
        assert re.search(rf"^\s*(import|from) {module}\b", text, re.MULTILINE), name
