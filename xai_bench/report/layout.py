"""Tables as they are shown: numbers become texts here, and nowhere else, for the page and the summary alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from xai_bench.report.tables import CONTROLS, FORMS, Facts, Pair
from xai_bench.statistics import Interval

TITLES = {
    "auroc": "AUROC",
    "auroc_clear": "AUROC, clear inputs",
    "average_precision": "average precision",
    "precision_at_p": "precision at p",
    "somers_d": "Somers’ D",
    "spearman": "Spearman",
}
NONE = "–"
OVERLAP = "≈"


@dataclass(frozen=True)
class Cell:
    """One entry. ``value`` sorts, ``share`` in [0, 1] is the length of its bar, ``mark`` is ≈ or empty."""

    text: str
    detail: str = ""
    value: float | None = None
    share: float | None = None
    mark: str = ""
    note: str = ""
    tag: str = ""

    @property
    def plain(self) -> str:
        """The whole entry as a text."""
        parts = (self.text, self.detail, self.mark, f"({self.tag})" if self.tag else "")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Column:
    title: str
    under: str = ""


@dataclass(frozen=True)
class Row:
    """``kind``: spectral, control or empty."""

    label: str
    cells: list[Cell]
    kind: str = ""


@dataclass(frozen=True)
class Body:
    """Rows that share a network; ``heads`` says what it reached, one text and its span a group of columns."""

    title: str
    rows: list[Row]
    heads: list[tuple[str, int, bool]] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    caption: str
    first: str
    columns: list[Column]
    bodies: list[Body]
    groups: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def number(value: float | None, digits: int = 3) -> str:
    """A number with a true minus sign, – for none."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return ("0." + "0" * digits if float(text) == 0 else text).replace("-", "−")


def bracket(found: Interval | None) -> str:
    """``[low, high]``, or nothing without an interval."""
    if found is None or not (math.isfinite(found.low) and math.isfinite(found.high)):
        return ""
    return f"[{number(found.low)}, {number(found.high)}]"


def with_interval(found: Interval | None) -> str:
    """``0.972 [0.961, 0.983]``"""
    return NONE if found is None else f"{number(found.mean)} {bracket(found)}".strip()


def seconds(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return NONE
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.{1 if value < 0.01 else 0}f} ms"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} s"


def count(value: float | None) -> str:
    """An amount of rows, thousands set apart by thin spaces."""
    return NONE if value is None or not math.isfinite(value) else f"{value:,.0f}".replace(",", "\u202f")


def mebibytes(value: float | None) -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value / 2**20:.1f} MiB"


def times(ratio: float) -> str:
    """A ratio in words: two significant digits."""
    if not math.isfinite(ratio):
        return NONE
    return f"{float(f'{ratio:.2g}'):,.0f}".replace(",", "\u202f") if ratio >= 10 else f"{ratio:.1f}"


def title(metric: str) -> str:
    return TITLES.get(metric, metric.replace("_", " "))


def pair_text(pair: Pair) -> str:
    """A pair in one phrase."""
    return f"{pair[1]} on {pair[0]}" if pair[0] else f"{pair[1]} (no network)"


def score_cell(found: Interval | None, planned: int, *, floor: float = 0.0, mark: bool = False, note: str = "") -> Cell:
    """A mean with its interval; says if seeds are missing."""
    if found is None or not math.isfinite(found.mean):
        return Cell(NONE, note=note)
    room = 1 - floor
    share = min(max((found.mean - floor) / room, 0.0), 1.0) if room > 0 else None
    tag = f"n = {found.n}" if found.n != planned else ""
    return Cell(number(found.mean), bracket(found), found.mean, share, OVERLAP if mark else "", note, tag)


def reached_text(facts: Facts, dataset: str, model: str) -> tuple[str, bool]:
    """What a network reached beside chance and ceiling, and whether all learned."""
    test = facts.reached(dataset, model, "test_score")
    if test is None:
        return "not trained", False
    chance, ceiling = (facts.reached(dataset, model, name) for name in ("chance", "ceiling"))
    limit = f", ceiling {number(ceiling.mean)}" if ceiling and math.isfinite(ceiling.mean) else ""
    return f"{number(test.mean)} (chance {number(chance.mean if chance else None)}{limit})", facts.all_learned(
        dataset, model
    )


