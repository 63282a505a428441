"""Whether an engine is of any use: it tells pictures apart, and says of each what it says of it alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.errors import OutputError
from engines.manifest import Manifest
from engines.network import BoxNetwork, VectorNetwork, raw_rows, try_out
from engines.sessions.base import Session

PICTURES = 4
SAME = 1e-5  # of the largest number: what float32 may make of one and the same value
STRAY = 0.02  # of the largest number: what other kernels and eight bits may make of a batch
RAW_KINDS = {"yolox", "ultralytics", "detr"}
"""Decoders of networks that answer something for every cell, also where nobody is."""

Rows = NDArray[np.float32]


def examine(manifest: Manifest, session: Session) -> None:
    """Runs an engine on made pictures, alone and side by side.

    Raises:
        TensorError: Input or output are not what the manifest says.
        OutputError: Different pictures get one answer; the answer to a picture depends on the pictures beside it or on
            chance; or it is not a number.
    """
    try_out(manifest, session)
    pictures = sample_pictures(PICTURES, manifest.preprocess.size)
    if manifest.decoder is not None:
        BoxNetwork(manifest, session).find(pictures)
        if (
            manifest.decoder.kind not in RAW_KINDS
        ):  # finished boxes of pictures without anybody: nothing to compare
            return
    together = _answers(manifest, session, pictures)
    alone = np.concatenate([_answers(manifest, session, [picture]) for picture in pictures])
    again = _answers(manifest, session, pictures[:1])
    largest = max(float(np.abs(alone).max(initial=0)), 1e-12)
    if _spread(alone, alone[:1]) <= SAME * largest:
        raise OutputError(
            f"engine {manifest.name}: {PICTURES} different pictures get the same answer",
            "replace the engine's file",
        )
    stray = max(_spread(again, alone[:1]), _spread(together, alone)) / largest
    if stray > STRAY:
        raise OutputError(
            f"engine {manifest.name}: what it says of a picture depends on the pictures beside it, or on chance: its "
            f"answer moves by {stray:.2g} of its largest number",
            "export the network in eval mode, with the statistics of its training",
        )


def sample_pictures(count: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Pictures with large shapes and fine grain, always the same: nothing a network was trained on."""
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        blocks = random.uniform(0, 255, (8, 4, 3)).repeat(-(-size[0] // 8), 0).repeat(-(-size[1] // 4), 1)
        grain = random.normal(0, 20, (*size, 3))
        pictures.append(np.clip(blocks[: size[0], : size[1]] + grain, 0, 255).astype(np.uint8))
    return pictures


def _spread(a: Rows, b: Rows) -> float:
    return float(np.abs(a - b).max(initial=0))


def _answers(manifest: Manifest, session: Session, pictures: Sequence[NDArray[np.uint8]]) -> Rows:
    """(N, D) what an engine says of each picture; of an embedder, unit rows.

    Raises:
        TensorError: Its answer is not one row a picture.
    """
    if manifest.role == "embedder":
        return VectorNetwork(manifest, session).embed(pictures)
    return raw_rows(manifest, session, pictures)
