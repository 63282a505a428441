"""An embedder whose eyes a verifier learns to share before it can tell people apart by itself."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from engines.shelf import EnginePath
from pipeline.settings import Settings

Weight = Annotated[float, Field(ge=0, le=100)]


class TeacherSettings(Settings):
    """What is learned of an embedder beside the labels."""

    engine: EnginePath = Field(description="A manifest, or a name in `engines list`.")
    vectors: Weight = Field(
        default=1.0, description="Weight of 1 - cosine between what a picture's tokens say and its vector."
    )
    answers: float = Field(
        default=1.0, ge=0, le=1, description="Share of its opinion in what is wanted; the label has the rest."
    )
    slope: float = Field(default=10.0, gt=0, le=1000, description="Of its opinion, per unit of cosine.")
    middle: float = Field(default=0.6, gt=-1, lt=1, description="Cosine of which it holds no opinion.")


class Teacher(nn.Module):
    """Knows the vectors of all learned pictures; learns to read them off vision tokens.

    The read-out is a linear layer on the mean of each quarter of a picture's tokens, from top to bottom. It is needed
    in training alone.

    Args:
        settings: How much of it is learned.
        vectors: (N, D) of the pictures, of unit length.
        width: Of a vision token.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015.
    """

    vectors: Tensor

    def __init__(self, settings: TeacherSettings, vectors: Tensor, width: int) -> None:
        super().__init__()
        self._settings = settings
        self.register_buffer("vectors", nn.functional.normalize(vectors, dim=1), persistent=False)
        self.read = nn.Linear(BANDS * width, vectors.shape[1])

    def seen(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """Mean of 1 - cosine between what is read off tokens (P, n, width) and the vectors of the pictures `rows`."""
        said = self.read(banded(tokens.float()))
        return (1 - nn.functional.cosine_similarity(said, self.vectors[rows], dim=1)).mean()

    def wanted(self, same: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """(B,) probabilities that a verifier is to give that two pictures show one person.

        Args:
            same: (B,) the labels.
            first: (B,) rows of pictures.
            second: (B,) rows of pictures.
        """
        told = self._settings
        cosines = (self.vectors[first] * self.vectors[second]).sum(1)
        opinion = torch.sigmoid(told.slope * (cosines - told.middle))
        return torch.lerp(same.float(), opinion, told.answers)

    def weighted(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """`seen`, by its weight."""
        return self._settings.vectors * self.seen(tokens, rows)


BANDS = 4


def banded(tokens: Tensor) -> Tensor:
    """(P, bands * width) means of the bands of vision tokens (P, n, width), which stand row by row."""
    return nn.functional.adaptive_avg_pool1d(tokens.transpose(1, 2), BANDS).flatten(1)
