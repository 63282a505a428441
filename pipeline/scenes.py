"""How large the frames are that are kept as evidence."""

SCENE_QUALITY, SMALL_QUALITY = 80, 60  # of their JPEGs
SMALL_SHARE = 0.5  # of the sides of the frame of a crop that is not its track's best...
LEAST_WIDTH_PX = 640  # ...which is no narrower than this


def small_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width, height of the picture of a frame behind the best; `size` is the frame's own.

    >>> small_size((1920, 1080)), small_size((960, 540)), small_size((320, 240))
    ((960, 540), (640, 360), (320, 240))
    """
    width, height = size
    share = min(1.0, max(SMALL_SHARE, LEAST_WIDTH_PX / width))
    return round(width * share), max(1, round(height * share))
