"""What the report's tables hold: plain DataFrames of what was measured, summarised over data seeds. No layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.statistics import Interval, by_data_seed, interval
from xai_bench.store import Results

CONTROLS = ("random", "oracle")
METRICS = ("auroc", "auroc_clear", "average_precision", "precision_at_p", "somers_d", "spearman")
"""Recovery scores in the order of the tables; those of plugins follow."""
FORMS = ("retrained", "masked")
NAMES = ["dataset", "model", "explainer"]
SEEDS = ["data_seed", "model_seed", "fold"]
MODEL_SCORES = ("train_score", "valid_score", "test_score", "chance", "ceiling")
TIMES = ["train_cpu", "setup_cpu", "explain_cpu", "given_cpu", "end_cpu"]
TIMES += [name.replace("cpu", "wall") for name in TIMES]
COSTS = [*TIMES, "peak_memory", "forward_rows", "backward_rows"]
Pair = tuple[str, str]
"""Labels of a model ("" for none) and of an explainer."""


@dataclass(frozen=True)
class Facts:
    """A run as its report needs it. Everything is computed on first use and kept."""

    results: Results

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a planned cell; columns that a run without networks lacks are there, empty."""
        frame = self.results.cells
        absent = {c: np.nan for c in (*MODEL_SCORES, "p_value", "train_cpu", "train_wall") if c not in frame}
        if "learned" not in frame:
            absent["learned"] = np.nan
        return frame.assign(**absent) if absent else frame

    @cached_property
    def run(self) -> pd.DataFrame:
        """The cells that were run, whatever came out."""
        return self.cells[self.cells["status"] != "missing"]

    @cached_property
    def datasets(self) -> list[str]:
        """Datasets of which at least one cell was run, in the order of the suite."""
        return list(dict.fromkeys(self.run["dataset"]))

    @cached_property
    def draws(self) -> dict[str, dict[str, Any]]:
        """Dataset to what is known of its first stored draw."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.run.itertuples():
            if row.dataset not in found and row.draw in self.results.draws:
                found[row.dataset] = self.results.draws[row.draw]
        return found

    @cached_property
    def known(self) -> list[str]:
        """Datasets whose truth is known."""
        return [name for name in self.datasets if self.draws.get(name, {}).get("roles")]

    @cached_property
    def pairs(self) -> list[Pair]:
        """The pairs (model, explainer) that were run and are no controls: models in the suite's order, none last."""
        frame = self.run[~self.run["explainer"].isin(CONTROLS)]
        found = dict.fromkeys(zip(frame["model"], frame["explainer"], strict=True))
        models, explainers = self._labels("models"), self._labels("explainers")
        return sorted(found, key=lambda p: (p[0] == "", _place(models, p[0]), _place(explainers, p[1])))

    @cached_property
    def models(self) -> list[str]:
        """Labels of the networks that were run."""
        return list(dict.fromkeys(model for model, _ in self.pairs if model))

    @cached_property
    def explainers(self) -> list[str]:
        """Labels of the explainers that were run, in the suite's order."""
        found = {explainer for _, explainer in self.pairs}
        return sorted(found, key=lambda label: _place(self._labels("explainers"), label))

    def _labels(self, axis: str) -> list[str]:
        return [entry["label"] for entry in self.results.suite.get(axis, [])]

    def entry(self, axis: str, label: str) -> dict[str, Any]:
        """A component of the suite by its label; empty if the suite does not name it."""
        return next((e for e in self.results.suite.get(axis, []) if e["label"] == label), {})

    def component(self, axis: str, label: str) -> str:
        """The name of the component behind a label."""
        return str(self.entry(axis, label).get("name", label))

    @cached_property
    def spectral(self) -> Pair | None:
        """The pair that this benchmark was made to judge, if it was run."""
        return next((p for p in self.pairs if self.component("explainers", p[1]) == "spectral"), None)

    @cached_property
    def column_norms(self) -> list[tuple[Pair, str]]:
        """The plain counterparts of ``spectral``, and how their networks are penalised."""
        found = []
        for pair in self.pairs:
            if self.component("explainers", pair[1]) == "column_norm":
                penalty = self.entry("models", pair[0]).get("fields", {}).get("group_lasso")
                words = {None: "plain network", 0.0: "plain network without penalty"}
                found.append((pair, words.get(penalty, "plain network with the matching penalty")))
        return found

    @cached_property
    def plain_model(self) -> str | None:
        """The network whose inputs are masked for explainers without one: as in ``Suite.plain_model``."""
        plain = [label for label in self._labels("models") if self.component("models", label) == "mlp"]
        free = [m for m in plain if self.entry("models", m).get("fields", {}).get("group_lasso") == 0]
        return next(iter(free + plain), None)

    @cached_property
    def planned_seeds(self) -> list[int]:
        return sorted(int(seed) for seed in self.run["data_seed"].unique())

    @cached_property
    def metrics(self) -> list[str]:
        """Recovery scores that were measured."""
        known = {name for draw in self.draws.values() for name in draw.get("chance", {})}
        found = set(self.results.measurements["metric"]) & (known | set(METRICS))
        return sorted(found, key=lambda name: (_place(list(METRICS), name), name))

    @cached_property
    def learned(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(dataset, model) to how many of its networks learned, and how many there are."""
        frame = self.networks
        groups = frame.groupby(["dataset", "model"], sort=False)["learned"]
        return {(str(d), str(m)): (int(values.astype(bool).sum()), len(values)) for (d, m), values in groups}

    def all_learned(self, dataset: str, model: str) -> bool:
        """Whether every network of this kind learned; no network counts as learned."""
        right, total = self.learned.get((dataset, model), (0, 0))
        return not model or (total > 0 and right == total)

    @cached_property
    def networks(self) -> pd.DataFrame:
        """One row a trained network."""
        frame = self.run[(self.run["model"] != "") & self.run["test_score"].notna()]
        columns = ["model_key", "dataset", "model", *SEEDS, *MODEL_SCORES, "p_value", "learned", "train_cpu", "train_wall"]
        return frame[columns].drop_duplicates(["dataset", "model", *SEEDS]).reset_index(drop=True)

    @cached_property
    def recovery(self) -> pd.DataFrame:
        """columns dataset, model, explainer, metric, mean, low, high, n; controls once for each dataset."""
        frame = self.results.measurements
        frame = frame[frame["metric"].isin(self.metrics) & (frame["k"] == 0)]
        return by_data_seed(_controls_once(frame), "value", [*NAMES, "metric"])

    @cached_property
    def areas(self) -> pd.DataFrame:
        """columns dataset, model, explainer, form, mean, low, high, n, reason (why there is no value)."""
        frame = self.results.measurements
        parts = []
        for form in FORMS:
            part = frame[frame["metric"] == f"retention_{form}_area"]
            if len(part):
                found = by_data_seed(part, "value", NAMES).assign(form=form)
                reasons = part[part["value"].isna()].groupby(NAMES, sort=False)["reason"].agg(_first_and_count)
                parts.append(found.merge(reasons.rename("reason").reset_index(), how="left", on=NAMES))
        columns = [*NAMES, "form", *Interval._fields, "reason"]
        return pd.concat(parts, ignore_index=True)[columns].fillna({"reason": ""}) if parts else pd.DataFrame(columns=columns)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """columns dataset, model, explainer, metric (retention_...), k, mean, low, high, n."""
        frame = self.results.measurements
        frame = frame[frame["metric"].str.startswith("retention_") & (frame["k"] > 0)]
        return by_data_seed(frame, "value", [*NAMES, "metric", "k"])

    @cached_property
    def costs(self) -> pd.DataFrame:
        """One row a cell that was explained: what it cost."""
        frame = self.run[(self.run["status"] == "done") & ~self.run["explainer"].isin(CONTROLS)].copy()
        for clock in ("cpu", "wall"):
            frame[f"given_{clock}"] = frame[f"setup_{clock}"] + frame[f"explain_{clock}"]
            training = frame[f"train_{clock}"].astype(float).where(frame["model"] != "", 0.0)
            frame[f"train_{clock}"] = training
            frame[f"end_{clock}"] = frame[f"given_{clock}"] + training
        return frame[[*NAMES, *SEEDS, *COSTS]].reset_index(drop=True)

    @cached_property
    def cost(self) -> pd.DataFrame:
        """Medians over data seeds (model seeds and folds averaged first) for each dataset and pair."""
        if self.costs.empty:
            return pd.DataFrame(columns=[*NAMES, *COSTS, "given_cpu_low", "given_cpu_high", "n"])
        seeds = self.costs.astype({c: float for c in COSTS}).groupby([*NAMES, "data_seed"], sort=False)[COSTS].mean()
        groups = seeds.groupby(NAMES, sort=False)
        found = groups.median()
        found["given_cpu_low"], found["given_cpu_high"] = groups["given_cpu"].min(), groups["given_cpu"].max()
        return found.assign(n=groups.size()).reset_index()

    @cached_property
    def cost_overall(self) -> pd.DataFrame:
        """Medians over datasets of their medians; ``datasets`` says over how many."""
        groups = self.cost.groupby(["model", "explainer"], sort=False)
        return groups[COSTS].median().assign(datasets=groups.size()).reset_index()

    @cached_property
    def model_scores(self) -> pd.DataFrame:
        """columns dataset, model, score, mean, low, high, n."""
        frame = self.networks.melt(["dataset", "model", *SEEDS], list(MODEL_SCORES), "score").astype({"value": float})
        return by_data_seed(frame, "value", ["dataset", "model", "score"]) if len(frame) else frame

    def score(self, dataset: str, pair: Pair, metric: str) -> Interval | None:
        """One recovery score, or None."""
        return _lookup(self._recovery_index, (dataset, *pair, metric))

    def area(self, dataset: str, pair: Pair, form: str = "retrained") -> Interval | None:
        """One retention area, or None; NaN where it has no value."""
        return _lookup(self._area_index, (dataset, *pair, form))

    def reached(self, dataset: str, model: str, score: str) -> Interval | None:
        """What the networks of a kind reached."""
        return _lookup(self._model_index, (dataset, model, score))

    def chance(self, dataset: str, metric: str) -> float | None:
        """The expected score of a random ranking, by formula; mean over draws."""
        keys = self.run.loc[self.run["dataset"] == dataset, "draw"].unique()
        found = [self.results.draws[key].get("chance", {}).get(metric) for key in keys if key in self.results.draws]
        return None if not found or None in found else float(np.mean(found))

    def headline(self, dataset: str) -> str | None:
        """The score that decides the comparison on a dataset: by the grades of the truth, if it has them."""
        for metric in ("somers_d", "auroc", *self.metrics):
            frame = self.recovery
            if ((frame["dataset"] == dataset) & (frame["metric"] == metric)).any():
                return metric
        return None

    def controls_key(self, frame: pd.DataFrame, dataset: str, control: str) -> Pair | None:
        """Under which model a control of a dataset stands in ``frame``."""
        rows = frame[(frame["dataset"] == dataset) & (frame["explainer"] == control)]
        return (str(rows["model"].iloc[0]), control) if len(rows) else None

    @cached_property
    def _recovery_index(self) -> dict[tuple, Interval]:
        return _index(self.recovery, [*NAMES, "metric"])

    @cached_property
    def _area_index(self) -> dict[tuple, Interval]:
        return _index(self.areas, [*NAMES, "form"])

    @cached_property
    def _model_index(self) -> dict[tuple, Interval]:
        return _index(self.model_scores, ["dataset", "model", "score"]) if len(self.model_scores) else {}

    def paired(self, frame: pd.DataFrame, dataset: str, first: Pair, second: Pair) -> Interval:
        """Interval of ``first`` minus ``second``, paired by data seed; ``frame``: one metric's measurements."""
        sides = []
        for model, explainer in (first, second):
            rows = frame[(frame["dataset"] == dataset) & (frame["model"] == model) & (frame["explainer"] == explainer)]
            sides.append(rows.astype({"value": float}).groupby("data_seed")["value"].mean())
        return interval((sides[0] - sides[1]).dropna().to_numpy())

    def overlapping(self, dataset: str, of: dict[Pair, Interval | None]) -> tuple[Pair | None, set[Pair]]:
        """The pair of the highest mean among networks that learned, and the pairs whose interval overlaps its own.

        No pair overlaps where one value has no interval (a single data seed).
        """
        usable = {p: v for p, v in of.items() if v and np.isfinite(v.mean) and self.all_learned(dataset, p[0])}
        if not usable:
            return None, set()
        best = max(usable, key=lambda pair: usable[pair].mean)
        if usable[best].n < 2:
            return best, set()
        return best, {p for p, v in usable.items() if v.n > 1 and v.high >= usable[best].low}


def _place(labels: list[str], label: str) -> int:
    return labels.index(label) if label in labels else len(labels)


def _first_and_count(reasons: pd.Series) -> str:
    counts = reasons.value_counts(sort=False)
    more = f" (and {len(counts) - 1} other reasons)" if len(counts) > 1 else ""
    return f"{counts.index[0]}{more}; {len(reasons)} without a value"


def _controls_once(frame: pd.DataFrame) -> pd.DataFrame:
    """Recovery of a control does not depend on the network: keep its first row for each draw, without a model."""
    control = frame["explainer"].isin(CONTROLS)
    once = frame[control].drop_duplicates(["dataset", "explainer", "data_seed", "fold", "metric"]).assign(model="")
    return pd.concat([frame[~control], once.assign(model_seed=0)], ignore_index=True)


def _index(frame: pd.DataFrame, by: list[str]) -> dict[tuple, Interval]:
    rows = frame[[*by, *Interval._fields]].itertuples(index=False, name=None)
    return {row[: len(by)]: Interval(*row[len(by) :]) for row in rows}


def _lookup(index: dict[tuple, Interval], key: tuple) -> Interval | None:
    return index.get(key)


def spread(facts: Facts, dataset: str, metric: str) -> tuple[float, float, int, int] | None:
    """How much methods differ on one network, and networks for one method: mean standard deviations.

    Returns the deviation over explainers on the same network, that over networks of the same explainer, and the
    numbers of explainers and networks; over explainers that ran on all networks. None if there are not two of each.
    """
    frame = facts.results.measurements
    frame = frame[(frame["dataset"] == dataset) & (frame["metric"] == metric) & (frame["model"] != "")]
    frame = frame[~frame["explainer"].isin(CONTROLS)]
    table = frame.pivot_table(index=["data_seed", "model_seed", "fold", "model"], columns="explainer", values="value")
    table = table.dropna(axis=1)
    n_models = frame["model"].nunique()
    if table.shape[1] < 2 or n_models < 2:
        return None
    within = table.std(axis=1, ddof=1).mean()
    across = table.groupby(level=["data_seed", "model_seed", "fold"]).std(ddof=1).to_numpy().mean()
    return float(within), float(across), table.shape[1], n_models


def agreement(facts: Facts, dataset: str) -> float | None:
    """Median rank correlation of the relevances of two explainers on the same network."""
    done = facts.run[(facts.run["dataset"] == dataset) & (facts.run["model"] != "") & (facts.run["status"] == "done")]
    found: list[float] = []
    for _, group in done[~done["explainer"].isin(CONTROLS)].groupby(["model", *SEEDS], sort=False):
        vectors = {row.cell: facts.results.relevance[row.cell] for row in group.itertuples()}
        if len(vectors) > 1:
            matrix = pd.DataFrame(vectors).corr("spearman").to_numpy()
            found += matrix[np.triu_indices(len(vectors), 1)].tolist()
    finite = np.array(found)[np.isfinite(found)]
    return float(np.median(finite)) if len(finite) else None
