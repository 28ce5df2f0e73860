"""Runs that a notebook begins: what its cells define, and what it shows."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from xai_bench import run
from xai_bench.running.notebook import in_notebook, progress_bar
from xai_bench.running.under_way import Progress

SUITE = {
    "name": "s", "data_seeds": [0, 1], "datasets": [{"name": "xor", "n": 40, "d": 3}],
    "explainers": [{"name": "f_test"}],
}  # fmt: skip


@pytest.fixture
def kernel(monkeypatch):
    """IPython as a kernel of Jupyter has it."""
    config: dict = {"IPKernelApp": {}}
    shell = SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return config


def test_a_run_in_a_notebook_shows_a_bar(kernel, tmp_path, capsys):
    run(SUITE, out=tmp_path)
    out = capsys.readouterr().out
    assert "6/6" in out  # four controls, and the method on two draws
    assert "forecast: " in out


def test_elsewhere_it_shows_nothing(tmp_path, capsys):
    assert not in_notebook()
    run(SUITE, out=tmp_path)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_of_ipython_is_no_notebook(kernel):
    assert in_notebook()
    kernel.clear()
    assert not in_notebook()


def test_ones_own_callback_takes_the_place_of_the_bar(kernel, tmp_path, capsys):
    seen = []
    run(SUITE, out=tmp_path, on_progress=seen.append)
    assert seen
    assert capsys.readouterr().out == ""


def test_a_line_is_said_once_and_the_bar_moves(kernel, capsys):
    with progress_bar(None) as update:
        for done in (1, 2):
            update(Progress(4, done=done, followups=2, followed=done, notices=["a notice"], last="xor"))
    out = capsys.readouterr().out
    assert out.count("notice: a notice") == 1
    assert "2/6" in out
    assert "4/6" in out
