"""Sparse inputs: a path of strengths of a penalty on the first layer, and the choice of one by held-out rows.

One network for every fold walks along the path (``models.path``). Every support on the way is refitted from
scratch without penalty, all inputs and none included, so that like is compared with like; the held-out losses of
these refits choose: the sparsest strength whose paired difference to the best is within one standard error
(Breiman et al. 1984, on differences). A network of the path that is used as it is, shrunk by the penalty, is judged as
it is: ``judged_by="path"``. Only training and validation rows are looked at.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Bools, Dataset, Floats
from xai_bench.errors import InputError
from xai_bench.models.agreement import Collinearity, agreed, or_best_fold, stand_ins, voted
from xai_bench.models.base import FittedModel, Kind
from xai_bench.models.losses import RowWeights, Tensors, row_losses
from xai_bench.models.path import Judge, Rows, SparseSettings, Walk
from xai_bench.models.stacked import CHUNK, bucket
from xai_bench.models.training import fit_many, fitted_model

NARROW = 64
"""Up to so many inputs all refits of a fold stand in one stack: small matrix products cost by their number."""


@dataclass(frozen=True, eq=False)
class SparsePath:
    """What the path found.

    Attributes
    ----------
    strengths : (levels,) from weak to strong: 0 (all inputs) first, and last one at which no input is left
    supports : (levels, folds, d) bool, the inputs that each fold selects
    losses : (levels,) mean held-out loss of those that judge, refits or networks of the path, pooled over the folds
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


@dataclass(frozen=True, eq=False)
class Judgement:
    """How networks do on the rows that they did not see.

    Attributes
    ----------
    losses : (levels, n) of every row
    shortfalls : (levels, n) what each row lacks in accuracy or R2: 0 or 1, or squared error / variance
    """

    losses: Floats
    shortfalls: Floats


@dataclass(frozen=True, eq=False)
class JudgedPath:
    """Every support of a path, and how networks with these inputs do on the rows that their fold holds out.

    Attributes
    ----------
    strengths : (levels,) from weak to strong
    supports : (levels, folds, d) bool
    judgements : of the path's own networks, and of the refits unless nobody asked for them
    fold, weight : (n,) of the rows
    walk_cpu, refit_cpu : seconds
    walked : strengths that the networks of the folds were trained at, those that were taken back included
    """

    strengths: Floats
    supports: Bools
    judgements: Mapping[Judge, Judgement]
    fold: NDArray[np.intp]
    weight: Floats
    walk_cpu: float
    refit_cpu: float
    walked: int = 0

    @property
    def trainings(self) -> int:
        """Networks trained: at every strength one a fold, and the refits on distinct supports that are not empty."""
        folds = range(self.supports.shape[1])
        distinct = [len({s.tobytes() for s in self.supports[:, f] if s.any()}) for f in folds]
        return self.walked * len(folds) + ("refit" in self.judgements) * sum(distinct)

    def choose(self, settings: SparseSettings) -> SparsePath:
        """One level, and the inputs on which its folds agree; both kinds of judge by the same rule.

        Raises
        ------
        InputError
            If refits are to judge and were not made.
        """
        if settings.judged_by not in self.judgements:
            raise InputError(
                "sparse_path: expected refits to judge, and the path has no refits: walk with judged_by = 'refit', or "
                "choose with 'path'"
            )
        sizes, w, judged = self.supports.sum(2).mean(1), self.weight, self.judgements[settings.judged_by]
        level, differences, errors = sparsest_within_one_error(
            judged.losses, sizes, w, judged.shortfalls, settings.tolerance
        )
        support = agreed(self.supports[level], self.of_folds(judged.losses[level]), settings)
        means = judged.losses @ w / w.sum()
        return SparsePath(self.strengths, self.supports, means, differences, errors, level, support)

    def of_folds(self, losses: Floats) -> list[float]:
        """The mean of ``losses`` (n,) over the rows of each fold."""
        parts = [self.fold == f for f in range(self.supports.shape[1])]
        return [float(np.average(losses[part], weights=self.weight[part])) for part in parts]


