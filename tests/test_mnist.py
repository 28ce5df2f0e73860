"""MNIST on tiny IDX files that the tests write; one test reads the real files."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from xai_bench.datasets import mnist
from xai_bench.datasets.mnist import MNIST, MNIST01, fetch, find, read_idx
from xai_bench.errors import InputError

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = mnist.MD5
N_TRAIN, N_TEST = 40, 20


def idx(array):
    """The bytes of an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def tiny(n, first):
    """n images and their labels 0, 1, .. 9, 0, ..; the first pixels are the image's number and its label."""
    labels = np.arange(n) % 10
    images = np.random.default_rng(first).integers(0, 256, (n, 28, 28))
    images[:, 0, 0], images[:, 0, 1] = first + np.arange(n), labels
    return images, labels


def write_all(folder, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = (*tiny(N_TRAIN, 0), *tiny(N_TEST, N_TRAIN))
    for name, array in zip(mnist.MD5, arrays, strict=True):
        (folder / (name if packed else name.removesuffix(".gz"))).write_bytes(
            gzip.compress(idx(array), mtime=0) if packed else idx(array)
        )
    return folder


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A folder to run from, without data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XAI_BENCH_DATA", raising=False)
    return tmp_path


@pytest.fixture
def files(empty):
    return write_all(empty / "data" / "mnist")


def line_of(call):
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


class TestTable:
    def test_files_are_pooled(self, files):
        table = MNIST().draw(np.random.default_rng(0))
        assert table.X.shape == (60, 784)
        assert table.X.dtype == np.float32
        images = np.concatenate([tiny(N_TRAIN, 0)[0], tiny(N_TEST, N_TRAIN)[0]])
        np.testing.assert_allclose(table.X, images.reshape(60, 784) / 255, rtol=1e-6)
        assert list(table.y) == list(np.arange(40) % 10) + list(np.arange(20) % 10)
        assert table.feature_shape == (28, 28)
        assert table.feature_names[29] == "pixel_1_1"

    def test_labels_stay_with_their_images(self, files):
        data = MNIST().load(1)
        for X, y in ((data.X_train, data.y_train), (data.X_valid, data.y_valid), (data.X_test, data.y_test)):
            np.testing.assert_array_equal(np.round(X[:, 1] * 255), y)
        numbers = np.concatenate([data.X_train, data.X_valid, data.X_test])[:, 0] * 255
        assert sorted(np.round(numbers)) == list(range(60))
        assert data.n_outputs == 10
        assert list(data.permutation) == list(range(784))

    def test_zeros_and_ones(self, empty, files):
        table = MNIST01().draw(np.random.default_rng(0))
        assert list(table.y) == [0, 1] * 6
        np.testing.assert_array_equal(np.round(table.X[:, 1] * 255), table.y)
        assert table.class_names == ("0", "1")

    def test_rows_are_drawn_by_the_seed(self, files):
        one, same, other = (MNIST(rows=25).draw(np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert one.X.shape == (25, 784)
        assert len(set(np.round(one.X[:, 0] * 255))) == 25
        np.testing.assert_array_equal(one.X, same.X)
        assert not np.array_equal(one.X, other.X)

    def test_rows_are_an_upper_bound(self, files):
        assert len(MNIST(rows=1000).draw(np.random.default_rng(0)).y) == 60

    def test_too_few_rows(self):
        assert "rows" in line_of(lambda: MNIST(rows=3))

    def test_plain_files_hold_the_same(self, files, monkeypatch):
        packed = MNIST().draw(np.random.default_rng(0))
        for file in files.iterdir():
            file.unlink()
        write_all(files, packed=False)
        plain = MNIST().draw(np.random.default_rng(0))
        np.testing.assert_array_equal(packed.X, plain.X)
        np.testing.assert_array_equal(packed.y, plain.y)

    def test_another_copy_gets_a_notice(self, files):
        assert MNIST().load(0).notices == ("mnist: a subset or another copy: 60 images instead of 70000",)

    def test_the_official_files_get_none(self, files, monkeypatch):
        monkeypatch.setattr(mnist, "MD5", MNIST().fingerprint())
        assert MNIST().load(0).notices == ()

    def test_all_images_with_other_checksums(self, files, monkeypatch):
        monkeypatch.setattr(mnist, "N_IMAGES", 60)
        assert "not the checksums of the official files" in MNIST().load(0).notices[0]


class TestFinding:
    def test_the_order(self, empty, monkeypatch):
        monkeypatch.setenv("XAI_BENCH_DATA", str(empty / "own"))
        assert find() is None
        for folder in ("data", "data/mnist", "own", "own/mnist"):  # each comes before the one above
            write_all(empty / folder)
            assert find().resolve() == (empty / folder).resolve()

    def test_all_four_are_needed(self, files):
        assert find() == Path("data/mnist")
        (files / TEST_LABELS).unlink()
        assert find() is None
        assert "fetch" in line_of(lambda: MNIST().load(0))

    def test_missing(self, empty, files):
        assert MNIST().missing() is None
        (files / TEST_LABELS).unlink()
        line = MNIST01().missing()
        assert line.startswith("mnist_01: ")
        assert "xai-bench data fetch mnist" in line
        assert "$XAI_BENCH_DATA/mnist, $XAI_BENCH_DATA, data/mnist or data" in line
        assert str(empty) not in line
        assert "\n" not in line
        assert line == line_of(lambda: MNIST01().draw(np.random.default_rng(0)))

    def test_fingerprint(self, files):
        expected = {name: hashlib.md5((files / name).read_bytes()).hexdigest() for name in mnist.MD5}
        assert MNIST().fingerprint() == expected
        before = MNIST().identity()
        (files / TEST_LABELS).write_bytes(gzip.compress(idx(np.zeros(N_TEST)), mtime=0))
        assert MNIST().identity() != before
        (files / TEST_LABELS).unlink()
        assert MNIST().fingerprint() == {}


class TestIdx:
    def read(self, folder, content, name="some-idx.gz"):
        (folder / name).write_bytes(content)
        return read_idx(folder / name)

    @pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 2, 3)])
    def test_roundtrip(self, tmp_path, shape):
        array = np.random.default_rng(0).integers(0, 256, shape)
        np.testing.assert_array_equal(self.read(tmp_path, gzip.compress(idx(array))), array)
        np.testing.assert_array_equal(self.read(tmp_path, idx(array), "some-idx"), array)

    @pytest.mark.parametrize(
        ("content", "fragments"),
        [
            (idx(np.zeros((3, 2)))[:-1], ["expected 18 bytes for shape (3, 2), got 17"]),
            (idx(np.zeros((3, 2))) + b"x", ["expected 18 bytes for shape (3, 2), got 19"]),
            (idx(np.zeros((3, 2)))[:7], ["expected a header of 12 bytes, got 7"]),
            (b"", ["no IDX file", "got nothing"]),
            (b"<html>not found</html>", ["no IDX file", "expected it to begin with 00 00 08, got 3c 68 74"]),
            (b"\0\0\x0d\x01" + b"\0" * 8, ["no IDX file", "00 00 0d"]),
            (bytes([0, 0, 8, 3]) + b"\xff" * 12, ["got 16"]),
        ],
        ids=["short", "long", "header", "empty", "html", "floats", "huge"],
    )
    @pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
    def test_wrong_content(self, tmp_path, content, fragments, packed):
        name = "some-idx.gz" if packed else "some-idx"
        line = line_of(lambda: self.read(tmp_path, gzip.compress(content) if packed else content, name))
        assert line.startswith("mnist: ")
        for fragment in (name, "xai-bench data fetch mnist", *fragments):
            assert fragment in line

    def test_truncated_gzip(self, tmp_path):
        content = gzip.compress(np.random.default_rng(0).bytes(1000))[:500]
        line = line_of(lambda: self.read(tmp_path, content))
        assert "some-idx.gz: expected a whole gzip file, got 500 bytes without its end" in line

    def test_broken_gzip(self, tmp_path):
        packed = gzip.compress(np.random.default_rng(0).bytes(1000))
        wrong_sum, wrong_stream = packed[:300] + bytes([packed[300] ^ 255]) + packed[301:], packed[:10] + b"\xff" * 50
        assert "some-idx.gz" in line_of(lambda: self.read(tmp_path, wrong_sum))
        assert "some-idx.gz" in line_of(lambda: self.read(tmp_path, wrong_stream))
        assert "some-idx.gz" in line_of(lambda: self.read(tmp_path, b"no gzip"))

    def test_missing_file(self, tmp_path):
        line = line_of(lambda: read_idx(tmp_path / "some-idx"))
        assert line.startswith("mnist: some-idx: expected a readable file, got No such file or directory: ")

    @pytest.mark.parametrize(
        ("name", "array", "fragment"),
        [
            (TRAIN_IMAGES, np.zeros((N_TRAIN, 27, 28)), "expected shape (n, 28, 28), got (40, 27, 28)"),
            (TRAIN_IMAGES, np.zeros((N_TRAIN, 784)), "expected shape (n, 28, 28), got (40, 784)"),
            (TEST_LABELS, np.zeros(N_TEST - 1), "expected 20 labels, as many as images, got shape (19,)"),
            (TEST_LABELS, np.full(N_TEST, 10), "expected labels 0 to 9, got 10"),
        ],
    )
    def test_files_that_do_not_fit(self, files, name, array, fragment):
        (files / name).write_bytes(gzip.compress(idx(array)))
        line = line_of(lambda: MNIST().load(0))
        assert name in line
        assert fragment in line
        assert "xai-bench data fetch mnist" in line


