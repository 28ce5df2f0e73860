"""The user's own table with a target column: a CSV or Parquet file, or a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, field_serializer, field_validator

from xai_bench.component import canonical_json, sha256
from xai_bench.datasets.base import DataSource, Kind, Table, Trait
from xai_bench.errors import InputError
from xai_bench.places import expanded

if TYPE_CHECKING:
    import pandas as pd

    from xai_bench.tables.prepared import Prepared


def of_prepared(found: Prepared, kind: Kind, source: str) -> Table:
    """A prepared table as what a source of data draws; its notices begin with the name of the ``source``."""
    encoded, target = found.encoded, found.predicted
    return Table(
        X=encoded.X,
        y=target.values,
        kind=kind,
        feature_names=encoded.names,
        feature_units=encoded.units,
        inputs=encoded.inputs,
        input_names=encoded.input_names,
        class_names=target.class_names,
        target_name=target.name,
        notices=tuple(f"{source}: {line}" for line in found.notices),
        holes=True,
    )


class Frame:
    """A DataFrame as the value of a field: a copy, equal to another one of the same content."""

    def __init__(self, frame: pd.DataFrame) -> None:
        import pandas as pd

        self.frame = frame.copy()
        try:
            values = pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()
        except TypeError:
            raise InputError("expected numbers, texts or booleans in the cells, got others") from None
        columns = [[str(name), str(dtype)] for name, dtype in zip(frame.columns, frame.dtypes, strict=True)]
        self.sha256 = sha256(canonical_json([frame.shape, columns, sha256(values)]))
        """Of names, types and values of the columns; the index does not count."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and other.sha256 == self.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<table of {len(self.frame)} rows and {self.frame.shape[1]} columns>"


class UserTable(DataSource):
    """A file, or a pandas DataFrame. What became of its columns is in the notices.

    The file is CSV with a header line and any common separator, Parquet if its name ends in ``.parquet``, or Excel if
    it ends in ``.xlsx``. The key of a result holds the table's content, not its place.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    reads_files: ClassVar[bool] = True

    path: str | Frame = Field(description="the path of a file, or a pandas DataFrame")

    @field_validator("path", mode="before")
    @classmethod
    def _kept(cls, path: Any) -> Any:
        """A DataFrame is known by its name: a suite of files need not import pandas."""
        names = [(kind.__module__.split(".")[0], kind.__name__) for kind in type(path).__mro__]
        return Frame(path) if ("pandas", "DataFrame") in names else path

    @field_serializer("path")
    def _told(self, path: str | Frame) -> str:
        return path if isinstance(path, str) else path.sha256

    @property
    def label(self) -> str:
        return "table" if isinstance(self.path, Frame) else Path(self.path).stem

    def fingerprint(self) -> dict[str, Any]:
        """SHA-256 of the file, or of the DataFrame; empty if the file is missing."""
        if isinstance(self.path, Frame):
            return {"sha256": self.path.sha256}
        return {} if self.missing() else {"sha256": sha256(self._file.read_bytes())}

    def identity(self) -> dict[str, Any]:
        identity = super().identity()
        fields = {key: value for key, value in identity["fields"].items() if key != "path"}
        return {**identity, "fields": fields}

    @property
    def _file(self) -> Path:
        return expanded(str(self.path))

    def missing(self) -> str | None:
        file = None if isinstance(self.path, Frame) else self._file
        if file is None or file.is_file():
            return None
        found = "a folder" if file.is_dir() else "nothing"
        return f"{self.name}: expected a file at {self.path!r}, found {found}: correct the path"

    def read(
        self,
        target: str | None,
        kind: Kind | None,
        drop: Sequence[str] = (),
        keep: Sequence[str] = (),
        missing_codes: Sequence[float] = (),
    ) -> Prepared:
        """The table, read and encoded: see ``tables.prepared``.

        Raises
        ------
        InputError
            If it cannot be read, lacks a named column, or has a target that cannot be used.
        """
        from xai_bench.tables.prepared import prepared
        from xai_bench.tables.reading import read_sheet, sheet_of

        try:
            sheet = sheet_of(self.path.frame) if isinstance(self.path, Frame) else read_sheet(self._file)
            return prepared(sheet, target, kind, drop, keep, missing_codes)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None


class CSV(UserTable):
    """A table: every column but ``target`` and those in ``drop`` is an input.

    The file is CSV with a header line and any common separator, Parquet if its name ends in ``.parquet``, or Excel if
    it ends in ``.xlsx``; from Python, ``path`` may be a pandas DataFrame. Numbers are read as people write them. A
    category becomes one input of several columns; missing numbers are filled with the median of the training rows.
    Constants, identifiers, free text and copies of the target are left out. The notices say what was done. The key of a
    result holds the table's content, not its place.
    """

    name: ClassVar[str] = "csv"
    traits: ClassVar[tuple[Trait, ...]] = ("real",)
    version: ClassVar[int] = 3
    later: ClassVar[tuple[str, ...]] = ("keep", "missing_codes")
    paired: ClassVar[tuple[str, ...]] = ("path", "target", "kind", "drop", "keep", "missing_codes")

    target: str
    kind: Kind
    drop: tuple[str, ...] = Field(default=())
    keep: tuple[str, ...] = ()
    """Columns that are used although they look like an identifier, or like a copy of the target."""
    missing_codes: tuple[float, ...] = ()
    """Numbers that stand for a missing value, such as -999."""

    def draw(self, rng: np.random.Generator) -> Table:
        """Read the table; see ``read``.

        Raises
        ------
        InputError
            See ``read``.
        """
        return of_prepared(
            self.read(self.target, self.kind, self.drop, self.keep, self.missing_codes), self.kind, "csv"
        )
