"""What following ``trust`` costs: recovery of the best entrant less that of the recommended one, on other rules.

Inputs are real ones that come with scikit-learn. Targets are made by rules that the simulator of ``trust`` does not
have (trees, xor of thresholds, rings, the largest of several, counts), as noisy as the real target. Beside it: the
regret of always ``spectral`` on its network, of the leader of ``standard``, of an entrant drawn at random, and of the
entrant that is best on these very draws on average, which nobody can know.

    python -m benchmarks.regret                  # writes benchmarks/scores/regret.csv; some fifteen minutes of one core
    python -m benchmarks.regret wine diabetes    # these tables only, printed
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn import datasets

from xai_bench import register, run, trust
from xai_bench.analysis.difficulty import real_score, signal_for
from xai_bench.analysis.given import given_table
from xai_bench.analysis.leader import leader
from xai_bench.analysis.rows import splits
from xai_bench.analysis.score import score_for
from xai_bench.analysis.simulations import METHODS, MODELS, suite_rows
from xai_bench.component import stream_seed
from xai_bench.datasets import rules
from xai_bench.datasets.arrays import Floats
from xai_bench.datasets.base import DataSource, Kind, Table
from xai_bench.datasets.simulated import stretches
from xai_bench.results import comparison, entrants

FILE = Path(__file__).parent / "scores" / "regret.csv"
TABLES = ("breast_cancer", "diabetes", "wine", "digits")
Rule = Literal["tree", "xor", "ring", "largest", "count"]
RULES: tuple[Rule, ...] = ("tree", "xor", "ring", "largest", "count")
PER_RULE = 4
"""Draws of each rule: twenty on every table."""
ROWS = 500
SPECTRAL = "spectral on spectral_mlp"
DRAWS = 5
"""Of ``trust``, of every kind that choose, and as many that score."""


def table_of(name: str) -> tuple[pd.DataFrame, Floats]:
    """X and y; at most 500 rows, constant columns left out."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    taken = np.sort(np.random.default_rng(0).permutation(len(bunch.target))[:ROWS])
    X = bunch.data.iloc[taken].reset_index(drop=True)
    return X.loc[:, X.nunique() > 1], bunch.target.to_numpy()[taken]


@register
class OtherRule(DataSource):
    """A real table with a target by a rule that ``simulated`` does not have."""

    name: ClassVar[str] = "other_rule"

    table: str
    rule: Rule
    kind: Kind
    classes: tuple[float, ...]
    signal: float
    truth_seed: int

    def draw(self, rng: np.random.Generator) -> Table:
        X = table_of(self.table)[0]
        values = X.to_numpy(dtype=np.float64)
        places = rules.Places.of(values, tuple((j,) for j in range(values.shape[1])))
        of_truth = np.random.default_rng(stream_seed("other rule", self.table, self.rule, self.truth_seed))
        relevant = rules.chosen(places, {"tree": 3, "xor": 2, "ring": 2, "largest": 3, "count": 4}[self.rule], of_truth)
        said = VALUES[self.rule](places.columns[:, relevant])
        said = (said - said.mean()) / said.std()
        y = np.sqrt(self.signal) * said + np.sqrt(1 - self.signal) * rng.normal(size=len(said))
        return Table(
            X=values,
            y=y if self.kind == "regression" else stretches(y, self.classes),
            kind=self.kind,
            truth=rules.truth_of(places, relevant),
            feature_names=tuple(map(str, X.columns)),
        )


def _tree(u: Floats) -> Floats:
    return np.where(u[:, 0] > 0, np.where(u[:, 1] > 0.3, 2.0, 0.0), np.where(u[:, 2] > -0.3, 1.0, -1.0))


VALUES = {
    "tree": _tree,
    "xor": lambda u: ((u[:, 0] > 0) ^ (u[:, 1] > 0)).astype(float),
    "ring": lambda u: (np.hypot(u[:, 0], u[:, 1]) > 0.75).astype(float),
    "largest": lambda u: u.max(axis=1),
    "count": lambda u: ((u > 0).sum(axis=1) >= 3).astype(float),
}
"""What a rule says of places (n, relevant) from -1 to 1."""


