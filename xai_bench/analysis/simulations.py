"""Methods on targets that are simulated on a table: a suite, run piece by piece until the time is over."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.analysis.trainings import NETWORKS, Step
from xai_bench.datasets.inputs import Inputs
from xai_bench.datasets.simulated import Simulated
from xai_bench.datasets.tables import Frame
from xai_bench.errors import InputError
from xai_bench.results import comparison, entrants
from xai_bench.suites import reading
from xai_bench.suites.shipped import text_of

if TYPE_CHECKING:
    from xai_bench.results.frames import Results
    from xai_bench.running.under_way import Progress
    from xai_bench.suites.suite import Suite

METHODS = (
    *("spectral", "column_norm", "saliency", "integrated_gradients", "lrp", "shap_gradient", "permutation_importance"),
    *("mutual_information", "mrmr", "lasso", "random_forest", "random_forest_permutation", "gradient_boosting"),
)
MODELS = tuple(network.name for network in NETWORKS)
STANDARD = "standard"
"""The suite whose settings methods and networks have here too."""
Order = Literal[1, 2, 3]
ORDERS: dict[Order, str] = {1: "additive", 2: "pairwise", 3: "higher order"}
SPARSE, DENSE = "sparse", "dense"
FEW, MANY = 3, 12
"""Relevant inputs of a sparse target, and of a dense one, at the most: half of all inputs where these are fewer."""
LEAST_INPUTS = 4
CHOOSING = 1000
"""First truth seed of the targets by which a method is chosen; those that score it begin with 0."""


@dataclass(frozen=True)
class Kind:
    """A kind of simulated target.

    Attributes
    ----------
    order : inputs that act together
    density : sparse or dense
    relevant : number of relevant inputs
    """

    order: Order
    density: str
    relevant: int

    @property
    def family(self) -> str:
        """additive, pairwise or higher order."""
        return ORDERS[self.order]

    @property
    def name(self) -> str:
        """``additive, sparse``."""
        return f"{self.family}, {self.density}"


def kinds(inputs: int) -> tuple[Kind, ...]:
    """Every kind that so many varying inputs allow.

    Raises
    ------
    InputError
        If there are fewer than four.
    """
    if inputs < LEAST_INPUTS:
        raise InputError(f"simulated targets: expected at least {LEAST_INPUTS} inputs that vary, got {inputs}")
    few, many = min(FEW, inputs // 2), min(MANY, inputs // 2)
    sizes = {SPARSE: few, **({DENSE: many} if many > few else {})}
    return tuple(Kind(o, density, p) for o in ORDERS for density, p in sizes.items() if o <= p)


@dataclass(frozen=True)
class Ground:
    """The rows on which targets are simulated.

    Attributes
    ----------
    X : (n, d) numbers, NaN where one is missing
    names, inputs : of the columns, and the columns of each input
    kind : of the targets, classification or regression
    classes : shares of the classes
    """

    X: NDArray[np.floating]
    names: tuple[str, ...]
    inputs: Inputs
    kind: str
    classes: tuple[float, ...]

    def rows_of(self) -> dict[str, Any]:
        """What all simulated datasets of a suite share."""
        frame = Frame(pd.DataFrame(self.X, columns=list(self.names)))
        return {"path": frame, "inputs": self.inputs, "kind": self.kind, "classes": self.classes}


def source(shared: dict[str, Any], kind: Kind, signal: float, truth_seed: int) -> Simulated:
    """One simulated dataset; ``shared``: see ``Ground.rows_of``."""
    return Simulated(order=kind.order, relevant=kind.relevant, signal=signal, truth_seed=truth_seed, **shared)


def label(kind: Kind, truth_seed: int) -> str:
    """What a dataset is called in the suite."""
    return f"{kind.name} {truth_seed}"


def suite_of(
    shared: dict[str, Any], signals: dict[Kind, float], draws: int, methods: Sequence[str], models: Sequence[str]
) -> Suite:
    """So many draws of every kind that choose, and as many that score."""
    seeds = [seed for draw in range(draws) for seed in (CHOOSING + draw, draw)]
    datasets = [
        {"name": "simulated", "label": label(kind, seed), **dict(source(shared, kind, signal, seed))}
        for seed in seeds
        for kind, signal in signals.items()
    ]
    return reading.from_dict(
        {
            "name": "trust",
            "title": "Targets simulated on a table",
            "data_seeds": [0],
            "datasets": datasets,
            "models": suite_rows("models", models),
            "explainers": suite_rows("explainers", methods),
            "settling": {"draws": 0},
        }
    )


def suite_rows(axis: str, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the suite ``standard`` with these labels; for others components with their default fields."""
    known = {row.get("label", row["name"]): row for row in tomllib.loads(text_of(STANDARD)[0])[axis]}
    return [known.get(name, {"name": name}) for name in labels]


def run_within(
    suite: Suite, draws: int, seconds: float, jobs: int | None, out: str | Path, step: Step
) -> tuple[Results, int]:
    """The results of the suite, and how many draws were done before the time was over; at least one.

    After the first draw the others follow in pieces of half of what fits in the time that is left.
    """
    from xai_bench.running.run import run

    per_draw = len(suite.datasets) // draws
    labels = [entry.label for entry in suite.datasets]
    begun, done = time.monotonic(), 0

    def told(progress: Progress) -> None:
        part = progress.finished / max(progress.total, 1)
        step(f"simulated targets: draw {done + 1} to {done + piece} of {draws}, {100 * part:.0f} %")

    piece = 1
    while True:
        results = run(
            suite, out=out, jobs=jobs, datasets=labels[done * per_draw : (done + piece) * per_draw], on_progress=told
        )
        done += piece
        spent = time.monotonic() - begun
        fits = int((seconds - spent) * done / spent)
        if done == draws or fits < 1:
            return results, done
        piece = min(draws - done, max(1, fits // 2))


def scores(results: Results, signals: dict[Kind, float], draws: int) -> pd.DataFrame:
    """Recovery, one row an entrant and simulated target.

    Returns
    -------
    the columns of ``comparison.units`` with kinds as datasets and orders as families, and ``seed``, ``density``,
    ``purpose`` (choose or score)
    """
    values = entrants.values(results, entrants.RECOVERY)
    known = {
        label(kind, seed): (kind.name, kind.family, kind.density, seed)
        for kind in signals
        for draw in range(draws)
        for seed in (draw, CHOOSING + draw)
    }
    values = values[values["dataset"].isin(known)]
    kind_names, families, densities, seeds = zip(*(known[name] for name in values["dataset"]), strict=True)
    values = values.assign(dataset=kind_names, family=families, density=densities, seed=seeds, draw=seeds)
    values["purpose"] = np.where(values["seed"] >= CHOOSING, "choose", "score")
    return comparison.units(values[~values.groupby(["explainer", "model"])["unsupported"].transform("all")], "entrants")
