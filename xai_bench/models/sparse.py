"""Sparse spectral networks: a path of strengths of an L1 penalty on the eigenvalues, and the choice of one.

The recipe. One network for every fold walks from weak to strong: SGD on lambda followed by a soft threshold,
which gives exact zeros, and Adam on everything else. L1 on lambda with L2 on phi is the concave penalty
||w_j||^(2/3) on the columns of the first weight. Every support on the way is refitted from scratch without
penalty; the held-out losses of these refits choose: the sparsest strength whose paired difference to the best is
within one standard error (Breiman et al. 1984, on differences). Only training and validation rows are looked at.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from xai_bench.component import Component, sha256, stream_seed
from xai_bench.datasets.base import Bools, Dataset, Floats
from xai_bench.errors import InputError
from xai_bench.models.base import FittedModel, Kind
from xai_bench.models.mlp import Activation, SpectralMLP
from xai_bench.models.stack import Stack
from xai_bench.models.training import (
    ADAM_BETAS,
    ADAM_EPS,
    CHUNK,
    RowWeights,
    Streams,
    Task,
    Tensors,
    batch_rows,
    bucket,
    fit_many,
    fitted_model,
    loss_gradient,
    row_losses,
)

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class SparseSettings(Component):
    """The constants of the path. The defaults were fixed on data seeds that no reported figure uses."""

    family: ClassVar[str] = "models"
    name: ClassVar[str] = "sparse_path"

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 32)
    activations: Annotated[tuple[Activation, ...], Field(min_length=1)] = ("relu",)
    batch_size: Count = 128
    learning_rate: Positive = 1e-3
    """Of Adam on everything but lambda, and of the refits; constant."""
    lambda_rate: Positive = 0.1
    """Of the gradient steps on lambda."""
    l2_phi: Annotated[float, Field(ge=0)] = 1e-3
    """Of sum phi^2 along the path; the refits have no penalty."""
    weakest: Positive = 0.005
    """The first strength after 0."""
    ratio: Annotated[float, Field(gt=1)] = 1.5
    """From one strength to the next."""
    levels: Count = 16
    """Strengths above 0; the path ends earlier where no network has an input left."""
    first_steps: Count = 600
    """Gradient steps at strength 0."""
    level_steps: Count = 200
    """Gradient steps at every further strength."""
    window: Count = 100
    """An input is selected at a strength if lambda is not 0 in half of the last ``window`` steps, or more."""
    folds: Annotated[int, Field(ge=2)] = 5
    votes: Count = 4
    """Folds that must select an input."""
    agreement: Annotated[float, Field(ge=0, le=1)] = 0.75
    """If fewer than this share of the median fold's inputs get the votes, the best fold's inputs are taken."""
    refit_steps: Count = 1000
    refit_checkpoints: Count = 50
    """Moments of a refit at which the held-out loss is looked at; the best is kept."""
    largest_refit: Count = 300
    """Larger supports are not refitted: the network on the path itself is judged."""

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.votes > self.folds:
            raise ValueError(f"expected votes <= folds, got votes = {self.votes} of {self.folds} folds")
        if self.window > min(self.first_steps, self.level_steps):
            raise ValueError(f"expected a window within the steps of a level, got window = {self.window}")
        return self

    def strengths(self) -> tuple[float, ...]:
        """0, then ``weakest`` times powers of ``ratio``."""
        return (0.0, *(self.weakest * self.ratio**k for k in range(self.levels)))

    def on_path(self) -> SpectralMLP:
        """The network that walks along the path; its L1 penalty is the soft threshold."""
        return SpectralMLP(
            hidden=self.hidden,
            activations=self.activations,
            batch_norm=(False,),
            dropout=(0.0,),
            l2_lambda=0.0,
            l2_phi=self.l2_phi,
            learning_rate=self.learning_rate,
            schedule="constant",
            batch_size=self.batch_size,
        )

    def refit(self) -> SpectralMLP:
        """The network that is trained on a support, without penalty."""
        steps = {"epochs": 1e-9, "min_steps": self.refit_steps, "checkpoints": self.refit_checkpoints}
        return self.on_path().model_copy(update={"l2_phi": 0.0, **steps})


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that the choice may look at.

    Attributes
    ----------
    X : (n, d), standardised
    y : (n,) classes from 0, or values; (n, n_outputs) values of several targets
    kind : classification or regression
    weight : (n,) > 0, what each row counts in the losses; scaled to mean 1
    """

    X: Floats
    y: NDArray
    kind: Kind
    n_outputs: int
    weight: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", self.weight / self.weight.mean())

    def split(self, train: NDArray[np.intp], held: NDArray[np.intp]) -> tuple[Dataset, RowWeights]:
        """Some rows to train on and others to judge, as a dataset."""
        X, y, d = self.X, self.y, self.X.shape[1]
        data = Dataset(
            X_train=X[train],
            X_valid=X[held],
            X_test=X[held],
            y_train=y[train],
            y_valid=y[held],
            y_test=y[held],
            kind=self.kind,
            n_outputs=self.n_outputs,
            feature_names=tuple(f"x{j + 1}" for j in range(d)),
            permutation=np.arange(d),
        )
        return data, RowWeights(self.weight[train], self.weight[held])


