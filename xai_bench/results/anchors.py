"""Published figures beside those of a run: which stand for one another, their differences, and what is decided.

Published figures enter nothing else: no mean, interval or ranking of a run uses them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from xai_bench.errors import InputError
from xai_bench.published.anchors import Anchor, Counterpart, Figure, Mean, Reason, anchor, names
from xai_bench.results.agreement import LEVEL, MARGIN, Compared, compared, decided, draws_needed, next_level
from xai_bench.results.means import splits
from xai_bench.suites.suite import CONTROLS
from xai_bench.wording import are, have, plural

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

NOT_EXPLAINED, IN_PART = "not explained", "in part: "
MANY_DRAWS = 100
"""As many draws of ours as sentences call many."""
SELECTED = ("power", "type1_error")
"""Scores of what is selected at level .05 by a method's own p-values."""
OURS = ["score", "data", "explainer", "model", "mean", "sd", "n"]
COLUMNS = [
    *("score", "data", "method", "explainer", "model"),
    *("published", "published_sd", "published_n", "ours", "ours_sd", "ours_n"),
    *("difference", "error", "p_agrees", "p_differs", "outcome", "draws_needed", "why"),
]


@dataclass(frozen=True)
class Agreement:
    """A run beside an anchor.

    Attributes
    ----------
    anchor : what was published
    table : one row a published figure and a network of ours that stands for it, in the order of the anchor. Columns:
        score, data, method (of theirs), explainer, model (labels of ours; "" without a network), published and ours
        (means) with _sd and _n, difference (ours less published) and its standard error, p_agrees, p_differs (see
        ``results.agreement``), outcome (agrees, differs, undecided), draws_needed (of an undecided one, see
        ``agreement.draws_needed``) and why (of one that differs, has few draws, or is undecided)
    ours : every method of the run on the data of the anchor: score, data, explainer, model, mean, sd, n
    """

    anchor: Anchor
    table: pd.DataFrame
    ours: pd.DataFrame

    def sentences(self) -> list[str]:
        """What the table shows, in words that are made from it."""
        found = self.table
        if found.empty:
            return [f"Nothing of this run stands for a figure of `{self.anchor.name}`."]
        counts = found["outcome"].value_counts()
        every = [
            f"Of {plural(len(found), 'pair')} of figures: {counts.get('agrees', 0)} shown to agree within {MARGIN:g}, "
            f"{counts.get('differs', 0)} shown to differ by more, {counts.get('undecided', 0)} undecided (Holm over "
            f"the pairs, level {LEVEL:g})."
        ]
        open_ = found[(found["outcome"] == "undecided") & found["error"].notna()]
        few = counts.get("undecided", 0) - len(open_)
        if few:
            every[0] += f" Undecided because there are fewer than five draws of ours: {few}."
        if len(open_):
            every[0] += (
                f" Standard error of the {'other ' * bool(few)}undecided ones, median: {open_['error'].median():.3f}."
            )
            every.append(_how_many_more(open_["draws_needed"]))
        differing = found[found["outcome"] == "differs"]
        if len(differing):
            unknown = int(differing["why"].str.startswith(NOT_EXPLAINED).sum())
            partly = int(differing["why"].str.startswith(IN_PART).sum())
            explained = len(differing) - unknown - partly
            every.append(
                f"Of those that differ {explained} {have(explained)} a measured reason, "
                + (f"{partly} {have(partly)} one for part of the difference, " if partly else "")
                + f"{unknown} {are(unknown)} not explained."
            )
        return every

    @cached_property
    def absent(self) -> list[str]:
        """Published methods that nothing of the run stands for."""
        there = set(self.table["method"])
        return [name for name in dict.fromkeys(f.method for f in self.anchor.figures) if name not in there]


def agreement(results: Results, name: str = "") -> Agreement:
    """The run beside an anchor: that of its suite if no ``name`` is given.

    Raises
    ------
    InputError
        If there is no such anchor, or the suite names none.
    """
    name = name or str(results.suite.get("anchor") or "")
    if not name:
        known = ", ".join(names())
        raise InputError(f'anchor: expected a suite with anchor = "NAME", or a name, got none; known: {known}')
    known_anchor = anchor(name)
    pairs = list(_pairs(results, known_anchor))
    rows = [comparison for *_, comparison in pairs]
    outcomes = decided(rows)
    level = next_level(rows, outcomes)
    shown = [_row(known_anchor, pair, outcome, level) for pair, outcome in zip(pairs, outcomes, strict=True)]
    ours = pd.DataFrame(_everything(results, known_anchor), columns=OURS)
    return Agreement(known_anchor, pd.DataFrame(shown, columns=COLUMNS), ours)


def _how_many_more(needed: pd.Series) -> str:
    """What it would take to decide the undecided pairs that have an error."""
    known = needed.dropna().astype(int)
    within = int((known <= MANY_DRAWS).sum())
    never = len(needed) - len(known)
    why = ": the difference is too close to the margin, or their error too large" if never else ""
    return (
        f"As differences and spreads are now, {within} of {len(needed)} would be decided within {MANY_DRAWS} "
        f"draws of ours, {len(known) - within} with more, {never} by no number{why}."
    )


def _everything(results: Results, known: Anchor) -> Iterator[tuple[Any, ...]]:
    """Rows of ``Agreement.ours``."""
    datasets, explainers = results.suite.get("datasets", []), results.suite.get("explainers", [])
    labels = [*(entry["label"] for entry in explainers), *CONTROLS]
    for score in known.scores:
        for data in dict.fromkeys(pair.theirs for pair in known.data):
            for dataset in _labels(known.data, data, datasets):
                for label in labels:
                    found = _ours(results, score, dataset, label, Counterpart(label, label))
                    yield from ((score.theirs, data, label, model, *mean) for model, mean in found.items())


