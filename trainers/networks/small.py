"""A small residual embedder that one core runs at hundreds of crops a second.

It sees a picture twice, as it is and normalised to itself, which takes the camera's colour cast away; the first block
normalises half of its channels a picture at a time for the same reason. What is pooled are the strongest answers of
the whole body and the means of horizontal stripes.
"""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from trainers.networks.head import Neck
from trainers.networks.style import HalfInstanceNorm, MixStyle


class SmallEmbedder(nn.Module):
    """(N, 3, H, W) pictures, about zero mean and unit deviation -> (N, dimension) unit rows.

    Args:
        dimension: Of the embedding.
        widths: Channels of the stem and of the three stages.
        blocks: Residual blocks of each stage.
        stripes: Horizontal stripes that are averaged; H / 16 must be a multiple of it.
        mix_style: Share of the training batches whose styles are mixed after the first stage.
    """

    def __init__(
        self,
        dimension: int = 256,
        widths: tuple[int, int, int, int] = (32, 48, 96, 192),
        blocks: tuple[int, int, int] = (1, 1, 1),
        stripes: int = 4,
        mix_style: float = 0.0,
    ) -> None:
        super().__init__()
        self.stripes = stripes
        self.checkpointing = False
        self.own = nn.InstanceNorm2d(3)
        self.stem = nn.Sequential(
            nn.Conv2d(6, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        stages: list[nn.Module] = []
        for number, count in enumerate(blocks):
            before, after = widths[number], widths[number + 1]
            first = _Block(before, after, stride=2, half_instance=number == 0)
            stages.append(nn.Sequential(first, *(_Block(after, after) for _ in range(count - 1))))
        self.stages = nn.ModuleList(stages)
        self.style = MixStyle(mix_style)
        self.neck = Neck(widths[-1] * (1 + stripes), dimension)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Unit rows."""
        maps = self.stem(torch.cat([pictures, self.own(pictures)], 1))
        for number, stage in enumerate(self.stages):
            sparing = self.checkpointing and self.training
            maps = checkpoint(stage, maps, use_reentrant=False) if sparing else stage(maps)
            maps = self.style(maps) if number == 0 else maps
        maps = maps.float()
        means = maps.unflatten(2, (self.stripes, -1)).mean((3, 4))
        rows: torch.Tensor = self.neck(torch.cat([maps.amax((2, 3)), means.flatten(1)], 1))
        return rows


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int = 1, half_instance: bool = False) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            HalfInstanceNorm(after) if half_instance else nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(maps) + self.shortcut(maps))
