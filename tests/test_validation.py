"""Wrong fields of every component and table of a suite: one line in plain words, that names component and field."""

from __future__ import annotations

import datetime
import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from xai_bench import registry
from xai_bench.component import Component
from xai_bench.errors import InputError
from xai_bench.suites import reading
from xai_bench.validation import expected

REQUIRED = {
    "csv": {"path": "table.csv", "target": "y", "kind": "regression"},
    "simulated": {"path": "table.csv"},
    "captum": {"method": "Saliency"},
    "shap": {"method": "KernelExplainer"},
    "given": {"module": torch.nn.Linear(2, 2)},
}
COMPONENTS = [(family, name) for family in ("datasets", "models", "explainers") for name in registry.names(family)]
FRAME = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
NOWHERE = [
    *(object(), b"bytes", 1j, datetime.date(2020, 1, 1), {1, 2}, iter([1]), float("nan"), float("inf"), 10**5000),
    *([[[1]]], {1: 2}, {"a": [1]}, [None], [object()], np.array([[1.0]]), np.array(["a", None]), lambda: 0, 2**63),
]
"""Values that no field takes."""
SOMEWHERE = [None, True, 0, -1, 5, 0.5, -0.5, "", "relu", "many", [], [1], ["a"], [0.5, -1], {}, {"a": 1}, FRAME]
"""Values that some fields take, and others do not."""
JARGON = re.compile(
    r"input should|\bvalid\b|pydantic|instance|literal|value error|value_error|tuple|dict\b|\bint\b|\bstr\b|\bbool\b|"
    r"NoneType|Traceback|https?:",
    re.IGNORECASE,
)


def line_of(make: Any) -> str:
    """The one line that ``make`` raises; empty if it raises nothing."""
    try:
        make()
    except InputError as error:
        line = str(error)
        assert len(line.splitlines()) == 1, line
        assert not JARGON.search(re.sub(r", got .*", "", line)), line
        assert len(line) < 700, line
        return line
    return ""


@pytest.mark.parametrize(("family", "name"), COMPONENTS)
def test_every_field_of_every_component(family, name):
    fields = registry.get(family, name).model_fields
    for field in fields:
        for value in NOWHERE:
            line = line_of(lambda: registry.create(family, name, {**REQUIRED.get(name, {}), field: value}))  # noqa: B023
            assert line.startswith((f"{name}: {field}: expected ", f"{name}: unknown entry 'a' in 'parameters'")), line
            assert ", got " in line or "unknown entry" in line
        for value in SOMEWHERE:
            line = line_of(lambda: registry.create(family, name, {**REQUIRED.get(name, {}), field: value}))  # noqa: B023
            assert not line or line.startswith((f"{name}: ", "unknown ")), line
    assert line_of(lambda: registry.create(family, name, {**REQUIRED.get(name, {}), "colour": 1})).startswith(
        f"{name}: unknown field 'colour'"
    )


SUITE = {
    "name": "fields",
    "datasets": [{"name": "xor"}],
    "models": [{"name": "mlp"}],
    "explainers": [{"name": "saliency"}],
}
TABLES = {
    "limits": "seconds memory",
    "tuning": "tries",
    "retention": "orders ks masked_to least_first rows seeds judge",
}
TABLES |= dict.fromkeys(("calibration", "sanity"), "datasets models explainers")


@pytest.mark.parametrize("value", [*NOWHERE, *SOMEWHERE], ids=lambda value: type(value).__name__)
def test_every_field_of_a_suite(value):
    for field in set(reading.Suite.model_fields) - {"name"}:
        line = line_of(lambda: reading.from_dict({**SUITE, field: value}))  # noqa: B023
        assert line or any(value is other for other in SOMEWHERE), field
        assert not line or field in line, line
    for table, names in TABLES.items():
        for field in names.split():
            if field == "judge" and isinstance(value, dict):
                continue  # its names are those of the judge
            line = line_of(lambda: reading.from_dict({**SUITE, table: {field: value}}))  # noqa: B023
            assert line or any(value is other for other in SOMEWHERE), (table, field)
            assert not line or line.startswith(f"[{table}]: {field}") or "unknown" in line, line


