"""A suite: which datasets, models and explainers are compared, with which seeds. Read from TOML, validated.

Only what stands under ``grid`` is expanded; a list elsewhere is one value (``hidden = [100, 100, 50]``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from xai_bench.component import canonical_json, sha256

Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
NAME, LONGEST_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", 100
"""Of a suite: it is the name of a folder."""
NAME_WORDS = "a name of letters, digits, '.', '_' and '-', at most 100, that begins with a letter or a digit"
CONTROLS = ("random", "oracle")
CELL_SECONDS, TRAINING_SECONDS = 600.0, 21600.0
"""Limits with worker processes where a suite sets none."""
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class Entry(BaseModel):
    """One row of an axis: a component and its name in this suite.

    Attributes
    ----------
    optional : a dataset whose files are absent is left out with a notice, instead of being an error
    standardise : of a dataset; None for what the suite says
    datasets : labels of the datasets that a model is trained on; () for all
    candidates : settings of fields, one of which is chosen by validation for every draw; () if there is no choice
    tries : the budget that the candidates come from
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    label: str
    component: Any
    optional: bool = False
    standardise: bool | None = None
    datasets: tuple[str, ...] = ()
    candidates: tuple[dict[str, Any], ...] = ()
    tries: int = 0

    def identity(self) -> dict[str, Any]:
        """All that results depend on: the component's identity, and what may be chosen."""
        identity: dict[str, Any] = self.component.identity()
        if self.candidates:
            identity |= {"candidates": list(self.candidates), "tries": self.tries}
        return identity

    def settled(self, setting: dict[str, Any]) -> Entry:
        """The entry once a setting is chosen."""
        component = type(self.component)(**{**self.component.fields(), **setting})
        return self.model_copy(update={"component": component, "candidates": ()})

    def is_for(self, dataset: str) -> bool:
        """Is it used on the dataset with that label?"""
        return not self.datasets or dataset in self.datasets


class Limits(BaseModel):
    """What work may take. No key depends on it.

    An explanation over its time ends as ``timed_out``. It is tried again only by a run whose limit is higher, or that
    has none. One over its memory is a failure, and so is other work over its time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seconds: Annotated[float, Field(gt=0)] | None = None
    """Wall seconds of a cell. With worker processes 600 if nothing is said; without, none. Warming up a method, and
    loading the data of a draw, have a minute more."""
    training: Annotated[float, Field(gt=0)] | None = None
    """Wall seconds of training one network, of one follow-up (such as the retention of a draw), and of everything else.
    With worker processes 21600 (6 hours) if nothing is said; without, none."""
    memory: str | None = None
    """A number and KiB, MiB, GiB or TiB, above what the process holds when the explanation begins. Below 2 GiB batches
    are smaller: methods that draw anew for every batch then draw others. Memory that is shared with other processes,
    files that are mapped into memory, and what processes of its own take are not seen."""

    def kept(self, jobs: int | None) -> Limits:
        """What holds with that many worker processes (None: without)."""
        if jobs is None:
            return self
        seconds, training = self.seconds or CELL_SECONDS, self.training or TRAINING_SECONDS
        return self.model_copy(update={"seconds": seconds, "training": training})

    @property
    def bytes(self) -> int | None:
        """``memory`` in bytes."""
        if self.memory is None:
            return None
        number, unit = self.memory[:-3], self.memory[-3:]
        return int(float(number) * UNITS[unit])


class Tuning(BaseModel):
    """The budget that everything with a ``tune`` table has, for every draw: the same for all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    tries: Annotated[int, Field(ge=1)]
    """Settings that are tried at the most; drawn once for the suite, if there are more."""


class Draws(BaseModel):
    """The draws of a suite that a follow-up looks at: by label of the dataset and by data seed; () for all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    datasets: tuple[str, ...] = ()
    data_seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()

    def holds(self, dataset: str, data_seed: int) -> bool:
        """Whether the draw of that dataset and data seed is meant."""
        seeds = self.data_seeds
        return (not self.datasets or dataset in self.datasets) and (not seeds or data_seed in seeds)


class Retention(Draws):
    """How retention is judged. The judge is a plain ``mlp`` that is retrained on the kept inputs only."""

    orders: Annotated[int, Field(ge=10, le=1_000_000)] = 10
    """Random orders that the curve of chance is the mean of."""
    ks: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Numbers of inputs that are kept (those below d, and d); () for 1, 2, 3, 5, 8, 12, 18 ... up to the largest of
    p, d / 10 and 3."""
    masked_to: Annotated[int, Field(ge=0)] = 0
    """The masked form also at every k from 1 to this."""
    least_first: bool = False
    """Also keep the k least relevant inputs."""
    every_model_seed: bool = True
    """Judge the rankings of every model seed; false: of the first one only."""
    rows: Annotated[int, Field(ge=20)] = 5000
    """Training rows of the judge at the most."""
    seeds: Seeds = (0,)
    """Seeds of the judge; scores are averaged over them."""
    judge: dict[str, Any] = {}
    """Fields of the judge that differ from the default judge."""
    judges: tuple[Literal["network", "trees", "ft_transformer"], ...] = ("network",)
    """Who is retrained on the kept inputs: the network, and as further judges extremely randomised trees and a small
    ``ft_transformer``, which takes about a second a mask; () for none: the explained network is the only judge."""

    score: Literal["score", "auroc"] = "score"
    """What all are scored by: ``score`` is accuracy or R2. ``auroc``, in classification: the area under the ROC curve,
    the mean over the classes of that of each class against the others; a ceiling of it is not known."""

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the field that came later, at its default: suites that do not know it stay equal."""
        fields: dict[str, Any] = handler(self)
        return {key: value for key, value in fields.items() if key != "score" or value != "score"}

    def of_a_draw(self) -> dict[str, Any]:
        """JSON-ready: what the numbers of one draw depend on."""
        return self.model_dump(mode="json", exclude=set(Draws.model_fields))


class Part(BaseModel):
    """A part of a suite, by labels; an empty axis stands for all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    explainers: tuple[str, ...] = ()

    def covers(self, axis: str, label: str) -> bool:
        """Whether the entry of that label is meant."""
        chosen = getattr(self, axis)
        return not chosen or label in chosen


