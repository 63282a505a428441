"""A gallery that slides by: what is searched as rows come and go, each position as exact as a set made afresh."""

from collections.abc import Iterator

from pipeline.errors import ConfigError
from pipeline.rerank import Distances, SlidingGallery
from pipeline.rerank.distances import Metric
from trainers.evaluate.feature_set import FeatureSet


def positions(
    data: FeatureSet, size: int, step: int, metric: Metric = "euclidean", memory_mb: float = 256
) -> Iterator[tuple[Distances, slice]]:
    """Distances of all queries to `size` gallery rows at a time, and which rows these are.

    The rows are taken in the order of the file; from one position to the next the `step` oldest go and as many come.
    Rows at the end that fill no whole step are left out.

    Args:
        data: Queries that stay, and the rows that pass.
        size: Rows in the gallery at a time.
        step: Rows that come and go.
        metric: As for `Distances.from_features`.
        memory_mb: Working memory.

    Raises:
        ConfigError: A size or step that does not fit the gallery.
    """
    rows, cameras = data.gallery_features, data.gallery_cameras
    if not 0 < step <= size <= len(rows):
        raise ConfigError(
            f"a window of {size} rows moved by {step} does not fit {len(rows)} gallery rows",
            "give a window of at most the gallery, and a step of at most the window",
        )
    gallery = SlidingGallery(
        data.query_features, rows[:size], metric, data.query_cameras, cameras[:size], memory_mb=memory_mb
    )
    yield gallery.distances, slice(0, size)
    for end in range(size + step, len(rows) + 1, step):
        new = slice(end - step, end)
        gallery.update(rows[new], range(step), cameras[new])
        yield gallery.distances, slice(end - size, end)
