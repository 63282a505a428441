"""The image tower of CLIP, of any size: weights of OpenAI's and OpenCLIP's releases fit as they are.

Weights come from a folder on disk with a safetensors file, as transformers (`vision_model.*`) or open_clip
(`visual.*`) save it; nothing is downloaded and neither library is needed.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, 2.4; the positions
of the square grid are interpolated to upright pictures, as Li et al., CLIP-ReID, 2023, 4.2, do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from engines.errors import EngineFileError
from pipeline.errors import ConfigError
from trainers.networks.clip_weights import image_tower, read_folder


class ClipImageTower(nn.Module):
    """(N, 3, H, W) pictures -> (N, projection) unit rows.

    Args:
        size: Height, width of the pictures; multiples of the patch.
        patch: Side of a patch.
        width: Of the tokens.
        layers: Transformer blocks.
        heads: Of attention.
        projection: Dimension of CLIP's common space of pictures and texts.
        neck: Whether the rows are batch-normalised, for training on identities; without, they are CLIP's own.
        joined: Whether a row is the last block's feature and its projection side by side, as CLIP-ReID searches;
            (N, width + projection), without a neck.
    """

    def __init__(
        self,
        size: tuple[int, int] = (256, 128),
        patch: int = 16,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        projection: int = 512,
        neck: bool = True,
        joined: bool = False,
    ) -> None:
        super().__init__()
        if neck and joined:
            raise ConfigError("clip_vit: a joined row has no neck", "say neck: false")
        self.joined = joined
        self.grid = (size[0] // patch, size[1] // patch)
        self.checkpointing = False
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.token = nn.Parameter(width**-0.5 * torch.randn(width))
        self.positions = nn.Parameter(width**-0.5 * torch.randn(self.grid[0] * self.grid[1] + 1, width))
        self.before = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.after = nn.LayerNorm(width)
        self.projection = nn.Linear(width, projection, bias=False)
        self.neck: nn.Module = nn.BatchNorm1d(projection) if neck else nn.Identity()

    def forward(self, pictures: torch.Tensor, levels: bool = False) -> Any:
        """Unit rows; or with `levels` the features below them."""
        below = self.levels(pictures)
        return below if levels else self.row(below)

    def row(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        """The unit row of its levels."""
        _, last, projected = levels
        rows = torch.cat([last, projected], 1) if self.joined else self.neck(projected)
        return nn.functional.normalize(rows.float(), dim=1)

    def levels(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The class token after the block before the last (N, width), after the last (N, width), and its projection.

        The first is as the block leaves it, the second normalised, the third in CLIP's common space, of any length.
        """
        patches = self.patches(pictures).flatten(2).transpose(1, 2)
        token = self.token.expand(len(patches), 1, -1)
        tokens = self.before(torch.cat([token.to(patches), patches], 1) + self.positions)
        before = tokens
        for block in self.blocks:
            before = tokens
            sparing = self.checkpointing and self.training
            tokens = checkpoint(block, tokens, use_reentrant=False) if sparing else block(tokens)
        last = self.after(tokens[:, 0])
        return before[:, 0], last, self.projection(last)

    def fill(self, folder: Path) -> None:
        """Takes CLIP's weights; positions are interpolated to this tower's grid, the neck is left as it is.

        Raises:
            EngineFileError: No safetensors file of either kind in the folder, damaged, or of another size.
        """
        weights = image_tower(read_folder(folder), folder)
        weights["positions"] = resampled(weights["positions"], self.grid)
        own = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("neck.")}
        wrong = [n for n, t in own.items() if n not in weights or weights[n].shape != t.shape]
        if wrong or len(weights) != len(own):
            raise EngineFileError(
                f"{folder} holds another tower: {', '.join(wrong[:3]) or 'more layers'} differ",
                "correct patch, width, layers, heads and projection",
            )
        self.load_state_dict(weights, strict=False)


class Block(nn.Module):
    """A transformer block of CLIP: normalised before, with the quick GELU x * sigmoid(1.702 x)."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for linear in (self.qkv, self.out, self.wide, self.narrow):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, width), the same shape."""
        batch, count, width = tokens.shape
        split = self.qkv(self.first(tokens)).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        tokens = tokens + self.out(seen.transpose(1, 2).reshape(batch, count, width))
        inner = self.wide(self.second(tokens))
        result: torch.Tensor = tokens + self.narrow(inner * torch.sigmoid(1.702 * inner))
        return result


def resampled(positions: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """(1 + h * w, width) positions of a grid from those of a square one; the first is the class token's."""
    side = round((len(positions) - 1) ** 0.5)
    if (side, side) == grid:
        return positions
    square = positions[1:].T.reshape(1, -1, side, side)
    fitted = nn.functional.interpolate(square, grid, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], fitted.flatten(2)[0].T])
