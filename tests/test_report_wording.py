"""Numbers and names as a report writes them."""

from __future__ import annotations

import pytest

from xai_bench.report.kit import wording


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot read '/home/me/x y/data.csv': gone", "cannot read 'data.csv': gone"),
        ("cannot read '/home/me/data.csv': gone", "cannot read 'data.csv': gone"),
        (r"no file C:\Users\me\data.csv", "no file data.csv"),
        ("csv:/srv/a/b.csv", "csv:b.csv"),
        ("~/runs/a.csv", "a.csv"),
        ("accuracy 3/4, a/b", "accuracy 3/4, a/b"),
        ("see https://arxiv.org/abs/2406.01183", "see https://arxiv.org/abs/2406.01183"),
        ("two\nlines", "two lines"),
    ],
)
def test_paths_are_cut(text, expected):
    assert wording.without_paths(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (4.2e-7, "0.4 µs"), (1.49e-4, "149 µs"), (0.0032, "3.2 ms"), (0.9996, "1.0 s"), (1234.0, "1,234 s"),
     (9.96, "10 s"), (float("nan"), "–")],
)  # fmt: skip
def test_seconds(value, expected):
    assert wording.seconds(value) == expected
