"""Where scores vary: shares of the variance that come from draws, initial weights, architectures and methods."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.floating]
SHARES = ["draw", "initial_weights", "architecture", "method", "rest"]


def variance_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Shares of the variance of a score on every dataset.

    Components of a model with random effects (Searle, Casella and McCulloch 1992, Variance Components), from mean
    products of pairs of scores that share a factor: two scores of one method, on other draws and other architectures,
    are alike only by the method. What the factors do together, and what is not told apart, is ``rest``. A share below 0
    is shown as 0.

    Parameters
    ----------
    frame : one row a score: columns dataset, draw, model_seed, model, explainer, value; without missing values

    Returns
    -------
    columns dataset, draw, initial_weights (networks of one architecture on one draw; NaN with one model seed),
    architecture, method, rest, variance (of all scores), scores (their number); one row a dataset with two draws, two
    architectures and two methods
    """
    rows = []
    for dataset, group in frame.groupby("dataset", sort=False):
        if min(group[axis].nunique() for axis in ("draw", "model", "explainer")) > 1:
            rows.append({"dataset": dataset, **_of_dataset(group), "scores": len(group)})
    return pd.DataFrame(rows, columns=["dataset", *SHARES, "variance", "scores"])


def _of_dataset(group: pd.DataFrame) -> dict[str, float]:
    value = group["value"].to_numpy(np.float64)
    value = value - value.mean()  # The shares stay as they are, and rounding is smaller.
    products = value[:, None] * value[None, :]
    draw, model, method, seed = (_same(group[axis]) for axis in ("draw", "model", "explainer", "model_seed"))

    def shared(pairs: NDArray[np.bool_]) -> float:
        return float(products[pairs].mean()) if pairs.any() else math.nan

    nothing = shared(~draw & ~model & ~method)
    parts = {
        "draw": shared(draw & ~model & ~method) - nothing,
        "initial_weights": shared(draw & model & seed & ~method) - shared(draw & model & ~seed & ~method),
        "architecture": shared(~draw & model & ~method) - nothing,
        "method": shared(~draw & ~model & method) - nothing,
    }
    total = float((value * value).mean()) - nothing
    if not total > 0:
        return {**dict.fromkeys(SHARES, math.nan), "variance": max(total, 0.0)}
    shares = {name: max(part, 0.0) / total for name, part in parts.items()}
    known = sum(share for share in shares.values() if math.isfinite(share))
    scale = max(known, 1.0)  # Estimates may come out above the whole.
    shares = {name: share / scale for name, share in shares.items()}
    return {**shares, "rest": max(1.0 - known, 0.0), "variance": total}


def _same(labels: pd.Series) -> NDArray[np.bool_]:
    """(n, n): which rows share their label."""
    codes, _ = pd.factorize(labels)
    return codes[:, None] == codes[None, :]
