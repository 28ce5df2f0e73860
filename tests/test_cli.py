"""The command line: exit codes, one line for every mistake, nothing heavy imported too early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from xai_bench import cli, pack, read, run
from xai_bench.commands import display
from xai_bench.commands.run import summary
from xai_bench.errors import InputError
from xai_bench.running import loop
from xai_bench.running.request import Asked, Request
from xai_bench.running.under_way import Progress

TINY = """
name = "tiny"
data_seeds = [0]
[[datasets]]
name = "gaussian_correlated"
n = 300
[[models]]
name = "spectral_mlp"
hidden = [8]
epochs = 0.1
min_steps = 30
[[explainers]]
name = "spectral"
[[explainers]]
name = "mutual_information"
"""
ROWS = "".join(f"{i},{i % 7},{i % 2}\n" for i in range(60))


def call(*arguments: object, capsys) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, stdout, stderr."""
    old, sys.argv = sys.argv, ["xai-bench", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    finally:
        sys.argv = old
    captured = capsys.readouterr()
    code = stopped.value.code
    return 0 if code is None else int(code), captured.out, captured.err


@pytest.fixture
def in_process(monkeypatch):
    """Runs compute in this process, whatever ``--jobs`` says: a worker takes five seconds of a processor to start."""
    chosen = loop.executor
    monkeypatch.setattr(loop, "executor", lambda jobs, *rest: chosen(None, *rest))


def test_run_report_export(tmp_path, capsys, in_process):
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY)
    code, out, err = call("run", suite, "--out", tmp_path, "--jobs", 1, capsys=capsys)
    assert "forecast: not known yet" in err
    assert " more, by what was measured so far" in err
    page = tmp_path / "reports" / "tiny" / "index.html"
    assert code == 0
    assert "6 cells: 6 done" in out
    assert str(page) in out
    written = page.read_text(encoding="utf-8")
    assert "gaussian_correlated" in written
    assert str(tmp_path) not in written
    page.unlink()
    code, _, _ = call("report", tmp_path / "runs" / "tiny", capsys=capsys)
    assert code == 0
    assert page.read_text(encoding="utf-8") == written
    code, _, err = call("report", tmp_path / "runs" / "tiny", "--focus", "spectrl", capsys=capsys)
    assert code == 2
    assert "did you mean spectral" in err
    code, out, _ = call("export", tmp_path / "runs" / "tiny", "--format", "csv", capsys=capsys)
    assert code == 0
    assert out.startswith("dataset,model,explainer")
    target = tmp_path / "t.csv"
    assert call("export", tmp_path / "runs" / "tiny", "--out", target, capsys=capsys)[0] == 0
    assert target.read_text(encoding="utf-8") == out


def test_a_run_leaves_the_report_of_a_pack_alone(tmp_path, capsys):
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY)
    run(suite, out=tmp_path)
    committed = pack(tmp_path, tmp_path / "reports" / "tiny" / "tiny.xaipack").parent
    (committed / "index.html").write_text("the report of the pack")
    own = tmp_path / "runs" / "tiny" / "report" / "index.html"
    for command in (("run", suite, "--out", tmp_path), ("report", tmp_path / "runs" / "tiny")):
        _, out, _ = call(*command, "--jobs", 1, capsys=capsys)
        assert out.splitlines()[-1] == f"report: {own}"
        own.unlink()
    assert (committed / "index.html").read_text() == "the report of the pack"
    assert len(list(committed.iterdir())) == 2


def test_a_dry_run_says_what_a_run_would_take(tmp_path, capsys):
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY + "[limits]\nseconds = 60\n")
    code, out, _ = call("run", suite, "--out", tmp_path / "out", "--jobs", 1, "--dry-run", capsys=capsys)
    assert code == 0
    assert "plan: 6 cells to compute (0 are stored), 2 blocks, 1 training, settling of 1 network\n" in out
    assert "forecast: not known yet: nothing was measured here of " in out
    assert "at most 2 minutes, by [limits]" in out
    assert not (tmp_path / "out").exists()


