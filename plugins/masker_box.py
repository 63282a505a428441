"""The filled box of the best crop as the person's mask: what there is without a mask network."""

from collections.abc import Sequence

from pipeline.messages import Mask, Tracklet
from pipeline.settings import Settings


class BoxMasker:
    """Marks every pixel of the box of the best crop."""

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def mask(self, tracklets: Sequence[Tracklet]) -> list[Mask | None]:
        """One mask over the scene of each tracklet; None where no pixel of the box lies inside it."""
        return [box_mask(tracklet.best.box, tracklet.scene.size) for tracklet in tracklets]


def box_mask(box: tuple[float, float, float, float], size: tuple[int, int]) -> Mask | None:
    """A filled box as COCO run lengths: column first, zeros and ones in turn, zeros first.

    Args:
        box: xyxy in pixels; edges are rounded to whole pixels and cut to the picture.
        size: Width, height of the picture.

    Returns:
        The mask, or None when it would be empty.

    >>> box_mask((1, 1, 3, 3), (4, 4)).counts
    (5, 2, 2, 2, 5)
    """
    width, height = size
    x0, x1 = (min(max(round(x), 0), width) for x in (box[0], box[2]))
    y0, y1 = (min(max(round(y), 0), height) for y in (box[1], box[3]))
    if x1 <= x0 or y1 <= y0:
        return None
    if y1 - y0 == height:  # whole columns touch: one run
        runs = [x0 * height, (x1 - x0) * height]
    else:
        column = [y1 - y0, height - (y1 - y0)]
        runs = [x0 * height + y0, *(column * (x1 - x0))[:-1]]
    rest = width * height - sum(runs)
    return Mask(counts=tuple(runs + [rest] * (rest > 0)), size=(height, width))
