"""The FT-Transformer for tables, plain and with spectral tokens.

Source: Gorishniy, Rubachev, Khrulkov and Babenko, "Revisiting Deep Learning Models for Tabular Data", NeurIPS 2021,
arXiv 2106.11959, section 3.3. ``models.tokens`` makes a token of every input and puts [CLS] before them; then, with
PreNorm,

    T <- T + MHSA(Norm(T))          the first block has no Norm here
    T <- T + FFN(Norm(T))           FFN(x) = Linear(ReGLU(Linear(x))), ReGLU(a, b) = a ReLU(b)
    y  = Linear(ReLU(Norm(T_CLS)))

MHSA is softmax(Q K' / sqrt(d_head)) V of each head, and one Linear behind all heads; Norm is layer norm. The last
block works out [CLS] alone, which is all that the prediction reads. Dropout in attention is left out: its masks would
hold n heads (1 + d)^2 values.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from xai_bench.datasets.base import Dataset
from xai_bench.models.base import Architecture
from xai_bench.models.mlp import Strength
from xai_bench.models.resnet import Share, dense
from xai_bench.models.spectral import penalty_of_first
from xai_bench.models.tokens import FeatureTokenizer, SpectralTokenizer

TOKENS = 2**15
"""Of all rows that are explained or scored at once."""


class FTTransformerFamily(Architecture):
    """Tokens of ``d_token`` components, ``blocks`` blocks, and the prediction from [CLS].

    Smaller than published (three blocks, 192 components, 8 heads), and no more than ``max_inputs`` inputs: the cost of
    attention grows with the square of their number. The learning rate, and that the penalty is the one of ``mlp``, were
    chosen on validation loss (``benchmarks/choose_networks.py``).
    """

    blocks: Annotated[int, Field(ge=1)] = 2
    d_token: Annotated[int, Field(ge=1)] = 32
    heads: Annotated[int, Field(ge=1)] = 4
    ffn_factor: Annotated[float, Field(gt=0)] = 4 / 3
    """Hidden nodes of the FFN, over ``d_token``."""
    ffn_dropout: Share = 0.0
    """Behind the ReGLU; published: .1."""
    residual_dropout: Share = 0.0
    """Of what attention and FFN add."""
    max_inputs: Annotated[int, Field(ge=1)] = 64
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3

    @model_validator(mode="after")
    def _heads_share_the_token(self) -> Self:
        if self.d_token % self.heads:
            raise ValueError(f"expected heads that divide d_token = {self.d_token}, got heads = {self.heads}")
        return self

    def unsupported(self, data: Dataset) -> str | None:
        if data.d > self.max_inputs:
            return f"{data.d} inputs are above max_inputs = {self.max_inputs}"
        return None

    def build(self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """nn.Sequential from (n, d) to (n, n_outputs). Weights are Glorot uniform, biases 0."""
        tokens = self.tokens(math.prod(shape), generator)
        blocks = [self._block(number, generator) for number in range(self.blocks)]
        prediction = nn.LayerNorm(self.d_token), nn.ReLU(), dense(self.d_token, n_outputs, generator)
        return RowsInTurn(tokens, *blocks, *prediction)

    def _block(self, number: int, generator: torch.Generator) -> TransformerBlock:
        hidden = max(1, int(self.ffn_factor * self.d_token))
        return TransformerBlock(
            Attention(self.d_token, self.heads, generator),
            FeedForward(self.d_token, hidden, self.ffn_dropout, generator),
            self.residual_dropout,
            first=number == 0,
            last=number == self.blocks - 1,
        )

    @abstractmethod
    def tokens(self, d: int, generator: torch.Generator) -> nn.Module:
        """The layer that reads the inputs, (n, d) to (n, 1 + d, d_token)."""


class RowsInTurn(nn.Sequential):
    """A chain that in eval mode takes no more than ``TOKENS`` tokens at once; the outputs are those of all together.

    A token takes thousands of bytes, where methods that explain count on some hundred an input. Under autograd a part
    of the rows is computed again when its gradient is asked for, instead of being kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        chain, rows = super().forward, max(1, TOKENS // (1 + x.shape[1]))
        if self.training or len(x) <= rows:
            return chain(x)
        if torch.is_grad_enabled():
            return torch.cat([checkpoint(chain, part, use_reentrant=False) for part in x.split(rows)])
        return torch.cat([chain(part) for part in x.split(rows)])


class Attention(nn.Module):
    """Multi-head attention of queries (n, q, d_token) to tokens (n, t, d_token); dense layers with bias."""

    def __init__(self, d_token: int, heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (dense(d_token, d_token, generator) for _ in range(4))

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        of = self._split(self.query(queries)), self._split(self.key(tokens)), self._split(self.value(tokens))
        return self.out(functional.scaled_dot_product_attention(*of).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(n, heads, t, d_head)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Linear(Dropout(ReGLU(Linear(x)))) of tokens (..., d_token)."""

    def __init__(self, d_token: int, hidden: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.second = dense(d_token, 2 * hidden, generator), dense(hidden, d_token, generator)
        self.dropout = nn.Dropout(dropout) if dropout else None

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.first(x).chunk(2, dim=-1)
        hidden = a * b.relu()
        return self.second(hidden if self.dropout is None else self.dropout(hidden))


class TransformerBlock(nn.Module):
    """Attention and FFN, each added to the tokens (n, t, d_token); the last block gives (n, d_token), [CLS]."""

    def __init__(self, attention: Attention, ffn: FeedForward, dropout: float, *, first: bool, last: bool) -> None:
        super().__init__()
        d_token = attention.out.out_features
        self.attention, self.ffn, self.last = attention, ffn, last
        self.attention_norm = None if first else nn.LayerNorm(d_token)
        self.ffn_norm = nn.LayerNorm(d_token)
        self.attention_dropout, self.ffn_dropout = (nn.Dropout(dropout) if dropout else None for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = tokens if self.attention_norm is None else self.attention_norm(tokens)
        asking = slice(0, 1) if self.last else slice(None)
        found = self.attention(normed[:, asking], normed)
        x = tokens[:, asking] + (found if self.attention_dropout is None else self.attention_dropout(found))
        found = self.ffn(self.ffn_norm(x))
        x = x + (found if self.ffn_dropout is None else self.ffn_dropout(found))
        return x[:, 0] if self.last else x


class FTTransformer(FTTransformerFamily):
    """The plain one, with a group lasso on the vectors by which inputs enter their tokens."""

    name: ClassVar[str] = "ft_transformer"

    group_lasso: Strength = 0.2
    """Strength of sum_j ||w_j|| over the inputs."""

    def tokens(self, d: int, generator: torch.Generator) -> FeatureTokenizer:
        return FeatureTokenizer(d, self.d_token, generator)

    def penalty(self, module: nn.Module) -> Tensor:
        """group_lasso * sum_j ||w_j||."""
        first = next(module.children())
        assert isinstance(first, FeatureTokenizer)
        return self.group_lasso * first.weight.norm(dim=1).sum()


class SpectralFTTransformer(FTTransformerFamily):
    """Its tokens are b_j + x_j lambda_j phi_j. Ours: no paper has it."""

    name: ClassVar[str] = "spectral_ft_transformer"

    l2_lambda: Strength = 1.0
    """Of sum lambda^2, added to the mean loss."""
    l2_phi: Strength = 1e-2
    """Of sum phi^2."""

    def tokens(self, d: int, generator: torch.Generator) -> SpectralTokenizer:
        return SpectralTokenizer(d, self.d_token, generator)

    def penalty(self, module: nn.Module) -> Tensor:
        """l2_lambda |lambda|^2 + l2_phi |phi|^2."""
        return penalty_of_first(module, self.l2_lambda, self.l2_phi)