def test_a_run_is_narrowed_to_models(tmp_path, capsys):
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY + '[[models]]\nname = "mlp"\nhidden = [8]\n')
    plans = {}
    for models in ("mlp", "spectral_mlp,mlp", None):
        named = ("--models", models) if models else ()
        code, out, _ = call("run", suite, *named, "--out", tmp_path, "--dry-run", capsys=capsys)
        assert code == 0
        plans[models] = out.splitlines()[0]
    assert plans["mlp"] == "plan: 3 cells to compute (0 are stored), 1 block, 1 training, settling of 1 network"
    both = "trainings, settling of 2 networks"
    assert plans["spectral_mlp,mlp"] == f"plan: 6 cells to compute (0 are stored), 2 blocks, 2 {both}"
    assert plans[None] == f"plan: 9 cells to compute (0 are stored), 3 blocks, 2 {both}"
    code, _, err = call("run", suite, "--models", "mpl", "--out", tmp_path, "--dry-run", capsys=capsys)
    assert code == 2
    assert "did you mean mlp" in err
    assert len(err.splitlines()) == 1


def test_a_focus_is_a_name_of_the_suite(tmp_path, capsys):
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY)
    code, _, err = call("run", suite, "--focus", "spectrl", "--out", tmp_path, "--dry-run", capsys=capsys)
    assert code == 2
    assert "did you mean spectral" in err
    assert len(err.splitlines()) == 1
    assert Asked.of(Request(str(suite), out=tmp_path, focus="spectral")).suite.config()["focus"] == "spectral"


def csv_suite(tmp_path: Path, content: str | None, *lines: str) -> Path:
    table = tmp_path / "table.csv"
    if content is not None:
        table.write_text(content)
    fields = "\n".join(lines or ('target = "y"', 'kind = "classification"'))
    text = TINY.replace('name = "gaussian_correlated"\nn = 300', f'name = "csv:{table}"\n{fields}')
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("content", "lines", "message"),
    [
        (None, (), "table.csv"),
        ("", (), "empty"),
        ("a,b,z\n" + ROWS, (), "'y'"),
        ("Patients\na,b,y\n" + ROWS, (), "line 2 looks like the header"),
        (ROWS, (), "what looks like values"),
        ("a,b,y\n" + "".join(f"{i},{i % 7},1\n" for i in range(60)), (), "one class"),
        ("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(60)), (), "at least 2"),
        ("a,b,y\n1,2,0\n2,3,1\n", (), "20 rows"),
        ("a,b,y\n" + ROWS, ('target = "y"', 'kind = "classify"'), "classification"),
        ("a,b,y\n" + ROWS, ('kind = "classification"',), "target"),
    ],
)
def test_a_bad_table_is_one_line_and_exit_code_2(tmp_path, capsys, content, lines, message):
    suite = csv_suite(tmp_path, content, *lines)
    code, _, err = call("run", suite, "--out", tmp_path / "out", "--jobs", 1, capsys=capsys)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_good_table_runs(tmp_path, capsys, in_process):
    suite = csv_suite(tmp_path, "a,b,y\n" + ROWS)
    assert call("run", suite, "--out", tmp_path, "--jobs", 1, capsys=capsys)[0] == 0
    assert str(tmp_path) not in (tmp_path / "reports" / "tiny" / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "quik"), "did you mean quick"),
        (("run", "absent.toml"), "cannot read"),
        (("run", "quick", "--datasets", "digit"), "did you mean digits"),
        (("run", "quick", "--explainers", "shapdeep"), "did you mean shap_deep"),
        (("run", "quick", "--jobs", "0"), "at least 1"),
        (("run", "quick", "--jobs", "two"), "two"),
        (("run", "quick", "--data-seeds", "0"), "at least 1"),
        (("run", "quick", "--known", "nowhere"), "no results in 'nowhere'"),
        (("run", "quick", "--plugin", "absent.py"), "cannot read the plugin"),
        (("run", "quick", "--seeds", "3"), "--seeds"),
        (("run",), "SUITE"),
        (("report", "nowhere"), "no results"),
        (("export", "nowhere"), "no results"),
        (("list", "explainer"), "did you mean explainers"),
        (("check", "sailency"), "did you mean saliency"),
        (("check", "captum"), "captum needs a class: write captum:CLASS, such as captum:Saliency"),
        (("check", "shap"), "shap needs a class: write shap:CLASS, such as shap:KernelExplainer"),
        (("data", "fetch", "cifar"), "unknown dataset"),
        (("rum", "quick"), "rum"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*arguments, capsys=capsys)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1, err
    assert out == ""
    assert not list(tmp_path.glob("runs/*/results.sqlite")), "nothing is stored for a mistake"


