"""Tables that people hand over in ways that nobody thinks of: each is read for what it is, or refused in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from xai_bench.analysis.given import given_table
from xai_bench.analysis.rows import Rows, splits
from xai_bench.errors import InputError
from xai_bench.tables.columns import read_column
from xai_bench.tables.numerals import numerals
from xai_bench.tables.prepared import prepared
from xai_bench.tables.reading import read_sheet, sheet_of

N = 60
ROW = np.arange(N)
BASE = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=list("abc"))
Y = pd.Series((BASE["a"] + BASE["b"] > 0).astype(int), name="y")
ROLES = {"groups": None, "time": None, "weights": None}


def given(X=BASE, y=Y, roles=ROLES, drop=(), keep=(), codes=()):
    return given_table(X, y, None, {**ROLES, **roles}, drop, keep, codes)


def refused(*args, **keywords) -> str:
    with pytest.raises(InputError) as caught:
        given(*args, **keywords)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def why(values, target=None) -> str:
    """What is said of a column beside others."""
    frame = BASE.assign(z=values, y=Y if target is None else target)
    return prepared(sheet_of(frame), "y").table.set_index("column")["why"]["z"]


class TestHandedOver:
    @pytest.mark.parametrize(
        "y",
        [
            Y.to_frame(),
            Y.to_numpy()[:, None],
            torch.tensor(Y.to_numpy()),
            torch.tensor(Y, dtype=float).requires_grad_(),
        ],
    )
    def test_one_column_in_any_form(self, y):
        np.testing.assert_array_equal(given(y=y).table.y, Y)

    def test_a_column_by_its_number(self):
        table = given(BASE.assign(y=Y).set_axis(range(4), axis=1), 3, drop=[2]).table
        assert (table.target_name, table.input_names) == ("3", ("0", "1"))

    def test_masked_is_missing(self):
        masked = np.ma.masked_less(BASE.to_numpy(), -1)
        np.testing.assert_array_equal(np.isnan(given(masked).table.X), masked.mask)

    def test_labels_of_columns_of_any_kind(self):
        several = BASE.set_axis(pd.MultiIndex.from_tuples([("u", "a"), ("u", "b"), ("v", "a")]), axis=1)
        assert given(several).table.input_names == ("u a", "u b", "v a")
        assert given(BASE.set_axis([np.nan, 2, "c"], axis=1)).table.input_names == ("Unnamed: 0", "2", "c")

    def test_names_may_be_one_text(self):
        assert given(BASE.assign(cd=ROW), drop="cd").table.input_names == ("a", "b", "c")

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            ({"y": np.eye(2)[Y]}, r"target: expected one value a row, (n,), got the shape (60, 2)"),
            ({"y": None}, "target: expected the name of a column"),
            ({"y": [[1], [1, 2]] * 30}, "target: expected an array, got what numpy cannot read"),
            ({"y": {"a": 1}}, "target: expected one value a row, (n,), got the shape ()"),
            ({"y": Y.sample(frac=1, random_state=0)}, "the index of X in another order"),
            ({"X": [[1, 2], [1]] * 30}, "X: expected an array, got what numpy cannot read"),
            ({"X": BASE.assign(y=Y), "y": "y", "roles": {"groups": "y"}}, "another column than the target 'y'"),
            ({"X": BASE.rename(columns={"a": "a\x1b[31m"})}, "column names of one line"),
            ({"codes": ["none"]}, "missing_codes: expected numbers"),
            ({"drop": [1.5]}, "drop: expected names of columns"),
            ({"roles": {"time": np.ones(N)}}, "time: expected rows of different times"),
            ({"roles": {"weights": ["a", "b"] * 30}}, "weights: expected numbers >= 0"),
            ({"y": pd.date_range("2020-01-01", periods=N)}, "holds dates, such as"),
            ({"X": BASE * 1e-300}, "multiply them"),
            ({"X": BASE.assign(a=1, b=2)}, "got 1 (column 'a': all values are 1; left out; column 'b'"),
        ],
    )
    def test_what_cannot_be_used_is_one_line(self, arguments, line):
        assert line in refused(**arguments)

    def test_the_same_index_in_the_same_order_is_accepted(self):
        mixed = BASE.sample(frac=1, random_state=0)
        np.testing.assert_array_equal(given(mixed, Y[mixed.index]).table.y, Y[mixed.index])
        np.testing.assert_array_equal(given(mixed, Y.to_numpy()).table.y, Y)

    def test_codes_for_missing_that_are_nowhere_or_in_the_target(self):
        target = BASE["a"].where(ROW % 9 > 0, -999.0)
        notices = given(BASE[["b", "c"]], target, codes=[-999, -1]).found.notices
        assert any("7 rows have -999 as their target 'a'" in line for line in notices)
        assert "missing_codes: -1 occurs in no column of numbers" in notices


class TestRows:
    def test_rows_of_one_time_stand_on_one_side(self):
        time = np.repeat(np.arange(12), 5)
        for split in splits(Rows(np.arange(60.0), "regression", time=time), 1, 5):
            train, valid, test = (time[part] for part in (split.parts.train, split.parts.valid, split.parts.test))
            assert train.max() < valid.min()
            assert valid.max() < test.min()

    def test_too_few_times(self):
        with pytest.raises(InputError, match="got 2 different times: ask for fewer folds"):
            splits(Rows(np.arange(60.0), "regression", time=np.repeat([0, 1], 30)), 1, 5)

    def test_a_part_without_weight(self):
        with pytest.raises(InputError, match="weights: expected some above 0 in every part"):
            splits(Rows(np.arange(60.0), "regression", weights=(ROW < 2) * 1.0), 1, 5)

    def test_large_weights_keep_their_shares(self):
        weights = given(roles={"weights": np.where(ROW % 2, 1e308, 5e307)}).rows.weights
        np.testing.assert_allclose(weights[:2], [0.5, 1])

    def test_groups_that_differ_by_blanks_are_one(self):
        groups = given(roles={"groups": [f"p{i // 2}" + " " * (i % 2) for i in ROW]}).rows.groups
        assert len(np.unique(groups)) == 30


class TestColumns:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ([10**24 + 7 * i for i in range(N)], "identifier"),
            (np.arange(2**63, 2**63 + 60 * 900, 900, dtype=np.uint64), "identifier"),
            ([str(10**24 + 7 * i) for i in range(N)], "identifier"),
            ([f"{i}A" for i in ROW], "identifier"),
            ([f"{i // 2} kg" for i in ROW], "number"),
            (1 + 1e-15 * ROW, "constant"),
            (pd.period_range("2020-01", periods=N, freq="M"), "date"),
            ([f"2020-01-{i % 28 + 1:02d}T10:00:00+0{i % 3}:00" for i in ROW], "date"),
            (["unknown" if i % 5 == 0 else f"2020-01-{i % 28 + 1:02d}" for i in ROW], "date"),
            ([f"2020-01-{i % 28 + 1:02d} {i % 12 + 1}:00 PM" for i in ROW], "date"),
            (["<0.5" if i % 5 == 0 else f"{i / 10}" for i in ROW], "number"),
            (pd.Series(["u\ud800" if i % 2 else "v" for i in ROW], dtype=object), "two values"),
            ([[i % 2] for i in ROW], "two values"),
        ],
    )
    def test_kinds(self, values, kind):
        assert read_column(pd.Series(values, name="z")).column.kind == kind

    @pytest.mark.parametrize(
        ("texts", "values", "sign"),
        [
            (["3 kg", "12.5kg"], [3, 12.5], "kg"),
            (["\u22121.5", "2"], [-1.5, 2], ""),
            (["1 234", "1\u00a0234\u202f567", "12"], [1234, 1234567, 12], ""),
            (["1'234.5", "2’000"], [1234.5, 2000], ""),
            (["\u0661\u0662", "３"], [12, 3], ""),
        ],
    )
    def test_numbers_as_people_write_them(self, texts, values, sign):
        found = numerals(pd.Series(texts))
        np.testing.assert_allclose(found.values, values)
        assert found.sign == sign

    @pytest.mark.parametrize(
        "texts", [["030 123 456", "040 123 456"], ["3 kg", "3 lb"], ["1st", "2nd", "3rd"], ["007A", "012A"]]
    )
    def test_texts_are_no_numbers(self, texts):
        assert numerals(pd.Series(texts)) is None

    def test_years_of_two_digits_lie_together(self):
        read = read_column(pd.Series([f"01.03.{60 + i % 20}" for i in ROW], name="z"))
        assert "dates from 1960-03-01 to 1979-03-01" in read.column.why

    def test_a_date_far_from_all_others(self):
        said = why(["9999-12-31" if i % 5 == 0 else f"20{10 + i % 10}-01-01" for i in ROW])
        assert "9999-12-31 occurs 12 times" in said

    def test_levels_that_look_like_ours(self):
        read = read_column(pd.Series([["(missing)", "u", None][i % 3] for i in ROW], name="z"))
        assert read.column.levels == ("(missing)", "u", "((missing))")
        np.testing.assert_array_equal(np.bincount(read.values.astype(int)), [20, 20, 20])


class TestLeaks:
    @pytest.mark.parametrize(
        "leak",
        [
            Y.where(ROW > 0, 1 - Y),
            Y.where(ROW % 10 > 0),
            [f"{'ill' if value else 'well'} {i % 3}" for i, value in enumerate(Y)],
            Y + 0.1 * BASE["c"].rank(pct=True),
        ],
    )
    def test_what_is_nearly_the_classes(self, leak):
        assert "it alone tells the target 'y'" in why(leak)

    @pytest.mark.parametrize("leak", [np.exp(BASE["c"]), BASE["c"].round(1), (-BASE["c"]).where(ROW % 10 > 0)])
    def test_what_is_nearly_the_number(self, leak):
        assert "a leak, if it is known only once the target is" in why(leak, BASE["c"])

    def test_a_good_input_is_none(self):
        assert why(BASE["a"] + BASE["b"] + 0.5 * BASE["c"]) == ""
        assert why(BASE["c"] + 0.3 * BASE["a"], BASE["c"]) == ""
        assert why(ROW % 7, (ROW % 20 == 0).astype(int)) == ""


@pytest.mark.parametrize(
    "text", ['{"a": 1}\n{"a": 2}\n', '[{"a": 1}]', "<!DOCTYPE html>\n<html>", "<?xml version='1.0'?>"]
)
def test_files_of_another_kind(text, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match="got what looks like"):
        read_sheet(tmp_path / "t.csv")


@pytest.mark.parametrize(("encoding", "separator"), [("utf-32", ";"), ("utf-16", ","), ("utf-8", " "), ("utf-8", ":")])
def test_files(encoding, separator, tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(BASE.to_csv(index=False, sep=separator).encode(encoding))
    if separator in " :":
        with pytest.raises(InputError, match="expected fields between commas, semicolons, tabs or bars"):
            read_sheet(file)
    else:
        assert list(read_sheet(file).frame) == ["a", "b", "c"]
