"""Frames as they are shown: page and summary render the same objects, so that they hold the same numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from xai_bench.report import comparisons, wording
from xai_bench.report.kit.prose import headline
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import AREAS, CONTROLS, LEAST_FIRST, NO_MODEL, Frames, controls, records
from xai_bench.report.kit.wording import DASH


@dataclass(frozen=True)
class Box:
    """One entry. ``value`` sorts, ``bar`` in [0, 1] shades, ``near`` marks what cannot be told from the highest."""

    main: str
    small: str = ""
    value: float | None = None
    bar: float | None = None
    near: bool = False
    unlearned: bool = False
    text: bool = False

    def plain(self) -> str:
        """As text, for the summary."""
        marks = (" •" if self.near else "") + (" †" if self.unlearned else "")
        return f"{self.main} {self.small}".strip() + marks


EMPTY = Box(DASH)


@dataclass(frozen=True)
class Column:
    """``group`` is the heading above; equal neighbours share one."""

    name: str
    group: str = ""
    hint: str = ""
    text: bool = False


@dataclass(frozen=True)
class Row:
    name: str
    cells: list[Box]
    kind: str = "method"
    """method, focus (the spectral method) or control."""


@dataclass(frozen=True)
class Body:
    """Rows under one heading; ``facts`` (text, span) stand beside it, one for each group of columns."""

    rows: list[Row]
    heading: str = ""
    facts: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    caption: str
    first: str
    columns: list[Column]
    bodies: list[Body]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(heading, number of columns) of neighbours with the same group; [] without headings."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(name for name, _ in spans) else []


def kind_of(explainer: str, focus: Pair | None) -> str:
    return "control" if explainer in CONTROLS else "focus" if focus and explainer == focus.explainer else "method"


def _lookup(frame: pd.DataFrame) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    return {(row["dataset"], row["model"], row["explainer"], row["metric"]): row for row in records(frame)}


def beside(row: dict[str, Any], seeds: int) -> str:
    """What stands beside a mean: its interval, and how many of the suite's data seeds it rests on, unless all."""
    return wording.interval_of(row["low"], row["high"], row["n"], seeds)


def _score(row: dict[str, Any] | None, low: float, seeds: int, unlearned: bool = False) -> Box:
    """``low`` is the left end of the bar, 1 the right."""
    if row is None:
        return EMPTY
    bar = None if not math.isfinite(low) or low >= 1 else min(max((row["mean"] - low) / (1 - low), 0.0), 1.0)
    return Box(wording.number(row["mean"]), beside(row, seeds), row["mean"], bar, bool(row["near"]), unlearned)


def reached(frames: Frames, dataset: str, model: str) -> str:
    """What the network reached beside chance and ceiling, and whether it learned: one line."""
    facts = frames.reached(dataset, model)
    if facts is None:
        return "" if model == NO_MODEL else "not trained"
    ceiling = f", ceiling {wording.number(facts['ceiling'])}" if math.isfinite(facts["ceiling"]) else ""
    learned = "learned" if facts["learned"] == facts["of"] else f"learned {facts['learned']} of {facts['of']}"
    return f"test {wording.number(facts['mean'])} (chance {wording.number(facts['chance'])}{ceiling}), {learned}"


def has_learned(frames: Frames, dataset: str, model: str) -> bool:
    """False if any of its trainings did not."""
    facts = frames.reached(dataset, model)
    return facts is None or facts["learned"] == facts["of"]


def _chance(frames: Frames, dataset: str, metric: str) -> float:
    levels = [facts.get("chance", {}).get(metric) for facts in frames.draws(dataset)]
    known = [level for level in levels if level is not None]
    return sum(known) / len(known) if known else math.nan


def _grouped(
    frames: Frames, frame: pd.DataFrame, metrics: dict[str, list[str]], caption: str, bottom: dict[str, float] | None
) -> Table:
    """Methods by network, datasets side by side. ``bottom`` is where bars begin; None: at chance."""
    rows, focus, seeds = _lookup(frame), comparisons.focus(frames), len(frames.data_seeds)
    columns = [Column(wording.title(m), d, m) for d, chosen in metrics.items() for m in chosen]

    def cells(model: str, explainer: str) -> list[Box]:
        found = []
        for column in columns:
            low = _chance(frames, column.group, column.hint) if bottom is None else bottom.get(column.hint, 0.0)
            unlearned = explainer not in CONTROLS and not has_learned(frames, column.group, model)
            found.append(_score(rows.get((column.group, model, explainer, column.hint)), low, seeds, unlearned))
        return found

    bodies = []
    for model in dict.fromkeys(model for model, _ in frames.pairs):
        names = [explainer for m, explainer in frames.pairs if m == model]
        names = [e for e in names if any(cell is not EMPTY for cell in cells(model, e))]
        names.sort(key=lambda e: kind_of(e, focus) != "focus")
        facts = [(reached(frames, d, model), len(chosen)) for d, chosen in metrics.items()]
        if names:
            methods = [Row(e, cells(model, e), kind_of(e, focus)) for e in names]
            bodies.append(Body(methods, model, facts if model != NO_MODEL else []))
    return Table(caption, "Method, by network", columns, bodies)