def sparse_path(
    data: Dataset, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> SparsePath:
    """Choose inputs on the training and validation rows of ``data``, and refit a network on them.

    Parameters
    ----------
    data : standardised; its test rows are used for the scores of the refit only
    seed : of folds, weights and batches
    """
    path = choose_support(Rows.of(data), settings, seed, dtype=dtype)
    return replace(path, model=refitted(data, path.support, settings, seed, dtype=dtype))


def choose_support(
    rows: Rows, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> SparsePath:
    """The path over folds of the rows, and the inputs that it chooses; InputError as ``judged_path``."""
    path = judged_path(rows, settings, seed, dtype=dtype)
    chosen = path.choose(settings)
    if settings.agreed_by == "votes" or settings.judged_by == "path":
        return chosen
    return replace(chosen, support=stable_support(rows, path, chosen, settings, seed, dtype=dtype))


def stable_support(
    rows: Rows,
    path: JudgedPath,
    chosen: SparsePath,
    settings: SparseSettings,
    seed: int,
    *,
    dtype: torch.dtype = torch.float32,
) -> Bools:
    """(d,) the inputs at the chosen strength, where inputs can stand for each other.

    Beside the voted support stand those of ``agreement.stand_ins``. All are refitted in every fold. Among those whose
    paired held-out loss is within one standard error of the best (or whose score within the tolerance), the one that
    overlaps most with what the folds select is taken; of equal ones the smallest, then that with the lowest loss.
    """
    supports = path.supports[chosen.level]
    collinearity = Collinearity(rows.X.astype(np.float64), rows.weight)
    others = stand_ins(supports, collinearity, settings)
    if not others:
        return chosen.support
    candidates = np.unique(np.array([voted(supports, settings), *others]), axis=0)
    in_folds = np.repeat(candidates[:, None], len(supports), axis=1)
    refits = pooled_refits(rows, path.fold, in_folds, settings, seed, dtype)
    within, _, _ = equally_good(refits.losses, rows.weight, refits.shortfalls, settings.tolerance)
    stable = [round(collinearity.stability(support, supports), 6) for support in candidates]
    means = refits.losses @ rows.weight
    best = max(np.flatnonzero(within), key=lambda k: (stable[k], -candidates[k].sum(), -means[k]))
    of_folds = path.of_folds(path.judgements["refit"].losses[chosen.level])
    return or_best_fold(candidates[best], supports, of_folds, settings)


def refitted(
    data: Dataset, support: Bools, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> FittedModel:
    """A network trained on the inputs of ``support`` (d,) without penalty; a constant where it is empty."""
    if support.any():
        return fit_many(settings.refit(), data, [seed], support[None], chunk=1, dtype=dtype)[0]
    tensors = Tensors(data, dtype, torch.device("cpu"))
    constant = Constant.of(data.y_train, data.kind, data.n_outputs).to(dtype)
    outputs = {part: constant(getattr(tensors, f"X_{part}")) for part in ("train", "valid", "test")}
    loss = float(row_losses(outputs["valid"][None], tensors.y_valid[None], data.kind).mean())
    return fitted_model(constant, tensors, outputs, loss, 0.0, 0.0)


def judged_path(rows: Rows, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32) -> JudgedPath:
    """Walk along the path with one network a fold; judge these networks and, unless the path decides, refits.

    Raises
    ------
    InputError
        If a fold would have fewer than two rows.
    """
    n = len(rows.X)
    if n < 2 * settings.folds:
        raise InputError(
            f"sparse_path: expected at least {2 * settings.folds} rows for {settings.folds} folds, got {n}: "
            "add rows or take fewer folds"
        )
    started = time.process_time()
    fold = fold_numbers(rows.y, rows.kind, settings.folds, seed)
    parts = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(settings.folds)]
    walk = Walk(rows, [train for train, _ in parts], settings, seed, dtype)
    strengths, supports, own = [], [], []
    for strength, support in walk.stations(settings.strengths()):
        strengths.append(strength)
        supports.append(support)
        own.append(np.zeros((2, n)))
        for f, (_, held) in enumerate(parts):
            own[-1][:, held] = _of_rows(walk.network(f, support[f]), walk.X[held], rows.y[held], rows.kind)
    walked_until = time.process_time()
    judgements: dict[Judge, Judgement] = {"path": Judgement(*np.array(own).swapaxes(0, 1))}
    if settings.judged_by == "refit":
        judgements["refit"] = pooled_refits(rows, fold, np.array(supports), settings, seed, dtype)
    cpu = walked_until - started, time.process_time() - walked_until
    return JudgedPath(np.array(strengths), np.array(supports), judgements, fold, rows.weight, *cpu, walk.trained)


def support_at(
    strength: float, rows: Rows, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> Bools:
    """(d,) the inputs that one network on all rows selects at a given strength, reached along the path."""
    weaker = [s for s in settings.strengths() if s < strength]
    return walked([*weaker, strength], rows, settings, seed, dtype=dtype)[1]


def walked(
    strengths: Sequence[float], rows: Rows, settings: SparseSettings, seed: int, *, dtype: torch.dtype = torch.float32
) -> tuple[nn.Sequential, Bools]:
    """One network on all rows that walks along the strengths, not refitted, and the inputs (d,) that it selects.

    Its first layer is exactly 0 outside them.
    """
    walk = Walk(rows, [np.arange(len(rows.X))], settings, seed, dtype)
    for strength in strengths:
        support = walk.level(strength)[0]
    return walk.network(0, support), support


def fold_numbers(y: NDArray, kind: Kind, folds: int, seed: int) -> NDArray[np.intp]:
    """(n,) the fold of every row; sizes, and those of each class, differ by one at the most."""
    order = np.random.default_rng(stream_seed("folds", seed)).permutation(len(y))
    if kind == "classification":
        order = order[np.argsort(y[order], kind="stable")]
    result = np.empty(len(y), dtype=np.intp)
    result[order] = np.arange(len(y)) % folds
    return result


def pooled_refits(
    rows: Rows, fold: NDArray[np.intp], supports: Bools, settings: SparseSettings, seed: int, dtype: torch.dtype
) -> Judgement:
    """Refits on ``supports`` (levels, folds, d), judged by the rows that their fold holds out."""
    refits = np.zeros((2, len(supports), len(fold)))
    for f in range(supports.shape[1]):
        train, held = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        of_fold = np.ascontiguousarray(supports[:, f])
        judged = _judged(*rows.split(train, held), of_fold, settings, stream_seed("refit", seed, f), dtype)
        refits[:, :, held] = np.stack([judged[support.tobytes()] for support in of_fold], axis=1)
    return Judgement(*refits)


def _judged(
    data: Dataset, weights: RowWeights, supports: Bools, settings: SparseSettings, seed: int, dtype: torch.dtype
) -> dict[bytes, Floats]:
    """For every distinct support (levels, d), as bytes: loss and shortfall (2, n_valid) of its refit.

    The empty support is a constant.
    """
    X = torch.from_numpy(data.X_valid).to(dtype)
    result: dict[bytes, Floats] = {}
    groups: dict[int, list[Bools]] = defaultdict(list)  # by the width of the stack
    for support in np.unique(supports, axis=0):
        if support.any():
            groups[data.d if data.d <= NARROW else bucket(int(support.sum()), data.d)].append(support)
        else:
            constant = Constant.of(data.y_train, data.kind, data.n_outputs, weights.train).to(dtype)
            result[support.tobytes()] = _of_rows(constant, X, data.y_valid, data.kind)
    for width, group in groups.items():
        models = fit_many(
            settings.refit(),
            data,
            [seed] * len(group),
            np.array(group),
            row_weights=weights,
            chunk=min(CHUNK, len(group)),
            width=width,
            dtype=dtype,
        )
        for support, model in zip(group, models, strict=True):
            result[support.tobytes()] = _of_rows(model.module, X[:, torch.from_numpy(support)], data.y_valid, data.kind)
    return result


def _of_rows(module: nn.Module, X: Tensor, targets: NDArray, kind: Kind) -> Floats:
    """Loss and shortfall (2, n) of every row."""
    y = torch.from_numpy(targets).to(torch.int64 if kind == "classification" else X.dtype)
    with torch.no_grad():
        outputs = module(X)
    losses = row_losses(outputs[None], y[None], kind)[0]
    if kind == "classification":
        shortfalls = outputs.argmax(1) != y
    else:
        variance = targets.var(0)
        scale = torch.as_tensor(np.where(variance > 0, variance, 1.0))
        shortfalls = ((outputs - y.view(outputs.shape)).double().square() / scale).mean(1)
    return torch.stack([losses.double(), shortfalls.double()]).numpy()


def sparsest_within_one_error(
    losses: Floats, sizes: Floats, w: Floats, shortfalls: Floats | None = None, tolerance: float = 0.0
) -> tuple[int, Floats, Floats]:
    """The level with the fewest inputs whose loss is within one standard error of the lowest, row by row.

    With a tolerance also those levels count whose score is at most that far below the one at the lowest loss.

    Parameters
    ----------
    losses : (levels, n) held-out losses
    sizes : (levels,) mean number of inputs; among equals the lower loss wins
    w : (n,) weights of the rows
    shortfalls : (levels, n) what each row lacks in accuracy or R2; needed with a tolerance

    Returns
    -------
    level, differences (levels,) and their standard errors (levels,) of the losses
    """
    within, differences, errors = equally_good(losses, w, shortfalls, tolerance)
    levels = np.flatnonzero(within)
    best = levels[np.lexsort(((losses @ w / w.sum())[levels], sizes[levels]))[0]]
    return int(best), differences, errors


def equally_good(
    losses: Floats, w: Floats, shortfalls: Floats | None = None, tolerance: float = 0.0
) -> tuple[Bools, Floats, Floats]:
    """(levels,) which cannot be told from the lowest of ``losses`` (levels, n), or give up no more than ``tolerance``.

    Beside it the paired differences (levels,) to the lowest and their standard errors (levels,).
    """
    lowest = int((losses @ w / w.sum()).argmin())
    differences, errors = _paired(losses, lowest, w)
    within = differences <= errors
    if shortfalls is not None and tolerance:
        given_up, _ = _paired(shortfalls, lowest, w)
        within |= given_up <= tolerance
    return within, differences, errors


def _paired(values: Floats, best: int, w: Floats) -> tuple[Floats, Floats]:
    """Mean differences (levels,) of ``values`` (levels, n) to those of one level, and their standard errors."""
    paired = values - values[best]
    differences = paired @ w / w.sum()
    return differences, np.sqrt(((paired - differences[:, None]) ** 2) @ w**2) / w.sum()