class Calibration(Part):
    """Null runs: what a method finds where the targets are permuted, on the suite's first data seed."""

    runs: Annotated[int, Field(ge=20, le=100_000)] = 20
    """Permutations that set the thresholds; as many again judge them."""


class Sanity(Draws, Part):
    """Relevance after the network is initialised anew, layer by layer (Adebayo et al. 2018, NeurIPS)."""

    stages: Literal["each", "all"] = "each"
    """After how many layers relevance is compared: after each, from both sides, or once, with all of them new."""

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the field that came later, at its default: suites that do not know it stay equal."""
        fields: dict[str, Any] = handler(self)
        return {key: value for key, value in fields.items() if key != "stages" or value != "each"}


class Entrants(BaseModel):
    """Who is decided of together, by labels; an empty axis stands for all of it. A release keeps the list as it is.

    Anyone else is compared with these only, and changes nobody's decisions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    explainers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    diagram: Annotated[tuple[str, ...], Field(max_length=12)] = ()
    """Explainers, or entrants such as ``lrp on mlp``, of the critical-difference diagram: twelve at the most."""


class Settling(BaseModel):
    """On which draws networks are trained once more, to see whether their relevance has settled."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    draws: Annotated[int, Field(ge=0)] = 5
    """The first data seeds, each with its first fold and the first model seed; 0 for none."""


class Suite(BaseModel):
    """A validated suite. Build one with ``load`` or ``from_dict``."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        # Before 2.10 pydantic warns of every field that begins with "model_".
        protected_namespaces=(),
    )

    name: Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME, description=NAME_WORDS)]
    title: str = ""
    data_seeds: Seeds = (0, 1, 2)
    model_seeds: Seeds = (0,)
    folds: Annotated[int, Field(ge=0, le=1000)] = 0
    crossed: bool = True
    """Every model seed on every data seed; false: model seeds after the first on the first data seed only."""
    standardise: bool = True
    rankings: Annotated[int, Field(ge=2, le=1_000_000)] = 200
    """Random rankings of the control ``random``."""
    datasets: Annotated[tuple[Entry, ...], Field(min_length=1)]
    models: tuple[Entry, ...] = ()
    explainers: Annotated[tuple[Entry, ...], Field(min_length=1)]
    retention: Retention | None = None
    limits: Limits = Limits()
    tuning: Tuning | None = None
    calibration: Calibration | None = None
    sanity: Sanity | None = None
    entrants: Entrants | None = None
    focus: str = ""
    """The explainer, network or entrant (``lrp on mlp``) that the report compares with all others; "" for none."""
    settling: Settling = Settling()
    anchor: str = ""
    """The published table that the results can be compared with, see ``xai_bench.published``; "" for none."""

    def config(self) -> dict[str, Any]:
        """JSON-ready: what the results depend on, and the labels."""
        axes = {
            axis: [_described(entry) for entry in getattr(self, axis)] for axis in ("datasets", "models", "explainers")
        }
        plain = self.model_dump(mode="json", exclude={"datasets", "models", "explainers"})
        if not self.anchor:  # suites that name none stay equal to those of before
            del plain["anchor"]
        return {**plain, **axes}

    def key(self) -> str:
        return sha256(canonical_json(self.config()))

    def names(self) -> dict[str, list[str]]:
        """What can be compared: labels of explainers and of models, and ids of entrants, a method on a network."""
        explainers, models = ([entry.label for entry in axis] for axis in (self.explainers, self.models))
        methods = [entry.label for entry in self.explainers if entry.component.needs != "data"]
        pairs = [f"{method} on {model}" for method in methods for model in dict.fromkeys(models)]
        return {"explainers": explainers, "models": models, "entrants": pairs}

    def models_on(self, dataset: str) -> list[Entry]:
        """The models that are trained on the dataset with that label."""
        return [entry for entry in self.models if entry.is_for(dataset)]

    def plain_model(self, dataset: str) -> Entry | None:
        """The model that masks are tried on for explainers without one: the first unpenalised ``mlp``, or the first."""
        plain = [entry for entry in self.models_on(dataset) if entry.component.name == "mlp"]
        unpenalised = [entry for entry in plain if entry.component.group_lasso == 0]
        return next(iter(unpenalised + plain), None)


def _described(entry: Entry) -> dict[str, Any]:
    """Label and identity of an entry, and what of it differs from the suite."""
    own: dict[str, Any] = {} if entry.standardise is None else {"standardise": entry.standardise}
    if entry.datasets:
        own["datasets"] = list(entry.datasets)
    return {"label": entry.label, **entry.identity(), **own}
