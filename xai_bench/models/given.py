"""A network that was trained elsewhere: explained, scored and compared here, never trained."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import safetensors.torch
import torch
from pydantic import ConfigDict, Field, PrivateAttr, field_serializer, field_validator
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from xai_bench import plugins
from xai_bench.component import Component, canonical_json, sha256
from xai_bench.datasets.base import Dataset
from xai_bench.devices import seeded
from xai_bench.errors import FAILURES, InputError, reason_of
from xai_bench.models.base import FittedModel, Kind, with_outputs
from xai_bench.models.learning import fitted_model
from xai_bench.models.losses import Tensors, loss
from xai_bench.places import expanded
from xai_bench.sources.scripts import Place, digest_of_script

ROWS = 4096
"""Rows that go through the network at once, to score it."""
PLAIN = (bool, int, float, str, bytes, tuple, type(None))
"""Types of attributes of a module that count as part of it."""


PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Network:
    """A module as the value of a field: a copy, equal to another one of the same weights and the same code."""

    def __init__(self, module: nn.Module) -> None:
        try:
            self.module = copy.deepcopy(module).cpu().eval()
        except Exception as error:
            raise InputError(f"given: expected a module that can be copied, got one that cannot: {error}") from None
        self.sha256 = sha256(canonical_json([_code_of(self.module), _digest(self.module.state_dict())]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and other.sha256 == self.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<{type(self.module).__name__}>"


class Given(Component):
    """A network that is not trained here: a file of weights and a function that builds the module, or a module.

    The network is given the columns of a dataset in their own order, that of the table and of the names in the results.
    They are standardised if the suite says so, and so is the target of a regression, which its outputs are compared
    with. So it has to be trained on such columns, or, with ``standardise = false``, on the columns as they are. It is
    used on the datasets that it fits; on others it is ``unsupported``, with the reason. Its numbers are taken in single
    precision.

    Its key is the hash of its weights and of the code that builds it: of the file and what its static imports reach,
    as of a plugin; of a module the classes of its parts, and what these hold beside weights (numbers, texts, tensors).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    family: ClassVar[str] = "models"
    name: ClassVar[str] = "given"
    trains: ClassVar[bool] = False
    needs_picture: ClassVar[bool] = True

    module: str | Network = Field(description="FILE.py:FUNCTION, or a torch.nn.Module")
    """``FILE.py:FUNCTION``, which is called without arguments and returns the module; from Python also a module."""
    path: str = ""
    """The file of the weights, a ``state_dict``: written by ``torch.save``, or with the ending ``.safetensors``."""

    _weights: bytes = PrivateAttr()
    _code: plugins.Plugin | None = PrivateAttr(default=None)

    @field_validator("module", mode="before")
    @classmethod
    def _kept(cls, module: Any) -> Any:
        return Network(module) if isinstance(module, nn.Module) else module

    @field_serializer("module")
    def _told(self, module: str | Network) -> str:
        return module if isinstance(module, str) else module.sha256

    def model_post_init(self, context: Any) -> None:
        """Read both files, once: workers receive what was read."""
        if isinstance(self.module, Network):
            if self.path:
                raise InputError("given: expected no path beside a module, got one: the module has its weights")
            self._weights = _packed(self.module.module.state_dict())
            return
        file, colon, function = self.module.rpartition(":")
        if not (colon and file.endswith(".py") and function.isidentifier()):
            raise InputError(f"given: module: expected FILE.py:FUNCTION, got {self.module!r}")
        if not self.path:
            raise InputError("given: the field 'path' is required: the file of the weights")
        self._weights = _packed(_read(expanded(self.path)))
        self._code = plugins.read(expanded(file))
        self._loaded()

    @property
    def label(self) -> str:
        """What a suite calls it if it does not say otherwise."""
        return Path(self.path).stem or self.name

    def fingerprint(self) -> dict[str, Any]:
        if isinstance(self.module, Network):
            return {"sha256": self.module.sha256}
        assert self._code is not None
        code = [self._code.sha256, self.module.rpartition(":")[2]]
        return {"sha256": sha256(canonical_json([code, _digest(safetensors.torch.load(self._weights))]))}

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "fields": {}}

    def unsupported(self, data: Dataset) -> str | None:
        """Why the network does not fit a dataset, or None."""
        try:
            self._checked(self._loaded(), data.d, data.n_outputs, data.kind)
        except InputError as error:
            return str(error)
        return None

    def network(
        self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator, kind: Kind = "classification"
    ) -> nn.Module:
        """The module with new weights: as it is built; of a module as its parts are reset, see ``_renewed``.

        Raises
        ------
        InputError
            If it does not fit.
        """
        with seeded(int(torch.randint(2**62, (), generator=generator))):
            module = self._built()
            if isinstance(self.module, Network):
                _renew(module)
        return self._checked(unwrapped(module), math.prod(shape), n_outputs, kind)

    def fit(
        self, data: Dataset, seed: int = 0, columns: Sequence[int] | None = None, *, device: str | torch.device = "cpu"
    ) -> FittedModel:
        """The network with its scores on a dataset in canonical order; nothing is trained, so it has no times.

        Raises
        ------
        InputError
            If it does not fit, or is to see some of the columns only.
        """
        if columns is not None and len(columns) < data.d:
            raise InputError(f"a given network needs all its inputs: expected {data.d} columns, got {len(columns)}")
        module = self._checked(self._loaded(), data.d, data.n_outputs, data.kind)
        return fitted_to(data, module, device)

    def _checked(self, module: nn.Module, d: int, n_outputs: int, kind: Kind) -> nn.Module:
        """The module, if it takes rows (n, d) to what is asked for; see ``with_outputs``."""
        return with_outputs("the given network", module, d, n_outputs, kind)

    def _built(self) -> nn.Module:
        """The module as it is built, or a copy of it, in single precision."""
        if isinstance(self.module, Network):
            return copy.deepcopy(self.module.module).float()
        plugin, function = self._code, self.module.rpartition(":")[2]
        assert plugin is not None
        try:
            if plugin.module not in sys.modules:
                plugins.execute(plugin)
            build = getattr(sys.modules[plugin.module], function, None)
            module = build() if callable(build) else None
        except FAILURES as error:
            raise InputError(f"given: {plugin.filename}:{function} fails: {reason_of(error)}") from error
        if build is None:
            raise InputError(f"given: expected a function {function!r} in {plugin.filename!r}, found none")
        if not isinstance(module, nn.Module):
            raise InputError(f"given: {plugin.filename}:{function}: expected a torch.nn.Module, got {module!r}")
        check_open("given", module)
        return module.float()

    def _loaded(self) -> nn.Module:
        """The network with its weights, in eval mode.

        Raises
        ------
        InputError
            If it cannot be built, or the weights are those of another one.
        """
        with seeded(0):
            module = self._built()
        try:
            module.load_state_dict(safetensors.torch.load(self._weights))
        except RuntimeError as error:
            told = " ".join(str(error).split())
            raise InputError(f"given: the weights are not those of the module: {told[:200]}") from None
        return unwrapped(module).eval()