@pytest.mark.parametrize("value", [*NOWHERE, *SOMEWHERE], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("axis", ["datasets", "models", "explainers"])
def test_every_word_of_an_entry(axis, value):
    for word in ("name", "label", "grid", "optional", "standardise", "datasets", "tune", 5):
        (plain,) = SUITE[axis]
        for row in ({**plain, word: value}, {**plain, "grid": {word: value}}, {**plain, "tune": {word: value}}):
            line_of(lambda: reading.from_dict({**SUITE, axis: [row], "tuning": {"tries": 2}}))  # noqa: B023
    line_of(lambda: reading.from_dict({**SUITE, axis: value}))
    line_of(lambda: reading.from_dict({**SUITE, axis: [value]}))


def test_a_single_value_is_a_list_of_one():
    net = registry.create("models", "mlp", {"hidden": 50, "activations": "relu", "batch_norm": True, "dropout": 0.1})
    assert net == registry.create(
        "models", "mlp", {"hidden": [50], "activations": ["relu"], "batch_norm": [True], "dropout": [0.1]}
    )
    assert net.identity()["fields"]["hidden"] == [50]
    assert registry.create("datasets", "csv", {**REQUIRED["csv"], "drop": "id"}).drop == ("id",)
    suite = reading.from_dict({**SUITE, "retention": {"ks": 5}, "sanity": {"models": "mlp"}})
    assert suite.retention.ks == (5,)
    assert suite.sanity.models == ("mlp",)
    assert "expected a list of 3 numbers, got 1" in line_of(
        lambda: registry.create("datasets", "suppressor", {"strengths": 1.0})
    )


def test_numbers_of_numpy_ranges_and_paths_are_taken():
    net = registry.create(
        "models", "mlp", {"hidden": np.array([5, 6]), "min_steps": np.int64(7), "epochs": np.float32(0.5)}
    )
    assert (net.hidden, net.min_steps, net.epochs) == ((5, 6), 7, 0.5)
    assert type(net.min_steps) is int
    assert registry.create("datasets", "csv", {**REQUIRED["csv"], "path": Path("a") / "b.csv"}).path == "a/b.csv"
    suite = reading.from_dict({**SUITE, "data_seeds": range(3), "retention": {"ks": np.arange(1, 4)}})
    assert (suite.data_seeds, suite.retention.ks) == ((0, 1, 2), (1, 2, 3))


def test_grids_and_nested_tables_take_them_too():
    row, listed = {"name": "mlp", "datasets": ("null",)}, {"name": "mlp", "datasets": ["null"]}
    grid = {"hidden": ((5,), (6,)), "min_steps": np.array([7, 8])}
    content = {**SUITE, "datasets": [{"name": "null"}], "retention": {"judge": {"hidden": [np.int64(4)]}}}
    suite = reading.from_dict({**content, "models": [{**row, "grid": grid}]})
    grid = {"hidden": [[5], [6]], "min_steps": [7, 8]}
    content |= {"retention": {"judge": {"hidden": [4]}}}
    assert suite.key() == reading.from_dict({**content, "models": [{**listed, "grid": grid}]}).key()
    tuned = [{"name": "mlp", "tune": {"min_steps": few}} for few in (range(7, 9), [7, 8])]
    one, other = (reading.from_dict({**SUITE, "models": [row], "tuning": {"tries": 2}}) for row in tuned)
    assert one.key() == other.key()
    assert "got a very large number" in line_of(lambda: reading.from_dict({**SUITE, "plugins": 10**5000}))


@pytest.mark.parametrize("where", ["data_seeds", "model_seeds", "seeds"])
def test_one_number_for_seeds_says_both_meanings(where):
    change = {"retention": {"seeds": 3}} if where == "seeds" else {where: 3}
    line = line_of(lambda: reading.from_dict({**SUITE, **change}))
    assert line.endswith(
        f"{where}: expected a list of seeds, got 3: write [3] for that seed alone, or [0, 1, 2] for 3 seeds"
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"activations": "r"},
            "mlp: activations: expected a list of one or more values, each 'relu' or 'tanh', got 'r'",
        ),
        ({"activations": ["rleu"]}, "'relu' or 'tanh', got ['rleu']: did you mean 'relu'?"),
        ({"schedule": "cosin"}, "mlp: schedule: expected 'cosine' or 'constant', got 'cosin': did you mean 'cosine'?"),
        ({"hidden": [10, 0]}, "mlp: hidden: expected a list of one or more whole numbers >= 1, got [10, 0]"),
        (
            {"hidden": [*range(1, 99), "x"]},
            "mlp: hidden: expected a list of one or more whole numbers >= 1, got 'x' at place 99",
        ),
        ({"dropout": 1.0}, "mlp: dropout: expected a list of one or more numbers >= 0 and < 1, got 1.0"),
        ({"epochs": float("inf")}, "mlp: epochs: expected a finite number > 0, got inf"),
        ({"epochs": "x" * 999}, f"mlp: epochs: expected a number > 0, got '{'x' * 75} ..."),
        ({"hidden": FRAME}, "got a value of the type DataFrame"),
        ({"min_steps": 10**5000}, "mlp: min_steps: expected whole numbers below 2^63, got a very large number"),
    ],
)
def test_the_words(fields, line):
    found = line_of(lambda: registry.create("models", "mlp", fields))
    assert found == line if line.startswith("mlp") else line in found


