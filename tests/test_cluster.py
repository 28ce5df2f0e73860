"""Runs on a cluster of dask: a scheduler and two workers on this machine. What starts processes is slow."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.test_cli import call
from tests.test_faults import NET, ONE, lives
from tests.test_run import assert_same
from xai_bench import forecast, run
from xai_bench.errors import InputError
from xai_bench.results.records import CellResult
from xai_bench.running import cluster, loop, machine, vetting
from xai_bench.workers import Item, Lost, Started, ThisProcess

pytest.importorskip("distributed", reason="needs the extra dask")
LONGEST = 600.0
"""Seconds until something must have happened, however busy the machine is."""


def until(happened: Callable[[], bool], what: str) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + LONGEST
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[str]:
    """The address of a scheduler with two workers, which share no folder with the tests' own."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"

    def started(name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{name}",
            "--scheduler-file",
            str(file),
            "--no-dashboard",
        ]
        with (folder / f"{name}.log").open("a") as log:
            return subprocess.Popen([*command, *arguments], cwd=folder, stdout=log, stderr=log)

    processes = [started("scheduler", "--host", "127.0.0.1", "--port", "0")]
    until(lambda: file.is_file() and file.read_text().endswith("}"), "the scheduler does not start")
    local = ("--nthreads", "1", "--memory-limit", "0", "--local-directory", str(folder))
    processes += [started("worker", *local) for _ in range(2)]
    address = json.loads(file.read_text())["address"]
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=LONGEST)
    yield address
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        process.wait(60)


ONE_FILE = """name = "one"
data_seeds = [0]
datasets = [{ name = "xor", n = 100, d = 6 }]
explainers = [{ name = "f_test" }]
"""
HELPER = "def weight(X):\n    return X.var(0)\n"
PLUGIN = """
import os, pathlib, signal, threading
from helper import weight
from xai_bench import Explainer, register

@register
class Helped(Explainer):
    name = "helped"
    needs = "data"
    def relevance(self, problem):
        return weight(problem.X_train)

@register
class Kills(Explainer):
    name = "kills"
    needs = "data"
    flag: str = ""
    def relevance(self, problem):
        if problem.d > 4 and not pathlib.Path(self.flag).exists():  # not while warming up, and once
            pathlib.Path(self.flag).write_text(str(os.getpid()))
            os.kill(os.getppid(), signal.SIGKILL)
            threading.Event().wait()
        return weight(problem.X_train)

@register
class Sleeps(Explainer):
    name = "sleeps"
    needs = "data"
    flag: str = ""
    def relevance(self, problem):
        if problem.d > 4:
            if self.flag:
                pathlib.Path(self.flag).write_text(str(os.getpid()))
            threading.Event().wait()
        return weight(problem.X_train)
"""


@pytest.fixture
def plugin(tmp_path, plugin_registry) -> Path:
    """A plugin with a module of its own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "helper.py").write_text(HELPER)
    (folder / "mine.py").write_text(PLUGIN)
    plugin_registry.load_plugin(folder / "mine.py")
    return folder / "mine.py"


@pytest.mark.slow
def test_equal_bits_whoever_computes(scheduler, plugin, tmp_path, monkeypatch):
    """A network, a plugin with its module, a table under a path that the workers do not have, and retention."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    pd.DataFrame(X, columns=list("abc")).assign(y=(X[:, 0] > 0).astype(int)).to_csv("table.csv", index=False)
    suite = {
        **ONE,
        "datasets": [*ONE["datasets"], {"name": "csv:table.csv", "target": "y", "kind": "classification"}],
        "models": [NET],
        "explainers": [{"name": "f_test"}, {"name": "helped"}, {"name": "saliency"}],
        "retention": {"judge": {"epochs": 0.1, "min_steps": 5, "checkpoints": 1}},
    }
    seen = []
    found = run(suite, out="cluster", scheduler=scheduler, on_progress=seen.append)
    assert list(found.failed["reason"]) == []
    assert set(found.cells["status"]) <= {"done", "unsupported"}
    for jobs in (1, 2):
        assert_same(found, run(suite, out=f"jobs {jobs}", jobs=jobs))
    (record,) = found.provenance  # The workers are like this process: no other machine is recorded.
    assert (record["jobs"], record["cluster"], record["cells"]) == (2, True, len(found.cells))
    assert {"rest", "training", "retention"} <= record["spent"].keys()
    assert seen[-1].finished == seen[-1].total == len(found.cells)
    assert seen[-1].forecast.jobs == 2
    assert forecast(suite, out="cluster", scheduler=scheduler).cells == 0


