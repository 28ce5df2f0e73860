"""What a small network scores with the first inputs of the order only, and with as many at random."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from xai_bench.analysis.rows import Rows, Split
from xai_bench.analysis.score import Score, over_trainings
from xai_bench.analysis.trainings import Step, Training, balanced, held_out_ratio, mean_shares, scored, split_data
from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset, Table
from xai_bench.datasets.inputs import columns_of
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many
from xai_bench.scoring.retention import JUDGE

NUMBERS = (1, 2, 3, 5, 10)
RANDOM_ORDERS = 5
COLUMNS = ["inputs", "score", "low", "high", "random", "gain", "gain_low", "gain_high"]


def kept_scores(
    table: Table, rows: Rows, chosen: Sequence[Split], trainings: Sequence[Training], score: Score, step: Step
) -> pd.DataFrame:
    """One row a number of inputs: mean score with the first ones, with random ones, and the gain; over folds.

    The order is that of the networks of the same fold, which did not see the held-out rows. The last row has all
    inputs.
    """
    d = len(table.inputs)
    numbers = [k for k in NUMBERS if k < d]
    top, random = [], []
    for number, split in enumerate(chosen, 1):
        step(f"fewer inputs {number} of {len(chosen)}")
        own = [one for one in trainings if (one.split.seed, one.split.fold) == (split.seed, split.fold)]
        order = np.argsort(-mean_shares(own)[0], kind="stable")
        rng = np.random.default_rng(stream_seed("random inputs", split.seed, split.fold))
        orders = [order, *(rng.permutation(d) for _ in range(RANDOM_ORDERS))]
        values = _judged(table, rows, split, score, [o[:k] for o in orders for k in numbers] + [order])
        curves = np.reshape(values[:-1], (len(orders), len(numbers)))
        top.append([*curves[0], values[-1]])
        random.append([*curves[1:].mean(0), values[-1]])
    return _summed_up([*numbers, d], np.array(top), np.array(random), held_out_ratio(chosen))


def _summed_up(numbers: Sequence[int], top: NDArray, random: NDArray, ratio: float) -> pd.DataFrame:
    found = []
    for j, k in enumerate(numbers):
        mean, low, high, _ = over_trainings(top[:, j], ratio)
        gain = over_trainings(top[:, j] - random[:, j], ratio)
        last = j == len(numbers) - 1
        by_chance = math.nan if last else float(np.nanmean(random[:, j]))
        found.append((k, mean, low, high, by_chance, *((math.nan,) * 3 if last else gain[:3])))
    return pd.DataFrame(found, columns=COLUMNS)


def _judged(table: Table, rows: Rows, split: Split, score: Score, sets: Sequence[NDArray]) -> list[float]:
    """The score of a network of its own for each set of inputs."""
    data, weights = split_data(table, rows, split)
    masks = np.stack([_mask(data, chosen) for chosen in sets])
    seeds = [stream_seed("kept", split.seed, split.fold)] * len(sets)
    found = fit_many(MLP(**JUDGE), data, seeds, masks, row_weights=balanced(weights, data, score))
    X = torch.from_numpy(data.X_test)
    with torch.no_grad():
        outputs = [
            f.module(X[:, mask]).double().numpy() for f, mask in zip(found, torch.from_numpy(masks), strict=True)
        ]
    return [scored(one, data, rows, split, score) for one in outputs]


def _mask(data: Dataset, chosen: NDArray) -> NDArray[np.bool_]:
    """(d,) the columns of inputs that are numbered in the order of the table."""
    kept = np.zeros(len(data.inputs), dtype=bool)
    kept[chosen] = True
    return columns_of(data.shuffled_over_inputs(kept), data.inputs)
