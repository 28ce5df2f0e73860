"""The contract of an explainer: what it may see, what it returns, and how it is measured."""

from __future__ import annotations

import contextlib
import copy
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xai_bench.component import Component
from xai_bench.datasets.inputs import Inputs, each_column, several_columns, shape_of
from xai_bench.devices import seeded as seeded
from xai_bench.devices import synchronise
from xai_bench.errors import InputError
from xai_bench.explainers.first_layer import first_layer
from xai_bench.explainers.promise import Promise, checked_p_values
from xai_bench.models.folding import fold_spectral, of_margins
from xai_bench.models.spectral import SpectralLinear

Kind = Literal["classification", "regression"]
Needs = Literal["data", "predict", "gradient", "linear_first_layer", "spectral"]
Aggregate = Literal["mean_abs", "abs_mean", "rms"]
BaselineName = Literal["mean", "zero"]
Join = Literal["sum", "norm", "max"]

READERS: dict[str, tuple[type[nn.Module], str]] = {
    "spectral": (SpectralLinear, "a spectral"),
    "linear_first_layer": (nn.Linear, "an ordinary dense"),
}
"""What ``needs`` asks of the first layer, and in words."""
ELEMENTS = 2**23
"""Numbers in one batch of rows at the most (32 MiB in float32)."""
BYTES_AN_ELEMENT = 256
"""What a method may take for each of them: copies, layers, gradients. So 2 GiB are enough for batches of full size."""


