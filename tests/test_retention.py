"""Retention: which inputs are kept, what is scored, and what a ranking gains."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from torch import nn

from tests.toy import toy
from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.scoring import retention
from xai_bench.suites import plan, reading
from xai_bench.suites.suite import Retention

PARTS = ("train", "valid", "test")
JUDGE = Retention(judge={"epochs": 0.1, "min_steps": 60, "checkpoints": 3})


@pytest.fixture
def draw():
    content = {"name": "t", "datasets": [{"name": "xor"}], "explainers": [{"name": "mutual_information"}]}
    return plan.draws(reading.from_dict(content))[0]


@pytest.mark.parametrize(
    ("d", "p", "expected"),
    [
        (20, 11, [1, 2, 3, 5, 8, 11, 20]),
        (64, 0, [1, 2, 3, 5, 7, 64]),
        (10, 0, [1, 2, 3, 10]),
        (784, 0, [1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 79, 784]),
        (2, 2, [1, 2]),
    ],
)
def test_kept_counts(d, p, expected):
    assert retention.kept_counts(d, p) == expected


def test_ties_are_broken_at_random_not_by_position():
    rng = np.random.default_rng(0)
    kept = Counter()
    for _ in range(2000):
        kept.update(np.flatnonzero(retention.top(np.ones(5), 2, rng.permutation(5))).tolist())
    assert all(abs(kept[j] - 800) < 4 * np.sqrt(2000 * 0.4 * 0.6) for j in range(5))
    np.testing.assert_array_equal(retention.top(np.array([0, 3, 1, 3]), 2, np.arange(4)), [False, True, False, True])


def shuffled(data: Dataset) -> Dataset:
    """The same data with columns moved, and the permutation that says where they came from."""
    from dataclasses import replace

    order = np.random.default_rng(5).permutation(data.d)
    parts = {f"X_{p}": np.ascontiguousarray(getattr(data, f"X_{p}")[:, order]) for p in ("train", "valid", "test")}
    return replace(data, **parts, permutation=order)


def test_masked_score_equals_a_literal_one_and_masks_are_canonical(draw):
    data = shuffled(toy())
    data.X_test[:], data.X_train[:] = data.X_test + 1, data.X_train + 1  # the mean is not 0
    (fitted,) = fit_many(retention.judge_of(JUDGE), data, [0])
    scorer = retention.Scorer(data, draw, JUDGE, {"m": fitted.module}, {})
    mask = np.arange(data.d) < 3  # canonical: the relevant inputs
    X = data.X_test.copy()
    for position, column in enumerate(data.permutation):
        if column >= 3:
            X[:, position] = data.X_train[:, position].mean()
    predicted = fitted.module(torch.from_numpy(X)).argmax(1).numpy()
    assert scorer.masked("m", mask) == pytest.approx((predicted == data.y_test).mean())


def test_retrained_score_is_the_judge_on_the_kept_inputs_and_masks_are_judged_once(draw, monkeypatch):
    data = shuffled(toy(n=800))
    calls = []
    original = retention.fit_many

    def counting(architecture, data, seeds, masks, **options):
        calls.append(len(seeds))
        return original(architecture, data, seeds, masks, **options)

    monkeypatch.setattr(retention, "fit_many", counting)
    scorer = retention.Scorer(data, draw, JUDGE, {}, {})
    good, bad = np.arange(data.d) < 3, np.arange(data.d) >= 9
    scorer.retrain([good, bad, good])
    assert calls == [2]
    assert scorer.judgement("network", good) > scorer.judgement("network", bad) + 0.2
    known = retention.Scorer(data, draw, JUDGE, {}, scorer.judged)
    known.retrain([good, bad])
    assert calls == [2]
    assert known.new == {}


def values_of(judged: retention.Judged, metric: str) -> dict[str, float | None]:
    """Cell to the value of a metric without k."""
    return {c: next(m.value for m in found if m.metric == metric) for c, found in judged.measurements.items()}


def test_gains_of_a_perfect_a_random_and_a_reversed_ranking(draw):
    data = shuffled(toy(n=1500))
    perfect = np.array([1.0, 1.0, 2.0, *[0.0] * 9])  # x3 tells something alone, x1 and x2 only together
    ranked = [
        retention.Ranked("perfect", perfect, ""),
        retention.Ranked("random", None, ""),
        retention.Ranked("reversed", -perfect, ""),
    ]
    judged = retention.judge(data, draw, JUDGE, ranked, {}, {})
    gain, gap = (values_of(judged, f"retention_retrained_{what}") for what in ("gain", "gap"))
    assert gain["random"] == 0
    assert len(set(gap.values())) == 1
    assert gain["perfect"] > gap["perfect"] / 2 > 0 > gain["reversed"]
    again = retention.judge(data, draw, JUDGE, ranked, {}, judged.judgements)
    assert again.measurements == judged.measurements
    assert again.judgements == {}


def test_without_a_judge_the_masked_form_is_the_same(draw):
    data, model = toy(n=300), nn.Sequential(nn.Linear(12, 2)).eval().requires_grad_(False)
    ranked = [retention.Ranked("c", np.arange(12.0), "m"), retention.Ranked("d", np.arange(12.0), "")]
    found = retention.judge(data, draw, Retention(judges=()), ranked, {"m": model}, {})
    judged = retention.judge(data, draw, JUDGE, ranked, {"m": model}, {})
    assert found.judgements == {}
    masked = {m for m in judged.measurements["c"] if m.metric.startswith("retention_masked")}
    assert {m.metric for m in masked} == {"retention_masked", "retention_masked_gain", "retention_masked_gap"}
    assert {m for m in found.measurements["c"] if m.metric != "retention_bayes"} == masked
    assert {m.metric for m in found.measurements["d"]} == {"retention_bayes"}


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_gain_and_gap_equal_literal_ones(draw, kind):
    seeds = (3, 4) if kind == "classification" else (3,)
    data, settings = toy(n=300, kind=kind), JUDGE.model_copy(update={"judges": ("network", "trees"), "seeds": seeds})
    ranking = np.arange(12.0)
    found = retention.judge(data, draw, settings, [retention.Ranked("c", ranking, "")], {}, {})
    rows = {(m.metric, m.k): m.value for m in found.measurements["c"]}
    ks = [1, 2, 3]
    for form in ("retrained", "trees"):
        literal = literal_scores(data, draw, settings, form, ks)
        own = literal([np.argsort(-ranking)[:k] for k in ks])
        random = [literal([np.argsort(-order)[:k] for k in ks]) for order in retention.orders(draw.key, 10, 12)]
        (everything,) = literal([np.arange(12)])
        width = np.log(ks[-1])

        def mean(curve, width=width):
            return sum((curve[i] + curve[i + 1]) / 2 * np.log(ks[i + 1] / ks[i]) for i in range(2)) / width

        expected = mean(own) - np.mean([mean(one) for one in random])
        assert rows[f"retention_{form}_gain", 0] == pytest.approx(expected)
        gap = everything - np.mean([mean(one) for one in random])
        assert rows[f"retention_{form}_gap", 0] == pytest.approx(gap)


def literal_scores(data, draw, settings, form, ks):
    """A function of lists of kept columns: the test score of a judge that is trained on each, over its seeds."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    from xai_bench.component import stream_seed

    @cache
    def score(kept, seed):
        kept = np.array(kept)
        mask = np.isin(np.arange(data.d), kept)
        if form == "retrained":
            (fitted,) = fit_many(retention.judge_of(settings), data, [seed], mask[None])
            return fitted.test_score
        kind = ExtraTreesClassifier if data.kind == "classification" else ExtraTreesRegressor
        trees = kind(50, random_state=stream_seed("trees", seed, retention.name(mask)) % 2**32)
        return trees.fit(data.X_train[:, kept], data.y_train).score(data.X_test[:, kept], data.y_test)

    return lambda sets: [np.mean([score(tuple(sorted(kept)), seed) for seed in settings.seeds]) for kept in sets]