def recovery(frames: Frames) -> Table | None:
    """The headline scores of every pair on every dataset with a truth."""
    known = set(frames.recovery["dataset"])
    metrics = {d: headline(frames, d) for d in frames.datasets if d in known}
    if not metrics:
        return None
    caption = "Recovery of the truly relevant inputs: mean and 95 % interval over data seeds."
    table = _grouped(frames, frames.recovery, metrics, caption, None)
    levels = [_chance(frames, c.group, c.hint) for c in table.columns]
    rows = [Row("chance, by formula", [Box(wording.number(v), value=v) for v in levels], "control")]
    for name in CONTROLS:
        found = [controls(frames.recovery, c.group, name, c.hint) for c in table.columns]
        label = f"{name}, {frames.results.suite.get('rankings', '')} rankings" if name == "random" else name
        rows.append(Row(label, [_score(row, math.nan, len(frames.data_seeds)) for row in found], "control"))
    return Table(table.caption, table.first, table.columns, [*table.bodies, Body(rows, "controls, not ranked")])


def retention(frames: Frames) -> Table | None:
    """Both areas of every pair on every dataset."""
    known = set(frames.retention["dataset"])
    metrics = {d: list(AREAS) for d in frames.datasets if d in known}
    if not metrics:
        return None
    caption = "Retained area: 0 is a random choice of inputs, 1 what all inputs reach; mean and 95 % interval."
    table = _grouped(frames, frames.retention, metrics, caption, {})
    rows = []
    for name in CONTROLS:
        found = [controls(frames.retention, c.group, name, c.hint) for c in table.columns]
        cells = [_score(row, math.nan, len(frames.data_seeds)) for row in found]
        # One network stands for all: what a control keeps, masked, depends on the network.
        if name == "oracle":
            cells = [EMPTY if c.hint == AREAS[1] else cell for c, cell in zip(table.columns, cells, strict=True)]
        else:
            cells = [Box(wording.number(0.0), "by definition", 0.0)] * len(cells)
        rows.append(Row(name, cells, "control"))
    return Table(table.caption, table.first, table.columns, [*table.bodies, Body(rows, "controls, not ranked")])


def standings(frames: Frames, frame: pd.DataFrame, scores: dict[str, list[str]]) -> Table | None:
    """A row a dataset and score: the highest mean and who cannot be told from it, the spectral method beside its
    plain counterpart, and whether method or network makes the difference."""
    focus, seeds = comparisons.focus(frames), len(frames.data_seeds)
    others = comparisons.counterparts(frames) if focus else []
    top = "Highest mean"
    columns = [Column("Mean", top), Column("Reached by", top, text=True), Column("Not told apart", top)]
    if focus:
        own = f"{focus.explainer} on {focus.model}"
        columns += [Column("Mean", own), Column("less the highest", own)]
        for pair, kind in others:
            columns.append(Column(f"less {pair.explainer} on {pair.model}" + (f" ({kind})" if kind else ""), own))
    deviation, agreement = "Standard deviation over", "Rank agreement"
    columns += [Column("methods, one network", deviation), Column("networks, one method", deviation)]
    columns += [Column("same network", agreement), Column("same method", agreement)]
    rows = []
    for dataset, metrics in scores.items():
        for metric in metrics:
            best = comparisons.leader(frame, dataset, metric)
            if best is None:
                continue
            one = best.top[0]
            who = (
                (one.explainer + (f" on {one.model}" if one.model != NO_MODEL else ""))
                if len(best.top) == 1
                else f"{len(best.top)} pairs"
            )
            single = f"{best.left_out} of one draw left out" if best.left_out else ""
            crowd = EMPTY
            if best.near is not None:
                crowd = Box(f"{len(best.near)} of {len(best.compared)}", single, len(best.near))
            cells = [_plain(best.row, seeds), Box(who, text=True), crowd]
            if focus:
                found = comparisons.value(frame, dataset, focus, metric)
                cells.append(_score(found, math.nan, seeds))
                for pair in (one, *(pair for pair, _ in others)):
                    gap = comparisons.difference(frames, dataset, metric, focus, pair)
                    cells.append(EMPTY if gap is None else _plain(gap._asdict(), seeds))
            spread = comparisons.spread(frames, dataset, metric)
            cells += [EMPTY] * 4 if spread is None else [
                Box(wording.number(spread.of_methods), value=spread.of_methods),
                Box(wording.number(spread.of_networks), value=spread.of_networks),
                Box(wording.number(spread.same_network, 2), value=spread.same_network),
                Box(wording.number(spread.same_method, 2), value=spread.same_method),
            ]  # fmt: skip
            rows.append(Row(f"{dataset}: {wording.title(metric)}", cells))
    caption = "In one view. Differences are over the data seeds that both have."
    return Table(caption, "Dataset, score", columns, [Body(rows)]) if rows else None


