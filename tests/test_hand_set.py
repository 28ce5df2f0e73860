"""Networks whose weights are set by hand: they compute what is said, and what they rely on is what is said."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import between
from benchmarks import hand_set as benchmark
from tests.reference import sobol
from xai_bench import run
from xai_bench.datasets import hand_set
from xai_bench.datasets.hand_set import EDGE, NETWORKS, SHARES, HandSet
from xai_bench.datasets.wiring import PIECES, effects
from xai_bench.errors import InputError
from xai_bench.models.hand_set import HandSetNetwork
from xai_bench.suites import reading

IRRELEVANT = 2
ROWS = 8_000
CLOSED = {
    # name: (mean, variance, total Sobol indices) of inputs uniform on [-1, 1], by hand
    "line": (0, 1 / 3, [1]),
    "absolute": (1 / 2, 1 / 12, [1]),
    "hinge": (1 / 4, 5 / 48, [1]),
    "step": (1 / 2, 1 / 4 - 1 / 96, [1]),
    "clipped": (1, 2 / 3, [1]),
    "hat": (1 / 4, 5 / 48, [1]),
    "minimum": (-1 / 3, 2 / 9, [3 / 5, 3 / 5]),
    "product": (0, 2 / 3, [1, 1]),
    "corner": (1 / 24, 1 / 48 - 1 / 576, [(1 / 48 - 1 / 160) / (1 / 48 - 1 / 576)] * 2),
    "maximum": (1 / 2, 3 / 20, [4 / 9] * 3),
}
every_network = pytest.mark.parametrize("network", NETWORKS)


@functools.cache
def drawn(network):
    first, second = np.random.default_rng(0).spawn(2)
    size = (ROWS, hand_set.relevant_inputs(network) + IRRELEVANT)
    return first.uniform(-EDGE, EDGE, size), second.uniform(-EDGE, EDGE, size)


def said_by_torch(network):
    module = HandSetNetwork(wiring=network, irrelevant=IRRELEVANT).module()

    def function(X):
        with torch.no_grad():
            return module(torch.from_numpy(X.astype(np.float32)))[:, 0].double().numpy()

    return function


@pytest.mark.parametrize("piece", CLOSED)
def test_quadrature_gives_the_closed_forms(piece):
    mean, variance, total = CLOSED[piece]
    known = effects(piece)
    assert known.mean == pytest.approx(mean, abs=1e-4)
    assert known.variance == pytest.approx(variance, rel=1e-3)
    np.testing.assert_allclose(known.total, total, atol=1e-3)


@pytest.mark.parametrize(("piece", "expected"), [("gate", [1, 0.5]), ("switch", [0.5] * 3), ("xor", [1, 1]),
                                                 ("parity", [1, 1, 1])])  # fmt: skip
def test_gates_are_those_of_ideal_steps_nearly(piece, expected):
    """An ideal gate passes x half of the time: Var = 1/6, and E Var(u | x) = E x^2 / 4 = 1/12."""
    np.testing.assert_allclose(effects(piece).total, expected, atol=0.002)


@every_network
def test_the_network_computes_the_sum_of_its_formulas(network):
    X, _ = drawn(network)
    expected, at = np.zeros(ROWS), 0
    for piece, share in SHARES[network].items():
        k, known = PIECES[piece].inputs, effects(piece)
        said = PIECES[piece].formula(X[:, at : at + k] / EDGE)
        expected += np.sqrt(share / known.variance) * (said - known.mean)
        at += k
    np.testing.assert_allclose(hand_set.wired(network, IRRELEVANT)(X), expected, atol=1e-12)
    np.testing.assert_allclose(said_by_torch(network)(X), expected, atol=2e-5)
    assert sum(SHARES[network].values()) == pytest.approx(1)


@every_network
def test_truth_is_that_of_the_network_by_simulation(network):
    X, again = drawn(network)
    function = said_by_torch(network)
    p = hand_set.relevant_inputs(network)
    found = sobol.total_indices(function, X, again)
    np.testing.assert_allclose(found[:p], hand_set.total_indices(network), atol=0.04)
    np.testing.assert_allclose(found[p:], 0, atol=1e-9)
    levels = np.linspace(-EDGE, EDGE, 17)[:-1] + EDGE / 16
    absolute = sobol.absolute_effects(function, X[:2000], levels)
    np.testing.assert_allclose(absolute[:p], hand_set.absolute_effects(network), atol=0.03)


@pytest.mark.parametrize("piece", ["line", "gate", "product", "switch"])
def test_shapley_values_are_means_over_orders(piece):
    m = 16 if PIECES[piece].inputs < 3 else 4
    levels = (np.arange(m) + 0.5) / m * 2 - 1
    literal = sobol.absolute_shapley(PIECES[piece].formula, PIECES[piece].inputs, levels)
    np.testing.assert_allclose(effects(piece).shapley, literal, rtol=0.05)


@every_network
def test_slopes_are_gradients_of_the_network(network):
    inputs = torch.from_numpy(drawn(network)[0].astype(np.float32)).requires_grad_(True)
    (found,) = torch.autograd.grad(HandSetNetwork(wiring=network, irrelevant=IRRELEVANT).module()(inputs).sum(), inputs)
    p = hand_set.relevant_inputs(network)
    expected = hand_set.absolute_effects(network, "slope") / EDGE  # of inputs of variance 1
    np.testing.assert_allclose(found.abs().mean(0).numpy()[:p], expected, rtol=0.15)


@every_network
def test_both_definitions_agree_on_the_order(network):
    total, absolute = hand_set.total_indices(network), hand_set.absolute_effects(network)
    above = total[:, None] - total > 1e-3
    assert (absolute[:, None] - absolute)[above].min() > -1e-3
    assert above.any()


@every_network
def test_draws_and_what_is_left_of_an_unknown_input(network):
    source = HandSet(network=network, irrelevant=IRRELEVANT)
    table = source.draw(np.random.default_rng(1))
    p = hand_set.relevant_inputs(network)
    np.testing.assert_array_equal(table.y, hand_set.wired(network, IRRELEVANT)(table.X))
    assert table.truth.relevant.tolist() == [True] * p + [False] * IRRELEVANT
    for j in range(p):  # additive over pieces: what is lost is the total index
        known = np.arange(p + IRRELEVANT) != j
        assert source.ceiling(known) == pytest.approx(1 - table.truth.relevance[j], abs=1e-3)
    assert source.ceiling(np.ones(p + IRRELEVANT, bool)) == pytest.approx(1)
    assert source.ceiling(np.zeros(p + IRRELEVANT, bool)) == pytest.approx(0)


def test_irrelevant_inputs_have_the_largest_weights_where_they_cancel():
    module = HandSetNetwork(wiring="cancelling").module()
    norms = module[0].weight.detach().norm(dim=0)
    p = hand_set.relevant_inputs("cancelling")
    assert norms[p:].min() > norms[:p].max()
    inputs = torch.zeros(1, p + 12, requires_grad=True)
    (slopes,) = torch.autograd.grad(module(inputs + 0.5).sum(), inputs)
    assert slopes[0, p:].abs().max() < 1e-5


def test_another_dataset_and_standardised_columns_are_refused():
    source, data = HandSetNetwork(), HandSet(n=60).load(0).in_canonical_order()
    assert source.unsupported(data) is None
    assert source.unsupported(data.standardised()).endswith("set standardise = false for the dataset")
    assert "this is another dataset" in source.unsupported(HandSet(n=60, irrelevant=3).load(0))
    with pytest.raises(InputError, match="needs all its inputs: expected 18 columns, got 2"):
        source.fit(data, 0, [0, 1])


def test_new_weights_come_from_the_generator():
    source = HandSetNetwork(wiring="skips")
    one, other = (source.network((19,), 1, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    again = source.network((19,), 1, torch.Generator().manual_seed(1))
    X = torch.ones(3, 19)
    assert torch.equal(one(X), again(X))
    assert not torch.equal(one(X), other(X))


def test_a_run_explains_the_network_as_it_is(tmp_path):
    suite = {
        "name": "by_hand",
        "data_seeds": [0],
        "standardise": False,
        "datasets": [{"name": "hand_set", "label": name, "network": name, "n": 200} for name in ("gates",)],
        "models": [
            {"name": "hand_set_network", "label": "set_by_hand", "wiring": name, "datasets": [name]}
            for name in ("gates",)
        ],
        "explainers": [{"name": "permutation_importance"}, {"name": "column_norm"}],
    }
    results = run(suite, out=tmp_path, jobs=None)
    cells = results.cells[results.cells["explainer"] == "permutation_importance"]
    assert (cells["status"] == "done").all()
    np.testing.assert_allclose(cells["test_score"], 1, atol=1e-9)
    rows = results.measurements
    rows = rows[(rows["explainer"] == "permutation_importance") & rows["metric"].isin(["somers_d", "auroc"])]
    stored = rows.set_index("metric")["value"]
    assert stored["somers_d"] > 0.8
    scored = benchmark.scored(results).set_index(["method", "score", "truth"])["mean"]
    for score in ("somers_d", "auroc"):
        assert scored["permutation_importance", score, "sobol"] == pytest.approx(stored[score])


def test_the_page_says_what_the_numbers_are():
    rows = pd.read_csv(benchmark.FILE, keep_default_na=False, na_values=[""])
    page = benchmark.PAGE.read_text(encoding="utf-8")
    found = between.found(page, benchmark.BEGIN, benchmark.END)
    assert found == f"\n{benchmark.part(rows)}\n", "run python -m benchmarks.hand_set"


def test_the_shipped_suite_has_a_network_of_every_kind():
    suite = reading.load("hand_set")
    assert [entry.component.network for entry in suite.datasets] == list(NETWORKS)
    for entry in suite.datasets:
        (exact,) = [model for model in suite.models_on(entry.label) if not model.component.trains]
        assert exact.component.unsupported(entry.component.load(0).in_canonical_order()) is None