class TestFetch:
    @pytest.fixture
    def server(self, empty, monkeypatch):
        """The tiny files stand for the official ones; a stand-in for pooch.retrieve serves them."""
        origin = write_all(empty / "origin")
        monkeypatch.setattr(mnist, "MD5", {n: hashlib.md5((origin / n).read_bytes()).hexdigest() for n in mnist.MD5})
        calls = []

        def retrieve(url, known_hash, fname, path):
            calls.append(fname)
            assert url == mnist.MIRROR + fname
            content = (origin / fname).read_bytes()
            assert known_hash == f"md5:{hashlib.md5(content).hexdigest()}"
            Path(path, fname).write_bytes(content)
            return str(Path(path, fname))

        monkeypatch.setattr("pooch.retrieve", retrieve)
        return calls

    def test_downloads_what_is_missing(self, empty, server):
        folder = empty / "data" / "mnist"
        assert fetch(folder) == [folder / name for name in mnist.MD5]
        assert server == list(mnist.MD5)
        assert sorted(file.name for file in folder.iterdir()) == sorted(mnist.MD5)
        assert MNIST().load(0).notices == ()

    def test_keeps_what_is_right_and_replaces_what_is_not(self, empty, server):
        folder = empty / "data" / "mnist"
        fetch(folder)
        (folder / TEST_IMAGES).write_bytes(b"cut")
        server.clear()
        fetch(folder)
        assert server == [TEST_IMAGES]
        assert MNIST().load(0).notices == ()

    @pytest.mark.parametrize("error", [ConnectionError("no route to host\nmore"), ValueError("hash"), OSError()])
    def test_a_failure_leaves_no_part(self, empty, server, monkeypatch, error):
        import pooch

        works = pooch.retrieve

        def fails(url, known_hash, fname, path):
            if fname != TEST_IMAGES:
                return works(url, known_hash, fname, path)
            Path(path, fname).write_bytes(b"half")
            raise error

        monkeypatch.setattr("pooch.retrieve", fails)
        folder = empty / "data" / "mnist"
        line = line_of(lambda: fetch(folder))
        assert f"cannot download: expected {TEST_IMAGES} from {mnist.MIRROR}, got " in line
        assert "network" in line
        assert sorted(file.name for file in folder.iterdir()) == sorted([TRAIN_IMAGES, TRAIN_LABELS])
        monkeypatch.setattr("pooch.retrieve", works)
        server.clear()
        fetch(folder)
        assert server == [TEST_IMAGES, TEST_LABELS]

    def test_a_failure_keeps_the_file_that_was_there(self, empty, monkeypatch):
        def fails(**arguments):
            raise OSError("no network")

        monkeypatch.setattr("pooch.retrieve", fails)
        (empty / TRAIN_IMAGES).write_bytes(b"a subset")
        line_of(lambda: fetch(empty))
        assert (empty / TRAIN_IMAGES).read_bytes() == b"a subset"

    def test_no_folder_can_be_made(self, empty, server):
        (empty / "data").write_text("a file")
        assert "cannot download" in line_of(lambda: fetch(empty / "data"))


@pytest.mark.data
@pytest.mark.skipif(find() is None, reason="the MNIST files are absent: run xai-bench data fetch mnist")
class TestRealFiles:
    def test_zeros_and_ones(self):
        data = MNIST01(rows=1000).load(0)
        assert (data.n_outputs, data.feature_shape) == (2, (28, 28))
        assert data.X_train.shape == (640, 784)
        assert (data.X_train.min(), data.X_train.max()) == (0, 1)
        centre = data.X_train.reshape(-1, 28, 28)[:, 12:16, 12:16].mean((1, 2))
        assert centre[data.y_train == 1].mean() > 0.5 > 0.2 > centre[data.y_train == 0].mean()
        assert 0.4 < data.y_train.mean() < 0.65

    def test_ten_digits(self):
        table = MNIST().draw(np.random.default_rng(0))
        shares = np.bincount(table.y) / len(table.y)
        assert len(shares) == 10
        assert np.abs(shares - 0.1).max() < 0.02
        assert (len(table.y) == mnist.N_IMAGES) or table.notices
