"""The user's own table with a target column: a CSV or Parquet file, or a DataFrame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, field_serializer, field_validator

from xai_bench.component import canonical_json, sha256
from xai_bench.datasets.base import DataSource, Floats, Ints, Kind, Table, Trait
from xai_bench.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

MAX_FLOAT_CLASSES = 50


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


class CSV(DataSource):
    """A table: every column but ``target`` and those in ``drop`` is an input.

    The file is CSV with a header line, or Parquet if its name ends in ``.parquet``; from Python, ``path`` may be a
    pandas DataFrame. Inputs are numbers or booleans (0/1). Class labels may be text. The key of a result holds the
    table's content, not its place.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: ClassVar[str] = "csv"
    traits: ClassVar[tuple[Trait, ...]] = ("real",)
    paired: ClassVar[tuple[str, ...]] = ("path", "target", "kind", "drop")
    reads_files: ClassVar[bool] = True

    path: str | Frame = Field(description="the path of a file, or a pandas DataFrame")
    target: str
    kind: Kind
    drop: tuple[str, ...] = Field(default=())

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
        return "table" if isinstance(self.path, Frame) else Path(self.path).expanduser().stem

    def fingerprint(self) -> dict[str, Any]:
        """SHA-256 of the file, or of the DataFrame; empty if the file is missing."""
        if isinstance(self.path, Frame):
            return {"sha256": self.path.sha256}
        return {} if self.missing() else {"sha256": sha256(Path(self.path).expanduser().read_bytes())}

    def identity(self) -> dict[str, Any]:
        identity = super().identity()
        fields = {key: value for key, value in identity["fields"].items() if key != "path"}
        return {**identity, "fields": fields}

    def missing(self) -> str | None:
        file = None if isinstance(self.path, Frame) else Path(self.path).expanduser()
        if file is None or file.is_file():
            return None
        found = "a folder" if file.is_dir() else "nothing"
        return f"csv: expected a file at {self.path!r}, found {found}: correct the path"

    def draw(self, rng: np.random.Generator) -> Table:
        """Read the file.

        Raises
        ------
        InputError
            If it cannot be read, lacks a named column, or holds inputs that are not finite numbers.
        """
        frame = _as_read(self.path.frame) if isinstance(self.path, Frame) else _read(Path(self.path).expanduser())
        for column in (self.target, *self.drop):
            if column not in frame:
                raise InputError(f"csv: {unknown('column', column, frame.columns)}")
        if self.target in self.drop:
            raise InputError(f"csv: expected a target that is kept, got {self.target!r} in drop too: take it out there")
        inputs = frame.drop(columns=[self.target, *self.drop])
        y, class_names = self._target(frame[self.target])
        return Table(
            X=_inputs(inputs),
            y=y,
            kind=self.kind,
            feature_names=tuple(inputs.columns),
            class_names=class_names,
            target_name=self.target,
            notices=_notices(inputs),
        )

    def _target(self, column: pd.Series) -> tuple[Floats | Ints, tuple[str, ...]]:
        """(n,) the target, and the names of its classes."""
        absent = int(column.isna().sum())
        if absent:
            raise InputError(
                f"csv: expected a target in every row, got {absent} missing values in {self.target!r} (an empty "
                "field, NA, None and the like): drop those rows, or write the label in another way"
            )
        numbers = _numbers(column)
        if self.kind == "regression":
            if numbers is None:
                raise InputError(
                    f"csv: the target {self.target!r} holds {_example(column)}: expected numbers for a "
                    "regression; for classes set kind = 'classification'"
                )
            return numbers, ()
        labels, y = np.unique(column.astype(str) if numbers is None else numbers, return_inverse=True)
        is_float = numbers is not None and column.dtype.kind == "f"
        if is_float and len(labels) > MAX_FLOAT_CLASSES:
            raise InputError(
                f"csv: the target {self.target!r} has {len(labels)} different decimal numbers: expected at "
                f"most {MAX_FLOAT_CLASSES} classes; set kind = 'regression', or write the classes as integers"
            )
        if len(labels) > max(len(y), 20) / 2:  # below 20 rows, their number is the mistake to name
            raise InputError(
                f"csv: the target {self.target!r} has {len(labels)} classes in {len(y)} rows: expected several "
                "rows a class; choose another target, or set kind = 'regression'"
            )
        if column.dtype.kind == "b":
            return y, tuple(str(bool(label)) for label in labels)
        return y, tuple(str(label) if numbers is None else f"{label:.15g}" for label in labels)


