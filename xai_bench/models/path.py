"""Networks that walk along strengths of a sparse penalty on their first layer, from weak to strong.

Two forms of the first layer share everything else. The spectral one has an L1 penalty a |lambda_j| with b ||phi_j||^2:
at a fixed product together the concave penalty 1.5 (2 a^2 b)^(1/3) ||w_j||^(2/3) on the columns of the first weight, so
that a column which the data hold does not shrink to 0 steadily: where the loss is quadratic around w_j it falls there
from ||w_j|| / 4. The plain one has the group lasso sum_j ||w_j|| (Yuan and Lin 2006). Both penalties act through their
proximal step, which gives exact zeros. Columns that nothing holds lose rate * strength in every gradient step, equally:
the path is a walk, and what is left at a strength is a matter of the steps before it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from xai_bench.component import Component, sha256, stream_seed
from xai_bench.datasets.base import Bools, Dataset, Floats
from xai_bench.models.base import Kind
from xai_bench.models.losses import RowWeights, loss_gradient
from xai_bench.models.mlp import MLP, Activation, MLPFamily, SpectralMLP
from xai_bench.models.stack import Adam, Stack
from xai_bench.models.streams import Streams, Task, batch_rows

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Form = Literal["spectral", "group_lasso"]
Judge = Literal["refit", "path"]
Agreement = Literal["stability", "votes"]
Fall = Literal["sizes", "inputs"]


class Diverged(ValueError):
    """The gradient steps are too large for the data: a weight is not finite."""


class SparseSettings(Component):
    """The constants of the path. The defaults were fixed on data seeds that no reported figure uses."""

    family: ClassVar[str] = "models"
    name: ClassVar[str] = "sparse_path"
    later: ClassVar[tuple[str, ...]] = (
        "judged_by",
        "agreed_by",
        "fall_of",
        "most_levels",
        "momentum",
        "certainty",
        "least_steps",
        "early_levels",
        "early_ratio",
    )

    form: Form = "spectral"
    """What is penalised: the eigenvalues of a spectral first layer, or the columns of a plain one."""
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 32)
    activations: Annotated[tuple[Activation, ...], Field(min_length=1)] = ("relu",)
    batch_size: Count = 128
    learning_rate: Positive = 1e-3
    """Of Adam on everything that is not penalised, and of the refits; constant."""
    proximal: Literal["sgd", "adam"] = "sgd"
    """The gradient step on what is penalised, before its proximal step."""
    proximal_rate: Positive = 0.03
    """Learning rate of that step."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the earlier gradients in the mean that takes this step; at 0 the gradient of each batch alone. The noise
    of a batch brings columns back that the penalty has emptied, the more of them the fewer rows a batch has."""
    l2_phi: Annotated[float, Field(ge=0)] = 1e-3
    """Of sum phi^2 along the path, in the spectral form; the refits have no penalty."""
    weakest: Positive = 0.005
    """The first strength after 0."""
    ratio: Annotated[float, Field(gt=1)] = 1.5
    """From one strength to the next."""
    levels: Count = 16
    """Strengths above 0; the path ends earlier where no network has an input left."""
    early_levels: Annotated[int, Field(ge=0)] = 0
    """Strengths before these, from ``weakest`` on, that rise by ``early_ratio``."""
    early_ratio: Annotated[float, Field(gt=1)] = 1.02
    largest_fall: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the inputs that a step may lose: a step that loses more is taken back and halved (on a log scale)."""
    least_fall: Annotated[int, Field(ge=0)] = 32
    """Steps that lose at most so many inputs are never halved."""
    fall_of: Fall = "sizes"
    """What a step loses: ``sizes``, the fall of the mean number of inputs over the networks; ``inputs``, the mean
    number of inputs that leave or come back."""
    finest: Annotated[float, Field(gt=1)] = 1.05
    """Strengths that are closer than this ratio are not halved."""
    most_levels: Count | None = None
    """Strengths that a walk trains at, those that are taken back included; at the last ones nothing is halved, so that
    all strengths that were asked for are reached."""
    least_steps: Count | None = None
    """Where strengths are closer than ``finest``, a step that loses too much is halved in gradient steps, down to so
    many: the supports that are passed one after the other at one strength. None: it is left as it is."""
    first_steps: Count = 600
    """Gradient steps at strength 0."""
    level_steps: Count = 200
    """Gradient steps at every further strength."""
    window: Count = 100
    """An input is selected at a strength if its column is not 0 in half of the last ``window`` steps, or more."""
    certainty: Annotated[float, Field(ge=0.5, lt=1)] = 0.5
    """Share of those steps in which the column of an input must be 0 before it leaves, or not 0 before it comes back.
    Above one half, inputs near their threshold do not come and go."""
    folds: Annotated[int, Field(ge=2)] = 5
    votes: Count = 4
    """Folds that must select an input."""
    agreed_by: Agreement = "stability"
    """How folds that select different inputs agree. ``votes``: on the inputs with enough votes. ``stability``: a fold
    votes also for what the inputs that it selects explain, so that inputs that can stand for each other (copies,
    dummies of a category) do not all lose; see ``models.agreement``. Where no input stands for another, both are the
    same. Only refits can tell equally good supports: with ``judged_by = "path"`` votes decide."""
    agreement: Annotated[float, Field(ge=0, le=1)] = 0.75
    """If fewer than this share of the median fold's inputs get the votes, the best fold's inputs are taken."""
    refit_steps: Count = 1000
    refit_checkpoints: Count = 50
    """Moments of a refit at which the held-out loss is looked at; the best is kept."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Accuracy, or R2, that the user gives up for fewer inputs; at 0 only what cannot be told from the best."""
    judged_by: Judge = "refit"
    """Whose held-out losses choose the strength. ``refit``: networks trained from scratch on every support, without
    penalty; right where the inputs are what is wanted, or a network is refitted on them. ``path``: the path's own
    networks, which the penalty shrinks; right where one of them is used as it is (``models.sparse.walked``). At one
    tolerance it tends to keep more inputs, and nothing is refitted on the way."""

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.votes > self.folds:
            raise ValueError(f"expected votes <= folds, got votes = {self.votes} of {self.folds} folds")
        if self.window > min(self.first_steps, self.level_steps):
            raise ValueError(f"expected a window within the steps of a level, got window = {self.window}")
        return self

    def strengths(self) -> tuple[float, ...]:
        """0, then ``weakest`` times powers of ``early_ratio``, if any, and further times powers of ``ratio``."""
        early = (self.weakest * self.early_ratio**k for k in range(self.early_levels))
        first = self.weakest * self.early_ratio**self.early_levels
        return (0.0, *early, *(first * self.ratio**k for k in range(self.levels)))

    def on_path(self) -> MLPFamily:
        """The network that walks along the path; the proximal step is its sparse penalty."""
        shared: dict[str, Any] = {
            "hidden": self.hidden,
            "activations": self.activations,
            "batch_norm": (False,),
            "dropout": (0.0,),
            "learning_rate": self.learning_rate,
            "schedule": "constant",
            "batch_size": self.batch_size,
        }
        if self.form == "spectral":
            return SpectralMLP(**shared, l2_lambda=0.0, l2_phi=self.l2_phi)
        return MLP(**shared, group_lasso=0.0)

    def refit(self) -> MLPFamily:
        """The network that is trained on a support, without penalty."""
        changed = {"epochs": 1e-9, "min_steps": self.refit_steps, "checkpoints": self.refit_checkpoints}
        if self.form == "spectral":
            changed["l2_phi"] = 0.0
        return self.on_path().model_copy(update=changed)

    def too_steep(self, before: Bools, after: Bools) -> bool:
        """Whether a step between supports (m, d) loses too many inputs to be taken at once."""
        had = before.sum(1).mean()
        lost = had - after.sum(1).mean() if self.fall_of == "sizes" else (before != after).sum(1).mean()
        return bool(lost > self.least_fall and lost > self.largest_fall * had)


