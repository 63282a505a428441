"""The text tower of CLIP, of any size, that also takes learned words.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, 2.4.
"""

from pathlib import Path

import torch
from torch import nn

from engines.errors import EngineFileError
from trainers.networks.clip_vit import Block
from trainers.networks.clip_weights import read_folder, text_tower


class ClipTextTower(nn.Module):
    """(N, T, width) embedded words -> (N, projection) rows in CLIP's common space, of any length.

    Args:
        vocabulary: Number of tokens.
        context: Most words of a text.
        width: Of the words.
        layers: Transformer blocks.
        heads: Of attention.
        projection: Dimension of the common space.
    """

    def __init__(
        self,
        vocabulary: int = 49408,
        context: int = 77,
        width: int = 512,
        layers: int = 12,
        heads: int = 8,
        projection: int = 512,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.01 * torch.randn(context, width))
        self.blocks = nn.ModuleList(Block(width, heads, causal=True) for _ in range(layers))
        self.after = nn.LayerNorm(width)
        self.projection = nn.Linear(width, projection, bias=False)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """The row of a text is that of its last word, which ends it: every text of a call has T words."""
        tokens = words + self.positions[: words.shape[1]]
        for block in self.blocks:
            tokens = block(tokens)
        rows: torch.Tensor = self.projection(self.after(tokens[:, -1]))
        return rows

    def fill(self, folder: Path) -> None:
        """Takes CLIP's weights, as transformers or open_clip save them.

        Raises:
            EngineFileError: Missing, damaged, or of another size.
        """
        weights, own = text_tower(read_folder(folder), folder), self.state_dict()
        wrong = [n for n, t in own.items() if n not in weights or weights[n].shape != t.shape]
        if wrong or len(weights) != len(own):
            raise EngineFileError(
                f"{folder} holds another text tower: {', '.join(wrong[:3]) or 'more layers'} differ",
                "correct vocabulary, context, width, layers, heads and projection",
            )
        self.load_state_dict(weights)
