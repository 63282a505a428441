"""What is said of pictures, learned as CLIP does: a picture and its caption find each other in a batch.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, 2.3 and fig. 3.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from engines.files import replace_file
from pipeline.errors import InputError
from pipeline.settings import Settings
from trainers.datasets.sample import Sample
from trainers.networks.clip_text import ClipTextTower

NOTHING, UNKNOWN, END = 0, 1, 2  # before a shorter text; a word never learned; where a text ends
FIRST = 3  # number of the first word
SHARPEST = 100.0  # CLIP's bound on 1 / temperature


class CaptionSettings(Settings):
    """Size of the tower that reads, and the weight of what it says."""

    weight: float = Field(default=1.0, gt=0, description="Of the contrast of pictures and captions.")
    temperature: float = Field(default=0.07, gt=0, description="At first; it is learned.")
    context: int = Field(
        default=48, ge=2, description="Words that are read of a caption, its end among them."
    )
    width: int = Field(default=128, ge=1)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)


class Reader(nn.Module):
    """Texts to unit rows in the space of an image tower.

    Args:
        words: All that it can tell apart, without repeats.
        settings: Its size.
        dimension: Of the rows.
    """

    def __init__(self, words: Sequence[str], settings: CaptionSettings, dimension: int) -> None:
        super().__init__()
        self.words, self.settings, self.dimension = tuple(words), settings, dimension
        self._numbers = {word: number for number, word in enumerate(words, FIRST)}
        s = settings
        self.tower = ClipTextTower(FIRST + len(words), s.context, s.width, s.layers, s.heads, dimension)

    def numbers(self, texts: Iterable[str]) -> torch.Tensor:
        """(N, context) int64: the words of each text and its end, after as much of nothing as is left."""
        lines = []
        for text in texts:
            known = [self._numbers.get(word, UNKNOWN) for word in split_words(text)]
            line = [*known[: self.settings.context - 1], END]
            lines.append([NOTHING] * (self.settings.context - len(line)) + line)
        return torch.tensor(lines, dtype=torch.int64).view(-1, self.settings.context)

    def need_readable(self, text: str) -> None:
        """Checks that a text says something to the tower.

        Raises:
            InputError: It has no word that was learned, or more words than are read.
        """
        words, most = split_words(text), self.settings.context - 1
        if not any(word in self._numbers for word in words):
            raise InputError(f"no word of {text[:60]!r} was learned", "describe clothes and looks")
        if len(words) > most:
            raise InputError(f"a text of more than {most} words: {text[:60]!r}", "shorten it")

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """(N, dimension) unit rows of (N, context) words."""
        return nn.functional.normalize(self.tower(self.tower.words(numbers)).float(), dim=1)

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> torch.Tensor:
        """(N, dimension) unit rows of texts, on the processor."""
        device = next(self.parameters()).device
        rows: torch.Tensor = self(self.numbers(texts).to(device)).cpu()
        return rows

    def save(self, path: Path) -> None:
        """Writes one safetensors file that holds the words too."""
        about = {"words": self.words, "settings": self.settings.model_dump(), "dimension": self.dimension}
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, save(tensors, {"reader": json.dumps(about)}))


def load_reader(path: Path) -> Reader:
    """What `Reader.save` wrote, in eval mode.

    Raises:
        InputError: Missing, damaged, or something else.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["reader"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        settings = CaptionSettings.model_validate(about["settings"])
        reader = Reader(about["words"], settings, about["dimension"])
        reader.load_state_dict(tensors)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", "musewatch train captions makes one") from None
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is damaged, or reads no captions: {error}", "train it again") from None
    reader.eval()
    return reader


class CaptionLoss(nn.Module):
    """Pictures against captions and captions against pictures, within a batch.

        L = 1/2 (CE over the captions for each picture + CE over the pictures for each caption)
        of cosines / temperature; the temperature is learned

    Every picture and caption stands against those of its own domain. Where several fit (the same identity, or the same
    words), the target is spread evenly over them. A picture with several captions is shown one of them, at random.

    Args:
        settings: Of the tower that reads.
        captions: Those of each of the P training pictures; none may lack them.
        dimension: Of the image tower's rows.
    """

    lines: torch.Tensor
    starts: torch.Tensor
    counts: torch.Tensor

    def __init__(self, settings: CaptionSettings, captions: Sequence[Sequence[str]], dimension: int) -> None:
        super().__init__()
        texts = [text for own in captions for text in own]
        self.reader = Reader(sorted({w for text in texts for w in split_words(text)}), settings, dimension)
        self.sharpness = nn.Parameter(-torch.tensor(settings.temperature).log())
        counts = torch.tensor([len(own) for own in captions])
        self.register_buffer("lines", self.reader.numbers(texts), persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("counts", counts, persistent=False)

    def forward(
        self, rows: torch.Tensor, identities: torch.Tensor, domains: torch.Tensor, pictures: torch.Tensor
    ) -> torch.Tensor:
        """Mean over (N, D) unit rows of `pictures` (N,), which show these people, in these domains."""
        drawn = torch.rand(len(pictures)).to(rows.device) * self.counts[pictures]
        lines = self.lines[self.starts[pictures] + drawn.long()]
        return aligned(
            rows, self.reader(lines), lines, identities, domains, self.sharpness.exp().clamp_max(SHARPEST)
        )


def aligned(
    rows: torch.Tensor,
    texts: torch.Tensor,
    lines: torch.Tensor,
    identities: torch.Tensor,
    domains: torch.Tensor,
    sharpness: torch.Tensor,
) -> torch.Tensor:
    """The loss itself: (N, D) rows of pictures and of their captions, whose words are `lines`."""
    own = domains[:, None] == domains
    same = (identities[:, None] == identities) | (lines[:, None] == lines).all(2)
    target = (same & own).to(rows)
    target = target / target.sum(1, keepdim=True)
    cosines = (sharpness * rows @ texts.T).masked_fill(~own, torch.finfo(rows.dtype).min)
    pairs = (cosines, cosines.T)  # what fits is symmetric, the even spread over it too
    return torch.stack([nn.functional.cross_entropy(logits, target) for logits in pairs]).mean()


def caption_loss(settings: CaptionSettings, samples: Sequence[Sample], dimension: int) -> CaptionLoss:
    """That of these training pictures.

    Raises:
        InputError: A picture has no captions.
    """
    for sample in samples:
        if not sample.text:
            raise InputError(f"nothing is said of {sample.path}", "take sets whose pictures have captions")
    return CaptionLoss(settings, [sample.text for sample in samples], dimension)


def split_words(text: str) -> list[str]:
    """Lower-case words, without punctuation."""
    return re.findall(r"[\w'-]+", text.lower())
