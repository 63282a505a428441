"""Fakes of the protocols, for tests of the pipeline and of other people's plugins."""

import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.follow.geometry import Box
from pipeline.messages import Clock, Crop, Detections, EndReason, Frame, Scene, TrackKey, Tracklet

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


class ListSource:
    """A source that plays a list; an exception in the list is raised in its turn.

    Args:
        items: Frames and errors, in order.
        live: As in the protocol.
    """

    def __init__(self, items: Iterable[Frame | Exception], live: bool = False) -> None:
        self._items = list(items)
        self.live = live

    def frames(self) -> Iterator[Frame]:
        """Yields the frames; goes on behind an error when it is called again."""
        while self._items:
            item = self._items.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item


class StuckSource:
    """A source that gives some frames and then blocks, until it is released.

    Args:
        items: Frames before it blocks.
        then: Frames after it was released.
        obeys_close: Closing releases it, as it should.
        live: As in the protocol.
    """

    def __init__(
        self,
        items: Iterable[Frame],
        then: Iterable[Frame] = (),
        *,
        obeys_close: bool = False,
        live: bool = True,
    ) -> None:
        self._items, self._then = list(items), list(then)
        self._obeys_close = obeys_close
        self._released = threading.Event()
        self.live = live

    def frames(self) -> Iterator[Frame]:
        """Yields the frames, and blocks between the two parts."""
        yield from self._items
        self._released.wait()
        yield from self._then

    def release(self) -> None:
        """Lets it go on."""
        self._released.set()

    def close(self) -> None:
        """Releases it where it obeys."""
        if self._obeys_close:
            self._released.set()


class FakeDetector:
    """Sees the same people in every frame.

    Args:
        boxes: xyxy in pixels.
    """

    def __init__(self, *boxes: Box) -> None:
        self._boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Everyone with score 1."""
        return [Detections(self._boxes, np.ones(len(self._boxes), np.float32)) for _ in frames]


class FakeEmbedder:
    """Tells people apart by the mean colour of their crop; distances fall with the difference in colour.

    Args:
        engine_digest: Says whose vectors these are.
        max_distance: The engine's operating point.

    Attributes:
        embedded: Number of crops so far.
    """

    dimension = 4

    def __init__(self, engine_digest: str = "sha256:fake", max_distance: float | None = 0.2) -> None:
        self.engine_digest, self.max_distance = engine_digest, max_distance
        self.embedded = 0

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, 4) unit rows."""
        self.embedded += len(crops)
        rows = np.ones((len(crops), 4), np.float32)
        for row, crop in zip(rows, crops, strict=True):
            row[:3] = crop.mean(axis=(0, 1)) / 32.0 - 4.0
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


class FakeReader(FakeEmbedder):
    """Reads texts too: a text lies near the crops of the colour that it names, though never as near as they do."""

    reads_text = True
    colours: ClassVar = {"red": (40, 60, 200), "green": (60, 180, 40), "blue": (200, 80, 40)}

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, 4) unit rows.

        Raises:
            InputError: More than ten words.
        """
        if any(len(text.split()) > 10 for text in texts):
            raise InputError("the text is longer than ten words", "shorten it")
        named = [next(c for name, c in self.colours.items() if name in text) for text in texts]
        rows = self.embed([np.full((1, 1, 3), colour, np.uint8) for colour in named])
        return rows * np.array([1, 1, 1, -1], np.float32)


class FakeCodec:
    """Keeps pixels as they are, behind the header of a JPEG: nothing is lost, nothing is slow."""

    _HEADER = struct.Struct(">4sHBHHB")
    _MARK = (b"\xff\xd8\xff\xc0", 17, 8)

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """The pixels.

        Raises:
            InputError: `encode` did not write it.
        """
        try:
            *mark, height, width, _ = self._HEADER.unpack_from(data)
            pixels = np.frombuffer(data, np.uint8, offset=self._HEADER.size)
            if tuple(mark) == self._MARK:
                return pixels.reshape(height, width, 3)
        except (struct.error, ValueError):
            pass
        raise InputError("not a fake picture", "encode one")

    def encode(self, image: NDArray[np.uint8], quality: int = 90) -> bytes:
        """Header and pixels; `quality` is ignored."""
        return self._HEADER.pack(*self._MARK, *image.shape) + image.tobytes()

    def resize(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """To width, height, by the nearest pixel."""
        rows = np.arange(size[1]) * image.shape[0] // size[1]
        columns = np.arange(size[0]) * image.shape[1] // size[0]
        resized: NDArray[np.uint8] = image[rows][:, columns]
        return resized


def frame(
    index: int = 0, image: NDArray[np.uint8] | None = None, fps: float = 10.0, stream_id: str = ""
) -> Frame:
    """A frame of a clip; black 64x48 unless an image is given."""
    pts_s = index / fps
    picture = np.zeros((48, 64, 3), np.uint8) if image is None else image
    return Frame(stream_id, index, picture, pts_s, UNDATED + timedelta(seconds=pts_s), Clock.FILE)


def tracklet(
    key: TrackKey = TrackKey("door", "e1", 1),  # noqa: B008 - immutable
    number: int = 1,
    *,
    embedding: Sequence[float] = (1.0, 0.0),
    best_pts_s: float = 1.0,
    decided_pts_s: float = 2.0,
    end: EndReason | None = None,
) -> Tracklet:
    """A question about a track, of one small crop.

    Args:
        key: The track.
        number: Which question.
        embedding: Scaled to unit length.
        best_pts_s: Time of the crop.
        decided_pts_s: Time of the question.
        end: Set on the last question.
    """
    vector = np.array(embedding, np.float32)
    vector /= np.linalg.norm(vector)
    at = UNDATED + timedelta(seconds=best_pts_s)
    crop = Crop(np.zeros((8, 4, 3), np.uint8), (1.0, 2.0, 5.0, 10.0), best_pts_s, at, 0.5, vector)
    return Tracklet(
        key=key,
        number=number,
        crops=(crop,),
        scene=Scene(FakeCodec().encode(np.zeros((48, 64, 3), np.uint8)), (64, 48)),
        embedding=vector,
        first_pts_s=0.5,
        last_pts_s=decided_pts_s,
        decided_pts_s=decided_pts_s,
        clock=Clock.FILE,
        engines={"detector": None, "embedder": "sha256:fake"},
        end=end,
    )
