"""Models and rows from files, for the command line."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xai_bench import plugins
from xai_bench.errors import FAILURES, InputError, reason_of, unknown
from xai_bench.models.given import Given
from xai_bench.places import expanded

ARRAYS = (".npz", ".pt", ".pth", ".safetensors")


class Data(NamedTuple):
    """Rows and their target."""

    X: Any
    y: Any


def model_from(where: str, weights: str | Path | None) -> Any:
    """What FILE.py:FUNCTION stands for: with ``weights`` the module that it builds, holding them, else the function.

    Raises
    ------
    InputError
        If a file is missing or holds something else, the function does not exist or fails, or the weights do not fit.
    """
    if weights is not None:
        return Given(module=where, path=str(weights))._loaded()
    file, colon, function = where.rpartition(":")
    if not (colon and file.endswith(".py") and function.isidentifier()):
        raise InputError(f"--model: expected FILE.py:FUNCTION, got {where!r}")
    plugin = plugins.read(expanded(file))
    try:
        if plugin.module not in sys.modules:
            plugins.execute(plugin)
    except FAILURES as error:
        raise InputError(f"--model: {plugin.filename} fails: {reason_of(error)}") from error
    found = getattr(sys.modules[plugin.module], function, None)
    if found is None:
        known = [name for name, value in vars(sys.modules[plugin.module]).items() if callable(value)]
        raise unknown(f"function of {plugin.filename}", function, [name for name in known if not name.startswith("_")])
    return found


def data_from(path: str | Path, target: str | None) -> Data:
    """The rows in a file: arrays ``X`` and ``y`` (.npz, .safetensors, or .pt with a dict of tensors), or a table.

    ``target``: the column of a table that is the target.

    Raises
    ------
    InputError
        If the file cannot be read, or the target is missing.
    """
    file = expanded(path)
    if not file.is_file():
        found = "a folder" if file.is_dir() else "nothing"
        raise InputError(f"--data: expected a file at {str(path)!r}, found {found}: correct the path")
    if file.suffix not in ARRAYS:
        return _of_table(file, target)
    if target is not None:
        raise InputError(f"--target: expected none for {file.name!r}, whose array 'y' is the target: leave it out")
    content = _arrays(file)
    for name in ("X", "y"):
        if name not in content:
            raise InputError(
                f"--data: expected arrays 'X' and 'y' in {file.name!r}, got {', '.join(sorted(content)) or 'none'}"
            )
    return Data(content["X"], content["y"])


def _arrays(file: Path) -> Mapping[str, Any]:
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        if file.suffix == ".safetensors":
            import safetensors.numpy

            return safetensors.numpy.load_file(file)
        import torch

        content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, ValueError, zipfile.BadZipFile, *FAILURES) as error:
        raise InputError(f"--data: cannot read {file.name!r}: {reason_of(error)}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"--data: expected a dict with 'X' and 'y' in {file.name!r}, got {type(content).__name__}")
    return content


def _of_table(file: Path, target: str | None) -> Data:
    from xai_bench.tables.reading import read_sheet

    frame = read_sheet(file).frame
    if target is None:
        raise InputError(f"--target: expected the column of {file.name!r} that is the target, got none")
    if target not in frame:
        raise unknown(f"column of {file.name}", target, map(str, frame.columns))
    inputs = frame.drop(columns=target)
    numbers = inputs.apply(pd.to_numeric, errors="coerce")
    texts = [str(name) for name in inputs if numbers[name].isna().any()]
    if texts:
        raise InputError(
            f"--data: expected numbers in every row, got texts or missing values in the column {texts[0]!r}: encode "
            "the table as the model wants it"
        )
    y = frame[target]
    if y.isna().any():
        raise InputError(f"--data: expected a target in every row, got {int(y.isna().sum())} rows without one")
    as_numbers = pd.to_numeric(y, errors="coerce")
    return Data(numbers, y.astype(str) if as_numbers.isna().any() else as_numbers.rename(target))
