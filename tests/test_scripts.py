"""Runs that a script begins: what its workers read of it, and what cannot be sent to them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import ClassVar

import pytest

from xai_bench import Explainer, InputError, Metric, registry, run

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


def output(folder, text):
    (folder / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    found = subprocess.run([sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True)
    return found.stdout.splitlines(), found.stderr.splitlines()


METRIC = """
from xai_bench import Metric
WEIGHT = 0.25
def score(relevance, truth):
    return WEIGHT
register(Metric("weight", score, lambda truth: None, 0.0, 1.0, "Weight", reads="values", descriptive=True))
"""


@pytest.mark.slow
def test_workers_get_what_a_script_without_a_guard_defines_and_do_not_run_it(tmp_path):
    scored = "print(set(results.measurements.query('metric == \"weight\"')['value']))\n"
    lines, errors = output(tmp_path, SUITE + OWN + METRIC + CALL + scored)
    assert errors == []
    assert lines == ["script", "['done', 'done', 'done', 'done']", "{0.25}"]


class Local(Explainer):
    needs: ClassVar[str] = "data"

    def relevance(self, problem):
        return problem.X_train.var(0)


def registered_in_a_call(factor):
    @registry.register
    class Mine(Local):
        name: ClassVar[str] = "made_in_a_call"

        def relevance(self, problem):
            return super().relevance(problem) * factor

    return Mine


def suite_of(name):
    return {"name": "s", "data_seeds": [0], "datasets": [{"name": "xor", "n": 40, "d": 3}],
            "explainers": [{"name": name}]}  # fmt: skip


def test_a_component_that_a_call_made_is_sent_with_what_it_uses(plugin_registry, tmp_path):
    """Bits as in this process, in one worker after another."""
    registered_in_a_call(2.0)
    found = [run(suite_of("made_in_a_call"), out=tmp_path / str(jobs), jobs=jobs) for jobs in (None, 1)]
    assert [set(one.cells["status"]) for one in found] == [{"done"}, {"done"}]
    relevances = [{key: value.tobytes() for key, value in one.relevance.items()} for one in found]
    assert relevances[0] == relevances[1]


def test_what_holds_a_lock_is_told_in_one_line(plugin_registry, tmp_path):
    registered_in_a_call(threading.Lock())
    suite = suite_of("made_in_a_call")
    with pytest.raises(
        InputError, match=r"^'made_in_a_call' cannot be sent to worker processes \(.*lock.*\): let it use no"
    ) as raised:
        run(suite, out=tmp_path, jobs=1)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "runs").exists()


def test_metrics_that_hold_a_lock_are_told_in_one_line(plugin_registry, tmp_path):
    lock = threading.Lock()
    registry.register(Metric("locked", lambda relevance, truth: lock, lambda truth: None, 0.0, 1.0, "Locked"))
    with pytest.raises(InputError, match=r"^'locked' cannot be sent to worker processes \(.*lock.*\)"):
        registry.of_scripts("metrics")
