"""Small networks with drawn weights, problems around them, and what an explainer says of every row."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from xai_bench.explainers.base import Problem, seeded
from xai_bench.models.folding import fold_spectral

D, CLASSES = 6, 3


def draw(module, seed=0):
    """Random weights and statistics, in eval mode and without gradients, as the harness hands a model over."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith(("running_var", "lambda_in")):
            tensor.uniform_(0.4, 1.6, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(0, 1 / max(tensor.shape[-1], 4) ** 0.5, generator=generator)
    return module.eval().requires_grad_(False)


def network(d=D, n_outputs=CLASSES, bias=True, activation=nn.Tanh):
    layers = [nn.Linear(d, 8, bias), activation(), nn.Linear(8, 5, bias), nn.ReLU(), nn.Linear(5, n_outputs, bias)]
    return draw(nn.Sequential(*layers))


def rows(n=7, d=D, seed=1):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def problem(model, kind="classification", n=7, n_train=20):
    """Targets are drawn, so that all classes are explained, and not the predicted ones."""
    d = next(p for p in model.state_dict().values() if p.ndim == 2).shape[1]
    X_train, X = rows(n_train, d, 2) + 0.5, rows(n, d)
    n_outputs = model(X).shape[1]
    if kind == "classification":
        y_train, y = torch.arange(n_train) % n_outputs, torch.arange(n) % n_outputs
    else:
        y_train, y = model(X_train)[:, 0], model(X)[:, 0]
    return Problem(model, X_train, y_train, X, y, kind, n_outputs)


def attributions(explainer, problem, seed=0):
    """(n, d): what ``relevance`` aggregates."""
    target = problem.y_valid if problem.kind == "classification" else None
    model = fold_spectral(copy.deepcopy(problem.fitted)).requires_grad_(False)
    with seeded(seed):
        values = explainer.attribute(model, problem.X_valid, target, problem)
    return values.detach().numpy() if isinstance(values, torch.Tensor) else values


def chosen(problem):
    return problem.y_valid.tolist() if problem.kind == "classification" else [0] * len(problem.X_valid)


def row_by_row(function, problem):
    return np.stack([np.asarray(function(x, k)) for x, k in zip(problem.X_valid, chosen(problem), strict=True)])


def target_column(values, problem):
    """(n, d) of shap's (n, d, n_outputs)."""
    return np.stack([row[:, k] for row, k in zip(np.asarray(values), chosen(problem), strict=True)])


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


BOTH = pytest.mark.parametrize("kind", ["classification", "regression"])


def of_kind(kind, **options):
    return problem(network(n_outputs=CLASSES if kind == "classification" else 1, **options), kind)
