"""Small tables as people have them: each is read as it is meant, or refused in the one line that says what is wrong."""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cases.tables import BASE, TABLES, N
from xai_bench import cli, explain
from xai_bench.datasets.tables import CSV
from xai_bench.errors import InputError
from xai_bench.tables.columns import read_column
from xai_bench.tables.encoding import filled
from xai_bench.tables.layout import layout_of
from xai_bench.tables.numerals import numerals
from xai_bench.tables.prepared import prepared
from xai_bench.tables.reading import read_sheet, sheet_of


def loaded(name, tmp_path):
    """The dataset of a table; the line of its error as a failed assertion."""
    path = tmp_path / "table.csv"
    path.write_text(TABLES[name], encoding="utf-8")
    try:
        return CSV(path=str(path), target="y", kind="classification").load(0)
    except InputError as error:
        raise AssertionError(f"refused: {error}") from None


def refusal(name, tmp_path):
    """The line that refuses a table; empty if it is read."""
    try:
        loaded(name, tmp_path)
    except AssertionError as error:
        return str(error)
    return ""


def rows_of(data):
    return np.concatenate([data.X_train, data.X_valid, data.X_test])


def said(data, *words):
    """Is there a notice with all of the words?"""
    return any(all(word in notice for word in words) for notice in data.notices)


@pytest.mark.parametrize("name", ["semicolons, decimal commas", "pipes"])
def test_other_separators(name, tmp_path):
    data = loaded(name, tmp_path)
    assert sorted(data.feature_names) == ["a", "b", "c"]
    assert rows_of(data).sum() == pytest.approx(BASE[["a", "b", "c"]].to_numpy().sum(), rel=1e-4)


def test_a_header_with_trailing_commas(tmp_path):
    line = refusal("semicolons, header with trailing commas", tmp_path)
    assert not line or ("header" in line and "comma" in line)


def test_no_header_line(tmp_path):
    assert "first line" in refusal("no header line", tmp_path)


def test_a_name_with_a_blank(tmp_path):
    assert loaded("name with a blank", tmp_path).target_name == "y"


def test_a_title_above_the_header(tmp_path):
    assert "line 2" in refusal("title above the header", tmp_path)


@pytest.mark.parametrize("name", ["blank lines at the end", "a comma at the end of each line"])
def test_empty_rows_and_columns_are_left_out(name, tmp_path):
    data = loaded(name, tmp_path)
    assert (data.d, len(rows_of(data))) == (3, N)
    assert said(data, "empty")


@pytest.mark.parametrize(("name", "step"), [("thousands", 37), ("percent", 1)])
def test_written_numbers(name, step, tmp_path):
    data = loaded(name, tmp_path)
    a = np.sort(rows_of(data)[:, data.feature_names.index("a")])
    assert np.allclose(np.diff(a) / np.diff(a).mean(), 1)
    assert np.diff(a).mean() == pytest.approx(step) or np.diff(a).mean() == pytest.approx(step / 100)


def test_yes_and_no_are_one_input(tmp_path):
    data = loaded("yes and no", tmp_path)
    assert data.d == 3
    assert len(np.unique(rows_of(data)[:, [name.startswith("a") for name in data.feature_names]])) == 2


def test_three_words_are_one_input_of_three_columns(tmp_path):
    data = loaded("three words", tmp_path)
    assert data.d == 5
    assert len(data.inputs) == 3


def test_dates_are_said(tmp_path):
    assert said(loaded("dates", tmp_path), "'a'")


def test_missing_values_are_imputed(tmp_path):
    data = loaded("missing values", tmp_path)
    assert np.isfinite(rows_of(data)).all()
    assert said(data, "'a'")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("minus 999", ("'a'", "-999")),
        ("row number", ("'id'", "identifier")),
        ("copy of the target", ("'z'", "target")),
        ("identical columns", ("'a'", "'z'")),
        ("label with a blank", ("'ill'", "'ill '")),
        ("one mouse, fifteen rows", ("groups",)),
    ],
)
def test_what_a_notice_says(name, words, tmp_path):
    assert said(loaded(name, tmp_path), *words)


def test_a_long_identifier_is_left_out(tmp_path):
    data = loaded("sixteen-digit identifier", tmp_path)
    assert "id" not in data.feature_names
    assert said(data, "'id'")


def test_two_rows_of_a_class(tmp_path):
    line = refusal("two rows of a class", tmp_path)
    assert "'2'" in line or "class 2" in line or said(loaded("two rows of a class", tmp_path), "2")


def test_a_class_called_na(tmp_path):
    assert loaded("class called NA", tmp_path).class_names == ("DE", "NA")


