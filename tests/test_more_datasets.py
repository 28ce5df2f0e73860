"""The larger collection of synthetic datasets: formulas, truth, ceilings, fields. See also test_stellar.py."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB

from tests.reference import more_datasets as literal
from xai_bench import registry
from xai_bench.datasets.boolean import LED, BooleanRedundant, Corral, Monk1, Monk2, Monk3
from xai_bench.datasets.classics import (
    Duplicated,
    LinearSparse,
    Madelon,
    Null,
    Scaled,
    Suppressor,
    TwoMoonsNoise,
)
from xai_bench.datasets.friedman import CIRCUIT, Friedman1, Friedman2, Friedman3, explained_variance, total_sobol
from xai_bench.datasets.gates import NonlinearAdditive, OrangeSkin, Switch, XorGaussian
from xai_bench.datasets.ring import RingXor, RingXorSum
from xai_bench.datasets.tetromino import (
    TetrominoLinear,
    TetrominoMultiplicative,
    TetrominoRotated,
    TetrominoXor,
    blurred,
    fixed_patterns,
)
from xai_bench.errors import InputError

N = 20_000


def chance_of_gaps(source):
    gaps = source.gaps()
    return literal.centred_gaussians(gaps, source.scales(gaps) if isinstance(source, Scaled) else 1.0, 0.5)


INDEPENDENT = {  # the inputs are independent of each other: source, P(y = 1 | x)
    "ring_xor": (RingXor(n=N, d=6), literal.ring_xor),
    "ring_xor_sum": (RingXorSum(n=N, d=8), literal.ring_xor_sum),
    "xor_gaussian": (XorGaussian(n=N, d=4), lambda X: literal.not_odds(literal.syn1(X))),
    "orange_skin": (OrangeSkin(n=N, d=8), lambda X: literal.not_odds(literal.syn2(X))),
    "nonlinear_additive": (NonlinearAdditive(n=N, d=12), lambda X: literal.not_odds(literal.syn3(X))),
    "switch_4": (Switch(n=N, d=13), literal.switch(literal.syn1, literal.syn2)),
    "switch_5": (Switch(n=N, d=13, variant=5), literal.switch(literal.syn1, literal.syn3)),
    "switch_6": (Switch(n=N, d=13, variant=6), literal.switch(literal.syn2, literal.syn3)),
    "linear_sparse": (LinearSparse(n=N, d=14), literal.linear_sparse(10)),
}
DISCRETE = {  # source, every rule that gives P(y | x)
    "corral": (Corral(n=N), [literal.corral]),
    "monk1": (Monk1(n=N), [literal.monk1]),
    "monk2": (Monk2(n=N), [literal.monk2]),
    "monk3": (Monk3(n=N), [literal.monk3]),
    "led": (LED(n=N), [literal.led]),
    "boolean_redundant": (
        BooleanRedundant(n=N),
        [literal.xor_of_bits(0, 1), literal.xor_of_bits(4, 1, negated=True), literal.or_but_not_and],
    ),
}
SUPPRESSOR, MOONS = Suppressor(n=N), TwoMoonsNoise(n=N, d=6, spread=0.25)
GAUSSIAN = {
    "suppressor": (SUPPRESSOR, literal.suppressor(*SUPPRESSOR.patterns(), SUPPRESSOR.strengths)),
    "scaled": (Scaled(n=N, truth_seed=0), chance_of_gaps(Scaled(truth_seed=0))),
    "duplicated": (Duplicated(n=N, truth_seed=0), chance_of_gaps(Duplicated(truth_seed=0))),
}
RULES = {
    **{name: (source, [rule]) for name, (source, rule) in {**INDEPENDENT, **GAUSSIAN}.items()},
    **DISCRETE,
    "two_moons_noise": (MOONS, [literal.two_moons(0.25)]),
}
FRIEDMAN = {
    "friedman1": (Friedman1, literal.friedman1),
    "friedman2": (Friedman2, literal.friedman2),
    "friedman3": (Friedman3, literal.friedman3),
}
ruled = pytest.mark.parametrize("name", RULES)
friedman = pytest.mark.parametrize(("source", "formula"), FRIEDMAN.values(), ids=FRIEDMAN)


def rng(seed=0):
    return np.random.default_rng(seed)


@functools.cache
def drawn(name):
    return RULES[name][0].draw(rng(11))


def per_class(chance):
    """(n, classes) from P(y = 1) or from that."""
    return chance if chance.ndim == 2 else np.column_stack([1 - chance, chance])


def mean_within(values, expected, errors=4.0):
    return abs(values.mean() - expected) <= errors * max(values.std(), 1e-12) / math.sqrt(len(values))


class TestFormulas:
    @ruled
    def test_labels_follow_the_literal_chance(self, name):
        table = drawn(name)
        for rule in RULES[name][1]:
            chance = per_class(rule(table.X))
            surprise = np.eye(chance.shape[1])[table.y] - chance
            sure = (chance == 0) | (chance == 1)
            assert (surprise[sure] == 0).all()
            for level in np.arange(0, 1, 0.1):  # calibrated at every level
                inside = (chance >= level) & (chance < level + 0.1) & ~sure
                if inside.sum() > 100:
                    spread = np.sqrt((chance * (1 - chance))[inside].sum())
                    assert abs(surprise[inside].sum()) < 4.5 * spread, (level, inside.sum())

    @pytest.mark.parametrize("name", ["xor_gaussian", "orange_skin", "nonlinear_additive", "switch_4", "switch_5"])
    def test_gates_draw_by_draw(self, name):
        source, chance = INDEPENDENT[name]
        inputs, classes = rng(3).spawn(2)
        X = np.array([[inputs.normal() for _ in range(source.d)] for _ in range(source.n)])
        y = [int(classes.random() >= 1 - p) for p in chance(X)]
        table = source.draw(rng(3))
        np.testing.assert_array_equal(table.X, X)
        assert (table.y != y).sum() <= 1  # 1 - p and p round differently

    def test_the_sum_of_the_ring_family_draw_by_draw(self):
        source = RingXorSum(n=500, d=7)
        inputs, errors = rng(3).spawn(2)
        rows = [[inputs.random() for _ in range(7)] for _ in range(500)]
        for y, x in zip(source.draw(rng(3)).y, rows, strict=True):
            noisy = x[4] + x[5] + errors.normal(0.0, 0.2) >= 1.4074
            assert y == (literal.on_circle(x[0], x[1], 0.0479) or (x[2] - 0.5) * (0.5 - x[3]) >= 0.0598 or noisy)

    @pytest.mark.parametrize(
        ("name", "share"),
        [
            ("ring_xor", None),
            ("ring_xor_sum", None),
            ("xor_gaussian", 0.5),
            ("switch_4", None),
            ("linear_sparse", 0.5),
            ("corral", 7 / 16),
            ("monk1", 216 / 432),
            ("monk2", 142 / 432),
            ("monk3", 0.05 + 0.9 * 228 / 432),
            ("boolean_redundant", 0.5),
            ("suppressor", 0.5),
            ("scaled", 0.5),
            ("duplicated", 0.5),
            ("two_moons_noise", 0.5),
        ],
    )
    def test_share_of_the_positive_class(self, name, share):
        y = drawn(name).y
        chance = RULES[name][1][0](RULES[name][0].draw(rng(5)).X)
        expected = chance.mean() if share is None else share
        assert abs(y.mean() - expected) < 4 * math.sqrt(0.5 / len(y))

    @pytest.mark.parametrize("name", ["ring_xor", "ring_xor_sum"])
    def test_the_ring_family_is_balanced(self, name):
        assert abs(drawn(name).y.mean() - 0.5) < 0.02  # as its thresholds were chosen

    def test_led_digits_are_equally_likely_and_flips_are_ten_percent(self):
        table = drawn("led")
        assert np.abs(np.bincount(table.y) / N - 0.1).max() < 4 * math.sqrt(0.09 / N)
        lit = np.array([literal.DISPLAY[digit] for digit in table.y])
        assert np.abs((table.X[:, :7] != lit).mean(0) - 0.1).max() < 4 * math.sqrt(0.09 / N)
        assert table.X.shape == (N, 24)

    def test_corral_has_a_bit_with_25_percent_errors(self):
        table = drawn("corral")
        for y in (0, 1):
            wrong = table.X[table.y == y, 5] != y
            assert abs(wrong.mean() - 0.25) < 4 * math.sqrt(0.1875 / len(wrong))

    def test_one_hot_blocks_are_uniform_attributes(self):
        table = drawn("monk1")
        assert [len(block) for block in table.truth.blocks] == [3, 3, 2, 3, 4, 2]
        for block in table.truth.blocks:
            columns = table.X[:, list(block)]
            assert (columns.sum(1) == 1).all()
            assert np.abs(columns.mean(0) - 1 / len(block)).max() < 4 * math.sqrt(0.25 / N)
        assert table.feature_names[:4] == ("a1=1", "a1=2", "a1=3", "a2=1")

    def test_columns_of_the_redundant_bits(self):
        a, b, either, both, not_a = drawn("boolean_redundant").X.T[:5]
        np.testing.assert_array_equal(either, np.maximum(a, b))
        np.testing.assert_array_equal(both, a * b)
        np.testing.assert_array_equal(not_a, 1 - a)

    @friedman
    def test_friedman(self, source, formula):
        table = source(n=300, d=8, noise=0.0).draw(rng())
        np.testing.assert_allclose(table.y, [formula(row) for row in table.X], rtol=1e-10)
        noisy = source(n=5000, d=8).draw(rng())
        rest = noisy.y - [formula(row) for row in noisy.X]
        assert abs(rest.std() / source().noise - 1) < 4 / math.sqrt(2 * 5000)
        used = len(source.ranges)
        for column, (low, high) in zip(noisy.X.T[:used], source.ranges, strict=True):
            assert mean_within(column, (low + high) / 2)
            assert column.min() >= low
            assert column.max() <= high
        assert np.abs(noisy.X[:, used:].mean(0) - 0.5).max() < 4 * math.sqrt(1 / 12 / 5000)

    def test_madelon_columns(self):
        source = Madelon(n=500, d=40)
        table = source.draw(rng())
        X = table.X
        solution, *_ = np.linalg.lstsq(X[:, :5], X[:, 5:15], rcond=None)
        np.testing.assert_allclose(X[:, :5] @ solution, X[:, 5:15], atol=1e-8)
        np.testing.assert_array_equal(X[:, 15:20], X[:, :5])
        assert np.abs(X[:, 20:].mean(0)).max() < 4.5 / math.sqrt(500)
        assert np.linalg.matrix_rank(X) == 25
        assert abs(table.y.mean() - 0.5) < 4 * 0.5 / math.sqrt(500)

    def test_scaled_and_duplicated_columns(self):
        source = Scaled(n=2000, truth_seed=0)
        table, gaps = source.draw(rng()), source.gaps()
        spread = np.full(20, 0.5)
        spread[gaps.argmax()] *= 1e-2
        spread[-1] *= 1e2
        assert np.abs(table.X[table.y == 0].std(0) / spread - 1).max() < 0.12  # 5 standard errors
        copies = drawn("duplicated")
        np.testing.assert_array_equal(copies.X[:, 20:], copies.X[:, :5])
        assert copies.feature_names[20:22] == ("copy_of_x1", "copy_of_x2")

    def test_suppressor_draw_by_draw(self):
        source = Suppressor(n=50, d=12, strengths=(0.7, 1.3, 0.4))
        classes, distractors, noise = rng(3).spawn(3)
        y = [int(classes.integers(0, 2)) for _ in range(50)]
        eta = [distractors.normal() for _ in range(50)]
        for row, label, distractor in zip(source.draw(rng(3)).X, y, eta, strict=True):
            for j, value in enumerate(row):
                expected = 0.7 * (2 * label - 1) * (j < 6) + 1.3 * distractor * (3 <= j < 10)
                assert value == pytest.approx(expected + 0.4 * noise.normal())


class TestTruth:
    @ruled
    def test_resampling_all_noise_changes_nothing_and_a_relevant_group_does(self, name):
        table = drawn(name)
        truth = table.truth
        sets = {j: {j} for j in range(len(truth.roles))}
        for columns in (*truth.groups, *truth.blocks):
            for j in columns:
                sets[j] = set(columns)
        rows = slice(0, 4000)
        X, other = table.X[rows], rng(1).permutation(table.X)[rows]
        for rule in RULES[name][1]:
            changed = np.where([role in ("noise", "redundant") for role in truth.roles], other, X)
            np.testing.assert_allclose(rule(changed), rule(X), atol=1e-12)
        for j, role in enumerate(truth.roles):
            changed = np.where(np.isin(np.arange(X.shape[1]), list(sets[j])), other, X)
            change = max(np.abs(rule(changed) - rule(X)).mean() for rule in RULES[name][1])
            if role in ("relevant", "suppressor"):
                graded = truth.relevance is not None  # next to larger gaps the smallest ones hardly count
                assert change > (1e-5 if graded else 0.01), (name, j, change)
            elif role == "negligible":
                assert 0 < change < 0.05

    @ruled
    def test_noise_is_independent_of_target_and_inputs(self, name):
        table = drawn(name)
        noise = np.flatnonzero([role == "noise" for role in table.truth.roles])
        others = np.delete(table.X, noise, axis=1)
        standard = [(part - part.mean(0)) / part.std(0) for part in (table.X[:, noise], others)]
        label = (table.y - table.y.mean()) / table.y.std()
        assert np.abs(standard[0].T @ np.column_stack([standard[1], label]) / N).max() < 5 / math.sqrt(N)

    def test_suppressors_tell_nothing_alone(self):
        table = drawn("suppressor")
        role = np.array(table.truth.roles)
        correlation = np.array([np.corrcoef(column, table.y)[0, 1] for column in table.X.T])
        assert np.abs(correlation[role == "suppressor"]).max() < 4 / math.sqrt(N)
        assert np.abs(correlation[role == "relevant"]).min() > 0.2
        together = SUPPRESSOR.ceiling(role != "noise")
        assert together > SUPPRESSOR.ceiling(role == "relevant") + 0.01
        assert together == pytest.approx(SUPPRESSOR.ceiling(role != "other"))
        assert tuple(role) == ("relevant",) * 6 + ("suppressor",) * 4 + ("noise",) * 10

    @pytest.mark.parametrize(
        ("source", "counts"),
        [
            (RingXor(), {"relevant": 4, "noise": 16}),
            (RingXorSum(), {"relevant": 6, "noise": 14}),
            (XorGaussian(), {"relevant": 2, "noise": 18}),
            (OrangeSkin(), {"relevant": 4, "noise": 16}),
            (NonlinearAdditive(), {"relevant": 4, "noise": 16}),
            (Switch(), {"relevant": 7, "noise": 13}),
            (Switch(variant=5), {"relevant": 7, "noise": 13}),
            (Switch(variant=6), {"relevant": 9, "noise": 11}),
            (Friedman1(), {"relevant": 5, "noise": 15}),
            (Friedman2(), {"relevant": 2, "negligible": 2, "noise": 16}),
            (Friedman3(), {"relevant": 3, "negligible": 1, "noise": 16}),
            (Madelon(), {"relevant": 10, "redundant": 10, "noise": 480}),
            (Corral(), {"relevant": 4, "redundant": 1, "noise": 11}),
            (Monk1(noise=0), {"relevant": 10, "noise": 7}),
            (Monk2(noise=0), {"relevant": 17}),
            (Monk3(noise=0), {"relevant": 7, "negligible": 3, "noise": 7}),
            (LED(), {"relevant": 7, "noise": 17}),
            (BooleanRedundant(), {"relevant": 5, "noise": 10}),
            (TwoMoonsNoise(), {"relevant": 2, "noise": 18}),
            (Duplicated(), {"relevant": 16, "noise": 9}),
            (Null(), {"noise": 20}),
            (LinearSparse(), {"relevant": 10, "noise": 990}),
            (TetrominoLinear(), {"relevant": 8, "noise": 56}),
            (TetrominoXor(background="correlated"), {"relevant": 8, "suppressor": 28, "noise": 28}),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_roles(self, source, counts):
        data = source.load(0)
        roles = list(data.truth.roles)
        assert {role: roles.count(role) for role in set(roles)} == counts
        assert len(roles) == data.d

    def test_groups(self):
        assert Madelon(n=60, d=30, repeated=7).draw(rng()).truth.groups == (
            (0, 15, 20),
            (1, 16, 21),
            (2, 17),
            (3, 18),
            (4, 19),
        )
        assert drawn("duplicated").truth.groups == ((0, 20), (1, 21), (2, 22), (3, 23), (4, 24))
        assert drawn("boolean_redundant").truth.groups == ((0, 4),)

    def test_null_tells_nothing(self):
        source = Null(n=N)
        table = source.draw(rng())
        assert np.abs(np.corrcoef(np.column_stack([table.X, table.y]).T) - np.eye(21)).max() < 5 / math.sqrt(N)
        assert source.ceiling(np.ones(20, dtype=bool)) == 0.5
        assert abs(table.y.mean() - 0.5) < 4 * 0.5 / math.sqrt(N)

    @friedman
    def test_total_sobol_indices_by_sampling(self, source, formula):
        """Jansen 1999: half the mean square of the change when one input is drawn anew."""
        used, size = len(source.ranges), 40_000
        low, high = np.array(source.ranges).T
        A, B = rng(1).uniform(low, high, (2, size, used))
        f = np.array([formula(row) for row in A])
        graded = source().draw(rng()).truth.relevance
        assert (graded[used:] == 0).all()
        for j in range(used):
            mixed = A.copy()
            mixed[:, j] = B[:, j]
            share = (f - np.array([formula(row) for row in mixed])) ** 2 / 2 / f.var()
            assert mean_within(share, graded[j], 5), (j, share.mean(), graded[j])

    def test_friedman1_by_hand(self):
        """The parts of friedman1 are independent: 100 / 12, 25 / 12 and 400 / 180."""
        shares = total_sobol(Friedman1.function, Friedman1.ranges, Friedman1.points)
        assert shares[3] / shares[4] == pytest.approx(4)
        assert shares[2] / shares[4] == pytest.approx((400 / 180) / (25 / 12))
        _, variance = explained_variance(Friedman1.function, Friedman1.ranges, Friedman1.points, (True,) * 5)
        assert shares[3] == pytest.approx(100 / 12 / variance)

    @pytest.mark.parametrize("source", [Friedman2, Friedman3])
    def test_more_points_change_nothing(self, source):
        coarse, fine = (total_sobol(source.function, CIRCUIT, points) for points in (source.points, 48))
        np.testing.assert_allclose(coarse, fine, atol=5e-5)


def masks_of(source, seed):
    """All inputs, none, and random halves of those that are not noise (with the noise)."""
    roles = np.array(source.draw(rng()).truth.roles)
    halves = [(rng(seed + i).random(len(roles)) < 0.6) | (roles == "noise") for i in range(3)]
    return [np.ones(len(roles), dtype=bool), *halves, np.zeros(len(roles), dtype=bool)]


class TestCeilings:
    @pytest.mark.parametrize("name", INDEPENDENT)
    def test_of_independent_inputs_by_nested_sampling(self, name):
        """The chance given the kept inputs is the mean over redrawn others."""
        source, rule = INDEPENDENT[name]
        X, others, redrawn = drawn(name).X[:2000], source.draw(rng(9)).X, 300
        chance = rule(X)
        for mask in masks_of(source, 3):
            known = np.empty(len(X))
            for start in range(0, len(X), 250):
                block = X[start : start + 250, None, :]
                other = others[rng(start).integers(0, len(others), (block.shape[0], redrawn))]
                known[start : start + 250] = rule(np.where(mask, block, other)).mean(1)
            right = np.where(known > 0.5, chance, 1 - chance)
            error = right.std() / math.sqrt(len(X))
            # A guess at the chance with the standard error s costs at most 2 max_x x P(N(0, s^2) > x) = .34 s.
            assert abs(right.mean() - source.ceiling(mask)) < 4 * error + 0.34 * 0.5 / math.sqrt(redrawn), mask

    @pytest.mark.parametrize("name", [*INDEPENDENT, "two_moons_noise", *GAUSSIAN])
    def test_of_all_inputs_within_simulation_error(self, name):
        source, (rule, *_) = RULES[name]
        chance = rule(drawn(name).X)
        best = np.maximum(chance, 1 - chance)
        mask = np.ones(drawn(name).X.shape[1], dtype=bool)
        assert mean_within(best, source.ceiling(mask)) or source.ceiling(mask) == best.mean() == 1

    @pytest.mark.parametrize(
        ("source", "value"),
        [
            (RingXor(), 1.0),
            (RingXorSum(), 0.941),
            (XorGaussian(), 0.632),
            (OrangeSkin(), 0.824),
            (NonlinearAdditive(), 0.822),
            (LED(), 0.740),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_published_values(self, source, value):
        mask = np.ones(source.load(0).d, dtype=bool)
        assert source.ceiling(mask) == pytest.approx(value, abs=5e-4)

    @pytest.mark.parametrize("name", DISCRETE)
    def test_of_bits_by_counting(self, name):
        """The likeliest class of each pattern in half of the rows, on the other half."""
        source = DISCRETE[name][0]
        table = source.model_copy(update={"n": 100_000}).draw(rng(6))
        used = len(source.roles)
        for mask in masks_of(source, 5):
            kept = table.X[:, :used][:, mask[:used]]
            code = kept.astype(int) @ (2 ** np.arange(kept.shape[1]))
            counts = np.zeros((int(code.max()) + 1, int(table.y.max()) + 1))
            np.add.at(counts, (code[::2], table.y[::2]), 1)
            accuracy = (counts.argmax(1)[code[1::2]] == table.y[1::2]).mean()
            ceiling = source.ceiling(mask)
            assert abs(accuracy - ceiling) <= 4 * math.sqrt(ceiling * abs(1 - ceiling) / 50_000) + 2e-3, mask

    @pytest.mark.parametrize("name", GAUSSIAN)
    def test_of_gaussian_classes_by_linear_discriminants(self, name):
        source = GAUSSIAN[name][0]
        table = drawn(name)
        for mask in masks_of(source, 7)[:-1]:
            fitted = LinearDiscriminantAnalysis(tol=1e-9).fit(table.X[::2, mask], table.y[::2])
            accuracy = fitted.score(table.X[1::2, mask], table.y[1::2])
            ceiling = source.ceiling(mask)
            assert abs(accuracy - ceiling) < 4 * math.sqrt(ceiling * (1 - ceiling) / (N / 2)) + 1e-3, mask

    def test_a_copy_is_as_good_as_its_original(self):
        source, every = Duplicated(truth_seed=0), np.arange(25)
        assert source.ceiling(every >= 5) == pytest.approx(source.ceiling(every < 20))
        assert source.ceiling((every >= 5) & (every < 20)) < source.ceiling(every < 20)

    @pytest.mark.parametrize("keep", [0, 1])
    def test_one_coordinate_of_the_moons(self, keep):
        source = TwoMoonsNoise(n=200_000, d=2, spread=0.25)
        table = source.draw(rng())
        bins = np.digitize(table.X[:, keep], np.linspace(-2, 3, 101))
        counts = np.array([np.bincount(bins[table.y == y], minlength=102) for y in (0, 1)])
        assert counts.max(0).sum() / source.n == pytest.approx(source.ceiling(np.arange(2) == keep), abs=4e-3)

    @friedman
    def test_friedman_explains_what_the_conditional_mean_does(self, source, formula):
        """With one draw of the kept inputs and two of the others, the covariance is the explained variance."""
        built, size = source(), 20_000
        used = len(source.ranges)
        low, high = np.array(source.ranges).T
        for keep in ([0], [0, 1], [1, 2], range(used)):
            mask = np.isin(np.arange(built.d), list(keep))
            A, B = rng(2).uniform(low, high, (2, size, used))
            B = np.where(mask[:used], A, B)
            f, g = (np.array([formula(row) for row in part]) for part in (A, B))
            products = (f - f.mean()) * (g - f.mean()) / (f.var() + built.noise**2)
            assert abs(products.mean() - built.ceiling(mask)) < 4.5 * products.std() / math.sqrt(size)

    @pytest.mark.parametrize("name", RULES)
    def test_noise_adds_nothing_and_every_relevant_input_something(self, name):
        source, truth = RULES[name][0], drawn(name).truth
        roles = np.array(truth.roles)
        everything = np.ones(len(roles), dtype=bool)
        assert source.ceiling(roles != "noise") == pytest.approx(source.ceiling(everything), abs=1e-12)
        assert source.ceiling(roles == "noise") == pytest.approx(source.ceiling(~everything), abs=1e-12)
        if name == "boolean_redundant":  # three sets are sufficient, see below
            return
        for j in np.flatnonzero((roles == "relevant") | (roles == "suppressor")):
            together = [j, *(c for part in (*truth.groups, *truth.blocks) if j in part for c in part)]
            assert source.ceiling(~np.isin(np.arange(len(roles)), together)) < source.ceiling(everything) - 1e-9, j

    def test_sufficient_sets_of_the_redundant_bits(self):
        source = BooleanRedundant(noise=2)
        for keep in ({0, 1}, {1, 4}, {2, 3}):
            assert source.ceiling(np.isin(np.arange(7), list(keep))) == 1
            for j in keep:
                assert source.ceiling(np.isin(np.arange(7), list(keep - {j}))) < 1


TETROMINOES = {
    "linear": TetrominoLinear,
    "multiplicative": TetrominoMultiplicative,
    "xor": TetrominoXor,
    "rotated": TetrominoRotated,
}


class TestTetromino:
    @pytest.mark.parametrize("background", ["white", "correlated"])
    @pytest.mark.parametrize("scenario", ["linear", "multiplicative", "xor"])
    def test_equals_the_literal_version(self, scenario, background):
        source = TETROMINOES[scenario](n=40, background=background)
        classes, backgrounds, patterns = rng(4).spawn(3)
        y = classes.integers(0, 2, 40)
        noise = backgrounds.normal(size=(40, 64)) / 8  # a mean squared norm of 1
        if background == "correlated":
            noise = 8 * blurred(noise) / math.sqrt(sum((blurred(one[None]) ** 2).sum() for one in np.eye(64)))
        signs = [(s, s if label == 0 else -s) for s, label in zip(2 * patterns.integers(0, 2, 40) - 1, y, strict=True)]
        pictures = np.array(
            [
                literal.tetromino(scenario, b.reshape(8, 8), label, sign, source.strength).ravel()
                for b, label, sign in zip(noise, y, signs, strict=True)
            ]
        )
        table = source.draw(rng(4))
        np.testing.assert_array_equal(table.y, y)
        scale = table.X.ravel() @ pictures.ravel() / (pictures**2).sum()
        np.testing.assert_allclose(table.X, scale * pictures, atol=1e-12)
        assert table.feature_shape == (8, 8)

    @pytest.mark.parametrize("background", ["white", "correlated"])
    @pytest.mark.parametrize("scenario", TETROMINOES)
    def test_backgrounds_have_norm_1_and_pixels_reach_1(self, scenario, background):
        source = TETROMINOES[scenario](n=4000, background=background)
        assert 0.75 < np.abs(source.draw(rng(1)).X).max() < 1.35
        faint = TetrominoLinear(n=4000, background=background, alpha=1e-9).unscaled(rng(2))[0]
        squares = (faint**2).sum(1)
        assert mean_within(squares, 1.0)

    def test_rotated_patterns_stand_anywhere(self):
        table = TetrominoRotated(n=2000, alpha=0.999).draw(rng())
        pattern = (table.X / table.X.max() > 0.5).reshape(-1, 8, 8)
        assert (pattern.sum((1, 2)) == 4).all()
        assert pattern.any(0).all()
        shapes = {y: set() for y in (0, 1)}
        for picture, y in zip(pattern, table.y, strict=True):
            rows, columns = np.nonzero(picture)
            shapes[int(y)].add(tuple(zip(rows - rows.min(), columns - columns.min(), strict=True)))
        assert len(shapes[0]) == len(shapes[1]) == 4
        assert not shapes[0] & shapes[1]
        assert table.truth is None

    def test_the_blur_correlates_neighbours(self):
        picture = blurred(rng().normal(size=(4000, 64)))
        correlation = np.corrcoef(picture.T)
        assert correlation[0, 1] > 0.9
        assert correlation[0, 63] < correlation[0, 36] < correlation[0, 1]

    @pytest.mark.parametrize("scenario", ["linear", "multiplicative", "xor"])
    def test_truth_is_the_union_of_both_patterns(self, scenario):
        pixels = literal.T_PIXELS | literal.L_PIXELS
        white, correlated = (
            np.array(TETROMINOES[scenario](n=30, background=b).load(0).truth.roles).reshape(8, 8)
            for b in ("white", "correlated")
        )
        for row in range(8):
            for column in range(8):
                near = any(max(abs(row - r), abs(column - c)) == 1 for r, c in pixels)
                inside = (row, column) in pixels
                assert white[row, column] == ("relevant" if inside else "noise")
                assert correlated[row, column] == ("relevant" if inside else "suppressor" if near else "noise")

    @pytest.mark.parametrize("scenario", ["linear", "multiplicative", "xor"])
    def test_ceilings_by_simulation(self, scenario):
        source = TETROMINOES[scenario](n=100_000)
        table = source.draw(rng())
        t, l_shape = fixed_patterns() > 0
        for i in range(5):
            mask = np.ones(64, dtype=bool) if i == 0 else rng(i).random(64) < 0.6
            X = table.X * mask
            if scenario == "linear":
                right = (X[:, l_shape].sum(1) - X[:, t].sum(1) > self.middle(source, mask, table)) == table.y
            elif scenario == "xor":
                right = (X[:, t].sum(1) * X[:, l_shape].sum(1) < 0) == table.y
            else:
                kept = np.flatnonzero(mask & (t | l_shape))
                bayes = GaussianNB().fit(table.X[::2][:, kept], table.y[::2])
                right = bayes.predict(table.X[1::2][:, kept]) == table.y[1::2]
            ceiling = source.ceiling(mask)
            assert abs(right.mean() - ceiling) < 4 * math.sqrt(ceiling * (1 - ceiling) / len(right)) + 5e-4

    def middle(self, source, mask, table):
        """Half way between the means of the two classes."""
        t, l_shape = fixed_patterns() > 0
        statistic = (table.X * mask)[:, l_shape].sum(1) - (table.X * mask)[:, t].sum(1)
        return (statistic[table.y == 0].mean() + statistic[table.y == 1].mean()) / 2

    def test_no_ceiling_where_none_is_known(self):
        mask = np.ones(64, dtype=bool)
        assert TetrominoRotated().ceiling(mask) is None
        assert TetrominoLinear(background="correlated").ceiling(mask) is None
        assert Madelon().ceiling(np.ones(500, dtype=bool)) is None

    @pytest.mark.parametrize("scenario", ["linear", "multiplicative", "xor"])
    def test_half_without_the_patterns(self, scenario):
        outside = fixed_patterns().sum(0) == 0
        assert TETROMINOES[scenario]().ceiling(outside) == pytest.approx(0.5)


NAMES = [
    *("ring_xor", "ring_xor_sum", "xor_gaussian", "orange_skin", "nonlinear_additive", "switch", "friedman1"),
    *("friedman2", "friedman3", "corral", "monk1", "monk2", "monk3", "led", "boolean_redundant", "madelon"),
    *("two_moons_noise", "suppressor", "scaled", "duplicated", "null", "linear_sparse", "tetromino_linear"),
    *("tetromino_multiplicative", "tetromino_xor", "tetromino_rotated"),
]


class TestEverySource:
    @pytest.mark.parametrize("name", NAMES)
    def test_loads_by_name_and_seed(self, name):
        source = registry.create("datasets", name, {"n": 120})
        one, same, other = source.load(0), source.load(0), source.load(1)
        assert one.content_hash == same.content_hash != other.content_hash
        assert source.name == name
        assert len(set(one.feature_names)) == one.d
        if one.truth is not None:
            roles = [one.canonical(np.array(one.truth.roles)), other.canonical(np.array(other.truth.roles))]
            np.testing.assert_array_equal(*roles)
            for data in (one, other):
                for groups in (data.truth.groups, data.truth.blocks):
                    assert all(len(group) > 1 for group in groups)

    @pytest.mark.parametrize(
        ("source", "fields", "line"),
        [
            (RingXor, {"d": 3}, "expected d >= 4"),
            (RingXorSum, {"d": 5}, "expected d >= 6"),
            (XorGaussian, {"n": 5}, "20"),
            (OrangeSkin, {"d": 5}, "expected d >= 6"),
            (NonlinearAdditive, {"d": 9}, "expected d >= 10"),
            (Switch, {"d": 10}, "expected d >= 11"),
            (Switch, {"variant": 3}, "variant"),
            (Friedman1, {"d": 4}, "expected d >= 5"),
            (Friedman2, {"noise": -1.0}, "noise"),
            (Friedman3, {"d": 3}, "expected d >= 4"),
            (Madelon, {"d": 10}, "expected d >= 20"),
            (Madelon, {"informative": 2, "clusters": 3}, "expected 2 clusters <= 2^informative"),
            (Corral, {"noise": -1}, "noise"),
            (Monk1, {"n": 1}, "20"),
            (LED, {"flips": 0.5}, "flips"),
            (BooleanRedundant, {"bits": 3}, "unknown field 'bits'"),
            (TwoMoonsNoise, {"spread": 0.0}, "spread"),
            (Suppressor, {"overlap": 7}, "expected overlap <= signal, got 7 and 6"),
            (Suppressor, {"d": 9}, "expected signal + suppressors <= d, got 6 + 4 and d = 9"),
            (Suppressor, {"strengths": (1.0, 0.0, 1.0)}, "expected strengths > 0"),
            (Scaled, {"relevant": 20}, "expected relevant < d"),
            (Duplicated, {"copies": 12}, "expected copies <= relevant, got 12 and 11"),
            (Null, {"d": 1}, "d"),
            (LinearSparse, {"relevant": 1001}, "expected relevant <= d"),
            (TetrominoLinear, {"background": "pink"}, "background"),
            (TetrominoXor, {"alpha": 1.0}, "alpha"),
        ],
    )
    def test_a_wrong_value_is_one_line(self, source, fields, line):
        with pytest.raises(InputError, match=source.name) as caught:
            source(**fields)
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)
