"""Training and retraining: many networks at once beside a plain loop over them, and a spectral beside a plain layer."""

from __future__ import annotations

import dataclasses
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from engine import measured, multiplications
from numpy.typing import NDArray
from plain import PlainLoop

from xai_bench import registry
from xai_bench.datasets.base import Dataset
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.stack import Adam, Stack
from xai_bench.models.training import fit_many, loss_gradient
from xai_bench.running.block import problem_of
from xai_bench.running.process import warm_up
from xai_bench.scoring.retention import Scorer, judge_of, kept_counts, name, top
from xai_bench.suites.plan import Draw
from xai_bench.suites.suite import Entry, Retention

NETWORKS = 32
METHODS = (
    *("spectral", "saliency", "input_x_gradient", "integrated_gradients"),
    *("deeplift", "lrp", "shap_deep", "permutation_importance"),
)
KS = (1, 2, 3, 5, 8, 12, 18, 27, 40, 50)
LONG_EPOCHS = 100.0
LONG_RATE = 1e-3


@cache
def data_of(dataset: str, **fields: int) -> Dataset:
    source = registry.create("datasets", dataset, fields)
    if source.missing():
        pytest.skip(source.missing())
    return source.load(0).standardised()


@pytest.mark.benchmark(group="shipped network")
@pytest.mark.parametrize("d", [20, 64, 784])
def test_shipped_network(benchmark, d):
    """The defaults: plain loop, as first released, alone, and in stacks, in turn."""
    record: dict[str, Any] = {}
    benchmark.pedantic(lambda: record.update(measured(d)), rounds=1)
    benchmark.extra_info.update(record)


@pytest.mark.benchmark(group="machine")
@pytest.mark.parametrize("shape", [(1, 1024, 1024, 1024), (16, 128, 64, 64)], ids=str)
def test_matrix_product(benchmark, shape):
    """What this machine's matrix product reaches on one thread."""
    m, a, b, c = shape
    x, y, out = torch.randn(m, a, b), torch.randn(m, b, c), torch.empty(m, a, c)
    calls = 10 if m == 1 else 200

    def products() -> None:
        for _ in range(calls):
            torch.bmm(x, y, out=out)

    benchmark.pedantic(products, rounds=7, warmup_rounds=1)
    flops = [calls * 2.0 * m * a * b * c / seconds for seconds in benchmark.stats.stats.data]
    benchmark.extra_info.update(table="machine", shape=list(shape), gigaflops=float(np.median(flops)) / 1e9)


