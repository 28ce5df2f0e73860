"""Networks and what they rely on, in every fold of every seed; and the same where the target is permuted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xai_bench.analysis.rows import Rows, Split, permuted
from xai_bench.analysis.score import Score
from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset, Table, dataset_of
from xai_bench.explainers.base import Explainer
from xai_bench.explainers.captum import GradientShap, Saliency
from xai_bench.explainers.selectors import PermutationImportance
from xai_bench.explainers.spectral import Spectral
from xai_bench.models.losses import RowWeights
from xai_bench.models.mlp import MLP, MLPFamily, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.running.block import problem_of
from xai_bench.statistics import null_threshold

NETWORKS: tuple[MLPFamily, ...] = (SpectralMLP(), MLP())
LOOKS = {"checkpoints": 20}
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "spectral_mlp": (
        {},
        LOOKS,
        {"l2_lambda": 1e-1, "l2_phi": 1e-3, **LOOKS},
        {"l2_lambda": 1e-2, "l2_phi": 1e-4, **LOOKS},
    ),
    "mlp": ({}, LOOKS, {"group_lasso": 2e-2, **LOOKS}, {"group_lasso": 2e-3, **LOOKS}),
}
"""What each network's settings are chosen from: the default ones; and the best of 20 looks with the default penalty, a
tenth and a hundredth of it."""
SEARCHED = 3
"""Splits on whose validation rows they are chosen."""
METHODS: tuple[Explainer, ...] = (Spectral(), PermutationImportance(), GradientShap(), Saliency())
TINY = 1e-12
"""The least loss by which is divided."""
LEVEL = 0.95
"""Of trainings on permuted targets, the share in which no input stands above the threshold."""
Step = Callable[[str], None]


@dataclass(frozen=True)
class Entrant:
    """A method on a network."""

    network: str
    method: str

    def __str__(self) -> str:
        return f"{self.method} on {self.network}"


@dataclass(frozen=True)
class Training:
    """One network, what it scores on held-out rows, and what its methods say.

    ``relevances``: entrant to (n_inputs,) in the order of the table; ``valid_loss``: mean loss on validation rows.
    """

    network: str
    split: Split
    score: float
    relevances: dict[Entrant, NDArray[np.float64]]
    valid_loss: float

    @property
    def against_chance(self) -> dict[Entrant, NDArray[np.float64]]:
        """What is compared with trainings on permuted targets: relevances, rises of the loss as shares of it.

        A network that has learned nothing has a large loss, which shuffled inputs change by much, up or down.
        """
        scale = {PermutationImportance.name: 1 / max(self.valid_loss, TINY)}
        return {entrant: values * scale.get(entrant.method, 1.0) for entrant, values in self.relevances.items()}

    @property
    def shares(self) -> dict[Entrant, NDArray[np.float64]]:
        """The relevances divided by their sum; all 0 where it is 0."""
        return {entrant: values / (values.sum() or 1.0) for entrant, values in self.relevances.items()}


def entrants() -> list[Entrant]:
    """All methods on all networks, as far as they go together."""
    return [
        Entrant(network.name, method.name)
        for method in METHODS
        for network in NETWORKS
        if not (isinstance(method, Spectral) and not isinstance(network, SpectralMLP))
    ]


def split_data(table: Table, rows: Rows, split: Split) -> tuple[Dataset, RowWeights | None]:
    """The rows of a split, standardised by its training rows, columns in an order of the seed."""
    permutation = np.random.default_rng(split.seed).permutation(table.X.shape[1])
    data = dataset_of(replace(table, y=rows.y), split.parts, permutation).standardised()
    if rows.weights is None:
        return data, None
    return data, RowWeights(rows.weights[split.parts.train], rows.weights[split.parts.valid])


def searched(table: Table, rows: Rows, chosen: Sequence[Split], score: Score, step: Step) -> tuple[MLPFamily, ...]:
    """Every network, with those of its settings that have the lowest mean loss on the first splits' validation rows."""
    losses: dict[MLPFamily, list[float]] = {}
    for number, split in enumerate(chosen[:SEARCHED], 1):
        step(f"settings {number} of {min(SEARCHED, len(chosen))}")
        data, weights = split_data(table, rows, split)
        own = balanced(weights, data, score)
        for network in candidates():
            (fitted,) = fit_many(network, data, [stream_seed("search", number)], row_weights=own, chunk=1)
            losses.setdefault(network, []).append(fitted.valid_loss)
    best = {
        network.name: min((n for n in losses if n.name == network.name), key=lambda n: np.mean(losses[n]))
        for network in NETWORKS
    }
    return tuple(best.values())


