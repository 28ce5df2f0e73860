"""Which datasets with a truth the suites ``quick`` and ``standard`` hold, and with how many rows and inputs.

The rule was stated before the values it decides on were looked at:

- A dataset is taken if the mean score of three reference entrants over the data seeds 1000 to 1009 lies in [.2, .95].
  The score is 2 AUROC - 1 of relevant against noise inputs, the way from chance to 1.
- The references are one entrant of each kind of evidence: ``saliency`` on ``mlp`` (a network that is trained, and asked
  afterwards), ``spectral`` on ``spectral_mlp`` (a network that ranks its inputs while it is trained), and the impurity
  importance of a forest of 50 trees (no network).
- Candidates are all sources that ship and have relevant and noise inputs, with their default fields but for the size.
- A source begins at the size of the suite (``SUITES``). Where that is too easy, its rows are halved and its inputs
  doubled; where it is too hard, the other way round; each as far as the suite and the source allow. The first size
  within the band is taken. A source without such a size is left out, and so is one that passes over the band.
- Three draws that all but agree (a mean above .99 or below 0) settle that a size is too easy, or too hard.
- At least ``NOISE`` inputs are noise: with fewer the score has too few steps.
- Of a family with several such sources the one nearest to the middle of the band is taken. Of more families than the
  suite has room for (``ROOM``) those nearest to it, and ``ALWAYS``.

Nothing is left out because entrants tie. All values stand in ``benchmarks/families.csv``.

    python -m benchmarks.choose_families                 # ten data seeds, both suites; goes on where it was stopped
    python -m benchmarks.choose_families --seeds 2 --suites quick --out trial
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from xai_bench import InputError, registry
from xai_bench.component import canonical_json, sha256, stream_seed
from xai_bench.datasets.base import Dataset, DataSource, Floats
from xai_bench.explainers.captum import Saliency
from xai_bench.explainers.forests import RandomForest
from xai_bench.explainers.spectral import Spectral
from xai_bench.metrics.recovery import auroc
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.running.block import problem_of
from xai_bench.running.state import standardise

BAND = (0.2, 0.95)
FIRST_SEED, SEEDS = 1000, 10
TREES = 50
SURE, SURE_DRAWS = (0.0, 0.99), 3
NOISE = 5
REFERENCES = ("saliency on mlp", "spectral on spectral_mlp", "random_forest")
ROOM = {"quick": 8, "standard": 15}
"""Families of a suite: what its time allows."""
ALWAYS = ("gaussian_independent", "gaussian_correlated")
"""Sources of the paper that the spectral relevance comes from; they have to lie in the band, too."""
TABLE = Path(__file__).with_name("families.csv")


class Size(NamedTuple):
    """Rows, and inputs."""

    n: int
    d: int


@dataclass(frozen=True)
class Sizes:
    """What a suite allows: the size that every source begins at, and the fewest and the most rows and inputs."""

    begin: Size
    fewest: Size
    most: Size

    def harder(self, size: Size) -> Size:
        """Half of the rows, and twice the inputs."""
        return Size(max(size.n // 2, self.fewest.n), min(2 * size.d, self.most.d))

    def easier(self, size: Size) -> Size:
        """Twice the rows, and half of the inputs."""
        return Size(min(2 * size.n, self.most.n), max(size.d // 2, self.fewest.d))


SUITES = {
    "quick": Sizes(begin=Size(1000, 20), fewest=Size(250, 2), most=Size(2000, 64)),
    "standard": Sizes(begin=Size(1000, 64), fewest=Size(250, 2), most=Size(4000, 256)),
}


class Source:
    """A source of datasets whose number of rows and inputs can be chosen.

    ``least``, ``most``: the fewest and the most inputs that it can have; equal where they are fixed.
    """

    def __init__(self, name: str) -> None:
        self.name, self.kind = name, registry.get("datasets", name)
        fields = self.kind.model_fields
        counts = [name for name in ("d", "noise") if name in fields and fields[name].annotation is int]
        self.sized_by = counts[0] if counts else None
        smallest = next(data for value in range(1, 10_000) if (data := self._load(value)) is not None)
        self.inputs_beside = len(smallest.inputs) - self._value_of(smallest)
        self.least = len(smallest.inputs) + max(NOISE - _count(smallest, "noise"), 0)
        self.family = self.kind(**self.fields(Size(250, self.least))).family_of(smallest).id
        self.most = 10**9
        if self.sized_by is None:
            self.least = self.most = len(smallest.inputs)

    def _load(self, value: int) -> Dataset | None:
        """A small draw with that value of the field that sets the number of inputs; None if it cannot have it."""
        own = {} if self.sized_by is None else {self.sized_by: value}
        try:
            data: Dataset = self.kind(n=250, **own).load(FIRST_SEED)
        except (ValidationError, InputError):
            return None
        roles = data.truth_over_inputs.roles if data.truth_over_inputs is not None else ()
        self._last = value
        return data if self.sized_by is None or "noise" in roles else None

    def _value_of(self, data: Dataset) -> int:
        return 0 if self.sized_by is None else self._last

    def fields(self, size: Size) -> dict[str, int]:
        own = {} if self.sized_by is None else {self.sized_by: size.d - self.inputs_beside}
        return {"n": size.n, **own}

    def at(self, size: Size) -> Size:
        """The nearest size that it can have."""
        return Size(size.n, min(max(size.d, self.least), self.most))


def _count(data: Dataset, role: str) -> int:
    truth = data.truth_over_inputs
    return 0 if truth is None else truth.roles.count(role)


CAME_LATER = ("teacher", "correlated_blocks", "pathways", "hand_set")
"""Sources that were written after the suites were chosen and measured: they are tried when that is done again."""


def sources() -> Iterator[str]:
    """Names of the sources that ship, need no file, have relevant and noise inputs, and were there at the choice."""
    for name in registry.names("datasets"):
        kind = registry.get("datasets", name)
        if name in CAME_LATER or not isinstance(kind, type) or not issubclass(kind, DataSource) or kind.reads_files:
            continue
        if "n" not in kind.model_fields or kind().missing() is not None:
            continue
        data = kind().load(FIRST_SEED)
        if _count(data, "relevant") and _count(data, "noise"):
            yield name


@dataclass
class Walk:
    """The sizes of one source that were tried for one suite, each with the scores (draws, references) there."""

    source: Source
    sizes: Sizes
    tried: list[tuple[Size, Floats]] = field(default_factory=list)
    reason: str = ""
    """Why the source is left out; "" as long as it is not."""
    taken: bool = False

    def go(self, scores: Callable[[DataSource, bool], Floats]) -> None:
        """From size to size, to the end. ``scores``: (draws, references) of a dataset, of all draws or of the first."""
        following: Size | None = self.source.at(self.sizes.begin)
        if self.source.least > self.sizes.most.d:
            self.reason, following = f"{self.source.least} inputs at the least, {self.sizes.most.d} allowed", None
        while following is not None:
            size = following
            dataset = self.source.kind(**self.source.fields(size))
            found = scores(dataset, True)
            if SURE[0] <= found.mean() <= SURE[1]:
                found = scores(dataset, False)
            following = self._after(size, found)

    def _after(self, size: Size, scores: Floats) -> Size | None:
        before = verdict(self.tried[-1][1]) if self.tried else ""
        self.tried.append((size, scores))
        now = verdict(scores)
        if not now:
            self.taken = True
            return None
        if before and before != now:
            self.reason = "from one size to the next it passes over the band"
            return None
        step = self.sizes.harder if now == "too easy" else self.sizes.easier
        following = self.source.at(step(size))
        if following == size:
            self.reason = f"{now} at every size"
            return None
        return following

    @property
    def mean(self) -> float:
        """Of the size that was tried last."""
        return float(self.tried[-1][1].mean())


def verdict(scores: Floats) -> str:
    """ "" within the band, else on which side of it the mean of (draws, references) lies."""
    mean = scores.mean()
    return "too easy" if mean > BAND[1] else "too hard" if mean < BAND[0] else ""


class Scores:
    """Scores of the references, kept in a file: what was computed before is not computed again."""

    def __init__(self, folder: Path, seeds: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.seeds = folder / "scores.jsonl", range(FIRST_SEED, FIRST_SEED + seeds)
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        self.known: dict[str, list[float]] = dict(map(json.loads, lines))
        self.networks = (MLP(), SpectralMLP())
        self.methods = (Saliency(), Spectral(), RandomForest(trees=TREES))

    def __call__(self, dataset: DataSource, first: bool) -> Floats:
        """(draws, references) scores, of the ``first`` draws only or of all."""
        return np.array([self.of(dataset, seed) for seed in self.seeds[: SURE_DRAWS if first else None]])

    def of(self, dataset: DataSource, seed: int) -> list[float]:
        """The scores of one draw."""
        parts = [part.identity() for part in (dataset, *self.networks, *self.methods)]
        key = sha256(canonical_json([parts, seed]))
        if key not in self.known:
            self.known[key] = self._computed(dataset, seed)
            with self.path.open("a") as file:
                file.write(json.dumps([key, self.known[key]]) + "\n")
        return self.known[key]

    def _computed(self, dataset: DataSource, seed: int) -> list[float]:
        data = dataset.load(seed).standardised()
        truth = data.truth_over_inputs
        assert truth is not None
        found = []
        for network, method in zip((*self.networks, None), self.methods, strict=True):
            model = None if network is None else fit_many(network, data, [0], chunk=1)[0].module
            explained = method.explain(problem_of(data, model), seed=stream_seed("families", seed, method.name))
            area = auroc(data.canonical_over_inputs(explained.over_inputs), truth)
            assert area is not None
            found.append(2 * area - 1)
        return found


def choose(suite: str, scores: Scores, named: list[str]) -> list[Walk]:
    """Every source, or those ``named``, walked to the end."""
    walks = [Walk(Source(name), SUITES[suite]) for name in named or sources()]
    for walk in walks:
        walk.go(scores)
        sizes = ", ".join(f"{size.n} x {size.d}: {found.mean():.2f}" for size, found in walk.tried)
        print(suite, walk.source.name, sizes, walk.reason, flush=True)
    narrowed(walks, ROOM[suite])
    return walks


def narrowed(walks: list[Walk], room: int) -> None:
    """One source of a family stays taken, and no more families than there is room for."""
    middle = sum(BAND) / 2
    nearest = sorted((walk for walk in walks if walk.taken), key=lambda walk: abs(walk.mean - middle))
    nearest.sort(key=lambda walk: walk.source.name not in ALWAYS)
    families: list[str] = []
    for walk in nearest:
        if walk.source.family in families:
            walk.taken, walk.reason = False, "another source of its family is nearer to the middle of the band"
        elif len(families) == room:
            walk.taken, walk.reason = False, f"in the band; {room} families are nearer to its middle"
        else:
            families.append(walk.source.family)


def table(suite: str, walks: list[Walk]) -> pd.DataFrame:
    """One row a size that was tried."""
    rows: list[dict[str, Any]] = []
    for walk in walks:
        common = {"suite": suite, "family": walk.source.family, "dataset": walk.source.name}
        if not walk.tried:
            rows.append({**common, "d": walk.source.least, "taken": False, "reason": walk.reason})
        for number, (size, scores) in enumerate(walk.tried, 1):
            last = number == len(walk.tried)
            means = dict(zip(REFERENCES, scores.mean(0).round(3), strict=True))
            row = {**common, "n": size.n, "d": size.d, "draws": len(scores), **means, "mean": round(scores.mean(), 3)}
            reason = walk.reason if last else verdict(scores)
            rows.append({**row, "taken": last and walk.taken, "reason": reason})
    columns = ["suite", "family", "dataset", "n", "d", "draws", *REFERENCES, "mean", "taken", "reason"]
    return pd.DataFrame(rows, columns=columns).astype({"n": "Int64", "d": "Int64", "draws": "Int64"})


def main() -> None:
    """Write the table, and print what is taken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--datasets", nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=Path("build/families"))
    arguments = parser.parse_args()
    standardise()
    scores = Scores(arguments.out, arguments.seeds)
    found = pd.concat([table(suite, choose(suite, scores, arguments.datasets)) for suite in arguments.suites])
    trial = arguments.seeds != SEEDS or set(arguments.suites) != set(SUITES) or bool(arguments.datasets)
    found.to_csv(arguments.out / TABLE.name if trial else TABLE, index=False, lineterminator="\n")
    with pd.option_context("display.width", 200, "display.max_rows", None, "display.max_columns", None):
        print(found.to_string(index=False))


if __name__ == "__main__":
    main()
