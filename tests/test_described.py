"""``xai-bench list NAME``: every field of every component, as the class declares it."""

from __future__ import annotations

import json
import sys
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from xai_bench import Explainer, InputError, cli, registry
from xai_bench.described import description
from xai_bench.results import boards
from xai_bench.suites import shipped

EVERY = [f"{family}/{name}" for family in registry.FAMILIES for name in registry.names(family)]


@pytest.mark.parametrize("full", EVERY)
def test_every_component_is_described_with_all_its_fields(full):
    found, (family, name) = description(full), full.split("/")
    component = registry.get(family, name)
    fields = set() if family == "metrics" else set(component.model_fields)
    assert {line.name for line in found.fields} == fields
    assert found.text.strip()
    assert found.facts["source"] == registry.source(family, name)
    assert all("\n" not in line for line in found.lines())
    for line in found.fields:
        field = component.model_fields[line.name]
        assert (line.default is None) == field.is_required()
        assert line.takes not in ("", "nothing", "a value")


class Base(Explainer):
    """A base."""

    inherited: float = 0.5
    """Of the base."""


class Described(Base):
    """What it says.

    And more.
    """

    name: ClassVar[str] = "described"
    needs: ClassVar[str] = "data"

    rows: Annotated[int, Field(ge=2, le=9)]
    """Rows of
    the thing."""
    way: str = Field("up", description="which way")

    def relevance(self, problem):
        return problem.X_train.var(0)


def test_fields_have_bounds_defaults_and_texts(plugin_registry):
    plugin_registry.register(Described)
    found = description("described")
    assert found.text == "What it says.\n\nAnd more."
    first, second, third = found.fields[:3]
    assert (first.name, first.takes, first.default, first.text) == (
        "rows", "a whole number >= 2 and <= 9", None, "Rows of the thing.",
    )  # fmt: skip
    assert (second.name, second.default, second.text) == ("way", "'up'", "which way")
    assert (third.name, third.takes, third.default, third.text) == ("inherited", "a number", "0.5", "Of the base.")
    assert found.fields[3].name == "max_inputs"
    assert found.fields[3].default == "not set"
    assert found.facts["needs"] == "rows only, no network"
    assert found.facts["cost"] == "not measured in a shipped comparison"
    lines = found.lines()
    assert "  rows: a whole number >= 2 and <= 9; required" in lines
    assert "      Rows of the thing." in lines


def test_costs_are_medians_of_a_shipped_comparison():
    board = boards.shipped("quick")
    seconds = f"{board.costs['saliency']:.3g} CPU seconds an explanation, with its set-up, median in quick"
    assert seconds in description("saliency").facts["cost"]
    assert " CPU seconds a training, median in quick" in description("spectral_mlp").facts["cost"]


@pytest.mark.parametrize("name", shipped.shipped())
def test_every_suite_says_what_it_holds(name):
    facts = description(f"suites/{name}").facts
    assert any(key.startswith("datasets (") for key in facts)
    assert any(key.startswith("explainers (") for key in facts)


def test_the_command_describes_or_lists(monkeypatch, capsys):
    def output(*arguments):
        monkeypatch.setattr(sys, "argv", ["xai-bench", "list", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr().out

    assert output("saliency") == "\n".join(description("saliency").lines()) + "\n"
    assert json.loads(output("saliency", "--json"))["facts"]["needs"] == "a network with gradients"
    assert output("explainers").startswith("explainers:\n")


def test_a_name_that_is_none_or_several_is_told(plugin_registry):
    with pytest.raises(InputError, match="unknown suite, component or kind 'salency': did you mean saliency"):
        description("salency")
    with pytest.raises(InputError, match="unknown explainer 'xor'"):
        description("explainers/xor")
    plugin_registry.register(type("Xor", (Described,), {"name": "xor", "__module__": __name__}))
    with pytest.raises(InputError, match="stands for several things: expected datasets/xor or explainers/xor"):
        description("xor")


def command_names():
    return [command.name for command in (*cli.app.registered_commands, *cli.data_app.registered_commands)]


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("name", ["", *command_names()])
def test_every_command_has_help_in_short(flag, name, monkeypatch, capsys):
    words = ["data", name] if name in [c.name for c in cli.data_app.registered_commands] and name != "list" else [name]
    monkeypatch.setattr(sys, "argv", ["xai-bench", *filter(None, words), flag])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "-h, --help" in capsys.readouterr().out
