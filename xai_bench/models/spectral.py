"""The spectral layer of Chicchi, Buffoni, Febbe, Giambagli, Marino and Fanelli (arXiv 2406.01183).

Two adjacent layers with N_in and N_out nodes form one graph of N_in + N_out nodes. Its linear transfer
operator is A = Phi Lambda Phi^-1, with Phi = I + (one trainable block phi, N_out x N_in, below the diagonal),
so Phi^-1 = 2I - Phi, and Lambda diagonal. The lower left block of A is the weight of a dense layer:

    w_ij = (lambda_in_j - lambda_out_i) * phi_ij          i: output node, j: input node
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SpectralLinear(nn.Module):
    """A dense layer whose weight is (lambda_in_j - lambda_out_i) * phi_ij.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    train_lambda_in, train_lambda_out, train_phi : bool
        Trained tensors are parameters, the others buffers. By default ``lambda_in`` starts at 1 and is
        trained, ``lambda_out`` is fixed at 0: the relevance setting of the paper, w_ij = lambda_j * phi_ij.
    generator : torch.Generator, optional
        For phi, which is Glorot uniform. The bias starts at 0.

    Attributes
    ----------
    lambda_in : (in_features,)
    lambda_out : (out_features,)
    phi : (out_features, in_features)
    bias : (out_features,), or None
    """

    lambda_in: Tensor
    lambda_out: Tensor
    phi: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        train_lambda_in: bool = True,
        train_lambda_out: bool = False,
        train_phi: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self._add("lambda_in", torch.ones(in_features), train_lambda_in)
        self._add("lambda_out", torch.zeros(out_features), train_lambda_out)
        self._add("phi", glorot_uniform(out_features, in_features, generator), train_phi)
        if bias:
            self._add("bias", torch.zeros(out_features), True)
        else:
            self.register_parameter("bias", None)

    def _add(self, name: str, value: Tensor, trained: bool) -> None:
        if trained:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    @property
    def weight(self) -> Tensor:
        """(out_features, in_features): the dense weight."""
        return (self.lambda_in - self.lambda_out[:, None]) * self.phi

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_features) to (n, out_features)."""
        return nn.functional.linear(x, self.weight, self.bias)

    def relevance(self) -> Tensor:
        """(in_features,): ||(lambda_in_j - lambda_out) o phi_:j||, which is |lambda_j| ||phi_:j|| at lambda_out = 0.

        It equals the column norm of the folded layer. |lambda| alone depends on the gauge
        (lambda -> c lambda, phi -> phi / c).
        """
        return self.weight.detach().norm(dim=0)

    def fold(self) -> nn.Linear:
        """The ordinary Linear layer with the same outputs."""
        linear = nn.Linear(
            self.in_features,
            self.out_features,
            bias=self.bias is not None,
            device=self.phi.device,
            dtype=self.phi.dtype,
        )
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            if self.bias is not None:
                linear.bias.copy_(self.bias)
        return linear

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def glorot_uniform(n_out: int, n_in: int, generator: torch.Generator | None = None) -> Tensor:
    """(n_out, n_in) uniform in +- sqrt(6 / (n_in + n_out)), drawn on the CPU."""
    bound = math.sqrt(6.0 / (n_in + n_out))
    return torch.empty(n_out, n_in).uniform_(-bound, bound, generator=generator)
