"""What is stored: typed facts of draws, networks and cells, and the rows of a plan."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None
Status = Literal["done", "unsupported", "failed", "timed_out"]
SETTLED = ("done", "unsupported")
MACHINE = ("processor", "cores", "system", "device")
"""What tells machines apart in the record of a run: costs of two that differ in one of them cannot be compared."""
NOT_KNOWN = "not known"
"""In place of the machine that trained a network."""
PLAIN = frozenset({bool, int, float, str, type(None)})


class Facts(Mapping[str, Any]):
    """A frozen record that is also read as the JSON object that the store keeps of it.

    An attribute has the type of its field (``facts.roles`` is a tuple); ``facts["roles"]``, ``get``, ``in`` and
    ``items`` read the JSON form (lists and dicts, not to be changed). ``from_json(facts.to_json()) == facts``.

    Attributes
    ----------
    reasons : name of a fact to the reason why it is None where a number was due
    other : facts in a store that this version does not know; they are kept
    """

    parts: ClassVar[Mapping[str, type[Facts]]] = {}
    """Fields that hold other facts, or a tuple of them."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Field to its name in JSON, where that is another one."""
    optional: ClassVar[frozenset[str]] = frozenset({"reasons"})
    """Fields that the JSON form leaves out where they are empty."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From the JSON form; what is missing takes its default.

        Raises
        ------
        TypeError
            If a field without a default is missing.
        """
        names = {cls.aliases.get(f.name, f.name): f.name for f in fields(cls) if f.name != "other"}  # type: ignore[arg-type]
        known = {field: cls._part(field, content[name]) for name, field in names.items() if name in content}
        other = {name: value for name, value in content.items() if name not in names}
        return cls(**known, **({"other": other} if other else {}))

    @classmethod
    def _part(cls, name: str, value: Any) -> Any:
        part = cls.parts.get(name)
        if part is not None and isinstance(value, list | tuple):
            return tuple(item if isinstance(item, part) else part.from_json(item) for item in value)
        if part is not None and isinstance(value, Mapping):
            return value if isinstance(value, part) else part.from_json(value)
        return _frozen(value)

    def to_json(self) -> dict[str, Any]:
        """The JSON form: lists for tuples, dicts for facts in facts."""
        return dict(self._json)

    @cached_property
    def _json(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if one.name != "other" and not (one.name in self.optional and not value and value != 0):
                found[self.aliases.get(one.name, one.name)] = _thawed(value)
        return found | _thawed(getattr(self, "other", {}))

    def __getitem__(self, name: str) -> Any:
        return self._json[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._json)

    def __len__(self) -> int:
        return len(self._json)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_json"}


def _frozen(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return tuple(value) if _are_plain(value) else tuple(_frozen(item) for item in value)


def _are_plain(values: list[Any] | tuple[Any, ...]) -> bool:
    """Whether nothing in a list holds something: histograms have thousands of numbers."""
    return PLAIN.issuperset(map(type, values))


def _thawed(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    if isinstance(value, Facts):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: _thawed(item) for name, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    return list(value) if _are_plain(value) else [_thawed(item) for item in value]


F = TypeVar("F", bound=Facts)


class Held(MutableMapping[str, F]):
    """Records by key, kept as packed JSON, and made when they are asked for: thousands would take gigabytes."""

    LATEST = 1024
    """So many are kept as they were made."""

    def __init__(self, kind: type[F], rows: Iterable[tuple[str, str]]) -> None:
        """``rows``: keys and JSON texts.

        Raises
        ------
        ValueError, TypeError
            If a text is none of such a record.
        """
        self._kind, self._made = kind, dict[str, F]()
        self._packed: dict[str, bytes] = {}
        for key, text in rows:
            self._packed[key] = zlib.compress(text.encode(), 1)
            self._keep(key, text)

    def __getitem__(self, key: str) -> F:
        found = self._made.get(key)
        return self._keep(key, zlib.decompress(self._packed[key])) if found is None else found

    def _keep(self, key: str, text: str | bytes) -> F:
        if key not in self._made and len(self._made) >= self.LATEST:
            del self._made[next(iter(self._made))]
        made = self._made[key] = self._kind.from_json(json.loads(text))
        return made

    def __setitem__(self, key: str, record: F) -> None:
        text = json.dumps(record.to_json())
        self._packed[key] = zlib.compress(text.encode(), 1)
        self._keep(key, text)

    def __delitem__(self, key: str) -> None:
        del self._packed[key]
        self._made.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, key: object) -> bool:
        return key in self._packed


@dataclass(frozen=True)
class Histograms(Facts):
    """Of every input (d), by class: ``edges`` (d, bins + 1) in original units, ``counts`` (classes, d, bins).

    An input of several columns is shown by which of them is the largest: 0, 1, 2 ...
    """

    edges: tuple[tuple[float, ...], ...]
    counts: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class Picture(Facts):
    """One row of a class, of pixels (d,) from 0 to 255, the mean of their channels. In JSON the label is ``class``."""

    aliases = {"label": "class"}

    label: str
    pixels: tuple[int, ...]


@dataclass(frozen=True)
class Views(Facts):
    """What a figure of the data needs: canonical order, training rows only. ``mean``: the mean row (d,)."""

    parts = {"histograms": Histograms, "pictures": Picture}
    optional = frozenset({"histograms", "pictures", "mean"})

    histograms: Histograms | None = None
    pictures: tuple[Picture, ...] = ()
    mean: tuple[float, ...] = ()


@dataclass(frozen=True)
class WindowFacts(Facts):
    """Neighbouring inputs that make one line of a spectrum; ``columns`` are their numbers in canonical order."""

    name: str
    kind: str
    role: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class DrawFacts(Facts):
    """What is known of one draw of a dataset; inputs in canonical order.

    All indices are numbers of inputs. Where an input has several columns, ``inputs`` says which.

    Attributes
    ----------
    dataset, family, traits : name of the component, its family, what is particular of it
    kind, d, n_outputs, n_train, n_valid, n_test : classification or regression, inputs, outputs, rows
    feature_names, feature_units, feature_shape : of the d inputs; the shape of a picture, or None
    class_names, target_name, target_units, target_std : of the target
    constant : inputs that are constant on the training rows
    content_hash : of the data
    ceiling : the best score that can be reached with all inputs, None if it is not known
    floor_mae : the smallest mean absolute error that can be reached, or None
    views : what figures of the data need
    roles, graded, groups, blocks, resolution, windows : the truth over inputs (see ``GroundTruth.over``); ``roles`` is
        None without one. There are blocks in stores of earlier versions, whose inputs are columns
    n_relevant : relevant inputs
    chance : metric to the expected score of a random ranking, None where it is not defined
    metrics : name of every metric to the identity of the code that scored
    spearman_ceiling : the highest Spearman correlation that ties in the truth allow
    notices : for the user
    columns, inputs : names of the columns, and the columns of each input; () where every input is a column
    """

    parts = {"views": Views, "windows": WindowFacts}
    optional = Facts.optional | {"family", "traits", "columns", "inputs"}

    dataset: str
    kind: str
    d: int
    n_outputs: int
    n_train: int
    n_valid: int
    n_test: int
    feature_names: tuple[str, ...]
    family: str = ""
    traits: tuple[str, ...] = ()
    feature_units: tuple[str, ...] = ()
    feature_shape: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()
    target_name: str = ""
    target_units: str = ""
    target_std: float | None = None
    constant: tuple[int, ...] = ()
    content_hash: str = ""
    ceiling: float | None = None
    floor_mae: float | None = None
    views: Views = field(default_factory=Views)
    roles: tuple[str, ...] | None = None
    graded: tuple[float, ...] | None = None
    groups: tuple[tuple[int, ...], ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()
    resolution: float | None = None
    windows: tuple[WindowFacts, ...] = ()
    n_relevant: int | None = None
    chance: Mapping[str, float | None] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    spearman_ceiling: float | None = None
    notices: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    inputs: tuple[tuple[int, ...], ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def n_columns(self) -> int:
        """Columns that networks see."""
        return len(self.columns) or self.d


@dataclass(frozen=True)
class ModelFacts(Facts):
    """What a trained network reached and what its training cost (see ``FittedModel``).

    A score that is None has its reason in ``reasons``. A network that was not trained here has no times.
    ``ceiling``: the best score that can be reached, or None.
    ``model_chosen``: the setting that validation chose, None where there was no choice.
    ``trained_on``: of the machine that trained it, what tells machines apart (see ``MACHINE``); None where nothing was
    trained, or by a version that did not record it.
    """

    optional = Facts.optional | {"model_chosen", "test_balanced", "trained_on"}

    kind: str
    train_score: float | None
    valid_score: float | None
    test_score: float | None
    chance: float | None
    p_value: float | None
    learned: bool
    train_cpu: float | None
    train_wall: float | None
    valid_loss: float | None = None
    test_mae: float | None = None
    ceiling: float | None = None
    parameters: int | None = None
    model_chosen: Mapping[str, JSON] | None = None
    test_balanced: float | None = None
    trained_on: Mapping[str, JSON] | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Signs(Facts):
    """Whether one relevance of a network has settled, without a truth: see ``scoring.settling``.

    Attributes
    ----------
    share : of the relevance of a second training that falls on copies of the inputs; .5 says that it cannot tell them
        from the inputs. None without copies, or if all relevances are 0
    correlation, initial : Spearman's with the second training, and with the network's own initial weights; None where
        all relevances are equal
    top : the share of the k highest inputs that are the same in both trainings
    """

    share: float | None
    correlation: float | None
    initial: float | None
    top: float | None


@dataclass(frozen=True)
class SettlingFacts(Facts):
    """What one more training of a network showed.

    Attributes
    ----------
    first_layer, saliency : of the relevance that is read off the first layer, and of saliency; None with a reason
    k : inputs in the sets that ``Signs.top`` compares: the relevant ones, or a quarter of all
    copies : whether copies of the inputs stood beside them
    train_cpu, train_wall : seconds of the second training
    """

    parts = {"first_layer": Signs, "saliency": Signs}

    first_layer: Signs | None = None
    saliency: Signs | None = None
    k: int | None = None
    copies: bool = False
    train_cpu: float = 0.0
    train_wall: float = 0.0
    reasons: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricFacts(Facts):
    """What a Metric declares of itself (see ``metrics.base.Metric``), as the run that scored with it knew it."""

    name: str
    title: str
    lower: float | None
    upper: float | None
    reads: str = "ranks"
    descriptive: bool = False
    better: str = "higher"
    headline: bool = False
    order: int = 1000
    reasons: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def best(self) -> float:
        """The bound at the better end; NaN where there is none."""
        bound = self.upper if self.better == "higher" else self.lower
        return math.nan if bound is None else float(bound)

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.better == "higher" else -1

    @property
    def highest(self) -> str:
        """The best of several means, in words."""
        return "highest" if self.better == "higher" else "lowest"


@dataclass(frozen=True)
class Measurement:
    """One number of a cell. ``k`` is 0 where the metric has none; a value of None has a reason."""

    metric: str
    value: float | None
    k: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Costs:
    """What one explanation took: CPU and wall seconds, bytes above the start, rows through the model.

    ``rows_explained``: rows that were explained, None for a method that explains none.
    """

    setup_cpu: float = 0.0
    setup_wall: float = 0.0
    explain_cpu: float = 0.0
    explain_wall: float = 0.0
    peak_memory: int | None = None
    forward_rows: int = 0
    backward_rows: int = 0
    rows_explained: int | None = None


@dataclass(frozen=True)
class Tested(Facts):
    """P-values of the inputs, and what is promised of those that are at most a level (see ``explainers.promise``).

    Attributes
    ----------
    null, controls : which inputs count as false, and which error is at most the level
    p_values : (n_inputs,) in canonical order
    """

    null: str
    controls: str
    p_values: tuple[float, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class CellResult:
    """What became of one cell. ``relevance`` (n_inputs,) is in canonical order, None unless ``done``.

    ``columns``: the relevance (d,) of the columns, in canonical order; None where every input is a column.
    ``chosen``: the setting that validation chose, where there was a choice; it is kept beside the costs.
    ``tested``: p-values, of a method that has some; they are kept beside the costs too.
    Of a cell that is ``timed_out``, ``costs.explain_wall`` is the limit that it did not keep.
    """

    key: str
    status: Status
    reason: str = ""
    costs: Costs = field(default_factory=Costs)
    relevance: NDArray[np.float64] | None = None
    measurements: tuple[Measurement, ...] = ()
    chosen: Mapping[str, Any] | None = None
    columns: NDArray[np.float64] | None = None
    tested: Tested | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A trained network: what it reached and its weights (safetensors)."""

    key: str
    facts: ModelFacts
    weights: bytes


@dataclass(frozen=True)
class DrawRecord:
    """What is known of one draw of a dataset."""

    key: str
    facts: DrawFacts


Place = tuple[str, str, str, int, int, int, int]
"""Labels of dataset, model and explainer, data seed, model seed, fold, number of the null run."""


@dataclass(frozen=True)
class PlanRow:
    """One cell of the suite under the labels of the suite. ``permutation``: the number of a null run, or -1."""

    cell: str
    draw: str
    model_key: str
    dataset: str
    model: str
    explainer: str
    data_seed: int
    model_seed: int
    fold: int
    permutation: int = -1

    @property
    def place(self) -> Place:
        """What names the cell within the suite, whatever its key."""
        return self.dataset, self.model, self.explainer, self.data_seed, self.model_seed, self.fold, self.permutation
