"""The answer as a page that stands for itself, and in Markdown."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xai_bench.analysis.found import SURE, Found
from xai_bench.analysis.trust_words import words as trust_words
from xai_bench.analysis.verdict import Verdict
from xai_bench.analysis.words import about_inputs, brief, limits, words
from xai_bench.report.kit.markup import markdown, prose
from xai_bench.report.kit.wording import bounds, listed, number, p_value

MOST_INPUTS = 100
"""Rows of the table of inputs."""
MOST_METHODS = 12
"""Rows of the leaderboard on simulated targets."""
MOST_COLUMNS = 1000
"""Rows of the table of columns: with them a page stays below a megabyte."""


def page(found: Found, whole: bool = True) -> str:
    """HTML: a ``whole`` page, or a part of one for notebooks."""
    style = files("xai_bench.report").joinpath("templates/style.css").read_text(encoding="utf-8") if whole else ""
    return _environment().get_template("answer.html.j2").render(whole=whole, style=Markup(style), **_content(found))


def summary(found: Found) -> str:
    """The same in Markdown, without figures."""
    return _environment().get_template("summary.md.j2").render(**_content(found))


def trust_page(trust: Verdict) -> str:
    """HTML for notebooks: which method to trust."""
    return _environment().get_template("trust.html.j2").render(trust=_of_trust(trust), bounds=bounds)


def _of_trust(trust: Verdict | None) -> dict[str, Any] | None:
    if trust is None:
        return None
    board = trust.leaderboard()
    return {
        "sentences": trust_words(trust),
        "recommended": trust.recommended,
        "leader": trust.leader.name,
        "board": _rows(board[board["ranked"]].head(MOST_METHODS)),
        "more": max(len(board) - MOST_METHODS, 0),
        "kinds": _rows(trust.by_kind()),
        "difficulty": _rows(trust.difficulty),
        "score": trust.asked.score,
    }


def _content(found: Found) -> dict[str, Any]:
    inputs = found.inputs if found.learned else found.inputs.sort_values("p_value", kind="stable")
    inputs = inputs.head(MOST_INPUTS)
    pairs = found.methods[["network", "method"]].drop_duplicates()
    return {
        "found": found,
        "trust": _of_trust(found.trust),
        "sentences": words(found),
        "brief": brief(found),
        "about_inputs": about_inputs(found),
        "limits": limits(found),
        "scores": _rows(found.scores),
        "inputs": _rows(inputs),
        "title_of_inputs": "The inputs, most relevant first" if found.learned else "The inputs, lowest p first",
        "clusters": _rows(found.clusters),
        "kept": _rows(found.kept) if found.learned else [],
        "columns": _rows(found.columns.head(MOST_COLUMNS)),
        "top": max(float(inputs["high"].max()), float(inputs["relevance"].max()), 1e-9),
        "entrants": [f"{row['method']} on {row['network']}" for row in _rows(pairs)],
        "sure": SURE,
        "bounds": bounds,
        "percents": lambda low, high: "" if math.isnan(low) else f"[{_percent(low)}, {_percent(high)}]",
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


@cache
def _environment() -> Environment:
    jinja = Environment(
        loader=PackageLoader("xai_bench.analysis"),
        autoescape=lambda name: name is None or ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {"number": number, "p_value": p_value, "percent": _percent, "markdown": markdown}
    jinja.filters |= {"coded": prose, "ranks": _ranks, "decided": _decided, "listed": listed}
    return jinja


def _percent(share: float) -> str:
    return "–" if not math.isfinite(share) else f"{100 * share:.1f} %"


def _ranks(row: dict[str, Any]) -> str:
    """``2–5``, or one rank."""
    low, high = int(row["rank_low"]), int(row["rank_high"])
    return str(low) if low == high else f"{low}–{high}"


def _decided(row: dict[str, Any], leader: str) -> str:
    """What is decided of the best of a kind against the leader."""
    return f"{leader} itself" if row["best"] == leader else str(row["outcome"])
