"""The interfaces that plugins implement; found by entry point, checked by shape, never inherited.

Every plugin class nests a pydantic model `Config` (unknown keys refused) and takes it as its one argument.
`close()` is optional everywhere. An attribute `engine_digest: str` ("sha256:...") names the engine behind a
detector, an embedder or a verifier; without it the events carry null.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Candidate, Detections, Frame, Mask, Tracklet, Verdict


@runtime_checkable
class Source(Protocol):
    """Reads one stream.

    `live` says that frames come whether or not anybody is ready: late ones are dropped, and the end of `frames`
    means a lost stream, to be opened again. Otherwise every frame is kept and the end is the end. An optional
    attribute `finite: bool` True says that the end is the end although the stream is live: a recording at real
    speed. Another, `opening_s: float`, says how long the first frame may rightly take, 0 without it: a live source
    that is silent for longer than `runner.silent_s` beyond that is closed and opened again. `note: str | None`, when
    there is one, says what was odd about the latest opening: `check` shows it. An optional `raw_frames()` yields the
    same frames as `RawFrame`s: the runner takes these, and converts the pictures that are looked at. A new `epoch` on a
    frame starts everything afresh: its times and index count from 0 again.
    """

    live: bool

    def frames(self) -> Iterator[Frame]:
        """Yields frames in order; blocks in a thread of the runner. May be called again after it ended.

        Raises:
            StreamError: The stream is lost or cannot be opened.
        """
        ...


@runtime_checkable
class Detector(Protocol):
    """Finds people."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One result a frame, in order; frames may differ in size and stream."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Follows the people of one stream; one instance a stream.

    `needs_embeddings` True: all detections are embedded before the tracker is called, and those vectors are
    used again. An `AskingTracker` says for each frame whom it wants to look at. An optional method
    `use_operating_point(max_distance)` is told, once, at which distance the embedder tells people apart.
    """

    needs_embeddings: bool

    def update(
        self, frame: Frame, detections: Detections, embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.int64]:
        """Track id of each detection, (N,); -1 = none yet."""
        ...

    def reset(self) -> None:
        """Forgets everything; ids may start again."""
        ...


@runtime_checkable
class AskingTracker(Tracker, Protocol):
    """A tracker that looks at some people only; `asks` is True."""

    asks: bool

    def wanted(self, frame: Frame, detections: Detections) -> NDArray[np.int64]:
        """Rows of the detections whose vectors it wants, none or more; asked before every `update`.

        `update` then gets (N, D) embeddings with those rows, and NaN in the others.
        """
        ...


@runtime_checkable
class Embedder(Protocol):
    """Turns crops of people into unit vectors.

    Optional attributes: `engine_digest`, `max_distance` (the engine's operating point), `min_height_px`.
    """

    @property
    def dimension(self) -> int:
        """Length of a vector; an attribute will do."""
        ...

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops of any size."""
        ...


@runtime_checkable
class TextEmbedder(Embedder, Protocol):
    """An embedder that may also read: `reads_text` says whether its network has a text tower."""

    reads_text: bool

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows for N descriptions; InputError where one is longer than the network reads."""
        ...


@runtime_checkable
class Index(Protocol):
    """Nearest rows among enrolled vectors; exact unless the plugin says otherwise."""

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Replaces all rows; (N, D) unit vectors."""
        ...

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Euclidean distances (Q, k) ascending and row numbers (Q, k); k is cut to the number of rows."""
        ...


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a verifier may look at for a candidate: the enrolled picture or text, and its vector.

    `picture` is None of a text, `text` is None of a picture; both are where the verifier needs no pictures.
    """

    identity_id: str
    enrolment_id: int
    picture: bytes | None
    embedding: NDArray[np.float32]
    text: str | None = None


@runtime_checkable
class Verifier(Protocol):
    """Judges shortlisted candidates.

    Optional attributes: `needs_pictures: bool` False says that it looks at vectors alone: then no enrolled picture is
    fetched. `fuses: bool` True says that its `fused` is not the plain distance; then `operating_point` is where its
    cut lies, an object with `max_distance` and, each optional, `embedder` (its digest), `alpha` and `tau` that it was
    chosen with; `alpha` and `tau` of the verifier are those it works with;
    one that says its alpha gives `(1 - alpha) * distance + alpha * 2 * p_no`. `remembers: bool` True says that it keeps
    something of enrolled pictures from call to call; then it has `forget() -> None`, which is called when somebody has
    left the watchlist, and after which nothing of any picture is kept.
    """

    def verify(
        self, questions: Sequence[tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]]
    ) -> list[list[Verdict]]:
        """For each tracklet one verdict on every candidate, nearest first."""
        ...


