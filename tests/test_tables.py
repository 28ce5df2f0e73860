"""The user's own tables: what is read, the key, and one line for every table that cannot be used."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest

from xai_bench import registry, run
from xai_bench.component import sha256
from xai_bench.datasets.tables import CSV
from xai_bench.errors import InputError


def good(n=40):
    values = np.random.default_rng(0).normal(size=(n, 3)).round(6)
    return pd.DataFrame({"a": values[:, 0], "b": values[:, 1], "c": values[:, 2], "y": np.arange(n) % 2})


@pytest.fixture
def write(tmp_path):
    def to_file(content, name="table.csv"):
        file = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_parquet(file) if file.suffix.lower() == ".parquet" else content.to_csv(file, index=False)
        elif isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content)
        return str(file)

    return to_file


def classes(path, **fields):
    return CSV(path=path, target="y", kind="classification", **fields)


def regression(path, **fields):
    return CSV(path=path, target="y", kind="regression", **fields)


def line_of(source):
    """The error line of a table that cannot be loaded."""
    with pytest.raises(InputError) as caught:
        source.load(0)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("csv: ")
    assert "expected" in line or "unknown" in line or "needs" in line
    return line


class TestReading:
    def test_a_table(self, write):
        frame = good()
        table = classes(write(frame)).draw(np.random.default_rng(0))
        np.testing.assert_array_equal(table.X, frame[["a", "b", "c"]])
        np.testing.assert_array_equal(table.y, frame["y"])
        assert (table.feature_names, table.target_name, table.class_names) == (("a", "b", "c"), "y", ("0", "1"))
        assert table.truth is None
        assert table.notices == ()

    def test_loads_through_the_registry(self, write):
        path = write(good())
        source = registry.create("datasets", f"csv:{path}", {"target": "y", "kind": "classification", "drop": ["b"]})
        data = source.load(0)
        assert sorted(data.feature_names) == ["a", "c"]
        assert data.n_outputs == 2

    def test_text_labels(self, write):
        frame = good().assign(y=["no", "yes", "no", "perhaps"] * 10)
        table = classes(write(frame)).draw(np.random.default_rng(0))
        assert table.class_names == ("no", "perhaps", "yes")
        assert [table.class_names[label] for label in table.y] == list(frame["y"])

    def test_labels_need_not_begin_at_zero(self, write):
        table = classes(write(good().assign(y=[7, 3] * 20))).draw(np.random.default_rng(0))
        assert table.class_names == ("3", "7")
        assert list(table.y[:2]) == [1, 0]

    def test_decimal_labels(self, write):
        table = classes(write(good().assign(y=[1.0, 2.5] * 20))).draw(np.random.default_rng(0))
        assert table.class_names == ("1", "2.5")

    def test_booleans(self, write):
        frame = good().assign(b=[True, False, False, True] * 10, y=[False, True] * 20)
        table = classes(write(frame)).draw(np.random.default_rng(0))
        assert table.class_names == ("False", "True")
        np.testing.assert_array_equal(table.y, frame["y"])
        np.testing.assert_array_equal(table.X[:, 1], frame["b"])

    def test_regression(self, write):
        frame = good().assign(y=np.linspace(5, 6, 40))
        data = regression(write(frame)).load(0)
        assert (data.n_outputs, data.class_names) == (1, ())
        assert data.y_train.min() >= 5

    def test_blanks_after_commas(self, write):
        text = good().to_csv(index=False).replace(",", ", ")
        assert classes(write(text)).draw(np.random.default_rng(0)).feature_names == ("a", "b", "c")

    def test_packed(self, tmp_path):
        good().to_csv(tmp_path / "table.csv.gz", index=False)
        assert classes(str(tmp_path / "table.csv.gz")).load(0).d == 3

    def test_a_column_without_a_name_gets_a_notice(self, write, tmp_path):
        good().to_csv(tmp_path / "table.csv")
        data = classes(str(tmp_path / "table.csv")).load(0)
        (notice,) = data.notices
        assert "'Unnamed: 0': it counts the rows: an identifier; left out" in notice
        assert data.d == 3

    @pytest.mark.parametrize("nullable", [False, True])
    def test_parquet_by_the_ending(self, write, nullable):
        frame = good().convert_dtypes() if nullable else good()
        source = classes(write(frame, "table.parquet"))
        table = source.draw(np.random.default_rng(0))
        np.testing.assert_array_equal(table.X, frame[["a", "b", "c"]].to_numpy(dtype=float))
        np.testing.assert_array_equal(table.y, frame["y"])
        assert source.load(0).d == 3

    def test_parquet_of_other_types(self, write):
        frame = good().assign(b=[True, False] * 20, c=np.arange(40, dtype=np.int16) % 9, y=["no", "yes"] * 20)
        frame["b"] = [True, False, False, True] * 10
        table = classes(write(frame, "table.PARQUET")).draw(np.random.default_rng(0))
        np.testing.assert_array_equal(table.X, frame[["a", "b", "c"]].to_numpy(dtype=float))
        assert table.class_names == ("no", "yes")

    def test_parquet_with_missing_values(self, write):
        frame = good().convert_dtypes()
        frame.loc[3, "b"] = pd.NA
        data = classes(write(frame, "table.parquet")).load(0)
        assert np.isfinite(np.concatenate([data.X_train, data.X_valid, data.X_test])).all()
        assert "column 'b': 1 missing value; filled" in data.notices[0]


class TestKey:
    def test_holds_the_content_and_not_the_place(self, write, tmp_path):
        path = write(good())
        (tmp_path / "elsewhere").mkdir()
        copy = shutil.copy(path, tmp_path / "elsewhere" / "renamed.csv")
        identity = classes(path).identity()
        assert identity == classes(str(copy)).identity()
        assert identity["fingerprint"] == {"sha256": sha256((tmp_path / "table.csv").read_bytes())}
        assert str(tmp_path) not in json.dumps(identity)
        assert identity["fields"] == {"target": "y", "kind": "classification", "drop": []}

    def test_changes_with_content_and_fields(self, write):
        one = classes(write(good())).identity()
        assert classes(write(good(41), "b.csv")).identity() != one
        assert classes(write(good(), "c.csv"), drop=("a",)).identity() != one
        assert regression(write(good(), "d.csv")).identity() != one

    def test_fields_still_build_the_same_component(self, write):
        source = classes(write(good()), drop=("a",))
        assert CSV(**json.loads(json.dumps(source.fields()))) == source

    def test_of_a_missing_file(self):
        assert classes("nowhere/table.csv").fingerprint() == {}


class TestBadFiles:
    def test_missing(self):
        source = classes("nowhere/table.csv")
        assert source.missing() == line_of(source)
        assert "expected a file at 'nowhere/table.csv', found nothing" in line_of(source)

    def test_a_folder(self, tmp_path):
        assert "found a folder" in line_of(classes(str(tmp_path)))

    def test_empty(self, write):
        assert "'table.csv' is empty" in line_of(classes(write("")))

    def test_header_only(self, write):
        assert "has 0 rows of 4 columns: expected a header line and rows" in line_of(classes(write("a,b,c,y\n")))

    def test_ragged(self, write):
        line = line_of(classes(write("a,b,y\n1,2,0\n1,2,3,4,1\n")))
        assert "cannot read 'table.csv'" in line
        assert "line 3" in line

    def test_binary(self, write):
        assert "cannot read 'table.csv'" in line_of(classes(write(bytes(range(256)) * 9)))

    def test_a_line_break_in_a_name(self, write):
        text = '"a\nb",c,y\n' + "1,2,0\n4,5,1\n" * 20
        assert "column names of one line, got 'a\\nb'" in line_of(CSV(path=write(text), target="z", kind="regression"))

    def test_broken_gzip(self, write):
        assert "cannot read 'table.csv.gz'" in line_of(classes(write(b"no gzip", "table.csv.gz")))

    def test_more_fields_than_the_header(self, write):
        text = "a,b,y\n" + "1,2,3,0\n4,5,6,1\n" * 20
        assert "more fields than the header" in line_of(classes(write(text)))

    def test_a_name_twice(self, write):
        text = "a,b,y,y\n" + "1,2,0,0\n4,5,1,1\n" * 20
        assert "once, got 'y' again: rename" in line_of(classes(write(text)))

    @pytest.mark.parametrize("separator", [";", "\t", "|"])
    def test_other_separators(self, write, separator):
        data = classes(write(good().to_csv(index=False, sep=separator))).load(0)
        assert data.content_hash == classes(write(good(), "commas.csv")).load(0).content_hash

    def test_no_excel_library(self, write, monkeypatch):
        def absent(path):
            raise ImportError("no module")

        monkeypatch.setattr(pd, "ExcelFile", absent)
        assert "pip install 'xai-bench[excel]'" in line_of(classes(write("not read", "table.xlsx")))

    def test_no_parquet_library(self, write, monkeypatch):
        def absent(path):
            raise ImportError("Unable to find a usable engine")

        monkeypatch.setattr(pd, "read_parquet", absent)
        assert "pip install pyarrow" in line_of(classes(write("not read", "table.parquet")))

    def test_no_parquet_file(self, write):
        assert "cannot read 'table.parquet' as a table" in line_of(classes(write("no parquet", "table.parquet")))


class TestBadColumns:
    def test_no_target(self, write):
        frame = good().rename(columns={"y": "outcome"})
        source = CSV(path=write(frame), target="outcom", kind="classification")
        assert "unknown column 'outcom': did you mean outcome?" in line_of(source)

    def test_unknown_drop(self, write):
        frame = good().rename(columns={"c": "colour"})
        assert "unknown column 'color': did you mean colour?" in line_of(classes(write(frame), drop=("color",)))

    def test_target_in_drop(self, write):
        assert "expected a target that is kept, got 'y' in drop too" in line_of(classes(write(good()), drop=("y",)))

    def test_text_is_a_category(self, write):
        frame = good().assign(town=["Bonn", "Köln", "Ulm", "Bonn"] * 10, c=["1.5", "2"] * 19 + ["1.5", "?"])
        data = classes(write(frame)).load(0)
        assert sorted(data.input_names) == ["a", "b", "c", "town"]
        assert sorted(data.feature_names) == ["a", "b", "c", "town=Bonn", "town=Köln", "town=Ulm"]
        (notice,) = data.notices
        assert "column 'c': the word '?' read as missing" in notice

    def test_what_says_nothing_is_left_out(self, write):
        frame = good().assign(town="Bonn", b=np.nan, c=7)
        table = classes(write(frame.assign(d=good()["b"]))).draw(np.random.default_rng(0))
        assert table.feature_names == ("a", "d")
        assert len(table.notices) == 3
        assert all(notice.endswith("left out") for notice in table.notices)

    def test_missing_values(self, write):
        frame = good()
        frame.loc[[1, 2, 5], "b"] = np.nan
        frame.loc[0, "c"] = np.inf
        data = classes(write(frame)).load(0)
        missing = np.isin(data.X_train[:, data.feature_names.index("a")], np.float32(frame.loc[[1, 2, 5], "a"]))
        b = data.X_train[:, data.feature_names.index("b")]
        assert missing.any()
        np.testing.assert_allclose(b[missing], np.median(b[~missing]))
        assert ["3 missing values" in notice for notice in data.notices] == [True, False]
        assert "read as missing" in data.notices[1]

    def test_missing_booleans(self, write):
        frame = good().assign(b=[True, None, False, None] * 10)
        data = classes(write(frame)).load(0)
        assert set(np.unique(data.X_train[:, data.feature_names.index("b=True")])) == {0, 1}
        assert "column 'b': 20 missing values: a level of its own" in data.notices[0]

    @pytest.mark.parametrize("name", ["b", "y"])
    def test_numbers_beyond_single_precision(self, write, name):
        frame = good().assign(y=np.linspace(0, 1, 40))
        line = line_of(regression(write(frame.assign(**{name: frame[name] * 1e300}))))
        assert f"larger ones in {'the target' if name == 'y' else 'column ' + repr(name)}" in line
        line = line_of(regression(write(frame.assign(**{name: 1.7e9 + np.arange(40) + 0.5}))))
        assert "values up to 1.7e+09 that differ by 39 at most: subtract their mean" in line
        regression(write(frame.assign(**{name: 1.7e9 + 86400 * np.arange(40)}))).load(0)

    def test_dates(self, write):
        frame = good().assign(b=pd.date_range("2020-01-02", periods=40, freq="D"))
        table = classes(write(frame, "table.parquet")).draw(np.random.default_rng(0))
        np.testing.assert_array_equal(table.X[:, 1], np.arange(40))
        assert "dates from 2020-01-02 to 2020-02-10" in table.notices[0]

    def test_one_column(self, write):
        assert "expected at least 2 inputs to rank, got 1" in line_of(classes(write(good()), drop=("a", "b")))
        assert "expected at least 2 inputs to rank, got 0" in line_of(classes(write(good()), drop=("a", "b", "c")))

    def test_few_rows(self, write):
        for rows in (1, 2, 19):
            assert "expected at least 20 rows" in line_of(classes(write(good(rows))))


class TestBadTargets:
    def test_missing_values(self, write):
        frame = good().assign(y=["ill", "well", None, "ill"] * 10)
        assert "got 10 missing values in 'y'" in line_of(classes(write(frame)))

    def test_one_class(self, write):
        assert "got one class only" in line_of(classes(write(good().assign(y="same"))))

    def test_constant(self, write):
        assert "got one value only" in line_of(regression(write(good().assign(y=1.5))))

    def test_a_number_as_class(self, write):
        values = np.repeat(np.linspace(0, 1, 51), 4)
        line = line_of(classes(write(good(204).assign(y=values))))
        assert "has 51 different decimal numbers: expected at most 50 classes" in line
        assert "regression" in line

    def test_fifty_decimal_classes_are_accepted(self, write):
        values = np.repeat(np.linspace(0, 1, 50), 4)
        assert classes(write(good(200).assign(y=values))).load(0).n_outputs == 50

    def test_a_class_for_every_row(self, write):
        line = line_of(classes(write(good().assign(y=[f"row {j}" for j in range(40)]))))
        assert "has 40 classes in 40 rows" in line

    def test_text_in_a_regression(self, write):
        line = line_of(regression(write(good().assign(y=["1"] * 39 + ["high"]))))
        assert "holds text such as 'high': expected numbers for a regression" in line

    def test_infinite(self, write):
        frame = good().assign(y=np.linspace(0, 1, 40))
        frame.loc[0, "y"] = np.inf
        assert "got missing, infinite or larger ones in the target" in line_of(regression(write(frame)))


class TestFields:
    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({"path": "t.csv", "kind": "classification"}, "csv: the field 'target' is required"),
            ({"path": "t.csv", "target": "y"}, "csv: the field 'kind' is required"),
            ({"target": "y", "kind": "regression"}, "csv: the field 'path' is required"),
            ({"path": "t.csv", "target": "y", "kind": "ranking"}, "'classification' or 'regression', got 'ranking'"),
            ({"path": "t.csv", "target": "y", "kind": "regression", "dorp": ["a"]}, "did you mean drop?"),
        ],
    )
    def test_a_wrong_value_is_one_line(self, fields, line):
        with pytest.raises(InputError) as caught:
            CSV(**fields)
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)


class TestDataFrame:
    FRAME = pd.DataFrame(
        {"a": np.arange(40.0), "b": np.arange(40) % 7, "c": ["u", "v"] * 20, "y": ["p", "q", "q", "p"] * 10}
    )

    def source(self, frame=None, **fields) -> CSV:
        frame = self.FRAME if frame is None else frame
        return CSV(path=frame, **{"target": "y", "kind": "classification", "drop": "c", **fields})

    def test_is_read_as_a_file_of_it_would_be(self, tmp_path):
        self.FRAME.to_csv(tmp_path / "t.csv", index=False)
        from_file = self.source(str(tmp_path / "t.csv")).load(0)
        held = self.source().load(0)
        assert held.feature_names == from_file.feature_names
        assert held.content_hash == from_file.content_hash
        assert held.class_names == ("p", "q")
        assert self.source().label == "table"
        assert self.source().missing() is None

    def test_its_content_is_its_identity(self):
        source = self.source()
        same = self.source(self.FRAME.set_index(np.arange(40) + 5))
        assert source.identity() == same.identity()
        assert source == same
        assert hash(source) == hash(same)
        other = pickle.loads(pickle.dumps(source))
        assert other == source
        assert other.load(0).content_hash == source.load(0).content_hash
        for changed in (
            self.FRAME.assign(a=self.FRAME["a"] + 1e-9),
            self.FRAME.rename(columns={"a": "A"}),
            self.FRAME.astype({"b": float}),
            self.FRAME[["b", "a", "c", "y"]],
            self.FRAME[::-1],
            self.FRAME.head(39),
        ):
            assert self.source(changed).identity() != source.identity()

    def test_a_later_change_of_it_changes_nothing(self):
        frame = self.FRAME.copy()
        source = self.source(frame)
        before = source.load(0).content_hash
        frame.loc[3, "a"] = 99.0
        assert source.load(0).content_hash == before

    def test_in_a_suite(self, tmp_path):
        table = {"name": "csv", "path": self.FRAME, "target": "y", "kind": "classification", "drop": ["c"]}
        suite = {"name": "held", "data_seeds": [0], "datasets": [table], "explainers": [{"name": "f_test"}]}
        assert set(run(suite, out=tmp_path).cells["status"]) == {"done", "unsupported"}
        totals = []
        run(suite, out=tmp_path, on_progress=lambda progress: totals.append(progress.total))
        assert max(totals, default=0) == 0

    @pytest.mark.parametrize(
        ("frame", "line"),
        [
            (FRAME.rename(columns={"b": "a"}), "expected each column of the table once, got 'a' again"),
            (FRAME.head(0), "'table' has 0 rows of 4 columns"),
            (FRAME.assign(a=[[1]] * 40), "expected numbers, texts or booleans in the cells"),
            (FRAME["a"], "expected the path of a file, or a pandas DataFrame, got a value of the type Series"),
            (FRAME.to_numpy(), "expected the path of a file, or a pandas DataFrame"),
            (type("DataFrame", (), {})(), "expected the path of a file, or a pandas DataFrame"),
        ],
    )
    def test_what_cannot_be_used_is_one_line(self, frame, line):
        with pytest.raises(InputError) as caught:
            self.source(frame).load(0)
        assert line in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
