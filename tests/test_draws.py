"""Draws: what a data seed decides, what stays the same over n, folds and datasets; what a source may return."""

from __future__ import annotations

import functools
import random
from typing import ClassVar, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2_contingency

from xai_bench import registry
from xai_bench.component import canonical_json
from xai_bench.datasets.base import DataSource, Fold, GroundTruth, Table, Trait
from xai_bench.datasets.classics import Madelon, Scaled
from xai_bench.datasets.gaussian import GaussianIndependent
from xai_bench.datasets.real import BreastCancer
from xai_bench.datasets.ring import Ring, RingXor, RingXorSum, Xor
from xai_bench.datasets.table import checked
from xai_bench.datasets.tetromino import TetrominoLinear
from xai_bench.errors import InputError
from xai_bench.suites import reading

SYNTHETIC = [name for name in registry.names("datasets") if "n" in registry.get("datasets", name).model_fields]
VARIANTS = {  # those whose fields take another way through draw
    "tetromino_correlated": ("tetromino_linear", {"background": "correlated"}),
    "switch_6": ("switch", {"variant": 6}),
    "truth_seed": ("gaussian_independent", {"truth_seed": 3}),
}
EVERY = {**{name: (name, {}) for name in SYNTHETIC}, **VARIANTS}
every = pytest.mark.parametrize("case", EVERY)


def source_of(case, **fields):
    name, own = EVERY[case]
    return registry.create("datasets", name, {**own, **fields})


@functools.cache
def drawn(case, n, data_seed=0):
    source = source_of(case, n=n)
    return source.draw(np.random.default_rng(source.stream("data", data_seed)))


def sets_of_rows(data):
    return [{row.tobytes() for row in data.canonical(X)} for X in (data.X_train, data.X_valid, data.X_test)]


class TestRowsOverN:
    @every
    def test_the_first_rows_are_the_same(self, case):
        small, large = drawn(case, 60), drawn(case, 150)
        np.testing.assert_array_equal(small.X, large.X[:60])
        np.testing.assert_array_equal(small.y, large.y[:60])
        if small.truth is not None:
            assert small.truth.roles == large.truth.roles
            np.testing.assert_array_equal(small.truth.relevance, large.truth.relevance)

    def test_columns_keep_their_places_and_most_rows_their_part(self):
        small, large = (Xor(n=n).load(4) for n in (1000, 3000))
        np.testing.assert_array_equal(small.permutation, large.permutation)
        for few, many in zip(sets_of_rows(small), sets_of_rows(large), strict=True):
            assert len(few & many) > 0.9 * len(few)

    def test_rows_of_pictures_are_the_first_of_more(self, tmp_path, monkeypatch):
        from tests.test_mnist import write_all
        from xai_bench.datasets.mnist import MNIST

        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("XAI_BENCH_DATA", raising=False)
        write_all(tmp_path / "data")
        few, many = (MNIST(rows=rows) for rows in (25, 40))
        assert few.stream("data", 0) == many.stream("data", 0)
        a, b = (source.draw(np.random.default_rng(1)).X for source in (few, many))
        np.testing.assert_array_equal(a, b[:25])


