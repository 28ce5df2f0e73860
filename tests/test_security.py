"""The sentences of SECURITY.md."""

from __future__ import annotations

import ast
import csv
import io
import json
import lzma
import pickle
import re
import sqlite3
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import xai_bench
from tests import stores
from xai_bench import pack, read
from xai_bench.datasets import mnist
from xai_bench.errors import InputError
from xai_bench.models import given
from xai_bench.report import write_report
from xai_bench.report.kit import markup
from xai_bench.results import exporting, formats, opening, packing
from xai_bench.results.records import PlanRow
from xai_bench.results.store import Store

PACKAGE = Path(xai_bench.__file__).parent
FORMULA, LINK = "=cmd|' /C calc'!A0", "[x](javascript:alert(1))"
TAG, COMMAND = "<script>alert(1)</script>", r"\input{x}"


class Harm:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@cache
def modules():
    """Every module of the package, parsed."""
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


def calls(tree):
    """Every call in a module: dotted name, and the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


# What is unpickled.


def test_only_workers_and_checks_unpickle_and_only_what_was_pickled_for_them():
    users = {name for name, tree in modules().items() for called, _ in calls(tree) if called.startswith("pickle.load")}
    checks = {"conformance/base.py", "conformance/architectures.py", "conformance/elsewhere.py"}
    cluster = {"running/cluster.py", "running/station.py"}
    assert users == {*checks, *cluster, "registry.py"}, "registry.take, and what goes to workers of a cluster and back"
    for name, tree in modules().items():
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"dill", "marshal", "shelve", "joblib"}, name
        assert "cloudpickle" not in imported or name == "sending.py"


def test_files_of_numbers_and_weights_are_never_unpickled():
    for name, tree in modules().items():
        for called, call in calls(tree):
            given_words = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if called == "torch.load":
                assert given_words["weights_only"] == "True", name
            if called in ("np.load", "numpy.load"):
                assert given_words["allow_pickle"] == "False", name
            assert called not in ("pd.read_pickle", "eval"), name
            assert called != "exec" or name == "plugins.py"


def test_weights_that_hold_code_are_refused(tmp_path):
    (tmp_path / "weights.pt").write_bytes(pickle.dumps(Harm(tmp_path / "harmed")))
    with pytest.raises(InputError, match="expected weights"):
        given._read(tmp_path / "weights.pt")
    assert not (tmp_path / "harmed").exists()


# Packs and stores.


def repacked(path, **changes):
    """A pack with other members."""
    content = packing._members(path.read_bytes()) | {name.replace("_", "."): value for name, value in changes.items()}
    path.write_bytes(lzma.compress(packing._archive(content)))
    return path


@pytest.fixture
def packed(tmp_path):
    stores.build(tmp_path / "hand" / "results.sqlite")
    return pack(tmp_path / "hand", tmp_path / "hand.xaipack")


def test_a_pack_with_an_array_of_objects_is_refused(packed, tmp_path):
    file = io.BytesIO()
    np.save(file, np.array([Harm(tmp_path / "harmed")], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="damaged pack"):
        read(repacked(packed, relevance_npy=file.getvalue()))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "..", "", "a/b", "a\nb", "C:evil", "x" * 101, 3, None, ["a"]])
def test_no_name_of_a_suite_in_a_pack_leaves_its_folder(name, packed):
    suite = {**stores.SUITE, "name": name}
    bad = repacked(packed, meta_json=json.dumps({"name": {"texts": ["suite"], "at": [0]}, "value": [suite]}).encode())
    for action in (read, pack):
        with pytest.raises(InputError) as raised:
            action(bad)
        assert len(str(raised.value).splitlines()) == 1
    assert sorted(path.name for path in bad.parent.iterdir()) == ["hand", "hand.xaipack"]


def test_members_of_a_pack_are_never_files(packed):
    content = packing._members(packed.read_bytes()) | {"../evil": b"x", "/tmp/evil": b"x"}
    packed.write_bytes(lzma.compress(packing._archive(content)))
    assert len(read(packed).cells) == len(stores.rows())
    assert sorted(path.name for path in packed.parent.iterdir()) == ["hand", "hand.xaipack"]
    extracting = [name for name, tree in modules().items() for called, _ in calls(tree) if ".extractall" in called]
    assert not extracting


def test_a_pack_that_unpacks_without_end_is_refused(packed, monkeypatch):
    monkeypatch.setattr(packing, "LARGEST", 1000)
    with pytest.raises(InputError, match="more than 1000 bytes unpacked"):
        read(packed)


def test_what_a_store_defines_is_not_trusted(tmp_path):
    path = stores.build(tmp_path / "results.sqlite")
    for db in (opening.for_reading(path), opening.for_writing(path)):
        assert db.execute("PRAGMA trusted_schema").fetchone() == (0,)
        db.close()


# Downloads.


def test_downloads_are_checked_and_moved(tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        (Path(path) / fname).write_bytes(b"half")
        raise ValueError("the checksum is another one")

    monkeypatch.setitem(__import__("sys").modules, "pooch", SimpleNamespace(retrieve=retrieve))
    with pytest.raises(InputError, match="checksum"):
        mnist.fetch(tmp_path / "mnist")
    ((url, known_hash),) = asked
    assert url.startswith("https://")
    assert re.fullmatch("md5:[0-9a-f]{32}", known_hash)
    assert list((tmp_path / "mnist").iterdir()) == []
    with_urls = {
        name for name, tree in modules().items() for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "http://" in node.value
    }  # fmt: skip
    assert not with_urls


# Names.


@pytest.mark.parametrize("name", [FORMULA, "+1", "-x", "@SUM(A1)", "\t=x", "\r=x"])
def test_a_formula_in_csv_is_a_text(name):
    frame = pd.DataFrame({"=head()": [name, "plain"], "value": [-1.5, 2.0]})
    rows = list(csv.reader(io.StringIO(formats.csv(frame))))
    assert rows[0] == ["'=head()", "value"]
    assert rows[1] == ["'" + name.replace("\t", " ").replace("\r", " "), "-1.5"]
    assert rows[2] == ["plain", "2.0"]


def test_names_are_not_marks_in_markdown_and_latex():
    table = formats.Shown(["name"], [[LINK], [TAG], [COMMAND]])
    assert "](" not in formats.markdown(table).replace("\\](", "")
    assert "<script" not in formats.markdown(table).replace("\\<", "")
    assert "\\input" not in formats.latex(table)
    assert "](" not in markup.markdown(LINK)
    assert "<" not in markup.markdown(TAG)


def test_hostile_names_are_escaped_everywhere(tmp_path):
    labels = [FORMULA, LINK, TAG, COMMAND, "'; DROP TABLE cells; --", "../../evil"]
    plan = [PlanRow(f"cell{i}", f"toy{i}", "", label, "", label, 0, 0, -1) for i, label in enumerate(labels)]
    path = tmp_path / "runs" / "hand" / "results.sqlite"
    with Store(path) as store:
        number = store.begin(stores.SUITE, plan, {"started": "2026-01-01T00:00:00+00:00"}, stores.METRICS)
        for i, row in enumerate(plan):
            store.add([stores.cell(row.cell)], number, stores.draw("toy", i))
    results = read(path)
    page = write_report(results, tmp_path / "reports" / "hand")
    for file in page.parent.rglob("*"):
        if file.suffix == ".html":
            assert TAG not in file.read_text("utf-8"), file
        if file.suffix == ".md":
            assert "](javascript" not in file.read_text("utf-8").replace("\\](", ""), file
            assert "<script" not in file.read_text("utf-8"), file
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "reports"}
    found = exporting.export(results, "csv")
    assert not [row for row in csv.reader(io.StringIO(found)) for text in row if text.startswith("=")]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM cells").fetchone() == (len(labels),)
