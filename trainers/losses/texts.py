"""Texts of people learned without words: the two stages of CLIP-ReID.

Stage one holds both towers of CLIP still and learns, for every identity, the words X1..XM of "A photo of a X1 .. XM
person.", so that pictures and text of a person find each other. Stage two holds those texts still and trains the image
tower against them, beside the identity and triplet losses.

Source: Li, Sun and Li, CLIP-ReID: Exploiting Vision-Language Model for Image Re-identification without Concrete Text
Labels, AAAI 2023, 3.2-3.3, eq. 1-8.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from pipeline.output import say
from pipeline.settings import ConfigPath, Settings
from trainers.networks.clip_text import ClipTextTower
from trainers.training.schedule import set_rate, warmup_cosine
from trainers.training.state import Restorable, load_state, save_state

SAID_EVERY = 200


class TextSettings(Settings):
    """Stage one, and the weight of its texts in stage two."""

    tower: dict[str, Any] = Field(default={}, description="Sizes of the text tower.")
    weights: ConfigPath | None = Field(
        default=None, description="Folder with CLIP's weights; None = untrained."
    )
    before: tuple[int, ...] = Field(
        default=(49406, 320, 1125, 539, 320), description="'A photo of a' in tokens."
    )
    after: tuple[int, ...] = Field(
        default=(2533, 269, 49407), description="'person.' and the end, in tokens."
    )
    learned: int = Field(default=4, ge=1, description="M.")
    steps: int = Field(default=6000, ge=1)
    batch: int = Field(default=64, ge=2)
    rate: float = Field(default=3.5e-4, gt=0)
    temperature: float = Field(default=0.01, gt=0, description="CLIP's own; 1 / 100.")
    weight: float = Field(default=1.0, ge=0, description="Of the image-to-text loss in stage two.")
    smoothing: float = Field(default=0.1, ge=0, lt=1, description="Of its target.")


class Prompts(nn.Module):
    """One text an identity, with words of its own."""

    def __init__(self, tower: ClipTextTower, settings: TextSettings, identities: int) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False).eval()
        width = tower.words.embedding_dim
        self.own = nn.Parameter(0.02 * torch.randn(identities, settings.learned, width))
        self.register_buffer("before", torch.tensor(settings.before))
        self.register_buffer("after", torch.tensor(settings.after))

    def forward(self, identities: torch.Tensor) -> torch.Tensor:
        """(N, projection) unit rows of the texts of these people (N,)."""
        around = [
            self.tower.words(part).expand(len(identities), -1, -1) for part in (self.before, self.after)
        ]
        words = torch.cat([around[0], self.own[identities], around[1]], 1)
        return nn.functional.normalize(self.tower(words), dim=1)


def contrast(
    pictures: torch.Tensor, texts: torch.Tensor, identities: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Image-to-text plus text-to-image loss of a batch; a text has all pictures of its person as positives (eq. 3-4).

    Args:
        pictures: (N, D) unit rows.
        texts: (N, D) unit rows, that of each picture's person.
        identities: (N,).
        temperature: Divides the cosines.
    """
    cosines = pictures @ texts.T / temperature
    positive = (identities[:, None] == identities).to(cosines)
    to_texts = nn.functional.cross_entropy(cosines, torch.arange(len(cosines), device=cosines.device))
    to_pictures = -(cosines.T.log_softmax(1) * positive).sum(1) / positive.sum(1)
    return to_texts + to_pictures.mean()


def learn_texts(
    rows: torch.Tensor,
    identities: torch.Tensor,
    count: int,
    settings: TextSettings,
    state: Path,
    run: Mapping[str, Any],
) -> torch.Tensor:
    """Stage one on pictures embedded once: (count, D) unit rows, the text of each identity.

    A stage that was stopped goes on from its state.

    Args:
        rows: (N, D) unit rows of the training pictures by CLIP's image tower.
        identities: (N,) from 0.
        count: Number of identities.
        settings: Of this stage.
        state: File of its state, written now and then and at the end.
        run: What the run is; only the same one goes on.

    Raises:
        EngineError: The text tower's weights cannot be read.
        ConfigError, InputError: The state is another run's, or damaged.
    """
    tower = ClipTextTower(**settings.tower)
    if settings.weights is not None:
        tower.fill(Path(settings.weights))
    prompts = Prompts(tower, settings, count).to(rows.device)
    optimizer = torch.optim.Adam([prompts.own], lr=settings.rate, weight_decay=1e-4)
    parts: dict[str, Restorable] = {"words": nn.ParameterDict({"own": prompts.own}), "optimizer": optimizer}
    done = load_state(state, parts, run) if state.exists() else 0
    for step in range(done, settings.steps):
        set_rate(optimizer, warmup_cosine(step, settings.steps, settings.steps // 20, 1e-2))
        chosen = torch.randint(len(rows), (settings.batch,)).to(rows.device)
        loss = contrast(rows[chosen], prompts(identities[chosen]), identities[chosen], settings.temperature)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % SAID_EVERY == 0 or step + 1 == settings.steps:
            say(f"texts: step {step + 1} of {settings.steps}: loss {float(loss.detach()):.4g}")
            save_state(state, parts, step + 1, run)
    with torch.no_grad():
        everybody = torch.arange(count, device=rows.device)
        return torch.cat([prompts(part) for part in everybody.split(256)])


def image_to_texts(
    rows: torch.Tensor, identities: torch.Tensor, texts: torch.Tensor, settings: TextSettings
) -> torch.Tensor:
    """Stage two: cross-entropy of pictures over the texts of all identities (eq. 8)."""
    return nn.functional.cross_entropy(
        rows @ texts.T / settings.temperature, identities, label_smoothing=settings.smoothing
    )