class TestIndependence:
    @pytest.mark.parametrize("d", [6, 20])
    def test_datasets_of_other_names_have_other_rows(self, d):
        tables = [source(n=400, d=d).load(0) for source in (Xor, Ring, RingXor, RingXorSum)]
        rows = [np.concatenate([t.canonical(t.X_train), t.canonical(t.X_test)]) for t in tables]
        for i, one in enumerate(rows):
            for other in rows[:i]:
                correlation = np.corrcoef(one.T, other[: len(one)].T)[:d, d:]
                assert np.abs(correlation).max() < 5 / np.sqrt(len(one))
                assert not {row.tobytes() for row in one} & {row.tobytes() for row in other}

    def test_no_two_synthetic_datasets_share_a_stream(self):
        sources = [source_of(case) for case in EVERY if case != "truth_seed"]
        for what in ("data", "columns", "split", "globals"):
            assert len({source.stream(what, 0) for source in sources}) == len(sources)
        assert len({sources[0].stream(what, seed) for what in ("data", "split") for seed in range(5)}) == 10

    def test_fields_that_define_the_distribution_enter(self):
        assert Xor(d=20).stream("data", 0) != Xor(d=21).stream("data", 0)
        assert GaussianIndependent(sigma=0.4).stream("data", 0) != GaussianIndependent().stream("data", 0)

    def test_paired_variants_have_the_same_rows(self):
        plain, centred = (GaussianIndependent(n=50, centred=flag).load(2) for flag in (False, True))
        np.testing.assert_array_equal(plain.permutation, centred.permutation)
        np.testing.assert_array_equal(plain.y_test, centred.y_test)
        apart = plain.canonical(plain.X_test) - centred.canonical(centred.X_test)
        assert np.ptp(apart, axis=0).max() < 1e-6
        scaled, other = Scaled(n=50, truth_seed=0).load(0), Scaled(n=50, truth_seed=1).load(0)
        noise = np.arange(20) > 11  # the same noise, in whatever units
        np.testing.assert_array_equal(
            scaled.canonical(scaled.X_test)[:, noise], other.canonical(other.X_test)[:, noise]
        )

    def test_a_later_field_at_its_default_changes_no_stream(self):
        class Later(Xor):
            name: ClassVar[str] = "xor"
            later: ClassVar[tuple[str, ...]] = ("tilt",)
            tilt: float = 0.0

        assert Later().stream("data", 0) == Xor().stream("data", 0) != Later(tilt=1.0).stream("data", 0)

    def test_splits_of_one_table_are_paired_whatever_is_dropped(self, tmp_path):
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"))
        frame.assign(y=np.arange(60) % 2, number=np.arange(60)).to_csv(tmp_path / "t.csv", index=False)
        tested = []
        for drop in ([], ["c"]):
            fields = {"target": "y", "kind": "classification", "drop": drop}
            data = registry.create("datasets", f"csv:{tmp_path / 't.csv'}", fields).load(0)
            tested.append(sorted(data.X_test[:, data.feature_names.index("number")]))
        assert tested[0] == tested[1]

    @every
    def test_roles_do_not_vary_with_the_data_seed(self, case):
        one, other = (drawn(case, 60, seed).truth for seed in (0, 1))
        if one is None:
            assert other is None
            return
        assert (one.roles, one.groups, one.blocks) == (other.roles, other.groups, other.blocks)
        if case in ("gaussian_independent", "scaled", "duplicated", "teacher"):
            assert not np.array_equal(one.relevance, other.relevance)
        else:
            np.testing.assert_array_equal(one.relevance, other.relevance)

    def test_shapes_of_madelon_vary_unless_there_is_a_truth_seed(self):
        def combination(table):
            return np.linalg.lstsq(table.X[:, :5], table.X[:, 5:15], rcond=None)[0]

        fields = {"n": 60, "d": 30}
        varied, fixed = (
            [combination(s.draw(np.random.default_rng(s.stream("data", seed)))) for seed in (0, 1)]
            for s in (Madelon(**fields), Madelon(**fields, truth_seed=0))
        )
        assert np.abs(varied[0] - varied[1]).max() > 0.1
        np.testing.assert_allclose(*fixed, atol=1e-8)

    @pytest.mark.parametrize("suite", ["paper", "paper_full"])
    def test_the_suites_of_the_paper_have_one_draw_of_gaps(self, suite):
        datasets = [entry.component for entry in reading.load(suite).datasets]
        (gaussian,) = [source for source in datasets if source.name == "gaussian_independent"]
        assert gaussian.truth_seed == 0

    def test_how_datasets_are_loaded_is_part_of_their_identity(self):
        assert Xor().identity()["loading"] == 2


class Given(DataSource):
    """A source of whatever it was given: a table, or a function of the generator."""

    name: ClassVar[str] = "given"

    def __init__(self, given):
        super().__init__()
        object.__setattr__(self, "_given", given)

    def draw(self, rng):
        return self._given(rng) if callable(self._given) else self._given


def table(n=40, d=3, **fields):
    X = np.random.default_rng(0).normal(size=(n, d))
    return Table(**{"X": X, "y": np.arange(n) % 2, "kind": "classification", **fields})


