"""Networks beyond the MLP, by loops over rows, tokens and heads, from the formulas of arXiv 2106.11959; float64."""

from __future__ import annotations

import math

import numpy as np


def linear(x, weights, name):
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def batch_norm(x, weights, name):
    centred = (x - weights[f"{name}.running_mean"]) / np.sqrt(weights[f"{name}.running_var"] + 1e-5)
    return centred * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def layer_norm(x, weights, name):
    centred = (x - x.mean()) / math.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
    return centred * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def resnet(x, weights, blocks):
    """Outputs of one row (d,) in eval mode; ``weights``: names in nn.Sequential to arrays."""
    x = linear(x, weights, "0")
    for block in range(1, blocks + 1):
        hidden = linear(batch_norm(x, weights, f"{block}.added.0"), weights, f"{block}.added.1")
        last = max(int(name.split(".")[2]) for name in weights if name.startswith(f"{block}.added."))
        x = x + linear(np.maximum(hidden, 0), weights, f"{block}.added.{last}")
    return linear(np.maximum(batch_norm(x, weights, f"{blocks + 1}"), 0), weights, f"{blocks + 3}")


def ft_transformer(x, weights, blocks, heads):
    """Outputs of one row (d,): every token goes through every block, and [CLS] is read at the end."""
    tokens = [weights["0.cls"]]
    for j, value in enumerate(x):
        tokens.append(weights["0.bias"][j] + value * weights["0.weight"][j])
    for block in range(1, blocks + 1):
        normed = tokens if block == 1 else [layer_norm(t, weights, f"{block}.attention_norm") for t in tokens]
        found = attention(normed, weights, f"{block}.attention", heads)
        tokens = [t + f for t, f in zip(tokens, found, strict=True)]
        tokens = [t + ffn(layer_norm(t, weights, f"{block}.ffn_norm"), weights, f"{block}.ffn") for t in tokens]
    read = np.maximum(layer_norm(tokens[0], weights, f"{blocks + 1}"), 0)
    return linear(read, weights, f"{blocks + 3}")


def attention(tokens, weights, name, heads):
    queries, keys, values = ([linear(t, weights, f"{name}.{of}") for t in tokens] for of in ("query", "key", "value"))
    size = len(tokens[0]) // heads
    results = []
    for query in queries:
        mixed = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = np.array([query[part] @ key[part] / math.sqrt(size) for key in keys])
            shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
            mixed.append(sum(share * value[part] for share, value in zip(shares, values, strict=True)))
        results.append(linear(np.concatenate(mixed), weights, f"{name}.out"))
    return results


def ffn(x, weights, name):
    both = linear(x, weights, f"{name}.first")
    half = len(both) // 2
    return linear(both[:half] * np.maximum(both[half:], 0), weights, f"{name}.second")


def convolution_matrix(kernel, rows, columns, padding):
    """(outputs, inputs): the weights of a convolution of stride 1 between nodes (o, u, v) and (c, y, x).

    ``kernel``: (o, c, size, size).
    """
    n_out, n_in, size, _ = kernel.shape
    out_rows, out_columns = rows + 2 * padding - size + 1, columns + 2 * padding - size + 1
    matrix = np.zeros((n_out, out_rows, out_columns, n_in, rows, columns))
    for o, u, v, c, y, x in np.ndindex(matrix.shape):
        down, right = y - u + padding, x - v + padding
        if 0 <= down < size and 0 <= right < size:
            matrix[o, u, v, c, y, x] = kernel[o, c, down, right]
    return matrix.reshape(n_out * out_rows * out_columns, -1)