TUNED: dict[Form, dict[str, Any]] = {"spectral": {}, "group_lasso": {"proximal_rate": 0.3}}
"""What differs from the defaults: the best of equally many tries a form, by ``benchmarks/choose_sparse.py``."""


REFINED: dict[str, Any] = {
    "fall_of": "inputs",
    "least_fall": 1,
    "largest_fall": 0.05,
    "finest": 1.01,
    "most_levels": 64,
    "level_steps": 100,
    "window": 50,
}
"""Of a path whose successive supports are to differ by one input, or by 5 % of them, on the mean over its networks.
Strengths are some three times as many, so that half the steps are spent on each."""


STEADY: dict[str, Any] = {"momentum": 0.9, "certainty": 0.75, "least_steps": 2}
"""Beside REFINED, against larger steps that more strengths do not mend: inputs that come and go with the noise of the
batches, and inputs that go one after the other at one strength."""


SLOW: dict[str, Any] = {
    **STEADY,
    "early_levels": 24,
    "early_ratio": 1.02,
    "levels": 18,
    "least_steps": 1,
    "most_levels": 192,
}
"""Beside REFINED, against larger steps of inputs that nothing holds: they lose rate * strength in every gradient step,
and arrive at 0 one by one only where that is little. With ``SLOW_FALL`` they arrive at early strengths."""
SLOW_FALL = 6e-4
"""Rate * strength at the weakest strength; what is penalised starts at sizes of about 1, of both forms."""


