"""Recovery scores against literal versions, sklearn and scipy, and their invariants."""

from __future__ import annotations

import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import recovery as literal
from xai_bench.datasets.base import GroundTruth
from xai_bench.errors import InputError
from xai_bench.metrics import ranking, recovery
from xai_bench.metrics.base import Metric
from xai_bench.metrics.proportion import pearson
from xai_bench.scoring import recovery as scoring

METRICS = [
    recovery.auroc,
    recovery.auroc_clear,
    recovery.average_precision,
    recovery.precision_at_p,
    recovery.somers_d,
    recovery.spearman,
]
DESCRIPTIVE = [recovery.auroc_redundant, recovery.auroc_suppressor]
OF_RANKS = METRICS + DESCRIPTIVE
UNRANKED = [recovery.contrast, recovery.support_precision, recovery.support_recall]
OF_ROLES = {
    "auroc": literal.auroc,
    "average_precision": literal.average_precision,
    "precision_at_p": literal.precision_at_p,
}
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
each_of_ranks = pytest.mark.parametrize("metric", OF_RANKS, ids=lambda metric: metric.name)
each_of_roles = pytest.mark.parametrize(
    "metric", [m for m in METRICS if m.name in OF_ROLES], ids=lambda metric: metric.name
)
PAPER = np.array([0.7, 0.7, 0.8, 0.8, 0.4, 0.4, 0.6, 0.6, 0, 0])


def roles(letters):
    names = {"r": "relevant", "d": "redundant", "s": "suppressor", "n": "negligible", "-": "noise"}
    return tuple(names[letter] for letter in letters)


TRUTHS = {
    "plain": GroundTruth(roles("rr------")),
    "graded": GroundTruth(roles("rrrrrrrr--"), PAPER, resolution=0.5),
    "all roles": GroundTruth(roles("rdsn--r"), np.array([0.9, 0.5, 0, 0.01, 0, 0, 0.3]), resolution=0.2),
    "blocks": GroundTruth(
        roles("rrr------r"),
        np.array([0.1, 0.2, 0, 0, 0, 0, 0, 0, 0, 0.8]),
        blocks=((0, 1, 2), (3, 4), (5, 6)),
        resolution=0.5,
    ),
    "groups": GroundTruth(roles("rr-----r"), groups=((0, 1), (2, 3, 4))),
    "groups of blocks": GroundTruth(
        roles("rrdr------"),
        np.array([0.2, 0.3, 0.5, 0.9, 0, 0, 0, 0, 0, 0]),
        groups=((1, 2), (6, 8)),
        blocks=((0, 1), (4, 5, 6)),
        resolution=0.6,
    ),
    "one of each": GroundTruth(roles("r-")),
    "large": GroundTruth(roles("r" * 10 + "-" * 40), np.r_[np.linspace(0.1, 1, 10), np.zeros(40)], resolution=0.4),
}
each_truth = pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS.keys())