def elements_at_once(memory: int | None = None) -> int:
    """Numbers in one batch of rows, for a method that may take ``memory`` bytes (None: no limit)."""
    return ELEMENTS if memory is None else max(1, min(ELEMENTS, memory // BYTES_AN_ELEMENT))


def rows_at_once(limit: int, d: int, memory: int | None = None) -> int:
    """Rows of ``d`` inputs in one batch: ``limit``, and fewer where they are more than ``elements_at_once`` numbers."""
    return max(1, min(limit, elements_at_once(memory) // d))


@dataclass
class Evaluations:
    """How many rows went through the model, forward and backward."""

    forward_rows: int = 0
    backward_rows: int = 0

    def watch(self, model: nn.Module) -> None:
        """Count from now on. Copies of the model count too."""

        def forward(_module: nn.Module, _inputs: tuple, output: object) -> None:
            if isinstance(output, Tensor):
                self.forward_rows += len(output)
                if output.requires_grad:
                    output.register_hook(backward)

        def backward(gradient: Tensor) -> None:
            self.backward_rows += len(gradient)

        model.register_forward_hook(forward)


@dataclass
class Clock:
    """CPU and wall seconds, set-up and the rest apart. ``device``: it is waited for before a clock is read."""

    setup_cpu: float = 0.0
    setup_wall: float = 0.0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @contextlib.contextmanager
    def setting_up(self) -> Iterator[None]:
        """Charge the time spent inside to set-up (fitting a selector, summarising a background)."""
        synchronise(self.device)
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            synchronise(self.device)
            self.setup_cpu += time.process_time() - cpu
            self.setup_wall += time.perf_counter() - wall


@dataclass(frozen=True)
class Problem:
    """All that an explainer may see: no test rows, no truth.

    Attributes
    ----------
    model : module in eval mode from (n, d) to (n, n_outputs), or None
    X_train, X_valid : (n, d) float32 tensors, standardised unless the suite says otherwise
    y_train, y_valid : (n,) int64 classes, or float32 values
    kind : classification or regression
    n_outputs : classes, or 1
    feature_shape : (rows, columns) of pictures, or None
    inputs : the columns of each input, a partition of 0 .. d-1; () if every column is an input by itself
    generator : numpy generator for the explainer's own randomness
    clock : for ``with problem.clock.setting_up():``
    memory : bytes that the method may take, or None; batches follow it (``rows_at_once``)
    """

    model: nn.Module | None
    X_train: Tensor
    y_train: Tensor
    X_valid: Tensor
    y_valid: Tensor
    kind: Kind
    n_outputs: int
    feature_shape: tuple[int, int] | None = None
    inputs: Inputs = ()
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    clock: Clock = field(default_factory=Clock)
    memory: int | None = None

    @property
    def d(self) -> int:
        """Number of columns."""
        return int(self.X_train.shape[1])

    @property
    def partition(self) -> Inputs:
        """The columns of each input, also where every column is one."""
        return self.inputs or each_column(self.d)

    @property
    def several(self) -> Inputs:
        """The inputs of more than one column."""
        return several_columns(self.inputs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row: see ``datasets.inputs.shape_of``."""
        return shape_of(self.d, self.partition, self.feature_shape)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """(d,) True for the columns that are constant on the training rows."""
        return (self.X_train == self.X_train[0]).all(0).cpu().numpy()

    @property
    def device(self) -> torch.device:
        """Where the rows are, and the model."""
        return self.X_train.device

    @property
    def fitted(self) -> nn.Module:
        """The model; raises if there is none."""
        if self.model is None:
            raise ValueError("this problem has no model")
        return self.model

    def background(self, rows: int) -> Tensor:
        """(rows, d): training rows drawn without replacement (all of them if there are fewer)."""
        n = len(self.X_train)
        chosen = np.sort(self.generator.permutation(n)[: min(rows, n)])
        return self.X_train[torch.from_numpy(chosen).to(self.device)]


class Relevance(NamedTuple):
    """What a method says of every column, ``columns`` (d,), and of every input, ``inputs`` (n_inputs,).

    ``p_values`` (n_inputs,): of the inputs, from a method with a ``promise``; None without.
    """

    columns: NDArray
    inputs: NDArray
    p_values: NDArray | None = None


@dataclass(frozen=True)
class Explanation:
    """What an explainer found and what it cost (seconds; rows).

    ``relevance``: (d,) of the columns. ``over_inputs``: (n_inputs,) of the inputs, the same where each has one column.
    ``rows_explained``: how many rows were looked at one by one, None for a method without such rows.
    ``p_values``: (n_inputs,) of a method with a ``promise``, else None.
    """

    relevance: NDArray[np.float64]
    over_inputs: NDArray[np.float64]
    setup_cpu: float
    setup_wall: float
    explain_cpu: float
    explain_wall: float
    forward_rows: int
    backward_rows: int
    rows_explained: int | None = None
    p_values: NDArray[np.float64] | None = None


class Explainer(Component):
    """A method that says how much a model (or a target) relies on each input.

    Subclasses set ``name`` and ``needs`` and write ``relevance``. ``explain`` is what the harness calls. An input of
    several columns, such as the one-hot columns of a category, gets what ``joins`` says of the relevances of its
    columns. A method that can look at them jointly writes ``relevances`` too.
    """

    family: ClassVar[str] = "explainers"
    needs: ClassVar[Needs] = "predict"
    """``data``: no model. ``predict``: outputs. ``gradient``: a differentiable model.
    ``linear_first_layer``: a Linear alone reads the inputs, as they are. ``spectral``: a SpectralLinear does."""
    asks: ClassVar[str] = ""
    """What it needs of a model, in words, where ``needs`` does not say all of it."""
    reads: ClassVar[tuple[type[nn.Module], ...]] = ()
    """First layers that the method can read beside those that ``needs`` asks for."""

    joins: ClassVar[Join] = "sum"
    """How the relevances of the columns of an input become one: their sum, their Euclidean norm, or the largest."""

    promise: ClassVar[Promise | None] = None
    """What the p-values of ``relevances`` (or of a Selection) promise; None for a method that only ranks."""

    max_inputs: Annotated[int, Field(ge=1)] | None = None
    """Above this number of columns the method is not run, and says so."""

    @abstractmethod
    def relevance(self, problem: Problem) -> NDArray:
        """(d,) of the columns, finite and >= 0; larger is more relevant. Fit what must be fitted inside
        ``with problem.clock.setting_up():``."""

    def relevances(self, problem: Problem) -> Relevance:
        """The relevance of the columns and of the inputs, where one has several columns.

        A subclass that writes ``relevance`` alone is asked for that, also where a class above it writes this.
        """
        columns = checked_relevance(self.name, self.relevance(problem), problem.d)
        return Relevance(columns, self.joined(columns, problem))

    def joined(self, columns: NDArray, problem: Problem) -> NDArray[np.float64]:
        """(n_inputs,) from the relevances of the columns (d,), as ``joins`` says; constant columns count as 0."""
        values = np.where(problem.constant, 0.0, columns)
        return np.array([JOINED[self.joins](values[list(columns)]) for columns in problem.partition])

    def _found(self, problem: Problem) -> Relevance:
        """``relevances`` where an input has several columns, or there are p-values, else ``relevance`` of both."""
        if not problem.several and self.promise is None:
            columns = self.relevance(problem)
            return Relevance(columns, columns)
        writer = next(kind for kind in type(self).__mro__ if vars(kind).keys() & {"relevance", "select", "relevances"})
        writes = "relevances" in vars(writer) or "select" in vars(writer)
        return self.relevances(problem) if writes else Explainer.relevances(self, problem)

    def unsupported(self, problem: Problem) -> str | None:
        """Why this method cannot be used on this problem, or None. Extend it with ``super()``."""
        if self.max_inputs is not None and problem.d > self.max_inputs:
            return f"{problem.d} inputs are above max_inputs = {self.max_inputs}"
        if self.needs == "data":
            return None
        if problem.model is None:
            return "it needs a model"
        if self.needs == "gradient" and not _has_gradients(problem.model, problem.X_train):
            return "it needs gradients, and the outputs of the model have none: it only predicts"
        if self.needs in READERS:
            wanted, words = READERS[self.needs]
            layer, reason = first_layer(problem.model, problem.X_train)
            return reason if isinstance(layer, (wanted, *self.reads)) else f"it needs {words} first layer"
        return None

    def rows_explained(self, problem: Problem) -> int | None:
        """How many rows the method looks at one by one; None where it looks at none, or at the data as a whole."""
        return None

    def explain(self, problem: Problem, seed: int = 0) -> Explanation:
        """Run ``relevances`` on a deep copy of the model: validated, timed, counted, seeded.

        ``seed`` seeds ``problem.generator`` and, inside a context that restores them, torch, numpy and
        random. Columns that are constant on the training rows get 0, and so do inputs all of whose columns are.

        Raises
        ------
        ValueError
            If the method returns something else than (d,), or (n_inputs,), finite numbers >= 0.
        """
        model, evaluations = copy.deepcopy(problem.model), Evaluations()
        if model is not None:
            evaluations.watch(model)
        clock = Clock(device=problem.device)
        generator = np.random.default_rng(seed)
        with seeded(seed):
            synchronise(problem.device)
            cpu, wall = time.process_time(), time.perf_counter()
            raw = self._found(replace(problem, model=model, generator=generator, clock=clock))
            synchronise(problem.device)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        relevance = over_inputs = checked_relevance(self.name, raw.columns, problem.d)
        constant = problem.constant
        relevance[constant] = 0.0
        if problem.several:
            over_inputs = checked_relevance(self.name, raw.inputs, len(problem.partition))
            over_inputs[[constant[list(columns)].all() for columns in problem.partition]] = 0.0
        p_values = None
        if self.promise is not None and raw.p_values is not None:
            p_values = checked_p_values(self.name, raw.p_values, len(problem.partition))
            p_values[[constant[list(columns)].all() for columns in problem.partition]] = 1.0
        return Explanation(
            relevance,
            over_inputs,
            setup_cpu=clock.setup_cpu,
            setup_wall=clock.setup_wall,
            explain_cpu=max(cpu - clock.setup_cpu, 0.0),
            explain_wall=max(wall - clock.setup_wall, 0.0),
            forward_rows=evaluations.forward_rows,
            backward_rows=evaluations.backward_rows,
            rows_explained=self.rows_explained(problem),
            p_values=p_values,
        )


def _has_gradients(model: nn.Module, X: Tensor) -> bool:
    """Whether outputs can be differentiated by the rows; also where the model fails, which the method will tell."""
    try:
        with torch.enable_grad():
            outputs = model(X[:2].detach().clone().requires_grad_(True))
    except Exception:
        return True
    return not isinstance(outputs, Tensor) or outputs.requires_grad


JOINED: dict[Join, Callable[[NDArray], float]] = {
    "sum": lambda values: float(values.sum()),
    "norm": lambda values: float(np.linalg.norm(values)),
    "max": lambda values: float(values.max()),
}


def checked_relevance(name: str, raw: object, d: int) -> NDArray[np.float64]:
    """(d,) in double precision, a copy.

    Raises
    ------
    ValueError
        If the method of that name returned something else than (d,) finite numbers >= 0.
    """
    if isinstance(raw, Tensor) and raw.is_meta:
        raise ValueError(f"{name}: expected numbers, got a tensor on the device meta, which has none")
    values = raw.detach().cpu().numpy() if isinstance(raw, Tensor) else np.asarray(raw)
    if values.shape != (d,):
        raise ValueError(f"{name}: expected a relevance of shape ({d},), got {values.shape}")
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected real numbers, got the dtype {values.dtype}")
    _check_places(name, raw, d)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite relevances, got {int((~np.isfinite(values)).sum())} that are not")
    if (values < 0).any():
        raise ValueError(f"{name}: expected relevances >= 0, got {values.min():.3g}: return absolute values")
    return values


def _check_places(name: str, raw: object, d: int) -> None:
    """Refuse what an array of it would hide: masked numbers, and a Series that was sorted by value."""
    if np.ma.is_masked(raw):
        raise ValueError(f"{name}: expected finite relevances, got {np.ma.count_masked(raw)} that are masked")
    index = np.asarray(getattr(raw, "index", None))
    if index.shape == (d,) and index.dtype.kind in "iu" and (index != np.arange(d)).any():
        raise ValueError(f"{name}: expected relevances in the order of the inputs, got a Series with another index")


@dataclass(frozen=True)
class Selection:
    """What a selector found with its present fields.

    Attributes
    ----------
    relevance : (d,) finite and >= 0; larger is more relevant
    valid_score : accuracy, or R2, on the validation rows of what was fitted on the training rows (higher is
        better); None where nothing is fitted that predicts, so that there is nothing to tune
    over_inputs : (n_inputs,) of inputs that were looked at jointly; None where ``joins`` says how they come about
    p_values : (n_inputs,) of a method with a ``promise``
    """

    relevance: NDArray
    valid_score: float | None = None
    over_inputs: NDArray | None = None
    p_values: NDArray | None = None


class Selector(Explainer):
    """A method that looks at the data and fits a model of its own; it sees no network. Subclasses write ``select``.

    All of it is set-up. Where it ``predicts``, ``select`` may be called for copies with other fields, to choose among
    them by ``valid_score``.
    """

    needs: ClassVar[Needs] = "data"
    predicts: ClassVar[bool] = True
    """Whether ``select`` fits something that predicts and gives a ``valid_score``; if not, there is nothing to tune."""

    @abstractmethod
    def select(self, problem: Problem) -> Selection:
        """Fit on ``X_train, y_train``, score on ``X_valid, y_valid``; all randomness from ``problem.generator``."""

    def relevance(self, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            return self.select(problem).relevance

    def relevances(self, problem: Problem) -> Relevance:
        with problem.clock.setting_up():
            found = self.select(problem)
        columns = checked_relevance(self.name, found.relevance, problem.d)
        over_inputs = self.joined(columns, problem) if found.over_inputs is None else found.over_inputs
        return Relevance(columns, over_inputs, found.p_values)


def score_on_valid(problem: Problem, predicted: NDArray) -> float:
    """Accuracy of predicted classes (n_valid,), or R2 of predicted values; higher is better.

    R2 is measured against the variance of the training part, so that it is defined for a single row.
    """
    y = problem.y_valid.cpu().numpy()
    if problem.kind == "classification":
        return float(np.mean(predicted == y))
    variance = max(float(problem.y_train.double().var(correction=0)), 1e-12)
    return 1.0 - float(np.mean((np.asarray(predicted, dtype=np.float64) - y) ** 2)) / variance


class LocalExplainer(Explainer):
    """A method that attributes each row's output to its inputs. Subclasses write ``attribute`` only.

    At most ``rows`` validation rows are explained, and aggregated over rows. An input of several columns has, in every
    row, the signed sum of their attributions, which is then aggregated.
    """

    needs: ClassVar[Needs] = "gradient"
    completeness: ClassVar[bool] = False
    """Whether the attributions of a row add up to its output less something that is the same for all rows."""

    rows: Annotated[int, Field(ge=1)] = 256
    """Validation rows that are explained (drawn without replacement; all if there are fewer)."""
    target: Literal["true_class", "predicted_class", "margin"] = "true_class"
    """What is explained in classification; in regression it is the output. The logit of a class, or the margin: the
    logit of the true class less the mean of the others, of two classes their difference. A function that is added to
    all logits changes no probability, and no margin, but it does change what a single logit is attributed to."""
    aggregate: Aggregate = "mean_abs"
    """Over rows: mean of absolute values, absolute value of the mean, or root mean square."""

    @abstractmethod
    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor | NDArray:
        """(n, d) attributions of ``X`` (n, d).

        ``target`` (n,) int64 is the class explained in every row, None in regression (output 0). The model
        is a copy, in eval mode, and its spectral layers are folded into ordinary Linear layers.
        """

    def rows_apart(self) -> bool:
        """Whether the attributions of a row depend on that row only, not on those that are explained beside it."""
        return True

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.rows, len(problem.X_valid))

    def relevance(self, problem: Problem) -> NDArray:
        return aggregated(self._attributions(problem), self.aggregate)

    def relevances(self, problem: Problem) -> Relevance:
        values = self._attributions(problem)
        by_input = summed_over_inputs(np.where(problem.constant, 0.0, values), problem.partition)
        return Relevance(aggregated(values, self.aggregate), aggregated(by_input, self.aggregate))

    def _attributions(self, problem: Problem) -> NDArray:
        """(n, d) of the rows that are explained."""
        with problem.clock.setting_up():
            model = fold_spectral(problem.fitted)
            if self.target == "margin" and problem.kind == "classification":
                model = of_margins(model, problem.n_outputs)
            for parameter in model.parameters():
                parameter.requires_grad_(False)
        n = len(problem.X_valid)
        chosen = torch.from_numpy(np.sort(problem.generator.permutation(n)[: self.rows])).to(problem.device)
        X, target = problem.X_valid.index_select(0, chosen), None
        if problem.kind == "classification":
            target = problem.y_valid[chosen]
            if self.target == "predicted_class":
                with torch.no_grad():
                    target = model(X).argmax(1)
        values = self.attribute(model, X, target, problem)
        values = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if values.shape != tuple(X.shape):
            raise ValueError(f"{self.name}: expected attributions of shape {tuple(X.shape)}, got {values.shape}")
        return values


def summed_over_inputs(values: NDArray, inputs: Inputs) -> NDArray[np.float64]:
    """(n, n_inputs) sums over the columns of each input, of ``values`` (n, d)."""
    order = [column for columns in inputs for column in columns]
    starts = np.cumsum([0, *map(len, inputs[:-1])])
    return np.add.reduceat(values[:, order], starts, axis=1, dtype=np.float64)


def aggregated(values: NDArray, how: Aggregate) -> NDArray[np.float64]:
    """(n, d) attributions, of any real type, to (d,) relevances; sums are taken in float64."""
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if how == "mean_abs":
        return np.abs(values).mean(0, dtype=np.float64)
    if how == "abs_mean":
        return np.abs(values.mean(0, dtype=np.float64))
    if how == "rms":
        return np.sqrt(np.square(values, dtype=np.float64).mean(0))
    raise InputError(f"unknown aggregate {how!r}: expected mean_abs, abs_mean or rms")
