"""Attributions literally: one row, one step, one coalition at a time, in float64."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import torch
from torch import nn


def gradient(model, x, output):
    """(d,): gradient of one output at one row."""
    x = x.clone().requires_grad_(True)
    model(x[None])[0, output].backward()
    return x.grad


def integrated_gradients(model, x, baseline, output, n_steps):
    """(d,): the Gauss-Legendre rule on [0, 1], point by point."""
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    total = torch.zeros_like(x)
    for point, weight in zip(points, weights, strict=True):
        alpha = (1 + point) / 2
        total += weight / 2 * gradient(model, baseline + alpha * (x - baseline), output)
    return (x - baseline) * total


def lrp(model, x, output, rules=None, epsilon=1e-9):
    """(d,): R_j = sum_i x_j w_ij / (z_i + epsilon sign(z_i)) R_i through every Linear; activations pass R on.

    Bach et al., PLOS ONE 2015, equation 58; the bias takes its share and keeps it. ``rules``: of the layers at these
    places; gamma: w + w^+ / 4 instead of w (Montavon et al. 2019), alpha_beta: w^+, and no bias. ``model``: a
    Sequential of Linear, ReLU and Tanh.
    """
    inputs, value = [], x.double().numpy()
    layers = list(model)
    for layer in layers:
        inputs.append(value)
        if isinstance(layer, nn.Linear):
            value = layer.weight.detach().double().numpy() @ value
            if layer.bias is not None:
                value = value + layer.bias.detach().double().numpy()
        else:
            value = np.tanh(value) if isinstance(layer, nn.Tanh) else np.maximum(value, 0)
    relevance = np.where(np.arange(len(value)) == output, value, 0.0)
    for place in reversed(range(len(layers))):
        layer, entered = layers[place], inputs[place]
        if not isinstance(layer, nn.Linear):
            continue
        rule = (rules or {}).get(place, "epsilon")
        weight = layer.weight.detach().double().numpy()
        if rule == "gamma":
            weight = weight + 0.25 * np.maximum(weight, 0)
        elif rule == "alpha_beta":
            weight = np.maximum(weight, 0)
        passed = np.zeros(len(entered))
        for i, row in enumerate(weight):
            z = sum(w * a for w, a in zip(row, entered, strict=True))
            z += 0.0 if layer.bias is None or rule == "alpha_beta" else float(layer.bias[i])
            z += epsilon if z >= 0 else -epsilon
            for j, w in enumerate(row):
                passed[j] += entered[j] * w / z * relevance[i]
        relevance = passed
    return relevance


def modified_gradient(model, x, output, rule):
    """(d,): backpropagation in which a ReLU also cuts negative gradients (guided), or only those (deconvolution).

    ``model``: a Sequential of Linear, ReLU and Tanh.
    """
    value, entered = x, []
    for layer in model:
        entered.append(value)
        value = layer(value)
    gradient = torch.zeros_like(value)
    gradient[output] = 1.0
    for layer, before in zip(reversed(list(model)), reversed(entered), strict=True):
        if isinstance(layer, nn.Linear):
            gradient = gradient @ layer.weight
        elif isinstance(layer, nn.Tanh):
            gradient = gradient * (1 - torch.tanh(before) ** 2)
        else:
            gradient = gradient.clamp(min=0) * (before > 0 if rule == "guided" else 1)
    return gradient.numpy()


def ablation(model, x, baseline, output):
    """(d,): what the output loses when one input is set to the baseline."""
    values = np.zeros(len(x))
    for j in range(len(x)):
        without = x.clone()
        without[j] = baseline[j]
        values[j] = float(model(x[None])[0, output] - model(without[None])[0, output])
    return values


def occlusion(model, x, baseline, output, shape, window):
    """(d,): mean over the windows that cover a pixel of what the output loses when they are set to the baseline."""
    total, covered = np.zeros(shape), np.zeros(shape)
    for top in range(shape[0] - window[0] + 1):
        for left in range(shape[1] - window[1] + 1):
            inside = np.zeros(shape, dtype=bool)
            inside[top : top + window[0], left : left + window[1]] = True
            without = torch.where(torch.from_numpy(inside.reshape(-1)), baseline, x)
            total[inside] += float(model(x[None])[0, output] - model(without[None])[0, output])
            covered[inside] += 1
    return (total / covered).reshape(-1)


def deeplift_rescale(model, x, baseline, output):
    """(d,): multipliers of the rescale rule, layer by layer (Shrikumar et al., arXiv 1704.02685).

    ``model``: a Sequential of Linear, ReLU and Tanh.
    """
    model = copy.deepcopy(model).double()
    here, there, pairs = x.double(), baseline.double(), []
    with torch.no_grad():
        for layer in model:
            before = (here, there)
            here, there = layer(here), layer(there)
            pairs.append((layer, *before, here, there))
        multiplier = torch.zeros_like(here)
        multiplier[output] = 1.0
        for layer, a, b, fa, fb in reversed(pairs):
            multiplier = multiplier @ layer.weight if isinstance(layer, nn.Linear) else multiplier * (fa - fb) / (a - b)
    return (multiplier * (x.double() - baseline.double())).numpy()


def shapley_values(model, x, background, output):
    """(d,): Shapley values by enumeration; absent inputs come from every background row in turn."""
    d = len(x)

    @torch.no_grad()
    def worth(present):
        rows = background.clone()
        rows[:, list(present)] = x[list(present)]
        return model(rows)[:, output].double().mean().item()

    values = np.zeros(d)
    for j in range(d):
        others = [k for k in range(d) if k != j]
        for size in range(d):
            weight = math.factorial(size) * math.factorial(d - size - 1) / math.factorial(d)
            for present in itertools.combinations(others, size):
                values[j] += weight * (worth((*present, j)) - worth(present))
    return values


def spectral_matrix(phi, lambda_in, lambda_out):
    """A = Phi Lambda Phi^-1 of the graph of both layers (arXiv 2406.01183), float64; nodes: inputs, then outputs."""
    n_out, n_in = phi.shape
    vectors = np.eye(n_in + n_out)
    vectors[n_in:, :n_in] = phi
    return vectors @ np.diag(np.concatenate([lambda_in, lambda_out])) @ np.linalg.inv(vectors)


def max_pool_multipliers(x, x0, received, kernel, stride, padding, dilation):
    """(height, width): DeepLIFT's multipliers of a max pooling of a picture ``x`` against ``x0``, window by window.

    ``received``: those of the outputs. A rise of a window's maximum belongs to where ``x`` is largest, a fall to where
    ``x0`` is.
    """
    contributions = torch.zeros_like(x)
    height, width = x.shape
    for i, j in itertools.product(*map(range, received.shape)):
        window = [
            (i * stride - padding + a * dilation, j * stride - padding + b * dilation)
            for a, b in itertools.product(range(kernel), repeat=2)
        ]
        window = [(a, b) for a, b in window if 0 <= a < height and 0 <= b < width]
        here, there = max(window, key=lambda at: x[at]), max(window, key=lambda at: x0[at])
        change = float(x[here] - x0[there])
        contributions[here if change > 0 else there] += received[i, j] * change
    return torch.where(contributions == 0, contributions, contributions / (x - x0))


def softmax_multipliers(x, x0, received):
    """(k,): DeepLIFT's multipliers of a softmax of ``x`` (k,) against ``x0``: the rescale rule on exp, sum and log.

    p_k = exp(x_k - log(sum_i exp(x_i))), one number after the other.
    """
    x, x0, received = x.tolist(), x0.tolist(), received.tolist()

    def rescaled(function, a, b):
        return (function(a) - function(b)) / (a - b)

    of_exp = [rescaled(math.exp, a, b) for a, b in zip(x, x0, strict=True)]
    total, total0 = (sum(math.exp(value) for value in values) for values in (x, x0))
    of_log = rescaled(math.log, total, total0)
    multipliers = [0.0] * len(x)
    for k, weight in enumerate(received):
        of_p = weight * rescaled(math.exp, x[k] - math.log(total), x0[k] - math.log(total0))
        for i in range(len(x)):
            multipliers[i] += of_p * ((i == k) - of_log * of_exp[i])
    return multipliers