def test_a_run_does_not_begin_inside_the_results_of_another(tmp_path, capsys):
    """`--out runs/quick` would begin anew in runs/quick/runs/quick."""
    results = tmp_path / "runs" / "quick"
    results.mkdir(parents=True)
    (results / "results.sqlite").write_bytes(b"")
    code, _, line = call("run", "quick", "--out", results, capsys=capsys)
    assert code == 2
    assert f"to go on with it, give {str(tmp_path)!r}" in line
    assert len(line.strip().splitlines()) == 1
    assert not (results / "runs").exists()


def test_unwritable_output(tmp_path, capsys):
    blocker = tmp_path / "file"
    blocker.write_text("")
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY)
    code, _, err = call("run", suite, "--out", blocker, capsys=capsys)
    assert code == 2
    assert "cannot write" in err
    assert len(err.strip().splitlines()) == 1


def test_truncated_images(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(b"\0\0\x08\x03\0\0\0\x05")
    monkeypatch.setenv("XAI_BENCH_DATA", str(tmp_path))
    suite = tmp_path / "m.toml"
    suite.write_text(TINY.replace('name = "gaussian_correlated"\nn = 300', 'name = "mnist_01"'))
    code, _, err = call("run", suite, "--out", tmp_path, capsys=capsys)
    assert code == 2
    assert "idx" in err
    assert len(err.strip().splitlines()) == 1


def test_failed_cells_are_listed_and_exit_code_1(tmp_path, capsys, plugin_registry, in_process):
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "from xai_bench import Explainer, register\n@register\nclass Broken(Explainer):\n    name = 'broken'\n"
        "    needs = 'data'\n    def relevance(self, problem):\n        raise RuntimeError('on purpose')\n"
    )
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY + '[[explainers]]\nname = "broken"\n')
    code, out, err = call("run", suite, "--out", tmp_path, "--jobs", 1, "--plugin", plugin, capsys=capsys)
    assert code == 1
    assert "1 failed" in out
    assert "broken" in err
    assert "on purpose" in err
    assert "on purpose" in (tmp_path / "reports" / "tiny" / "index.html").read_text(encoding="utf-8")


