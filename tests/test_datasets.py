"""Synthetic and bundled datasets: formulas, truth, ceilings; and the shuffling and splitting of the base class."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from tests.reference import datasets as literal
from xai_bench.datasets.base import DataSource, Fold, GroundTruth, Table
from xai_bench.datasets.gaussian import GaussianCorrelated, GaussianIndependent
from xai_bench.datasets.real import BreastCancer, Diabetes, Digits
from xai_bench.datasets.ring import Ring, UniformRule, Xor
from xai_bench.errors import InputError

SOURCES = {
    "gaussian_independent": GaussianIndependent(n=4000, truth_seed=0),
    "centred": GaussianIndependent(n=4000, centred=True, truth_seed=0),
    "gaussian_correlated": GaussianCorrelated(n=4000),
    "xor": Xor(n=4000, d=6),
    "ring": Ring(n=4000, d=6),
}
BUNDLED = {"digits": Digits(), "breast_cancer": BreastCancer(), "diabetes": Diabetes()}
ALL = {**SOURCES, **BUNDLED}
synthetic = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
every = pytest.mark.parametrize("source", ALL.values(), ids=ALL)


def rng(seed=0):
    return np.random.default_rng(seed)


def literal_draw(source, generator):
    if isinstance(source, GaussianIndependent):
        return literal.gaussian_independent(
            generator, source.n, source.d, source.relevant, source.sigma, source.max_gap, source.centred
        )[:2]
    if isinstance(source, GaussianCorrelated):
        return literal.gaussian_correlated(generator, source.n, source.flip, source.noise, source.sigma)
    rule = {"xor": literal.xor, "ring": literal.ring}[source.name]
    return literal.uniform(generator, source.n, source.d, rule)


def best_guesses(source, X, kept):
    """(n,) what the best classifier says that knows the kept inputs."""
    if isinstance(source, GaussianIndependent):
        gaps = source.gaps()
        return np.array([literal.best_independent(row, kept, gaps, source.relevant, source.centred) for row in X])
    if isinstance(source, GaussianCorrelated):
        return np.array([literal.best_correlated(row, kept, len(source.flip)) for row in X])
    best = {"xor": literal.best_xor, "ring": literal.best_ring}[source.name]
    return np.array([best(row, kept) for row in X])


def needed_with(source, j):
    """A smallest set of inputs, with j, that tells something about the class."""
    if isinstance(source, GaussianIndependent):
        return [j]
    return [j // 2 * 2, j // 2 * 2 + 1] if isinstance(source, GaussianCorrelated) else [0, 1]


def rows(*parts):
    """The rows of the parts as bytes, to compare them as sets."""
    return [row.tobytes() for part in parts for row in np.ascontiguousarray(part)]


class TestFormulas:
    @synthetic
    def test_equals_the_literal_version(self, source):
        if isinstance(source, GaussianIndependent):
            source = source.model_copy(update={"truth_seed": None})
        table = source.draw(rng(3))
        X, y = literal_draw(source, rng(3))
        np.testing.assert_array_equal(table.y, y)
        np.testing.assert_allclose(table.X, X, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("name", ["gaussian_independent", "centred", "gaussian_correlated", "xor"])
    def test_classes_are_balanced(self, name):
        y = SOURCES[name].draw(rng(1)).y
        assert abs(y.mean() - 0.5) < 4 * 0.5 / math.sqrt(len(y))

    def test_ring_covers_its_area(self):
        y = SOURCES["ring"].draw(rng(1)).y
        area = math.pi * ((0.35 + 0.1151) ** 2 - (0.35 - 0.1151) ** 2)
        assert abs(y.mean() - area) < 4 * 0.5 / math.sqrt(len(y))

    @pytest.mark.parametrize("centred", [False, True])
    def test_class_means_of_independent_gaussians(self, centred):
        source = GaussianIndependent(n=20_000, centred=centred, truth_seed=0)
        table = source.draw(rng())
        low, high = (table.X[table.y == label].mean(0) for label in (0, 1))
        gaps = source.gaps()
        error = 4 * source.sigma / math.sqrt(source.n / 2)
        assert np.abs(low - (-gaps / 2 if centred else np.repeat([-0.5, 0], [11, 9]))).max() < error
        assert np.abs(high - (gaps / 2 if centred else np.repeat([-0.5, 0], [11, 9]) + gaps)).max() < error

    def test_single_inputs_of_correlated_gaussians_tell_nothing(self):
        source = GaussianCorrelated(n=20_000)
        table = source.draw(rng())
        low, high = table.X[table.y == 0], table.X[table.y == 1]
        error = 4 * source.sigma / math.sqrt(source.n / 2)
        assert np.abs(low.mean(0)).max() < error
        assert np.abs(high.mean(0)).max() < error
        assert np.abs(high.std(0) - source.sigma).max() < error
        first, second = high[:, 0:8:2], high[:, 1:8:2]
        assert np.abs((first == -second).mean(0) - source.flip).max() < error


class TestTruth:
    def test_gaps_are_the_graded_truth(self):
        table = SOURCES["gaussian_independent"].draw(rng())
        assert table.truth.n_relevant == 11
        assert table.truth.relevant[:11].all()
        assert (table.truth.relevance[11:] == 0).all()
        assert (table.truth.relevance[:11] > 0).all()
        assert (table.truth.relevance <= 1.4).all()
        assert table.truth.resolution == 0.2

    def test_flips_are_the_graded_truth(self):
        truth = SOURCES["gaussian_correlated"].draw(rng()).truth
        np.testing.assert_array_equal(truth.relevance, [0.7, 0.7, 0.8, 0.8, 0.4, 0.4, 0.6, 0.6, 0, 0])
        assert truth.roles == ("relevant",) * 8 + ("noise",) * 2

    @pytest.mark.parametrize("name", ["xor", "ring"])
    def test_first_two_of_the_ring_family_are_relevant(self, name):
        truth = SOURCES[name].draw(rng()).truth
        assert truth.roles == ("relevant",) * 2 + ("noise",) * 4
        assert truth.relevance is None

    @synthetic
    def test_resampling_an_input_matters_if_and_only_if_it_is_relevant(self, source):
        table = source.draw(rng(2))
        truth, d = table.truth, table.X.shape[1]
        for j, role in enumerate(truth.roles):
            X = table.X.copy()
            X[:, j] = rng(j).permutation(X[:, j])
            kept = np.isin(np.arange(d), needed_with(source, j)) if role == "relevant" else np.ones(d, dtype=bool)
            right = best_guesses(source, table.X, kept) == table.y
            loss = float(right.mean() - (best_guesses(source, X, kept) == table.y).mean())
            if role == "noise":
                assert loss == 0
            elif truth.resolution is None or truth.relevance[j] >= truth.resolution:
                assert loss > 4 * math.sqrt(0.5 / source.n), f"input {j}"

    @synthetic
    def test_noise_inputs_are_independent_of_class_and_inputs(self, source):
        table = source.draw(rng(4))
        noise = np.flatnonzero(~table.truth.relevant)
        correlation = np.corrcoef(np.column_stack([table.X, table.y]).T)
        np.fill_diagonal(correlation, 0)
        assert np.abs(correlation[noise]).max() < 4.5 / math.sqrt(source.n)  # up to 9 * 20 values are compared

    def test_gaps_of_a_truth_seed_come_from_it_alone(self):
        one = GaussianIndependent(n=50, sigma=1.0, centred=True, truth_seed=0)
        np.testing.assert_array_equal(one.gaps(), GaussianIndependent(truth_seed=0).gaps())
        assert (one.gaps()[:11] != GaussianIndependent(truth_seed=1).gaps()[:11]).all()
        a, b = one.load(0), one.load(1)
        np.testing.assert_array_equal(a.canonical(a.truth.relevance), b.canonical(b.truth.relevance))

    def test_without_a_truth_seed_gaps_vary_with_the_data_seed_and_roles_do_not(self):
        source = GaussianIndependent(n=50)
        a, b = (source.load(seed).canonical_truth for seed in (0, 1))
        assert a.roles == b.roles
        assert (a.relevance[:11] != b.relevance[:11]).all()
        np.testing.assert_array_equal(source.load(0, Fold(1, 3)).canonical_truth.relevance, a.relevance)
        literally = literal.gaussian_independent(rng(4), 50, 20, 11, 0.5, 1.4, False)[2]
        np.testing.assert_allclose(source.draw(rng(4)).truth.relevance, literally)

    def test_the_ceiling_is_that_of_the_gaps_of_the_draw(self):
        source, mask = GaussianIndependent(n=50), np.arange(20) < 3
        truth = source.load(5).canonical_truth
        expected = norm.cdf(np.linalg.norm(truth.relevance[:3]) / 2 / 0.5)
        assert source.ceiling(mask, truth) == pytest.approx(expected)
        with pytest.raises(ValueError, match="the gaps vary with the data seed"):
            source.ceiling(mask)


class TestCeilings:
    @synthetic
    @pytest.mark.parametrize(
        "keep", [(), (0,), (1,), (0, 1), (0, 2, 3), (1, 4), "all"], ids=lambda keep: f"keep {keep}".replace(",)", ")")
    )
    def test_the_best_classifier_reaches_it(self, source, keep):
        table = source.draw(rng(5))
        mask = np.zeros(table.X.shape[1], dtype=bool)
        mask[slice(None) if keep == "all" else list(keep)] = True
        accuracy = float((best_guesses(source, table.X, mask) == table.y).mean())
        ceiling = source.ceiling(mask)
        assert type(ceiling) is float
        error = math.sqrt(max(ceiling * (1 - ceiling), 0) / source.n)
        assert abs(accuracy - ceiling) <= 4 * error

    def test_published_values_of_the_correlated_pairs(self):
        source = GaussianCorrelated()
        best_first = [1, 0, 3, 2]  # p = .8, .7, .6, .4
        for count, expected in enumerate([0.5, 0.900, 0.970, 0.988, 0.9928]):
            mask = np.zeros(10, dtype=bool)
            for pair in best_first[:count]:
                mask[2 * pair : 2 * pair + 2] = True
            assert source.ceiling(mask) == pytest.approx(expected, abs=1e-12)

    def test_correlated_pairs_by_enumeration(self):
        source = GaussianCorrelated(flip=(0.3, 1.0, 0.55), noise=1)
        for bits in range(2**7):
            mask = np.array([bits >> j & 1 for j in range(7)], dtype=bool)
            whole = [mask[0] and mask[1], mask[2] and mask[3], mask[4] and mask[5]]
            assert source.ceiling(mask) == pytest.approx(literal.ceiling_correlated(source.flip, whole))

    @pytest.mark.parametrize("centred", [False, True])
    def test_independent_gaussians_by_the_normal_distribution(self, centred):
        source = GaussianIndependent(sigma=0.8, centred=centred, truth_seed=0)
        for keep in ([3], [0, 5, 15], range(20)):
            mask = np.isin(np.arange(20), keep)
            distance = np.linalg.norm(source.gaps()[mask])
            assert source.ceiling(mask) == pytest.approx(norm.cdf(distance / 2, scale=0.8), abs=1e-12)

    def test_noise_inputs_add_nothing(self):
        for source in SOURCES.values():
            relevant = source.draw(rng()).truth.relevant
            assert source.ceiling(relevant) == source.ceiling(np.ones_like(relevant))
            assert source.ceiling(~relevant) == source.ceiling(np.zeros_like(relevant))

    def test_ring_by_integration(self):
        inner, outer = 0.35 - 0.1151, 0.35 + 0.1151

        def best(t):
            share = literal.chord(t, outer) - literal.chord(t, inner)
            return max(share, 1 - share)

        one, _ = quad(best, 0, 1, points=[0.5 - outer, 0.5 - inner, 0.5 + inner, 0.5 + outer], limit=500)
        source = Ring(d=3)
        for keep in (0, 1):
            assert source.ceiling(np.arange(3) == keep) == pytest.approx(one, abs=1e-4)
        area = math.pi * (outer**2 - inner**2)
        assert source.ceiling(np.zeros(3, dtype=bool)) == pytest.approx(area, abs=1e-4)
        assert source.ceiling(np.ones(3, dtype=bool)) == 1

    def test_xor_needs_both(self):
        source = Xor(d=4)
        assert source.ceiling(np.array([True, True, False, False])) == 1
        assert source.ceiling(np.array([True, False, True, True])) == 0.5
        assert source.ceiling(np.array([False, True, False, False])) == 0.5
        assert source.ceiling(np.zeros(4, dtype=bool)) == 0.5

    def test_the_family_asks_for_nothing_but_a_rule(self):
        class Corner(UniformRule):
            name = "corner"
            relevant = 3

            def rule(self, x):
                return (x[0] > 0.5) & (x[1] > 0.5) & (x[2] > 0.5)

        source = Corner(d=5, n=200)
        assert source.load(0).truth.n_relevant == 3
        assert source.ceiling(np.arange(5) < 2) == pytest.approx(7 / 8)
        assert source.ceiling(np.arange(5) < 3) == 1
        with pytest.raises(InputError, match="expected d >= 3"):
            Corner(d=2)

    def test_real_data_have_none(self):
        assert Digits().ceiling(np.ones(64, dtype=bool)) is None


class TestLoading:
    @every
    def test_the_seed_decides_every_bit(self, source):
        one, same, other = source.load(7), source.load(7), source.load(8)
        assert one.content_hash == same.content_hash
        for part in ("X_train", "X_valid", "X_test", "y_train", "y_valid", "y_test", "permutation"):
            assert getattr(one, part).tobytes() == getattr(same, part).tobytes()
        assert one.feature_names == same.feature_names
        assert one.X_train.tobytes() != other.X_train.tobytes()

    @every
    def test_parts_are_64_16_20_percent_and_disjoint(self, source):
        data = source.load(0)
        table = source.draw(np.random.default_rng(source.stream("data", 0)))
        total = len(table.y)
        sizes = [len(data.y_train), len(data.y_valid), len(data.y_test)]
        assert np.abs(np.array(sizes) - total * np.array([0.64, 0.16, 0.20])).max() <= 1.5
        loaded = np.concatenate([data.X_train, data.X_valid, data.X_test])
        canonical = data.canonical(loaded)
        assert sorted(rows(canonical)) == sorted(rows(table.X.astype(np.float32)))
        if source.name != "digits":  # has no doubles either, but need not
            assert len(set(rows(loaded))) == total

    @synthetic
    def test_labels_stay_with_their_rows(self, source):
        data = source.load(3)
        table = source.draw(np.random.default_rng(source.stream("data", 3)))
        label = dict(zip(rows(table.X.astype(np.float32)), table.y, strict=True))
        for X, y in ((data.X_train, data.y_train), (data.X_valid, data.y_valid), (data.X_test, data.y_test)):
            assert [label[row] for row in rows(data.canonical(X))] == list(y)

    def test_folds_cover_every_row_once(self):
        source = Ring(n=103, d=4)
        folds = [source.load(0, Fold(index, 6)) for index in range(6)]
        tested = [row for fold in folds for row in rows(fold.X_test)]
        assert len(tested) == len(set(tested)) == 103
        for fold in folds:
            assert sorted(rows(fold.X_train, fold.X_valid, fold.X_test)) == sorted(tested)
            assert len(fold.X_test) in (17, 18)

    @pytest.mark.parametrize("source", [Digits(), BreastCancer()], ids=["digits", "breast_cancer"])
    def test_classes_keep_their_shares(self, source):
        data = source.load(0)
        whole = np.bincount(np.concatenate([data.y_train, data.y_valid, data.y_test]))
        for y in (data.y_train, data.y_valid, data.y_test):
            assert np.abs(np.bincount(y, minlength=len(whole)) - whole * len(y) / whole.sum()).max() <= 2

    def test_canonical_undoes_the_shuffle(self):
        source = GaussianIndependent(n=200, truth_seed=0)
        data = source.load(0)
        names = np.array(data.feature_names)
        assert list(data.canonical(names)) == [f"x{j + 1}" for j in range(20)]
        assert list(data.shuffled(data.canonical(names))) == list(names)
        assert list(names) != sorted(names, key=lambda name: int(name[1:]))
        np.testing.assert_array_equal(data.canonical(data.truth.relevance), source.gaps())
        assert [data.truth.roles[j] == "relevant" for j in range(20)] == [int(n[1:]) <= 11 for n in names]

    def test_standardised(self):
        data = Diabetes().load(0).standardised()
        np.testing.assert_allclose(data.X_train.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(data.X_train.std(0), 1, atol=1e-5)
        assert data.y_train.std() == pytest.approx(1, abs=1e-5)
        assert 100 < data.target_mean < 200
        raw = Diabetes().load(0)
        back = data.y_test * data.target_std + data.target_mean
        np.testing.assert_allclose(back, raw.y_test, rtol=1e-5)

    def test_standardised_uses_the_training_rows_only(self):
        raw = BreastCancer().load(0)
        data = raw.standardised()
        mean, std = raw.X_train.astype(float).mean(0), raw.X_train.astype(float).std(0)
        for part in ("X_train", "X_valid", "X_test"):
            np.testing.assert_allclose(getattr(data, part), (getattr(raw, part) - mean) / std, atol=1e-5)
        assert (data.y_test.tobytes(), data.target_mean, data.target_std) == (raw.y_test.tobytes(), 0, 1)

    def test_a_constant_column_becomes_zero(self):
        data = Given(table(X=np.c_[X, np.full(40, 0.1)])).load(0).standardised()
        assert (data.canonical(data.X_train)[:, 2] == 0).all()
        assert (data.canonical(data.X_test)[:, 2] == 0).all()

    def test_groups_and_blocks_move_with_their_columns(self):
        truth = GroundTruth(("relevant",) * 5, groups=((0, 3),), blocks=((1, 2), (3, 4)))
        data = Given(table(X=np.tile(X, 3)[:, :5], truth=truth)).load(2)
        assert list(data.permutation) != list(range(5))
        for moved, parts in ((data.truth.groups, truth.groups), (data.truth.blocks, truth.blocks)):
            assert [[data.permutation[c] for c in part] for part in moved] == [list(part) for part in parts]

    def test_pictures_are_neither_shuffled_nor_standardised(self):
        data = Digits().load(0)
        assert list(data.permutation) == list(range(64))
        assert data.standardised().X_train.tobytes() == data.X_train.tobytes()


X = np.random.default_rng(0).normal(size=(40, 2))


class Given(DataSource):
    """A source of one table."""

    name = "given"

    def __init__(self, given):
        super().__init__()
        object.__setattr__(self, "_given", given)

    def draw(self, rng):
        return self._given


def table(**fields):
    return Table(**{"X": X, "y": np.arange(len(X)) % 2, "kind": "classification", **fields})


class TestBadTables:
    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({"X": X[:, 0]}, "expected X (n, d) and y (n,), got (40,) and (40,)"),
            ({"X": X[1:]}, "expected X (n, d) and y (n,), got (39, 2) and (40,)"),
            ({"X": X[:19], "y": np.arange(19) % 2}, "expected at least 20 rows to split into three parts, got 19"),
            ({"X": X[:, :1]}, "expected at least 2 inputs to rank, got 1"),
            (
                {"X": np.r_[X[1:], [[0.0, np.nan]]]},
                "missing, infinite or larger ones in column 'x2'",
            ),
            ({"X": X * [1e300, 1], "feature_names": ("a", "b")}, "larger ones in column 'a'"),
            ({"X": X * [1, 1e-9] + 1}, "column 'x2' with values up to 1 that differ by"),
            ({"y": np.full(40, np.inf), "kind": "regression"}, "larger ones in the target"),
            ({"y": np.zeros(40, dtype=int)}, "got one class only"),
            ({"y": np.ones(40), "kind": "regression"}, "got one value only"),
            ({"truth": GroundTruth(("noise",))}, "expected 2 roles in the truth, got 1"),
        ],
    )
    def test_are_one_line(self, fields, line):
        with pytest.raises(InputError) as caught:
            Given(table(**fields)).load(0)
        assert line in str(caught.value)
        assert str(caught.value).startswith("given: expected ")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({"roles": ("relevant", "nosie")}, "unknown role 'nosie': expected one of relevant"),
            ({"relevance": [1.0]}, "expected 2 finite values >= 0, one for each role, got shape (1,)"),
            ({"relevance": [1.0, -0.5]}, "got shape (2,), lowest -0.5"),
            ({"relevance": [1.0, math.nan]}, "lowest nan"),
            ({"groups": ((0, 2),)}, "expected columns in 0..1, got (0, 2)"),
            ({"blocks": ((-1, 0),)}, "expected columns in 0..1, got (-1, 0)"),
        ],
    )
    def test_so_are_bad_truths(self, fields, line):
        with pytest.raises(InputError) as caught:
            GroundTruth(**{"roles": ("relevant", "noise"), **fields})
        assert line in str(caught.value)


class TestBundled:
    def test_digits(self):
        data = Digits().load(0)
        assert (data.feature_shape, data.n_outputs, data.truth) == ((8, 8), 10, None)
        assert data.X_train.min() == 0
        assert data.X_train.max() == 1
        assert data.feature_names[9] == "pixel_1_1"
        assert data.class_names == tuple("0123456789")

    def test_breast_cancer(self):
        data = BreastCancer().load(0)
        assert (data.d, data.n_outputs, data.truth) == (30, 2, None)
        assert data.class_names == ("malignant", "benign")
        assert "mean radius" in data.feature_names

    def test_diabetes_has_units(self):
        data = Diabetes().load(0)
        assert (data.kind, data.n_outputs, data.truth) == ("regression", 1, None)
        unit = dict(zip(data.feature_names, data.feature_units, strict=True))
        assert {name for name in unit if unit[name]} == {"age", "bmi"}
        age = data.X_train[:, data.feature_names.index("age")]
        assert age.min() >= 18
        assert age.max() < 90


class TestFields:
    @pytest.mark.parametrize(
        ("source", "fields", "line"),
        [
            (GaussianIndependent, {"relevant": 21}, "expected relevant <= d, got relevant = 21 and d = 20"),
            (GaussianIndependent, {"sigma": 0.0}, "sigma"),
            (GaussianIndependent, {"relevent": 3}, "did you mean relevant"),
            (GaussianIndependent, {"n": 5}, "20"),
            (GaussianCorrelated, {"flip": [0.5, 1.5]}, "got [0.5, 1.5]"),
            (GaussianCorrelated, {"flip": []}, "flip"),
            (Ring, {"d": 1}, "a whole number >= 2, got 1"),
            (Xor, {"n": "many"}, "n: "),
        ],
    )
    def test_a_wrong_value_is_one_line(self, source, fields, line):
        with pytest.raises(InputError, match=source.name) as caught:
            source(**fields)
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)
