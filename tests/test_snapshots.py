"""Snapshots of one training are the trainings that ended there."""

from __future__ import annotations

import pytest
import torch

from tests.toy import toy
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.snapshots import snapshots
from xai_bench.models.training import fit_many

FIELDS = {"hidden": (10, 6), "batch_size": 64, "epochs": 0.1, "checkpoints": 1}


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("architecture", [MLP(**FIELDS), SpectralMLP(**FIELDS, all_layers=True)], ids=lambda a: a.name)
def test_at_a_constant_rate_they_are_shorter_trainings(architecture, kind):
    data, constant = toy(200, 5, kind=kind), architecture.model_copy(update={"schedule": "constant"})
    for row in snapshots(constant, data, [3, 4], {1, 7, 40}):
        alone = fit_many(constant.model_copy(update={"min_steps": row[0].steps}), data, [3, 4])
        for one, other in zip(row, alone, strict=True):
            assert one.valid_loss == other.valid_loss
            network = one.network()
            for name, value in other.module.state_dict().items():
                assert torch.equal(network.state_dict()[name], value), name


def test_with_cosine_the_last_one_is_the_training_of_that_length():
    data, cosine = toy(200, 5), SpectralMLP(**FIELDS | {"min_steps": 30, "checkpoints": 3})
    *early, last = [row[0] for row in snapshots(cosine, data, [0], {10, 20, 30})]
    (alone,) = fit_many(cosine, data, [0])
    assert min(one.valid_loss for one in (*early, last)) == alone.valid_loss
    assert last.cpu > early[0].cpu > 0
    assert not last.network().training
    assert all(
        torch.equal(a, b) for a, b in zip(early[0].network().parameters(), early[0].network().parameters(), strict=True)
    )
    assert not torch.equal(early[0].network()[0].phi, last.network()[0].phi)
