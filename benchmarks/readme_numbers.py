"""What README and manual say of a committed pack, between two marks; ``make reports`` writes it anew.

The README has the sentences, the manual (``docs/results.md``) the sentences and the leaderboard.

python benchmarks/readme_numbers.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks import between
from xai_bench.errors import InputError
from xai_bench.results.frames import Results
from xai_bench.results.store import read

ROOT = Path(__file__).parents[1]
README, MANUAL = ROOT / "README.md", ROOT / "docs" / "results.md"
PACK = ROOT / "reports" / "standard" / "standard.xaipack"
BEGIN, END = "<!-- numbers of reports/standard -->", "<!-- end of the numbers -->"


def sentences(results: Results) -> str:
    """What the standard comparison shows, in Markdown: at most three sentences."""
    return " ".join(results.in_words(file="reports/standard/standard.xaipack")) + "\n"


def table(results: Results) -> str:
    """The same sentences, and the leaderboard of methods."""
    board, retention = _board(results, "recovery"), _board(results, "retention")
    lines = [
        sentences(results),
        "| method | recovery (2 AUROC − 1) | rank | points of retention | rank |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in board.index:
        cells = [_score(board, name, 3), _rank(board, name), _score(retention, name, 1), _rank(retention, name)]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _board(results: Results, metric: str) -> pd.DataFrame:
    try:
        return results.leaderboard("methods", metric).set_index("name")
    except InputError:
        return pd.DataFrame()


def _score(board: pd.DataFrame, name: str, digits: int) -> str:
    """The score, in bold in the first group if any pair is decided."""
    if name not in board.index or pd.isna(board.loc[name, "score"]):
        return "–"
    text = f"{board.loc[name, 'score']:.{digits}f}".replace("-", "−")
    decided = board["worse_than"].sum() > 0
    return f"**{text}**" if decided and board.loc[name, "first_group"] else text


def _rank(board: pd.DataFrame, name: str) -> str:
    """The ranks that the decided pairs leave."""
    if name not in board.index:
        return "–"
    row = board.loc[name]
    if not row["ranked"]:
        return f"{row['families']} of {row['of_families']} families"
    low, high = int(row["rank_low"]), int(row["rank_high"])
    return f"{low}" if low == high else f"{low} to {high}"


def block(text: str) -> str:
    """What stands between the marks.

    Raises
    ------
    ValueError
        If a mark is missing.
    """
    return between.found(text, BEGIN, END)


def write() -> None:
    """Put what the pack says today between the marks."""
    results = read(PACK)
    for path, said in ((README, sentences(results)), (MANUAL, table(results))):
        between.put(path, BEGIN, END, said)


if __name__ == "__main__":
    write()