class Colour(Enum):
    red = "red"
    blue = "blue"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    size: int


class Probe(Component):
    """Fields such as plugins may have."""

    family: ClassVar[str] = "datasets"
    name: ClassVar[str] = "probe"

    whole: int = 1
    number: Annotated[float, Field(gt=0), Field(le=1)] = 1.0
    text: Annotated[str, Field(min_length=2, max_length=3)] = "ab"
    choice: Literal["a", 1] = "a"
    colour: Colour = Colour.red
    either: int | str | None = None
    pairs: tuple[tuple[int, str], ...] = ()
    listed: list[int] = []
    held: dict[str, tuple[int, ...]] = {}
    inner: Inner | None = None
    path: Path = Path()
    day: datetime.date | None = None
    odd: int = 1
    asserted: int = 1

    @field_validator("odd")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("Expected an odd number\nas everybody knows")
        return value

    @field_validator("asserted")
    @classmethod
    def _asserted(cls, value: int) -> int:
        assert value == 1
        return value

    @model_validator(mode="after")
    def _together(self) -> Probe:
        if self.whole > 100:
            raise ValueError("expected whole <= 100\nalways")
        return self


@pytest.mark.parametrize("field", Probe.model_fields)
def test_fields_of_other_types(field):
    for value in [*NOWHERE, *SOMEWHERE, {"size": "x"}, {"size": 1, "colour": 2}, [[1]], [[1, "a", 2]], "c"]:
        line = line_of(lambda: Probe(**{field: value}))  # noqa: B023
        assert not line or line.startswith(f"probe: {field}: "), line


def test_the_words_of_a_validator():
    assert line_of(lambda: Probe(odd=2)) == "probe: odd: expected an odd number, got 2"
    assert line_of(lambda: Probe(whole=101)) == "probe: expected whole <= 100"
    assert line_of(lambda: Probe(inner={"size": 1, "colour": 2})).startswith("probe: inner: expected a table, got {")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(JSON, st.sampled_from(sorted(Probe.model_fields)))
def test_anything(value, field):
    line = line_of(lambda: Probe(**{field: value}))
    assert not line or line.startswith("probe: "), line


@given(JSON, st.sampled_from(sorted({*reading.Suite.model_fields} - {"name"})))
def test_anything_in_a_suite(value, field):
    line_of(lambda: reading.from_dict({**SUITE, field: value}))


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (int | None, "a whole number"),
        (Annotated[int, Field(ge=1)], "a whole number >= 1"),
        (Annotated[float, Field(gt=0, lt=1)] | None, "a number > 0 and < 1"),
        (tuple[int, ...], "a list of whole numbers"),
        (tuple[float, float], "a list of 2 numbers"),
        (tuple[int, str], "a list of 2 values (a whole number, a text)"),
        (list[str], "a list of texts"),
        (tuple[tuple[bool, ...], ...], "a list of lists of true or false values"),
        (dict[str, int], "a table of whole numbers"),
        (dict[str, Any], "a table"),
        (Literal["a", "b", "c"], "'a', 'b' or 'c'"),
        (int | str, "a whole number or a text"),
        (Colour, "'red' or 'blue'"),
        (Inner, "a table"),
        (Path, "a value of the type Path"),
    ],
)
def test_types_in_words(annotation, words):
    assert expected(annotation) == words
