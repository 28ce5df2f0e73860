"""What every network reached on a dataset, and what its training took."""

from __future__ import annotations

import math
from typing import Any

from xai_bench.report.kit import wording
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.tables import Box, Column, Row, Table, beside, plain, valued

COLUMNS = ("Test", "Chance", "Ceiling", "Train", "Validation", "Learned", "Largest p", "Settled", "Training, CPU",
           "Parameters")  # fmt: skip


class Networks(Section):
    """With a numeric target also the error, beside what the noise leaves."""

    id, title, within, order = "networks", "Networks", "datasets", 20

    def needs(self) -> bool:
        return bool(self._reached())

    def _reached(self) -> dict[str, dict[str, Any]]:
        facts = {model: self.frames.reached(self.dataset, model) for model in self.frames.models}
        return {model: reached for model, reached in facts.items() if reached is not None}

    def tables(self) -> list[Table]:
        networks, names, draw = self._reached(), list(COLUMNS), self.draw
        errors = any(math.isfinite(facts["mae"]) for facts in networks.values())
        if errors:
            units = f" ({draw['target_units']})" if draw.get("target_units") else ""
            names[1:1] = [f"Test MAE{units}", f"Noise floor{units}"]
        floor, seeds = draw.get("floor_mae"), len(self.frames.data_seeds)
        rows = []
        for model, facts in networks.items():
            mean, error = valued(facts["mean"], small=beside(facts, seeds)), list[Box]()
            if errors:
                error = [plain(facts["mae"], facts["mae_low"], facts["mae_high"]), valued(floor)]
            rows.append(Row(model, [mean, *error, *_boxes(facts)]))
        caption = "What the networks reached" + (
            "; test score R², and mean absolute error beside the least that the noise allows." if errors else "."
        )
        return [Table(caption, "Network", [Column(name) for name in names], rows)]


def _boxes(facts: dict[str, Any]) -> list[Box]:
    learned = f"{facts['learned']} of {facts['of']}"
    return [
        *[valued(facts[name]) for name in ("chance", "ceiling", "train", "valid")],
        Box(learned, value=facts["learned"], unlearned=facts["learned"] < facts["of"]),
        valued(facts["p_value"], wording.p_value),
        Box(wording.settled(facts["settled"]), text=True),
        valued(facts["train_cpu"], wording.seconds),
        valued(facts["parameters"], wording.count),
    ]
