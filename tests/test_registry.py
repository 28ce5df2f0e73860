"""Which code a component consists of: an edit that can change a number gives another identity, no other edit does."""

from __future__ import annotations

import importlib
import importlib.metadata
import linecache
import runpy
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.running.process import set_up_worker
from xai_bench.sources.imports import _owners
from xai_bench.sources.syntax import digest_of_text

MINE = """
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path("stale_plugin").resolve()))
from helper import values  # noqa: E402

from xai_bench import Explainer, register  # noqa: E402


@register
class Mine(Explainer):
    name = "case_helper"
    needs = "data"

    def relevance(self, problem):
        return np.array(values(problem.d))
"""
HELPER = "def values(d):\n    return [float(d - j) for j in range(d)]\n"
OTHER_HELPER = "def values(d):\n    return [float(j) for j in range(d)]\n"


def write(folder: Path, **texts: str) -> Path:
    """Files below a folder: ``a__b`` is ``a/b.py``; returns the folder."""
    for name, text in texts.items():
        file = folder / f"{name.replace('__', '/') if '/' not in name else name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return folder


def code(name: str, family: str = "explainers") -> str | None:
    component = registry.get(family, name)
    return component.plugin_sha256 if isinstance(component, type) else registry.code_of(component)


@pytest.fixture
def loaded(tmp_path, plugin_registry):
    """Load ``mine.py`` of a folder anew and give the code of its explainer."""

    def load(folder: Path = tmp_path, name: str = "case_helper") -> str | None:
        registry.load_plugin(folder / "mine.py")
        return code(name)

    return load


# Plugins: the file, and what it imports below its folder.


def test_an_edited_helper_is_another_code(tmp_path, loaded):
    write(tmp_path, mine=MINE, helper=HELPER)
    first = loaded()
    write(tmp_path, helper=OTHER_HELPER)
    second = loaded()
    assert first != second
    write(tmp_path, helper=HELPER)
    assert loaded() == first


@pytest.mark.parametrize(
    "line",
    [
        "from .helper import values",
        "from . import helper; values = helper.values",
        "import helper; values = helper.values",
        "import helper as h; values = h.values",
        "from pkg.deep import values",
        "import pkg.deep; values = pkg.deep.values",
        "from pkg import deep; values = deep.values",
        "from pkg import *; values = values",
        "def values(d):\n    from helper import values\n    return values(d)",
        "from namespace.part import values",
        "import os, sys; sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\nfrom in_lib import values",
    ],
)
def test_every_way_to_import_a_helper_counts(tmp_path, loaded, line):
    text = MINE.replace("from helper import values  # noqa: E402", line)
    start = {"mine": text, "helper": HELPER, "pkg/__init__": "from .deep import values", "lib__in_lib": HELPER}
    write(tmp_path, **start, pkg__deep="from pkg.deeper import values", pkg__deeper=HELPER, namespace__part=HELPER)
    path = list(sys.path)
    try:
        first = loaded()
        for name in ("helper", "pkg__deeper", "namespace__part", "lib__in_lib"):
            write(tmp_path, **{name: OTHER_HELPER})
        assert loaded() != first
        explainer = registry.get("explainers", "case_helper")
        assert explainer.relevance.__globals__["values"](3) == [0.0, 1.0, 2.0]
    finally:
        sys.path[:] = path
        sys.modules.pop("in_lib", None)


def test_what_the_search_path_finds_outside_of_its_folder_counts(tmp_path, loaded, monkeypatch):
    """A library in progress: neither below the plugin nor installed. What runs is what was loaded."""
    monkeypatch.syspath_prepend(tmp_path / "lab")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = write(tmp_path / "plugins", mine=MINE.replace("from helper", "from case_lab.part"))
    write(tmp_path / "lab", case_lab__part=HELPER)
    first = loaded(folder)
    write(tmp_path / "lab", case_lab__part=OTHER_HELPER)
    assert loaded(folder) == first, "in this process the module stays as it was loaded"
    for name in ("case_lab", "case_lab.part"):
        sys.modules.pop(name)
    assert loaded(folder) != first
    plugin = registry._plugins[registry._origins["explainers", "case_helper"]]
    assert [name for name, _ in plugin.elsewhere] == ["case_lab.part"], "workers import it from where it is"
    for name in ("case_lab", "case_lab.part"):
        sys.modules.pop(name)


@pytest.mark.parametrize("name", ["statistics", "scipy"])
def test_a_relative_import_is_of_the_folder_whatever_else_has_that_name(tmp_path, loaded, name):
    both = f"from .{name} import values\nimport {name}\nassert hasattr({name}, '__path__') or {name}.mean"
    write(tmp_path, mine=MINE.replace("from helper import values  # noqa: E402", both), **{name: HELPER})
    first = loaded()
    write(tmp_path, **{name: OTHER_HELPER})
    assert loaded() != first