def slow(form: Form, **fields: Any) -> SparseSettings:
    """The settings of a form on a slow path, which may train at three times the strengths of a refined one."""
    settings = tuned(form, **{**REFINED, **SLOW, **fields})
    return settings.model_copy(update={"weakest": SLOW_FALL / settings.proximal_rate})


def tuned(form: Form, **fields: Any) -> SparseSettings:
    """The settings of a form, with the gradient step that suits it; ``fields`` come before them."""
    return SparseSettings(**{"form": form, **TUNED[form], **fields})


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

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """The training and the validation rows of a dataset, in this order."""
        X, y = np.concatenate([data.X_train, data.X_valid]), np.concatenate([data.y_train, data.y_valid])
        return cls(X, y, data.kind, data.n_outputs, np.ones(len(X)))

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


def soft_threshold(values: Tensor, by: float) -> Tensor:
    """sign(v) max(|v| - by, 0), the proximal step of ``by`` |v|; its zeros are exact."""
    return nn.functional.softshrink(values, by)


def group_soft_threshold(matrix: Tensor, by: float) -> Tensor:
    """Columns w of (..., h, d) times max(1 - by / ||w||, 0), the proximal step of ``by`` sum ||w||; zeros are exact."""
    norms = matrix.norm(dim=-2, keepdim=True)
    return matrix * torch.where(norms > by, 1 - by / norms, 0.0)


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
            self.stack.load(slot, architecture.build((d,), rows.n_outputs, stream.init))
        self.adam = Adam(self.stack)
        self.trained = 0
        """Strengths that were trained at, those that were taken back included."""
        first = self.stack.states[0]
        name = "lambda_in" if settings.form == "spectral" else "matrix"
        self.penalised, self._gradient = first.value[name], first.grad[name]
        """Lambda (m, d) or the first weight (m, h, d) of every network, and its gradient."""
        self._mean_gradient = torch.zeros_like(self.penalised)
        self._support = torch.ones(len(training), d, dtype=torch.bool)
        self._recent = torch.ones(settings.window, len(training), d, dtype=torch.bool)
        """What was present after each of the last steps that count."""

    def present(self) -> Tensor:
        """(m, d) whether the column of an input is different from 0 now."""
        nonzero = self.penalised != 0
        return nonzero if nonzero.ndim == 2 else nonzero.any(1)

    def follow(self, strengths: Sequence[float]) -> tuple[Floats, Bools]:
        """Walk along the strengths, from weak to strong, until no network has an input left.

        A step after which too few inputs are left is taken back, and the strength halfway (on a log scale) is put
        before it: the path then passes supports of intermediate size. With ``least_steps`` a step between the closest
        strengths is made in parts, each with a support of its own.

        Returns
        -------
        strengths : (levels,) those that were reached, one several times where it is reached in parts; the last is
            infinite if inputs were left at the strongest
        supports : (levels, m, d); at an infinite strength empty

        Raises
        ------
        Diverged
            If a weight is not finite.
        """
        reached, supports = zip(*self.stations(strengths), strict=True)
        return np.array(reached), np.array(supports)

    def stations(self, strengths: Sequence[float]) -> Iterator[tuple[float, Bools]]:
        """Strengths and supports (m, d) of ``follow`` one by one; meanwhile the networks stand where they are reached.

        Raises
        ------
        Diverged
            If a weight is not finite.
        """
        ahead = [(strength, self._steps(strength)) for strength in reversed(strengths)]
        before, support = 0.0, None
        while ahead and (support is None or support.any()):
            (strength, steps), earlier = ahead.pop(), support
            self.trained += 1
            start = self._state()
            support = self.level(strength, steps)
            if not self.stack.flat.isfinite().all():
                raise Diverged(f"the path diverged at strength {strength:g}: lower proximal_rate or learning_rate")
            if earlier is not None and self._may_halve(len(ahead)) and self.settings.too_steep(earlier, support):
                halves = self._halves(before, strength, steps)
                if halves:
                    ahead += halves
                    self._restore(start)
                    support = earlier
                    continue
            yield strength, support
            before = strength
        if support is not None and support.any():
            yield math.inf, np.zeros_like(support)

    def _steps(self, strength: float) -> int:
        """Gradient steps at a strength."""
        return self.settings.level_steps if strength else self.settings.first_steps

    def _halves(self, before: float, strength: float, steps: int) -> list[tuple[float, int]]:
        """Two steps (strength, gradient steps), the second one first, for one that loses too much; [] for none."""
        least = self.settings.least_steps
        if not before:
            return []
        if strength > before * self.settings.finest:
            return [(strength, steps), (math.sqrt(before * strength), steps)]
        if least is not None and steps >= 2 * least:
            return [(strength, steps - steps // 2), (strength, steps // 2)]
        return []

    def _may_halve(self, ahead: int) -> bool:
        """Whether one more strength leaves enough trainings for those that are ahead, and for this one again."""
        most = self.settings.most_levels
        return most is None or self.trained + 2 + ahead <= most

    def level(self, strength: float, steps: int | None = None) -> Bools:
        """Train at one strength; (m, d) the inputs whose column is not 0 in at least half of the last steps.

        With fewer ``steps`` than the window has, those before count too; see also ``certainty``.
        """
        settings, steps = self.settings, self._steps(strength) if steps is None else steps
        late = []
        with torch.no_grad():
            for step in range(steps):
                self.step(strength)
                if step >= steps - settings.window:
                    late.append(self.present())
        self._recent = torch.cat([self._recent, torch.stack(late)])[-settings.window :]
        share = self._recent.double().mean(0)
        sure = settings.certainty
        self._support = torch.where(self._support, share >= 1 - sure, share >= sure)
        return self._support.numpy().copy()

    def step(self, strength: float) -> None:
        """Gradient and proximal step on what is penalised, Adam on everything else."""
        settings, values = self.settings, self.penalised
        index = torch.stack([rows[s.batches(1)[0]] for rows, s in zip(self.training, self.streams, strict=True)])
        outputs = self.stack.forward(self.X[index], [None] * len(self.stack.layers))
        self.stack.backward(loss_gradient(outputs, self.y[index], self.kind, self.w[index]))
        before, gradient = values.clone(), self._gradient
        if settings.momentum:
            gradient = self._mean_gradient.lerp_(gradient, 1 - settings.momentum)
        self.adam.step(settings.learning_rate)  # what it does to the penalised values is overwritten
        if settings.proximal == "sgd":
            moved = before - settings.proximal_rate * gradient
        else:  # a step of Adam is proportional to its rate
            moved = before + (values - before) * (settings.proximal_rate / settings.learning_rate)
        shrunk = soft_threshold if settings.form == "spectral" else group_soft_threshold
        values.copy_(shrunk(moved, settings.proximal_rate * strength))

    def network(self, slot: int, support: Bools) -> nn.Sequential:
        """A copy of one network as it is now; columns outside ``support`` (d,) are exactly 0."""
        module = self.settings.on_path().build((self.stack.width,), self.stack.layers[-1].n_out, torch.Generator())
        module.to(self.stack.flat.dtype)
        snapshot = self.stack.snapshot()
        self.stack.store(slot, module, snapshot)
        with torch.no_grad():
            first = next(module.children())
            columns = first.lambda_in if self.settings.form == "spectral" else first.weight.T
            assert isinstance(columns, Tensor)
            columns[torch.from_numpy(~support)] = 0.0
        return module.eval()

    def _own(self) -> list[Tensor]:
        """The weights, what is kept of their gradients, and what supports are read from."""
        adam = self.adam
        return [self.stack.flat, adam.means, adam.squares, adam.steps, self._mean_gradient, self._support, self._recent]

    def _state(self) -> list[Tensor]:
        """Copies of what ``_own`` has; the streams of batches go on."""
        return [value.clone() for value in self._own()]

    def _restore(self, state: list[Tensor]) -> None:
        for value, kept in zip(self._own(), state, strict=True):
            value.copy_(kept)