@runtime_checkable
class Masker(Protocol):
    """Cuts the person out of the scene."""

    def mask(self, tracklets: Sequence[Tracklet]) -> list[Mask | None]:
        """One mask over the scene of each tracklet, or None where it has none to give."""
        ...


@runtime_checkable
class GuidedMasker(Protocol):
    """A masker that is told whom it cuts out; `guided` is True, and `mask_person` is called instead of `mask`."""

    guided: bool

    def mask_person(self, questions: Sequence[tuple[Tracklet, Enrolled | None]]) -> list[Mask | None]:
        """One mask over the scene of each tracklet, or None; with who was found there, where that is known."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Pictures to bytes and back."""

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """(H, W, 3) BGR, turned as its EXIF says.

        Raises:
            InputError: Not a picture, damaged, or too large to be opened safely.
        """
        ...

    def encode(self, image: NDArray[np.uint8], quality: int = 90) -> bytes:
        """JPEG."""
        ...

    def resize(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """To width, height."""
        ...


@runtime_checkable
class ProbingCodec(Codec, Protocol):
    """A codec that tells what it would refuse for less than unpacking costs; optional, others unpack."""

    def probe(self, data: bytes) -> None:
        """Nothing, where `decode` takes this.

        Raises:
            InputError: As `decode` would.
        """
        ...


@runtime_checkable
class Sink(Protocol):
    """Delivers events.

    Where the config says `as: NAME`, it is handed documents of that projection in their place: dictionaries that are
    what it shall deliver, so a sink that writes JSON needs to know nothing of them. `bytes_of`, `content_type_of` and
    `event_of` in `pipeline.deliver.forms` give, of both kinds, what to deliver, its media type, and the event with
    its `id` and `partitionkey`. An optional `start()` is called once when a run begins, for a sink that announces
    itself; it must not wait for the other side.
    """

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Returns when the events are safe on the other side, in the order given.

        Given none, it only reaches for the other side: `musewatch check` asks so.

        Raises:
            BackpressureError: Not now; the outbox tries again after `retry_after_s`.
            RefusedError: Not these, whenever they come: one that is refused alone, again and again, is set aside.
                Any other exception is retried for ever.
        """
        ...


@runtime_checkable
class Projection(Protocol):
    """Says events in somebody else's form; pure: the same event, the same document, whatever came before.

    An optional `encode(document) -> bytes` makes what is delivered of a document; without it, compact JSON.
    """

    content_type: str
    """Media type of what is delivered."""

    def project(self, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The event in that form, or None where the form has no words for it: then nothing is delivered.

        Whatever it raises sets that one event aside.
        """
        ...


@runtime_checkable
class DeadLetters(Protocol):
    """A sink with a place for what it has refused; optional, the event stays in the outbox besides."""

    def set_aside(self, event: Mapping[str, Any], reason: str) -> None:
        """Puts a refused event where people look for such; returns when it is there.

        Raises:
            OutsideError: It is not; nobody tries again.
        """
        ...


@runtime_checkable
class Readable(Protocol):
    """A sink that can also give back what was delivered; optional, `hits tail` reads through it."""

    def read(self, from_start: bool) -> Iterator[dict[str, Any] | None]:
        """The events there (or only new ones), then those that come; None when there is none for a moment.

        Raises:
            OutsideError: It cannot be reached.
            InputError: What is there is no event.
        """
        ...


@runtime_checkable
class Bus(Protocol):
    """Carries tracklets from where they are made to where they are identified, in one process.

    `in_process` True tells it from a `pipeline.remote_bus.RemoteBus`.
    """

    in_process: bool

    def publish(self, tracklets: Sequence[Tracklet]) -> None:
        """Hands tracklets on; blocks while the other side is full."""
        ...

    def receive(self, limit: int, timeout_s: float) -> list[Tracklet]:
        """Up to `limit` tracklets in order; waits for the first at most `timeout_s`, may be empty."""
        ...
