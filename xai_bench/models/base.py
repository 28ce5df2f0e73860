"""Architectures (what a suite names) and fitted models (what is explained)."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.component import Component
from xai_bench.datasets.base import Dataset
from xai_bench.devices import seeded
from xai_bench.errors import InputError, reason_of

Kind = Literal["classification", "regression"]


class Architecture(Component):
    """A network and how it is trained: Adam on the mean loss plus ``penalty``.

    The loss is cross-entropy in classification and the mean squared error in regression. Of several checkpoints the
    weights with the lowest validation loss are kept, of one the last weights. The defaults of the schedule were chosen
    by whether the relevance of the inputs has settled, on data seeds that no reported figure uses
    (``reports/schedules/summary.md``): the lowest validation loss of a small table often comes before any has formed.
    """

    family: ClassVar[str] = "models"
    trains: ClassVar[bool] = True
    """See ``models.source.ModelSource``."""

    epochs: Annotated[float, Field(gt=0)] = 10.0
    """Passes through the training rows."""
    min_steps: Annotated[int, Field(ge=1)] = 1000
    """Gradient steps at the least: small tables get more passes."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """Rows a step (fewer where there are fewer training rows)."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    """Of Adam, at the first step."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on: to 0 along half a cosine, or constant."""
    checkpoints: Annotated[int, Field(ge=1)] = 1
    """How often, evenly spaced, the validation loss is looked at, the last step included; the best weights are kept."""

    def steps(self, n: int) -> int:
        """Gradient steps on ``n`` training rows."""
        return max(self.min_steps, math.ceil(self.epochs * n / self.batch_size))

    needs_picture: ClassVar[bool] = False
    """Whether the network reads its inputs as a picture. It is then given all of them: those that a mask leaves out
    are set to 0 in every row, where other networks are made with fewer inputs."""

    @abstractmethod
    def build(self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Module:
        """A module from (n, d) to (n, n_outputs) logits (classification) or values (regression).

        For two classes one logit, of the second class, will do as well. Initial weights are drawn from ``generator``;
        torch's own initialisation is seeded with it too.

        Parameters
        ----------
        shape : of the inputs of one row, d in all: (d,) in tables, (rows, columns) or (channels, rows, columns) in
            pictures, whose rows reach the module flat. A first parameter that is called ``d``, or annotated as int,
            is given the number d instead.
        """

    def network(
        self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator, kind: Kind = "classification"
    ) -> nn.Module:
        """What ``build`` makes, checked: equal states of the generator give equal bits.

        torch, numpy and random are seeded from ``generator`` meanwhile, and their states restored. One logit for two
        classes becomes two, whose softmax is the sigmoid of the logit.

        Raises
        ------
        InputError
            If it is no module, has nothing to train, fails on rows with ``shape`` or overwrites them, or has other
            outputs than expected.
        """
        d, where = math.prod(shape), f"{self.name}: build"
        copy = torch.Generator().set_state(generator.get_state())  # ``build`` alone draws the same weights
        with seeded(int(torch.randint(2**62, (), generator=copy))):
            module = self.build(d if _wants_number(type(self)) else shape, n_outputs, generator)  # type: ignore[arg-type]
            if not isinstance(module, nn.Module) or isinstance(module, torch.jit.ScriptModule):
                raise InputError(
                    f"{where}: expected a torch.nn.Module, got {type(module).__name__}: return the network"
                )
            if any(parameter.is_meta for parameter in module.parameters()):
                raise InputError(f"{where}: expected weights with numbers, got some on the device meta: name no device")
            fitting = with_outputs(where, module, d, n_outputs, kind)
            if not any(parameter.requires_grad for parameter in module.parameters()):
                raise InputError(f"{where}: expected weights that can be trained, got none: register them")
        return fitting

    def unsupported(self, data: Dataset) -> str | None:
        """Why it has no network for this dataset, or None: any dataset has one."""
        return None

    def fit(
        self, data: Dataset, seed: int, columns: Sequence[int] | None = None, *, device: str | torch.device = "cpu"
    ) -> FittedModel:
        """A network that is trained on a dataset: see ``models.source.ModelSource`` and ``training.fit_many``."""
        from xai_bench.models.training import fit_many

        masks = None
        if columns is not None:
            masks = np.zeros((1, data.d), dtype=bool)
            masks[0, list(columns)] = True
        (fitted,) = fit_many(self, data, [seed], masks, chunk=1, device=device)
        return fitted

    def penalty(self, module: nn.Module) -> Tensor:
        """A scalar that is added to the mean loss of every step."""
        return torch.zeros(())

    penalises_gradients: ClassVar[bool] = False
    """Whether ``gradient_penalty`` is added too. Only the ordinary loop, ``training.fit_one``, knows it."""

    def gradient_penalty(self, loss: Tensor, rows: Tensor) -> Tensor:
        """A scalar of the gradient of the mean loss by the rows (b, d) of a batch."""
        return torch.zeros(())


def with_outputs(where: str, module: nn.Module, d: int, n_outputs: int, kind: Kind) -> nn.Module:
    """The module, which must take rows (n, d) to (n, n_outputs); one logit for two classes becomes two.

    Raises
    ------
    InputError
        If it fails on such rows, overwrites them, or has other outputs. ``where``: what the message begins with.
    """
    found = _outputs(where, module, d)
    if found == (2, n_outputs):
        return module
    if found == (2, 1) and n_outputs == 2 and kind == "classification":
        return with_two_logits(module)
    raise InputError(
        f"{where}: expected outputs (n, {n_outputs}) for inputs (n, {d}), got {found} for n = 2: "
        f"return one {'logit a class' if kind == 'classification' else 'value a target'}"
    )


def _outputs(where: str, module: nn.Module, d: int) -> tuple[int | str, ...]:
    """The shape of the module's outputs for two rows, or the name of their type; its mode is restored."""
    training, own = module.training, next(module.parameters(), torch.zeros(()))
    rows = torch.tensor([[-1.0], [1.0]], dtype=own.dtype, device=own.device).repeat(1, d)
    given = rows.clone()
    try:
        with torch.no_grad():
            outputs = module.eval()(given)
    except Exception as error:
        raise InputError(
            f"{where}: expected a network for inputs (n, {d}), got one that fails on them: {reason_of(error)}"
        ) from error
    module.train(training)
    if not torch.equal(given, rows):
        raise InputError(
            f"{where}: expected a network that leaves its inputs as they are, got one that overwrites "
            "them: x = x - 1, not x -= 1, and no in-place layer that is given the inputs"
        )
    return tuple(outputs.shape) if isinstance(outputs, Tensor) else (type(outputs).__name__,)


def _wants_number(architecture: type[Architecture]) -> bool:
    """Whether ``build`` was written for the number of inputs, not for their shape."""
    first = list(inspect.signature(architecture.build).parameters.values())[1]
    return first.name == "d" or first.annotation in (int, "int")


def with_two_logits(module: nn.Module) -> nn.Sequential:
    """A network with one logit z for two classes, as one with the logits -z/2 and z/2, whose softmax is sigmoid(z).

    What is put behind it is an ordinary Linear, which attribution methods know; its weights are buffers, so that
    nothing trains, counts or initialises them.
    """
    head = nn.Linear(1, 2, bias=False)
    del head.weight
    head.register_buffer("weight", torch.tensor([[-0.5], [0.5]]))
    if type(module).forward is nn.Sequential.forward:
        return nn.Sequential(*module.children(), head)
    network = nn.Sequential(module, head)
    network.wraps = True  # type: ignore[assignment]
    return network


def built(network: nn.Module) -> nn.Module:
    """What ``build`` made of what ``network`` returned, for ``penalty``; a chain may have a last layer more."""
    if getattr(network, "wraps", False):
        assert isinstance(network, nn.Sequential)
        return network[0]
    return network


@dataclass(frozen=True)
class FittedModel:
    """A trained network in eval mode, with what it reached and what it cost.

    Attributes
    ----------
    module : in eval mode, without gradients of its parameters
    kind : classification or regression
    train_score, valid_score, test_score : accuracy or R2; None where R2 is not defined, see ``unscored``
    test_mae : mean absolute error on the test rows, in the units of the target; None in classification
    test_balanced : balanced accuracy on the test rows; None in regression
    chance : test score of a constant guess: the share of the test rows that have the commonest class of the training
        rows, or R2 of the training mean on the test rows; None where R2 is not defined
    p_value : how often predictions dealt to the test rows at random have as many hits, or as small squared errors
        (an upper bound, where that is tiny); 1 for constant predictions
    learned : p_value < .01
    valid_loss : that of the weights that are kept
    train_cpu, train_wall : seconds; None of a network that was not trained here
    unscored : why a score is None, "" if none is
    """

    module: nn.Module
    kind: Kind
    train_score: float | None
    valid_score: float | None
    test_score: float | None
    test_mae: float | None
    test_balanced: float | None
    chance: float | None
    p_value: float
    learned: bool
    valid_loss: float
    train_cpu: float | None
    train_wall: float | None
    unscored: str = ""
