"""Ten and more small networks as torchvision and its like build them, with drawn weights, for rows of their shapes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.networks import draw
from xai_bench.explainers.captum_inside import Addition_Module

CLASSES = 3
PICTURE, SERIES, TOKENS = (2, 6, 6), (2, 12), (5, 8)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)),
        )
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.body(x))


class ResidualOfLayers(Residual):
    """The sum is a layer too."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = Addition_Module()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.sum(x, self.body(x)))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(4, 2, 1)
        self.wide = nn.Conv2d(4, 2, 3, padding=1)
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.narrow(x), self.wide(x), self.pooled(x)], 1)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(8), nn.LayerNorm(8)
        self.tokens = nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 5))
        self.channels = nn.Sequential(nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.first(x).transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.channels(self.second(x))).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.recurrent, self.head = kind(8, 6, batch_first=True), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


class FunctionalReLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(144, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x)).flatten(1))


class ReusedReLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(72, 8), nn.Linear(8, 6), nn.Linear(6, CLASSES)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.relu(self.second(self.relu(self.first(x.flatten(1))))))


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, CLASSES)),
    )


def vgg() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        *(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, CLASSES)),
    )


def depthwise() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 1), nn.ReLU6(), nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(4)),
        *(nn.Hardswish(), nn.Conv2d(4, 6, 1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, CLASSES)),
    )


def around(block: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), block, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(channels, CLASSES),
    )


def series() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ELU(), nn.MaxPool1d(2), nn.Conv1d(4, 3, 3), nn.SiLU()),
        *(nn.AvgPool1d(3), nn.Flatten(), nn.Linear(3, CLASSES)),
    )


def reshaping() -> nn.Module:
    return nn.Sequential(
        *(nn.Identity(), nn.Flatten(), nn.Linear(72, 16), nn.Tanh(), nn.Dropout(), nn.Unflatten(1, (1, 4, 4))),
        *(nn.ZeroPad2d(1), nn.Conv2d(1, 2, 3), nn.LeakyReLU(), nn.Dropout2d(), nn.Flatten(), nn.Linear(32, CLASSES)),
    )


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "lenet": (PICTURE, lenet),
    "vgg": (PICTURE, vgg),
    "residual": (PICTURE, lambda: around(Residual(), 4)),
    "residual_of_layers": (PICTURE, lambda: around(ResidualOfLayers(), 4)),
    "depthwise": (PICTURE, depthwise),
    "squeeze_excite": (PICTURE, lambda: around(SqueezeExcite(), 4)),
    "inception": (PICTURE, lambda: around(Inception(), 6)),
    "transformer": (TOKENS, Transformer),
    "mixer": (TOKENS, Mixer),
    "gru": (TOKENS, lambda: Recurrent(nn.GRU)),
    "lstm": (TOKENS, lambda: Recurrent(nn.LSTM)),
    "series": (SERIES, series),
    "reshaping": (PICTURE, reshaping),
    "functional_relu": (PICTURE, FunctionalReLU),
    "reused_relu": (PICTURE, ReusedReLU),
}


def network(name: str) -> nn.Module:
    """With drawn weights, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return draw(NETWORKS[name][1]())


def rows(name: str, n: int, seed: int = 1) -> Tensor:
    """(n, *shape)."""
    return torch.randn(n, *NETWORKS[name][0], generator=torch.Generator().manual_seed(seed))