Pair = tuple[Figure, str, str, Mean, float, Compared]
"""A figure, labels of the explainer and the network, our mean, how much rows our draws share, the two compared."""


def _pairs(results: Results, known: Anchor) -> Iterator[Pair]:
    cells = results.cells
    shared = splits(cells, results.draws)
    datasets, explainers = results.suite.get("datasets", []), results.suite.get("explainers", [])
    controls = [{"name": label, "label": label} for label in CONTROLS]
    models = {entry["label"]: entry["name"] for entry in results.suite.get("models", [])}
    for figure in known.figures:
        for score in (s for s in known.scores if s.theirs == figure.score):
            for dataset in _labels(known.data, figure.data, datasets):
                for method in (m for m in known.methods if m.theirs == figure.method):
                    for explainer in (e["label"] for e in [*explainers, *controls] if method.fits(e)):
                        found = _ours(results, score, dataset, explainer, method)
                        for model, mean in found.items():
                            if not method.model or models.get(model) == method.model:
                                ratio = shared.get(dataset, 0.0)
                                both = compared(mean, figure.value, shared=ratio)
                                yield figure, explainer, model, mean, ratio, both


def _labels(counterparts: tuple[Counterpart, ...], name: str, entries: list[dict[str, Any]]) -> list[str]:
    return [entry["label"] for c in counterparts if c.theirs == name for entry in entries if c.fits(entry)]


def _ours(results: Results, score: Counterpart, dataset: str, explainer: str, method: Counterpart) -> dict[str, Mean]:
    """Label of a network ("" for none) to the mean over draws; folds and model seeds are averaged within a draw."""
    frame = results.selections() if score.ours in SELECTED else results.measurements
    frame = frame[(frame["metric"] == score.ours) & (frame["dataset"] == dataset) & (frame["explainer"] == explainer)]
    if (k := method.k or score.k) != 0:
        frame = frame[frame["k"] == (k if isinstance(k, int) else _kept(results, dataset, k))]
    found = {}
    if explainer in CONTROLS and not frame.empty:  # what it ranks depends on no network
        frame = frame[frame["model"] == frame["model"].iloc[0]]
    for model, rows in frame.dropna(subset="value").groupby("model", sort=False):
        draws = rows.groupby("data_seed")["value"].mean()
        found[str(model)] = Mean(float(draws.mean()), float(draws.std(ddof=1)) if len(draws) > 1 else None, len(draws))
    return found


def _kept(results: Results, dataset: str, which: str) -> int:
    """How many inputs of a dataset are ``relevant``, or there at ``all``."""
    keys = results.cells.loc[results.cells["dataset"] == dataset, "draw"]
    facts = next((results.draws[key] for key in keys if key in results.draws), None)
    if facts is None:
        return 0
    return facts.d if which == "all" else sum(role == "relevant" for role in facts.roles or ())


def _row(known: Anchor, pair: Pair, outcome: str, level: float) -> dict[str, Any]:
    figure, explainer, model, ours, shared, both = pair
    theirs, needed = figure.value, None
    if outcome == "undecided" and not math.isnan(both.error):
        needed = draws_needed(ours, theirs, level, shared=shared)
    return {
        "score": figure.score,
        "data": figure.data,
        "method": figure.method,
        "explainer": explainer,
        "model": model,
        "published": theirs.mean,
        "published_sd": math.nan if theirs.sd is None else theirs.sd,
        "published_n": pd.NA if theirs.n is None else theirs.n,
        "ours": ours.mean,
        "ours_sd": math.nan if ours.sd is None else ours.sd,
        "ours_n": ours.n,
        "difference": both.difference,
        "error": both.error,
        "p_agrees": both.agrees,
        "p_differs": both.differs,
        "outcome": outcome,
        "draws_needed": math.nan if needed is None else needed,
        "why": _why(known, figure, both, outcome, needed),
    }


def _why(known: Anchor, figure: Figure, both: Compared, outcome: str, needed: int | None) -> str:
    """Of a figure that differs: what was measured with one thing done as theirs, and whether that explains it."""
    if math.isnan(both.error):
        return "fewer than five draws"
    if outcome == "undecided":
        return f"{needed} draws would do" if needed else "no number of draws would do"
    if outcome == "agrees":
        return ""
    tried = [_tried(reason, figure, both.difference) for reason in known.reasons if _is_of(reason, figure)]
    for share, prefix in (("all", ""), ("part", IN_PART)):
        if words := [text for explained, text in tried if explained == share]:
            return prefix + "; ".join(words)
    return ": ".join([NOT_EXPLAINED, *(["; ".join(text for _, text in tried)] if tried else [])])


def _is_of(reason: Reason, figure: Figure) -> bool:
    return (reason.score, reason.data, reason.method) == (figure.score, figure.data, figure.method)


def _tried(reason: Reason, figure: Figure, before: float) -> tuple[str, str]:
    """How much of the difference ``before`` a change takes away, and the words.

    ``part``: it takes away more than half. ``all``: it also brings our figure to within the margin, or twice the errors
    of both, of theirs. Else "".
    """
    both = compared(reason.value, figure.value)
    known = math.isfinite(both.error)
    near = abs(both.difference) <= max(MARGIN, 2 * both.error if known else 0.0)
    share = "" if abs(both.difference) >= abs(before) / 2 else "all" if near else "part"
    error = f" ± {both.error:.3f}" if known else ""
    draws = "" if reason.value.n is None else f"{plural(reason.value.n, 'draw')}, "
    return (
        share,
        f"with {reason.change} ours is {reason.value.mean:.3f} ({draws}difference {both.difference:+.3f}{error})",
    )
