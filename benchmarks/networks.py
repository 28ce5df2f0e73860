"""Which network learns what, after equal numbers of steps: datasets of ``standard`` by networks, default fields.

``python benchmarks/networks.py`` trains what ``benchmarks/scores/networks.csv`` lacks (data seeds 0 to 4, model seed
0), adds it there row by row, and writes ``networks.md`` beside it. All of it takes ten CPU minutes or so: transformers
are dear: with more inputs than in ``FEW_INPUTS``, ``ft_transformer`` has one draw, the spectral one none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from xai_bench import registry
from xai_bench.datasets.base import DataSource
from xai_bench.statistics import LEAST_DRAWS, corrected_interval, interval
from xai_bench.suites import plan, reading
from xai_bench.wording import plural

FILE = Path(__file__).parent / "scores" / "networks.csv"
DATASETS = ("diabetes", "breast_cancer", "tetromino_xor", "ring_xor", "digits")
FILES = {"diabetes", "breast_cancer", "digits"}
"""Datasets whose draws are splits of one file: they share rows."""
FEW_INPUTS = ("diabetes", "breast_cancer")
NETWORKS = (
    "mlp",
    "spectral_mlp",
    "resnet",
    "spectral_resnet",
    "cnn",
    "spectral_cnn",
    "ft_transformer",
    "spectral_ft_transformer",
)
DRAWS = 5
DEAR = {"ft_transformer": 1, "spectral_ft_transformer": 0}
"""Draws of datasets with more inputs than ``FEW_INPUTS``."""
TEST_TO_TRAIN = 0.2 / 0.64
"""Rows of a split."""
LEVEL = 0.95
MUCH = 1.5
"""Ratios of seconds below this one are shown with a decimal."""
BEST = 1.0
"""Accuracy and R2 end here, and so do their intervals."""
COLUMNS = [
    "dataset",
    "data_seed",
    "inputs",
    "network",
    "test_score",
    "learned",
    "steps",
    "rows_a_step",
    "train_cpu",
    "reason",
]


def main() -> None:
    torch.set_num_threads(1)
    rows = kept().to_dict("records") if FILE.exists() else []
    known = {(row["dataset"], row["network"], row["data_seed"]) for row in rows}
    refused = {(row["dataset"], row["network"]) for row in rows if isinstance(row["reason"], str)}
    standard = plan.draws(reading.load("standard").model_copy(update={"data_seeds": (0,)}))
    sources = {draw.dataset.component.name: draw.dataset.component for draw in standard}
    for network, name in itertools.product(NETWORKS, DATASETS):
        for seed in range(draws(network, name)):
            if (name, network, seed) not in known and (name, network) not in refused:
                rows.append(row := trained(name, sources[name], network, seed))
                pd.DataFrame(rows, columns=COLUMNS).to_csv(FILE, index=False, float_format="%.4g")
                if "reason" in row:
                    refused.add((name, network))
    FILE.with_suffix(".md").write_text(markdown(kept()), encoding="utf-8")


def kept() -> pd.DataFrame:
    """What was trained."""
    return pd.read_csv(FILE, keep_default_na=False, na_values=[""])


def draws(network: str, dataset: str) -> int:
    """How many draws of a dataset a network is trained on."""
    return DRAWS if dataset in FEW_INPUTS else DEAR.get(network, DRAWS)


def trained(name: str, source: DataSource, network: str, data_seed: int) -> dict[str, object]:
    """The row of one network on one draw."""
    data = source.load(data_seed).standardised()
    architecture = registry.create("models", network, {})
    row: dict[str, object] = {"dataset": name, "data_seed": data_seed, "inputs": data.d, "network": network}
    reason = architecture.unsupported(data)
    if reason is not None:
        return {**row, "reason": reason}
    fitted, n = architecture.fit(data, 0), len(data.y_train)
    facts = {"test_score": fitted.test_score, "learned": fitted.learned, "train_cpu": fitted.train_cpu}
    return {**row, **facts, "steps": architecture.steps(n), "rows_a_step": min(architecture.batch_size, n)}


def markdown(table: pd.DataFrame) -> str:
    """The test scores as a table, their differences from ``mlp``, the seconds, and what can be said of them."""
    done = table[table["reason"].isna()]
    refused = set(zip(table["dataset"], table["network"], strict=True)) - set(
        zip(done["dataset"], done["network"], strict=True)
    )
    gaps = {key: gap for key in itertools.product(DATASETS, NETWORKS[1:]) if len(gap := differences(done, *key))}
    enough = [key for key, gap in gaps.items() if len(gap) >= LEAST_DRAWS]
    level = 1 - (1 - LEVEL) / max(len(enough), 1)
    intervals = {key: of_mean(gaps[key], key[0], level) for key in enough}
    parts = [
        "# Which network learns what",
        f"`python benchmarks/networks.py`: {DRAWS} draws or fewer (data seeds from 0 on) of datasets of `standard`, "
        "one training each with the default fields, at least 1000 steps of 128 rows (transformers: 64). Accuracy, or "
        "R2 (`diabetes`), on test rows: the mean with its 95 % interval, and of fewer than five draws their number. "
        "A star: on some draw no better than chance; -: the network does not take the data. The draws of "
        f"{', '.join(f'`{name}`' for name in DATASETS if name in FILES)} are splits of one file: their intervals are "
        "those of Nadeau and Bengio (2003).",
        _table(NETWORKS, refused, lambda dataset, network: _score(done, dataset, network)),
        f"Test score minus that of `mlp` on the same draws, with intervals that hold together at 95 % (Bonferroni over "
        f"{len(enough)}); nothing is decided below five draws:",
        _table(NETWORKS[1:], refused, lambda dataset, network: _difference(gaps, intervals, (dataset, network))),
        "Median CPU seconds of a training, on a busy machine:",
        _table(NETWORKS, refused, lambda dataset, network: _seconds(done, dataset, network)),
        "\n".join(
            _words(done, gaps, intervals, network) for network in NETWORKS[1:] if network in set(done["network"])
        ),
    ]
    return "\n\n".join(parts) + "\n"


def differences(done: pd.DataFrame, dataset: str, network: str) -> pd.Series:
    """Data seed to test score of a network minus that of ``mlp``, where both were trained."""
    scores = done[done["dataset"] == dataset].pivot(index="data_seed", columns="network", values="test_score")
    return (scores[network] - scores["mlp"]).dropna() if {network, "mlp"} <= set(scores) else pd.Series(dtype=float)


def of_mean(values: pd.Series, dataset: str, level: float) -> tuple[float, float]:
    """The interval of the mean of five values or more, each of one draw."""
    if dataset in FILES:
        found = corrected_interval(values, TEST_TO_TRAIN, level)
        assert found is not None
        return found
    return interval(values, level)[1:3]


def _of(done: pd.DataFrame, dataset: str, network: str) -> pd.DataFrame:
    return done[(done["dataset"] == dataset) & (done["network"] == network)]


def _score(done: pd.DataFrame, dataset: str, network: str) -> str:
    found = _of(done, dataset, network)
    if found.empty:
        return "not trained"
    star = "" if found["learned"].astype(bool).all() else " *"
    if len(found) < LEAST_DRAWS:
        return f"{found['test_score'].mean():.3f}{star} ({plural(len(found), 'draw')})"
    low, high = of_mean(found["test_score"], dataset, LEVEL)
    return f"{found['test_score'].mean():.3f} [{low:.2f}, {min(high, BEST):.2f}]{star}"


def _seconds(done: pd.DataFrame, dataset: str, network: str) -> str:
    found = _of(done, dataset, network)
    return "not trained" if found.empty else f"{found['train_cpu'].median():.1f}"


Key = tuple[str, str]


def _difference(gaps: dict[Key, pd.Series], intervals: dict[Key, tuple[float, float]], key: Key) -> str:
    if key not in gaps:
        return "not trained"
    mean = gaps[key].mean()
    if key not in intervals:
        return f"{mean:+.3f} ({plural(len(gaps[key]), 'draw')})"
    low, high = intervals[key]
    return f"{mean:+.3f} [{low:+.2f}, {high:+.2f}]"


def _table(networks: tuple[str, ...], refused: set[Key], shown: Callable[[str, str], str]) -> str:
    lines = [f"| | {' | '.join(networks)} |", "|---" * (len(networks) + 1) + "|"]
    for dataset in DATASETS:
        cells = ["-" if (dataset, network) in refused else shown(dataset, network) for network in networks]
        lines.append(f"| {dataset} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _words(
    done: pd.DataFrame, gaps: dict[Key, pd.Series], intervals: dict[Key, tuple[float, float]], network: str
) -> str:
    """A network against ``mlp``: where it is better or worse by intervals that hold together, and its cost."""
    found = [dataset for dataset, name in gaps if name == network]
    if not found:
        return f"- `{network}`: not trained beside `mlp`."
    groups: dict[str, list[str]] = {"better on": [], "worse on": [], "undecided on": [], "too few draws of": []}
    for dataset in found:
        groups[_outcome(intervals.get((dataset, network)))].append(dataset)
    said = "; ".join(f"{word} {', '.join(names)}" for word, names in groups.items() if names)
    seconds = [[_of(done, d, name)["train_cpu"].median() for name in (network, "mlp")] for d in found]
    ratio = pd.Series([own / of_mlp for own, of_mlp in seconds]).median()
    return f"- `{network}` against `mlp`: {said}. {ratio:{'.1f' if ratio < MUCH else '.0f'}} times its CPU seconds."


def _outcome(found: tuple[float, float] | None) -> str:
    """What the interval of a difference says, None for too few draws."""
    if found is None:
        return "too few draws of"
    low, high = found
    return "better on" if low > 0 else "worse on" if high < 0 else "undecided on"


if __name__ == "__main__":
    main()
