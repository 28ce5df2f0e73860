"""Retention: the score that is left when only the top-k inputs of a ranking are kept.

Two forms. ``masked``: the explained model, all other inputs at their training mean (pictures: at 0).
``retrained``: the judge, a plain ``mlp`` on fixed seeds, trained on the kept inputs only; it never sees inputs
outside the data's distribution. One mask serves all rows, so a mask tells nothing about a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xai_bench.component import canonical_json, sha256, stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many, score
from xai_bench.plan import Draw
from xai_bench.statistics import log_area
from xai_bench.store import Measurement
from xai_bench.suite import Retention

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

JUDGE: dict[str, Any] = {
    "hidden": (64, 32),
    "activations": ("relu",),
    "batch_norm": (False,),
    "dropout": (0.0,),
    "group_lasso": 0.0,
    "learning_rate": 1e-2,
    "epochs": 5.0,
    "min_steps": 150,
    "checkpoints": 10,
}
"""Fields of the default judge: the cheapest schedule whose validation loss is within one per cent of the best one's,
on data seeds that no figure uses (``benchmarks/choose_defaults.py``)."""
SIGNIFICANT = 3.0
"""Standard errors by which the full model must beat random inputs for an area to mean something."""


@dataclass(frozen=True)
class Ranked:
    """A cell whose ranking is to be judged. ``relevance`` (d,) canonical; None for the control ``random``."""

    cell: str
    relevance: Floats | None
    model_key: str


@dataclass(frozen=True)
class Judged:
    """Measurements of every cell, and the judge's (score, standard error) of every new mask."""

    measurements: dict[str, tuple[Measurement, ...]]
    judgements: dict[str, tuple[float, float]]


def judge_of(settings: Retention) -> MLP:
    """The judge of a suite."""
    return MLP(**{**JUDGE, **settings.judge})


def judge_key(draw: Draw, settings: Retention) -> str:
    """The key under which the judge's scores on one draw are kept."""
    content = [draw.key, judge_of(settings).identity(), settings.rows, settings.seeds]
    return sha256(canonical_json(content))


