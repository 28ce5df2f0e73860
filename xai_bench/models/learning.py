"""What a trained network reached on each part of the data, and whether it learned anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from xai_bench.component import sha256, stream_seed
from xai_bench.models.base import FittedModel, Kind
from xai_bench.permutation_tests import better_than_shuffled_classes, better_than_shuffled_values

UNEQUAL = 3
"""The larger of two classes has so many times the rows of the smaller one, or more: hits would say little."""
LEVEL = 0.01
"""A network has learned if the p-value of its test score is below."""


class Targets(Protocol):
    """The targets of every part, (n,) or (n, n_outputs), and the factor from their units to the original ones."""

    kind: Kind
    target_std: float
    y_train: Tensor
    y_valid: Tensor
    y_test: Tensor


def fitted_model(
    module: nn.Module,
    data: Targets,
    outputs: Mapping[str, Tensor],
    valid_loss: float,
    cpu: float | None,
    wall: float | None,
) -> FittedModel:
    """The module in eval mode, scored by its outputs (n, n_outputs) on the parts ``train``, ``valid`` and ``test``.

    ``cpu``, ``wall``: seconds of its training; None of a network that was not trained here.

    Raises
    ------
    ValueError
        If the validation loss is not finite.
    """
    if not math.isfinite(valid_loss):
        raise ValueError("the training diverged: no checkpoint has a finite validation loss; lower learning_rate")
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    scores = {part: _or_none(score(outputs[part], getattr(data, f"y_{part}"), data.kind)) for part in outputs}
    p_value = p_of(outputs["test"], data)
    return FittedModel(
        module=module,
        kind=data.kind,
        train_score=scores["train"],
        valid_score=scores["valid"],
        test_score=scores["test"],
        test_mae=_mae(outputs["test"], data),
        test_balanced=balanced_of(outputs["test"], data.y_test) if data.kind == "classification" else None,
        chance=_or_none(chance_of(data)),
        p_value=p_value,
        learned=p_value < LEVEL,
        valid_loss=valid_loss,
        train_cpu=cpu,
        train_wall=wall,
        unscored=_unscored([part for part, value in scores.items() if value is None]),
    )


def score(outputs: Tensor, y: Tensor, kind: Kind) -> float:
    """Accuracy, or R2 = 1 - squared error / variance, of outputs (n, n_outputs) for y (n,).

    For y (n, n_outputs) R2 is the mean over the targets that vary. NaN where R2 is not defined: no target varies, or
    outputs are not finite.
    """
    if kind == "classification":
        return float((outputs.argmax(1) == y).double().mean())
    return _r2(outputs if y.ndim == 2 else outputs[:, 0], y)


def chance_of(data: Targets) -> float:
    """The test score of the constant guess that the training rows suggest.

    In classification the share of the test rows that have the commonest class of the training rows (of several, the
    first); in regression R2 of the mean of the training rows on the test rows, 0 or a little less. NaN where R2 is
    not defined.
    """
    if data.kind == "classification":
        return float((data.y_test == data.y_train.bincount().argmax()).double().mean())
    return _r2(data.y_train.double().mean(0).expand_as(data.y_test), data.y_test)


def p_of(outputs: Tensor, data: Targets) -> float:
    """The p-value of the test score: how often outputs (n, n_outputs) dealt to the test rows at random do as well.

    Of two classes, one of which has ``UNEQUAL`` times the rows of the other, margins are tested, not hits: a network
    that orders the rows well may still call all of them the commoner class. The permutations are those of a seed made
    of the targets: all networks of a draw are tested with the same ones.
    """
    y = data.y_test.cpu().numpy()
    seed = stream_seed("learned", sha256(np.ascontiguousarray(y).tobytes()))
    if data.kind == "classification":
        if _unequal(data.y_train):
            margins = (outputs[:, 1] - outputs[:, 0]).double().cpu().numpy()
            return better_than_shuffled_values(y, margins, seed)
        return better_than_shuffled_classes(y, outputs.argmax(1).cpu().numpy(), seed)
    found = outputs.double().cpu().numpy()
    return better_than_shuffled_values(y, found if y.ndim == 2 else found[:, 0], seed)


def balanced_of(outputs: Tensor, y: Tensor) -> float:
    """Balanced accuracy of outputs (n, n_outputs): the mean over the classes in y (n,) of the share that is hit."""
    hits = (outputs.argmax(1) == y).double()
    return float(torch.stack([hits[y == label].mean() for label in y.unique()]).mean())


def _unequal(y: Tensor) -> bool:
    """Whether there are two classes, of very different size."""
    counts = y.long().bincount()
    return len(counts) == 2 and bool(counts.max() >= UNEQUAL * counts.min()) and bool(counts.min() > 0)


def _r2(guess: Tensor, y: Tensor) -> float:
    """Of values (n,), or the mean over those targets (n, t) that vary; NaN if there is none."""
    guess, y = guess.double().reshape(len(y), -1), y.double().reshape(len(y), -1)
    varies = y.amax(0) > y.amin(0)  # rounding may give equal values a variance
    if not bool(varies.any()):
        return math.nan
    errors = (guess - y)[:, varies].square().mean(0)
    value = float((1 - errors / y[:, varies].var(0, unbiased=False)).mean())
    return value if math.isfinite(value) else math.nan


def _mae(outputs: Tensor, data: Targets) -> float | None:
    """Mean absolute error in the units of the target, over rows and targets."""
    if data.kind == "classification":
        return None
    y = data.y_test if data.y_test.ndim == 2 else data.y_test[:, None]
    return float((outputs.double() - y.double()).abs().mean()) * data.target_std


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _unscored(parts: list[str]) -> str:
    """Why there is no score for these parts, "" if there are none."""
    if not parts:
        return ""
    listed = " and ".join(parts)
    return f"R2 is not defined on the {listed} rows: the target does not vary there, or an output is not finite"