class TestGlobalGenerators:
    @pytest.mark.parametrize(
        "values",
        [
            lambda: np.random.normal(size=(40, 3)),  # noqa: NPY002
            lambda: np.array([[random.gauss(0, 1) for _ in range(3)] for _ in range(40)]),
            lambda: torch.randn(40, 3).numpy(),
        ],
        ids=["numpy", "random", "torch"],
    )
    def test_are_seeded_and_restored(self, values):
        source = Given(lambda rng: table(X=values()))
        values()
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        one = source.load(0)
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        assert before == after
        values()
        assert source.load(0, Fold(0, 4)).content_hash == one.content_hash != source.load(1).content_hash

    def test_are_restored_after_a_failure(self):
        def broken(rng):
            np.random.seed(7)  # noqa: NPY002
            raise OSError("the disk")

        before = np.random.get_state()[1].tolist()  # noqa: NPY002
        with pytest.raises(OSError, match="the disk"):
            Given(broken).load(0)
        assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


class TestReturnedTables:
    def test_arrays_are_copies_that_can_be_written(self):
        X = np.asfortranarray(np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32))
        y = np.arange(40.0) % 2
        X.setflags(write=False)
        y.setflags(write=False)
        data = Given(table(X=X, y=y, feature_shape=(8, 8))).load(0)
        for part in ("train", "valid", "test"):
            inputs, target = getattr(data, f"X_{part}"), getattr(data, f"y_{part}")
            assert inputs.flags.c_contiguous
            assert inputs.flags.writeable
            assert target.flags.writeable
            assert (inputs.dtype, target.dtype) == (np.float32, np.int64)
            inputs[:] = -1
        assert (X != -1).all()

    @pytest.mark.parametrize(
        "y", [np.arange(40) % 2 == 1, np.arange(40) % 2 * 1.0, (np.arange(40) % 2).astype(object), list(range(2)) * 20]
    )
    def test_classes_of_other_types(self, y):
        data = Given(table(y=y)).load(0)
        assert data.y_train.dtype == np.int64
        assert set(data.y_train) == {0, 1}

    def test_a_frame_of_numbers(self):
        frame = pd.DataFrame({"a": np.arange(40), "b": np.arange(40) % 3 == 0, "c": np.linspace(0, 1, 40)})
        data = Given(table(X=frame, feature_names=tuple(frame.columns), y=pd.Series(np.arange(40) % 2))).load(0)
        assert sorted(data.feature_names) == ["a", "b", "c"]

    def test_outputs_of_classes_that_no_row_has(self):
        names = ("a", "b", "c", "d")
        assert Given(table(class_names=names)).load(0).n_outputs == 4
        assert Given(table(y=np.arange(40) % 2 * 3)).load(0).n_outputs == 4

    @pytest.mark.parametrize(
        ("returned", "line"),
        [
            (None, "expected a Table, got NoneType"),
            (table(y=np.arange(40) % 2 - 1), "expected classes 0 .. 39, as there are 40 rows, got -1"),
            (table(y=np.arange(40) % 2 - 1.0), "got -1"),
            (table(y=np.arange(40) % 2 / 2), "expected classes 0, 1, 2 .., got 0.5: number them"),
            (table(y=np.arange(40) % 2 * 1000), "expected classes 0 .. 39, as there are 40 rows, got 1000"),
            (table(y=np.arange(40) % 3, class_names=("a", "b")), "0 .. 1, as 2 classes have a name, got 2"),
            (table(y=np.array(["a", "b"] * 20)), "expected numbers, got <U1 in the target"),
            (table(y=np.array(["a", None] * 20, dtype=object)), "expected numbers, got other values in the target"),
            (table(y=np.arange(40)[:, None] % 2), "expected X (n, d) and y (n,), got (40, 3) and (40, 1)"),
            (table(X=np.full((40, 3), "x")), "expected numbers, got <U1 in the inputs"),
            (table(X=[[1, 2], [3]]), "expected numbers, got other values in the inputs"),
            (table(X=np.ones((40, 3)) * 1j), "expected numbers, got complex128 in the inputs"),
            (table(feature_names=("a", "b")), "expected 3 feature_names, one a column, got 2"),
            (table(feature_units=("m",)), "expected 3 feature_units, one a column, got 1"),
            (table(feature_shape=(2, 2)), "expected a feature_shape of 3 pixels, got (2, 2)"),
            (table(inputs=((0, 1),)), "expected each of the columns 0 .. 2 in one input, got [[0, 1]]: correct draw()"),
            (table(inputs=((0, 1), (1, 2))), "in one input, got"),
            (table(inputs=((0, 1), (2, 3))), "in one input, got"),
            (table(inputs=((0, 1, 2), ())), "in one input, got"),
            (table(inputs=((0, 1), (2,)), input_names=("a",)), "expected 2 input_names, got 1"),
            (
                table(inputs=((0, 1), (2,)), truth=GroundTruth(("noise",) * 3, blocks=((1, 2),))),
                "expected the blocks of the truth to be the inputs of several columns",
            ),
            (table(truth=GroundTruth(("noise",) * 3, blocks=((0, 1), (1, 2)))), "in one input, got"),
        ],
    )
    def test_what_cannot_be_used_is_one_line(self, returned, line):
        with pytest.raises(InputError) as caught:
            Given(returned).load(0)
        assert line in str(caught.value)
        assert str(caught.value).startswith("given: expected ")
        assert "\n" not in str(caught.value)


