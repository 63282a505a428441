"""Pictures as other cameras might have taken them: batches changed in colour, sharpness, noise, place and parts."""

from typing import Annotated

import torch
from pydantic import Field

from pipeline.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=0, le=1)]


class AugmentSettings(Settings):
    """How much; zeros leave the pictures as they are."""

    flip: Share = Field(default=0.5, description="Share mirrored.")
    shift: Spread = Field(default=0.06, description="Deviation of place and size, in widths.")
    saturation: tuple[float, float] = Field(
        default=(0.3, 1.4), description="Least and most; (1, 1) = as it is."
    )
    channel_gain: Spread = Field(default=0.13, description="Deviation of the logarithm, each channel.")
    gain: Spread = Field(default=0.25, description="The same, all channels together.")
    gamma: Spread = Field(default=0.22, description="Deviation of the logarithm.")
    contrast: Spread = Field(default=0.18, description="Deviation of the logarithm.")
    blur: Share = Field(default=0.25, description="Share brought to half the size and back.")
    noise: Share = Field(default=0.3, description="Share with sensor noise.")
    erase: Share = Field(default=0.35, description="Share with a box painted over.")


class Augment:
    """Changes batches; all it draws comes from torch's global generator of the processor.

    Source: erasing: Zhong et al., Random Erasing Data Augmentation, 2017.
    """

    def __init__(self, settings: AugmentSettings) -> None:
        self._s = settings

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in [0, 1], the same shape and range; the input is not changed."""
        pictures = self._moved(pictures)
        pictures = self._blurred(pictures)
        pictures = self._recoloured(pictures)
        pictures = self._noisy(pictures).clamp_(0, 1)
        return self._erased(pictures)

    def _moved(self, x: torch.Tensor) -> torch.Tensor:
        s, count = self._s, len(x)
        theta = torch.zeros(count, 2, 3)
        mirrored = torch.where(torch.rand(count) < s.flip, -1.0, 1.0)
        theta[:, 0, 0] = mirrored * (1 + s.shift * torch.randn(count))
        theta[:, 1, 1] = 1 + s.shift * torch.randn(count)
        theta[:, :, 2] = s.shift * torch.randn(count, 2)
        grid = torch.nn.functional.affine_grid(theta.to(x), list(x.shape), align_corners=False)
        return torch.nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    def _blurred(self, x: torch.Tensor) -> torch.Tensor:
        rows = _drawn(len(x), self._s.blur)
        if len(rows):
            small = torch.nn.functional.avg_pool2d(x[rows], 2, ceil_mode=True)
            x[rows] = torch.nn.functional.interpolate(small, x.shape[2:], mode="bilinear")
        return x

    def _recoloured(self, x: torch.Tensor) -> torch.Tensor:
        s, count = self._s, len(x)
        low, high = s.saturation
        grey = x.mean(1, keepdim=True)
        x = (x - grey).mul_((low + (high - low) * torch.rand(count, 1, 1, 1)).to(x)).add_(grey)
        gain = s.channel_gain * torch.randn(count, 3, 1, 1) + s.gain * torch.randn(count, 1, 1, 1)
        x = x.mul_(gain.exp().to(x)).clamp_(1e-3, 1)
        x = x.pow_((s.gamma * torch.randn(count, 1, 1, 1)).exp().to(x))
        middle = x.mean((1, 2, 3), keepdim=True)
        return x.sub_(middle).mul_((s.contrast * torch.randn(count, 1, 1, 1)).exp().to(x)).add_(middle)

    def _noisy(self, x: torch.Tensor) -> torch.Tensor:
        rows = _drawn(len(x), self._s.noise)
        strength = 0.02 + 0.05 * torch.rand(len(rows), 1, 1, 1)
        x[rows] += (strength * torch.randn(len(rows), *x.shape[1:])).to(x)
        return x

    def _erased(self, x: torch.Tensor) -> torch.Tensor:
        high, wide = x.shape[2:]
        for row in _drawn(len(x), self._s.erase).tolist():
            share_h, share_w, top, left = torch.rand(4).tolist()
            h, w = int(high * (0.1 + 0.34 * share_h)), int(wide * (0.15 + 0.53 * share_w))
            y, z = int(top * (high - h)), int(left * (wide - w))
            x[row, :, y : y + h, z : z + w] = torch.rand(3, 1, 1).to(x)
        return x


def _drawn(count: int, share: float) -> torch.Tensor:
    """Rows drawn with that probability each."""
    return torch.nonzero(torch.rand(count) < share)[:, 0]