def test_a_transformer_judges_beside_the_network(draw, monkeypatch):
    """Its score of a set of inputs is that of a transformer which is trained on these; the network's stays as it is."""
    small = retention.TRANSFORMER.model_copy(update={"min_steps": 5, "epochs": 0.1, "checkpoints": 1})
    monkeypatch.setattr(retention, "TRANSFORMER", small)
    data, alone = toy(n=120), JUDGE.model_copy(update={"ks": (2,)})
    both = alone.model_copy(update={"judges": ("network", "ft_transformer")})
    assert retention.judge_key(draw, alone) != retention.judge_key(draw, both)
    ranked = [retention.Ranked("c", np.arange(12.0), "")]
    rows = {(m.metric, m.k): m.value for m in retention.judge(data, draw, both, ranked, {}, {}).measurements["c"]}
    (fitted,) = fit_many(small, data, [0], (np.arange(12) >= 10)[None])
    assert rows["retention_ft_transformer", 2] == pytest.approx(fitted.test_score)
    before = {(m.metric, m.k): m.value for m in retention.judge(data, draw, alone, ranked, {}, {}).measurements["c"]}
    assert {key: rows[key] for key in before} == before
    assert {metric for metric, _ in rows} - {metric for metric, _ in before} == {
        "retention_ft_transformer", "retention_ft_transformer_gain", "retention_ft_transformer_gap"
    }  # fmt: skip