def shares(y, of):
    return np.bincount(y, minlength=of) / len(y)


class TestSplits:
    def test_rare_classes_are_in_every_part_and_fold(self):
        y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [170, 20, 10]))
        source = Given(table(n=200, X=np.random.default_rng(1).normal(size=(200, 3)), y=y))
        data = source.load(3)
        counts = np.array([np.bincount(part, minlength=3) for part in (data.y_train, data.y_valid, data.y_test)])
        np.testing.assert_allclose(counts, np.outer([0.64, 0.16, 0.2], [170, 20, 10]), atol=1.01)
        folds = [source.load(3, Fold(i, 6)) for i in range(6)]
        tested = np.array([np.bincount(fold.y_test, minlength=3) for fold in folds])
        np.testing.assert_array_equal(np.ptp(tested, axis=0) <= 1, True)
        assert np.ptp(tested.sum(1)) <= 1
        assert (tested.sum(0) == [170, 20, 10]).all()
        for fold in folds:
            assert abs(shares(fold.y_valid, 3) - [0.85, 0.1, 0.05]).max() < 0.05

    def test_a_class_of_fewer_rows_than_folds(self):
        y = np.r_[np.ones(4, dtype=int), np.zeros(76, dtype=int)]
        folds = [Given(table(n=80, y=y)).load(0, Fold(i, 5)) for i in range(5)]
        assert sorted(int(fold.y_test.sum()) for fold in folds) == [0, 1, 1, 1, 1]
        assert all(len(fold.y_test) == 16 and fold.n_outputs == 2 for fold in folds)

    def test_training_rows_are_in_random_order(self):
        fold = Xor(n=600).load(0, Fold(1, 6))
        for y in (fold.y_train, Xor(n=600).load(0).y_train):
            first = y[: len(y) // 4].mean()
            assert abs(first - y.mean()) < 4 * 0.5 / np.sqrt(len(y) / 4)

    def test_seeds_split_in_other_ways(self):
        one, other = (BreastCancer().load(seed) for seed in (0, 1))
        assert sets_of_rows(one)[2] != sets_of_rows(other)[2]

    def test_folds_of_a_regression_are_random(self):
        data = Given(table(n=100, y=np.arange(100.0), kind="regression"))
        means = [data.load(0, Fold(i, 5)).y_test.mean() for i in range(5)]
        assert 2 < np.ptp(means) < 45
        assert np.mean(means) == pytest.approx(49.5)


FAINT = ("stellar_synthetic", "tetromino_correlated", "truth_seed")
"""Whose single inputs tell too little to be seen in few rows; the last is another draw of the first dataset."""


def tells(column, y):
    """Whether one input, in eight bins, depends on the target."""
    values, codes = np.unique(column, return_inverse=True)
    bins = codes if len(values) <= 8 else np.digitize(column, np.quantile(column, np.arange(1, 8) / 8))
    counts = pd.crosstab(bins, y)
    return counts.shape[0] > 1 and chi2_contingency(counts).pvalue < 1e-5


class TestFamilies:
    @pytest.mark.parametrize("name", registry.names("datasets"))
    def test_every_source_declares_known_traits(self, name):
        source = registry.get("datasets", name)
        assert set(source.traits) <= set(get_args(Trait))
        assert source.traits or name in ("null", "simulated")  # those of the table and the rule

    @pytest.mark.parametrize("case", [case for case in EVERY if case not in FAINT])
    def test_marginal_is_declared_where_every_clear_input_tells_something_alone(self, case):
        rows = drawn(case, 8000 if case in ("linear_sparse", "madelon") or "tetromino" in case else 40_000)
        if rows.truth is None or not rows.truth.relevant.any():
            return
        y = rows.y if rows.kind == "classification" else np.digitize(rows.y, np.quantile(rows.y, [0.25, 0.5, 0.75]))
        clear, truth = rows.truth.relevant, rows.truth
        if truth.resolution is not None:
            clear = clear & (truth.relevance >= truth.resolution)
        alone = []
        for columns in checked(case, rows).inputs:
            if clear[list(columns)].all():
                alone.append(tells(rows.X[:, list(columns)] @ np.arange(1, len(columns) + 1), y))
        declared = source_of(case).declared()
        if case != "madelon":  # the corners of its clusters vary
            assert all(alone) == ("marginal" in declared)
        assert all(alone) or "interacting" in declared

    @pytest.mark.parametrize(
        ("name", "fields", "family", "traits"),
        [
            ("ring_xor_sum", {"n": 60}, "ring_xor", ("marginal", "interacting")),
            ("xor", {"n": 100, "d": 80}, "xor", ("interacting", "wide")),
            ("switch", {"n": 60}, "gates", ("interacting",)),
            ("friedman2", {"n": 60}, "friedman", ("marginal", "interacting", "regression")),
            ("corral", {"n": 60}, "corral", ("marginal", "interacting", "redundant")),
            ("monk1", {"n": 60}, "monk", ("interacting", "categorical")),
            ("duplicated", {"n": 60}, "duplicated", ("marginal", "redundant")),
            ("suppressor", {"n": 60}, "suppressor", ("marginal", "correlated", "suppressor")),
            ("scaled", {"n": 60}, "scaled", ("marginal", "scaled")),
            ("null", {"n": 60}, "null", ("no_signal",)),
            ("tetromino_xor", {"n": 120}, "tetromino", ("interacting", "picture")),
            ("digits", {}, "digits", ("correlated", "picture", "real")),
            ("diabetes", {}, "tabular", ("correlated", "regression", "real")),
        ],
    )
    def test_of_some(self, name, fields, family, traits):
        source = registry.create("datasets", name, fields)
        assert source.family_of(source.load(0)) == (family, traits)

    def test_a_correlated_background(self):
        source = TetrominoLinear(n=120, background="correlated")
        assert source.family_of(source.load(0)).traits == ("marginal", "correlated", "suppressor", "picture")

    def test_of_a_plugin(self):
        source = Given(table())
        assert source.family_of(source.load(0)) == ("given", ())

    def test_are_stored_with_a_draw(self):
        from xai_bench.running.describe import describe
        from xai_bench.suites import plan

        content = {"name": "t", "datasets": [{"name": "monk1", "n": 60}], "explainers": [{"name": "f_test"}]}
        (draw, *_) = plan.draws(reading.from_dict(content))
        facts = describe(draw.dataset.component.load(0), draw)
        assert (facts["family"], facts["traits"]) == ("monk", ["interacting", "categorical"])
        canonical_json(facts.to_json())


def test_a_ceiling_may_do_without_the_truth():
    class Plain(Xor):
        name = "plain_ceiling"

        def ceiling(self, mask):
            mask[:] = False
            return 0.75

    mask = np.ones(4, dtype=bool)
    assert Plain(d=4).best_score(mask, None) == 0.75
    assert mask.all()