def _plain(row: dict[str, Any], seeds: int) -> Box:
    return Box(wording.number(row["mean"]), beside(row, seeds), row["mean"])


COST_COLUMNS = [
    Column("Given a model", "CPU seconds", "set-up and explanation"),
    Column("Set-up", "CPU seconds"),
    Column("Explain", "CPU seconds"),
    Column("Train", "CPU seconds"),
    Column("End to end", "CPU seconds", "training, set-up and explanation"),
    Column("Given a model", "Wall seconds"),
    Column("End to end", "Wall seconds"),
    Column("Peak memory", "Memory", "above what the process held before"),
    Column("Forward", "Rows through the model"),
    Column("Backward", "Rows through the model"),
    Column("Datasets", "Ran on"),
]


def cost(frames: Frames) -> Table | None:
    """Medians over seeds and datasets of every pair."""
    frame = frames.cost(["model", "explainer"])
    if frame.empty:
        return None
    focus, total = comparisons.focus(frames), len(frames.datasets)
    positive = frame["given_cpu"][frame["given_cpu"] > 0]
    rows = {(row["model"], row["explainer"]): row for row in records(frame)}
    scale = (math.log(positive.min()), math.log(positive.max())) if len(positive) else (0.0, 0.0)

    def cells(row: dict[str, Any]) -> list[Box]:
        times = [Box(wording.seconds(row[c]), value=row[c])
                 for c in ("setup_cpu", "explain_cpu", "train_cpu", "end_cpu", "given_wall", "end_wall")]  # fmt: skip
        given = Box(wording.seconds(row["given_cpu"]), value=row["given_cpu"], bar=_on_log(row["given_cpu"], scale))
        return [
            given, *times, Box(wording.size(row["peak_memory"]), value=row["peak_memory"]),
            Box(wording.count(row["forward_rows"]), value=row["forward_rows"]),
            Box(wording.count(row["backward_rows"]), value=row["backward_rows"]),
            Box(f"{row['datasets']} of {total}", value=row["datasets"]),
        ]  # fmt: skip

    bodies = []
    for model in dict.fromkeys(model for model, _ in frames.pairs):
        names = [e for m, e in frames.pairs if m == model and (m, e) in rows]
        names.sort(key=lambda e: kind_of(e, focus) != "focus")
        if names:
            bodies.append(Body([Row(e, cells(rows[model, e]), kind_of(e, focus)) for e in names], model))
    caption = "Cost: medians over seeds and datasets. Bars are on a logarithmic scale."
    return Table(caption, "Method, by network", COST_COLUMNS, bodies)


def _on_log(value: float, scale: tuple[float, float]) -> float | None:
    low, high = scale
    if value <= 0 or high <= low:
        return 0.0 if value <= 0 else None
    return 0.04 + 0.96 * (math.log(value) - low) / (high - low)


