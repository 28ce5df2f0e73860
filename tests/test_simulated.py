"""Simulated targets on given inputs: the rule against a literal version, the truth, the noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr

from xai_bench.datasets import rules
from xai_bench.datasets.rules import Places
from xai_bench.datasets.simulated import Simulated, stretches
from xai_bench.errors import InputError
from xai_bench.suites import reading


def singles(d):
    return tuple((j,) for j in range(d))


def standard(values):
    return (values - np.mean(values)) / np.std(values)


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(80, 5))


class TestRules:
    def test_correlation_is_that_of_ranks(self, X):
        X[:, 3] = -np.exp(X[:, 0] + 0.5 * X[:, 1])
        found = Places.of(X, ((0,), (1, 2), (3,), (4,))).alike(2)
        expected = [abs(spearmanr(X[:, 3], X[:, j])[0]) for j in range(5)]
        np.testing.assert_allclose(found, [expected[0], max(expected[1:3]), 1, expected[4]], atol=1e-12)

    @pytest.mark.parametrize("order", [2, 3])
    def test_inputs_that_act_together_against_a_literal_version(self, X, order):
        found = rules.values(Places.of(X, singles(5)), [4, 0, 2][:order], order, np.random.default_rng(1))
        lines = [standard(rankdata(X[:, j])) for j in [4, 0, 2][:order]]
        fits = []
        for code in range(2**order):
            signs = [1 - 2 * (code >> k & 1) for k in range(order)]
            signed = [sign * line for sign, line in zip(signs, lines, strict=True)]
            fits.append(standard(standard(sum(signed)) + standard(np.prod(signed, axis=0))))
        assert min(np.abs(found - fit).max() for fit in fits) < 1e-9

    def test_an_additive_rule_is_a_sum_of_functions_of_one_input_each(self, X):
        rows = np.repeat(X[:1], 4, axis=0)
        rows[1, 0], rows[2, 1] = rows[0, 0] + 5, rows[0, 1] - 5
        rows[3, :2] = rows[1, 0], rows[2, 1]
        whole = Places.of(np.concatenate([X, rows]), singles(5))
        y = rules.values(whole, [0, 1], 1, np.random.default_rng(3))[-4:]
        assert y[3] - y[2] == pytest.approx(y[1] - y[0])

    def test_other_inputs_change_nothing(self, X):
        other = X.copy()
        other[:, [1, 3]] = np.random.default_rng(9).normal(size=(80, 2))
        one, two = (rules.values(Places.of(x, singles(5)), [0, 2, 4], 2, np.random.default_rng(0)) for x in (X, other))
        np.testing.assert_array_equal(one, two)

    def test_every_input_of_an_additive_rule_has_the_same_weight(self):
        X = np.random.default_rng(1).normal(size=(4000, 4))
        for seed in range(5):
            y = rules.values(Places.of(X, singles(4)), [0, 1, 2], 1, np.random.default_rng(seed))
            bins = [pd.qcut(X[:, j], 40, labels=False) for j in range(4)]
            shares = [pd.Series(y).groupby(b).mean().var(ddof=0) for b in bins]
            np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 1 / 3, 0], atol=0.05)

    def test_relevant_inputs_are_no_twins_while_there_are_others(self, X):
        X[:, 1], X[:, 2] = X[:, 0] * 2, np.exp(X[:, 0])
        places = Places.of(X, singles(5))
        for seed in range(10):
            assert len({0, 1, 2} & set(rules.chosen(places, 3, np.random.default_rng(seed)))) == 1
        assert len(set(rules.chosen(places, 4, np.random.default_rng(0)))) == 4

    def test_constant_inputs_are_not_relevant(self, X):
        X[:, 2] = 1.0
        places = Places.of(X, singles(5))
        assert list(places.varying) == [0, 1, 3, 4]
        with pytest.raises(InputError, match="at most 4, the inputs that vary, got 5"):
            rules.chosen(places, 5, np.random.default_rng(0))


class TestTruth:
    def test_twins_are_redundant_and_copies_count_once(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(500, 6))
        X[:, 1] = X[:, 0] ** 3
        X[:, 2] = -X[:, 0] + 0.4 * X[:, 2]
        X[:, 3] = X[:, 0] + 2 * X[:, 3]
        truth = rules.truth_of(Places.of(X, singles(6)), [0, 5])
        assert truth.roles == ("relevant", "redundant", "redundant", "noise", "noise", "relevant")
        assert truth.groups == ((0, 1),)

    def test_all_columns_of_a_category_have_its_role(self):
        X = np.random.default_rng(0).normal(size=(50, 5))
        truth = rules.truth_of(Places.of(X, ((0, 1, 2), (3,), (4,))), [0])
        assert truth.roles == ("relevant",) * 3 + ("noise",) * 2


def frame(n=200):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "dose": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "place": rng.choice(["n", "s", "w"], n),
            **{f"x{j}": rng.normal(size=n) for j in range(4)},
            "y": np.arange(n) * 0.5,
            "leak": np.arange(n) * 2.0 + 1,
        }
    )


class TestSource:
    def test_inputs_are_those_of_the_table(self):
        data = Simulated(path=frame(), target="y", relevant=3).load(0).in_canonical_order()
        assert data.input_names == ("dose", "place", "x0", "x1", "x2", "x3")
        assert len(data.inputs[1]) == 3
        assert any("equals the target 'y'" in line for line in data.notices)
        assert data.truth_over_inputs.n_relevant == 3

    def test_a_relevant_category_is_one_block(self):
        chosen = [
            Simulated(path=frame(), target="y", relevant=3, truth_seed=s).load(0).in_canonical_order() for s in range(8)
        ]
        with_place = [data for data in chosen if data.truth.roles[1] == "relevant"]
        assert 0 < len(with_place) < 8
        for data in with_place:
            assert data.truth.roles[1:4] == ("relevant",) * 3
            assert data.truth.blocks == ((1, 2, 3),)

    def test_truth_seeds_choose_inputs_and_data_seeds_noise(self):
        def draw(**fields):
            return Simulated(path=frame(), target="y", **fields)

        roles = {draw(truth_seed=s).load(0).canonical_truth.roles for s in range(6)}
        assert len(roles) > 2
        assert draw().load(0).canonical_truth.roles == draw().load(1).canonical_truth.roles
        assert set(draw().load(0).y_train) != set(draw().load(1).y_train)

    def test_the_signal_is_its_share_of_the_variance(self):
        X = pd.DataFrame(np.random.default_rng(0).normal(size=(4000, 4)))
        own = {"path": X, "inputs": singles(4), "order": 2, "relevant": 2}
        clean, noisy = (Simulated(**own, signal=s).draw(np.random.default_rng(5)).y for s in (1.0, 0.3))
        assert np.corrcoef(clean, noisy)[0, 1] ** 2 == pytest.approx(0.3, abs=0.03)
        assert noisy.var() == pytest.approx(1, abs=0.08)

    def test_the_ceiling_is_the_signal_where_the_whole_rule_is_known(self):
        source = Simulated(path=frame(), target="y", signal=0.4)
        truth = source.load(0).canonical_truth
        assert source.best_score(np.ones(len(truth.roles), dtype=bool), truth) == 0.4
        assert source.best_score(~truth.relevant, truth) is None

    def test_classes_have_their_shares(self):
        values = np.random.default_rng(0).normal(size=1000)
        found = stretches(values, (0.2, 0.5, 0.3))
        assert list(np.bincount(found)) == [200, 500, 300]
        assert values[found == 0].max() < values[found == 1].min()

    def test_a_file_and_its_frame_give_the_same(self, tmp_path, monkeypatch):
        frame().to_csv(tmp_path / "mice.csv", index=False)
        monkeypatch.chdir(tmp_path)
        one, two = (Simulated(path=p, target="y", missing_codes=(-9.0,)) for p in ("mice.csv", pd.read_csv("mice.csv")))
        np.testing.assert_array_equal(one.load(2).X_train, two.load(2).X_train)
        np.testing.assert_array_equal(one.load(2).y_test, two.load(2).y_test)
        assert one.label == "mice"

    def test_a_suite_names_a_file_beside_it(self, tmp_path):
        frame().to_csv(tmp_path / "mice.csv", index=False)
        rows = [{"name": "simulated:mice.csv", "target": "y", "grid": {"truth_seed": [0, 1]}}]
        suite = reading.from_dict({"name": "s", "datasets": rows, "explainers": [{"name": "f_test"}]}, tmp_path)
        assert [entry.label for entry in suite.datasets] == ["mice (truth_seed=0)", "mice (truth_seed=1)"]
        assert suite.datasets[0].component.missing() is None

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"path": "a.csv", "inputs": ((0,), (1,))}, "expected a DataFrame of numbers with it, got a file"),
            ({"path": "a.csv", "classes": (1.0,)}, "shares above 0 of two classes or more"),
            ({"path": "a.csv", "signal": 0.0}, "signal"),
        ],
    )
    def test_bad_fields_are_one_line(self, fields, message):
        with pytest.raises(InputError, match=message):
            Simulated(**fields)

    def test_too_many_relevant_inputs_are_one_line(self):
        with pytest.raises(InputError, match="simulated: relevant: expected at most 6"):
            Simulated(path=frame(), target="y", relevant=7).load(0)

    def test_a_missing_file_is_named(self):
        assert "simulated: expected a file at 'no.csv'" in Simulated(path="no.csv").missing()