def learned_cell(facts: Facts, dataset: str, model: str) -> Cell:
    if not model:
        return Cell("no network")
    right, total = facts.learned.get((dataset, model), (0, 0))
    words = "yes" if right == total and total else "no" if right == 0 else "in part"
    return Cell(f"{words}, {right} of {total}", value=right / total if total else None)


def model_cells(facts: Facts, dataset: str, model: str) -> list[Cell]:
    """The four entries that say what the network of a row reached."""
    found = {name: facts.reached(dataset, model, name) for name in ("test_score", "chance", "ceiling")}
    cells = [Cell(number(v.mean if v else None), value=v.mean if v and math.isfinite(v.mean) else None) for v in found.values()]
    return [*cells, learned_cell(facts, dataset, model)]


MODEL_COLUMNS = [Column("network’s test score"), Column("its chance"), Column("its ceiling"), Column("learned")]


def kind_of(facts: Facts, pair: Pair) -> str:
    return "spectral" if facts.component("explainers", pair[1]) == "spectral" else ""


def _bodies(facts: Facts, rows: dict[Pair, list[Cell]], heads: dict[str, list[tuple[str, int, bool]]]) -> list[Body]:
    bodies = []
    for model in dict.fromkeys(pair[0] for pair in rows):
        inside = [Row(pair[1], cells, kind_of(facts, pair)) for pair, cells in rows.items() if pair[0] == model]
        bodies.append(Body(model or "no network: data only", inside, heads.get(model, [])))
    return bodies


def _heads(facts: Facts, groups: list[tuple[str, int]]) -> dict[str, list[tuple[str, int, bool]]]:
    heads = {}
    for model in facts.models:
        texts = [(reached_text(facts, dataset, model), span) for dataset, span in groups]
        heads[model] = [(text, span, learned) for (text, learned), span in texts]
    return heads


def recovery_headline(facts: Facts) -> Table:
    """One row a pair, and for each dataset with a truth its deciding score and AUROC."""
    columns, groups, wanted = [], [], []
    for dataset in facts.known:
        metrics = list(dict.fromkeys(m for m in (facts.headline(dataset), "auroc") if m in facts.metrics))
        if metrics:
            groups.append((dataset, len(metrics)))
        for metric in metrics:
            wanted.append((dataset, metric))
            columns.append(Column(title(metric), f"chance {number(facts.chance(dataset, metric))}"))
    rows = _score_rows(facts, wanted)
    controls = _control_rows(facts, wanted)
    caption = "Recovery: the deciding scores. Mean and 95 % interval over data seeds."
    return Table(caption, "method", columns, [*_bodies(facts, rows, _heads(facts, groups)), *controls], groups)


def _score_rows(facts: Facts, wanted: list[tuple[str, str]]) -> dict[Pair, list[Cell]]:
    rows: dict[Pair, list[Cell]] = {pair: [] for pair in facts.pairs}
    for dataset, metric in wanted:
        found = {pair: facts.score(dataset, pair, metric) for pair in facts.pairs}
        near = facts.overlapping(dataset, found)[1]
        floor = facts.chance(dataset, metric) or 0.0
        for pair, value in found.items():
            note = "" if value else missing_reason(facts, dataset, pair)
            rows[pair].append(score_cell(value, len(facts.planned_seeds), floor=floor, mark=pair in near, note=note))
    return rows


def _control_rows(facts: Facts, wanted: list[tuple[str, str]]) -> list[Body]:
    rows = []
    for control in CONTROLS:
        found = [facts.score(dataset, ("", control), metric) for dataset, metric in wanted]
        cells = [score_cell(value, len(facts.planned_seeds)) for value in found]
        rows.append(Row(control, [Cell(c.text, c.detail, c.value, tag=c.tag) for c in cells], "control"))
    return [Body("controls, not ranked", rows)] if wanted else []


def missing_reason(facts: Facts, dataset: str, pair: Pair) -> str:
    """Why a pair has no value on a dataset."""
    frame = facts.cells
    rows = frame[(frame["dataset"] == dataset) & (frame["model"] == pair[0]) & (frame["explainer"] == pair[1])]
    rows = rows[rows["status"] != "done"]
    if rows.empty:
        return "not part of the suite" if not len(frame) else "no value for this dataset"
    status, reason = rows["status"].iloc[0], rows["reason"].iloc[0]
    return f"{str(status).replace('_', ' ')}: {reason}" if reason else "not run"


