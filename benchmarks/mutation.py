"""Do the tests notice a wrong operator? Sites drawn with a seed are mutated one at a time, and their tests are run.

python benchmarks/mutation.py --seed 7              # 40 sites
python benchmarks/mutation.py --seed 7 --list       # only says which

The package is copied to a temporary folder; nothing is changed in place. A test that fails, or takes longer than the
limit, kills a mutant. Exit code 1 if more than ``--survivors`` live.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
MUTATED = ("models/*.py", "metrics/*.py", "scoring/*.py", "statistics.py")
COPIED = ("xai_bench", "tests", "benchmarks", "docs", "pyproject.toml", "README.md", "*.egg-info")
LEFT_OUT = ("test_committed_reports.py", "test_docs.py")
"""Tests of committed files; they say nothing of the code."""
SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.MatMult: ("@", "*"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
}
"""An operator, how it is written, and what takes its place."""
TESTS = {
    "models": ("spectral", "training", "stack", "engine", "sparse", "estimators", "explainers"),
    "metrics": ("recovery", "conformance", "more_datasets", "stellar"),
    "scoring": ("retention", "sanity", "recovery", "followups", "known_bugs"),
    "statistics.py": ("statistics", "scrutiny", "report", "stability", "training"),
}
"""Tests of a part of the package, before others that name the module; those that do not exist are left out."""


class Site(NamedTuple):
    """One operator in the source; ``start`` and ``end`` are its bytes in the file."""

    file: Path
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        text = (ROOT / self.file).read_text(encoding="utf-8").splitlines()[self.line - 1].strip()
        return f"{self.file}:{self.line}: {self.old} -> {self.new} in: {text}"


def sites() -> list[Site]:
    """All operators, file by file."""
    files = sorted(file for pattern in MUTATED for file in (ROOT / "xai_bench").glob(pattern))
    return [site for file in files for site in _of_file(file)]


def _of_file(file: Path) -> Iterator[Site]:
    source = file.read_bytes()
    starts = [0]
    for text in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(text))
    for node in _calculations(ast.parse(source)):
        operands = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.left, *node.comparators]
        operators = [node.op] if isinstance(node, ast.BinOp) else node.ops
        for before, operator, after in zip(operands, operators, operands[1:], strict=False):
            if type(operator) not in SWAPS:
                continue
            old, new = SWAPS[type(operator)]
            first = starts[(before.end_lineno or 0) - 1] + (before.end_col_offset or 0)
            last = starts[after.lineno - 1] + after.col_offset
            gap = re.sub(rb"#[^\n]*", lambda found: b" " * len(found[0]), source[first:last])
            at = first + gap.index(old.encode())
            yield Site(file.relative_to(ROOT), source[:at].count(b"\n") + 1, at, at + len(old), old, new)


def _calculations(node: ast.AST) -> Iterator[ast.BinOp | ast.Compare]:
    """Arithmetic and comparisons that are run; not those in annotations, messages of errors and asserts."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr):
        return
    if isinstance(node, ast.BinOp | ast.Compare):
        yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _calculations(child)


def tests_of(file: Path) -> list[str]:
    """Test files: the module's own, those of its part of the package, and others that name it."""
    module = ".".join(file.with_suffix("").parts)
    package, _, name = module.rpartition(".")
    named = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import .*\b{name}\b")
    present = [test for test in sorted((ROOT / "tests").glob("test_*.py")) if test.name not in LEFT_OUT]
    direct = [test for test in present if named.search(test.read_text(encoding="utf-8"))]
    own = [ROOT / "tests" / f"test_{word}.py" for word in (name, *TESTS[file.parts[1]])]
    return [str(test.relative_to(ROOT)) for test in dict.fromkeys([*own, *direct]) if test in present]


def run_tests(folder: Path, tests: list[str], limit: float) -> str:
    """``passed``, ``failed`` or ``over time``."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return "over time"
    return "passed" if done.returncode == 0 else "failed"


def copied(folder: Path) -> None:
    """A copy of what the tests need, from which the package is imported."""
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, folder)
    command = [sys.executable, "-c", "import xai_bench; print(xai_bench.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    if not Path(found.strip()).is_relative_to(folder):
        raise SystemExit(f"expected the package from {folder}, got {found.strip()}: it would be tested unchanged")


def mutated(folder: Path, site: Site, tests: list[str], limit: float) -> str:
    """What the tests say of the mutant; the copy is as before afterwards."""
    file = folder / site.file
    source = file.read_bytes()
    file.write_bytes(source[: site.start] + site.new.encode() + source[site.end :])
    try:
        return run_tests(folder, tests, limit)
    finally:
        file.write_bytes(source)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True, help="draws the sites")
    parser.add_argument("--sites", type=int, default=40)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that the tests of a mutant may take")
    parser.add_argument("--survivors", type=int, default=2, help="that are allowed")
    parser.add_argument("--list", action="store_true", help="only say which sites are drawn")
    asked = parser.parse_args()
    every = sites()
    drawn = random.Random(asked.seed).sample(every, min(asked.sites, len(every)))
    print(f"seed {asked.seed}: {len(drawn)} of {len(every)} sites", flush=True)
    if asked.list:
        print(*(f"{site}\n    {' '.join(tests_of(site.file))}" for site in drawn), sep="\n")
        return 0
    alive = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        copied(folder)
        needed = sorted({test for site in drawn for test in tests_of(site.file)})
        if run_tests(folder, needed, asked.limit * len(needed)) != "passed":
            raise SystemExit(f"expected tests that pass without a mutation, got a failure in: {' '.join(needed)}")
        for site in drawn:
            begun = time.monotonic()
            outcome = mutated(folder, site, tests_of(site.file), asked.limit)
            if outcome == "passed":
                alive.append(site)
            word = {"passed": "SURVIVED", "failed": "killed", "over time": "killed (over time)"}[outcome]
            print(f"{word}: {site} ({time.monotonic() - begun:.0f} s)", flush=True)
    print(
        f"killed {len(drawn) - len(alive)} of {len(drawn)}; survivors:",
        *(map(str, alive) if alive else ["none"]),
        sep="\n  ",
    )
    return 1 if len(alive) > asked.survivors else 0


if __name__ == "__main__":
    sys.exit(main())
