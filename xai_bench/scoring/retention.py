"""Retention: the score that is left when only the top-k inputs of a ranking are kept.

The forms. ``masked``: the explained model, all other inputs at their training mean (pictures: at 0).
``retrained``: the judge, a plain ``mlp`` on fixed seeds, trained on the kept inputs only; it never sees inputs
outside the data's distribution. ``trees``, ``ft_transformer``: further judges, if the suite asks for them. One mask
serves all rows, so a mask tells nothing about a row.

Curves are summed up by their mean over log k. What a ranking is worth is its ``gain``: that mean less the mean of
random rankings of the same draw, in units of the score. The ``gap`` is what all inputs reach, less the same mean of
random rankings: of the same size as a gain, and small where random inputs do as well as all. No draw is left out
because its gap is small; how much of the gaps is gained is a question for all draws together
(``statistics.ratio_of_sums``).
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
from xai_bench.datasets.inputs import number_of
from xai_bench.metrics.ranking import area_under_roc
from xai_bench.models.base import Architecture
from xai_bench.models.folding import first_and_rest, fold_spectral
from xai_bench.models.ft_transformer import FTTransformer
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
TREES = 50
"""Trees of the second judge, extremely randomised (Geurts et al. 2006)."""
TRANSFORMER = FTTransformer(
    blocks=1,
    d_token=16,
    heads=2,
    group_lasso=0.0,
    learning_rate=3e-3,
    epochs=5.0,
    min_steps=150,
    checkpoints=10,
    max_inputs=100_000,
)
"""The judge ``ft_transformer``: the cheapest of four schedules that were tried on data seeds 1000 and 1001 of two
tables; its validation loss is within three per cent of the best one's."""
FORMS = {"network": "retrained", "trees": "trees", "ft_transformer": "ft_transformer"}
"""Judge to the word in the names of its scores."""
VERSION = 3
"""Raise it when the same rankings, judges and settings give other numbers: ties, random orders, curves, gains."""


@dataclass(frozen=True)
class Ranked:
    """A cell whose ranking is to be judged. ``relevance`` (n_inputs,) canonical; None for the control ``random``."""

    cell: str
    relevance: Floats | None
    model_key: str


@dataclass(frozen=True)
class Judged:
    """Measurements of every cell, and (mean score, its standard error over judge seeds) of every new mask.

    Judgements of further judges stand under ``trees:`` or ``ft_transformer:`` and the mask.
    """

    measurements: dict[str, tuple[Measurement, ...]]
    judgements: dict[str, tuple[float, float]]


def judge_of(settings: Retention) -> MLP:
    """The judge of a suite."""
    return MLP(**{**JUDGE, **settings.judge})


