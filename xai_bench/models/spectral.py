"""The spectral layer of Chicchi, Buffoni, Febbe, Giambagli, Marino and Fanelli (arXiv 2406.01183).

Two adjacent layers with N_in and N_out nodes form one graph of N_in + N_out nodes. Its linear transfer
operator is A = Phi Lambda Phi^-1, with Phi = I + (one trainable block phi, N_out x N_in, below the diagonal),
so Phi^-1 = 2I - Phi, and Lambda diagonal. The lower left block of A is the weight of a dense layer:

    w_ij = (lambda_in_j - lambda_out_i) * phi_ij          i: output node, j: input node

Any affine layer of the inputs has this form, whichever of the phi_ij are 0 or shared: ``models.spectral_conv`` has it
for convolutions, ``models.tokens`` for the embedding of single inputs.

The same authors' graphs of three and more layers (SPARCS, arXiv 2504.00885) have no such layer here: there
Phi^-1 = I - phi_1 - phi_2 + phi_2 phi_1, and inputs also reach the third layer directly, by -w_2 phi_1, in which
lambda_in does not occur. An input whose eigenvalue is 0 is still read, so |lambda_j| ||phi_:j|| is no relevance of it.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn


class SpectralLayer(nn.Module):
    """A layer with one eigenvalue for each input node, or one that nodes share: w_ij = lambda_in_j * phi_ij.

    Attributes
    ----------
    lambda_in : the eigenvalues of the input nodes
    phi : the eigenvectors, each number once however many nodes share it
    """

    lambda_in: Tensor
    phi: Tensor

    @abstractmethod
    def relevance(self) -> Tensor:
        """One number >= 0 an eigenvalue, without gradient: |lambda_j| times the length of its eigenvector block."""

    @abstractmethod
    def fold(self) -> nn.Module:
        """Ordinary layers with the same outputs."""

    def _add(self, name: str, value: Tensor, trained: bool) -> None:
        if trained:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)


def eigenvalue_penalty(layer: SpectralLayer, l1_lambda: float, l2_lambda: float, l2_phi: float) -> Tensor:
    """l1_lambda |lambda|_1 + l2_lambda |lambda|^2 + l2_phi |phi|^2 of a layer."""
    eigenvalues, vectors = layer.lambda_in, layer.phi
    squares = l2_lambda * eigenvalues.square().sum() + l2_phi * vectors.square().sum()
    return squares + l1_lambda * eigenvalues.abs().sum()


def penalty_of_first(network: nn.Module, l2_lambda: float, l2_phi: float) -> Tensor:
    """l2_lambda |lambda|^2 + l2_phi |phi|^2 of the first child of a network."""
    first = next(network.children())
    assert isinstance(first, SpectralLayer)
    return eigenvalue_penalty(first, 0.0, l2_lambda, l2_phi)


class SpectralLinear(SpectralLayer):
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

    lambda_out: Tensor
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
