"""``benchmarks/ten_tables.py``: the page in the docs is that of the file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd

from benchmarks import ten_tables

ROOT = Path(__file__).parents[1]


def test_the_page_is_made_from_the_file():
    table = pd.read_csv(ten_tables.FILE, keep_default_na=False, na_values=[""])
    assert ten_tables.PAGE.read_text(encoding="utf-8") == ten_tables.page(table)
    assert (table["answer"].str.count("\n") == 2).all()  # three lines


def test_the_words_are_those_of_the_numbers():
    table = pd.read_csv(ten_tables.FILE, keep_default_na=False, na_values=[""])
    below = (table["mlp_high"] < 0) | (table["spectral_mlp_high"] < 0)
    assert f"on {below.sum()} a network is clearly below the best other model" in ten_tables.page(table)
    for row in table.itertuples():
        assert ("clearly below" in row.answer) == bool(below[row.Index])
        assert f"{row.mlp:.3f}" in ten_tables.page(table)


def test_every_package_is_in_the_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {line.split(">=")[0] for line in project["optional-dependencies"]["examples"]}
    assert {one.package for one in ten_tables.TABLES} == extra
    assert all(one.licence for one in ten_tables.TABLES)