def test_nothing_is_left_out_where_all_inputs_are_no_better_than_random_ones(draw):
    data = toy(n=400)
    noise = np.random.default_rng(1)
    from dataclasses import replace

    data = replace(data, **{f"y_{p}": noise.permutation(getattr(data, f"y_{p}")) for p in ("train", "valid", "test")})
    found = retention.judge(data, draw, JUDGE, [retention.Ranked("c", np.arange(12.0), "")], {}, {})
    gain = values_of(found, "retention_retrained_gain")["c"]
    assert gain is not None
    assert abs(gain) < 0.15


def test_a_test_part_of_one_class_still_has_a_gain(draw):
    """All rankings score alike there: a gain of 0 and a gap of 0, not NaN without a reason."""
    data = toy(n=200, d=3)
    data.y_test[:] = 1
    found = retention.judge(data, draw, JUDGE, [retention.Ranked("c", np.zeros(3), "")], {}, {})
    for m in found.measurements["c"]:
        assert (m.value is None) == bool(m.reason)
        assert m.value is None or np.isfinite(m.value)


def test_the_error_of_a_judgement_is_that_over_judge_seeds(draw):
    settings = JUDGE.model_copy(update={"seeds": (0, 1, 2)})
    scorer = retention.Scorer(toy(n=300), draw, settings, {}, {})
    mask = np.arange(12) < 3
    scorer.retrain([mask])
    fits = fit_many(retention.judge_of(settings), toy(n=300), [0, 1, 2], np.stack([mask] * 3))
    scores = [fit.test_score for fit in fits]
    assert scorer.new[retention.name(mask)] == pytest.approx((np.mean(scores), np.std(scores, ddof=1) / np.sqrt(3)))


@pytest.mark.parametrize("architecture", [SpectralMLP(hidden=(8, 6)), MLP(hidden=(8,), dropout=(0.1,))])
def test_masking_by_columns_equals_masking_by_rows(architecture):
    generator = torch.Generator().manual_seed(3)
    model = architecture.build((12,), 3, generator).eval().requires_grad_(False)
    X, absent = torch.randn(40, 12, generator=generator), torch.randn(12, generator=generator)
    masked = retention.Masked(model, X, absent)
    assert masked.rest is not None
    for count in (1, 5, 12):
        kept = torch.arange(12) < count
        expected = model(torch.where(kept, X, absent))
        torch.testing.assert_close(masked.outputs(kept), expected, rtol=1e-4, atol=1e-5)


def test_masking_of_another_kind_of_model():
    class Squares(nn.Module):
        def forward(self, x):
            return (x**2).sum(1, keepdim=True)

    X = torch.randn(5, 4)
    kept = torch.tensor([True, False, True, False])
    outputs = retention.Masked(Squares(), X, torch.full((4,), 2.0)).outputs(kept)
    torch.testing.assert_close(outputs[:, 0], X[:, 0] ** 2 + X[:, 2] ** 2 + 8)


def test_masking_of_a_chain_with_a_forward_of_its_own():
    class Positive(nn.Sequential):
        def forward(self, x):
            return super().forward(x.abs())

    X, absent = torch.randn(5, 4), torch.full((4,), 2.0)
    kept = torch.tensor([True, False, True, False])
    model = Positive(nn.Linear(4, 3), nn.ReLU())
    outputs = retention.Masked(model, X, absent).outputs(kept)
    torch.testing.assert_close(outputs, model(torch.where(kept, X, absent)), check_stride=False)


def test_chosen_k_and_masked_at_every_k(draw):
    settings = Retention(ks=(2, 30, 1, 6), masked_to=4, judge=JUDGE.judge)
    data = shuffled(toy(n=500))
    (fitted,) = fit_many(retention.judge_of(JUDGE), data, [0])
    found = retention.judge(
        data, draw, settings, [retention.Ranked("c", np.arange(12.0), "m")], {"m": fitted.module}, {}
    )
    ks = {
        metric: [m.k for m in found.measurements["c"] if m.metric == metric]
        for metric in ("retention_retrained", "retention_masked")
    }
    assert ks == {"retention_retrained": [1, 2, 6, 12], "retention_masked": [1, 2, 3, 4, 6, 12]}


