"""Figures as SVG text: nothing is lost by what is left out, and parts of two figures cannot be confused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from xai_bench.report.kit import drawing, vector

PATH = "M 10.04 20.06 \nL 10.04 15 \nL 30.2 15 \nL 40 5.26 \nC 1 2 3 4 5 6 \nL 5 9 \nz \nM -0.04 3 \nL 2 3"


def ends(path: str) -> list[tuple[str, float, float]]:
    """Command and end of every step; lines along an axis count as lines."""
    found, x, y = [], 0.0, 0.0
    for command, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        numbers = [float(number) for number in text.split()]
        if command == "H":
            x = numbers[0]
        elif command == "V":
            y = numbers[0]
        elif numbers:
            x, y = numbers[-2:]
        found.append(("L" if command in "HV" else command, x, y))
    return found


def test_a_short_path_leads_where_the_long_one_does():
    short = vector._path(PATH)
    assert len(short) < 0.7 * len(PATH)
    assert {"H", "V"} <= set(short)
    for own, other in zip(ends(short), ends(PATH), strict=True):
        assert own[0] == other[0]
        assert own[1:] == pytest.approx(other[1:], abs=0.0501)


def test_parts_that_are_drawn_twice_are_drawn_once():
    assert vector._path("M 1 2 L 1 3 M 1 2.01 L 1 3 M 1 2 L 1 4") == "M1 2V3M1 2V4"


def figure(key: str) -> str:
    with drawing.style():
        drawn, axes = drawing.new(3.0, 2.0)
        axes[0, 0].plot(np.repeat([1.0, 2.0, 3.0], 100), np.repeat([1.0, 2.0, 3.0], 100), "o", color=drawing.INK)
        axes[0, 0].set_title("a < b & c")
        return drawing.svg(drawn, key)


def test_marks_on_one_another_are_one_and_the_text_stays():
    text = figure("k")
    (marks,) = re.findall(r"<g clip-path[^>]*>((?:<use[^>]*/>)+)</g>", text)
    assert len(re.findall("<use", marks)) == 3
    assert ">a &lt; b &amp; c<" in text
    assert "var(--ink)" in text
    assert drawing.INK not in text
    assert "<g>" not in text
    assert 'style="fill:none"' not in text


def test_what_is_referred_to_is_there_and_named_by_the_key():
    text = figure("mine")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("mine-") for name in ids)
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)) <= {(name, "") for name in ids} | {
        ("", n) for n in ids
    }
