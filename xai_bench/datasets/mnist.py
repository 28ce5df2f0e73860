"""MNIST from its four IDX files (LeCun, Cortes, Burges), which the user downloads once."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.datasets.base import DataSource, Table, Trait
from xai_bench.errors import InputError
from xai_bench.places import expanded
from xai_bench.validation import shown

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
N_IMAGES = 70_000
UNSIGNED_BYTE = 0x08
LARGEST_IDX = 2**28
"""Bytes that a file may have, unpacked: five times the largest one."""


class MNIST(DataSource):
    """Handwritten digits, 28 x 28 pixels in [0, 1]; the published training and test files are pooled.

    ``rows``: at most so many images, drawn by the data seed.
    """

    name: ClassVar[str] = "mnist"
    belongs_to: ClassVar[str] = "mnist"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated", "real")
    paired: ClassVar[tuple[str, ...]] = ("rows",)
    reads_files: ClassVar[bool] = True
    digits: ClassVar[tuple[int, ...]] = tuple(range(10))

    rows: int | None = Field(default=None, ge=20)

    def missing(self) -> str | None:
        if find():
            return None
        return (
            f"{self.name}: expected the four MNIST files in $XAI_BENCH_DATA/mnist, $XAI_BENCH_DATA, data/mnist or "
            "data, found no folder with all of them: run xai-bench data fetch mnist"
        )

    def fingerprint(self) -> dict[str, Any]:
        """MD5 of the four files; empty if they are missing."""
        folder = find()
        if folder is None:
            return {}
        return {name: hashlib.md5(_existing(folder, name).read_bytes()).hexdigest() for name in MD5}

    def draw(self, rng: np.random.Generator) -> Table:
        """Read the files.

        Raises
        ------
        InputError
            If they are missing, broken, or not pictures of digits.
        """
        folder = find()
        if folder is None:
            raise InputError(str(self.missing()))
        train_images, train_labels, test_images, test_labels = MD5
        parts = [_pair(folder, train_images, train_labels), _pair(folder, test_images, test_labels)]
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        chosen = np.flatnonzero(np.isin(labels, self.digits))
        if self.rows is not None and self.rows < len(chosen):
            chosen = rng.permutation(chosen)[: self.rows]
        return Table(
            X=images[chosen].reshape(len(chosen), -1) / np.float32(255),
            y=labels[chosen].astype(np.int64),
            kind="classification",
            feature_names=tuple(f"pixel_{row}_{column}" for row in range(28) for column in range(28)),
            feature_shape=(28, 28),
            class_names=tuple(str(digit) for digit in self.digits),
            target_name="digit",
            notices=self._notices(len(labels)),
        )

    def _notices(self, n_images: int) -> tuple[str, ...]:
        if self.fingerprint() == MD5:
            return ()
        if n_images == N_IMAGES:
            return (f"{self.name}: another copy: {N_IMAGES} images, but not the checksums of the official files",)
        return (f"{self.name}: a subset or another copy: {n_images} images instead of {N_IMAGES}",)


class MNIST01(MNIST):
    """The digits 0 and 1 of MNIST."""

    name: ClassVar[str] = "mnist_01"
    digits: ClassVar[tuple[int, ...]] = (0, 1)


def find() -> Path | None:
    """The first folder that has all four files, packed (.gz) or not."""
    own = os.environ.get("XAI_BENCH_DATA") or "data"
    for root in (expanded(own), Path("data")):
        for folder in (root / "mnist", root):
            if all(_existing(folder, name).is_file() for name in MD5):
                return folder
    return None


def _existing(folder: Path, name: str) -> Path:
    """The packed file, or the plain one where there is no packed one."""
    packed = folder / name
    return packed if packed.is_file() else packed.with_suffix("")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in an IDX file, which may be packed with gzip.

    Raises
    ------
    InputError
        If it is no IDX file of unsigned bytes, or if its size is not what its header says.
    """
    again = "remove it and run xai-bench data fetch mnist"
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(LARGEST_IDX + 1)
    except EOFError:
        raise InputError(
            f"mnist: {path.name}: expected a whole gzip file, got {path.stat().st_size} bytes without its end: {again}"
        ) from None
    except (OSError, zlib.error) as error:
        raise InputError(f"mnist: {path.name}: expected a readable file, got {_reason(error)}: {again}") from None
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise InputError(
            f"mnist: {path.name} is no IDX file of bytes: expected it to begin with 00 00 08, got "
            f"{content[:3].hex(' ') or 'nothing'}: {again}"
        )
    if len(content) > LARGEST_IDX:
        raise InputError(f"mnist: {path.name}: expected at most {LARGEST_IDX} bytes unpacked, got more: {again}")
    data_from = 4 + 4 * content[3]
    if len(content) < data_from:
        raise InputError(f"mnist: {path.name}: expected a header of {data_from} bytes, got {len(content)}: {again}")
    shape = tuple(int(size) for size in np.frombuffer(content[4:data_from], dtype=">u4"))
    if not 1 <= len(shape) <= 3 or 0 in shape:
        raise InputError(f"mnist: {path.name}: expected one to three sizes of at least 1, got {shown(shape)}: {again}")
    expected = data_from + math.prod(shape)
    if len(content) != expected:
        raise InputError(
            f"mnist: {path.name}: expected {expected} bytes for shape {shape}, got {len(content)}: {again}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=data_from).reshape(shape)


def _pair(folder: Path, images_name: str, labels_name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(n, 28, 28) images and (n,) labels 0 .. 9."""
    again = "replace the files, or run xai-bench data fetch mnist"
    images_file, labels_file = _existing(folder, images_name), _existing(folder, labels_name)
    images, labels = read_idx(images_file), read_idx(labels_file)
    if images.shape[1:] != (28, 28):
        raise InputError(f"mnist: {images_file.name}: expected shape (n, 28, 28), got {images.shape}: {again}")
    if labels.shape != images.shape[:1]:
        raise InputError(
            f"mnist: {labels_file.name}: expected {len(images)} labels, as many as images, got shape {labels.shape}: "
            f"{again}"
        )
    if labels.size and labels.max() > 9:
        raise InputError(f"mnist: {labels_file.name}: expected labels 0 to 9, got {labels.max()}: {again}")
    return images, labels


def fetch(folder: Path) -> list[Path]:
    """Download the four files into ``folder`` (those that are there and right are kept); returns their paths.

    Raises
    ------
    InputError
        If a download fails. What was complete stays, so that a second try goes on from there.
    """
    import pooch

    files = []
    for name, md5 in MD5.items():
        file = folder / name
        try:
            if not (file.is_file() and hashlib.md5(file.read_bytes()).hexdigest() == md5):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=folder) as part:
                    got = pooch.retrieve(url=MIRROR + name, known_hash=f"md5:{md5}", fname=name, path=part)
                    os.replace(got, file)
        except (OSError, ValueError) as error:
            raise InputError(
                f"mnist: cannot download: expected {name} from {MIRROR}, got {_reason(error)}: check the network "
                "and try again, or put the four files into the folder by hand"
            ) from None
        files.append(file)
    return files


def _reason(error: Exception) -> str:
    """The first line of an error, or its type where it says nothing; without the folder of a file."""
    text = (getattr(error, "strerror", None) or str(error)).strip()
    return text.splitlines()[0] if text else type(error).__name__