def kept_counts(d: int, n_relevant: int) -> list[int]:
    """k = 1, 2, 3, 5, 8, 12, 18 ... up to the larger of n_relevant and d / 10 (at least 3), and d."""
    last = min(max(n_relevant, math.ceil(d / 10), 3), d - 1)
    counts, k = [], 1
    while k < last:
        counts.append(k)
        k = {1: 2, 2: 3, 3: 5, 5: 8}.get(k, k * 3 // 2)
    return [*counts, last, d]


def top(relevance: Floats, k: int, tie_breaker: NDArray) -> Bools:
    """(d,) True for the k most relevant inputs; ties in the order of ``tie_breaker`` (d,), drawn at random."""
    mask = np.zeros(len(relevance), dtype=bool)
    mask[np.lexsort((tie_breaker, -relevance))[:k]] = True
    return mask


def orders(draw_key: str, count: int, d: int) -> list[Floats]:
    """The random rankings of one draw, as relevances (d,): the same for all its models."""
    rng = np.random.default_rng(stream_seed("orders", draw_key))
    return [rng.permutation(d).astype(float) for _ in range(count)]


class Scorer:
    """Judges masks on one draw: each distinct mask once."""

    def __init__(
        self,
        data: Dataset,
        draw: Draw,
        settings: Retention,
        models: Mapping[str, torch.nn.Module],
        known: Mapping[str, tuple[float, float]],
    ) -> None:
        self.data, self.draw, self.settings, self.models = data, draw, settings, models
        self.judged = dict(known)
        self.new: dict[str, tuple[float, float]] = {}
        self._masked: dict[tuple[str, str], float] = {}
        self._X = torch.from_numpy(data.X_test)
        self._y = torch.from_numpy(data.y_test)
        mean = data.X_train.mean(0, dtype=np.float64).astype(np.float32)
        self._absent = torch.from_numpy(mean if data.feature_shape is None else np.zeros_like(mean))

    def retrain(self, masks: Sequence[Bools]) -> None:
        """Train the judge on every mask (d,), canonical order, that it has not seen; all in one batch."""
        waiting = {name(mask): mask for mask in masks}
        waiting = {text: mask for text, mask in waiting.items() if text not in self.judged}
        if not waiting:
            return
        data, rows, seeds = self.data, self.settings.rows, self.settings.seeds
        reduced = replace(data, X_train=data.X_train[:rows], y_train=data.y_train[:rows])
        jobs = [(text, seed) for text in waiting for seed in seeds]
        in_order_of_x = np.array([data.shuffled(waiting[text]) for text, _ in jobs])
        fits = fit_many(judge_of(self.settings), reduced, [seed for _, seed in jobs], in_order_of_x)
        scores: dict[str, list[float]] = {}
        for (text, _), fit in zip(jobs, fits, strict=True):
            scores.setdefault(text, []).append(fit.test_score)
        for text, mask in waiting.items():
            error = 0.0
            if mask.all():
                chosen = [fit for (other, _), fit in zip(jobs, fits, strict=True) if other == text]
                error = float(np.mean([self._error(fit.module) for fit in chosen]))
            self.new[text] = self.judged[text] = (float(np.mean(scores[text])), error)

    def retrained(self, mask: Bools) -> float:
        return self.judged[name(mask)][0]

    def masked(self, model_key: str, mask: Bools) -> float:
        """Test score of a model that sees the inputs in ``mask`` (canonical order) only."""
        key = model_key, name(mask)
        if key not in self._masked:
            kept = torch.from_numpy(self.data.shuffled(mask))
            with torch.no_grad():
                outputs = self.models[model_key](torch.where(kept, self._X, self._absent))
            self._masked[key] = score(outputs, self._y, self.data.kind)
        return self._masked[key]

    def _error(self, module: torch.nn.Module) -> float:
        """Standard error, over test rows, of a model's score with all inputs."""
        with torch.no_grad():
            outputs = module(self._X)
        n = len(self._y)
        if self.data.kind == "classification":
            share = float((outputs.argmax(1) == self._y).double().mean())
            return math.sqrt(share * (1 - share) / n)
        squares = (outputs[:, 0] - self._y).double().square()
        return float(squares.std() / self._y.double().var(unbiased=False)) / math.sqrt(n)

    def full_error(self, form: str, model_key: str) -> float:
        """Standard error of the score with all inputs, of the judge or of a model."""
        if form == "retrained":
            return self.judged[name(np.ones(self.data.d, dtype=bool))][1]
        return self._error(self.models[model_key])


def name(mask: Bools) -> str:
    """A mask as a text: the hexadecimal bits, canonical order."""
    return np.packbits(mask).tobytes().hex()


def judge(
    data: Dataset,
    draw: Draw,
    settings: Retention,
    ranked: Sequence[Ranked],
    models: Mapping[str, torch.nn.Module],
    known: Mapping[str, tuple[float, float]],
) -> Judged:
    """The retention of every ranking of one draw.

    Parameters
    ----------
    data : the draw's dataset, standardised as in the run
    ranked : ``model_key`` names the model of the masked form, "" for none
    models : by key, in eval mode
    known : masks that the judge has scored before

    Returns
    -------
    For every cell ``retention_masked``, ``retention_retrained`` and ``retention_bayes`` at each k, and the areas
    ``retention_masked_area`` and ``retention_retrained_area`` (0: random, 1: all inputs; not bounded).
    """
    counts = kept_counts(data.d, data.truth.n_relevant if data.truth else 0)
    tie_breaker = np.random.default_rng(stream_seed("ties", draw.key)).permutation(data.d)
    chance = [[top(order, k, tie_breaker) for k in counts] for order in orders(draw.key, settings.orders, data.d)]
    masks = {
        r.cell: chance if r.relevance is None else [[top(r.relevance, k, tie_breaker) for k in counts]] for r in ranked
    }
    scorer = Scorer(data, draw, settings, models, known)
    scorer.retrain([mask for rankings in [chance, *masks.values()] for row in rankings for mask in row])
    measurements = {}
    for r in ranked:
        found: list[Measurement] = []
        for form in ("retrained", "masked"):
            if form == "retrained" or r.model_key:
                found += _curve(scorer, form, r.model_key, masks[r.cell], chance, counts)
        for index, k in enumerate(counts):
            best = [draw.dataset.component.ceiling(row[index]) for row in masks[r.cell]]
            if best[0] is not None:
                found.append(Measurement("retention_bayes", float(np.mean(best)), k))
        measurements[r.cell] = tuple(found)
    return Judged(measurements, scorer.new)


def _curve(
    scorer: Scorer,
    form: str,
    model_key: str,
    rankings: list[list[Bools]],
    chance: list[list[Bools]],
    counts: list[int],
) -> list[Measurement]:
    """Scores of one ranking (or the mean of several) at every k, and the area between random and all inputs."""

    def scores(rows: list[list[Bools]]) -> Floats:
        if form == "retrained":
            return np.array([[scorer.retrained(mask) for mask in row] for row in rows])
        return np.array([[scorer.masked(model_key, mask) for mask in row] for row in rows])

    own, random = scores(rankings), scores(chance)
    metric = f"retention_{form}"
    found = [Measurement(metric, float(value), k) for k, value in zip(counts, own.mean(0), strict=True)]
    below = counts[:-1]
    if len(below) < 2:
        return [*found, Measurement(f"{metric}_area", None, reason=f"only k = {below[0]} is below d")]
    full = float(own[0, -1])
    width = math.log(below[-1] / below[0])
    random_areas = np.array([log_area(below, row[:-1]) for row in random]) / width
    error = math.hypot(random_areas.std(ddof=1) / math.sqrt(len(random_areas)), scorer.full_error(form, model_key))
    gap = full - random_areas.mean()
    if gap < SIGNIFICANT * error:
        reason = f"all inputs are better than random ones by {gap:.3f}, less than 3 standard errors of {error:.3f}"
        return [*found, Measurement(f"{metric}_area", None, reason=reason)]
    area = np.mean([log_area(below, row[:-1]) for row in own]) / width
    return [*found, Measurement(f"{metric}_area", float((area - random_areas.mean()) / gap))]
