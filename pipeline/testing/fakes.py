"""Fakes of the protocols inside one process, and the messages that go between them."""

import struct
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, RefusedError
from pipeline.follow.geometry import Box
from pipeline.messages import (
    Candidate,
    Clock,
    Crop,
    Detections,
    EndReason,
    Frame,
    Mask,
    Scene,
    TrackKey,
    Tracklet,
    Verdict,
)  # fmt: skip
from pipeline.protocols import Enrolled

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


class FakeTracker:
    """People keep the order of their detections: the n-th is always track n.

    Args:
        needs_embeddings: As in the protocol.
    """

    def __init__(self, needs_embeddings: bool = False) -> None:
        self.needs_embeddings = needs_embeddings

    def update(
        self, frame: Frame, detections: Detections, embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.int64]:
        """0 to N - 1."""
        return np.arange(len(detections), dtype=np.int64)

    def reset(self) -> None:
        """There is nothing to forget."""


class FakeIndex:
    """Sorts all distances, the plain way."""

    def __init__(self) -> None:
        self._rows = np.zeros((0, 0), np.float32)

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Keeps a copy."""
        self._rows = vectors.astype(np.float32)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Distances (Q, k) and rows (Q, k), nearest first."""
        if not len(self._rows):
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        distances = np.linalg.norm(queries[:, None] - self._rows[None], axis=2)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(distances, order, axis=1), order


class FakeVerifier:
    """Knows who somebody is not.

    Args:
        strangers: Identities that it denies with certainty; of all others it repeats the distance.
    """

    needs_pictures = False

    def __init__(self, *strangers: str) -> None:
        self._strangers = strangers

    def verify(
        self, questions: Sequence[tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]]
    ) -> list[list[Verdict]]:
        """Nearest first; who is denied is two away."""
        return [self._judged([candidate for candidate, _ in pairs]) for _, pairs in questions]

    def _judged(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        fused = {one: 2.0 if one.identity_id in self._strangers else one.distance for one in candidates}
        ordered = sorted(candidates, key=lambda one: (fused[one], one.rank))
        return [
            Verdict(one, fused[one], p_no=float(one.identity_id in self._strangers), rank=rank)
            for rank, one in enumerate(ordered, start=1)
        ]


class FakeMasker:
    """Marks the left half of every scene, whoever is in it; for tests of what is done with masks."""

    def mask(self, tracklets: Sequence[Tracklet]) -> list[Mask | None]:
        """One mask each."""
        masks: list[Mask | None] = []
        for one in tracklets:
            width, height = one.scene.size
            left = width // 2 * height
            masks.append(Mask((0, left, width * height - left), (height, width)))
        return masks


class ListSink:
    """Keeps what it was given, and gives it back.

    Args:
        refuses: Ids of events that it takes for no price.

    Attributes:
        events: What was published, in order.
        dead: What was set aside, with the reasons.
        failures: Errors for the next calls of `publish`, one each.
    """

    def __init__(self, *refuses: str) -> None:
        self._refuses = refuses
        self.events: list[Mapping[str, Any]] = []
        self.dead: list[tuple[Mapping[str, Any], str]] = []
        self.failures: list[Exception] = []

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Takes them all or none.

        Raises:
            RefusedError: One of them is refused.
            Exception: The next of `failures`.
        """
        if self.failures:
            raise self.failures.pop(0)
        if refused := [event["id"] for event in events if event["id"] in self._refuses]:
            raise RefusedError(f"refused: {', '.join(refused)}")
        self.events += events

    def set_aside(self, event: Mapping[str, Any], reason: str) -> None:
        """Keeps it among the dead."""
        self.dead.append((event, reason))

    def read(self, from_start: bool) -> Iterator[dict[str, Any] | None]:
        """The events, then those that come; None when there is none."""
        position = 0 if from_start else len(self.events)
        while True:
            if position < len(self.events):
                yield dict(self.events[position])
                position += 1
            else:
                yield None


class ListPipe:
    """A bus inside one process that never blocks."""

    in_process = True

    def __init__(self) -> None:
        self._waiting: list[Tracklet] = []
        self._changed = threading.Condition()

    def publish(self, tracklets: Sequence[Tracklet]) -> None:
        """Takes them all."""
        with self._changed:
            self._waiting += tracklets
            self._changed.notify_all()

    def receive(self, limit: int, timeout_s: float) -> list[Tracklet]:
        """The oldest, after waiting for the first."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting, timeout_s)
            received, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return received


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

    def probe(self, data: bytes) -> None:
        """As `decode`, which costs nothing.

        Raises:
            InputError: `encode` did not write it.
        """
        self.decode(data)

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
