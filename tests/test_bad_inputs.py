"""Bad input of every kind is one line and exit code 2: never a traceback, minutes of silence, or memory gone."""

from __future__ import annotations

import gzip
import resource
import struct
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.bad_inputs import PLAIN, TEXTS
from tests.test_cli import call
from xai_bench import registry
from xai_bench.commands import options
from xai_bench.datasets import mnist
from xai_bench.datasets.table import Table, checked
from xai_bench.errors import InputError, one_line
from xai_bench.explainers.base import checked_relevance
from xai_bench.suites import reading

SOME = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def assert_one_line(error: object) -> None:
    line = str(error)
    assert line
    assert len(line.splitlines()) == 1
    assert len(line) < 2500
    line.encode("utf-8")


def read(action):
    """What an action on input from outside comes to: a value, or the one line of an InputError."""
    try:
        return action()
    except InputError as error:
        assert_one_line(error)
        return error


@pytest.mark.parametrize("name", TEXTS)
def test_a_suite_that_cannot_be_run_is_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text(TEXTS[name], encoding="utf-8")
    begun = time.process_time()
    code, out, err = call("run", "bad.toml", "--dry-run", capsys=capsys)
    assert code == 2, out
    assert err.startswith("xai-bench: ")
    assert_one_line(err.rstrip("\n"))
    assert time.process_time() - begun < 20, "minutes of silence"
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]


def test_the_suite_that_they_are_made_of_is_good(tmp_path):
    (tmp_path / "good.toml").write_text(PLAIN)
    assert reading.load(tmp_path / "good.toml").name == "bad"
    assert len(TEXTS) >= 150


# Suites by chance.

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_subnormal=False)
    | st.text(max_size=20)
    | st.sampled_from([10**300, -(2**63), 2**63, "xor", "mlp", "saliency", "../x", "\ud800", "a\x00b", (), [], {}])
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
FIELDS = [*reading.KEYS - {"plugins"}]
GOOD = {"name": "good", "datasets": [{"name": "xor"}], "models": [{"name": "mlp"}], "explainers": [{"name": "lrp"}]}


@example(field="name", value={"\r": 10**12})
@given(field=st.sampled_from(FIELDS), value=VALUES)
@SOME
def test_any_value_of_any_field_of_a_suite(field, value):
    read(lambda: reading.from_dict({**GOOD, field: value}))


NAMES = ["n", "d", "label", "grid", "tune", "datasets", "optional", "hidden", "epochs", "rows", "name", "x"]


@given(axis=st.sampled_from(reading.AXES), fields=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3))
@SOME
def test_any_fields_of_any_component(axis, fields):
    read(lambda: reading.from_dict({**GOOD, axis: [{**GOOD[axis][0], **fields}]}))


@given(text=st.text(max_size=200))
@SOME
def test_any_text_as_a_suite(text, tmp_path):
    path = tmp_path / "any.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    read(lambda: reading.load(path))


# IDX files.


def idx(*shape: int, content: bytes = b"", kind: int = 8) -> bytes:
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


