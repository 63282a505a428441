"""Layers that take the look of a camera out of the features, or mix it among the pictures of a batch."""

import torch
from torch import nn


class HalfInstanceNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the others.

    Source: Pan et al., Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net, 2018, 3.2 (IBN-a).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        first = channels // 2
        self.instance = nn.InstanceNorm2d(first, affine=True)
        self.batch = nn.BatchNorm2d(channels - first)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), the same shape."""
        sizes = [self.instance.num_features, self.batch.num_features]
        first, second = (part.contiguous() for part in maps.split(sizes, 1))
        return torch.cat([self.instance(first), self.batch(second)], 1)


class MixStyle(nn.Module):
    """In training, gives a picture's feature maps statistics mixed with those of another of the batch.

    Args:
        probability: Share of the batches that are mixed; 0 = never.
        alpha: Of the Beta distribution of the mixing weights.

    Source: Zhou et al., Domain Generalization with MixStyle, 2021, eq. 3-5.
    """

    def __init__(self, probability: float, alpha: float = 0.1) -> None:
        super().__init__()
        self.probability = probability
        self._beta = torch.distributions.Beta(alpha, alpha)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), the same shape; unchanged outside training."""
        if not self.training or torch.rand(()).item() >= self.probability:
            return maps
        mean = maps.mean((2, 3), keepdim=True).detach()
        std = (maps.var((2, 3), keepdim=True) + 1e-6).sqrt().detach()
        weight = self._beta.sample((len(maps), 1, 1, 1)).to(maps)
        other = torch.randperm(len(maps), device=maps.device)
        mixed_mean = weight * mean + (1 - weight) * mean[other]
        mixed_std = weight * std + (1 - weight) * std[other]
        return (maps - mean) / std * mixed_std + mixed_mean