def recovery_full(facts: Facts, dataset: str) -> Table:
    """Every recovery score on one dataset, and in every row what the network reached."""
    metrics = [m for m in facts.metrics if facts.score(dataset, ("", "oracle"), m) or _any(facts, dataset, m)]
    wanted = [(dataset, metric) for metric in metrics]
    rows = {p: [*cells, *model_cells(facts, dataset, p[0])] for p, cells in _score_rows(facts, wanted).items()}
    columns = [Column(title(m), _limits(facts, dataset, m)) for m in metrics] + MODEL_COLUMNS
    controls = _control_rows(facts, wanted)
    for body in controls:
        for row in body.rows:
            row.cells.extend([Cell(NONE)] * len(MODEL_COLUMNS))
    return Table(f"Recovery on {dataset}: all scores.", "method", columns, [*_bodies(facts, rows, {}), *controls])


def _any(facts: Facts, dataset: str, metric: str) -> bool:
    return any(facts.score(dataset, pair, metric) for pair in facts.pairs)


def _limits(facts: Facts, dataset: str, metric: str) -> str:
    ceiling = facts.draws[dataset].get("spearman_ceiling") if metric == "spearman" else None
    limit = f", ceiling {number(ceiling)}" if ceiling is not None else ""
    return f"chance {number(facts.chance(dataset, metric))}{limit}"


COST_COLUMNS = [
    ("given_cpu", "given a model", "CPU", seconds),
    ("given_wall", "given a model", "wall", seconds),
    ("end_cpu", "end to end", "CPU", seconds),
    ("end_wall", "end to end", "wall", seconds),
    ("train_cpu", "CPU of the parts", "train", seconds),
    ("setup_cpu", "CPU of the parts", "set up", seconds),
    ("explain_cpu", "CPU of the parts", "explain", seconds),
    ("peak_memory", "memory", "peak growth", mebibytes),
    ("forward_rows", "rows through the model", "forward", count),
    ("backward_rows", "rows through the model", "backward", count),
]


def cost_headline(facts: Facts) -> Table:
    """Medians over data seeds and datasets."""
    found = facts.cost_overall.set_index(["model", "explainer"])
    most = len(facts.datasets)
    rows: dict[Pair, list[Cell]] = {}
    for pair in facts.pairs:
        if pair in found.index:
            values = found.loc[pair]
            right = sum(facts.learned.get((d, pair[0]), (0, 0))[0] for d in facts.datasets)
            total = sum(facts.learned.get((d, pair[0]), (0, 0))[1] for d in facts.datasets)
            learned = Cell(f"{right} of {total}", value=right / total) if total else Cell("no network")
            rows[pair] = [*_cost_cells(values), Cell(f"{values['datasets']:.0f} of {most}", value=values["datasets"]), learned]
    columns = [Column(name) for _, _, name, _ in COST_COLUMNS] + [Column("datasets"), Column("networks learned")]
    groups = [("given a model", 2), ("end to end", 2), ("CPU of the parts", 3), ("memory", 1), ("rows through the model", 2), ("over", 2)]
    return Table("Cost: medians over data seeds, then over datasets.", "method", columns, _bodies(facts, rows, {}), groups)


def _cost_cells(values: dict) -> list[Cell]:
    cells = []
    for name, _, _, text in COST_COLUMNS:
        value = float(values[name]) if values[name] is not None else math.nan
        cells.append(Cell(text(value), value=value if math.isfinite(value) else None))
    return cells


def cost_full(facts: Facts, dataset: str) -> Table:
    """One dataset: medians and the range over data seeds, and in every row what the network reached."""
    frame = facts.cost[facts.cost["dataset"] == dataset].set_index(["model", "explainer"])
    rows: dict[Pair, list[Cell]] = {}
    for pair in facts.pairs:
        if pair in frame.index:
            values = frame.loc[pair]
            low, high = seconds(values["given_cpu_low"]), seconds(values["given_cpu_high"])
            extent = Cell(f"{low} to {high}" if values["n"] > 1 else NONE)
            rows[pair] = [*_cost_cells(values), extent, *model_cells(facts, dataset, pair[0])]
    columns = [Column(name) for _, _, name, _ in COST_COLUMNS] + [Column("given CPU, range")] + MODEL_COLUMNS
    groups = [("given a model", 2), ("end to end", 2), ("CPU of the parts", 3), ("memory", 1), ("rows through the model", 2), ("over data seeds", 1), ("network", 4)]
    return Table(f"Cost on {dataset}: medians over data seeds.", "method", columns, _bodies(facts, rows, {}), groups)


