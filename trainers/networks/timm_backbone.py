"""Any backbone of timm by name, with the neck of an embedder."""

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from engines.errors import EngineFileError
from trainers.networks.clip_weights import read_folder
from trainers.networks.head import Neck


class TimmEmbedder(nn.Module):
    """(N, 3, H, W) pictures -> (N, dimension) unit rows.

    Args:
        name: What timm calls the architecture; nothing is downloaded.
        dimension: Of the embedding.
        options: More keywords of `timm.create_model`, such as img_size.
    """

    def __init__(self, name: str, dimension: int = 512, **options: Any) -> None:
        super().__init__()
        self.backbone = timm.create_model(name, pretrained=False, num_classes=0, **options)
        self.neck = Neck(self.backbone.num_features, dimension)

    @property
    def checkpointing(self) -> bool:
        """Whether activations are worked out again for the gradients, to save memory."""
        return bool(getattr(self.backbone, "grad_checkpointing", False))

    @checkpointing.setter
    def checkpointing(self, on: bool) -> None:
        self.backbone.set_grad_checkpointing(on)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Unit rows."""
        rows: torch.Tensor = self.neck(self.backbone(pictures).float())
        return rows

    def fill(self, folder: Path) -> None:
        """Takes timm's weights from a folder with one safetensors file; its classifier is left out.

        Raises:
            EngineFileError: None, damaged, or of another architecture.
        """
        tensors, own = read_folder(folder), self.backbone.state_dict()
        wrong = [n for n, t in own.items() if n not in tensors or tensors[n].shape != t.shape]
        if wrong:
            raise EngineFileError(
                f"{folder} holds another network: {', '.join(wrong[:3])} differ",
                "correct the name or options",
            )
        self.backbone.load_state_dict({name: tensors[name] for name in own})