def judge_key(draw: Draw, settings: Retention) -> str:
    """The key under which the judge's scores on one draw are kept."""
    content = [VERSION, draw.key, judge_of(settings).identity(), settings.rows, settings.seeds]
    if "ft_transformer" in settings.judges:
        content.append(TRANSFORMER.identity())
    content += [settings.score] if settings.score != "score" else []
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
    """Judges masks over inputs, in canonical order, on one draw: each distinct mask once."""

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
        self._input_of = number_of(data.canonical_inputs)
        self.new: dict[str, tuple[float, float]] = {}
        self._masked: dict[tuple[str, str], float] = {}
        self._X = torch.from_numpy(data.X_test).to(device)
        self._y = torch.from_numpy(data.y_test).to(device)
        mean = data.X_train.mean(0, dtype=np.float64).astype(np.float32)
        self._absent = torch.from_numpy(mean if data.feature_shape is None else np.zeros_like(mean)).to(device)
        self._masked_forms: dict[str, Masked] = {}

    def columns(self, mask: Bools) -> Bools:
        """(d,) the columns, in canonical order, of the inputs in ``mask``."""
        return mask[self._input_of]

    def retrain(self, masks: Sequence[Bools]) -> None:
        """Ask every judge about the masks (n_inputs,) that it has not seen; all in one batch."""
        for kind in self.settings.judges:
            waiting = {_asked(kind, mask): mask for mask in masks}
            waiting = {text: mask for text, mask in waiting.items() if text not in self.judged}
            if not waiting:
                continue
            asked = list(waiting.values())
            if kind == "trees":
                found = self._by_trees(asked)
            else:
                found = self._by_networks(asked, judge_of(self.settings) if kind == "network" else TRANSFORMER)
            for text, scores in zip(waiting, found, strict=True):
                error = float(scores.std(ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0
                self.judged[text] = (float(scores.mean()), error)
                if np.isfinite(scores).all():
                    self.new[text] = self.judged[text]

    @property
    def _training_rows(self) -> Dataset:
        """The data with the judge's training rows only."""
        rows = self.settings.rows
        return replace(self.data, X_train=self.data.X_train[:rows], y_train=self.data.y_train[:rows])

    def _by_networks(self, masks: Sequence[Bools], judge: Architecture) -> Floats:
        """(masks, judge seeds): test scores of networks that are trained on the kept inputs."""
        seeds = self.settings.seeds
        in_order_of_x = np.array([self.data.shuffled(self.columns(mask)) for mask in masks for _ in seeds])
        fits = fit_many(judge, self._training_rows, [*seeds] * len(masks), in_order_of_x, device=self.device)
        if self._by_ranks:
            kept = torch.from_numpy(in_order_of_x).to(self.device)
            with torch.no_grad():
                found = [self.value(fit.module(self._X[:, own])) for fit, own in zip(fits, kept, strict=True)]
        else:
            found = [math.nan if fit.test_score is None else fit.test_score for fit in fits]
        return np.array(found).reshape(len(masks), len(seeds))

    def _by_trees(self, masks: Sequence[Bools]) -> Floats:
        """(masks, judge seeds): test scores of extremely randomised trees on the kept inputs."""
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        data, classes = self._training_rows, self.data.kind == "classification"
        kind = ExtraTreesClassifier if classes else ExtraTreesRegressor
        scores = np.empty((len(masks), len(self.settings.seeds)))
        for i, mask in enumerate(masks):
            kept = data.shuffled(self.columns(mask))
            for j, seed in enumerate(self.settings.seeds):
                trees = kind(TREES, random_state=stream_seed("trees", seed, name(mask)) % 2**32, n_jobs=1)
                trees.fit(data.X_train[:, kept], data.y_train)
                if self._by_ranks:
                    likely = np.zeros((len(data.y_test), data.n_outputs))
                    likely[:, trees.classes_] = trees.predict_proba(data.X_test[:, kept])
                    scores[i, j] = area_of_classes(likely, data.y_test)
                    continue
                predicted = trees.predict(data.X_test[:, kept])
                outputs = np.eye(data.n_outputs)[predicted] if classes else predicted[:, None]
                scores[i, j] = score(torch.from_numpy(outputs), torch.from_numpy(data.y_test), data.kind)
        return scores

    @property
    def _by_ranks(self) -> bool:
        return self.settings.score == "auroc" and self.data.kind == "classification"

    def value(self, outputs: torch.Tensor) -> float:
        """The score of outputs (n, n_outputs) on the test rows."""
        if self._by_ranks:
            return area_of_classes(outputs.double().softmax(1).cpu().numpy(), self.data.y_test)
        return score(outputs, self._y, self.data.kind)

    def judgement(self, kind: str, mask: Bools) -> float:
        """The mean score, over its seeds, that a judge gave to a mask."""
        return self.judged[_asked(kind, mask)][0]

    def masked(self, model_key: str, mask: Bools) -> float:
        """Test score of a model that sees the inputs in ``mask`` only."""
        key = model_key, name(mask)
        if key not in self._masked:
            if model_key not in self._masked_forms:
                self._masked_forms[model_key] = Masked(self.models[model_key], self._X, self._absent)
            kept = torch.from_numpy(self.data.shuffled(self.columns(mask))).to(self.device)
            outputs = self._masked_forms[model_key].outputs(kept)
            self._masked[key] = self.value(outputs)
        return self._masked[key]


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


def area_of_classes(likely: Floats, y: NDArray) -> float:
    """Mean over the classes in y (n,) of the area under the ROC curve of each against the others; NaN for one class.

    ``likely`` (n, classes): how likely a row is in each.
    """
    present = np.unique(y)
    if len(present) < 2:
        return math.nan
    return float(np.mean([area_under_roc(likely[:, label], y == label) for label in present]))


def name(mask: Bools) -> str:
    """A mask as a text: the hexadecimal bits, canonical order."""
    return np.packbits(mask).tobytes().hex()


def _asked(judge: str, mask: Bools) -> str:
    """What a judgement is stored under."""
    return name(mask) if judge == "network" else f"{judge}:{name(mask)}"


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
    For every cell ``retention_FORM`` at each k, ``retention_FORM_gain`` and ``retention_FORM_gap`` for every form
    (retrained, trees, ft_transformer, masked), and ``retention_bayes`` at each k. With ``settings.least_first`` also
    ``retention_FORM_least`` at each k, where the k least relevant inputs are kept, ``..._least_gain``, and
    ``..._spread``: the first gain less the second.
    """
    truth, n_inputs = data.truth_over_inputs, len(data.inputs)
    counts = kept_counts(n_inputs, truth.n_relevant if truth else 0, settings.ks)
    dense = sorted({*counts, *range(1, min(settings.masked_to, n_inputs - 1) + 1)})
    tie_breaker = np.random.default_rng(stream_seed("ties", draw.key)).permutation(n_inputs)

    def rankings(relevances: Sequence[Floats]) -> Rankings:
        return Rankings([{k: top(relevance, k, tie_breaker) for k in dense} for relevance in relevances], counts)

    chance = rankings(orders(draw.key, settings.orders, n_inputs))
    best_first = {r.cell: chance if r.relevance is None else rankings([r.relevance]) for r in ranked}
    least_first = {}
    if settings.least_first:
        least_first = {r.cell: chance if r.relevance is None else rankings([-r.relevance]) for r in ranked}
    scorer = Scorer(data, draw, settings, models, known, device)
    everything = [chance, *best_first.values(), *least_first.values()]
    scorer.retrain([mask for one in everything for row in one.masks for k, mask in row.items() if k in counts])
    ceilings: dict[str, float | None] = {}
    of_columns = data.canonical_truth

    def ceiling(mask: Bools) -> float | None:
        if settings.score != "score":
            return None
        if name(mask) not in ceilings:
            ceilings[name(mask)] = draw.dataset.component.best_score(scorer.columns(mask), of_columns)
        return ceilings[name(mask)]

    measurements = {}
    for r in ranked:
        found: list[Measurement] = []
        for form in (*(FORMS[kind] for kind in settings.judges), *(("masked",) if r.model_key else ())):
            metric, scores = f"retention_{form}", _Scores(scorer, form, r.model_key, chance)
            found += scores.curve(metric, best_first[r.cell])
            found.append(scores.gap(metric))
            if settings.least_first:
                found += scores.curve(f"{metric}_least", least_first[r.cell])
                found.append(_spread(metric, found))
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
    """The masks of one ranking, or of several that a mean is taken of: k to mask (n_inputs,), canonical order.

    ``counts``: the k that are retrained and that areas are taken over; the masked form is scored at every k.
    """

    masks: list[dict[int, Bools]]
    counts: list[int]


class _Scores:
    """Curves of one form on one network, beside those of random rankings."""

    def __init__(self, scorer: Scorer, form: str, model_key: str, chance: Rankings) -> None:
        self.scorer, self.form, self.model_key = scorer, form, model_key
        self.below, self.d = chance.counts[:-1], chance.counts[-1]
        own = self._of(chance)
        self.random, self.everything = self._mean(own), float(own[self.d][0])

    def _of(self, rankings: Rankings) -> dict[int, Floats]:
        """k to the scores of every ranking."""
        if self.form != "masked":
            kind = next(kind for kind, form in FORMS.items() if form == self.form)
            return {
                k: np.array([self.scorer.judgement(kind, row[k]) for row in rankings.masks]) for k in rankings.counts
            }
        return {
            k: np.array([self.scorer.masked(self.model_key, row[k]) for row in rankings.masks])
            for k in rankings.masks[0]
        }

    def _mean(self, scores: Mapping[int, Floats]) -> float:
        """Mean score over log k below d, and over rankings; NaN without such a k."""
        if not self.below:
            return math.nan
        values = np.stack([scores[k] for k in self.below], axis=1)
        if len(self.below) == 1:
            return float(values.mean())
        return float((log_area(self.below, values) / math.log(self.below[-1] / self.below[0])).mean())

    def curve(self, metric: str, rankings: Rankings) -> list[Measurement]:
        """The mean score of the rankings at every k, and the gain."""
        own = self._of(rankings)
        found = [_measured(metric, float(values.mean()), k) for k, values in own.items()]
        return [*found, _measured(f"{metric}_gain", self._mean(own) - self.random, reason=self._undefined)]

    def gap(self, metric: str) -> Measurement:
        """What all inputs reach, less the mean of random rankings."""
        return _measured(f"{metric}_gap", self.everything - self.random, reason=self._undefined)

    @property
    def _undefined(self) -> str:
        return NO_SCORE if self.below else "no number of kept inputs is below the number of inputs"


NO_SCORE = "the score is not defined on these test rows: their target is constant"


def _measured(metric: str, value: float, k: int = 0, reason: str = NO_SCORE) -> Measurement:
    """A number, or the reason why there is none."""
    return Measurement(metric, value, k) if math.isfinite(value) else Measurement(metric, None, k, reason)


def _spread(metric: str, found: Sequence[Measurement]) -> Measurement:
    """The gain with the most relevant inputs less that with the least relevant ones."""
    gains = {m.metric: m for m in found if m.metric in (f"{metric}_gain", f"{metric}_least_gain")}
    most, least = gains[f"{metric}_gain"], gains[f"{metric}_least_gain"]
    if most.value is None or least.value is None:
        return Measurement(f"{metric}_spread", None, reason=most.reason or least.reason)
    return Measurement(f"{metric}_spread", most.value - least.value)
