"""Architectures (what a suite names) and fitted models (what is explained)."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.component import Component

Kind = Literal["classification", "regression"]


class Architecture(Component):
    """A network and how it is trained: Adam on the mean loss plus ``penalty``.

    The loss is cross-entropy in classification and the mean squared error in regression. The weights with
    the lowest validation loss among the checkpoints are kept. All fields have defaults that were chosen on
    validation loss, with data seeds that no reported figure uses.
    """

    family: ClassVar[str] = "models"

    epochs: Annotated[float, Field(gt=0)] = 40.0
    """Passes through the training rows."""
    min_steps: Annotated[int, Field(ge=1)] = 200
    """Gradient steps at the least: small tables get more passes."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """Rows a step (fewer where there are fewer training rows)."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    """Of Adam, at the first step."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on: to 0 along half a cosine, or constant."""
    checkpoints: Annotated[int, Field(ge=1)] = 20
    """How often, evenly spaced, the validation loss is looked at; the best weights are kept."""

    def steps(self, n: int) -> int:
        """Gradient steps on ``n`` training rows."""
        return max(self.min_steps, math.ceil(self.epochs * n / self.batch_size))

    @abstractmethod
    def build(self, d: int, n_outputs: int, generator: torch.Generator) -> nn.Module:
        """A module from (n, d) to (n, n_outputs) logits (classification) or values (regression).

        All initial weights are drawn from ``generator``.
        """

    def penalty(self, module: nn.Module) -> Tensor:
        """A scalar that is added to the mean loss of every step."""
        return torch.zeros(())


@dataclass(frozen=True)
class FittedModel:
    """A trained network in eval mode, with what it reached and what it cost.

    Attributes
    ----------
    module : in eval mode, without gradients of its parameters
    kind : classification or regression
    train_score, valid_score, test_score : accuracy or R2; None where R2 is not defined, see ``unscored``
    test_mae : mean absolute error on the test rows, in the units of the target; None in classification
    chance : test score of a constant guess: the share of the test rows that have the commonest class of the training
        rows, or R2 of the training mean on the test rows; None where R2 is not defined
    p_value : how often predictions dealt to the test rows at random have as many hits, or as small squared errors
        (an upper bound, where that is tiny); 1 for constant predictions
    learned : p_value < .01
    valid_loss : the lowest validation loss
    train_cpu, train_wall : seconds
    unscored : why a score is None, "" if none is
    """

    module: nn.Module
    kind: Kind
    train_score: float | None
    valid_score: float | None
    test_score: float | None
    test_mae: float | None
    chance: float | None
    p_value: float
    learned: bool
    valid_loss: float
    train_cpu: float
    train_wall: float
    unscored: str = ""
