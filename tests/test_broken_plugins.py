"""Plugins that break the contract fail at the check that names the fault, in one line, and so does the command."""

from __future__ import annotations

import importlib
import sys

import pytest

from tests.test_registry import install
from xai_bench import InputError, cli, registry
from xai_bench.conformance import families
from xai_bench.conformance.base import CheckFailed

HEAD = "import numpy as np\nimport torch\nfrom xai_bench import *\nfrom xai_bench import DataSource, register\n"
METHOD = """
@register
class Mine(Explainer):
    name = "mine"
    needs = "gradient"

    def relevance(self, problem):
        {body}
"""
DATA = """
@register
class Mine(DataSource):
    name = "mine"
    n: int = 60

    def draw(self, rng):
        {body}
"""
NETWORK = """
@register
class Mine(Architecture):
    name = "mine"

    def build(self, shape, n_outputs, generator):
        {body}
"""
TABLE = "return Table(X=X, y=(np.arange(self.n) % 2), kind='classification')"
GOOD = "return problem.X_valid.abs().mean(0)"
CASES = {
    "wrong shape": (METHOD, "return np.ones(problem.d + 1)", "returns_relevance", r"shape \(12,\), got \(13,\)"),
    "not a number": (METHOD, "return np.full(problem.d, np.nan)", "returns_relevance", "12 that are not"),
    "complex numbers": (METHOD, "return np.ones(problem.d, complex)", "returns_relevance", "dtype complex128"),
    "numbers as texts": (METHOD, "return np.full(problem.d, '1.0')", "returns_relevance", "dtype <U3"),
    "on another device": (METHOD, "return torch.ones(problem.d, device='meta')", "returns_relevance", "device meta"),
    "asks for test rows": (METHOD, "return problem.y_test", "no_test_rows", "got one at y_test"),
    "asks for the truth": (METHOD, f"getattr(problem, 'truth', None)\n        {GOOD}", "no_test_rows", "at truth"),
    "changes its input": (METHOD, f"problem.X_valid[0] += 1\n        {GOOD}", "data_unchanged", "X_valid as before"),
    "unseeded": (
        METHOD, "return np.random.default_rng().random(problem.d)", "deterministic", "equal bits for the same seed",
    ),
    "keeps state": (
        METHOD + "SEEN = [1]", f"SEEN.append(1 + repr(problem.model).count('Spectral'))\n        {GOOD} * SEEN[-2]",
        "keeps_nothing", "after other problems",
    ),
    "imports what is not there": (
        METHOD, f"import not_there\n        {GOOD}", "returns_relevance", "ModuleNotFoundError: No module named",
    ),
    "explain itself": (
        METHOD + "    def explain(self, problem, seed=0):\n        return problem.X_valid.requires_grad_().sum(0)",
        GOOD, "returns_relevance", "return an Explanation, got a Tensor: write relevance",
    ),
    "data: unseeded": (
        DATA, f"X = np.random.default_rng().normal(size=(self.n, 4))\n        {TABLE}", "deterministic", "draw from",
    ),
    "data: texts": (DATA, f"X = np.full((self.n, 4), 'a')\n        {TABLE}", "shapes", "of <U1"),
    "network: on another device": (
        NETWORK, "return torch.nn.Linear(shape[0], n_outputs, device='meta')", "builds_a_module", "device meta",
    ),
    "network: double precision": (
        NETWORK, "return torch.nn.Linear(shape[0], n_outputs).double()", "builds_a_module", "Float and Double",
    ),
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path, plugin_registry):
    def load(form, body):
        (tmp_path / "mine.py").write_text(HEAD + form.replace("{body}", body))
        registry.load_plugin(tmp_path / "mine.py")
        return families.named("mine")

    return load


@pytest.mark.parametrize("case", CASES)
def test_the_first_check_that_fails_names_the_fault(case, plugin):
    form, body, name, words = CASES[case]
    with pytest.raises(CheckFailed, match=rf"^{name}: mine: .*({words})") as failed:
        families.check(plugin(form, body))
    assert "\n" not in str(failed.value)


def test_the_command_lists_the_check_and_fails(tmp_path, plugin_registry, monkeypatch, capsys):
    text = "from xai_bench import Metric, register\n" \
        "register(Metric('mine', lambda r, t: float('nan'), lambda t: 0.5, 0.0, 1.0, 'Mine'))\n"  # fmt: skip
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.setattr(sys, "argv", ["xai-bench", "check", "mine", "--plugin", str(tmp_path / "mine.py")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "failed   numbers: numbers: mine: expected " in capsys.readouterr().out


def test_a_file_that_does_not_import_is_told_in_one_line(tmp_path, plugin_registry):
    (tmp_path / "mine.py").write_text("import time\nimport not_there\n")
    with pytest.raises(InputError, match=r"plugin 'mine\.py' failed: ModuleNotFoundError: No module named"):
        registry.load_plugin(tmp_path / "mine.py")


def test_an_installed_package_that_does_not_import_is_told_in_one_line(tmp_path, monkeypatch, plugin_registry):
    site = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(site)
    entries = "[xai_bench.explainers]\nbroken_one = case_broken:Mine\n"
    install(site, "case-broken", "1.0", entries, case_broken="import not_there\n")
    importlib.invalidate_caches()
    registry._entry_points.cache_clear()
    try:
        with pytest.raises(InputError, match=r"^'broken_one' of the package case-broken cannot be loaded \(Module"):
            families.named("broken_one")
    finally:
        registry._entry_points.cache_clear()