def _read(path: Path) -> pd.DataFrame:
    """The file as it is, all column names as text."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(path, low_memory=False, skipinitialspace=True)
                header = pd.read_csv(path, header=None, nrows=1, dtype=str, skipinitialspace=True).iloc[0]
    except ImportError:
        raise InputError(
            f"csv: reading {path.name!r} needs a Parquet library: run pip install pyarrow, or save the table as CSV"
        ) from None
    except pd.errors.EmptyDataError:
        raise InputError(f"csv: {path.name!r} is empty: expected a header line and rows") from None
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"csv: cannot read {path.name!r} as a table ({reason}): expected UTF-8 text with commas and a "
            "header line, or Parquet in a file named .parquet"
        ) from None
    frame.columns = frame.columns.astype(str)
    if path.suffix.lower() != ".parquet":
        _check_header(path.name, frame, header)
    return _usable(path.name, frame)


def _as_read(frame: pd.DataFrame) -> pd.DataFrame:
    """A DataFrame as if it were read from a file: names as text, the index left out."""
    frame = frame.reset_index(drop=True)
    frame.columns = frame.columns.astype(str)
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise InputError(f"csv: expected each column of the table once, got {twice[0]!r} again: rename or remove one")
    return _usable("table", frame)


def _usable(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        raise InputError(
            f"csv: {name!r} has {len(frame)} rows of {frame.shape[1]} columns: expected a header line and rows"
        )
    broken = [column for column in frame.columns if len(column.splitlines()) > 1]
    if broken:
        raise InputError(f"csv: expected column names of one line, got {broken[0]!r}: rename it")
    return frame


def _check_header(name: str, frame: pd.DataFrame, header: pd.Series) -> None:
    """What pandas would mend in silence: a column without a name, a name twice, another separator."""
    import pandas as pd

    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in str(header[0]):
            raise InputError(f"csv: expected commas between the fields of {name!r}, got {word}: save it with commas")
    twice = sorted(set(header[header.duplicated() & header.notna()]))
    if twice:
        raise InputError(f"csv: expected each column of {name!r} once, got {twice[0]!r} again: rename or remove one")
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(
            f"csv: expected a name for every column of {name!r}, got rows with more fields than the header: name them"
        )


def _inputs(frame: pd.DataFrame) -> Floats:
    """(n, d) the inputs as numbers."""
    columns = {name: _numbers(frame[name]) for name in frame}
    text = [str(name) for name, numbers in columns.items() if numbers is None]
    if text:
        raise InputError(
            f"csv: {_listed(text)} {'holds' if len(text) == 1 else 'hold'} {_example(frame[text[0]])}: expected "
            f"numbers; encode, or leave out with drop = {text[:5]}"
        )
    numeric = {str(name): numbers for name, numbers in columns.items() if numbers is not None}
    bad = {name: int((~np.isfinite(numbers)).sum()) for name, numbers in numeric.items()}
    holes = [name for name, count in bad.items() if count]
    if holes:
        others = f" (and some in {len(holes) - 1} more)" if len(holes) > 1 else ""
        raise InputError(
            f"csv: expected finite numbers, got {bad[holes[0]]} missing or infinite values in column {holes[0]!r}"
            f"{others}: fill them, drop the rows, or leave the column out with drop = {holes[:5]}"
        )
    return np.column_stack([*numeric.values()]) if numeric else np.empty((len(frame), 0))


def _numbers(column: pd.Series) -> Floats | None:
    """(n,) float64 with NaN where a value is missing; None if some value is neither number nor boolean."""
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c"  # booleans are numeric here
    if not numeric and not (column.dtype == object and all(isinstance(value, bool) for value in column.dropna())):
        return None
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _example(column: pd.Series) -> str:
    """The first value of a column that is not a number, for an error line."""
    import pandas as pd

    known = column.dropna()
    strange = known[pd.to_numeric(known.astype(str), errors="coerce").isna()]
    value = (strange if len(strange) else known).iloc[0]
    return f"{'text' if isinstance(value, str) else 'other values'} such as {str(value)!r}"


def _listed(names: list[str]) -> str:
    """``column 'a'`` or ``the columns 'a', 'b' and 7 more``."""
    if len(names) == 1:
        return f"column {names[0]!r}"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"the columns {', '.join(repr(name) for name in names[:5])}{more}"


def _notices(inputs: pd.DataFrame) -> tuple[str, ...]:
    unnamed = [str(name) for name in inputs if str(name).startswith("Unnamed: ")]
    return tuple(
        f"csv: column {name!r} has no name in the header; if it counts the rows, leave it out with drop = [{name!r}]"
        for name in unnamed
    )
