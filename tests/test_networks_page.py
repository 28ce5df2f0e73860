"""``benchmarks/scores/networks.md`` says what its file holds, and decides nothing on few draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from benchmarks import networks

DRAWS = 5


def table(gap, of="resnet", dataset="tetromino_xor", count=DRAWS):
    """A file in which a network scores ``gap`` (draws,) above ``mlp``."""
    rows = []
    for seed in range(count):
        for name, score in (("mlp", 0.5), (of, 0.5 + gap[seed])):
            facts = {"test_score": score, "learned": seed > 0, "train_cpu": 1.0 + (name != "mlp")}
            rows.append({"dataset": dataset, "data_seed": seed, "inputs": 64, "network": name, **facts})
    refused = {"dataset": dataset, "data_seed": 0, "inputs": 64, "network": "cnn", "reason": "no pictures"}
    return pd.DataFrame([*rows, refused], columns=networks.COLUMNS)


def line(text, network):
    return next(line for line in text.splitlines() if line.startswith(f"- `{network}`"))


GAPS = np.array([0.1, 0.12, 0.11, 0.13, 0.09])


@pytest.mark.parametrize(("sign", "word"), [(1, "better on"), (-1, "worse on")])
def test_what_all_draws_show_is_said(sign, word):
    assert line(networks.markdown(table(sign * GAPS)), "resnet") == (
        f"- `resnet` against `mlp`: {word} tetromino_xor. 2 times its CPU seconds."
    )


def test_what_they_do_not_show_is_undecided():
    gaps = np.array([0.1, -0.1, 0.2, -0.05, 0.0])
    assert ttest_1samp(gaps, 0).pvalue > 0.05
    assert "undecided on tetromino_xor" in line(networks.markdown(table(gaps)), "resnet")


def test_four_draws_decide_nothing():
    text = networks.markdown(table(GAPS, count=4))
    assert "too few draws of tetromino_xor" in line(text, "resnet")
    assert "+0.115 (4 draws)" in text
    assert "0.615 * (4 draws)" in text


def test_cells_of_the_tables():
    text = networks.markdown(table(GAPS))
    row = next(line for line in text.splitlines() if line.startswith("| tetromino_xor"))
    low, high = ttest_1samp(0.5 + GAPS, 0).confidence_interval(0.95)
    cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
    assert dict(zip(networks.NETWORKS, cells, strict=True)) == {
        **dict.fromkeys(networks.NETWORKS, "not trained"),
        "mlp": "0.500 [0.50, 0.50] *",
        "resnet": f"0.610 [{low:.2f}, {high:.2f}] *",
        "cnn": "-",
    }


def test_splits_of_one_file_count_for_less():
    values = pd.Series(GAPS)
    low, high = networks.of_mean(values, "digits", 0.95)
    plain_low, plain_high = networks.of_mean(values, "tetromino_xor", 0.95)
    assert (high - low) / (plain_high - plain_low) == pytest.approx(np.sqrt(1 + 5 * networks.TEST_TO_TRAIN))


def test_the_page_is_that_of_the_file():
    page = networks.FILE.with_suffix(".md").read_text(encoding="utf-8")
    assert page == networks.markdown(networks.kept()), "run `python benchmarks/networks.py`"
