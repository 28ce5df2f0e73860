"""The user's own copy of the MILES library of stellar spectra, which may not be redistributed.

Sources: Sánchez-Blázquez et al. 2006, MNRAS 371, 703; Cenarro et al. 2007, MNRAS 374, 664 (parameters);
Falcón-Barroso et al. 2011, A&A 532, A95.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from xai_bench.component import sha256
from xai_bench.datasets.base import DataSource, Table, Trait
from xai_bench.errors import InputError
from xai_bench.places import expanded

if TYPE_CHECKING:
    import pandas as pd

SPECTRA, PARAMETERS = "miles_stars.csv", "params.ascii"
WAVELENGTH, STAR = "wav", "ID"
TARGETS = {"feh": ("__Fe_H_", "[Fe/H]", "dex"), "teff": ("Teff", "Teff", "K"), "logg": ("logg", "log g", "dex")}
"""Column of the parameters, name and unit."""


class MILES(DataSource):
    """Spectra of the MILES library, 3500 to 7400 Angstrom, to read [Fe/H], Teff or log g from.

    ``miles_stars.csv`` has one column a star (``s0886``), one row a wavelength and a column ``wav`` in Angstrom;
    ``params.ascii`` has the columns ID, SpType, Teff, logg and __Fe_H_, separated by blanks. The ends of the spectra
    hold zeros or ringing: the ``first`` and the ``last`` rows are cut. Each star is divided by its maximum; stars
    without the target are left out.
    """

    name: ClassVar[str] = "miles"
    belongs_to: ClassVar[str] = "stellar"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated", "real")
    paired: ClassVar[tuple[str, ...]] = ("target", "first", "last")
    reads_files: ClassVar[bool] = True

    target: Literal["feh", "teff", "logg"] = "feh"
    first: int = Field(default=50, ge=0)
    last: int = Field(default=30, ge=0)

    def missing(self) -> str | None:
        if find():
            return None
        return (
            f"miles: expected {SPECTRA} and {PARAMETERS} in $XAI_BENCH_DATA/miles, $XAI_BENCH_DATA, data/miles or "
            "data, found no folder with both: get spectra and parameters at https://miles.iac.es, and write them as "
            "one column a star and one line a star"
        )

    def fingerprint(self) -> dict[str, Any]:
        """SHA-256 of the two files; empty if they are missing."""
        folder = find()
        return {name: sha256((folder / name).read_bytes()) for name in (SPECTRA, PARAMETERS)} if folder else {}

    def draw(self, rng: np.random.Generator) -> Table:
        """Read the files.

        Raises
        ------
        InputError
            If they are missing, or not of the form above.
        """
        folder = find()
        if folder is None:
            raise InputError(str(self.missing()))
        column, target_name, units = TARGETS[self.target]
        spectra = _read(folder / SPECTRA, ",", (WAVELENGTH,)).set_index(WAVELENGTH)
        parameters = _read(folder / PARAMETERS, " ", (STAR, column)).set_index(STAR)
        if not parameters.index.is_unique:
            twice = parameters.index[parameters.index.duplicated()][0]
            raise InputError(f"miles: expected each star of {PARAMETERS} once, got {twice} again: remove a line")
        kept = spectra.iloc[self.first : len(spectra) - self.last]
        if len(kept) < 2:
            raise InputError(
                f"miles: expected more than first + last = {self.first + self.last} wavelengths in {SPECTRA}, got "
                f"{len(spectra)}: cut fewer"
            )
        target = _numbers(PARAMETERS, parameters[[column]])[column]
        stars = [star for star in target.dropna().index if star in kept.columns]
        if not stars:
            raise InputError(
                f"miles: expected the same stars in both files, got {_some(kept.columns)} in {SPECTRA} and "
                f"{_some(target.dropna().index)} with {column} in {PARAMETERS}: correct the names"
            )
        X = _numbers(SPECTRA, kept[stars]).to_numpy().T
        peak = X.max(1, keepdims=True)
        dark = np.flatnonzero(~(peak[:, 0] > 0))
        if len(dark):
            raise InputError(f"miles: expected a positive flux, got none in {stars[dark[0]]}: remove that column")
        left_out = len(target) - len(stars)
        notices = (f"miles: {left_out} stars without {target_name} or spectrum are left out",) if left_out else ()
        return Table(
            X=X / peak,
            y=target[stars].to_numpy(dtype=np.float64),
            kind="regression",
            feature_names=tuple(f"{wavelength:.1f}" for wavelength in kept.index.to_numpy(dtype=np.float64)),
            feature_units=("A",) * len(kept),
            target_name=target_name,
            target_units=units,
            notices=notices,
        )


def find() -> Path | None:
    """The first folder that has both files."""
    own = os.environ.get("XAI_BENCH_DATA") or "data"
    for root in (expanded(own), Path("data")):
        for folder in (root / "miles", root):
            if (folder / SPECTRA).is_file() and (folder / PARAMETERS).is_file():
                return folder
    return None


def _read(path: Path, separator: str, needed: tuple[str, ...]) -> pd.DataFrame:
    """The table; raises unless it has the columns ``needed``."""
    import pandas as pd

    try:
        frame = pd.read_csv(path, sep=separator, quotechar='"', low_memory=False)
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"miles: cannot read {path.name} ({reason}): expected a header line and rows") from None
    for column in needed:
        if column not in frame:
            raise InputError(
                f"miles: expected a column {column!r} in {path.name}, got {_some(frame.columns)}: correct its header"
            )
    return frame


def _numbers(file: str, frame: pd.DataFrame) -> pd.DataFrame:
    """All values as float64, NaN where they are missing."""
    try:
        return frame.astype(np.float64)
    except ValueError as error:
        raise InputError(f"miles: expected numbers in {file}, got text ({error}): correct the file") from None


def _some(names: pd.Index) -> str:
    """The first three names."""
    return ", ".join(str(name) for name in names[:3]) or "none"
