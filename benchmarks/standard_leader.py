"""Freeze the leader of the suite ``standard``, which ``xai_bench.trust`` recommends where nothing beats it.

python -m benchmarks.standard_leader        # reads reports/standard/standard.xaipack
"""

from __future__ import annotations

from pathlib import Path

from xai_bench.analysis.leader import FILE
from xai_bench.results.frames import Results
from xai_bench.results.store import read

ROOT = Path(__file__).parents[1]
PACK = ROOT / "reports" / "standard" / "standard.xaipack"
TARGET = ROOT / "xai_bench" / "analysis" / FILE
METRIC = "recovery"


def text_of(results: Results) -> str:
    """The file's content."""
    known = results.compare("entrants", METRIC).facts
    best = known.loc[known["score"].where(known["ranked"] & known["confirmatory"]).idxmax()]
    version = results.provenance[-1]["versions"]["xai-bench"]
    facts = {
        "explainer": best["explainer"],
        "model": best["model"],
        "metric": METRIC,
        "score": round(float(best["score"]), 4),
        "families": int(best["families"]),
        "draws": int(best["draws"]),
        "source": f"{PACK.relative_to(ROOT).as_posix()}, xai-bench {version}",
    }
    lines = [f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in facts.items()]
    return "\n".join(["# Made by benchmarks/standard_leader.py.", *lines, ""])


def main() -> None:
    TARGET.write_text(text_of(read(PACK)), encoding="utf-8")
    print(TARGET.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