class TestFiles:
    def sheet(self, tmp_path, content, name="t.csv"):
        (tmp_path / name).write_bytes(content)
        return read_sheet(tmp_path / name)

    @pytest.mark.parametrize(("encoding", "noticed"), [("utf-8", 0), ("utf-8-sig", 0), ("utf-16", 0), ("cp1252", 1)])
    def test_encodings(self, encoding, noticed, tmp_path):
        sheet = self.sheet(tmp_path, "größe;y\n1,5;ä\n2,5;ö\n".encode(encoding))
        assert list(sheet.frame) == ["größe", "y"]
        assert list(sheet.frame["größe"]) == [1.5, 2.5]
        assert list(sheet.frame["y"]) == ["ä", "ö"]
        assert len(sheet.notices) == noticed

    def test_a_line_of_units(self, tmp_path):
        text = "mass,length,place,y\nkg,cm,-,%\n" + "".join(f"{i}.5,{i * 3},here,{i % 7}\n" for i in range(9))
        sheet = self.sheet(tmp_path, text.encode())
        assert sheet.units == ("kg", "cm", "-", "%")
        assert len(sheet.frame) == 9
        assert "line 2 holds units" in sheet.notices[0]

    def test_a_first_row_without_values_is_no_line_of_units(self):
        lines = ["a,b,y", "NA,,here", *("1.5,2,there" for _ in range(5))]
        assert layout_of("t", lines).units == ()

    @pytest.mark.parametrize("names", ["0,1,2", "year,2001,2002", "a,1.5,b"])
    def test_numbers_as_names(self, names):
        assert layout_of("t", [names, "1.5,2,3", "4,5,6"]).names == tuple(names.split(","))

    def test_an_excel_file(self, tmp_path):
        frame = BASE.assign(place=["here", "there", None] * 20)
        frame.to_excel(tmp_path / "t.xlsx", index=False)
        read = read_sheet(tmp_path / "t.xlsx").frame
        pd.testing.assert_frame_equal(read, frame, check_dtype=False)

    def test_a_title_in_an_excel_file(self, tmp_path):
        BASE.to_excel(tmp_path / "t.xlsx", index=False, startrow=1)
        with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
            BASE.to_excel(book, index=False, startrow=1)
            book.sheets["Sheet1"].cell(1, 1, "Patients")
        with pytest.raises(InputError, match="got the title 'Patients'"):
            read_sheet(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("texts", "decimal", "values", "sign", "words"),
    [
        (["1", " 2.5 ", "-3e2"], ".", [1, 2.5, -300], "", ()),
        (["1,037", "12", "1,234,567.5"], ".", [1037, 12, 1234567.5], "", ()),
        (["1,037", "12", "0,5"], ".", [1.037, 12, 0.5], "", ()),
        (["1.037", "12", "1.234,5"], ",", [1037, 12, 1234.5], "", ()),
        (["1,037", "2,5"], ",", [1.037, 2.5], "", ()),
        (["45 %", "7%"], ".", [45, 7], "%", ()),
        (["€ 1,200", "€ 30"], ".", [1200, 30], "€", ()),
        (["1", "NA", "n/a", ""], ".", [1, np.nan, np.nan, np.nan], "", ("NA", "n/a")),
        ([*map(str, range(30)), "broken"], ".", [*range(30), np.nan], "", ("broken",)),
    ],
)
def test_numbers_as_people_write_them(texts, decimal, values, sign, words):
    found = numerals(pd.Series(texts), decimal)
    np.testing.assert_array_equal(found.values, values)
    assert (found.sign, found.words) == (sign, words)


@pytest.mark.parametrize("texts", [["red", "1"], ["NA", ""], ["1-2", "3-4"], [*"0101010101", "1a"]])
def test_texts_are_no_numbers(texts):
    assert numerals(pd.Series(texts)) is None


@pytest.mark.parametrize(
    ("values", "name", "kind", "used"),
    [
        (pd.Series(range(30)) % 5, "a", "number", True),
        (pd.Series(range(30)) % 2, "a", "two values", True),
        (pd.Series([True, False] * 15), "a", "two values", True),
        (pd.Series(range(30)), "dose", "number", True),
        (pd.Series(range(30)), "patient_id", "identifier", False),
        (pd.Series(range(30)), "patientId", "identifier", False),
        (pd.Series(range(30)), "width", "number", True),
        (pd.Series(range(10**7, 10**7 + 3000, 100)), "Patient Nr", "identifier", False),
        (pd.Series([f"row{i}" for i in range(30)]), "a", "identifier", False),
        (pd.Series([f"the patient number {i} felt quite well" for i in range(30)]), "a", "free text", False),
        (pd.Series(["a", "b", "c"] * 10), "a", "category", True),
        (pd.Series(pd.Categorical([1, 2, 3] * 10)), "a", "category", True),
        (pd.Series(["a", "b"] * 15), "a", "two values", True),
        (pd.Series(["a", None] * 15), "a", "two values", True),
        (pd.Series(["7"] * 30), "a", "constant", False),
        (pd.Series([""] * 30), "a", "empty", False),
        (pd.Series([f"{i % 28 + 1:02d}/03/2020" for i in range(30)]), "a", "date", True),
        (pd.Series([f"{i % 28 + 1:02d}.03.2020" for i in range(30)]), "a", "date", True),
        (pd.Series(pd.to_timedelta(range(30), unit="h")) * 2.5, "a", "number", True),
    ],
)
def test_kinds_of_columns(values, name, kind, used):
    column = read_column(values.rename(name)).column
    assert (column.kind, column.used) == (kind, used)


