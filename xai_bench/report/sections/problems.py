"""Cells without a result, by reason: of the whole suite, and of each dataset."""

from __future__ import annotations

from typing import Any

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import NO_MODEL, Frames
from xai_bench.report.kit.markup import markdown, render
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.wording import STATUS


class Problems(Section):
    """Of the whole suite."""

    id, title, order = "problems", "Not done", 130

    def words(self) -> str:
        if not self.frames.problems():
            return "Every planned cell is done."
        return "Every planned cell without a result, by reason. A failure is shown, never counted as a score."

    def html(self) -> str:
        return render("problems.html", rows=problems(self.frames))

    def markdown(self) -> str:
        return "".join(
            f"- **{row['status']}**, {row['cells']}: {markdown(row['reason'])} – {markdown(row['who'])}; "
            f"{markdown(row['where'])}\n"
            for row in problems(self.frames)
        )


class ProblemsHere(Section):
    """Of one dataset."""

    id, title, within, order = "problems_here", "Not done", "datasets", 200

    def needs(self) -> bool:
        return bool(self.frames.problems(self.dataset))

    def html(self) -> str:
        return render("problems.html", rows=problems(self.frames, self.dataset))


def problems(frames: Frames, label: str | None = None) -> list[dict[str, Any]]:
    """Cells that are not done, in words: one row a status and reason."""
    return [
        {
            "status": STATUS[row["status"]],
            "bad": row["status"] in ("failed", "timed_out"),
            "reason": row["reason"],
            "cells": wording.plural(row["cells"], "cell"),
            "who": wording.listed([f"`{name}`" for name in row["explainers"]], 8),
            "where": wording.listed([name if name == NO_MODEL else f"`{name}`" for name in row["models"]], 8),
        }
        for row in frames.problems(label)
    ]
