"""Stores that are filled by hand, so that nothing is trained, and pages taken apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from xai_bench import registry
from xai_bench.report import write_report
from xai_bench.results.frames import Results
from xai_bench.results.records import (
    CellResult,
    Costs,
    DrawFacts,
    DrawRecord,
    Measurement,
    ModelFacts,
    ModelRecord,
    PlanRow,
)
from xai_bench.results.store import Store
from xai_bench.scoring.recovery import declaration

D = 6
METRICS = ("auroc", "average_precision", "precision_at_p", "somers_d", "spearman")
HOSTILE = "<script>alert(1)</script>|`x`"
INTERVAL = re.compile(r"[−\d.]+ \[[−\d.]+, [−\d.]+\]")
VOID = {"meta", "wbr", "link", "br", "img", "hr", "input"}
REASON = "the score is not defined on these test rows: their target is constant"
GAP = 0.4
"""What all inputs gain over random ones, unless a store says otherwise."""


def entry(label: str, name: str, **fields: object) -> dict:
    return {"label": label, "name": name, "version": 1, "fields": fields, "plugin": None, "fingerprint": {}}


def score(metric: str, explainer: str, seed: int) -> float:
    """1 for the oracle, chance for random; some fixed number below 1 for a method."""
    if explainer == "oracle":
        return 1.0
    if explainer == "random":
        return 0.5 + 0.01 * seed
    # 0.95 and 0.60 with small differences between seeds: intervals that do not overlap.
    return (0.95 if explainer in ("spectral", "saliency") else 0.60) + 0.004 * seed + 0.001 * len(metric)


def gained(explainer: str, seed: int) -> float:
    """0 for random; of methods 0.454 or 0.104 and a little more by seed, which GAP lies between."""
    return 0.0 if explainer == "random" else score("gain", explainer, seed) - 0.5


def build(
    folder: Path,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    truth: bool = True,
    retention: bool = True,
    learned: bool = True,
    dataset: str = "toy",
    shape: tuple[int, int] | None = None,
    d: int = D,
    statuses: dict[str, tuple[str, str]] | None = None,
    gains: bool = True,
    gap: Callable[[int], float] = lambda seed: GAP,
    undefined: tuple[tuple[int, int], ...] = (),
    folds: int = 0,
    judges: tuple[str, ...] = ("network",),
    extra: str | None = None,
    trainings: int = 1,
    facts: dict[str, object] | None = None,
    content: dict[str, object] | None = None,
    ks: tuple[int, ...] = (),
    curve: Callable[[str, int], float] | None = None,
    only: dict[str, tuple[int, ...]] | None = None,
) -> Results:
    """Two networks, spectral and column_norm and saliency and a selector, the controls; scores by ``score``.

    ``trainings``: model seeds on the first draw. ``facts``, ``content``: of every draw, of every network. ``ks``: the k
    that the suite names. ``curve``: the retained score of an explainer at k. ``only``: the seeds of an explainer.
    ``gains``: whether any is defined; ``gap``: of a data seed; ``undefined``: (data seed, fold or -1) without gains.
    """
    explainers = {"net": ["spectral", "saliency"], "plain": ["column_norm", "saliency"], "": ["mutual_information"]}
    if extra:
        explainers["net"].append(extra)
    suite = {
        "name": "hand", "title": "By hand", "data_seeds": list(seeds),
        "model_seeds": list(range(trainings)), "folds": folds, "rankings": 200,
        "retention": {"rows": 5000, "orders": 10, "seeds": [0], "ks": ks, "masked_to": 99 if ks else 0,
                      "judges": list(judges)}
        if retention else None,
        "datasets": [entry(dataset, "toy", path="/home/somebody/secret/file.csv")],
        "models": [entry("net", "spectral_mlp"), entry("plain", "mlp", group_lasso=0.0)],
        "explainers": [entry(e, e) for e in ("spectral", "column_norm", "saliency", "mutual_information")],
    }  # fmt: skip
    rng = np.random.default_rng(0)
    roles = ["relevant"] * 2 + ["noise"] * (d - 2)
    graded = [1.0, 0.5] + [0.0] * (d - 2)
    plan, cells, records = [], [], []
    for seed, fold in [(seed, fold) for seed in seeds for fold in range(folds) or (-1,)]:
        part = f"{seed}" if fold < 0 else f"{seed}/{fold}"
        known = {
            "dataset": "toy", "kind": "classification", "d": d, "n_outputs": 2, "n_train": 64, "n_valid": 16,
            "n_test": 20, "feature_names": [f"x{j + 1}" for j in range(d)], "feature_units": [],
            "feature_shape": shape, "class_names": [], "target_name": "class", "target_units": "", "target_std": 1.0,
            "constant": [], "ceiling": 0.99, "roles": roles if truth else None, "graded": graded if truth else None,
            "groups": [], "blocks": [], "windows": [],
            "resolution": None, "n_relevant": 2 if truth else None, "spearman_ceiling": 0.9 if truth else None,
            "chance": dict.fromkeys(METRICS, 0.5) if truth else {}, "notices": [],
        }  # fmt: skip
        draw = DrawRecord(f"draw{part}", DrawFacts.from_json(known | (facts or {})))
        repeated = range(trainings if seed == seeds[0] else 1)
        defined = gains and (seed, fold) not in undefined
        for model, names, again in [(m, n, t) for m, n in explainers.items() for t in repeated if m or t == 0]:
            key = f"{model}{part}.{again}" if model else ""
            reached = {
                "kind": "classification", "train_score": 0.99, "valid_score": 0.97, "test_score": 0.96 + 0.005 * seed,
                "chance": 0.5, "p_value": 1e-9 if learned else 0.4, "learned": learned, "valid_loss": 0.1,
                "train_cpu": 1.5, "train_wall": 1.6, "ceiling": 0.99, "parameters": 100,
            }  # fmt: skip
            record = ModelRecord(key, ModelFacts.from_json(reached | (content or {})), b"") if model else None
            for explainer in ("random", "oracle", *names):
                cell = f"{part}-{model}-{explainer}-{again}"
                plan.append(PlanRow(cell, draw.key, key, dataset, model, explainer, seed, again, fold))
                status, reason = (statuses or {}).get(explainer, ("done", ""))
                if explainer == "oracle" and not truth:
                    status, reason = "unsupported", "the truth of this dataset is not known"
                if status == "missing" or seed not in (only or {}).get(explainer, seeds):
                    continue
                if status != "done":
                    cells.append((CellResult(cell, status, reason), draw, record))
                    continue
                found = [Measurement(m, score(m, explainer, seed)) for m in METRICS] if truth else []
                if retention:
                    for form in (*("retrained" if judge == "network" else judge for judge in judges), "masked"):
                        at = [k for k in ks if k < d] + [d] if ks else [1, 2, 3]
                        left = curve or (lambda _, k: 0.5 + 0.1 * k)
                        found += [Measurement(f"retention_{form}", left(explainer, k), k) for k in at]
                        for what, value in (("gain", gained(explainer, seed)), ("gap", gap(seed))):
                            reason = "" if defined else REASON
                            found.append(Measurement(f"retention_{form}_{what}", value if defined else None, 0, reason))
                vector = None if explainer == "random" else rng.random(d) + np.array(graded)
                costs = Costs(0.001, 0.001, 0.01, 0.012, 2**20, 128, 64, 256 if explainer == "saliency" else None)
                cells.append((CellResult(cell, "done", "", costs, vector, tuple(found)), draw, record))
            records.append(record)
    provenance = {
        "started": "2026-01-01T00:00:00+00:00", "python": "3.11.7", "system": "Linux x86_64", "cores": 2, "jobs": 2,
        "threads": 1, "device": "cpu", "versions": {"torch": "2.13.0"}, "plugins": {},
        "wall": 61.2, "spent": {"training": 20.0, "rest": 0.2, "explaining": 90.4},
    }  # fmt: skip
    with Store(folder / "results.sqlite") as store:
        number = store.begin(suite, plan, provenance)
        for cell, draw, record in cells:
            store.add([cell], number, draw, record)
        results = store.results()
    results.metrics.update({name: declaration(registry.get("metrics", name)) for name in METRICS})
    return results


def pages(folder: Path, **options: object) -> tuple[str, str]:
    """Page and summary of a store with these options."""
    target = write_report(build(folder / "store", **options), folder / "report").parent  # type: ignore[arg-type]
    return tuple((target / name).read_text(encoding="utf-8") for name in ("index.html", "summary.md"))  # type: ignore[return-value]


def of_dataset(folder: Path, name: str = "toy") -> str:
    """The page of a dataset of the report that ``pages`` wrote."""
    return (folder / "report" / "datasets" / f"{name}.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Fails where an element is not closed; collects addresses, ids and text outside style and script."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href"):
                self.addresses.append((tag, name, value))
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "script", "svg"} & set(self.open):
            self.text.append(data)


def parsed(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    assert parser.open == []
    return parser


def section(page: str, name: str) -> str:
    return page[page.index(f'<section id="{name}"') :].split("</section>")[0]


def rows(html: str) -> dict[str, str]:
    """Heading of a row to its HTML, tags left in."""
    found = re.findall(r"<tr[^>]*><th scope=\"row\">(.*?)</th>(.*?)</tr>", html, re.S)
    return {text_of(name): cells for name, cells in found}


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)
