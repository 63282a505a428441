"""OSNet: a light embedder whose blocks look at several scales at once and weigh them for each picture.

Written from the paper alone. Source: Zhou, Yang, Cavallaro, Xiang, Omni-Scale Feature Learning for Person
Re-Identification, ICCV 2019: Lite 3x3 (3.1, fig. 3), the omni-scale block (3.2, fig. 4), the unified aggregation gate
(eq. 3-4) and the layers of table 1.
"""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from trainers.networks.head import Neck

SCALES = 4  # streams of a block: 1 to 4 Lite 3x3 deep
SQUEEZE = 4  # channels of a block over those of its streams
GATE = 16  # channels of a gate's input over those of its hidden layer


class OSNet(nn.Module):
    """(N, 3, H, W) pictures -> (N, dimension) unit rows.

    Args:
        dimension: Of the embedding.
        width: Factor of all channels; 1 = the paper's 2.2 million parameters, 0.25 its smallest.
    """

    def __init__(self, dimension: int = 512, width: float = 1.0) -> None:
        super().__init__()
        stem, *stages = (int(width * channels) for channels in (64, 256, 384, 512))
        self.checkpointing = False
        self.stem = nn.Sequential(*_convolution(3, stem, 7, stride=2), nn.MaxPool2d(3, 2, 1))
        parts, before = [], stem
        for number, after in enumerate(stages):
            blocks = [_OmniScale(before, after), _OmniScale(after, after)]
            down = [*_convolution(after, after, 1), nn.AvgPool2d(2, 2)] if number < len(stages) - 1 else []
            parts.append(nn.Sequential(*blocks, *down))
            before = after
        self.stages = nn.ModuleList(parts)
        self.last = nn.Sequential(*_convolution(before, before, 1))
        self.neck = Neck(before, dimension)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Unit rows."""
        maps = self.stem(pictures)
        for stage in self.stages:
            sparing = self.checkpointing and self.training
            maps = checkpoint(stage, maps, use_reentrant=False) if sparing else stage(maps)
        rows: torch.Tensor = self.neck(self.last(maps).float().mean((2, 3)))
        return rows


def _convolution(before: int, after: int, size: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


class _Lite(nn.Module):
    """A 3x3 convolution in two: first across channels, then within each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.main(maps)
        return result


class _Gate(nn.Module):
    """Weights of the channels of a stream, worked out from the stream itself; shared by all streams of a block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // GATE)
        self.main = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        weights: torch.Tensor = self.main(maps.mean((2, 3), keepdim=True))
        return weights * maps


class _OmniScale(nn.Module):
    """Streams of growing depth, so of growing sight, gated and summed, beside a shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        middle = after // SQUEEZE
        self.reduce = nn.Sequential(*_convolution(before, middle, 1))
        self.streams = nn.ModuleList(
            nn.Sequential(*(_Lite(middle) for _ in range(depth))) for depth in range(1, SCALES + 1)
        )
        self.gate = _Gate(middle)
        self.expand = nn.Sequential(nn.Conv2d(middle, after, 1, bias=False), nn.BatchNorm2d(after))
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        reduced = self.reduce(maps)
        gated = torch.stack([self.gate(stream(reduced)) for stream in self.streams]).sum(0)
        return torch.relu(self.expand(gated) + self.shortcut(maps))
