"""Selections at a level, measured: runs the suite ``guarantees`` and writes ``reports/guarantees``.

python -m benchmarks.guarantees    # run what is missing into runs/ (four minutes of CPU time), write table and summary
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import xai_bench
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.wording import number
from xai_bench.report.page import versions
from xai_bench.results import guarantee_words, means
from xai_bench.results.frames import Results
from xai_bench.results.guarantees import null_inputs
from xai_bench.wording import plural

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "reports" / "guarantees"
LEVELS = (0.05, 0.2)
"""The second is where knockoffs can select anything on tables of ten inputs."""
MARKS = {"exceeded": "!", "undecided": "?", "kept": "", "": ""}


def text(results: Results) -> str:
    """The summary: equal results give equal bytes."""
    first, second = LEVELS
    cells = results.cells[results.cells["status"] == "done"]
    draws = cells.groupby("dataset")["data_seed"].nunique()
    spread = f"{draws.min()}" if draws.min() == draws.max() else f"{draws.min()} to {draws.max()}"
    runs = results.null_cells["permutation"].nunique()
    blocks = [
        "# Selection with guarantees",
        versions(Frames(results)),
        f"{plural(len(draws), 'dataset')}, {spread} draws of each, {plural(runs, 'null run')}. Written by `python -m "
        "benchmarks.guarantees`; `docs/guarantees.md` says what is counted, and how. Intervals: 95 %, Clopper-Pearson, "
        "draws as clusters. An input counts as false under the hypothesis that a method states, with null runs if it "
        "is null alone and given the others: powers under different hypotheses are of different inputs.",
        *guarantee_words.sentences(results, first),
        "## All datasets together",
        _pooled(results, first),
        f"## The controlled error on every dataset, level {first:g}",
        "A mark says that the promise is exceeded (!) or that the draws do not decide (?).",
        _matrix(results, first),
        f"## Level {second:g}",
        *guarantee_words.sentences(results, second),
        "## Inputs that count as false",
        _table(null_inputs(results).map(lambda value: f"{value:g}" if isinstance(value, float) else value)),
        "## Cost",
        _cost(results),
    ]
    return "\n\n".join(blocks) + "\n"


def frame(results: Results) -> pd.DataFrame:
    """Both levels, every dataset and all of them together (dataset ""), six digits."""
    parts = [
        results.guarantees(level, pooled=pooled).assign(level=level) for level in LEVELS for pooled in (True, False)
    ]
    return pd.concat(parts, ignore_index=True).map(lambda v: float(f"{v:.6g}") if isinstance(v, float) else v)


def _pooled(results: Results, level: float) -> str:
    rows = guarantee_words.stated(results.guarantees(level, pooled=True))
    shown = [
        {
            "method": row["explainer"], "selected by": guarantee_words.RULES[row["rule"]],
            "power": _with_interval(row, "power"), "controlled": guarantee_words.ERRORS[row["controls"]],
            "error": f"{number(row['error'])} [{number(row['low'])}, {number(row['high'])}]",
            "promise": row["outcome"],
        }
        for row in rows.to_dict("records")
    ]  # fmt: skip
    return _table(pd.DataFrame(shown))


def _with_interval(row: dict, name: str) -> str:
    return f"{number(row[name])} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"


def _matrix(results: Results, level: float) -> str:
    """A row a method and rule, a column a dataset."""
    rows = guarantee_words.stated(results.guarantees(level))
    rows["shown"] = [f"{number(row['error'])}{MARKS[row['outcome']]}" for row in rows.to_dict("records")]
    wide = rows.pivot_table(index=["explainer", "rule"], columns="dataset", values="shown", aggfunc="first", sort=False)
    return _table(wide.reset_index().rename(columns={"explainer": "method"}))


def _cost(results: Results) -> str:
    """CPU seconds of one explanation, set-up and training of a network as well."""
    timed = means.timed(results.cells)
    found = means.medians(timed, ["machine", "explainer"], ["given_cpu", "end_cpu"])
    columns = {"explainer": "method", "given_cpu": "given the network, CPU s", "end_cpu": "end to end, CPU s"}
    shown = found[list(columns)].rename(columns=columns)
    return _table(shown.map(lambda value: f"{value:.2g}" if isinstance(value, float) else value))


def _table(rows: pd.DataFrame) -> str:
    head = [str(name) for name in rows.columns]
    lines = ["| " + " | ".join(map(str, line)) + " |" for line in (head, *rows.fillna("–").to_numpy().tolist())]
    return "\n".join([lines[0], "|" + ":---|" * len(head), *lines[1:]])


def write(results: Results) -> None:
    """The table and the summary."""
    FOLDER.mkdir(exist_ok=True)
    frame(results).to_csv(FOLDER / "guarantees.csv", index=False)
    (FOLDER / "summary.md").write_text(text(results), encoding="utf-8")


def main(arguments: list[str]) -> None:
    if arguments:
        sys.exit("usage: python -m benchmarks.guarantees")
    write(xai_bench.run("guarantees", out=ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