@dataclass(frozen=True, eq=False)
class SparsePath:
    """What the path found.

    Attributes
    ----------
    strengths : (levels,) from weak to strong: 0 (all inputs) first, and last one at which no input is left
    supports : (levels, folds, d) bool, the inputs that each fold selects
    losses : (levels,) mean held-out loss, pooled over the folds
    differences, errors : (levels,) the paired difference of the held-out losses to the lowest, its standard error
    level : index of the chosen strength
    support : (d,) bool, the chosen inputs
    model : a network refitted on them with the data's own validation part; None from ``choose_support``
    """

    strengths: Floats
    supports: Bools
    losses: Floats
    differences: Floats
    errors: Floats
    level: int
    support: Bools
    model: FittedModel | None = None

    @property
    def strength(self) -> float:
        """The chosen strength."""
        return float(self.strengths[self.level])


class Constant(nn.Module):
    """The same outputs for every row: what a network without inputs can say.

    Attributes
    ----------
    outputs : (n_outputs,)
    """

    outputs: Tensor

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.register_buffer("outputs", outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, anything) to (n, n_outputs)."""
        return self.outputs.expand(len(x), -1)

    @classmethod
    def of(cls, y: NDArray, kind: Kind, n_outputs: int, weight: Floats | None = None) -> Constant:
        """Log shares of the classes (each class counts one row more, so that none is impossible), or the means."""
        w = np.ones(len(y)) if weight is None else weight / weight.mean()
        if kind == "regression":
            return cls(torch.from_numpy(np.atleast_1d(np.average(y, axis=0, weights=w))))
        counts = np.bincount(y, weights=w, minlength=n_outputs) + 1.0
        return cls(torch.from_numpy(np.log(counts / counts.sum())))


def soft_threshold(values: Tensor, by: float) -> Tensor:
    """sign(v) max(|v| - by, 0), the proximal step of ``by`` |v|; its zeros are exact."""
    return nn.functional.softshrink(values, by)


def sparse_path(
    data: Dataset, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> SparsePath:
    """Choose inputs on the training and validation rows of ``data``, and refit a network on them.

    Parameters
    ----------
    data : standardised; its test rows are used for the scores of the refit only
    seed : of folds, weights and batches
    """
    X = np.concatenate([data.X_train, data.X_valid])
    y = np.concatenate([data.y_train, data.y_valid])
    path = choose_support(Rows(X, y, data.kind, data.n_outputs, np.ones(len(X))), settings, seed, dtype=dtype)
    if path.support.any():
        (model,) = fit_many(settings.refit(), data, [seed], path.support[None], chunk=1, dtype=dtype)
        return replace(path, model=model)
    tensors = Tensors(data, dtype, torch.device("cpu"))
    constant = Constant.of(data.y_train, data.kind, data.n_outputs).to(dtype)
    outputs = {part: constant(getattr(tensors, f"X_{part}")) for part in ("train", "valid", "test")}
    loss = float(row_losses(outputs["valid"][None], tensors.y_valid[None], data.kind).mean())
    return replace(path, model=fitted_model(constant, tensors, outputs, loss, 0.0, 0.0))


def choose_support(
    rows: Rows, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> SparsePath:
    """The path over folds of the rows, and the inputs that it chooses.

    Raises
    ------
    InputError
        If a fold would have fewer than two rows.
    """
    n, w = len(rows.X), rows.weight
    if n < 2 * settings.folds:
        raise InputError(
            f"sparse_path: expected at least {2 * settings.folds} rows for {settings.folds} folds, got {n}: "
            "add rows or take fewer folds"
        )
    fold = fold_numbers(rows.y, rows.kind, settings.folds, seed)
    parts = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(settings.folds)]
    walk = Walk(rows, [train for train, _ in parts], settings, seed, dtype)
    strengths, supports, losses = walk.follow(settings.strengths())
    for f, (train, held) in enumerate(parts):
        refitted = _refitted_losses(
            *rows.split(train, held), supports[:, f], settings, stream_seed("refit", seed, f), dtype
        )
        for level, support in enumerate(supports[:, f]):
            if support.tobytes() in refitted:
                losses[level, held] = refitted[support.tobytes()]
    level, differences, errors = sparsest_within_one_error(losses, supports.sum(2).mean(1), w)
    of_folds = [float(np.average(losses[level, held], weights=w[held])) for _, held in parts]
    support = agreed(supports[level], of_folds, settings)
    return SparsePath(strengths, supports, losses @ w / n, differences, errors, level, support)


def support_at(
    strength: float, rows: Rows, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> Bools:
    """(d,) the inputs that one network on all rows selects at a given strength, reached along the path."""
    weaker = [s for s in settings.strengths() if s < strength]
    walk = Walk(rows, [np.arange(len(rows.X))], settings, seed, dtype)
    for passed in weaker:
        walk.level(passed)
    return walk.level(strength)[0]


def fold_numbers(y: NDArray, kind: Kind, folds: int, seed: int) -> NDArray[np.intp]:
    """(n,) the fold of every row; sizes, and those of each class, differ by one at the most."""
    order = np.random.default_rng(stream_seed("folds", seed)).permutation(len(y))
    if kind == "classification":
        order = order[np.argsort(y[order], kind="stable")]
    result = np.empty(len(y), dtype=np.intp)
    result[order] = np.arange(len(y)) % folds
    return result


class Walk:
    """Networks, one for every set of training rows, that walk along the strengths side by side."""

    def __init__(
        self,
        rows: Rows,
        training: Sequence[NDArray[np.intp]],
        settings: SparseSettings,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        self.settings, self.kind = settings, rows.kind
        d, architecture = rows.X.shape[1], settings.on_path()
        self.X = torch.from_numpy(rows.X).to(dtype)
        self.y = torch.from_numpy(rows.y).to(torch.int64 if rows.kind == "classification" else dtype)
        self.w = torch.from_numpy(rows.weight).to(dtype)
        self.training = [torch.from_numpy(chosen) for chosen in training]
        size = batch_rows(architecture, min(len(chosen) for chosen in training))
        self.streams = [
            Streams(Task(stream_seed("path", seed, sha256(chosen.tobytes())), tuple(range(d))), len(chosen), size)
            for chosen in training
        ]
        self.stack = Stack(architecture, len(training), d, rows.n_outputs, dtype, torch.device("cpu"))
        for slot, stream in enumerate(self.streams):
            self.stack.load(slot, architecture.build(d, rows.n_outputs, stream.init))
        self.stack.flat.requires_grad_(True)
        self.stack.flat.grad = self.stack.flat_grad
        self.adam = torch.optim.Adam(
            [self.stack.flat], lr=settings.learning_rate, betas=ADAM_BETAS, eps=ADAM_EPS, fused=True
        )

    @property
    def eigenvalues(self) -> Tensor:
        """(m, d) lambda of every network."""
        return self.stack.states[0].value["lambda_in"]

    def follow(self, strengths: Sequence[float]) -> tuple[Floats, Bools, Floats]:
        """Walk along the strengths, from weak to strong, until no network has an input left.

        Returns
        -------
        strengths : (levels,) those that were reached; the last is infinite if inputs were left at the strongest
        supports : (levels, m, d); at an infinite strength empty
        losses : (levels, n) the loss of each row for the network that does not train on it, 0 if all do

        Raises
        ------
        ValueError
            If a loss is not finite.
        """
        reached, supports, losses = [], [], []
        for strength in strengths:
            reached.append(strength)
            supports.append(self.level(strength))
            losses.append(self._held_out_losses())
            if not np.isfinite(losses[-1]).all():
                raise ValueError(f"the path diverged at strength {strength:g}: lower lambda_rate or learning_rate")
            if not supports[-1].any():
                break
        else:
            reached.append(math.inf)
            supports.append(np.zeros_like(supports[-1]))
            losses.append(np.zeros_like(losses[-1]))
        return np.array(reached), np.array(supports), np.array(losses)

    def level(self, strength: float) -> Bools:
        """Train at one strength; (m, d) the inputs whose lambda is not 0 in at least half of the last steps."""
        settings = self.settings
        steps = settings.level_steps if strength else settings.first_steps
        alive = torch.zeros(self.eigenvalues.shape)
        with torch.no_grad():
            for step in range(steps):
                self.step(strength)
                if step >= steps - settings.window:
                    alive += self.eigenvalues != 0
        return (2 * alive >= settings.window).numpy()

    def step(self, strength: float) -> None:
        """SGD and soft threshold on lambda, Adam on everything else."""
        index = torch.stack([rows[s.batches(1)[0]] for rows, s in zip(self.training, self.streams, strict=True)])
        outputs = self.stack.forward(self.X[index], [None] * len(self.stack.layers))
        self.stack.backward(loss_gradient(outputs, self.y[index], self.kind, self.w[index]))
        gradient = self.stack.states[0].grad["lambda_in"]
        moved = self.eigenvalues - self.settings.lambda_rate * gradient
        self.adam.step()  # what it does to lambda is overwritten
        self.eigenvalues.copy_(soft_threshold(moved, self.settings.lambda_rate * strength))

    def _held_out_losses(self) -> Floats:
        with torch.no_grad():
            losses = row_losses(self.stack.predict(self.X[None]), self.y[None], self.kind).double()
        for slot, rows in enumerate(self.training):
            losses[slot, rows] = 0.0
        return losses.sum(0).numpy()  # a row is held out by one network, or by none


def _refitted_losses(
    data: Dataset, weights: RowWeights, supports: Bools, settings: SparseSettings, seed: int, dtype: torch.dtype
) -> dict[bytes, Floats]:
    """For every distinct support (levels, d), as bytes: the losses of the validation rows after a refit.

    The empty support is a constant. Supports that are too large for a refit are left out.
    """
    tensors = Tensors(data, dtype, torch.device("cpu"))

    def losses(module: nn.Module, x: Tensor) -> Floats:
        with torch.no_grad():
            return row_losses(module(x)[None], tensors.y_valid[None], data.kind)[0].double().numpy()

    result: dict[bytes, Floats] = {}
    groups: dict[int, list[Bools]] = defaultdict(list)
    for support in np.unique(supports, axis=0):
        size = int(support.sum())
        if not size:
            constant = Constant.of(data.y_train, data.kind, data.n_outputs, weights.train).to(dtype)
            result[support.tobytes()] = losses(constant, tensors.X_valid)
        elif size <= settings.largest_refit:
            groups[bucket(size, data.d)].append(support)
    for group in groups.values():
        models = fit_many(
            settings.refit(),
            data,
            [seed] * len(group),
            np.array(group),
            row_weights=weights,
            chunk=min(CHUNK, len(group)),
            dtype=dtype,
        )
        for support, model in zip(group, models, strict=True):
            result[support.tobytes()] = losses(model.module, tensors.X_valid[:, torch.from_numpy(support)])
    return result


def sparsest_within_one_error(losses: Floats, sizes: Floats, w: Floats) -> tuple[int, Floats, Floats]:
    """The level with the fewest inputs whose loss is within one standard error of the lowest, row by row.

    Parameters
    ----------
    losses : (levels, n) held-out losses
    sizes : (levels,) mean number of inputs; among equals the lower loss wins
    w : (n,) weights of the rows

    Returns
    -------
    level, differences (levels,) and their standard errors (levels,)
    """
    means = losses @ w / w.sum()
    paired = losses - losses[means.argmin()]
    differences = paired @ w / w.sum()
    errors = np.sqrt(((paired - differences[:, None]) ** 2) @ w**2) / w.sum()
    within = np.flatnonzero(differences <= errors)
    best = within[np.lexsort((means[within], sizes[within]))[0]]
    return int(best), differences, errors


def agreed(supports: Bools, losses: Sequence[float], settings: SparseSettings) -> Bools:
    """(d,) the inputs with enough votes of (folds, d) supports; those of the best fold where the folds disagree."""
    voted = supports.sum(0) >= settings.votes
    if voted.sum() < settings.agreement * np.median(supports.sum(1)):
        return supports[int(np.argmin(losses))]
    return voted
