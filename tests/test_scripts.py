"""Runs that a script begins: what its workers read of it, and what cannot be sent to them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xai_bench import InputError, registry, run
from xai_bench.running.executors import needs_script
from xai_bench.suites import reading

SUITE = """
from xai_bench import Explainer, register, run

print("script")
suite = {
    "name": "s", "data_seeds": [0], "datasets": [{"name": "xor", "n": 40, "d": 3}],
    "explainers": [{"name": "f_test"}],
}
"""
OWN = """
@register
class Mine(Explainer):
    name = "mine"
    needs = "data"

    def relevance(self, problem):
        return problem.X_train.abs().sum(0)

suite["explainers"].append({"name": "mine"})
"""
CALL = "results = run(suite, out='out', jobs=1)\nprint(results.cells['status'].tolist())\n"
GUARDED = "if __name__ == '__main__':\n    " + CALL.replace("\n", "\n    ")


def output(folder, text):
    (folder / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    found = subprocess.run([sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True)
    return found.stdout.splitlines(), found.stderr.splitlines()


@pytest.mark.slow
def test_a_script_without_a_guard_that_defines_nothing_is_not_read_by_workers(tmp_path):
    lines, errors = output(tmp_path, SUITE + CALL)
    assert errors == []
    assert lines == ["script", "['done', 'done', 'done']"]


@pytest.mark.slow
def test_a_script_without_a_guard_that_defines_a_component_is_told_in_one_line(tmp_path):
    lines, errors = output(tmp_path, SUITE + OWN + CALL)
    assert errors[-1].startswith("xai_bench.errors.InputError: workers read the script")
    assert "if __name__ == '__main__':" in errors[-1]
    assert sum("Traceback" in line for line in errors) == 1, "in the parent alone"
    assert lines == ["script", "script"]
    lines, errors = output(tmp_path, SUITE + OWN + GUARDED)
    assert errors == []
    assert lines[-1] == "['done', 'done', 'done', 'done']", "what the first call has not stored"


def test_a_component_without_a_class_statement_is_told_in_one_line(plugin_registry, tmp_path):
    (tmp_path / "made.py").write_text(
        "from xai_bench import Explainer, register\n"
        "register(type('Made', (Explainer,), dict(name='made', needs='data', relevance=lambda self, p: [0.0] * p.d)))\n"
    )
    registry.load_plugin(tmp_path / "made.py")
    suite = {"name": "s", "data_seeds": [0], "datasets": [{"name": "xor", "n": 40, "d": 3}],
             "explainers": [{"name": "made"}]}  # fmt: skip
    with pytest.raises(
        InputError, match=r"^'made' cannot be sent to worker processes \(.*\): write its class"
    ) as raised:
        run(suite, out=tmp_path, jobs=1)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(InputError, match="cannot be sent"):
        needs_script(reading.from_dict(suite))