@pytest.mark.benchmark(group="32 networks")
@pytest.mark.parametrize("d", [20, 64])
def test_fit(side_by_side, d):
    """Networks on all inputs, batches of 128 rows, the judge's schedule."""
    data, architecture = data_of("xor", n=5000, d=d), judge_of(Retention())
    loop = PlainLoop(architecture, data)
    parts = 4

    def theirs() -> None:
        for seed in range(NETWORKS // parts):
            loop.fit(seed)

    side_by_side(
        partial(fit_many, architecture, data, range(NETWORKS)),
        theirs,
        scale=parts,
        table="training",
        what=f"fit of {NETWORKS} networks, d = {d}",
        aim=5.0,
        flops=NETWORKS * architecture.steps(len(data.y_train)) * multiplications(architecture, d, data.n_outputs, 128),
    )


@cache
def masks_of(dataset: str) -> tuple[NDArray[np.bool_], ...]:
    """What eight methods keep of one trained network, in canonical order; equal masks stay."""
    data = data_of(dataset)
    (fitted,) = fit_many(SpectralMLP(), data, [0], chunk=1)
    problem = problem_of(data, fitted.module)
    tie_breaker = np.random.default_rng(0).permutation(data.d)
    masks = []
    for method in METHODS:
        explainer = registry.create("explainers", method, {})
        warm_up(explainer)
        relevance = data.canonical(explainer.explain(problem).relevance)
        masks += [top(relevance, k, tie_breaker) for k in kept_counts(data.d, 0, KS)]
    return tuple(masks)


def judged(dataset: str, settings: Retention) -> dict[str, float]:
    """Mask to the score of its judge."""
    entry = Entry(label=dataset, component=registry.create("datasets", dataset, {}))
    found = Scorer(data_of(dataset), Draw("", entry, 0, None, True), settings, {}, {})
    found.retrain(masks_of(dataset))
    return {name(mask): found.retrained(mask) for mask in masks_of(dataset)}


def sample(dataset: str, count: int) -> list[NDArray[np.bool_]]:
    """A few masks, of all sizes."""
    masks = masks_of(dataset)
    return [masks[i] for i in np.linspace(0, len(masks) - 1, count).round().astype(int)]


def reduced(dataset: str, settings: Retention) -> Dataset:
    data = data_of(dataset)
    return dataclasses.replace(data, X_train=data.X_train[: settings.rows], y_train=data.y_train[: settings.rows])


@pytest.mark.benchmark(group="retention")
@pytest.mark.parametrize(("dataset", "aim"), [("digits", 10.0), ("mnist", 12.0)])
def test_retention(side_by_side, dataset, aim):
    """The score of eight methods at ten k and all inputs, beside a plain loop with the same schedule."""
    settings, masks = Retention(), masks_of(dataset)
    loop = PlainLoop(judge_of(settings), reduced(dataset, settings))
    few = sample(dataset, 6)

    def theirs() -> None:
        for mask in few:
            loop.fit(0, np.flatnonzero(loop.data.shuffled(mask)).tolist())

    side_by_side(
        partial(judged, dataset, settings),
        theirs,
        scale=len(masks) / len(few),
        table="training",
        what=f"retention of {len(METHODS)} methods, {dataset}, same schedule",
        aim=aim,
        networks=len(masks),
        distinct=len({name(mask) for mask in masks}),
    )


@pytest.mark.benchmark(group="long schedule")
@pytest.mark.parametrize("epochs", [None, 20.0], ids=["default judge", "20 epochs"])
@pytest.mark.parametrize("dataset", ["digits", "mnist"])
def test_long_schedule(side_by_side, dataset, epochs):
    """The same beside 100 epochs at a constant rate, and what accuracy the short schedule loses."""
    settings = Retention(judge={} if epochs is None else {"epochs": epochs})
    few, seen = sample(dataset, 8), {}
    long: Any = {"epochs": LONG_EPOCHS, "schedule": "constant", "learning_rate": LONG_RATE, "checkpoints": 100}
    loop = PlainLoop(judge_of(settings).model_copy(update=long), reduced(dataset, settings))
    turns = iter(range(10**6))

    def theirs() -> None:
        mask = few[next(turns) % len(few)]
        seen[name(mask)] = loop.fit(0, np.flatnonzero(loop.data.shuffled(mask)).tolist())

    side_by_side(partial(judged, dataset, settings), theirs, scale=len(masks_of(dataset)), rounds=6)
    ours = judged(dataset, settings)
    lost = [seen[mask] - ours[mask] for mask in seen]
    label = f"{judge_of(settings).epochs:g} epochs"
    side_by_side.benchmark.extra_info.update(
        table="training",
        what=f"retention of {len(METHODS)} methods, {dataset}: {label} beside {LONG_EPOCHS:g} at a constant rate",
        aim=50.0,
        lost=lost,
    )


@pytest.mark.benchmark(group="first layer")
@pytest.mark.parametrize("penalty", [0.0, 2e-3], ids=["no penalty", "matching penalty"])
@pytest.mark.parametrize("d", [64, 784])
def test_first_layer(side_by_side, d, penalty):
    """A training step of a spectral beside one of a plain first layer, else equal; the spectral one has its L2."""
    shared: Any = {"hidden": (100, 100, 50), "batch_norm": (False,), "dropout": (0.0,)}
    side_by_side(
        stepper(SpectralMLP(**shared), d),
        stepper(MLP(**shared, group_lasso=penalty), d),
        table="training",
        what=f"step with a spectral beside a plain first layer ({'matching' if penalty else 'no'} penalty), d = {d}",
        most=1.10,
        rounds=15,
    )


def stepper(architecture: MLP | SpectralMLP, d: int, rows: int = 128) -> Any:
    """A training step: forward, backward, Adam."""
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(1, rows, d, generator=generator), torch.randint(2, (1, rows), generator=generator)
    stack = Stack(architecture, 1, d, 2, torch.float32, torch.device("cpu"))
    stack.load(0, architecture.build((d,), 2, generator))
    adam = Adam(stack)

    def step() -> None:
        with torch.no_grad():
            outputs = stack.forward(X, [None] * len(stack.layers))
            stack.backward(loss_gradient(outputs, y, "classification"))
            adam.step(1e-5)

    return step
