"""Pictures as a Qwen-VL vision tower eats them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.errors import PictureError
from engines.manifest import Preprocess
from engines.preprocess import preprocess


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """How a tower cuts pictures up.

    Attributes:
        patch_px: Side of a patch.
        merge: Patches on a side of a token.
        frames: Equal pictures that stand for a still one.
    """

    patch_px: int
    merge: int
    frames: int

    @property
    def token_px(self) -> int:
        """Side of the square that becomes one token."""
        return self.patch_px * self.merge


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture ready for the tower.

    Attributes:
        pixels: (3, H, W) float32.
        key: Digest of the picture and of the size it was brought to.
    """

    pixels: NDArray[np.float32] = field(repr=False)
    key: bytes


def prepare(images: Sequence[NDArray[np.uint8]], settings: Preprocess) -> list[Picture]:
    """(H, W, 3) BGR pictures of any sizes, as a manifest feeds them.

    Raises:
        PictureError: A picture has no pixels or not three channels.
    """
    try:
        pixels, _ = preprocess(images, settings)
    except ValueError as error:
        raise PictureError(f"a verifier cannot look at this: {error}", "give pictures of people") from None
    return [Picture(each, _digest(image, settings.size)) for each, image in zip(pixels, images, strict=True)]


def patches(pixels: NDArray[np.float32], grid: PatchGrid) -> NDArray[np.float32]:
    """(rows * columns, 3 * frames * patch * patch): the patches of a token follow each other."""
    side, merge = grid.patch_px, grid.merge
    channels, height, width = pixels.shape
    rows, columns = height // side, width // side
    cut = pixels.reshape(channels, rows // merge, merge, side, columns // merge, merge, side)
    in_order = cut.transpose(1, 4, 2, 5, 0, 3, 6)[:, :, :, :, :, None]
    still = np.repeat(in_order, grid.frames, axis=5)
    return still.reshape(rows * columns, channels * grid.frames * side * side)


def _digest(image: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    digest = hashlib.blake2b(repr((image.shape, size)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()