def test_a_module_that_a_plugin_found_knows_its_file(tmp_path, plugin_registry):
    """It may read a table beside itself, in a worker too."""
    line = "import sys; sys.path.insert(0, __file__.rpartition('mine.py')[0] + 'lib')\nfrom case_beside import values"
    text = MINE.replace("from helper import values", line)
    write(tmp_path, mine=text, lib__case_beside="from pathlib import Path\nvalues = Path(__file__)")
    path = list(sys.path)
    try:
        for _ in range(2):
            registry.load_plugin(tmp_path / "mine.py")
            found = registry.get("explainers", "case_helper").relevance.__globals__["values"]
            assert found == tmp_path / "lib" / "case_beside.py"
    finally:
        sys.path[:] = path
        sys.modules.pop("case_beside", None)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_a_plugin_in_an_encoding_that_python_reads(tmp_path, loaded, encoding):
    cookie = "" if encoding == "utf-8-sig" else "# -*- coding: latin-1 -*-\n"
    (tmp_path / "mine.py").write_text(f"{cookie}{MINE}", encoding=encoding)
    (tmp_path / "helper.py").write_text(f"{cookie}NAME = 'é'\n{HELPER}", encoding=encoding)
    first = loaded()
    (tmp_path / "helper.py").write_text(f"{cookie}NAME = 'è'\n{HELPER}", encoding=encoding)
    assert loaded() != first


def test_what_is_not_imported_and_what_changes_no_number_does_not_count(tmp_path, loaded):
    write(tmp_path, mine=MINE, helper=HELPER, beside="x = 1")
    first = loaded()
    write(tmp_path, beside="x = 2", helper=f'"""A docstring."""\n# A comment.\n\n{HELPER}')
    write(tmp_path, mine=MINE.replace('name = "case_helper"', '"""Says what it is."""\n\n    name = (\n"case_helper")'))
    assert loaded() == first


def test_the_code_does_not_depend_on_where_the_file_lies(tmp_path, plugin_registry):
    codes = []
    for folder in ("one", "two"):
        registry.load_plugin(write(tmp_path / folder, mine=MINE, helper=HELPER) / "mine.py")
        codes.append(code("case_helper"))
        registry.forget("explainers", "case_helper")
    assert codes[0] == codes[1]


def test_two_plugins_have_helpers_of_their_own(tmp_path, plugin_registry):
    other = MINE.replace("case_helper", "case_other").replace("class Mine", "class Other")
    write(tmp_path, a__mine=MINE, a__helper=HELPER, b__mine=other, b__helper=OTHER_HELPER, helper="values = None")
    for folder in ("a", "b"):
        registry.load_plugin(tmp_path / folder / "mine.py")
    found = [registry.get("explainers", n).relevance.__globals__["values"](3) for n in ("case_helper", "case_other")]
    assert found == [[3.0, 2.0, 1.0], [0.0, 1.0, 2.0]]
    assert "helper" not in sys.modules


def test_a_worker_needs_no_file_of_a_plugin(tmp_path, plugin_registry):
    write(tmp_path, mine=MINE.replace("from helper", "from pkg.helper"), pkg__helper=HELPER)
    plugin = registry.load_plugin(tmp_path / "mine.py")
    first = code("case_helper")
    for file in [*tmp_path.rglob("*.py")]:
        file.unlink()
    registry._registered["explainers"].pop("case_helper")
    registry._plugins.clear()
    set_up_worker((plugin,), registry.codes(), registry.of_scripts("metrics"))
    again = registry.get("explainers", "case_helper")
    assert again.relevance.__globals__["values"](2) == [2.0, 1.0]
    assert code("case_helper") == first


def test_a_library_that_the_plugin_is_named_after_is_the_library(tmp_path, plugin_registry):
    text = MINE.replace("from helper import values", "import scipy\nimport jinja2\nvalues = scipy.__name__ and None")
    write(tmp_path, scipy=text.replace("import jinja2", ""), json="1 / 0")
    registry.load_plugin(tmp_path / "scipy.py")
    write(tmp_path, jinja2=text.replace("case_helper", "case_jinja"))
    registry.load_plugin(tmp_path / "jinja2.py")
    assert registry.get("explainers", "case_jinja").relevance.__globals__["jinja2"].__name__ == "jinja2"


