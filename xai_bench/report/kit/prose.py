"""Sentences that are made from frames. Names stand in backticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from xai_bench.report.kit.frames import NO_MODEL, Frames, records
from xai_bench.report.kit.wording import listed, without_paths

FEW = 4
"""Names that are spelled out in a sentence."""


def ticked(names: Sequence[str], most: int = FEW) -> str:
    """Names in a sentence."""
    return listed([f"`{name}`" for name in names], most)


def named(row: dict[str, Any]) -> str:
    """The method, the network and the dataset of a row."""
    network = "" if row["model"] == NO_MODEL else f" on `{row['model']}`"
    return f"`{row['explainer']}`{network}, `{row['dataset']}`"


def names_of(rows: pd.DataFrame) -> str:
    """Methods, networks and datasets of some rows."""
    return listed([named(row) for row in records(rows)])


def sentences(frames: Frames) -> list[tuple[str, str]]:
    """Who leads, what is decided, and whether retention agrees: up to three sentences, each under a word."""
    texts = [without_paths(text).replace("2 AUROC - 1", "2 AUROC − 1") for text in frames.results.in_words("methods")]
    return list(zip(("recovery", "pairs", "retention"), texts, strict=False))
