"""Cells that take too long, take too much, or end their process: each ends alone, and costs the others nothing."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.test_run import assert_same
from xai_bench import read, run
from xai_bench.running.process import limits_memory
from xai_bench.suites import plan, reading

PLUGIN = """
import multiprocessing, os, signal, threading
import numpy as np
from xai_bench import DataSource, Explainer, register

@register
class Deadly(DataSource):
    name = "deadly"
    def draw(self, rng):
        os._exit(3)

@register
class Sleeps(Explainer):
    name = "sleeps"
    needs = "data"
    seconds: float = 60.0
    def relevance(self, problem):
        if problem.d > 4:  # not while warming up
            if multiprocessing.parent_process():  # the other process has the clock
                threading.Event().wait(self.seconds)
            elif 0 < signal.getitimer(signal.ITIMER_REAL)[0] < self.seconds:
                signal.raise_signal(signal.SIGALRM)  # as if the time were over
        return problem.X_train.var(0)

@register
class Dies(Explainer):
    name = "dies"
    def relevance(self, problem):
        os._exit(9)

@register
class Grows(Explainer):
    name = "grows"
    needs = "data"
    def relevance(self, problem):
        return np.ones((300 << 20) // 8)[: problem.d]

@register
class Told(Explainer):
    name = "told"
    needs = "data"
    def relevance(self, problem):
        return np.full(problem.d, float(problem.memory or 0))
"""
OTHERS = [{"name": "spectral"}, {"name": "saliency"}, {"name": "mutual_information"}]


@pytest.fixture
def small(tiny, tmp_path, plugin_registry):
    """One dataset, one network; the plugin above is known."""
    path = tmp_path / "limits.py"
    path.write_text(PLUGIN)
    plugin_registry.load_plugin(path)
    return {**tiny, "data_seeds": [0], "datasets": tiny["datasets"][:1], "models": tiny["models"][:1]}


@pytest.fixture
def without(small, tmp_path):
    """What the other explainers find when they are alone."""
    return run({**small, "explainers": OTHERS}, out=tmp_path / "without")


def others(results):
    """The results of the other explainers only."""
    names = {entry["name"] for entry in OTHERS} | {"random", "oracle"}
    wanted = results._plan["explainer"].isin(names) & (results._plan["dataset"] != "deadly")
    kept = results._plan[wanted].reset_index(drop=True)
    relevance = {key: values for key, values in results.relevance.items() if key in set(kept["cell"])}
    return replace(results, _plan=kept, relevance=relevance)


def test_in_workers_each_cell_ends_alone(small, without, tmp_path):
    small["explainers"] = [{"name": "sleeps"}, OTHERS[0], {"name": "dies"}, *OTHERS[1:]]
    small["datasets"] = [{"name": "deadly"}, *small["datasets"]]
    results = run({**small, "limits": {"seconds": 5}}, out=tmp_path, jobs=2)
    cells = results.cells
    dead = cells[cells["dataset"] == "deadly"]
    assert set(dead["status"]) == {"failed"}
    assert set(dead["reason"]) == {"the worker died, exit code 3, loading"}
    ended = cells[cells["dataset"] != "deadly"].set_index("explainer").loc[["sleeps", "dies"]]
    assert list(ended["status"]) == ["timed_out", "failed"]
    assert list(ended["reason"]) == ["over the limit of 5 s", "the worker died, exit code 9"]
    assert ended.loc["sleeps", "explain_wall"] == 5
    assert_same(others(results), without)


def test_in_this_process_the_limit_is_soft(small, without, tmp_path):
    small["explainers"] = [{"name": "sleeps"}, *OTHERS]
    results = run({**small, "limits": {"seconds": 3}}, out=tmp_path)
    assert list(results.cells.query("explainer == 'sleeps'")["status"]) == ["timed_out"]
    assert_same(others(results), without)


def test_a_higher_limit_tries_again_and_a_lower_one_does_not(small, tmp_path):
    small["explainers"] = [{"name": "sleeps", "seconds": 0.6}]

    def again(seconds):
        progress = []
        limits = {"limits": {"seconds": seconds}} if seconds else {}
        cells = run({**small, **limits}, out=tmp_path, on_progress=lambda p: progress.append(p.total)).cells
        return list(cells.query("explainer == 'sleeps'")["status"]), max(progress, default=0)

    assert again(0.2) == (["timed_out"], 3)
    assert again(0.2) == (["timed_out"], 0)
    assert again(0.1) == (["timed_out"], 0)
    assert again(None) == (["done"], 1)
    assert again(0.1) == (["done"], 0), "what is done is done"


def test_keys_do_not_depend_on_limits(tiny):
    def keys(**change):
        return [cell.key for block in plan.blocks(reading.from_dict({**tiny, **change})) for cell in block.cells]

    assert keys() == keys(limits={"seconds": 1, "memory": "1GiB"})


@pytest.mark.skipif(not limits_memory(), reason="the limit of memory needs Linux")
def test_too_much_memory_is_a_failure_with_a_reason(small, tmp_path):
    small["explainers"] = [{"name": "grows"}, {"name": "mutual_information"}]
    cells = run({**small, "limits": {"memory": "64MiB"}}, out=tmp_path).cells.set_index("explainer")
    assert cells.loc["grows", "status"] == "failed"
    assert cells.loc["grows", "reason"].startswith("over the limit of 0.0625 GiB: ")
    assert cells.loc["mutual_information", "status"] == "done"
    assert list(run(small, out=tmp_path).cells["status"]) == ["done"] * len(cells)


@pytest.mark.parametrize(("memory", "expected"), [("1GiB", 2**30), (None, 0)])
def test_explainers_are_told_their_memory(memory, expected, small, tmp_path):
    limits = {"limits": {"memory": memory}} if memory else {}
    results = run({**small, "explainers": [{"name": "told"}], **limits}, out=tmp_path)
    (cell,) = results.cells.query("explainer == 'told'")["cell"]
    assert results.relevance[cell].max() == expected


def test_where_there_is_no_alarm_the_run_says_so(small, tmp_path):
    small["explainers"] = [{"name": "mutual_information"}]
    notices = []
    thread = threading.Thread(
        target=lambda: run(
            {**small, "limits": {"seconds": 60}}, out=tmp_path, on_progress=lambda p: notices.extend(p.notices)
        )
    )
    thread.start()
    thread.join()
    assert any("limit of time" in notice for notice in notices)
    assert set(read(tmp_path / "runs" / "tiny").cells["status"]) == {"done"}
