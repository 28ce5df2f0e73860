"""What components, signals and ends of processes do to a run: each harms itself only, and is said."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import tasks
from tests.test_cli import call
from xai_bench import cli, registry, run
from xai_bench.errors import reason_of
from xai_bench.running import forks, loop, process, state
from xai_bench.workers import Died, Done, Item, OverTime, Raised, ThisProcess, Workers

ROOT = Path(__file__).parents[1]
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
ONE = {
    "name": "one",
    "data_seeds": [0],
    "datasets": [{"name": "xor", "n": 100, "d": 6}],
    "explainers": [{"name": "f_test"}],
}
NET = {"name": "mlp", "hidden": [4], "epochs": 0.1, "min_steps": 5, "checkpoints": 1}


@pytest.fixture
def plugin(tmp_path, plugin_registry):
    """Makes the components of a text known."""

    def load(text):
        path = tmp_path / "plugin.py"
        path.write_text(text)
        return registry.load_plugin(path)

    return load


# Forks, and ends of processes.


@POSIX
def test_the_child_of_a_fork_ends_at_once_and_the_fork_is_a_failure():
    read, write = os.pipe()
    with pytest.raises(forks.Forked, match=r"os\.fork"), state.guarded():
        exec("import os\nchild = os.fork()\nos.write(end, b'x')", {"end": write})
    os.close(write)
    assert os.read(read, 10) == b"x", "one process went on"
    os.close(read)


@POSIX
def test_python_itself_may_fork():
    with state.guarded():
        child = multiprocessing.get_context("fork").Process(target=os._exit, args=(7,))
        child.start()
        child.join(60)
        subprocess.run([sys.executable, "-c", ""], preexec_fn=os.getpid, check=True)
    assert child.exitcode == 7


FORKS = (Path(__file__).parent / "cases" / "forks.py").read_text()


@POSIX
def test_an_explainer_that_forks_is_a_failed_cell_and_its_neighbours_are_done(tmp_path, plugin):
    plugin(FORKS)
    suite = {**ONE, "datasets": [{"name": "diabetes"}], "explainers": [{"name": "forks"}, {"name": "f_test"}]}
    cells = run(suite, out=tmp_path).cells.set_index("explainer")
    assert cells["status"].to_dict() == {"random": "done", "oracle": "unsupported", "forks": "failed", "f_test": "done"}
    assert cells.loc["forks", "reason"].startswith("Forked: the component called os.fork()")


@POSIX
def test_a_child_that_comes_back_answers_nothing():
    with Workers(1, None, tasks.nothing) as workers:
        for task in (1, 2):
            workers.submit(task, tasks.doubled)
            events = []
            while Done(task) not in events:
                events += workers.wait()
            assert events == [Item(task, "one"), Done(task)]


@POSIX
def test_a_worker_that_died_is_noticed_although_a_child_of_it_goes_on():
    with Workers(1, None, tasks.nothing) as workers:
        workers.submit(1, tasks.dies_with_child)
        assert workers.wait() == [Died(1, 5)]


@pytest.mark.parametrize("executor", [ThisProcess, lambda: Workers(1, None, tasks.nothing)])
def test_sys_exit_in_a_task_is_named(executor):
    workers = executor()
    workers.submit(1, tasks.ends)
    events = []
    while not events or isinstance(events[-1], Item):
        events += workers.wait()
    if isinstance(workers, Workers):
        workers.__exit__(None)
    (raised,) = (event for event in events if isinstance(event, Raised))
    assert raised.reason.startswith("it called sys.exit(3) (tasks.py:")


def test_a_worker_that_cannot_be_set_up_says_why():
    workers = Workers(1, None, tasks.cannot_start)
    for task in (1, 2):
        workers.submit(task, tasks.ends)
        (raised,) = workers.wait()
        assert raised.reason.startswith("a worker could not be set up: ValueError: no luck (tasks.py:")
    workers.__exit__(None)


@pytest.mark.parametrize(("code", "text"), [(3, "3"), (None, ""), ("no\nluck", "no")])
def test_sys_exit_has_words(code, text):
    with pytest.raises(SystemExit) as ended:
        sys.exit(code)
    assert reason_of(ended.value).startswith(f"it called sys.exit({text}) (test_faults.py:")


@pytest.mark.parametrize("action", ["import sys\nsys.exit(3)", "raise SystemExit(3)", "exit(3)"])
def test_a_plugin_that_ends_the_process_is_an_error_of_the_plugin(action, tmp_path, capsys, plugin_registry):
    (tmp_path / "ends.py").write_text(action)
    code, _, err = call("list", "--plugin", tmp_path / "ends.py", capsys=capsys)
    assert code == 2
    assert err.startswith("xai-bench: the plugin 'ends.py' failed: it called sys.exit(3) (ends.py:")
    assert len(err.splitlines()) == 1


def test_a_cell_without_a_result_is_a_failure(tmp_path, monkeypatch):
    computed = loop.run_block

    def losing(*arguments):
        yield from list(computed(*arguments))[:-1]

    monkeypatch.setattr(loop, "run_block", losing)
    cells = run(ONE, out=tmp_path).cells
    assert list(cells["status"]) == ["done", "done", "failed"]
    assert "without a result of this cell" in cells["reason"].iloc[-1]


def test_what_was_not_run_ends_with_exit_code_1(tmp_path, monkeypatch, capsys):
    (tmp_path / "one.toml").write_text(
        'data_seeds = [0]\ndatasets = [{name = "xor", n = 100, d = 6}]\nexplainers = [{name = "f_test"}]\n'
    )
    monkeypatch.setattr(loop.Loop, "run", lambda self, *_: None)
    code, out, err = call("run", tmp_path / "one.toml", "--out", tmp_path, capsys=capsys)
    assert code == 1
    assert "3 not run" in out
    assert "failed: 3 cells that were to be computed have no result" in err


# Limits of time.


def test_everything_that_a_worker_does_has_a_limit():
    with Workers(1, None, tasks.nothing, others=0.2) as workers:
        workers.submit(1, tasks.says_nothing)
        assert workers.wait() == [OverTime(1, 0.2)]


OVER = """
import signal
import numpy as np
from xai_bench import DataSource, Explainer, GroundTruth, Table, register