def test_a_score_that_is_not_defined_is_null_with_a_reason(draw):
    from dataclasses import replace

    data = toy(n=200, kind="regression")
    data = replace(data, y_test=np.zeros_like(data.y_test))
    found = retention.judge(data, draw, JUDGE, [retention.Ranked("c", np.arange(12.0), "")], {}, {})
    assert found.judgements == {}
    scores = [m for m in found.measurements["c"] if m.metric != "retention_bayes"]
    assert all(m.value is None and "target is constant" in m.reason for m in scores)


def test_least_relevant_first(draw):
    settings = JUDGE.model_copy(update={"least_first": True})
    data = shuffled(toy(n=1500))
    perfect = np.array([1.0, 1.0, 2.0, *[0.0] * 9])  # x3 tells something alone, x1 and x2 only together
    ranked = [retention.Ranked("perfect", perfect, ""), retention.Ranked("reversed", -perfect, "")]
    judged = retention.judge(data, draw, settings, [*ranked, retention.Ranked("random", None, "")], {}, {})
    values = {cell: {(m.metric, m.k): m.value for m in found} for cell, found in judged.measurements.items()}
    most, least, spread = (f"retention_retrained{end}" for end in ("_gain", "_least_gain", "_spread"))
    for one, other in (("perfect", "reversed"), ("reversed", "perfect")):
        assert values[one][least, 0] == pytest.approx(values[other][most, 0])
        assert values[one][spread, 0] == pytest.approx(values[one][most, 0] - values[other][most, 0])
    assert values["perfect"][spread, 0] > 0.1
    assert values["random"][spread, 0] == pytest.approx(0, abs=1e-9)
    assert values["perfect"]["retention_retrained_least", 2] == values["reversed"]["retention_retrained", 2]


@pytest.mark.parametrize("classes", [2, 3])
def test_areas_under_the_curve_are_those_of_scikit_learn(draw, classes):
    data = toy(n=300)
    if classes == 2:
        data = replace(data, **{f"y_{p}": np.minimum(getattr(data, f"y_{p}"), 1) for p in PARTS}, n_outputs=2)
    settings = JUDGE.model_copy(update={"score": "auroc", "judges": ("network", "trees")})
    scorer = retention.Scorer(data, draw, settings, {}, {})
    mask = np.arange(data.d) < 3
    scorer.retrain([mask])
    kept = data.shuffled(mask)
    (fitted,) = fit_many(retention.judge_of(settings), data, [0], kept[None])
    with torch.no_grad():
        likely = fitted.module(torch.from_numpy(data.X_test[:, kept])).double().softmax(1).numpy()
    trees = ExtraTreesClassifier(50, random_state=stream_seed("trees", 0, retention.name(mask)) % 2**32)
    by_trees = trees.fit(data.X_train[:, kept], data.y_train).predict_proba(data.X_test[:, kept])
    for kind, of_rows in (("network", likely), ("trees", by_trees)):
        own = of_rows[:, 1] if classes == 2 else of_rows
        expected = roc_auc_score(data.y_test, own, multi_class="ovr")
        assert scorer.judgement(kind, mask) == pytest.approx(expected)


def test_areas_have_keys_of_their_own_and_no_ceiling(draw):
    area = JUDGE.model_copy(update={"score": "auroc"})
    assert retention.judge_key(draw, area) != retention.judge_key(draw, JUDGE)
    assert area.of_a_draw() != JUDGE.of_a_draw()
    assert "score" not in JUDGE.of_a_draw()
    data = draw.dataset.component.load(0).standardised()
    model = nn.Linear(data.d, 2)
    ranked = [retention.Ranked("c", np.arange(float(data.d)), "m")]
    for settings, has in ((area, False), (JUDGE, True)):
        without = settings.model_copy(update={"judges": ()})
        names = {m.metric for m in retention.judge(data, draw, without, ranked, {"m": model}, {}).measurements["c"]}
        assert ("retention_bayes" in names) == has
        assert "retention_masked" in names


def test_of_one_class_there_is_no_area():
    assert np.isnan(retention.area_of_classes(np.ones((4, 2)) / 2, np.zeros(4, dtype=int)))
