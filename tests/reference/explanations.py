"""Slow, literal versions of the attribution methods: one row at a time, from the papers or the plainest call."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def gradient(model: nn.Module, x: Tensor, c: int) -> Tensor:
    """(d,) d f_c / d x at one row."""
    x = x.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(model(x[None])[0, c], x)
    return found


def saliency(model: nn.Module, X: Tensor, target: Tensor) -> Tensor:
    return torch.stack([gradient(model, x, int(c)).abs() for x, c in zip(X, target, strict=True)])


def input_x_gradient(model: nn.Module, X: Tensor, target: Tensor) -> Tensor:
    return torch.stack([x * gradient(model, x, int(c)) for x, c in zip(X, target, strict=True)])


def integrated_gradients(model: nn.Module, X: Tensor, target: Tensor, baseline: Tensor, n_steps: int) -> Tensor:
    """The Gauss-Legendre rule with ``n_steps`` points on [0, 1], point by point."""
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    rows = []
    for x, c in zip(X, target, strict=True):
        total = torch.zeros_like(x)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            total += float(weight) * gradient(model, baseline + float(node) * (x - baseline), int(c))
        rows.append((x - baseline) * total)
    return torch.stack(rows)


def epsilon_lrp(layers: nn.Sequential, X: Tensor, target: Tensor, epsilon: float = 1e-9) -> Tensor:
    """R_j = a_j sum_i w_ij R_i / (z_i + epsilon sign z_i), in float64; activations pass relevance on unchanged.

    ``layers``: Linear, ReLU and Tanh only.
    """
    rows = []
    for x, c in zip(X.double(), target, strict=True):
        inputs, a = [], x
        for layer in layers:
            inputs.append(a)
            dense = isinstance(layer, nn.Linear)
            a = layer.weight.double() @ a + layer.bias.double() if dense else layer(a)
        relevance = torch.zeros_like(a)
        relevance[int(c)] = a[int(c)]
        for layer, a_in in zip(reversed(layers), reversed(inputs), strict=True):
            if isinstance(layer, nn.Linear):
                weight = layer.weight.double()
                z = weight @ a_in + layer.bias.double()
                sign = torch.where(z >= 0, 1.0, -1.0)
                relevance = a_in * (weight.T @ (relevance / (z + epsilon * sign)))
        rows.append(relevance.detach())
    return torch.stack(rows)


def captum_plain(method: str, model: nn.Module, X: Tensor, target: Tensor, **arguments: object) -> Tensor:
    """captum as documented, row by row."""
    import captum.attr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attribution = getattr(captum.attr, method)(model)
        rows = [attribution.attribute(x[None], target=int(c), **arguments) for x, c in zip(X, target, strict=True)]
    return torch.cat(rows).detach()


def shap_deep_plain(model: nn.Module, background: Tensor, X: Tensor, target: Tensor) -> NDArray[np.float64]:
    """All outputs of shap.DeepExplainer, of which each row's own is picked."""
    import shap

    values = np.asarray(shap.DeepExplainer(model, background).shap_values(X))
    return np.stack([values[i, :, int(c)] for i, c in enumerate(target)])


def shap_gradient_plain(
    model: nn.Module, background: Tensor, X: Tensor, target: Tensor, samples: int, seed: int
) -> NDArray[np.float64]:
    import shap

    explainer = shap.GradientExplainer(model, background, batch_size=samples)
    rows = [np.asarray(explainer.shap_values(x[None], nsamples=samples, rseed=seed))[0] for x in X]
    return np.stack([row[:, int(c)] for row, c in zip(rows, target, strict=True)])


def shap_kernel_plain(
    model: nn.Module, background: Tensor, X: Tensor, target: Tensor, samples: int
) -> NDArray[np.float64]:
    import shap

    explainer = shap.KernelExplainer(_all_outputs(model), background.numpy())
    values = explainer.shap_values(X.numpy(), nsamples=samples, l1_reg=False, silent=True)
    return np.stack([values[i, :, int(c)] for i, c in enumerate(target)])


def shap_permutation_plain(
    model: nn.Module, background: Tensor, X: Tensor, target: Tensor, max_evals: int
) -> NDArray[np.float64]:
    import shap

    explainer = shap.PermutationExplainer(_all_outputs(model), background.numpy(), seed=0)
    values = explainer(X.numpy(), max_evals=max_evals, silent=True).values
    return np.stack([values[i, :, int(c)] for i, c in enumerate(target)])


def _all_outputs(model: nn.Module) -> Callable[[NDArray], NDArray]:
    def predict(X: NDArray) -> NDArray:
        with torch.no_grad():
            return model(torch.as_tensor(X, dtype=torch.float32)).double().numpy()

    return predict


def shapley(model: nn.Module, background: Tensor, X: Tensor, target: Tensor) -> NDArray[np.float64]:
    """Exact interventional Shapley values: every coalition S is known, the rest comes from background rows."""
    n, d = X.shape
    values = np.zeros((n, d))
    for row in range(n):

        def worth(coalition: tuple[int, ...], row: int = row) -> float:
            mixed = background.clone()
            if coalition:
                mixed[:, list(coalition)] = X[row, list(coalition)]
            with torch.no_grad():
                return float(model(mixed)[:, int(target[row])].double().mean())

        for j in range(d):
            others = [k for k in range(d) if k != j]
            for size in range(d):
                weight = math.factorial(size) * math.factorial(d - size - 1) / math.factorial(d)
                for coalition in itertools.combinations(others, size):
                    values[row, j] += weight * (worth((*coalition, j)) - worth(coalition))
    return values