def test_rare_levels_are_joined():
    texts = pd.Series([f"level {min(i // 10, 24 + i % 5)}" for i in range(300)], name="a")
    read = read_column(texts)
    assert len(read.column.levels) == 21
    assert read.column.levels[-1] == "(other)"
    assert "joined as (other)" in read.column.why
    assert read.values.max() == 20


def test_what_is_missing_is_filled_from_training_rows_only():
    train, test = np.array([[1.0, np.nan], [3.0, np.nan], [8.0, np.nan]]), np.array([[np.nan, 5.0]])
    of_train, of_test = filled(train, test)
    np.testing.assert_array_equal(of_train, [[1, 0], [3, 0], [8, 0]])
    np.testing.assert_array_equal(of_test, [[3, 5]])


def test_columns_that_say_the_same():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"cm": rng.normal(size=50), "word": rng.choice(list("abc"), 50), "y": rng.normal(size=50)})
    frame["inch"], frame["code"] = frame["cm"] / 2.54 + 1, frame["word"].map({"a": "u", "b": "v", "c": "w"})
    frame["leak"] = 5 - 2 * frame["y"]
    found = prepared(sheet_of(frame), "y").table.set_index("column")
    assert found["why"]["inch"] == "it says the same as 'cm': the two are interchangeable"
    assert found["why"]["code"] == "it says the same as 'word': the two are interchangeable"
    assert found["why"]["leak"] == "it equals the target 'y'"
    assert list(found["used"]) == [True, True, True, True, False]
    assert prepared(sheet_of(frame), "y", keep=["leak"]).table["used"].all()


def test_an_identifier_is_kept_where_the_user_says_so():
    frame = BASE.assign(id=range(N), name=[f"row{i}" for i in range(N)])
    assert "id" in prepared(sheet_of(frame), "y", keep=["id"]).encoded.names
    with pytest.raises(InputError, match="expected a column that can be used in keep, got 'name'"):
        prepared(sheet_of(frame), "y", keep=["name"])


def test_a_number_for_missing():
    frame = BASE.assign(a=np.where(np.arange(N) % 5 == 0, -999.0, BASE["a"]))
    found = prepared(sheet_of(frame), "y", missing_codes=[-999])
    assert np.isnan(found.encoded.X[:, 0]).sum() == 12
    assert "12 codes for missing, as was said" in found.notices[-1]


def test_rows_of_few_values_do_not_repeat():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 3, (200, 4)), columns=list("abcy"))
    assert prepared(sheet_of(frame), "y").repeats is None


@pytest.fixture
def named_nothing(tmp_path):
    """Columns called null, NA, None and nan, which hold such words, and one of numbers with two holes."""
    rng = np.random.default_rng(0)
    rows = np.arange(60)
    frame = pd.DataFrame(
        {
            "null": rng.normal(size=60).round(3),
            "NA": np.array(["NA", "None", "null"])[rows % 3],
            "None": np.where(rows % 2, "nan", "yes"),
            "nan": np.where(rows % 4, "a", ""),
            "n": np.where(rows == 5, "NA", np.where(rows == 6, "None", rng.normal(size=60).round(3).astype(str))),
        }
    )
    frame["y"] = np.where(frame["null"] > 0, "None", "some")
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_words_for_nothing_are_names_levels_and_classes(named_nothing):
    """They are missing among numbers only; an empty cell is missing everywhere."""
    data = CSV(path=str(named_nothing), target="y", kind="classification").load(0).in_canonical_order()
    assert data.class_names == ("None", "some")
    assert data.feature_names[:5] == ("null", "NA=NA", "NA=None", "NA=null", "None=yes")  # yes or nan
    assert [name.partition("=")[0] for name in data.input_names] == ["null", "NA", "None", "nan", "n"]
    assert said(data, "'n'", "'NA'", "'None'", "missing")
    assert not said(data, "column 'NA'", "missing")
    assert said(data, "column 'nan'", "15 missing values: a level of its own")


@pytest.mark.slow
def test_words_for_nothing_go_through_explain(named_nothing, tmp_path, monkeypatch, capsys):
    fast = functools.partial(explain, folds=3, seeds=1, permutations=99, null_trainings=19)
    monkeypatch.setattr("xai_bench.analysis.explain.explain", fast)
    command = ["xai-bench", "explain", str(named_nothing), "--target", "y", "--out", str(tmp_path / "answer")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert re.search(r"NA +category +one input of 3 columns", capsys.readouterr().out)
    table = pd.read_csv(tmp_path / "answer" / "inputs.csv", keep_default_na=False)
    assert set(table["input"]) == {"null", "NA", "None", "nan", "n"}
    assert ">null<" in (tmp_path / "answer" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py")), ids=lambda file: file.stem
)
def test_benchmarks_read_their_tables_as_they_were_written(file):
    """``null`` is a dataset: whoever reads a kept table says that only an empty cell is missing."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "read_csv":
            options = {option.arg for option in node.keywords}
            assert "keep_default_na" in options, f"line {node.lineno}: add keep_default_na=False"