@st.composite
def truths(draw, largest=7):
    """Consistent truths of every kind: relevant grades above 0, noise at 0, blocks of one role."""
    letters = draw(st.lists(st.sampled_from("rrdsn---"), min_size=2, max_size=largest))
    grade = {"r": st.sampled_from([0.25, 0.5, 0.75]), "-": st.just(0.0)}
    graded = draw(st.booleans())
    values = [draw(grade.get(letter, st.sampled_from([0.0, 0.125]))) for letter in letters]
    columns = draw(st.permutations(range(len(letters))))
    cut = draw(st.integers(0, len(letters) // 2))
    blocks = (tuple(columns[:cut]),) if cut > 1 else ()
    other = draw(st.integers(0, len(letters) - cut))
    groups = (tuple(columns[cut : cut + other]),) if other > 1 else ()
    return GroundTruth(
        roles(letters), np.array(values) if graded else None, groups, blocks, draw(st.sampled_from([None, 0.5]))
    )


@st.composite
def cases(draw, largest=7):
    """A truth and a relevance with many ties, whose sums are exact."""
    truth = draw(truths(largest))
    d = len(truth.roles)
    return truth, np.array(draw(st.lists(st.integers(0, 4), min_size=d, max_size=d)), dtype=float) / 4


@each_of_roles
@settings(max_examples=60, deadline=None)
@given(case=cases(largest=6))
def test_equals_the_literal_version(metric, case):
    truth, relevance = case
    values, relevant = literal.relevant_or_noise(literal.items(relevance, truth))
    if all(relevant) or not any(relevant):
        assert metric(relevance, truth) is None
    else:
        assert metric(relevance, truth) == pytest.approx(OF_ROLES[metric.name](values, relevant), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_scores_of_other_roles_values_and_supports_equal_the_literal_version(case):
    truth, relevance = case
    rows = literal.items(relevance, truth)
    for role, metric in (("redundant", recovery.auroc_redundant), ("suppressor", recovery.auroc_suppressor)):
        values, chosen = literal.relevant_or_noise(rows, role)
        expected = literal.auroc(values, chosen) if any(chosen) and not all(chosen) else None
        assert metric(relevance, truth) == (None if expected is None else pytest.approx(expected, abs=1e-12))
    values, relevant = literal.relevant_or_noise(rows)
    if all(relevant) or not any(relevant):
        assert [metric(relevance, truth) for metric in UNRANKED] == [None] * 3
        return
    assert recovery.contrast(relevance, truth) == pytest.approx(literal.contrast(values, relevant), abs=1e-12)
    precision, recall = literal.support(values, relevant) if any(row[0] == 0 for row in rows) else (None, None)
    assert recovery.support_precision(relevance, truth) == (None if precision is None else pytest.approx(precision))
    assert recovery.support_recall(relevance, truth) == (None if recall is None else pytest.approx(recall))


@settings(max_examples=100, deadline=None)
@given(cases())
def test_somers_d_equals_the_loop_over_pairs(case):
    truth, relevance = case
    rows = literal.items(relevance, truth)
    grades = [grade for _, _, grade in rows]
    if truth.relevance is None or len(set(grades)) == 1:
        assert recovery.somers_d(relevance, truth) is None
    else:
        expected = literal.somers_d([value for value, _, _ in rows], grades)
        assert recovery.somers_d(relevance, truth) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_auroc_clear_equals_the_literal_version(case):
    truth, relevance = case
    score = recovery.auroc_clear(relevance, truth)
    if truth.relevance is None or truth.resolution is None:
        assert score is None
        return
    rows = [row for row in literal.items(relevance, truth) if row[1] != "relevant" or row[2] >= truth.resolution]
    values, relevant = literal.relevant_or_noise(rows)
    if all(relevant) or not any(relevant):
        assert score is None
    else:
        assert score == pytest.approx(literal.auroc(values, relevant), abs=1e-12)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_inversions_equal_the_loop(codes):
    assert ranking.inversions(np.array([codes, codes[::-1]])).tolist() == [
        literal.inversions(codes),
        literal.inversions(codes[::-1]),
    ]


@pytest.mark.parametrize("levels", [4, 10_000])
def test_equals_sklearn_and_scipy(levels):
    from scipy.stats import somersd, spearmanr
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    for _ in range(20):
        d = int(rng.integers(5, 60))
        graded = np.r_[0.0, 1.0, rng.integers(0, 5, d - 2)]
        truth = GroundTruth(tuple("relevant" if g else "noise" for g in graded), graded)
        relevance = rng.integers(0, levels, d).astype(float)
        assert recovery.auroc(relevance, truth) == pytest.approx(roc_auc_score(graded > 0, relevance), abs=1e-12)
        statistic = somersd(graded, relevance).statistic
        assert recovery.somers_d(relevance, truth) == pytest.approx(statistic, abs=1e-12)
        expected = spearmanr(relevance, graded).statistic
        assert recovery.spearman(relevance, truth) == pytest.approx(expected, abs=1e-12)
        if len(set(relevance)) == d:  # sklearn takes a run of ties as one step
            expected = average_precision_score(graded > 0, relevance)
            assert recovery.average_precision(relevance, truth) == pytest.approx(expected, abs=1e-12)


def test_pearson_equals_scipy():
    from scipy.stats import pearsonr

    rng = np.random.default_rng(0)
    truth = TRUTHS["graded"]
    for _ in range(5):
        relevance = rng.random(10)
        assert pearson(relevance, truth) == pytest.approx(pearsonr(relevance, PAPER).statistic, abs=1e-12)
        assert pearson(3 * PAPER + 1, truth) == pytest.approx(1)
    assert pearson(PAPER, truth) == 1.0
    assert pearson(np.ones(10), truth) == 0.0
    assert pearson(rng.random(8), TRUTHS["plain"]) is None


@each_metric
@each_truth
def test_oracle_scores_one(metric, truth):
    score = metric(recovery.oracle_relevance(truth), truth)
    assert score == (None if metric.chance(truth) is None else 1.0)
    assert score == 1.0 or truth is not TRUTHS["graded"]  # there, every metric is defined


@settings(max_examples=200, deadline=None)
@given(truths(largest=9))
def test_oracle_of_any_truth_scores_one_and_reversed_zero(truth):
    oracle = recovery.oracle_relevance(truth)
    for metric in METRICS:
        assert metric(oracle, truth) in (None, 1.0), metric.name
    if not truth.blocks and not truth.groups:  # of a negated block the sum, of a negated group the best, differ
        assert recovery.auroc(-oracle, truth) in (None, 0.0)
        assert recovery.somers_d(-oracle, truth) in (None, -1.0)
        assert recovery.spearman(-oracle, truth) in (None, -1.0)


def test_a_truth_that_contradicts_itself_has_no_oracle():
    with pytest.raises(InputError, match="above every noise input"):
        recovery.oracle_relevance(GroundTruth(roles("r-"), np.array([0.1, 0.2])))


@each_truth
def test_oracle_has_a_gap_and_selects_what_is_relevant(truth):
    for metric in UNRANKED:  # the noise of these truths has the grade 0
        expected = None if recovery.auroc.chance(truth) is None else 1.0
        assert metric(recovery.oracle_relevance(truth), truth) == expected, metric.name


def test_descriptive_scores_are_not_what_the_oracle_maximises():
    truth = GroundTruth(roles("rds-"))
    assert [metric(recovery.oracle_relevance(truth), truth) for metric in DESCRIPTIVE] == [0.5, 0.5]
    assert [metric(np.array([0, 2, 0, 1]), truth) for metric in DESCRIPTIVE] == [1.0, 0.0]
    assert all(metric.descriptive for metric in DESCRIPTIVE)
    assert not any(metric.descriptive for metric in METRICS + UNRANKED)


def test_contrast_is_the_share_of_the_lowest_relevant_input():
    truth = GroundTruth(roles("rr--d"))
    for relevance, expected in [
        ([3, 4, 1, 0, 9], 0.75), ([1, 4, 3, 0, 9], 0.25), ([2, 2, 2, 2, 9], 0.5), ([0, 4, 0, 0, 9], 0.5),
        ([0, 4, 1, 0, 9], 0.0), ([1, 4, 0, 0, 9], 1.0), ([1.7e308, 1.5e308, 1.5e308, 0, 9], 0.5),
        ([1.7e308, 1.7e308, 1e308, 0, 9], 1.7 / 2.7),
    ]:  # fmt: skip
        assert recovery.contrast(np.array(relevance, dtype=float), truth) == pytest.approx(expected)


def test_the_support_of_a_method_is_where_it_chose_zeros():
    truth = GroundTruth(roles("rr--d"))
    both = recovery.support_precision, recovery.support_recall
    for relevance, expected in [
        ([3, 0, 1, 0, 9], (0.5, 0.5)), ([3, 1, 0, 0, 0], (1.0, 1.0)), ([0, 0, 0, 0, 0], (None, 0.0)),
        ([3, 1, 1, 1, 1], (None, None)),
    ]:  # fmt: skip
        assert tuple(metric(np.array(relevance, dtype=float), truth) for metric in both) == expected
    relevance = np.array([3, 1, 1, 0, 9.0])
    names = [m.metric for m in scoring.scores(relevance, truth, both)]
    assert names == ["support_precision", "support_recall"]
    assert scoring.scores(relevance, truth, both, constant=[3]) == ()  # the harness made this zero


def test_a_ranking_has_neither_sizes_nor_a_support():
    truth = TRUTHS["all roles"]
    names = {m.metric for m in scoring.of_random(truth, "draw", 5, [*OF_RANKS, *UNRANKED]) if m.metric[-3:] != "_se"}
    assert names == {m.name for m in OF_RANKS}


def test_intervals_of_random_cover_chance_as_often_as_they_say():
    """Five draws of 200 rankings each: the share of 95 % intervals that cover chance, over many repetitions."""
    from scipy.stats import binomtest

    from xai_bench.statistics import interval

    truth, rng = TRUTHS["all roles"], np.random.default_rng(5)
    for metric in OF_RANKS:
        means = recovery.random_scores(metric, truth, 400 * 5 * 40, rng).reshape(400, 5, 40).mean(2)
        found = [interval(row) for row in means]
        covered = sum(row.low <= metric.chance(truth) <= row.high for row in found)
        assert binomtest(covered, len(found), 0.95).pvalue > 0.001, (metric.name, covered)


@each_of_ranks
@each_truth
def test_chance_is_the_mean_of_random_rankings(metric, truth):
    scores = recovery.random_scores(metric, truth, 4000, np.random.default_rng(1))
    chance = metric.chance(truth)
    if scores is None:
        assert chance is None
        return
    assert scores.shape == (4000,)
    assert scores.min() >= metric.lower
    assert scores.max() <= metric.upper
    assert abs(scores.mean() - chance) <= 4 * scores.std(ddof=1) / 4000**0.5 + 1e-12


@each_of_ranks
@pytest.mark.parametrize("name", ["plain", "graded", "all roles", "groups", "large"])
def test_a_constant_relevance_scores_chance(metric, name):
    truth = TRUTHS[name]
    for order in (np.arange(len(truth.roles)), np.arange(len(truth.roles))[::-1]):
        score, chance = metric(np.ones(len(order)), truth.take(order)), metric.chance(truth)
        assert score == pytest.approx(chance, abs=1e-12) if chance is not None else score is None


def test_a_constant_attribute_scores_chance_with_blocks():
    truth = TRUTHS["blocks"]
    relevance = np.array([1, 1, 1, 1.5, 1.5, 1.5, 1.5, 3, 3, 3])
    for metric in METRICS:
        assert metric(relevance, truth) == pytest.approx(metric.chance(truth), abs=1e-12), metric.name


@pytest.mark.parametrize("name", ["blocks", "groups of blocks", "all roles"])
def test_a_plugin_metric_sees_the_same_random_rankings(name):
    truth = TRUTHS[name]
    plugin = Metric("plugin", lambda r, t: recovery.average_precision(r, t), lambda t: None, 0, 1, "")
    ours, theirs = (
        recovery.random_scores(metric, truth, 50, np.random.default_rng(3))
        for metric in (recovery.average_precision, plugin)
    )
    np.testing.assert_array_equal(ours, theirs)


def test_random_scores_do_not_depend_on_the_size_of_a_batch(monkeypatch):
    truth = TRUTHS["graded"]
    whole = recovery.random_scores(recovery.somers_d, truth, 30, np.random.default_rng(3))
    monkeypatch.setattr(recovery, "VALUES_AT_ONCE", 70)
    np.testing.assert_array_equal(whole, recovery.random_scores(recovery.somers_d, truth, 30, np.random.default_rng(3)))


@settings(max_examples=100, deadline=None)
@given(cases())
def test_scores_are_within_bounds(case):
    truth, relevance = case
    for metric in OF_RANKS + UNRANKED:
        score = metric(relevance, truth)
        assert score is None or metric.lower <= score <= metric.upper, metric.name


@settings(max_examples=100, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_columns(case, random):
    truth, relevance = case
    relevance = relevance / 3  # sums that round
    order = np.array(random.sample(range(len(relevance)), len(relevance)))
    for metric in OF_RANKS + UNRANKED:
        assert metric(relevance, truth) == metric(relevance[order], truth.take(order)), metric.name


@settings(max_examples=100, deadline=None)
@given(cases())
def test_scores_depend_on_the_order_of_relevances_only(case):
    truth, relevance = case
    truth = GroundTruth(truth.roles, truth.relevance, truth.groups, (), truth.resolution)
    for metric in OF_RANKS:
        score = metric(relevance, truth)
        assert metric(np.exp(relevance) - 1, truth) == score, metric.name
        assert metric(1e300 * relevance, truth) == score, metric.name


def test_ten_tenths_tie_with_one():
    truth = GroundTruth(roles("r" * 10 + "-"), blocks=(tuple(range(10)),))
    assert recovery.auroc(np.r_[np.full(10, 0.1), 1.0], truth) == 0.5


def test_sums_of_huge_relevances_do_not_raise():
    truth = GroundTruth(roles("rr-"), blocks=((0, 1),))
    assert recovery.auroc(np.array([1e308, 1e308, 1e308]), truth) == 1.0


def test_other_roles_count_neither_way():
    truth, relevance = GroundTruth(roles("r-dsn")), np.array([0.5, 0.2, 9, 9, 9])
    for metric in (recovery.auroc, recovery.average_precision, recovery.precision_at_p):
        assert metric(relevance, truth) == 1.0


def test_the_best_member_of_a_group_counts_once():
    truth = GroundTruth(roles("rr---"), groups=((0, 1),))
    assert recovery.precision_at_p.chance(truth) == 0.25
    assert recovery.precision_at_p(np.array([0, 5, 1, 1, 1.0]), truth) == 1.0
    assert recovery.auroc(np.array([0, 2, 1, 2, 3.0]), truth) == 0.5


def test_the_columns_of_a_block_are_summed():
    truth = GroundTruth(roles("rr--"), blocks=((0, 1),))
    assert recovery.auroc(np.array([0.6, 0.6, 1.0, 1.0]), truth) == 1.0
    tied = GroundTruth(roles("rrr-"), np.array([0.1, 0.2, 0.3, 0]), blocks=((0, 1),))
    assert recovery.somers_d(np.array([0.1, 0.1, 0.1, 0.0]), tied) == 1.0


@pytest.mark.parametrize("parts", [{"blocks": ((0, 1), (1, 2))}, {"groups": ((0, 1), (1, 2))}])
def test_common_columns_are_an_error(parts):
    with pytest.raises(InputError, match=r"got \[1\] twice"):
        recovery.auroc(np.ones(3), GroundTruth(roles("rr-"), **parts))


@pytest.mark.parametrize("letters", ["rrr", "---", "dd-", "rdsn"])
def test_undefined_without_relevant_or_noise_inputs(letters):
    truth = GroundTruth(roles(letters))
    for metric in METRICS:
        assert metric(np.arange(len(letters)), truth) is None
        assert metric.chance(truth) is None
        assert recovery.random_scores(metric, truth, 5, np.random.default_rng(0)) is None


def test_auroc_clear_leaves_out_what_data_can_hardly_show():
    truth = GroundTruth(roles("rr--"), np.array([0.1, 0.9, 0, 0]), resolution=0.5)
    relevance = np.array([0.0, 3, 1, 2])
    assert recovery.auroc(relevance, truth) == 0.5
    assert recovery.auroc_clear(relevance, truth) == 1.0
    assert recovery.auroc_clear(relevance, GroundTruth(truth.roles, truth.relevance)) is None
    assert recovery.auroc_clear(relevance, GroundTruth(truth.roles, truth.relevance, resolution=1.0)) is None


def test_order_needs_a_graded_truth_with_different_grades():
    constant = GroundTruth(roles("rr"), np.array([0.5, 0.5]))
    for truth in (GroundTruth(roles("r-")), constant):
        assert recovery.somers_d(np.arange(2), truth) is None
        assert recovery.spearman(np.arange(2), truth) is None
        assert recovery.spearman_ceiling(truth) is None


def test_spearman_ceiling():
    truth = TRUTHS["graded"]
    assert recovery.spearman_ceiling(truth) == pytest.approx(0.985, abs=5e-4)
    best = recovery.spearman(PAPER + np.arange(10) * 1e-6, truth)
    assert best == pytest.approx(recovery.spearman_ceiling(truth), abs=1e-12)
    for grades in ([0, 0, 0, 1, 2], [3, 1, 2, 0], [0, 1, 1, 0, 1, 2]):
        truth = GroundTruth(tuple("relevant" if g else "noise" for g in grades), np.array(grades))
        assert recovery.spearman_ceiling(truth) == pytest.approx(literal.spearman_ceiling(grades), abs=1e-12)


def test_metrics_can_be_sent_to_workers():
    for metric in OF_RANKS + UNRANKED:
        assert pickle.loads(pickle.dumps(metric)) == metric


@each_metric
def test_ten_thousand_inputs_take_no_square_of_anything(metric):
    """Neither 10,000 x 10,000 numbers at once, nor a call of a function for every pair."""
    rng, d = np.random.default_rng(0), 10_000
    grades = np.where(np.arange(d) % 10, 0, 0.1 + rng.random(d))
    blocks = tuple((2 * i, 2 * i + 1) for i in range(d // 4))
    groups = tuple((d - 1 - 2 * i, d - 2 - 2 * i) for i in range(d // 4))
    truth = GroundTruth(tuple("relevant" if g else "noise" for g in grades), grades, groups, blocks, 0.3)
    relevance, calls = rng.random(d), []
    tracemalloc.start()
    metric(relevance, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sys.setprofile(lambda frame, event, what: calls.append(event))
    try:
        metric(relevance, truth)
    finally:
        sys.setprofile(None)
    assert peak < 64 * 8 * d
    assert len(calls) < 30 * d
