"""Packs: the same bytes for the same results, every score in full, the order of every relevance."""

from __future__ import annotations

import io
import lzma
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from tests import stores
from tests.test_store import EARLIER, assert_same, earlier, traces
from xai_bench import forget, pack, read
from xai_bench.errors import InputError
from xai_bench.results import packing
from xai_bench.results.store import Store

# Zero and what workers' arithmetic knows: no subnormal numbers.
FLOATS = st.floats(-1e300, 1e300, allow_subnormal=False)
CLOSE = st.builds(
    lambda base, step: base * (1 + step * 2**-52), st.sampled_from([1.0, 0.1, 1e-30, -3.0]), st.integers(0, 9)
)


def same_order(values: np.ndarray) -> None:
    numbers, exponent = packing.single(values)
    again = packing.double(numbers, exponent)
    assert numbers.dtype == np.float32
    assert numbers.shape == values.shape
    np.testing.assert_array_equal(rankdata(again), rankdata(values))  # ties at their mean rank
    np.testing.assert_array_equal(again == 0, values == 0)
    assert not np.signbit(numbers[values == 0]).any()
    second, power = packing.single(again)
    np.testing.assert_array_equal(second, numbers)
    assert power == exponent or not values.any()


@settings(deadline=None)
@given(arrays(np.float64, st.integers(0, 30), elements=st.one_of(FLOATS, CLOSE, st.sampled_from([0.0, -0.0, 1.0]))))
def test_order_ties_and_zeros_survive_single_precision(values):
    same_order(values)


def test_relevances_that_single_precision_cannot_tell_apart():
    assert np.isfinite(packing.double(*packing.single(np.array([np.finfo(float).max])))).all()
    same_order(1 + np.arange(784) * 2**-50)
    same_order(np.r_[0.0, 1e-300, 2e-300, 1e300])
    same_order(np.array([1.0 - 2**-53, 1.0 - 2**-52, 1.0 - 2**-51]))
    same_order(np.random.default_rng(0).permutation(np.repeat(np.linspace(0, 1e-9, 50), 3)))


def test_relevances_keep_seven_digits():
    values = np.random.default_rng(0).lognormal(0, 3, 10_000)
    np.testing.assert_allclose(packing.double(*packing.single(values)), values, rtol=2**-23)
    assert np.unique(packing.double(*packing.single(values))).size == np.unique(values).size


@pytest.fixture
def stored(tmp_path):
    return stores.build(tmp_path / "runs" / "hand" / "results.sqlite")


def test_a_pack_is_read_like_the_store(stored, tmp_path):
    path = pack(tmp_path, tmp_path / "out" / "hand.xaipack")
    first, second = read(stored), read(path)
    for key, values in first.relevance.items():
        np.testing.assert_allclose(second.relevance[key], values, rtol=2**-22)
        np.testing.assert_array_equal(rankdata(second.relevance[key]), rankdata(values))
    second.relevance = first.relevance
    assert_same(first, second)
    assert b"weights of" not in lzma.decompress(path.read_bytes())


def test_the_same_results_are_the_same_bytes(stored, tmp_path):
    other = stores.build(tmp_path / "other" / "results.sqlite", backwards=True)
    packs = [pack(stored, tmp_path / "a.xaipack"), pack(other, tmp_path / "b.xaipack")]
    packs.append(pack(packs[0], tmp_path / "c.xaipack"))
    assert len({path.read_bytes() for path in packs}) == 1
    with Store(other) as store:
        store.add([stores.cell("not in the plan")], 1)
    assert pack(other, tmp_path / "d.xaipack").read_bytes() == packs[0].read_bytes()
    with Store(other) as store:
        store.add([stores.cell(stores.rows()[3].cell, np.arange(6.0))], 1)
    assert pack(other, tmp_path / "e.xaipack").read_bytes() != packs[0].read_bytes()


@pytest.mark.parametrize("number", EARLIER)
def test_an_earlier_schema_is_packed(tmp_path, number):
    path = earlier(number, tmp_path)
    files = traces(path.parent)
    first, second = read(path), read(pack(path, tmp_path / "small.xaipack"))
    assert traces(path.parent) == files
    second.relevance = first.relevance
    assert_same(first, second)