def test_the_version_of_an_installed_library_counts(tmp_path, loaded, monkeypatch):
    write(tmp_path, mine=MINE.replace("from helper import values", "import case_library\nvalues = None"))
    install(tmp_path / "site-packages", "case-library", "1.0", case_library="")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    _owners.cache_clear()
    first = loaded()
    install(tmp_path / "site-packages", "case-library", "1.1", case_library="")
    assert loaded() != first
    _owners.cache_clear()


def test_files_that_it_depends_on_count(tmp_path, loaded):
    write(
        tmp_path, mine=MINE.replace("    needs =", '    depends_on = ("data/table.txt",)\n    needs ='), helper=HELPER
    )
    with pytest.raises(
        InputError, match=r"case_helper: depends_on: expected a file at 'data/table.txt' .*nothing"
    ) as e:
        loaded()
    assert "\n" not in str(e.value)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.txt").write_text("1")
    first = loaded()
    (tmp_path / "data" / "table.txt").write_text("2")
    assert code("case_helper") != first


def test_a_plugin_that_fails_takes_nothing_away(tmp_path, loaded):
    write(tmp_path, mine=MINE, helper=HELPER)
    first = loaded()
    write(tmp_path, mine=f"{MINE}\n1 / 0\n")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        loaded()
    assert code("case_helper") == first


def test_a_text_that_is_not_python_has_a_hash():
    assert digest_of_text("def (") != digest_of_text("def  (")


# Scripts, modules and notebooks: the statement, and what it names.

SCRIPT = """
from __future__ import annotations
import json, numpy as np
from xai_bench import Explainer, register
import near
from near import FACTOR as F, unused

LIMIT = 3
TABLE = {}
TABLE["x"] = 1
OTHER = 5
X = 7

def base(d):
    return np.arange(d) * scale(2) + near.VALUE * F

def scale(x):
    return x * LIMIT + TABLE["x"]

def elsewhere():
    return OTHER

class Base(Explainer):
    needs = "data"
    bonus: int = 1

@register
class Mine(Base):
    name = "case_script"
    def relevance(self, problem):
        X = base(problem.d)
        return X + self.bonus

if __name__ == "__main__":
    X = elsewhere()
"""
NEAR = "import far\nVALUE = far.VALUE\nFACTOR = 2\nunused = 0\n"
COUNTING = [
    ("LIMIT = 3", "LIMIT = 4"),
    ('TABLE["x"] = 1', 'TABLE["x"] = 2'),
    ("return x * LIMIT", "return x + LIMIT"),
    ("bonus: int = 1", "bonus: int = 2"),
    ("return X + self.bonus", "return X - self.bonus"),
    ("from near import FACTOR as F", "from near import unused as F"),
    ("LIMIT = 3", "LIMIT = 3\nLIMIT += 1"),
    ("LIMIT = 3", "LIMIT = 3\nfor LIMIT in range(9):\n    pass"),
    ("TABLE = {}", "TABLE = dict(x=OTHER_TABLE) if False else {}"),
    ('TABLE["x"] = 1', "TABLE.update(x=2)"),
]
NOT_COUNTING = [
    ("OTHER = 5", "OTHER = 6"),
    ("X = 7", "X = 8"),
    ("return OTHER", "return OTHER + 1"),
    ("import json, numpy as np", "import csv, json, numpy as np"),
    ("return x * LIMIT", "return (x *  LIMIT  # limit\n    )"),
    ("    X = elsewhere()", "    print(elsewhere())"),
]


@pytest.fixture
def script(tmp_path, plugin_registry, monkeypatch):
    """Run a script in this process and give the code of what it registers."""
    monkeypatch.syspath_prepend(tmp_path)

    def run(text: str = SCRIPT, name: str = "case_script", family: str = "explainers", **modules: str) -> str | None:
        write(tmp_path, script=text, **{"near": NEAR, "far": "VALUE = 1", **modules})
        for module in ("near", "far", *modules):
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
        registry.forget(family, name)
        runpy.run_path(str(tmp_path / "script.py"), run_name="a_script")
        return code(name, family)

    return run


@pytest.mark.parametrize(("old", "new"), COUNTING)
def test_an_edit_of_what_a_script_s_class_names_is_another_code(script, old, new):
    assert script() != script(SCRIPT.replace(old, new))


@pytest.mark.parametrize(("old", "new"), NOT_COUNTING)
def test_an_edit_elsewhere_in_a_script_is_none(script, old, new):
    assert script() == script(SCRIPT.replace(old, new))