BAD_IDX = {
    "nothing": b"",
    "three bytes": b"\x00\x00\x08",
    "another kind": idx(2, content=b"ab", kind=13),
    "no size at all": idx(),
    "a size of 0": idx(0),
    "0 of the largest": idx(0, 2**32 - 1),
    "the largest": idx(2**32 - 1),
    "the largest three times": idx(2**32 - 1, 2**32 - 1, 2**32 - 1),
    "200 sizes of 1": idx(*[1] * 200, content=b"a"),
    "a header that ends early": idx(3, 28, 28)[:9],
    "a byte too few": idx(3, content=b"ab"),
    "a byte too many": idx(3, content=b"abcd"),
    "words": b"no picture at all",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", BAD_IDX)
def test_a_bad_idx_file_is_one_line(name, packed, tmp_path):
    path = tmp_path / ("x.gz" if packed else "x")
    path.write_bytes(gzip.compress(BAD_IDX[name]) if packed else BAD_IDX[name])
    assert isinstance(read(lambda: mnist.read_idx(path)), InputError)


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", gzip.compress(idx(3, content=b"abc"), mtime=0)[:-9], b"\x1f\x8b\x08junk"]
)
def test_a_broken_gzip_file_is_one_line(content, tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    assert isinstance(read(lambda: mnist.read_idx(path)), InputError)


def test_a_bomb_is_refused_before_it_takes_memory(tmp_path, monkeypatch):
    path = tmp_path / "x.gz"
    monkeypatch.setattr(mnist, "LARGEST_IDX", 2**20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx(2**30))
        for _ in range(64):
            file.write(bytes(2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "at most 1048576 bytes" in str(read(lambda: mnist.read_idx(path)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024, "KiB"


@given(content=st.binary(max_size=60), begin=st.booleans())
@SOME
def test_any_bytes_as_an_idx_file(content, begin, tmp_path):
    path = tmp_path / "x"
    path.write_bytes((b"\x00\x00\x08" if begin else b"") + content)
    found = read(lambda: mnist.read_idx(path))
    assert isinstance(found, InputError | np.ndarray)


# Tables.


@given(text=st.text(alphabet=st.sampled_from("ab,;\t\n\r\"'0123.-eE=%$ \x00\ufeffé"), max_size=300))
@SOME
def test_any_text_as_a_table(text, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8", newline="")
    read(lambda: registry.create("datasets", f"csv:{path}", {"target": "a", "kind": "regression"}).load(0))


@given(
    content=st.binary(max_size=200), ending=st.sampled_from(["csv", "csv.gz", "csv.zip", "csv.xz", "parquet", "xlsx"])
)
@SOME
def test_any_bytes_as_a_table(content, ending, tmp_path):
    path = tmp_path / f"x.{ending}"
    path.write_bytes(content)
    read(lambda: registry.create("datasets", f"csv:{path}", {"target": "a", "kind": "regression"}).load(0))


# Names of plugins, and texts of errors.


@given(name=st.text(min_size=1, max_size=300))
@SOME
def test_any_name_of_a_plugin(name):
    assert isinstance(read(lambda: registry.load_plugin(name)), InputError)


@pytest.mark.parametrize("name", ["~nobody-has-this-name/x.py", "a\x00b.py", "a" * 10_000, "/", "\ud800.py", "", "."])
def test_a_plugin_that_cannot_be_read_is_one_line(name):
    assert isinstance(read(lambda: registry.load_plugin(name)), InputError)


@given(text=st.text())
@SOME
def test_any_text_of_an_error_of_a_plugin(text, tmp_path, plugin_registry):
    path = tmp_path / "bad.py"
    path.write_text(f"raise RuntimeError({text!a})\n")
    error = read(lambda: registry.load_plugin(path))
    assert str(error).startswith("the plugin 'bad.py' failed: RuntimeError")


@given(text=st.text())
@SOME
def test_any_text_is_one_line(text):
    assert len(one_line(text).splitlines()) <= 1
    one_line(text).encode("utf-8")


# Names on the command line.


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ["a", "b"]),
        (" a , b,", ["a", "b"]),
        ("xor (d=16, n=100),ring", ["xor (d=16, n=100)", "ring"]),
        ("mlp (hidden=[9, 5], n=3), mlp (hidden=[9, 5])", ["mlp (hidden=[9, 5], n=3)", "mlp (hidden=[9, 5])"]),
        ('"a, b",c', ["a, b", "c"]),
        ("it's,x", ["it's", "x"]),
        ("a (b,c", ["a (b", "c"]),
        ("a),b", ["a)", "b"]),
        ('"a,b', ['"a', "b"]),
        (None, []),
    ],
)
def test_names_between_commas(text, names):
    assert options.names(text) == names


@pytest.mark.parametrize("text", ["", " ", ","])
def test_no_name_is_not_everything(text, tmp_path, capsys):
    """``run --fresh --explainers "$UNSET"`` forgot all results."""
    (tmp_path / "good.toml").write_text(PLAIN)
    code, _, err = call(
        "run", tmp_path / "good.toml", "--fresh", "--explainers", text, "--out", tmp_path, capsys=capsys
    )
    assert code == 2
    assert "expected names between commas, got" in err


def test_a_suite_of_a_windows_editor_is_read(tmp_path):
    (tmp_path / "good.toml").write_text(PLAIN, encoding="utf-8-sig")
    assert reading.load(tmp_path / "good.toml").name == "bad"


def test_without_a_command_the_help_is_shown_as_it_is(capsys):
    code, _, err = call(capsys=capsys)
    assert code == 2
    assert err.startswith("Usage: xai-bench")


def test_a_label_of_a_grid_can_be_named(tmp_path, capsys):
    (tmp_path / "grid.toml").write_text(
        'datasets = [{name = "xor", grid = {n = [100, 200], d = [4, 6]}}]\nexplainers = [{name = "f_test"}]\n'
    )
    run = ("run", tmp_path / "grid.toml", "--out", tmp_path, "--dry-run", "--datasets")
    code, out, err = call(*run, "xor (n=100, d=4),xor (n=200, d=6)", capsys=capsys)
    assert code == 0, err
    assert "18 cells to compute" in out
    code, _, err = call(*run, "xor (n=100, d=5)", capsys=capsys)
    assert (code, len(err.splitlines())) == (2, 1)


# What components return.


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1j, 2.0]), "real numbers"),
        (torch.tensor([1j, 2.0]), "real numbers"),
        (np.array([1.0, np.nan]), "finite"),
        (np.array([1.0, -1.0]), ">= 0"),
        (np.ma.masked_less(np.array([1.0, 2.0]), 1.5), "masked"),
        (pd.Series([1.0, 2.0]).sort_values(ascending=False), "in the order of the inputs"),
        (np.ones(3), "shape"),
    ],
)
def test_a_relevance_that_is_none_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        checked_relevance("mine", values, 2)


def labelled(y):
    X = np.random.default_rng(0).normal(size=(len(y), 2))
    return checked("mine", Table(X=X, y=np.asarray(y), kind="classification"))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.5, 1.0] * 20, "expected classes 0, 1, 2 .., got 0.5"),
        ([-1, 1] * 20, "got -1: number them from 0"),
        ([0, 10**6] * 20, "number them from 0"),
        ([1j, 0] * 20, "expected numbers, got complex128"),
        (["a", "b"] * 20, "expected numbers"),
        ([np.nan, 1.0] * 20, "missing"),
        ([1, 1] * 20, "one class only"),
    ],
)
def test_labels_that_are_no_classes_are_one_line(y, message):
    error = read(lambda: labelled(y))
    assert message in str(error)


def test_masked_numbers_are_missing():
    X = np.ma.masked_less(np.random.default_rng(0).normal(size=(40, 2)), 0)
    line = str(read(lambda: checked("mine", Table(X=X, y=np.arange(40) % 2, kind="classification"))))
    assert "got missing, infinite or larger ones in column 'x1'" in line


def test_classes_as_floats_are_classes():
    assert labelled([0.0, 1.0] * 20).y.dtype == np.int64
