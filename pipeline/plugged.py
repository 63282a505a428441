"""The one door for plugins: facts are read once, calls go through `Calls`, every answer is checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.bounds import MAX_EDGE_PX
from pipeline.calls import Calls, Guests
from pipeline.errors import ConfigError
from pipeline.facts import (
    CodecFacts,
    EmbedderFacts,
    EngineFacts,
    Facts,
    MaskerFacts,
    TrackerFacts,
    VerifierFacts,
    closing_of,
    facts,
)
from pipeline.messages import Candidate, Detections, Frame, Mask, Tracklet, Verdict
from pipeline.protocols import Enrolled

UNIT_TOLERANCE = 1e-2
RANGE_TOLERANCE = 1e-3

Question = tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]
MaskQuestion = tuple[Tracklet, Enrolled | None]


@dataclass(frozen=True, slots=True)
class Plugged:
    """A plugin behind the door.

    Attributes:
        plugin: The plugin.
        calls: Asks it.
        facts: What it says of itself.
    """

    role: ClassVar[str]
    kind: ClassVar[type[Facts]] = Facts
    plugin: Any
    calls: Calls
    facts: Facts

    @classmethod
    def of(cls, plugin: object, guests: Guests | None = None, use: str | None = None) -> Self:
        """Lets a plugin in.

        Args:
            plugin: The plugin.
            guests: Those of the process.
            use: Its name in the config; None = its class.

        Raises:
            ConfigError: What it says of itself cannot be.
        """
        name = use or type(plugin).__name__
        known = facts(cls.kind, plugin, f"{cls.role} {name!r}")
        return cls(plugin, (guests or Guests()).calls(cls.role, name), known)

    def close(self) -> None:
        """Closes the plugin, where it can be; never raises."""
        self.calls.close(closing_of(self.plugin))


@dataclass(frozen=True, slots=True)
class PluggedDetector(Plugged):
    """Finds people, as `pipeline.protocols.Detector`."""

    role = "detector"
    kind = EngineFacts
    facts: EngineFacts

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One result a frame, in order.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """
        frames = list(frames)

        def check(found: Any) -> list[Detections]:
            _need(isinstance(found, Sequence) and len(found) == len(frames), f"{len(frames)} results", found)
            _need(all(isinstance(each, Detections) for each in found), "Detections", found)
            edges = max((float(np.abs(each.xyxy).max(initial=0.0)) for each in found), default=0.0)
            _need(edges <= MAX_EDGE_PX, f"boxes within {MAX_EDGE_PX:g} px", found)
            sure = all(_within(float(score), 1) for each in found for score in each.score)
            _need(sure, "scores in [0, 1]", found)
            return [
                Detections(
                    each.xyxy.astype(np.float32, copy=False), each.score.astype(np.float32, copy=False)
                )
                for each in found
            ]

        return self.calls.ask(check, self.plugin.detect, frames, pictures=len(frames))


@dataclass(frozen=True, slots=True)
class PluggedTracker(Plugged):
    """Follows the people of one stream, as `pipeline.protocols.Tracker`."""

    role = "tracker"
    kind = TrackerFacts
    facts: TrackerFacts

    def wanted(self, frame: Frame, detections: Detections) -> NDArray[np.int64]:
        """Rows of the detections whose vectors it wants, ascending; of one that `asks`.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """

        def check(rows: Any) -> NDArray[np.int64]:
            found = _integers(rows, "row numbers")
            inside = found.ndim == 1 and ((found >= 0) & (found < len(detections))).all()
            _need(bool(inside), f"rows of {len(detections)} detections", rows)
            return np.unique(found)

        return self.calls.ask(check, self.plugin.wanted, frame, detections)

    def update(
        self, frame: Frame, detections: Detections, embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.int64]:
        """Track id of each detection, (N,); -1 = none yet.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """

        def check(ids: Any) -> NDArray[np.int64]:
            found = _integers(ids, "track ids")
            _need(found.shape == (len(detections),), f"({len(detections)},) track ids", ids)
            return found

        return self.calls.ask(check, self.plugin.update, frame, detections, embeddings)

    def reset(self) -> None:
        """Forgets everything."""
        self.calls.ask(_ignore, self.plugin.reset)