@pytest.mark.slow
def test_a_lost_worker_costs_time_only_and_limits_are_kept(scheduler, plugin, tmp_path):
    suite = {**ONE, "limits": {"seconds": 5}, "explainers": [{"name": "f_test"}, {"name": "helped"}]}
    added = [{"name": "kills", "flag": str(tmp_path / "killed")}, {"name": "sleeps"}]
    alone = run(suite, out=tmp_path / "alone")
    found = run({**suite, "explainers": [*suite["explainers"], *added]}, out=tmp_path / "out", scheduler=scheduler)
    status = found.cells.set_index("explainer")["status"].drop(["random", "oracle"]).to_dict()
    assert status == {"f_test": "done", "helped": "done", "kills": "done", "sleeps": "timed_out"}
    assert "over the limit of 5 s" in found.failed["reason"].iloc[0]
    kept = found.relevance
    for key, values in alone.relevance.items():
        np.testing.assert_array_equal(values, kept[key])
    until(lambda: not lives(int((tmp_path / "killed").read_text())), "a process goes on without its worker")


@pytest.mark.slow
def test_ctrl_c_stops_the_workers_processes(scheduler, plugin, tmp_path):
    flag = tmp_path / "begun"
    suite = tmp_path / "one.toml"
    suite.write_text(ONE_FILE.replace('"f_test" }', f'"f_test" }}, {{ name = "sleeps", flag = "{flag}" }}'))
    command = [sys.executable, "-m", "xai_bench", "run", suite, "--plugin", plugin, "--scheduler", scheduler]
    with subprocess.Popen(
        [*map(str, command), "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # in the background it would be ignored
    ) as process:  # fmt: skip
        until(lambda: (flag.is_file() and flag.read_text() != "") or process.poll() is not None, "nothing begins")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("stopped: what was finished is stored")
    until(lambda: not lives(int(flag.read_text())), "a process goes on without the run")


# What goes wrong before anything is computed: one line, exit code 2.


@pytest.mark.parametrize(
    "address", ["", "8786", "127.0.0.1:8786", "http://127.0.0.1:8786", "tcp://nobody", "tcp://a b:1"]
)
def test_an_address_that_is_none_is_told(address, tmp_path):
    with pytest.raises(InputError, match="scheduler: expected an address such as tcp://HOST:8786"):
        run(ONE, out=tmp_path, scheduler=address)
    assert not list(tmp_path.rglob("*.sqlite"))


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT", 0.1)
    suite = tmp_path / "one.toml"
    suite.write_text(ONE_FILE)
    code, _, err = call("run", suite, "--out", tmp_path, "--scheduler", "tcp://127.0.0.1:9", capsys=capsys)
    assert code == 2
    assert err.strip().startswith("xai-bench: scheduler: nothing of dask answers at 'tcp://127.0.0.1:9'")
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.sqlite"))


def test_a_scheduler_without_workers_is_one_line(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "WORKERS", 0.1)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None, protocol="tcp", host="127.0.0.1") as local,
        pytest.raises(InputError, match=r"has no workers: start some \(`dask worker tcp://"),
    ):
        run(ONE, out=tmp_path, scheduler=local.scheduler_address)


def test_dask_that_is_not_installed_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'xai-bench\[dask\]'"):
        run(ONE, out=tmp_path, scheduler="tcp://127.0.0.1:9")


def test_jobs_and_a_scheduler_and_the_device_auto_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected jobs or a scheduler, got both"):
        run(ONE, out=tmp_path, scheduler="tcp://127.0.0.1:9", jobs=2)
    with pytest.raises(InputError, match="expected cpu or cuda with a scheduler"):
        run(ONE, out=tmp_path, scheduler="tcp://127.0.0.1:9", device="auto")


# Workers that are not like this process.


def asked(**changes: str) -> tuple[vetting.Expected, dict]:
    """What is expected of a worker, and what one says that is like this process but for ``changes`` of versions."""
    told = machine.told(["numpy"], "cpu")
    expected = vetting.Expected(told["code"], dict(told["installed"]), "cpu")
    recorded = {**told["recorded"], "versions": {**told["recorded"]["versions"], **changes}}
    return expected, {**told, "recorded": recorded}


def test_a_worker_like_this_process_is_used():
    expected, told = asked(torch=machine.versions(["torch"])["torch"].partition("+")[0] + "+other")
    model, notices = vetting.agreed({"a": vetting._judged(told, expected), "b": vetting._judged(told, expected)})
    assert notices == []
    assert vetting.fits(model, model) == ""


def test_workers_of_another_version_of_a_library_are_used_and_said():
    expected, told = asked(torch="1.0")
    _, notices = vetting.agreed({"a": vetting._judged(told, expected)})
    assert [line.partition(", this process")[0] for line in notices] == ["the workers have torch 1.0"]


