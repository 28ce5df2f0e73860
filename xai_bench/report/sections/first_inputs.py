"""The retrained curves of few inputs, enlarged where more inputs saturate."""

from __future__ import annotations

from typing import Any

from xai_bench.report.kit import drawing
from xai_bench.report.kit.curves import legend, lines, networks
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.saturation import FEW, saturation
from xai_bench.report.kit.section import Figure, Section


class FirstInputs(Section):
    """Where random inputs soon do nearly what all do."""

    id, within, order = "first_inputs", "datasets", 130

    def needs(self) -> bool:
        return saturation(self.frames, self.dataset) is not None

    def figures(self) -> list[Figure]:
        label = f"Test score of {self.dataset} with 1 to {FEW} inputs, retrained, by method and network"
        caption = (
            f"The retrained curves enlarged: 1 to {FEW} inputs. Further right all methods saturate, random inputs "
            "included."
        )
        return [Figure(panels(self.frames, self.dataset, self.key), label, caption)]


def panels(frames: Frames, dataset: str, key: str) -> str:
    """Retrained on few inputs: a panel a network."""
    curves = frames.curve(dataset, "retention_retrained")
    curves = curves[curves["k"] <= FEW]
    models = networks(frames, curves)
    style = drawing.styles(frames)
    drawn: dict[str, Any] = {}
    with drawing.style():
        figure, axes = drawing.new(drawing.across(len(models)), 3.6, 1, len(models), sharex=True, sharey=True)
        for axis, model in zip(axes[0], models, strict=True):
            drawn |= lines(axis, curves, model, "retention_retrained", style, markers=True)
            axis.set_title(model, weight="bold")
            axis.set_xticks(sorted(int(k) for k in curves["k"].unique()))
            axis.set_xlabel("inputs kept, k")
        axes[0, 0].set_ylabel("retrained: test score")
        legend(figure, drawn)
        return drawing.svg(figure, key)