@dataclass(frozen=True, slots=True)
class PluggedEmbedder(Plugged):
    """Turns crops, and texts where it reads, into unit vectors."""

    role = "embedder"
    kind = EmbedderFacts
    facts: EmbedderFacts

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.facts.dimension

    @property
    def digest(self) -> str:
        """Names the engine; vectors of different digests are never compared.

        A plugin without `engine_digest` is known by its class and dimension.
        """
        kind = type(self.plugin)
        return self.facts.engine_digest or f"class:{kind.__module__}.{kind.__qualname__}/{self.dimension}"

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops; none are not asked about.

        Raises:
            ConfigError: The plugin gave something else, a vector that is not finite or not of unit length.
            HangingError: It does not answer.
        """
        return self._rows(self.plugin.embed, list(crops)) if len(crops) else self._none()

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows for N texts.

        Raises:
            ConfigError: The plugin reads no texts, or gave something else than unit vectors.
            HangingError: It does not answer.
            InputError: A text is longer than it reads.
        """
        if not self.facts.reads_text:
            raise ConfigError(
                "the embedder of this config reads no texts",
                "configure one that does, such as embedder: {use: transformers, weights: ...} of a CLIP or a SigLIP2",
            )
        return self._rows(self.plugin.embed_text, list(texts)) if len(texts) else self._none()

    def _none(self) -> NDArray[np.float32]:
        return np.zeros((0, self.dimension), np.float32)

    def _rows(self, call: Callable[[Any], Any], items: list[Any]) -> NDArray[np.float32]:
        shape = (len(items), self.dimension)

        def check(answer: Any) -> NDArray[np.float32]:
            rows = _array(answer)
            if rows.shape != shape or rows.dtype.kind != "f":
                raise ConfigError(
                    f"embedder {self.digest} gave {rows.dtype} {rows.shape}, not float32 {shape}: "
                    "its manifest or its plugin is wrong"
                )
            lengths = np.linalg.norm(rows, axis=1)
            if not (np.abs(lengths - 1) <= UNIT_TOLERANCE).all():  # also where it is no number
                raise ConfigError(
                    f"embedder {self.digest} gave a vector that is not of unit length",
                    "check its preprocessing and its outputs: musewatch engines check",
                )
            return rows.astype(np.float32, copy=False)

        return self.calls.ask(check, call, items, pictures=len(items))