def check_open(what: str, module: nn.Module) -> None:
    """Refuse a module that methods cannot look into, or that has no weights yet. ``what``: it, for messages.

    Raises
    ------
    InputError
        If parts of it are scripted or traced (they take no hooks), or lazy.
    """
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise InputError(
            f"{what}: expected a module that takes hooks, got one that torch.jit has scripted or traced: use the "
            "module that it was made of"
        )
    if any(map(is_lazy, (*module.parameters(), *module.buffers()))):
        raise InputError(
            f"{what}: expected a module with all its weights, got lazy layers that have none yet: call it on some "
            "rows first"
        )


def unwrapped(module: nn.Module) -> nn.Module:
    """The module without what ``torch.compile`` and ``DataParallel`` put around it and, in place, around its parts.

    Hooks on parts of a compiled module are not called: methods that go layer by layer would be others, unnoticed.
    """
    inner = getattr(module, "_orig_mod", module.module if isinstance(module, PARALLEL) else None)
    if isinstance(inner, nn.Module):
        return unwrapped(inner)
    for name, part in list(module.named_children()):
        if (plain := unwrapped(part)) is not part:
            setattr(module, name, plain)
    return module


def fitted_to(data: Dataset, module: nn.Module, device: str | torch.device = "cpu") -> FittedModel:
    """The module, in eval mode on ``device``, with its scores on a dataset; nothing is trained, so it has no times."""
    module.to(device).eval()
    tensors = Tensors(data, torch.float32, torch.device(device))
    with torch.no_grad():
        outputs = {
            part: torch.cat([module(rows) for rows in getattr(tensors, f"X_{part}").split(ROWS)])
            for part in ("train", "valid", "test")
        }
        valid_loss = float(loss(outputs["valid"][None], tensors.y_valid[None], tensors.kind)[0])
    return fitted_model(module, tensors, outputs, valid_loss, None, None)


def _read(path: Path) -> Mapping[str, Tensor]:
    """The weights in a file.

    Raises
    ------
    InputError
        If there is none, or it holds something else.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"given: expected a file of weights at {str(path)!r}, found {found}: correct the path")
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        content = None
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(
            f"given: expected weights in {path.name!r}, as torch.save(net.state_dict(), path) writes them, got another "
            "content"
        )
    return content


def _packed(state: Mapping[str, Tensor]) -> bytes:
    # Copies: layers may share their weights.
    return safetensors.torch.save({name: value.detach().cpu().contiguous().clone() for name, value in state.items()})


def _digest(state: Mapping[str, Tensor]) -> str:
    """A hash of names, types, shapes and values."""
    parts = []
    for name, value in sorted(state.items()):
        bits = value.detach().cpu().contiguous().clone().reshape(-1).view(torch.uint8).numpy().tobytes()
        parts.append([name, str(value.dtype), list(value.shape), sha256(bits)])
    return sha256(canonical_json(parts))


def _code_of(module: nn.Module) -> list[Any]:
    """Of every part its name, its class, and what it holds beside weights; the code of classes that are not torch's."""
    parts, classes = [], dict[type, str]()
    for name, part in module.named_modules():
        kind = type(part)
        own = {key: value for key, value in vars(part).items() if not key.startswith("_") and key != "training"}
        plain = sorted([key, repr(value)] for key, value in own.items() if isinstance(value, PLAIN))
        tensors = _digest({key: value for key, value in own.items() if isinstance(value, Tensor)})
        parts.append([name, f"{kind.__module__}.{kind.__qualname__}", plain, tensors])
        if kind.__module__.partition(".")[0] != "torch":
            names = getattr(sys.modules.get(kind.__module__), "__dict__", {})
            classes[kind] = digest_of_script(kind, Place(names, str(names.get("__file__", "")), 0))
    hidden = _digest(dict(module.named_buffers()))
    return [parts, sorted(classes.values()), hidden]


def _renew(module: nn.Module) -> None:
    """Give every part new weights: by its ``reset_parameters``, else its own numbers in a random order."""
    with torch.no_grad():
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in part.parameters(recurse=False):
                order = torch.randperm(parameter.numel())
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