def test_workers_that_differ_from_one_another_are_refused():
    (expected, told), (_, other) = asked(), asked(scipy="1.0")
    found = {"a": vetting._judged(told, expected), "b": vetting._judged(other, expected)}
    with pytest.raises(InputError, match=r"expected workers that are alike, got scipy .* at a and 1.0 at b"):
        vetting.agreed(found)
    assert vetting.fits(found["a"], found["b"]).startswith("it has scipy 1.0, and the others ")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (lambda told: {**told, "code": "other"}, "it has xai-bench .*, other code of the same version"),
        (lambda told: {**told, "installed": {"numpy": "unknown"}}, "it has numpy unknown, and this process"),
        (lambda told: "xai-bench is not installed there", "xai-bench is not installed there"),
        (lambda told: RuntimeError("device: expected\none that is there"), "device: expected one that is there"),
    ],
)
def test_a_worker_that_cannot_be_used_is_named(told, reason):
    expected, like = asked()
    with pytest.raises(InputError, match=f"the worker at tcp://a:1 cannot be used: {reason}") as error:
        vetting.agreed({"tcp://a:1": vetting._judged(told(like), expected)})
    assert len(str(error.value).splitlines()) == 1


def test_what_is_asked_of_a_worker_needs_no_package_there(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert vetting._told()({}, "cpu") == "xai-bench is not installed there"
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "xai_bench.running.machine", None)
    monkeypatch.delattr("xai_bench.running.machine")
    assert vetting._told()({}, "cpu") == "its xai-bench is another version"


# What the loop makes of lost workers.


class Losing(ThisProcess):
    """Loses the first tasks, behind the first thing that ``after`` is true of. Every task has a machine of its own."""

    def __init__(self, losses: int, after: Callable[[object], bool]) -> None:
        super().__init__()
        self.losses, self.after = losses, after
        self.submitted = 0

    def submit(self, task, function, *arguments):
        self.submitted += 1
        super().submit(task, function, *arguments)

    def wait(self):
        (task, *_), *_ = self._waiting
        there = {**machine.recorded(), "processor": f"number {self.submitted}"}
        events = [Item(task, cluster.Machine(there)), *super().wait()]
        if self.submitted > self.losses:
            return events
        last = next(i for i, event in enumerate(events) if isinstance(event, Item) and self.after(event.content))
        return [*events[: last + 1], Lost(task, "gone")]


@pytest.fixture
def losing(monkeypatch):
    """Runs lose their first workers."""

    def use(losses: int, after: Callable[[object], bool]) -> Losing:
        executor = Losing(losses, after)

        @contextmanager
        def chosen(*_):
            yield executor

        monkeypatch.setattr(loop, "executor", chosen)
        return executor

    return use


def test_what_was_finished_is_kept_and_the_rest_handed_out_again(losing, tmp_path):
    executor = losing(1, lambda content: isinstance(content, CellResult))
    found = run(ONE, out=tmp_path / "lost").cells.sort_values("cell")
    assert set(found["status"]) == {"done"}
    assert executor.submitted == 2
    machines = found.set_index("explainer")["machine"].map(lambda text: text.partition(",")[0]).to_dict()
    assert machines == {"random": "number 1", "oracle": "number 2", "f_test": "number 2"}


def test_costs_of_other_machines_are_kept_apart(losing, tmp_path):
    losing(0, bool)
    found = run(ONE, out=tmp_path)
    own, other = found.provenance
    assert other["part_of"] == own["started"]
    assert (other["processor"], other["cells"]) == ("number 1", 3)
    assert set(found.cells["run"]) == {1}


def test_a_network_is_known_to_be_of_the_machine_that_trained_it(losing, tmp_path):
    losing(0, bool)
    net = {"name": "mlp", "hidden": [4], "epochs": 0.1, "min_steps": 5, "checkpoints": 1}
    found = run({**ONE, "models": [net], "explainers": [{"name": "saliency"}]}, out=tmp_path)
    (facts,) = found.models.values()
    assert facts.trained_on["processor"].startswith("number ")
    (row,) = found.cells[found.cells["explainer"] == "saliency"].to_dict("records")
    assert row["trained_on"] == row["machine"]
    assert row["trained_on"].startswith("number ")


def test_a_cell_that_takes_its_workers_along_is_a_failure(losing, tmp_path):
    executor = losing(3, lambda content: isinstance(content, Started) and content.name != "" and not content.allowance)
    found = run(ONE, out=tmp_path).cells.set_index("explainer")
    assert found["status"].to_dict() == {"random": "done", "oracle": "done", "f_test": "failed"}
    assert found.loc["f_test", "reason"] == "its worker was lost 3 times (gone)"
    assert executor.submitted == 3
