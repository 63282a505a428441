"""How good a crop of a person is: sharpness."""

import numpy as np
from numpy.typing import NDArray

NETWORK_SIZE = (128, 64)
"""Height, width in pixels at which sharpness is judged: about what embedders look at."""

_NOISE = 16.0  # grey levels squared: what a sensor adds to a flat picture
_HALF = 0.05  # edge energy over contrast of a crop that is neither sharp nor blurred


def sharpness(image: NDArray[np.uint8]) -> float:
    """Sharpness in [0, 1), the same for a photo and for a far smaller crop of it.

    Variance of the Laplacian over variance of brightness, after large pictures were brought down to about
    `NETWORK_SIZE` by averaging: blur that the network never sees does not count, nor does dim light.
    In focus: above 0.7. From 80 px on, a Gaussian of 1 % of the height leaves about 0.2 to 0.7, one of 4 %
    less than 0.1; smaller crops have fewer pixels to lose and need more.

    Args:
        image: (h, w, 3) uint8; a picture of less than 3 px either way has none.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000 (the variance of
    the Laplacian); the two normalisations are ours.
    """
    grey = _brought_down(image.mean(axis=2, dtype=np.float32))
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    edges = float(laplacian.var() / (grey.var() + _NOISE))
    return edges / (edges + _HALF)


def _brought_down(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Averages over whole blocks, so that at most about `NETWORK_SIZE` is left."""
    height, width = grey.shape
    block = max(1, round(min(height / NETWORK_SIZE[0], width / NETWORK_SIZE[1])))
    rows, columns = height // block, width // block
    blocks = grey[: rows * block, : columns * block].reshape(rows, block, columns, block)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return mean
