"""A trained module, or a function that predicts, as the source of a network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from pydantic import ConfigDict, field_serializer
from torch import Tensor, nn

from xai_bench.component import Component, canonical_json, sha256
from xai_bench.datasets.base import Dataset
from xai_bench.devices import seeded
from xai_bench.errors import FAILURES, InputError, reason_of
from xai_bench.models.base import FittedModel, Kind
from xai_bench.models.given import Given, Network, check_open, fitted_to, unwrapped
from xai_bench.trained.rows import Rows

ROWS = 512
"""Rows that go through a model at once, to look at what it says."""
ALIKE = 1e-3
"""Of the largest output: by how much outputs of a row may differ in another batch."""
MOST_LABELS = 50
"""Different whole numbers, among which are all outputs: they are labels, not scores."""
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Predictor:
    """A function as the value of a field, equal to another one that says the same of some rows.

    Attributes
    ----------
    function : from an array (n, *shape), or a DataFrame where there are ``names``, to scores
    shape : of a row
    names : of the columns of a DataFrame, or ()
    sha256 : of what it says
    """

    function: Function
    shape: tuple[int, ...]
    names: tuple[str, ...]
    sha256: str = ""

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Scores of the rows X (n, d), float32."""
        rows: Any = X.reshape(len(X), *self.shape)
        if self.names:
            rows = pd.DataFrame(rows, columns=list(self.names))
        said = self.function(rows)
        if isinstance(said, tuple | list | dict) or not hasattr(said, "__array__"):
            raise InputError(f"model: expected a function that returns an array of scores, got {type(said).__name__}")
        if isinstance(said, Tensor):
            said = said.detach().cpu()
        return np.asarray(said, dtype=np.float32)

    def __deepcopy__(self, memo: dict[int, Any]) -> Predictor:
        return self  # it predicts, and is never changed


class Called(nn.Module):
    """A function as a module without weights, and without gradients."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, n_outputs) or (n,)."""
        said = self.predictor(x.detach().cpu().numpy())
        return torch.from_numpy(np.array(said)).to(x.device)


class GivenFunction(Component):
    """A function that predicts: see ``models.source.ModelSource``. Its key is the hash of what it says of the rows."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    family: ClassVar[str] = "models"
    name: ClassVar[str] = "function"
    trains: ClassVar[bool] = False
    needs_picture: ClassVar[bool] = True

    predictor: Predictor
    head: str = ""
    """How its only output becomes those of two classes: see ``with_head``."""

    @field_serializer("predictor")
    def _told(self, predictor: Predictor) -> str:
        return predictor.sha256

    def unsupported(self, data: Dataset) -> str | None:
        """Any rows that it was checked on will do."""
        return None

    def network(
        self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator, kind: Kind = "classification"
    ) -> nn.Module:
        """The function as a module."""
        return with_head(Called(self.predictor), self.head).eval()

    def fit(
        self, data: Dataset, seed: int = 0, columns: Sequence[int] | None = None, *, device: str | torch.device = "cpu"
    ) -> FittedModel:
        """The function with its scores on a dataset; nothing is trained."""
        if columns is not None and len(columns) < data.d:
            raise InputError(f"a function needs all its inputs: expected {data.d} columns, got {len(columns)}")
        return fitted_to(data, with_head(Called(self.predictor), self.head).eval(), device)


class GivenModule(Given):
    """A module that was looked at on its rows, see ``look_at``: other numbers, which may mean nothing to it, are not
    tried."""

    def _checked(self, module: nn.Module, d: int, n_outputs: int, kind: Kind) -> nn.Module:
        return module


@dataclass(frozen=True)
class Looked:
    """What a look at a model showed.

    Attributes
    ----------
    outputs : (n, n_outputs) of all rows; two columns for one output of two classes
    kind : classification or regression
    head : see ``with_head``
    """

    outputs: np.ndarray
    kind: Kind
    head: str

    @property
    def notices(self) -> tuple[str, ...]:
        """What was taken for granted."""
        word = next((word for word in ("logit", "probability") if word in self.head), "")
        return (f"the only output of the model is taken for the {word} of the second class",) if word else ()


def with_head(module: nn.Module, head: str) -> nn.Module:
    """The module with its only output as those of two classes, or of a regression, by layers that methods know.

    ``head``: words joined by blanks. ``column`` makes (n, 1) of (n,), ``logit`` -z/2 and z/2 of the logit z,
    ``probability`` 1 - p and p of the probability p of the second class; "" leaves it as it is.
    """
    layers: list[nn.Module] = []
    words = head.split()
    if "column" in words:
        layers.append(nn.Unflatten(0, (-1, 1)))
    if "logit" in words or "probability" in words:
        layers.append(_two("probability" in words))
    return nn.Sequential(module, *layers) if layers else module


def _two(probability: bool) -> nn.Linear:
    linear = nn.Linear(1, 2)
    weight, bias = ([[-1.0], [1.0]], [1.0, 0.0]) if probability else ([[-0.5], [0.5]], [0.0, 0.0])
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(weight))
        linear.bias.copy_(torch.tensor(bias))
    return linear.requires_grad_(False)


def on_flat_rows(module: nn.Module, shape: tuple[int, ...], head: str) -> nn.Module:
    """The module on rows (n, d), whose shape it is given: a copy, in single precision, in eval mode."""
    check_open("model", module)
    try:
        module = unwrapped(copy.deepcopy(module)).cpu().eval().float()
    except Exception as error:
        raise InputError(
            f"model: expected a module that can be copied, got one that cannot: {reason_of(error)}: use "
            "torch.nn.utils.parametrizations in place of hooks that hold tensors"
        ) from None
    headed = with_head(module, head)
    return headed if len(shape) == 1 else nn.Sequential(nn.Unflatten(1, shape), headed)


def source_of(model: nn.Module | Function, rows: Rows, looked: Looked) -> Any:
    """What stands under ``[[models]]`` for the model."""
    if isinstance(model, nn.Module):
        return GivenModule(module=Network(on_flat_rows(model, rows.shape, looked.head)))
    predictor = Predictor(model, rows.shape, rows.names)
    mixed = np.random.default_rng(0).permuted(rows.X.reshape(len(rows.X), -1), axis=0)
    said = [sha256(np.ascontiguousarray(part).tobytes()) for part in (looked.outputs, predictor(mixed))]
    return GivenFunction(predictor=Predictor(model, rows.shape, rows.names, sha256(canonical_json(said))),
                         head=looked.head)  # fmt: skip


def look_at(model: Any, rows: Rows, kind: Kind | None) -> Looked:
    """What a model says of the rows.

    Raises
    ------
    InputError
        In one line: no module and no function, one that fails on the rows, overwrites them, returns something else
        than one row of finite numbers for each, or says something else of a row in another batch.
    """
    if not isinstance(model, nn.Module) and not callable(model):
        raise InputError(
            f"model: expected a torch.nn.Module, or a function from rows to scores, got {type(model).__name__}"
        )
    flat = torch.from_numpy(rows.X.reshape(len(rows.X), -1))
    is_module = isinstance(model, nn.Module)
    network = on_flat_rows(model, rows.shape, "") if is_module else Called(Predictor(model, rows.shape, rows.names))
    with torch.no_grad(), seeded(0):
        parts = [_said(network, part, rows.shape) for part in flat.split(ROWS)]
        _check_rows_apart(network, flat, parts[0], rows.shape)
    outputs = torch.cat(parts).numpy()
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        if kind == "regression":
            raise InputError(f"model: expected one output in regression, got {outputs.shape[1]}: explain one at a time")
        return Looked(outputs, "classification", "")
    return _of_one_output(outputs, rows.y, kind)


def _said(network: nn.Module, given: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(n, n_outputs) or (n,), finite."""
    before = given.clone()
    where = f"rows of the shape {shape}"
    try:
        said = network(given)
    except InputError:
        raise
    except FAILURES as error:
        raise InputError(
            f"model: expected one for {where} in single precision, got one that fails on them: {reason_of(error)}"
        ) from None
    if not isinstance(said, Tensor):
        raise InputError(
            f"model: expected a tensor of scores, got {type(said).__name__}: wrap the model in one that returns the "
            "scores alone"
        )
    if said.ndim not in (1, 2) or len(said) != len(given) or said.numel() < len(given):
        raise InputError(
            f"model: expected scores (n,) or (n, outputs) for n = {len(given)} {where}, got {tuple(said.shape)}"
        )
    if not torch.equal(before, given):
        raise InputError("model: expected one that leaves its inputs as they are, got one that overwrites them")
    said = said.float()
    if not bool(torch.isfinite(said).all()):
        wrong = int((~torch.isfinite(said)).any(-1).sum()) if said.ndim == 2 else int((~torch.isfinite(said)).sum())
        raise InputError(f"model: expected finite scores, got missing or infinite ones for {wrong} of {len(said)} rows")
    return said


