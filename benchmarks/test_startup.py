"""What the command line costs before it does anything, beside a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("xai-bench")


@pytest.mark.benchmark(group="start-up")
@pytest.mark.parametrize(("arguments", "aim"), [(["--help"], 0.4), (["list"], 1.0)], ids=["help", "list"])
def test_command(side_by_side, arguments, aim):
    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)

    side_by_side(
        lambda: run(str(PROGRAM), *arguments),
        lambda: run(sys.executable, "-c", "pass"),
        rounds=9,
        table="startup",
        what=f"xai-bench {' '.join(arguments)}",
        aim=aim,
    )