def recoveries(name: str, kind: Kind, classes: tuple[float, ...], signals: dict[Rule, float]) -> pd.DataFrame:
    """Recovery: one row a draw, one column an entrant."""
    drawn = [
        {"name": "other_rule", "label": f"{rule} {seed}", "table": name, "rule": rule, "kind": kind, "classes": classes,
         "signal": signals[rule], "truth_seed": seed}
        for rule in RULES for seed in range(PER_RULE)
    ]  # fmt: skip
    suite = {
        "name": "regret", "data_seeds": [0], "datasets": drawn, "models": suite_rows("models", MODELS),
        "explainers": suite_rows("explainers", METHODS), "settling": {"draws": 0},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        values = comparison.units(entrants.values(run(suite, out=folder), entrants.RECOVERY), "entrants")
    return values.pivot_table("value", "dataset", "name")


def of_table(name: str) -> pd.DataFrame:
    """One row a choice and draw: table, choice, entrant, draw, regret."""
    X, y = table_of(name)
    roles: dict[str, Any] = {"groups": None, "time": None, "weights": None}
    given = given_table(X, y, None, roles, (), (), ())
    rows, score = given.rows, score_for(given.rows.y, given.rows.kind)
    aim = real_score(given.table, rows, splits(rows, 1, 3), score)
    classes = (0.5, 0.5) if rows.kind == "regression" else tuple((np.bincount(rows.y) / len(rows)).tolist())

    def source(rule: Rule, signal: float, seed: int) -> OtherRule:
        return OtherRule(table=name, rule=rule, kind=rows.kind, classes=classes, signal=signal, truth_seed=seed)

    signals = {rule: signal_for(lambda s, seed, rule=rule: source(rule, s, seed), score, aim)[0] for rule in RULES}
    found = recoveries(name, rows.kind, classes, signals)
    recommended = trust(X, y, draws=DRAWS, seconds=1e6).recommended
    hindsight = str(found.mean().idxmax())
    choices = {"trust": recommended, "spectral": SPECTRAL, "leader": leader().name, "hindsight": hindsight}
    best = found.max(axis=1)
    parts = [
        pd.DataFrame({"table": name, "choice": choice, "entrant": entrant, "draw": found.index,
                      "regret": (best - found[entrant]).to_numpy()})
        for choice, entrant in choices.items()
    ]  # fmt: skip
    by_chance = (best - found.mean(axis=1)).to_numpy()
    parts.append(
        pd.DataFrame({"table": name, "choice": "random", "entrant": "", "draw": found.index, "regret": by_chance})
    )
    return pd.concat(parts, ignore_index=True)


def summary(regrets: pd.DataFrame) -> pd.DataFrame:
    """Mean and 90th percentile of the regret of every choice, by table and over all."""
    rows = []
    for table, part in [*regrets.groupby("table", sort=False), ("all", regrets)]:
        for choice, own in part.groupby("choice", sort=False):
            names = ", ".join(dict.fromkeys(name for name in own["entrant"] if name))
            rows.append((table, choice, names, own["regret"].mean(), own["regret"].quantile(0.9), len(own)))
    return pd.DataFrame(rows, columns=["table", "choice", "entrants", "mean_regret", "regret_90", "draws"])


def sentence(regrets: pd.DataFrame) -> str:
    """Whether following ``trust`` cost less than the other choices, table by table."""
    wide = regrets.pivot_table("regret", ["table", "draw"], "choice")
    parts = []
    for other in ("spectral", "leader", "random"):
        gain = (wide[other] - wide["trust"]).groupby("table").mean()
        parts.append(f"{other} {gain.mean():+.3f} (better on {int((gain > 0).sum())} of {len(gain)} tables)")
    return f"Regret of other choices less that of trust: {'; '.join(parts)}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], default=[])
    chosen = parser.parse_args().tables or TABLES
    regrets = []
    for name in chosen:
        regrets.append(of_table(name))
        print(summary(regrets[-1]).to_string(index=False), f"\n{time.process_time():.0f} CPU seconds", flush=True)
    everything = pd.concat(regrets)
    print(sentence(everything))
    if len(chosen) == len(TABLES):
        summary(everything).to_csv(FILE, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