MADE = """
import numpy as np
import near
from xai_bench import Explainer, register
K = 1
TABLE = []
def add(f):
    TABLE.append(f)
    return f
@add
def two():
    return 2
def set_k(k):
    global K
    K = k
set_k(3)
near.VALUE = 4
near.configure(5)
def make(k):
    class Made(Explainer):
        name = "case_script"
        needs = "data"
        def relevance(self, problem):
            return np.full(problem.d, k + K + TABLE[0]() + near.VALUE)
    return Made
def setup(made):
    register(made)
setup(make(6))
unrelated = 7
"""
BY_TYPE = """
from xai_bench import Explainer, register
def f(self, problem):
    return 2
register(type("Z", (Explainer,), dict(name="case_script", needs="data", relevance=f)))
"""


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (MADE, "make(6)", "make(7)"),
        (MADE, "set_k(3)", "set_k(4)"),
        (MADE, "return 2", "return 3"),
        (MADE, "VALUE = 4", "VALUE = 5"),
        (MADE, "configure(5)", "configure(6)"),
        (BY_TYPE, "return 2", "return 3"),
        (BY_TYPE.replace("register(", "Z = (") + "register(Z)", "return 2", "return 3"),
        (SCRIPT.replace("@register", "setattr(Base, 'more', 1)\n@register"), "'more', 1", "'more', 2"),
    ],
)
def test_what_a_script_does_when_it_runs_counts(script, text, old, new):
    near = NEAR + "def configure(k): ..."
    assert script(text, near=near) != script(text.replace(old, new), near=near)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (MADE, "unrelated = 7", "unrelated = 8"),
        (f"{SCRIPT}\nprint(Mine, 1)", ", 1)", ", 2)"),
        (f"{SCRIPT}\nimport xai_bench\nxai_bench.InputError(Mine, 1)", ", 1)", ", 2)"),
    ],
)
def test_what_a_script_does_besides_does_not_count(script, text, old, new):
    near = NEAR + "def configure(k): ..."
    assert script(text, near=near) == script(text.replace(old, new), near=near)


def test_modules_that_a_script_names_count_as_a_whole(script):
    first = script()
    assert script(near=NEAR.replace("= 2", "= 3")) != first
    assert script(far="VALUE = 2") != first
    assert script(SCRIPT.replace("import near", "import near, beside"), beside="x = 1") == first
    star = SCRIPT.replace("import near\n", "import near\nfrom beside import *\n")
    assert script(star, beside="x = 1") != script(star, beside="x = 2")


def test_a_file_that_is_edited_while_it_runs_is_the_code_that_ran(script, tmp_path):
    first = script()
    write(tmp_path, script=SCRIPT.replace("LIMIT = 3", "LIMIT = 4"), near=NEAR.replace("= 2", "= 3"))
    assert code("case_script") == first