@dataclass(frozen=True, slots=True)
class PluggedIndex(Plugged):
    """Finds the nearest of some rows, as `pipeline.protocols.Index`."""

    role = "index"

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Replaces all rows.

        Raises:
            HangingError: It does not answer.
        """
        self.calls.ask(_ignore, self.plugin.build, vectors)

    def search(
        self, queries: NDArray[np.float32], k: int, *, of: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Distances (Q, k), ascending, and row numbers (Q, k) among the `of` rows it was built of.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """

        def check(answer: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            _need(isinstance(answer, Sequence) and len(answer) == 2, "distances and rows", answer)
            distances, rows = _array(answer[0]), _integers(answer[1], "row numbers")
            shape = len(queries), min(k, of)
            _need(distances.shape == rows.shape == shape, f"distances and rows {shape}", answer[0])
            _need(bool(((rows >= 0) & (rows < of)).all()), f"rows among {of}", answer[1])
            ascending = (np.diff(distances, axis=1) >= 0).all() and np.isfinite(distances).all()
            _need(bool(ascending), "ascending distances", answer[0])
            return distances, rows

        return self.calls.ask(check, self.plugin.search, queries, k)


@dataclass(frozen=True, slots=True)
class PluggedVerifier(Plugged):
    """Judges shortlisted candidates, as `pipeline.protocols.Verifier`."""

    role = "verifier"
    kind = VerifierFacts
    facts: VerifierFacts

    def verify(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        """For each tracklet one verdict on each candidate, in any order.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """
        questions = list(questions)

        def check(answer: Any) -> list[list[Verdict]]:
            _need(
                isinstance(answer, Sequence) and len(answer) == len(questions),
                f"{len(questions)} lists",
                answer,
            )
            return [_verdicts(each, pairs) for each, (_, pairs) in zip(answer, questions, strict=True)]

        return self.calls.ask(check, self.plugin.verify, questions)

    def forget(self) -> None:
        """Has one that `remembers` keep nothing of any picture.

        Raises:
            HangingError: It does not answer.
        """
        if self.facts.remembers:
            self.calls.ask(_ignore, self.plugin.forget)


@dataclass(frozen=True, slots=True)
class PluggedMasker(Plugged):
    """Cuts people out of their scenes."""

    role = "masker"
    kind = MaskerFacts
    facts: MaskerFacts

    def mask(self, questions: Sequence[MaskQuestion]) -> list[Mask | None]:
        """One mask over the scene of each tracklet, or None; a plugin that is `guided` is told whom to cut out.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """
        questions = list(questions)
        tracklets = [tracklet for tracklet, _ in questions]

        def check(answer: Any) -> list[Mask | None]:
            _need(
                isinstance(answer, Sequence) and len(answer) == len(questions),
                f"{len(questions)} masks",
                answer,
            )
            return [_fitting(mask, tracklet) for mask, tracklet in zip(answer, tracklets, strict=True)]

        if self.facts.guided:
            return self.calls.ask(check, self.plugin.mask_person, questions)
        return self.calls.ask(check, self.plugin.mask, tracklets)


@dataclass(frozen=True, slots=True)
class PluggedCodec(Plugged):
    """Pictures to bytes and back, as `pipeline.protocols.Codec`."""

    role = "codec"
    kind = CodecFacts
    facts: CodecFacts

    def probe(self, data: bytes) -> None:
        """Nothing, where `decode` takes this.

        Raises:
            InputError: Not a picture, damaged, or too large to be opened safely.
            HangingError: It does not answer.
        """
        self.calls.ask(_ignore, self.facts.probe or self.plugin.decode, data)

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """(H, W, 3) BGR, turned as its EXIF says.

        Raises:
            InputError: Not a picture, damaged, or too large to be opened safely.
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """
        return self.calls.ask(_picture, self.plugin.decode, data)

    def encode(self, image: NDArray[np.uint8], quality: int = 90) -> bytes:
        """JPEG.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """

        def check(data: Any) -> bytes:
            _need(isinstance(data, bytes) and len(data) > 0, "bytes", data)
            encoded: bytes = data
            return encoded

        return self.calls.ask(check, self.plugin.encode, image, quality)

    def resize(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """To width, height.

        Raises:
            ConfigError: The plugin gave something else.
            HangingError: It does not answer.
        """

        def check(answer: Any) -> NDArray[np.uint8]:
            resized = _picture(answer)
            _need(resized.shape[:2] == size[::-1], f"a picture of {size[0]}x{size[1]}", answer)
            return resized

        return self.calls.ask(check, self.plugin.resize, image, size)


def _need(right: bool, wanted: str, answer: object) -> None:
    """Refuses an answer that is not right."""
    if not right:
        shape = f" {answer.shape}" if isinstance(answer, np.ndarray) else ""
        count = f" of {len(answer)}" if isinstance(answer, list | tuple) else ""
        raise ConfigError(f"it gave {type(answer).__name__}{shape}{count}, not {wanted}: the plugin is wrong")


def _ignore(answer: object) -> None:
    del answer


def _array(answer: Any) -> NDArray[Any]:
    _need(isinstance(answer, np.ndarray), "an array", answer)
    array: NDArray[Any] = answer
    return array


def _integers(answer: Any, wanted: str) -> NDArray[np.int64]:
    array = _array(answer)
    _need(array.dtype.kind in "iu" or array.size == 0, wanted, answer)
    return array.astype(np.int64, copy=False)


def _picture(answer: Any) -> NDArray[np.uint8]:
    array = _array(answer)
    _need(
        array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8,
        "a picture (H, W, 3) uint8",
        answer,
    )
    return array


def _verdicts(answer: Any, pairs: Sequence[tuple[Candidate, Enrolled]]) -> list[Verdict]:
    """The verdicts on one tracklet; every candidate has one."""
    _need(
        isinstance(answer, Sequence) and all(isinstance(each, Verdict) for each in answer), "verdicts", answer
    )
    judged = sorted(each.candidate.identity_id for each in answer)
    _need(
        judged == sorted(candidate.identity_id for candidate, _ in pairs), "one verdict a candidate", answer
    )
    for each in answer:
        _need(_within(each.fused, 2), "fused distances in [0, 2]", each.fused)
        for p in (each.p_no, each.p_no_swapped):
            _need(p is None or _within(p, 1), "probabilities in [0, 1]", p)
        named = isinstance(each.degraded, list | tuple) and all(
            isinstance(name, str) for name in each.degraded
        )
        _need(named, "names of what was left out", each.degraded)
    return list(answer)


def _within(value: float, most: float) -> bool:
    return -RANGE_TOLERANCE <= value <= most + RANGE_TOLERANCE


def _fitting(mask: Any, tracklet: Tracklet) -> Mask | None:
    """The mask, which covers the scene of its tracklet."""
    if mask is None:
        return None
    _need(isinstance(mask, Mask), "a mask", mask)
    width, height = tracklet.scene.size
    _need(tuple(mask.size) == (height, width), f"a mask of {height}x{width}", mask.size)
    runs = tuple(int(run) for run in mask.counts)  # a library's own integers are no JSON
    _need(
        all(run >= 0 for run in runs) and sum(runs) == height * width,
        f"runs over {height * width} pixels",
        runs,
    )
    return Mask(runs, (height, width))