def retention_headline(facts: Facts) -> Table:
    """One row a pair, for each dataset the area of the retrained and of the masked form."""
    datasets = [d for d in facts.datasets if (facts.areas["dataset"] == d).any()]
    wanted = [(dataset, form) for dataset in datasets for form in FORMS]
    rows, notes = _area_rows(facts, wanted)
    groups = [(dataset, 2) for dataset in datasets]
    columns = [Column(form) for _, form in wanted]
    controls = [Body("controls, not ranked", [_oracle_row(facts, wanted)])] if wanted else []
    caption = "Retention: area between a random ranking (0) and all inputs (1). Mean and 95 % interval over data seeds."
    return Table(caption, "method", columns, [*_bodies(facts, rows, _heads(facts, groups)), *controls], groups, notes)


def _area_rows(facts: Facts, wanted: list[tuple[str, str]]) -> tuple[dict[Pair, list[Cell]], list[str]]:
    reasons = {tuple(row[:4]): row[4] for row in facts.areas[["dataset", "model", "explainer", "form", "reason"]].to_numpy()}
    rows: dict[Pair, list[Cell]] = {pair: [] for pair in facts.pairs}
    notes: dict[str, None] = {}
    for dataset, form in wanted:
        found = {pair: facts.area(dataset, pair, form) for pair in facts.pairs}
        near = facts.overlapping(dataset, found)[1]
        for pair, value in found.items():
            reason = reasons.get((dataset, *pair, form), "") or ("" if value else missing_reason(facts, dataset, pair))
            if value and np.isnan(value.mean):
                notes[f"{dataset}, {form}, {pair[0] or facts.plain_model or 'no network'}: {reason}"] = None
            rows[pair].append(score_cell(value, len(facts.planned_seeds), mark=pair in near, note=reason))
    return rows, list(notes)


def _oracle_row(facts: Facts, wanted: list[tuple[str, str]]) -> Row:
    """The control's masked form is shown for the first network that has it."""
    cells = []
    for dataset, form in wanted:
        candidates = [facts.area(dataset, (model, "oracle"), form) for model in [*facts.models, ""]]
        value = next((v for v in candidates if v and math.isfinite(v.mean)), None)
        cell = score_cell(value, len(facts.planned_seeds))
        cells.append(Cell(cell.text, cell.detail, cell.value, tag=cell.tag))
    return Row("oracle", cells, "control")


def retention_full(facts: Facts, dataset: str) -> Table:
    """One dataset: both areas, and in every row what the network reached."""
    wanted = [(dataset, form) for form in FORMS]
    found, notes = _area_rows(facts, wanted)
    rows = {pair: [*cells, *model_cells(facts, dataset, pair[0])] for pair, cells in found.items()}
    columns = [Column(f"area, {form}") for form in FORMS] + MODEL_COLUMNS
    oracle = _oracle_row(facts, wanted)
    oracle.cells.extend([Cell(NONE)] * len(MODEL_COLUMNS))
    bodies = [*_bodies(facts, rows, {}), Body("controls, not ranked", [oracle])]
    return Table(f"Retention on {dataset}.", "method", columns, bodies, notes=notes)


def models_table(facts: Facts, dataset: str) -> Table:
    """What the networks of one dataset reached."""
    rows = []
    for model in facts.models:
        if facts.reached(dataset, model, "test_score") is None:
            continue
        networks = facts.networks[(facts.networks["dataset"] == dataset) & (facts.networks["model"] == model)]
        found = {name: facts.reached(dataset, model, name) for name in ("train_score", "valid_score", "test_score")}
        cells = [score_cell(v, len(facts.planned_seeds), floor=1.0) for v in found.values()]
        cells += model_cells(facts, dataset, model)[1:]
        largest = float(networks["p_value"].max())
        cells.append(Cell(NONE if math.isnan(largest) else "< 0.0001" if largest < 1e-4 else f"{largest:.4f}", value=largest))
        train = float(networks.groupby("data_seed")["train_cpu"].mean().median())
        cells.append(Cell(seconds(train), value=train))
        rows.append(Row(model, cells, "spectral" if facts.component("models", model) == "spectral_mlp" else ""))
    names = ("train", "validation", "test", "chance", "ceiling", "learned", "largest p", "training CPU")
    return Table(f"Networks on {dataset}.", "network", [Column(name) for name in names], [Body("", rows)])
