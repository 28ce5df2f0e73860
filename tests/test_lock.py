"""One process at a time writes into a folder; a fresh start removes what the program wrote, and nothing else."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests import stores
from tests.test_cli import call
from tests.test_store import BAD, another_meta, cut, earlier, empty, foreign, newer, nothing_in_it, scratched, words
from xai_bench import forecast, forget, read, run
from xai_bench.errors import InputError
from xai_bench.results import lock

SUITE = {
    "name": "hand",
    "data_seeds": [0],
    "datasets": [{"name": "xor", "n": 100, "d": 6}],
    "explainers": [{"name": "f_test"}],
}


@pytest.fixture
def folder(tmp_path):
    """The folder of a run, with a file of the user's own in it."""
    found = tmp_path / "runs" / "hand"
    found.mkdir(parents=True)
    (found / "notes.txt").write_text("mine")
    return found


def refused(action):
    with pytest.raises(InputError, match="is in use by process") as raised:
        action()
    line = str(raised.value)
    assert len(line.splitlines()) == 1
    return line


def test_who_comes_second_is_told_who_has_it(folder, tmp_path):
    with lock.held(folder):
        line = refused(lambda: run(SUITE, out=tmp_path))
        assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in line
        refused(lambda: run(SUITE, out=tmp_path, fresh=True))
        assert forecast(SUITE, out=tmp_path).cells == 3, "a forecast writes nothing"
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt"]
    assert set(run(SUITE, out=tmp_path).cells["status"]) == {"done"}
    with lock.held(folder):
        refused(lambda: forget(folder, explainers=["f_test"]))
        assert len(read(folder).cells) == 3, "whoever reads does not wait"


def test_a_lock_is_given_back_when_a_run_fails(folder, tmp_path):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(SUITE, out=tmp_path, on_progress=stop)
    assert not (folder / lock.FILE).exists()


DYING = """
import os, signal, sys
from pathlib import Path
from xai_bench.results import lock
with lock.held(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_the_lock_of_a_process_that_died_is_taken_over(folder, tmp_path):
    subprocess.run([sys.executable, "-c", DYING, folder], check=False)
    assert (folder / lock.FILE).exists()
    assert set(run(SUITE, out=tmp_path).cells["status"]) == {"done"}


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ({"pid": os.getpid(), "host": socket.gethostname(), "since": "today"}, False),
        ({"pid": 2**22 + 1, "host": socket.gethostname(), "since": "today"}, True),
        ({"pid": 10**30, "host": socket.gethostname(), "since": "today"}, True),
        ({"pid": -1, "host": socket.gethostname(), "since": "today"}, True),
        ({"pid": 1, "host": "elsewhere", "since": "today"}, False),
        ([], True),
        ("", True),
    ],
)
def test_where_the_disk_knows_no_locks_the_holder_counts(content, taken, folder, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    (folder / lock.FILE).write_text(json.dumps(content))
    if taken:
        with lock.held(folder):
            pass
        return
    with pytest.raises(InputError, match="since today"), lock.held(folder):
        pass


def hold(folder, begin, held, end):
    begin.wait()
    try:
        with lock.held(folder):
            held.put("held")
            end.wait()
    except InputError as error:
        held.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_of_four_that_begin_at_once_one_gets_it(tmp_path):
    context = multiprocessing.get_context("fork")
    for trial in range(5):
        begin, held, end = context.Barrier(4), context.Queue(), context.Event()
        both = [context.Process(target=hold, args=(tmp_path / str(trial), begin, held, end)) for _ in range(4)]
        for process in both:
            process.start()
        words = sorted(held.get(timeout=60) for _ in both)
        end.set()
        for process in both:
            process.join(60)
        assert words[-1] == "held" or words.count("held") == 1, words
        assert sum("is in use by" in word for word in words) == 3, words


# A fresh start.


def older(path):
    path.write_bytes(earlier(2, path.parent / "older").read_bytes())


def kept(folder):
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("spoil", [stores.build, older, newer, cut, scratched, empty, nothing_in_it])
def test_a_fresh_start_works_on_whatever_the_program_wrote(spoil, folder, tmp_path):
    spoil(folder / "results.sqlite")
    (folder / "results.sqlite-journal").write_bytes(b"")
    assert forecast(SUITE, out=tmp_path, fresh=True).cells == 3
    found = run(SUITE, out=tmp_path, fresh=True)
    assert list(found.cells["status"]) == ["done"] * 3
    assert len(found.provenance) == 1
    kept(folder)


def folder_there(path):
    path.mkdir()
    (path / "mine").touch()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(words, "not a store"), (foreign, "not a store"), (another_meta, "not a store"), (folder_there, "directory")],
)
def test_a_fresh_start_leaves_what_others_wrote(spoil, message, folder, tmp_path):
    path = folder / "results.sqlite"
    spoil(path)
    before = path.read_bytes() if path.is_file() else list(path.iterdir())
    with pytest.raises(InputError, match=message) as raised:
        run(SUITE, out=tmp_path, fresh=True)
    assert len(str(raised.value).splitlines()) == 1
    assert (path.read_bytes() if path.is_file() else list(path.iterdir())) == before
    kept(folder)


def test_a_newer_store_is_left_alone_without_fresh(folder, tmp_path, capsys):
    newer(folder / "results.sqlite")
    before = (folder / "results.sqlite").read_bytes()
    (tmp_path / "hand.toml").write_text('datasets = [{name = "xor"}]\nexplainers = [{name = "f_test"}]\n')
    code, _, err = call("run", tmp_path / "hand.toml", "--out", tmp_path, capsys=capsys)
    assert code == 2
    assert "upgrade xai-bench" in err
    assert (folder / "results.sqlite").read_bytes() == before
    assert len(BAD) == 6, "kinds of files that are no store: each is tried above"


@pytest.mark.parametrize("of", ["file", "folder"])
def test_a_symbolic_link_stays_and_leads_to_the_new_store(of, folder, tmp_path):
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    (elsewhere / "other.txt").write_text("not ours")
    stores.build(elsewhere / "results.sqlite")
    if of == "file":
        link = folder / "results.sqlite"
        link.symlink_to(elsewhere / "results.sqlite")
    else:
        (folder / "notes.txt").rename(elsewhere / "notes.txt")
        folder.rmdir()
        link = folder
        link.symlink_to(elsewhere, target_is_directory=True)
    assert list(run(SUITE, out=tmp_path, fresh=True).cells["status"]) == ["done"] * 3
    assert link.is_symlink()
    assert len(read(elsewhere / "results.sqlite").cells) == 3
    assert (elsewhere / "other.txt").read_text() == "not ours"
    kept(folder)


@pytest.mark.parametrize("target", ["nowhere/at/all", "results.sqlite"])
def test_a_link_that_leads_nowhere_is_one_line(target, folder, tmp_path):
    (folder / "results.sqlite").symlink_to(target)
    with pytest.raises(InputError) as raised:
        run(SUITE, out=tmp_path, fresh=True)
    assert len(str(raised.value).splitlines()) == 1


def test_a_run_does_not_follow_a_store_of_another_program(folder, tmp_path):
    foreign(folder / "results.sqlite")
    with pytest.raises(InputError, match="not a store"):
        run(SUITE, out=tmp_path)
    with sqlite3.connect(folder / "results.sqlite") as db:
        assert {row[0] for row in db.execute("SELECT name FROM sqlite_master")} == {"meta", "cheese"}
    assert not Path(folder / "results.sqlite-wal").exists()