def over():
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.raise_signal(signal.SIGALRM)  # as if the time were over

loaded, warmed = [], []

@register
class Slow(DataSource):
    name = "slow_draw"
    def draw(self, rng):
        loaded.append(1)
        over()
        return Table(rng.normal(size=(90, 2)), np.arange(90) % 2, "classification", GroundTruth(("relevant", "noise")))

@register
class Cold(Explainer):
    name = "cold"
    needs = "data"
    def relevance(self, problem):
        if problem.d == 4:
            warmed.append(1)
            over()
        return problem.X_train.var(0)
"""


def test_loading_has_a_limit_and_is_tried_once(tmp_path, plugin):
    module = sys.modules[plugin(OVER).module]
    nets = [NET, {**NET, "label": "other"}]
    suite = {**ONE, "datasets": [{"name": "slow_draw"}, *ONE["datasets"]], "models": nets, "limits": {"seconds": 9}}
    suite["explainers"] = [{"name": "saliency"}]
    cells = run(suite, out=tmp_path).cells
    late = cells[cells["dataset"] == "slow_draw"]
    assert set(late["status"]) == {"failed"}
    assert set(late["reason"]) == {"over the limit of 69 s, loading"}
    assert module.loaded == [1]
    assert set(cells.loc[cells["dataset"] == "xor", "status"]) == {"done"}


def test_a_warm_up_that_hangs_is_paid_once(tmp_path, plugin, monkeypatch):
    class Forgetful(set):
        def __contains__(self, item):
            return False

    module = sys.modules[plugin(OVER).module]
    monkeypatch.setattr(process, "_warm", Forgetful())
    notices = []
    suite = {**ONE, "data_seeds": [0, 1], "explainers": [{"name": "cold"}], "limits": {"seconds": 9}}
    cells = run(suite, out=tmp_path, on_progress=lambda p: notices.extend(p.notices)).cells
    assert set(cells["status"]) == {"done"}
    assert module.warmed == [1]
    assert "cold was over the limit of 69 s while it warmed up: it goes on without" in notices


def test_workers_have_limits_that_no_suite_has_to_set():
    from xai_bench.suites.suite import Limits

    kept = Limits().kept(2)
    assert (kept.seconds, kept.training) == (600, 21600)
    assert Limits(seconds=5).kept(2).seconds == 5
    assert Limits().kept(None).seconds is None


# Signals.


@POSIX
def test_sigterm_stops_as_ctrl_c_does(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", lambda **_: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # In the background it would be ignored.
    try:
        assert call("run", "quick", capsys=capsys)[0] == 130
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.setattr(cli, "app", lambda **_: signal.raise_signal(signal.SIGTERM))
    code, _, err = call("run", "quick", capsys=capsys)
    assert code == 143
    assert err == "stopped: what was finished is stored; run the same command again to continue\n"


PARENT = """
import os, signal, sys
from tests import tasks
from xai_bench.workers import Workers

if __name__ == "__main__":
    with Workers(1, None, tasks.nothing) as workers:
        workers.submit(1, tasks.hangs, sys.argv[1])
        workers.wait()
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        workers.wait()
"""


def lives(number: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("sign", ["SIGKILL", "SIGTERM"])
def test_a_hanging_worker_and_its_children_end_with_the_run(sign, tmp_path):
    pids, script = tmp_path / "pids", tmp_path / "parent.py"
    script.write_text(PARENT)
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    ended = subprocess.run([sys.executable, script, pids, sign], timeout=300, check=False, env=found)
    assert ended.returncode == -getattr(signal, sign)
    numbers = [int(text) for text in pids.read_text().split()]
    until = time.monotonic() + 120
    while any(map(lives, numbers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [number for number in numbers if lives(number)]


@POSIX
def test_children_of_a_killed_worker_end(tmp_path):
    with Workers(1, 0.2, tasks.nothing) as workers:
        workers.submit(1, tasks.hangs, str(tmp_path / "pids"))
        while not any(isinstance(event, OverTime) for event in workers.wait()):
            pass
    until = time.monotonic() + 120
    numbers = [int(text) for text in (tmp_path / "pids").read_text().split()]
    while any(map(lives, numbers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [number for number in numbers if lives(number)]


# A full disk.


def test_a_full_disk_is_one_line_and_exit_code_2(monkeypatch, capsys):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device", "reports/quick/index.html")

    monkeypatch.setattr(cli, "app", full)
    code, _, err = call("run", "quick", capsys=capsys)
    assert code == 2
    assert err.startswith("xai-bench: cannot write 'reports/quick/index.html': No space left on device: make room")
    assert len(err.splitlines()) == 1