def candidates() -> list[MLPFamily]:
    """All networks with all their settings."""
    return [type(n)(**{**n.fields(), **fields}) for n in NETWORKS for fields in SETTINGS[n.name]]


def told(network: MLPFamily) -> str:
    """The network with the settings that were chosen, in words."""
    plain = next(n for n in NETWORKS if n.name == network.name).fields()
    differing = [f"{name} = {value}" for name, value in network.fields().items() if value != plain[name]]
    return f"{network.name} ({', '.join(differing) or 'default settings'})"


def trained(
    networks: Sequence[MLPFamily], table: Table, rows: Rows, chosen: Sequence[Split], score: Score, step: Step
) -> list[Training]:
    """Every network on every split, scored and explained."""
    found = []
    for number, split in enumerate(chosen, 1):
        step(f"training {number} of {len(chosen)}")
        data, weights = split_data(table, rows, split)
        found += [_one(network, data, weights, rows, split, score) for network in networks]
    return found


def _one(
    network: MLPFamily, data: Dataset, weights: RowWeights | None, rows: Rows, split: Split, score: Score
) -> Training:
    seed = stream_seed("explain", split.seed, split.fold)
    (fitted,) = fit_many(network, data, [seed], row_weights=balanced(weights, data, score), chunk=1)
    with torch.no_grad():
        outputs = fitted.module(torch.from_numpy(data.X_test)).double().numpy()
    problem = problem_of(data, fitted.module)
    relevances = {}
    for method in METHODS:
        if method.unsupported(problem) is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                relevance = method.explain(problem, seed=stream_seed("explained", seed)).over_inputs
            relevances[Entrant(network.name, method.name)] = data.canonical_over_inputs(relevance)
    return Training(network.name, split, scored(outputs, data, rows, split, score), relevances, fitted.valid_loss)


def scored(outputs: NDArray, data: Dataset, rows: Rows, split: Split, score: Score) -> float:
    """The score of outputs on the held-out rows. R2 is 0 for the mean of the others.

    Held-out groups or later rows may have a mean of their own, which nobody knows who predicts them.
    """
    parts, weights = split.parts, rows.weights
    known = np.concatenate([parts.train, parts.valid])
    guess = None
    if rows.kind == "regression":
        y = np.concatenate([data.y_train, data.y_valid])
        guess = float(np.average(y, weights=None if weights is None else weights[known]))
    return score.of(data.y_test, outputs, None if weights is None else weights[parts.test], guess)


def balanced(weights: RowWeights | None, data: Dataset, score: Score) -> RowWeights | None:
    """Weights that give all classes the same, where the score does so too."""
    if score.name != "balanced accuracy":
        return weights
    from sklearn.utils.class_weight import compute_sample_weight

    train, valid = (compute_sample_weight("balanced", y) for y in (data.y_train, data.y_valid))
    return RowWeights(train, valid) if weights is None else RowWeights(weights.train * train, weights.valid * valid)


def thresholds(
    networks: Sequence[MLPFamily],
    table: Table,
    rows: Rows,
    chosen: Sequence[Split],
    score: Score,
    runs: int,
    step: Step,
) -> dict[Entrant, float]:
    """Entrant to what the largest relevance of a training on a permuted target exceeds in 5 % of cases.

    Of relevances ``Training.against_chance``.

    ``runs`` targets are permuted, each trained on one of the splits in turn.
    """
    largest: dict[Entrant, list[float]] = {}
    for run in range(runs):
        step(f"training {run + 1} of {runs} on permuted targets")
        rng = np.random.default_rng(stream_seed("chance", run))
        shuffled = replace(rows, y=permuted(rows, rng))
        split = replace(chosen[run % len(chosen)], seed=run)
        data, weights = split_data(table, shuffled, split)
        if len(np.unique(data.y_train)) < 2:
            continue
        for network in networks:
            for entrant, values in _one(network, data, weights, shuffled, split, score).against_chance.items():
                largest.setdefault(entrant, []).append(float(values.max()))
    return {entrant: null_threshold(values, LEVEL) for entrant, values in largest.items()}


def mean_shares(trainings: Sequence[Training]) -> NDArray[np.float64]:
    """(m, n_inputs) of every training of a split: the mean over methods and networks."""
    of_split: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    for one in trainings:
        of_split.setdefault((one.split.seed, one.split.fold), []).extend(one.shares.values())
    return np.stack([np.mean(shares, axis=0) for shares in of_split.values()])


def held_out_ratio(chosen: Sequence[Split]) -> float:
    """Rows held out over rows that are not, the mean over splits."""
    ratios = [len(s.parts.test) / (len(s.parts.train) + len(s.parts.valid)) for s in chosen]
    return float(np.mean(ratios)) if ratios else math.nan
