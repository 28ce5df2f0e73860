"""The attention of an FT-Transformer."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from xai_bench.explainers.base import Explainer, Needs, Problem, rows_at_once
from xai_bench.models.ft_transformer import TOKENS, Attention


class FTAttention(Explainer):
    """What the [CLS] token of an FT-Transformer attends to: the mean over heads, blocks and validation rows.

    Gorishniy et al., NeurIPS 2021, arXiv 2106.11959, section 5.3: p_j is the mean over rows, blocks and heads of the
    weight softmax(q k_j / sqrt(d_head)) that [CLS] gives to the token of input j; what it gives to itself is left out.
    For ``ft_transformer`` and ``spectral_ft_transformer``; no other network has such weights. It costs a forward pass.
    """

    name: ClassVar[str] = "ft_attention"
    needs: ClassVar[Needs] = "predict"
    asks: ClassVar[str] = "the attention of an FT-Transformer"

    rows: Annotated[int, Field(ge=1)] = 256
    """Validation rows at the most."""

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.rows, len(problem.X_valid))

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and not any(isinstance(module, Attention) for module in problem.fitted.modules()):
            return "it needs the attention of an ft_transformer, and the model has none"
        return reason

    @torch.no_grad()
    def relevance(self, problem: Problem) -> NDArray:
        n = len(problem.X_valid)
        rows = torch.from_numpy(np.sort(problem.generator.permutation(n)[: self.rows])).to(problem.device)
        total, blocks = torch.zeros(problem.d, dtype=torch.float64), 0

        def watch(attention: Attention, given: tuple[Tensor, Tensor], _output: Tensor) -> None:
            nonlocal blocks
            blocks += 1
            total.add_(from_cls(attention, *given).sum(0).cpu())

        blocks_of = [module for module in problem.fitted.modules() if isinstance(module, Attention)]
        handles = [block.register_forward_hook(watch) for block in blocks_of]
        try:
            for part in rows.split(rows_at_once(max(1, TOKENS // (1 + problem.d)), problem.d, problem.memory)):
                problem.fitted(problem.X_valid[part])
        finally:
            for handle in handles:
                handle.remove()
        return (total / (len(rows) * len(blocks_of))).numpy()


def from_cls(attention: Attention, queries: Tensor, tokens: Tensor) -> Tensor:
    """(n, d) the weights that the first of ``queries`` (n, q, d_token) gives to all but the first of ``tokens``
    (n, 1 + d, d_token), the mean over heads, in float64."""
    query, keys = (
        layer(given).unflatten(2, (attention.heads, -1)).transpose(1, 2)
        for layer, given in ((attention.query, queries[:, :1]), (attention.key, tokens))
    )
    scores = (query @ keys.transpose(2, 3)).double() / query.shape[-1] ** 0.5
    return scores.softmax(3)[:, :, 0, 1:].mean(1)