def _check_rows_apart(network: nn.Module, X: Tensor, said: Tensor, shape: tuple[int, ...]) -> None:
    few = min(3, len(X))
    again = _said(network, X[:few].clone(), shape)
    if float((again - said[:few]).abs().max()) > ALIKE * float(said.abs().max()):
        raise InputError(
            "model: expected scores of a row that depend on this row alone, got others in another batch: set "
            "batch_first=True, and use dropout in training only"
        )


def _check_scores(values: np.ndarray, y: np.ndarray) -> None:
    """Refuse what a classifier's ``predict`` returns: it would count as a regression."""
    labels = np.unique(y) if y.dtype.kind in "iu" else y[:0]
    if 2 < len(labels) <= MOST_LABELS and np.isin(values, labels).all() and len(np.unique(values)) > 1:
        raise InputError(
            f"model: expected scores, got what looks like labels, such as {values[0]:g}: return scores (n, classes), "
            "such as predict_proba, or say kind = 'regression'"
        )


def _of_one_output(outputs: np.ndarray, y: np.ndarray, kind: Kind | None) -> Looked:
    """A logit or a probability of two classes, or a value."""
    column = "column" if outputs.ndim == 1 else ""
    values = outputs.reshape(-1)
    labels = set(np.unique(y).tolist()) if y.dtype.kind in "biuf" else set(map(str, y))
    if kind is None:
        _check_scores(values, y)
        kind = (
            "classification" if len(labels) == 2 and (y.dtype.kind not in "biuf" or labels <= {0, 1}) else "regression"
        )
    if kind == "regression":
        if y.dtype.kind not in "biuf":
            raise InputError(f"y: expected numbers, as the model has one output, got {len(labels)} different texts")
        return Looked(values[:, None], kind, column)
    if len(labels) > 2 or (y.dtype.kind in "biuf" and not labels <= {0, 1}):
        raise InputError(
            "model: expected one output a class, got one output and other labels than 0 and 1: return scores "
            "(n, classes), such as predict_proba"
        )
    probability = bool(values.min() >= 0 and values.max() <= 1)
    both = np.stack([1 - values, values] if probability else [-values / 2, values / 2], axis=1)
    return Looked(both, kind, f"{column} {'probability' if probability else 'logit'}".strip())
