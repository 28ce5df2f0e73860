"""The embedding of single inputs, with which a transformer reads a table; plain and spectral.

Source: Gorishniy, Rubachev, Khrulkov and Babenko, "Revisiting Deep Learning Models for Tabular Data", NeurIPS 2021,
arXiv 2106.11959, section 3.3. Input j becomes the token T_j = b_j + x_j w_j, with w_j and b_j of its own. Here every
column is a number; a category is its one-hot columns, one token each.

In the graph of ``models.spectral`` the d inputs are the input nodes, the d d_token components of the tokens the
output nodes, and phi has as column j the vector phi_j at the nodes of token j, and 0 elsewhere. So w_j = lambda_j
phi_j, and the column of the explicit A has the length ||w_j|| = |lambda_j| ||phi_j||. The layers behind the tokens
have no such form for inputs: what attention reads of a token goes to all tokens, and its columns belong to components
of tokens, not to inputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from xai_bench.models.spectral import SpectralLayer


class FeatureTokenizer(nn.Module):
    """Rows (n, d) to tokens (n, 1 + d, d_token): the [CLS] token, then b_j + x_j w_j of every input.

    Parameters
    ----------
    d, d_token : int
    generator : torch.Generator, optional
        For w_j, b_j and [CLS], which are uniform in +- 1 / sqrt(d_token), as published.

    Attributes
    ----------
    weight, bias : (d, d_token)
    cls : (d_token,)
    """

    def __init__(self, d: int, d_token: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight, self.bias, self.cls = (
            nn.Parameter(initial_tokens(shape, generator)) for shape in ((d, d_token), (d, d_token), (d_token,))
        )

    def forward(self, x: Tensor) -> Tensor:
        return tokens_of(x, self.weight, self.bias, self.cls)


class SpectralTokenizer(SpectralLayer):
    """``FeatureTokenizer`` with w_j = lambda_j phi_j; the eigenvalues start at 1.

    Attributes
    ----------
    lambda_in : (d,)
    phi, bias : (d, d_token)
    cls : (d_token,)
    """

    bias: Tensor
    cls: Tensor

    def __init__(self, d: int, d_token: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self._add("lambda_in", torch.ones(d), True)
        for name, shape in (("phi", (d, d_token)), ("bias", (d, d_token)), ("cls", (d_token,))):
            self._add(name, initial_tokens(shape, generator), True)

    @property
    def weight(self) -> Tensor:
        """(d, d_token): lambda_j phi_j."""
        return self.lambda_in[:, None] * self.phi

    def forward(self, x: Tensor) -> Tensor:
        return tokens_of(x, self.weight, self.bias, self.cls)

    def relevance(self) -> Tensor:
        """(d,): |lambda_j| ||phi_j||."""
        return self.weight.detach().norm(dim=1)

    def fold(self) -> FeatureTokenizer:
        """The plain one with the same tokens."""
        plain = FeatureTokenizer(*self.phi.shape).to(self.phi.device, self.phi.dtype)
        with torch.no_grad():
            for name in ("weight", "bias", "cls"):
                getattr(plain, name).copy_(getattr(self, name))
        return plain


def tokens_of(x: Tensor, weight: Tensor, bias: Tensor, cls: Tensor) -> Tensor:
    """(n, 1 + d, d_token) for rows x (n, d)."""
    return torch.cat([cls.expand(len(x), 1, -1), x[:, :, None] * weight + bias], 1)


def initial_tokens(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Uniform in +- 1 / sqrt(d_token), the last number of ``shape``."""
    bound = 1 / math.sqrt(shape[-1])
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