def test_a_module_that_is_loaded_again_is_another_code(tmp_path, plugin_registry, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, case_module=SCRIPT, near=NEAR, far="VALUE = 1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = importlib.import_module("case_module")
    first = code("case_script")
    write(tmp_path, case_module=SCRIPT.replace("LIMIT = 3", "LIMIT = 44"))
    importlib.reload(module)
    assert code("case_script") != first


METRIC = """
from xai_bench import Metric, register
K = 7.0
def score(relevance, truth):
    return K
def other():
    return 1
register(Metric("case_metric", {score}, lambda truth: 0.0, 0.0, 10.0, "title", descriptive=True))
print(other())
"""


@pytest.mark.parametrize("score", ["score", "lambda relevance, truth: K", "__import__('functools').partial(score)"])
def test_metrics_of_a_script_have_a_code(script, score):
    text = METRIC.replace("{score}", score)
    first = script(text, "case_metric", "metrics")
    assert script(text.replace("K = 7.0", "K = 3.0"), "case_metric", "metrics") != first
    assert script(text.replace("return 1", "return 2"), "case_metric", "metrics") == first


def test_cells_of_a_notebook(plugin_registry):
    cells = [""]
    names = {"__name__": "__main__", "In": cells}
    names["get_ipython"] = lambda: type("Shell", (), {"transform_cell": lambda self, text: text})()

    def execute(text: str) -> str | None:
        cells.append(text)
        filename = f"<cell {len(cells)}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), names)
        return code("case_cell") if "case_cell" in registry._registered["explainers"] else None

    execute("from xai_bench import Explainer, register\nK = 3\ndef f(d):\n    return K")
    method = (
        "@register\nclass Mine(Explainer):\n    name = 'case_cell'\n    def relevance(self, p):\n        return f(p.d)"
    )
    first = execute(method)
    assert execute("unrelated = 1") == first
    assert execute("K = 4") != first
    assert execute("K = 3") == first
    assert execute("def f(d):\n    return 2 * K") != first
    second = code("case_cell")
    assert execute(method) == second, "the cell was executed again"
    assert execute(method.replace("f(p.d)", "f(p.d) + 1")) != second
    assert execute(method.replace("Mine", "Renamed").replace("f(p.d)", "f(p.d) + 2")) != second
    assert registry.get("explainers", "case_cell") is names["Renamed"]
    with pytest.raises(InputError, match="taken"):  # two classes in one cell
        execute(f"{method}\n{method.replace('Mine', 'Other')}")


def test_a_name_that_another_module_has_taken_stays_taken(script, tmp_path, plugin_registry):
    script()
    text = SCRIPT.split("import near")[0] + "@register\nclass A(Explainer):\n    name = 'case_script'\n"
    write(tmp_path, mine=text + "    def relevance(self, problem): ...\n")
    with pytest.raises(InputError, match="taken"):
        registry.load_plugin(tmp_path / "mine.py")


# Code without a text.

TEXTLESS = """
import functools
from xai_bench.sources.compiled import compiled
from xai_bench.component import canonical_json, sha256
names = {"__name__": "textless"}
exec('''
WORDS = {"a", "b", "c", "d"}
def g(x, k=%s):
    return x in {"u", "v", "w"} or x in WORDS or k
class Mine:
    rows = 3
    def relevance(self, problem):
        return [g(x) for x in problem]
''', names)
def make(k):
    return lambda x: x + k
print(sha256(canonical_json([compiled(names["Mine"]), compiled(make(%s)), compiled(functools.partial(make, k=%s))])))
"""


def test_code_without_a_text_counts_by_what_it_was_compiled_to():
    def run(*values: int, seed: int) -> str:
        command = [sys.executable, "-c", TEXTLESS % values]
        return subprocess.run(command, env={**__import__("os").environ, "PYTHONHASHSEED": str(seed)},
                              capture_output=True, text=True, check=True).stdout  # fmt: skip

    first = run(1, 2, 3, seed=0)
    assert first == run(1, 2, 3, seed=1)
    assert len({first, run(0, 2, 3, seed=0), run(1, 0, 3, seed=0), run(1, 2, 0, seed=0)}) == 4


def test_a_class_that_was_executed_as_a_text_has_a_code(plugin_registry):
    text = (
        SCRIPT.split("import near")[0] + "@register\nclass A(Explainer):\n    name = 'case_text'\n    needs = 'data'\n"
    )
    codes = []
    for line in ("return problem.d", "return 2 * problem.d", "return problem.d"):
        registry.forget("explainers", "case_text")
        exec(f"{text}    def relevance(self, problem):\n        {line}\n", {"__name__": "nowhere"})
        codes.append(code("case_text"))
    assert codes[0] == codes[2] != codes[1]


# Components of other distributions.


def install(site: Path, name: str, version: str, entries: str = "", **modules: str) -> None:
    """What an installed distribution looks like on disk."""
    write(site, **modules)
    for old in site.glob("*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entries)
    (info / "top_level.txt").write_text("\n".join({module.replace("/", "__").partition("__")[0] for module in modules}))


def test_what_a_distribution_offers_has_its_version_and_its_code(tmp_path, plugin_registry, monkeypatch):
    site = tmp_path / "site-packages"
    method = "from case_dist.inner import K\nfrom xai_bench import Explainer\nclass Mine(Explainer):\n"
    method += "    name = 'case_dist'\n    def relevance(self, problem):\n        return K\n"
    monkeypatch.syspath_prepend(site)

    def installed(version: str, inner: str) -> str | None:
        entries = "[xai_bench.explainers]\ncase_dist = case_dist.methods:Mine\n"
        modules = {"case_dist/__init__": "", "case_dist__methods": method, "case_dist__inner": inner}
        install(site, "case-dist", version, entries, **modules)
        for module in [name for name in sys.modules if name.partition(".")[0] == "case_dist"]:
            del sys.modules[module]
        importlib.invalidate_caches()
        registry._entry_points.cache_clear()
        registry._known_codes.clear()
        return registry.create("explainers", "case_dist", {}).identity()["plugin"]

    try:
        first = installed("1.0", "K = 1")
        assert first is not None
        assert installed("1.1", "K = 1") != first
        assert installed("1.0", "K = 2") != first
        assert installed("1.0", "K = 1  # the same") == first
    finally:
        registry._entry_points.cache_clear()
        registry._known_codes.clear()


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_components_of_the_package_have_versions_and_no_hash(family):
    for name in registry.names(family):
        if not registry.is_foreign(family, name):
            assert code(name, family) is None, name
