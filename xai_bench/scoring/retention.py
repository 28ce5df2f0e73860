"""Retention: the score that is left when only the top-k inputs of a ranking are kept.

Two forms. ``masked``: the explained model, all other inputs at their training mean (pictures: at 0).
``retrained``: the judge, a plain ``mlp`` on fixed seeds, trained on the kept inputs only; it never sees inputs
outside the data's distribution. One mask serves all rows, so a mask tells nothing about a row.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xai_bench.component import canonical_json, sha256, stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.models.folding import first_and_rest, fold_spectral
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many, score
from xai_bench.results.records import Measurement
from xai_bench.statistics import log_area
from xai_bench.suites.plan import Draw
from xai_bench.suites.suite import Retention

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


def kept_counts(d: int, n_relevant: int, ks: Sequence[int] = ()) -> list[int]:
    """The ``ks`` below d, and d; else k = 1, 2, 3, 5, 8, 12, 18 ... up to the largest of n_relevant, d / 10 and 3."""
    if ks:
        return [*sorted({k for k in ks if k < d}), d]
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
        device: str = "cpu",
    ) -> None:
        self.data, self.draw, self.settings, self.models, self.device = data, draw, settings, models, device
        self.judged = dict(known)
        self.new: dict[str, tuple[float, float]] = {}
        self._masked: dict[tuple[str, str], float] = {}
        self._X = torch.from_numpy(data.X_test).to(device)
        self._y = torch.from_numpy(data.y_test).to(device)
        mean = data.X_train.mean(0, dtype=np.float64).astype(np.float32)
        self._absent = torch.from_numpy(mean if data.feature_shape is None else np.zeros_like(mean)).to(device)
        self._masked_forms: dict[str, Masked] = {}

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
        fits = fit_many(judge_of(self.settings), reduced, [seed for _, seed in jobs], in_order_of_x, device=self.device)
        scores: dict[str, list[float]] = {}
        for (text, _), fit in zip(jobs, fits, strict=True):
            scores.setdefault(text, []).append(math.nan if fit.test_score is None else fit.test_score)
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
            if model_key not in self._masked_forms:
                self._masked_forms[model_key] = Masked(self.models[model_key], self._X, self._absent)
            outputs = self._masked_forms[model_key].outputs(torch.from_numpy(self.data.shuffled(mask)).to(self.device))
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


class Masked:
    """A model on fixed rows (n, d) of which it sees some columns only; the others stand at ``absent`` (d,).

    In a model that begins with a dense layer only the kept columns are multiplied, which are few.
    """

    def __init__(self, model: torch.nn.Module, X: torch.Tensor, absent: torch.Tensor) -> None:
        self.model, self.X, self.absent = model, X, absent
        self.rest: torch.nn.Sequential | None = None
        if (parts := first_and_rest(fold_spectral(copy.deepcopy(model)))) is not None:
            first, self.rest = parts
            self.columns = (X - absent).T.contiguous()
            self.weight = first.weight.T.contiguous()
            self.nothing = first(absent[None])

    @torch.no_grad()
    def outputs(self, kept: torch.Tensor) -> torch.Tensor:
        """(n, n_outputs) for ``kept`` (d,) bool."""
        if self.rest is None:
            return self.model(torch.where(kept, self.X, self.absent))
        if kept.all():
            return self.model(self.X)
        index = kept.nonzero()[:, 0]
        return self.rest(torch.addmm(self.nothing, self.columns[index].T, self.weight[index]))


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
    device: str = "cpu",
) -> Judged:
    """The retention of every ranking of one draw.

    Parameters
    ----------
    data : the draw's dataset, standardised as in the run
    ranked : ``model_key`` names the model of the masked form, "" for none
    models : by key, in eval mode, on ``device``
    known : masks that the judge has scored before
    device : where judges are trained and masks are scored

    Returns
    -------
    For every cell ``retention_retrained``, ``retention_masked`` and ``retention_bayes`` at each k, and the areas
    ``retention_retrained_area`` and ``retention_masked_area`` (0: random, 1: all inputs; not bounded). With
    ``settings.least_first`` also ``..._least`` at each k, where the k least relevant inputs are kept, their areas
    ``..._least_area``, and ``..._gap_area``: the first area less the second.
    """
    counts = kept_counts(data.d, data.truth.n_relevant if data.truth else 0, settings.ks)
    dense = sorted({*counts, *range(1, min(settings.masked_to, data.d - 1) + 1)})
    tie_breaker = np.random.default_rng(stream_seed("ties", draw.key)).permutation(data.d)

    def rankings(relevances: Sequence[Floats]) -> Rankings:
        return Rankings([{k: top(relevance, k, tie_breaker) for k in dense} for relevance in relevances], counts)

    chance = rankings(orders(draw.key, settings.orders, data.d))
    best_first = {r.cell: chance if r.relevance is None else rankings([r.relevance]) for r in ranked}
    least_first = {}
    if settings.least_first:
        least_first = {r.cell: chance if r.relevance is None else rankings([-r.relevance]) for r in ranked}
    scorer = Scorer(data, draw, settings, models, known, device)
    everything = [chance, *best_first.values(), *least_first.values()]
    scorer.retrain([mask for one in everything for row in one.masks for k, mask in row.items() if k in counts])
    ceilings: dict[str, float | None] = {}
    truth = data.canonical_truth

    def ceiling(mask: Bools) -> float | None:
        if name(mask) not in ceilings:
            ceilings[name(mask)] = draw.dataset.component.ceiling(mask, truth)
        return ceilings[name(mask)]

    measurements = {}
    for r in ranked:
        found: list[Measurement] = []
        for form in ("retrained", "masked"):
            if form == "retrained" or r.model_key:
                scores = _Scores(scorer, form, r.model_key, chance)
                found += scores.curve(f"retention_{form}", best_first[r.cell])
                if settings.least_first:
                    found += scores.curve(f"retention_{form}_least", least_first[r.cell])
                    found.append(_gap(f"retention_{form}", found))
        for k in counts:
            best = [value for row in best_first[r.cell].masks if (value := ceiling(row[k])) is not None]
            if best:
                found.append(Measurement("retention_bayes", float(np.mean(best)), k))
        measurements[r.cell] = tuple(_defined(measurement) for measurement in found)
    return Judged(measurements, {text: new for text, new in scorer.new.items() if math.isfinite(new[0])})


def _defined(measurement: Measurement) -> Measurement:
    """With a reason in place of a value that is not finite."""
    if measurement.value is None or math.isfinite(measurement.value):
        return measurement
    reason = "the score is not defined: the target does not vary on the test rows"
    return replace(measurement, value=None, reason=reason)


@dataclass(frozen=True)
class Rankings:
    """The masks of one ranking, or of several that a mean is taken of: k to mask (d,), canonical order.

    ``counts``: the k that are retrained and that areas are taken over; the masked form is scored at every k.
    """

    masks: list[dict[int, Bools]]
    counts: list[int]


class _Scores:
    """Curves of one form on one network, and their areas between random and all inputs."""

    def __init__(self, scorer: Scorer, form: str, model_key: str, chance: Rankings) -> None:
        self.scorer, self.form, self.model_key = scorer, form, model_key
        self.below = chance.counts[:-1]
        self.random = self._of(chance)

    def _of(self, rankings: Rankings) -> dict[int, Floats]:
        """k to the scores of every ranking."""
        if self.form == "retrained":
            of = self.scorer.retrained
            return {k: np.array([of(row[k]) for row in rankings.masks]) for k in rankings.counts}
        return {
            k: np.array([self.scorer.masked(self.model_key, row[k]) for row in rankings.masks])
            for k in rankings.masks[0]
        }

    def _areas(self, scores: Mapping[int, Floats]) -> NDArray[np.floating]:
        """Mean score over log k, of every ranking."""
        width = math.log(self.below[-1] / self.below[0])
        return log_area(self.below, np.stack([scores[k] for k in self.below], axis=1)) / width

    def curve(self, metric: str, rankings: Rankings) -> list[Measurement]:
        """The mean score of the rankings at every k, and the area."""
        own = self._of(rankings)
        found = [Measurement(metric, float(values.mean()), k) for k, values in own.items()]
        area = f"{metric}_area"
        if len(self.below) < 2:
            return [*found, Measurement(area, None, reason=f"only k = {self.below[0]} is below d")]
        random = self._areas(self.random)
        full_error = self.scorer.full_error(self.form, self.model_key)
        error = math.hypot(random.std(ddof=1) / math.sqrt(len(random)), full_error)
        gap = float(own[self.scorer.data.d][0]) - random.mean()
        if gap < SIGNIFICANT * error:
            reason = f"all inputs are better than random ones by {gap:.3f}, less than 3 standard errors of {error:.3f}"
            return [*found, Measurement(area, None, reason=reason)]
        return [*found, Measurement(area, float((self._areas(own).mean() - random.mean()) / gap))]


def _gap(metric: str, found: Sequence[Measurement]) -> Measurement:
    """The area with the most relevant inputs less that with the least relevant ones."""
    areas = {m.metric: m for m in found if m.metric in (f"{metric}_area", f"{metric}_least_area")}
    most, least = areas[f"{metric}_area"], areas[f"{metric}_least_area"]
    if most.value is None or least.value is None:
        return Measurement(f"{metric}_gap_area", None, reason=most.reason or least.reason)
    return Measurement(f"{metric}_gap_area", most.value - least.value)
