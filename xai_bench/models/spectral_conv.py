"""The spectral form of a convolution: an eigenvalue for each channel, or for each pixel.

A convolution is a linear map from the nodes (c, y, x) of a picture to the nodes (o, u, v) of its outputs, with the
weight K[o, c, y - u + p, x - v + p], and 0 where the kernel K does not reach (p: padding, stride 1). As the block phi
of the graph of ``models.spectral`` it gives, with lambda_out = 0,

    w_(o,u,v),(c,y,x) = lambda_(c,y,x) * K[o, c, y - u + p, x - v + p].

Eigenvalues that all pixels of a channel share can be multiplied into the kernel: the layer is again a convolution.
Eigenvalues of their own cannot: the layer multiplies the picture by them and convolves it with K. Column j of phi is
the kernel of the pixel's channel, without the taps that fall off the picture.

What the penalty does differs from the dense layer. There every phi_:j belongs to one eigenvalue, and L2 on both is a
group lasso on the columns. Here all pixels share K: at fixed products, minimising a |lambda|^2 + b |K|^2 leaves
2 sqrt(ab) |lambda| |K|, which sets no pixel to 0. L1 on the eigenvalues does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.models.spectral import SpectralLayer


class SpectralConv2d(SpectralLayer):
    """A convolution of stride 1 whose weight is lambda_j * phi_ij.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, padding : as in nn.Conv2d; the kernel is a square
    shape : (rows, columns) of the pictures, for an eigenvalue for each pixel of each channel; None for one a channel
    bias : bool
    generator : torch.Generator, optional
        For phi, which is Glorot uniform. The eigenvalues start at 1, the bias at 0.

    Attributes
    ----------
    lambda_in : (in_channels, 1, 1), or (in_channels, rows, columns)
    phi : (out_channels, in_channels, kernel_size, kernel_size), the kernel K
    bias : (out_channels,), or None
    """

    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        padding: int = 0,
        shape: tuple[int, int] | None = None,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.padding, self.shape = padding, shape
        self._add("lambda_in", torch.ones(in_channels, *(shape or (1, 1))), True)
        phi = torch.empty(out_channels, in_channels, kernel_size, kernel_size)
        self._add("phi", nn.init.xavier_uniform_(phi, generator=generator), True)
        if bias:
            self._add("bias", torch.zeros(out_channels), True)
        else:
            self.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, rows, columns) to (n, out_channels, rows, columns), less what the padding lacks."""
        if self.shape is None:
            return functional.conv2d(x, self.lambda_in * self.phi, self.bias, padding=self.padding)
        return functional.conv2d(self.lambda_in * x, self.phi, self.bias, padding=self.padding)

    def relevance(self) -> Tensor:
        """|lambda_j| ||phi_:j||: (in_channels,), or (in_channels, rows, columns).

        Of a channel the length is that of its whole kernel; of a pixel that of the taps that meet an output.
        """
        squares = self.phi.detach().square()
        if self.shape is None:
            return self.lambda_in.detach().abs()[:, 0, 0] * squares.sum((0, 2, 3)).sqrt()
        used = squares.new_ones(1, len(squares), *self._out_shape(self.shape))
        lengths = functional.conv_transpose2d(used, squares, padding=self.padding)[0].sqrt()
        return self.lambda_in.detach().abs() * lengths

    def fold(self) -> nn.Module:
        """The nn.Conv2d with the same outputs; of one eigenvalue a pixel a dense layer between reshapes."""
        return self._convolution() if self.shape is None else self._dense(self.shape)

    def _out_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        lost = self.phi.shape[2] - 1 - 2 * self.padding
        return shape[0] - lost, shape[1] - lost

    def _convolution(self) -> nn.Conv2d:
        n_out, n_in, size, _ = self.phi.shape
        layer = nn.Conv2d(n_in, n_out, size, padding=self.padding, bias=self.bias is not None).to(self.phi)
        with torch.no_grad():
            layer.weight.copy_(self.lambda_in * self.phi)
            if self.bias is not None and layer.bias is not None:
                layer.bias.copy_(self.bias)
        return layer

    def _dense(self, shape: tuple[int, int]) -> nn.Sequential:
        """Each row of its weight transposed is what the layer makes of the picture with one pixel of 1."""
        channels, outputs = len(self.lambda_in), (len(self.phi), *self._out_shape(shape))
        nodes = self.lambda_in.numel()
        with torch.no_grad():
            pixels = torch.diag(self.lambda_in.flatten()).view(nodes, channels, *shape)
            weight = functional.conv2d(pixels, self.phi, padding=self.padding).flatten(1).T
            layer = nn.Linear(nodes, len(weight), bias=self.bias is not None).to(self.phi)
            layer.weight.copy_(weight)
            if self.bias is not None:
                layer.bias.copy_(self.bias.repeat_interleave(len(weight) // len(self.bias)))
        return nn.Sequential(nn.Flatten(), layer, nn.Unflatten(1, outputs))

    def extra_repr(self) -> str:
        n_out, n_in, size, _ = self.phi.shape
        return f"{n_in}, {n_out}, kernel_size={size}, padding={self.padding}, shape={self.shape}"
