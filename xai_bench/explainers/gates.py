"""Networks whose first layer chooses inputs while they train: stochastic gates, a concrete selector, attention in turn.

Each layer below is called once a gradient step in train mode, with one draw for the whole batch, as in the authors'
code.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.explainers.base import Join, Problem
from xai_bench.explainers.trained import Count, Perceptron, TrainedSelector


class StochasticGates(nn.Module):
    """x_j z_j with z_j = min(1, max(0, mu_j + sigma e_j)), e_j standard normal; without noise in eval mode."""

    def __init__(self, d: int, sigma: float) -> None:
        super().__init__()
        self.sigma, self.mu = sigma, nn.Parameter(torch.full((d,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        noise = self.sigma * torch.randn_like(self.mu) if self.training else 0.0
        return x * (self.mu + noise).clamp(0, 1)

    def open(self) -> Tensor:
        """(d,) the probability that a gate is not 0: the normal distribution function of mu / sigma."""
        return torch.special.ndtr(self.mu / self.sigma)


class GatedNetwork(Perceptron):
    """A perceptron behind stochastic gates, with strength * mean_j P(gate j is open)."""

    name: ClassVar[str] = "stg_network"

    sigma: float
    strength: float

    def gates(self, d: int, generator: torch.Generator) -> StochasticGates:
        return StochasticGates(d, self.sigma)

    def penalty(self, module: nn.Module) -> Tensor:
        """Strength times the mean probability over inputs."""
        gates = next(module.children())
        assert isinstance(gates, StochasticGates)
        return self.strength * gates.open().mean()


class STG(TrainedSelector):
    """Stochastic gates (Yamada, Lindenbaum, Negahban and Kluger, ICML 2020, arXiv 1810.04247).

    A network sees x_j z_j with z_j = min(1, max(0, mu_j + sigma e_j)); the loss, plus the strength times the mean
    probability that a gate is open, is minimised over weights and mu. The relevance is that probability,
    Phi(mu_j / sigma), and 0 where the gate is closed without its noise, mu_j <= 0. sigma and the strength are those of
    the authors' package stg 0.1.2, which takes the mean over inputs where the paper has the sum; written anew, as that
    package is of 2020. 2000 steps: 2 to 5 CPU seconds.
    """

    name: ClassVar[str] = "stg"
    joins: ClassVar[Join] = "max"

    strength: Annotated[float, Field(ge=0)] = 0.1
    """lambda."""
    sigma: Annotated[float, Field(gt=0)] = 0.5
    """Standard deviation of the noise of a gate."""

    def network(self, d: int) -> GatedNetwork:
        return GatedNetwork(sigma=self.sigma, strength=self.strength, **self.settings())

    def read(self, module: nn.Module, X: Tensor, y: Tensor, problem: Problem) -> Tensor:
        gates = next(module.children())
        assert isinstance(gates, StochasticGates)
        return torch.where(gates.mu > 0, gates.open(), 0.0)


class ConcreteLayer(nn.Module):
    """k nodes, each a weighted mean of the inputs: softmax((a + g) / T) with Gumbel noise g, and T falling each step.

    In eval mode a node hands on the input with its largest a.
    """

    def __init__(
        self, d: int, nodes: int, temperatures: tuple[float, float], steps: int, start: torch.Generator
    ) -> None:
        super().__init__()
        self.logits = nn.Parameter(nn.init.xavier_normal_(torch.empty(nodes, d), generator=start))
        self.temperatures, self.steps, self.done = temperatures, steps, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x[:, self.logits.argmax(1)]
        first, last = self.temperatures
        temperature = first * (last / first) ** min(self.done / self.steps, 1.0)
        self.done += 1
        noise = -torch.empty_like(self.logits).exponential_().log()
        return x @ ((self.logits + noise) / temperature).softmax(1).T


class ConcreteNetwork(Perceptron):
    """A perceptron behind a concrete layer."""

    name: ClassVar[str] = "concrete_network"

    nodes: int
    temperatures: tuple[float, float]

    def width(self, d: int) -> int:
        return self.nodes

    def gates(self, d: int, generator: torch.Generator) -> ConcreteLayer:
        return ConcreteLayer(d, self.nodes, self.temperatures, self.min_steps, generator)


class ConcreteSelector(TrainedSelector):
    """The selector layer of concrete autoencoders, before a network that predicts the target.

    Balin, Abid and Zou, ICML 2019, arXiv 1901.09346. Each of k nodes is softmax((a + g) / T) x with Gumbel noise g;
    T falls from 10 to .1 along the training, as in the authors' code, until a node hands on one input. The relevance is
    the mean over nodes of softmax(a): what share of the nodes an input has. Several nodes may take the same input.
    2000 steps: 2 to 4 CPU seconds.
    """

    name: ClassVar[str] = "concrete_selector"

    nodes: Count = 10
    """k: inputs that are chosen at the most."""
    temperatures: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (10.0, 0.1)
    """T at the first and at the last step; exponential between them."""

    def network(self, d: int) -> ConcreteNetwork:
        return ConcreteNetwork(nodes=self.nodes, temperatures=self.temperatures, **self.settings())

    def read(self, module: nn.Module, X: Tensor, y: Tensor, problem: Problem) -> Tensor:
        layer = next(module.children())
        assert isinstance(layer, ConcreteLayer)
        return layer.logits.softmax(1).mean(0)


class AttentionInTurn(nn.Module):
    """x_j m_j, where m_j is 1 for inputs chosen already and the softmax of the logits over all others.

    After a warm-up, in which all m_j are 1, every phase of equal length ends with the choice of the input with the
    largest m_j, and the logits start anew; the last choice is open when the training ends.

    Attributes
    ----------
    turn : (d,) in which phase, from 1, an input was chosen; 0 for those that were not
    """

    turn: Tensor

    def __init__(self, d: int, chosen: int, warm_up: float, steps: int, start: torch.Generator) -> None:
        super().__init__()
        self.logits = nn.Parameter(1e-5 * torch.randn(d, generator=start))
        self.register_buffer("turn", torch.zeros(d))
        self.chosen, self.warm_up, self.steps, self.done = chosen, int(warm_up * steps), steps, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * self.mask()
        phase = (self.done - self.warm_up) * self.chosen // (self.steps - self.warm_up)
        self.done += 1
        if phase < 0:
            return x
        if phase > int(self.turn.max()) and phase < self.chosen:
            with torch.no_grad():
                self.turn[self.shares().argmax()] = phase
                self.logits.normal_(0, 1e-5)
        return x * self.mask()

    def shares(self) -> Tensor:
        """(d,) the softmax over what is not chosen yet, 0 for what is."""
        return self.logits.masked_fill(self.turn > 0, -torch.inf).softmax(0)

    def mask(self) -> Tensor:
        """(d,)."""
        return torch.where(self.turn > 0, 1.0, self.shares())


class AttentiveNetwork(Perceptron):
    """A perceptron behind attention in turn."""

    name: ClassVar[str] = "sequential_attention_network"

    chosen: int
    warm_up: float

    def gates(self, d: int, generator: torch.Generator) -> AttentionInTurn:
        return AttentionInTurn(d, min(self.chosen, d), self.warm_up, self.min_steps, generator)


class SequentialAttention(TrainedSelector):
    """Sequential attention (Yasuda, Bateni, Chen, Fahrbach, Fu and Mirrokni, ICLR 2023, arXiv 2209.14881).

    While a network trains, inputs are chosen one by one: it sees x_j m_j, with m_j = 1 for those chosen before and the
    softmax of trainable logits over the others; at the end of each of k phases the largest m_j is chosen, and the
    logits start anew (algorithm 1; the authors' code makes its first choice before any logit has been trained). The
    relevance is 1, 1 - 1/k ... 2/k in this order, and m_j / k for what is left. The warm-up and k are those of the
    authors. 2000 steps: 2 to 4 CPU seconds.
    """

    name: ClassVar[str] = "sequential_attention"
    joins: ClassVar[Join] = "max"

    chosen: Count = 50
    """k; all inputs where there are fewer."""
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps, at the beginning, in which nothing is masked."""

    def network(self, d: int) -> AttentiveNetwork:
        return AttentiveNetwork(chosen=self.chosen, warm_up=self.warm_up, **self.settings())

    def read(self, module: nn.Module, X: Tensor, y: Tensor, problem: Problem) -> Tensor:
        layer = next(module.children())
        assert isinstance(layer, AttentionInTurn)
        found = torch.where(layer.turn > 0, layer.chosen + 1 - layer.turn, layer.shares())
        return found / layer.chosen