def test_a_pack_is_known_to_another_run(stored, tmp_path):
    path = pack(stored, tmp_path / "hand.xaipack")
    with Store(tmp_path / "here.sqlite") as store, Store.reading(path) as other:
        store.begin(other.suite(), stores.rows(), {})
        assert store.take(other, stores.rows()) == len(stores.rows())
        taken = store.results()
        followed = [
            one.followed("retention", "retention of toy", {row.cell for row in stores.rows()}) for one in (store, other)
        ]
        assert followed[0] == followed[1] != set()
        assert {store.weights(key) for key in taken.models} == {None}
    expected = read(path)
    assert taken.table().equals(expected.table())
    assert taken.models == expected.models
    assert taken.draws == expected.draws


def test_the_name_is_that_of_the_suite(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(pack(stored)) == "hand.xaipack"
    assert read("hand.xaipack").suite["name"] == "hand"


def test_a_pack_that_cannot_be_written_leaves_nothing(stored, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        pack(stored, tmp_path / "file" / "hand.xaipack")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        pack(stored, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "runs"]


def changed(content: bytes, **members: bytes | None) -> bytes:
    """The pack with other members; None leaves one out."""
    found = packing._members(content)
    found |= {name.replace("_", "."): value for name, value in members.items() if value is not None}
    kept = {name: value for name, value in found.items() if members.get(name.replace(".", "_"), b"") is not None}
    return lzma.compress(packing._archive(kept))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[: len(content) // 2], "damaged pack"),
        (lambda content: content[:3000] + b"x" + content[3001:], "damaged pack"),
        (lambda content: content[:6], "damaged pack"),
        (lambda content: lzma.compress(b"something else"), "damaged pack"),
        (lambda content: changed(content, plan_json=None), "damaged pack"),
        (lambda content: changed(content, pack_json=b"[]"), "damaged pack"),
        (lambda content: changed(content, cells_json=b'{"weights": [1]}'), "damaged pack"),
        (lambda content: changed(content, relevance_npy=b"\x93NUMPY"), "damaged pack"),
        (lambda content: changed(content, pack_json=b'{"format": 2, "schema": 3}'), "upgrade xai-bench"),
        (lambda content: changed(content, pack_json=b'{"format": 1, "schema": 99}'), "upgrade xai-bench"),
    ],
)
def test_a_pack_that_cannot_be_read_is_one_line(stored, tmp_path, spoil, message):
    path = pack(stored, tmp_path / "hand.xaipack")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=message) as raised:
        read(path)
    assert "\n" not in str(raised.value)


class MakesFolder:
    """Whoever unpickles it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_object_is_unpickled(stored, tmp_path):
    path = pack(stored, tmp_path / "hand.xaipack")
    file = io.BytesIO()
    np.save(file, np.array([MakesFolder(tmp_path / "made")], dtype=object), allow_pickle=True)
    path.write_bytes(changed(path.read_bytes(), relevance_npy=file.getvalue()))
    with pytest.raises(InputError, match="damaged pack"):
        read(path)
    assert not (tmp_path / "made").exists()


def test_a_pack_is_an_archive_that_common_tools_open(stored, tmp_path):
    path = pack(stored, tmp_path / "hand.xaipack")
    with tarfile.open(path, "r:xz") as archive:
        members = archive.getmembers()
    assert {"pack.json", "plan.json", "relevance.npy"} <= {member.name for member in members}
    assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}


def test_a_pack_is_never_changed(stored, tmp_path):
    path = pack(stored, tmp_path / "hand.xaipack")
    before = path.read_bytes()
    with pytest.raises(InputError, match="never changed"):
        forget(path, datasets=["toy"])
    with pytest.raises(InputError, match="not a store"):
        Store(path)
    assert path.read_bytes() == before


def test_the_report_of_a_pack_has_a_place(stored, tmp_path):
    assert read(stored).report_folder == tmp_path / "reports" / "hand"
    assert read(pack(stored, tmp_path / "x" / "hand.xaipack")).report_folder == tmp_path / "x" / "reports" / "hand"
    committed = pack(stored, tmp_path / "reports" / "hand" / "hand.xaipack")
    assert read(committed).report_folder == tmp_path / "reports" / "hand"
    assert read(stored).report_folder == tmp_path / "runs" / "hand" / "report", "that one is the pack's"