def test_list(capsys):
    code, out, _ = call("list", "--json", capsys=capsys)
    listed = json.loads(out)
    assert code == 0
    assert {"quick"} <= {row["name"] for row in listed["suites"]}
    assert {"spectral", "lrp", "shap_deep"} <= {row["name"] for row in listed["explainers"]}
    assert all(row["summary"] for rows in listed.values() for row in rows)
    assert {"name": "monk1", "family": "monk", "traits": "interacting"}.items() <= {
        key: value for row in listed["datasets"] if row["name"] == "monk1" for key, value in row.items()
    }.items()
    text = call("list", "datasets", capsys=capsys)[1]
    assert text.startswith("datasets:")
    assert any(line.split()[0] == "monk1" and line.endswith("[interacting]") for line in text.splitlines())
    assert call("data", "list", capsys=capsys)[0] == 0


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"]])
def test_nothing_heavy_is_imported_before_it_is_used(arguments):
    code = (
        "import sys; from xai_bench import cli; sys.argv = ['xai-bench', *sys.argv[1:]]\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'captum', 'shap', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'seaborn', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def something_is_done(folder: Path) -> bool:
    try:
        return "done" in set(read(folder).cells["status"])
    except InputError:  # nothing is stored yet
        return False


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(tmp_path, capsys):
    suite = tmp_path / "tiny.toml"
    suite.write_text(TINY.replace("data_seeds = [0]", f"data_seeds = {list(range(150))}"))
    command = [sys.executable, "-m", "xai_bench.cli", "run", str(suite), "--out", str(tmp_path), "--jobs", "1"]
    # Where the tests run in the background, their children would ignore the signal.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    store = tmp_path / "runs" / "tiny" / "results.sqlite"
    until = time.monotonic() + 60
    while time.monotonic() < until and not something_is_done(store.parent):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in err
    assert "Traceback" not in err
    cells = read(store.parent).cells
    assert {"done", "missing"} <= set(cells["status"])
    code, out, _ = call("run", suite, "--out", tmp_path, "--jobs", 1, "--data-seeds", 1, capsys=capsys)
    assert code == 0
    assert "tiny: 900 cells: " in out, "a part leaves the plan whole"
    cells = read(store.parent).cells
    assert set(cells.loc[cells["data_seed"] == 0, "status"]) == {"done"}


def test_quiet_says_nothing_and_verbose_every_step(in_process, tmp_path, capsys):
    suite = tmp_path / "few.toml"
    methods = 'explainers = [{name = "f_test"}, {name = "mrmr", max_inputs = 1}]\n'
    suite.write_text(f'name = "few"\ndata_seeds = [0]\ndatasets = [{{name = "xor", n = 40, d = 3}}]\n{methods}')
    assert call("run", suite, "--out", tmp_path, "-q", capsys=capsys) == (0, "", "")
    code, out, err = call("run", suite, "--out", tmp_path, "--fresh", "--verbose", capsys=capsys)
    assert code == 0
    assert err.splitlines()[1:] == ["xor: 4 of 4 cells"]
    assert "unsupported: mrmr: 3 inputs are above max_inputs = 1 (1 cell)\n" in out
    code, _, err = call("run", suite, "-q", "-v", capsys=capsys)
    assert (code, err) == (2, "xai-bench: expected --quiet or --verbose, got both: leave one out\n")


def test_what_goes_on_is_said_on_a_terminal_and_nowhere_else(monkeypatch, capsys):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with display.status("loading"):
        pass
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # A terminal, says rich.
    with display.status("loading", quiet=True):
        pass
    assert capsys.readouterr() == ("", "")
    for shown, text in ((display.status("loading"), "loading"), (display.Display(), "starting the workers")):
        with shown:
            pass
        assert text in capsys.readouterr().err


def test_failures_are_listed_whole_or_in_part(by_hand, capsys):
    lost = Progress(total=0, followup_failures=[f"failure {i}" for i in range(30)])
    for verbose, expected in ((False, 21), (True, 30)):
        assert summary(by_hand, lost, quiet=True, verbose=verbose) == 1
        out, err = capsys.readouterr()
        known = len([line for line in err.splitlines() if line.startswith("failed: ")])
        assert known >= expected
        assert ("more, see the report" in err) != verbose
        assert out.startswith("unsupported") or not out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("xai-bench ru", "run"),
        ("xai-bench run standard_p", "standard_plus"),
        ("xai-bench run quick --explainers lrp,sali", "lrp,saliency"),
        ("xai-bench list explai", "explainers"),
    ],
)
def test_a_shell_completes_names(typed, offered, monkeypatch, capsys):
    monkeypatch.setenv("_XAI_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert offered in call(capsys=capsys)[1].split()
