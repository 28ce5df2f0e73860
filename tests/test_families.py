"""The rule that chooses the families of ``quick`` and ``standard``, and that these suites follow it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.choose_families import BAND, NOISE, SUITES, TABLE, Size, Sizes, Source, Walk, narrowed, sources
from xai_bench.suites import plan, reading

SMALL = Sizes(begin=Size(1000, 20), fewest=Size(250, 2), most=Size(2000, 64))


def walked(name: str, means: dict[Size, float]) -> tuple[Walk, list[tuple[Size, bool]]]:
    """A walk on which the references score these means, and what was asked: the size, and whether of few draws."""
    walk, asked = Walk(Source(name), SMALL), []

    def scores(dataset, first):
        data = dataset.load(0)
        size = Size(dataset.n, len(data.inputs))
        asked.append((size, first))
        return np.full((3 if first else 10, 3), means[size])

    walk.go(scores)
    return walk, asked


@pytest.mark.parametrize(
    ("means", "taken", "reason"),
    [
        ({Size(1000, 20): 0.5}, Size(1000, 20), ""),
        ({Size(1000, 20): 0.97, Size(500, 40): 0.94}, Size(500, 40), ""),
        ({Size(1000, 20): 1.0, Size(500, 40): 1.0, Size(250, 64): 0.6}, Size(250, 64), ""),
        ({Size(1000, 20): 0.1, Size(2000, 10): 0.25}, Size(2000, 10), ""),
        ({Size(1000, 20): 1.0, Size(500, 40): 1.0, Size(250, 64): 1.0}, None, "too easy at every size"),
        ({Size(1000, 20): 0.1, Size(2000, 10): 0.1, Size(2000, 7): 0.1}, None, "too hard at every size"),
        ({Size(1000, 20): 1.0, Size(500, 40): 0.1}, None, "from one size to the next it passes over the band"),
    ],
)
def test_a_source_is_made_harder_or_easier_until_it_is_in_the_band(means, taken, reason):
    walk, asked = walked("xor", means)
    assert [size for size, first in asked if first] == list(means)
    assert [size for size, first in asked if not first] == [s for s, mean in means.items() if 0.0 <= mean <= 0.99]
    assert (walk.tried[-1][0] if walk.taken else None, walk.reason) == (taken, reason)


def test_those_nearest_to_the_middle_of_the_band_stay():
    means = {
        "gaussian_independent": 0.94,
        "ring_xor": 0.5,
        "ring_xor_sum": 0.6,
        "ring": 0.3,
        "xor": 0.9,
        "scaled": 0.96,
    }
    walks = [
        walked(name, dict.fromkeys((Size(1000, 20), Size(500, 40), Size(250, 64)), m))[0] for name, m in means.items()
    ]
    narrowed(walks, 3)
    assert [walk.source.name for walk in walks if walk.taken] == ["gaussian_independent", "ring_xor_sum", "ring"]
    reasons = {walk.source.name: walk.reason for walk in walks if not walk.taken}
    assert "of its family is nearer" in reasons["ring_xor"]
    assert "3 families are nearer" in reasons["xor"]
    assert reasons["scaled"] == "too easy at every size"


def test_the_sizes_are_numbers_of_inputs_and_leave_noise():
    for name in ("duplicated", "gaussian_correlated", "monk1", "madelon", "tetromino_xor"):
        source = Source(name)
        for d in (2, 64, 100):
            size = source.at(Size(300, d))
            data = source.kind(**source.fields(size)).load(3)
            assert len(data.inputs) == size.d
            assert data.truth_over_inputs.roles.count("noise") >= NOISE
            assert size.d == 64 or name == "tetromino_xor" or d != 64


def test_the_suites_hold_what_the_rule_takes():
    table = pd.read_csv(TABLE, keep_default_na=False, na_values=[""])
    assert set(table["dataset"]) == set(sources())
    for suite, sizes in SUITES.items():
        taken = table[(table["suite"] == suite) & table["taken"]]
        assert taken["mean"].between(*BAND).all()
        assert not taken["family"].duplicated().any()
        held = {}
        for draw in plan.draws(reading.load(suite).model_copy(update={"data_seeds": (0,)})):
            source = draw.dataset.component
            data = None if source.missing() else source.load(0)
            if data is not None and data.truth is not None and "relevant" in data.truth.roles:
                held[draw.dataset.label] = (source.n, len(data.inputs))
                assert source.n <= sizes.most.n
                assert len(data.inputs) <= sizes.most.d
        assert held == {row["dataset"]: (row["n"], row["d"]) for row in taken.to_dict("records")}


def test_all_values_of_what_is_left_out_are_listed_with_a_reason():
    table = pd.read_csv(TABLE, keep_default_na=False, na_values=[""])
    left_out = table[~table["taken"]]
    assert left_out["reason"].notna().all()
    assert set(left_out["dataset"]) | set(table.loc[table["taken"], "dataset"]) == set(sources())