def models(frames: Frames, dataset: str) -> Table | None:
    """What every network reached; with a numeric target also its error, beside what the noise leaves."""
    found = {model: facts for model in frames.models if (facts := frames.reached(dataset, model)) is not None}
    if not found:
        return None
    names = ["Test", "Chance", "Ceiling", "Train", "Validation", "Learned", "Largest p", "Training, CPU", "Parameters"]
    draw = (frames.draws(dataset) or [{}])[0]
    errors = any(math.isfinite(facts["mae"]) for facts in found.values())
    if errors:
        units = f" ({draw['target_units']})" if draw.get("target_units") else ""
        names[1:1] = [f"Test MAE{units}", f"Noise floor{units}"]
    floor = draw.get("floor_mae")
    rows = []
    for model, facts in found.items():
        cells = [_plain(facts, len(frames.data_seeds))]
        if errors:
            bounds = wording.bounds(facts["mae_low"], facts["mae_high"])
            cells.append(Box(wording.number(facts["mae"]), bounds, facts["mae"]))
            cells.append(Box(wording.number(floor), value=floor))
        for name in ("chance", "ceiling", "train", "valid"):
            cells.append(Box(wording.number(facts[name]), value=facts[name]))
        learned = f"{facts['learned']} of {facts['of']}"
        rows.append(Row(model, [
            *cells, Box(learned, value=facts["learned"], unlearned=facts["learned"] < facts["of"]),
            Box(wording.p_value(facts["p_value"]), value=facts["p_value"]),
            Box(wording.seconds(facts["train_cpu"]), value=facts["train_cpu"]),
            Box(wording.count(facts["parameters"]), value=facts["parameters"]),
        ]))  # fmt: skip
    caption = "What the networks reached" + (
        "; test score R², and mean absolute error beside the least that the noise allows." if errors else "."
    )
    return Table(caption, "Network", [Column(name) for name in names], [Body(rows)])


def everything(frames: Frames, dataset: str) -> Table | None:
    """All scores of one dataset, one row a pair, with what its network reached."""
    rows, focus, seeds = _lookup(frames.recovery), comparisons.focus(frames), len(frames.data_seeds)
    areas = _lookup(frames.retention)
    metrics = [
        m for m in frames.metrics if m in set(frames.recovery.loc[frames.recovery["dataset"] == dataset, "metric"])
    ]
    kept = [
        m
        for m in (*AREAS, *LEAST_FIRST)
        if m in set(frames.retention.loc[frames.retention["dataset"] == dataset, "metric"])
    ]
    times = {(r["model"], r["explainer"]): r for r in records(frames.cost(["dataset", "model", "explainer"]))
             if r["dataset"] == dataset}  # fmt: skip
    columns = [Column("Network", text=True), *[Column(wording.title(m), "Recovery") for m in metrics],
               *[Column(wording.title(m), "Retained area") for m in kept],
               Column("Given a model", "CPU time"), Column("End to end", "CPU time"),
               Column("Network’s test score", text=True)]  # fmt: skip
    found = []
    for model, explainer in frames.pairs:
        if (model, explainer) not in times:
            continue
        level = {m: _chance(frames, dataset, m) for m in metrics}
        unlearned, time = not has_learned(frames, dataset, model), times[model, explainer]
        found.append(Row(explainer, [
            Box(model, text=True),
            *[_score(rows.get((dataset, model, explainer, m)), level[m], seeds, unlearned) for m in metrics],
            *[_score(areas.get((dataset, model, explainer, m)), 0.0, seeds, unlearned) for m in kept],
            *[Box(wording.seconds(time[c]), value=time[c]) for c in ("given_cpu", "end_cpu")],
            Box(reached(frames, dataset, model), text=True),
        ], kind_of(explainer, focus)))  # fmt: skip
    if not found:
        return None
    bodies = [Body(found)]
    rest = [EMPTY] * (len(kept) + 3)
    if metrics:
        levels = [Box(wording.number(_chance(frames, dataset, m))) for m in metrics]
        last = [Row("chance, by formula", [EMPTY, *levels, *rest], "control")]
        for name in CONTROLS:
            own = [_score(controls(frames.recovery, dataset, name, m), math.nan, seeds) for m in metrics]
            kept_ = [EMPTY] * len(kept)
            if kept:
                kept_[0] = _score(controls(frames.retention, dataset, name, kept[0]), math.nan, seeds)
            last.append(Row(name, [EMPTY, *own, *kept_, EMPTY, EMPTY, EMPTY], "control"))
        top = spearman_ceiling(frames, dataset)
        if top is not None and "spearman" in metrics:
            cells = [Box(wording.number(top)) if m == "spearman" else EMPTY for m in metrics]
            last.append(Row("ceiling of a ranking without ties", [EMPTY, *cells, *rest], "control"))
        bodies.append(Body(last, "controls, not ranked"))
    return Table(f"All scores on {dataset}.", "Method", columns, bodies)


def spearman_ceiling(frames: Frames, dataset: str) -> float | None:
    values = [facts.get("spearman_ceiling") for facts in frames.draws(dataset)]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
