"""Tracklets between processes: one CloudEvents 1.0 object each, in structured JSON, at most 900 kB.

What is too large shrinks in this order, and no further than it must:

1. the scenes: their sides to 70, 50, 35 and 25 %, then their quality to 50 and 30 (`scene.size` stays the source's);
2. the worst crops go, one by one, with their scenes; the best stays;
3. the best crop: its sides by 30 % again and again.

Where an outbox of them is full, those that wait longest lose the pictures that a hit can do without.
Vectors travel as float16 and are of unit length again when they arrive.
"""

import base64
import binascii
import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.bounds import (
    MAX_COUNT,
    MAX_LABEL,
    MAX_PIXELS,
    Box,
    Count,
    Label,
    Moment,
    Side,
    StreamSeconds,
    refuse_large_pictures,
)
from pipeline.config import STREAM_ID
from pipeline.deliver.events import encode, rfc3339
from pipeline.deliver.outbox import Outbox
from pipeline.deliver.unopened import unopened
from pipeline.errors import InputError
from pipeline.jpeg import jpeg_size
from pipeline.messages import Clock, Crop, EndReason, Scene, TrackKey, Tracklet
from pipeline.protocols import Codec, ProbingCodec

logger = logging.getLogger(__name__)

SCHEMA_URN = "urn:musewatch:tracklet:1"
MAX_BYTES = 900_000
MAX_LOST = 256

_SCENE_STEPS = ((0.7, 80), (0.5, 80), (0.35, 80), (0.25, 80), (0.25, 50), (0.25, 30))  # of the sides, quality
_CROP_STEP = 0.7
_LIGHT_SHARE, _LIGHT_QUALITY = 0.25, 30
_LIGHTENED_AT_ONCE = 8
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))

Base64 = Annotated[
    str, Field(min_length=4, max_length=MAX_BYTES, json_schema_extra={"contentEncoding": "base64"})
]
Jpeg = Annotated[Base64, Field(json_schema_extra={"contentMediaType": "image/jpeg"})]
Seconds = Annotated[StreamSeconds, Field(description="Of the stream's own time.")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class EmbeddingMessage(_Part):
    """The tracklet's vector and the engine that made it."""

    engine: Label = Field(description="Digest; vectors of different engines are never compared.")
    float16: Base64 = Field(description="Little-endian.")


class CropMessage(_Part):
    """One person cut out of one frame; `box` is xyxy in source pixels."""

    jpeg: Jpeg
    box: Box
    pts_s: Seconds
    captured_at: Moment
    quality: float = Field(ge=0, le=1)
    float16: Base64 = Field(description="Vector of this crop alone.")
    scene: Jpeg | None = Field(
        default=None,
        description="The frame of a crop behind the best, of the same `size`, often smaller; null = not kept.",
    )


class SceneMessage(_Part):
    """The frame of the best crop; the picture may be smaller than `size`."""

    jpeg: Jpeg
    size: tuple[Side, Side] = Field(description="Width, height of the source, in whose pixels the boxes are.")


class TrackletData(_Part):
    """What is asked against the watchlist."""

    stream_id: str = Field(pattern=STREAM_ID)
    epoch: Label
    track_id: Count
    number: Annotated[int, Field(ge=1, le=MAX_COUNT)] = Field(
        description="1 for the first question about a track, then growing."
    )
    end: EndReason | None = Field(description="Set on the last question about the track.")
    first_pts_s: Seconds
    last_pts_s: Seconds
    decided_pts_s: Seconds
    clock: Clock
    embedding: EmbeddingMessage
    crops: tuple[CropMessage, ...] = Field(
        min_length=1, max_length=32, description=f"Best first; of at most {MAX_PIXELS} pixels altogether."
    )
    scene: SceneMessage
    engines: dict[Label, Label | None] = Field(
        max_length=32, description="Digest by role, where there is one."
    )
    lost: tuple[Count, ...] = Field(
        default=(),
        max_length=MAX_LOST,
        description="Tracks of the stream that were out of sight before this one began, and are not over: "
        "their hits may go on with this one.",
    )


class TrackletEvent(_Part):
    """A tracklet in its CloudEvents 1.0 envelope."""

    specversion: Literal["1.0"]
    id: Label = Field(
        description="The same for the same site, stream, epoch, track and number; drop repeats."
    )
    source: str = Field(pattern="^/[^/]+/[^/]+$", max_length=2 * MAX_LABEL, description="/<site>/<stream id>")
    type: Literal["musewatch.tracklet"]
    time: Moment = Field(description="Wall clock of the machine at the cameras when it was asked.")
    datacontenttype: Literal["application/json"]
    dataschema: Literal["urn:musewatch:tracklet:1"]
    partitionkey: Label = Field(description="Stream id.")
    data: TrackletData


@dataclass(frozen=True, slots=True)
class Arrival:
    """A tracklet as it was received.

    Attributes:
        tracklet: The tracklet.
        engine: Digest of the engine that made its vectors.
        site: Where it comes from.
        asked_at: Wall clock of its sender, aware.
    """

    tracklet: Tracklet
    engine: str
    site: str
    asked_at: datetime


def to_message(
    tracklet: Tracklet, *, site: str, engine: str, asked_at: datetime, codec: Codec
) -> dict[str, Any]:
    """The event of a tracklet, within `MAX_BYTES`.

    Args:
        tracklet: What to send.
        site: Of this process.
        engine: Digest of the embedder's engine.
        asked_at: Wall clock, aware.
        codec: Encodes the crops.
    """
    key, crops = tracklet.key, _unpackable(tracklet.crops, codec)
    event = {
        "specversion": "1.0",
        "id": message_id(site, key, tracklet.number),
        "source": f"/{site}/{key.stream_id}",
        "type": "musewatch.tracklet",
        "time": rfc3339(asked_at),
        "datacontenttype": "application/json",
        "dataschema": SCHEMA_URN,
        "partitionkey": key.stream_id,
        "data": {
            **key._asdict(),
            "number": tracklet.number,
            "end": tracklet.end and str(tracklet.end),
            "first_pts_s": float(tracklet.first_pts_s),
            "last_pts_s": float(tracklet.last_pts_s),
            "decided_pts_s": float(tracklet.decided_pts_s),
            "clock": str(tracklet.clock),
            "embedding": {"engine": engine, "float16": _vector_text(tracklet.embedding)},
            "crops": [_crop_message(crops[0], codec), *(_other_crop(crop, codec) for crop in crops[1:])],
            "scene": {
                "jpeg": _text(_unpackable_scene(tracklet.scene, codec)),
                "size": list(tracklet.scene.size),
            },
            "engines": dict(tracklet.engines),
            "lost": list(tracklet.lost[:MAX_LOST]),
        },
    }
    return _within_bounds(event, tracklet, codec)


def from_message(body: bytes | None, codec: ProbingCodec) -> Arrival:
    """A tracklet from the bytes of its event; crops are unpacked when they are looked at.

    Raises:
        InputError: Not such an event, of another version, damaged, or out of bounds.
    """
    if len(body or b"") > MAX_BYTES:
        raise InputError(f"a tracklet of more than {MAX_BYTES} bytes")
    try:
        event = TrackletEvent.model_validate_json(body or b"")
    except ValidationError as error:
        raise InputError(f"not a tracklet of {SCHEMA_URN}: {_first_problem(error)}") from None
    data, site = event.data, event.source.split("/")[1]
    jpegs = [_bytes(crop.jpeg, "crop") for crop in data.crops]
    scene = Scene(_bytes(data.scene.jpeg, "scene"), data.scene.size)
    refuse_large_pictures(jpegs)
    scenes = [scene, *(_other_scene(crop, scene) for crop in data.crops[1:])]
    for each in scenes:
        if each is not None:
            refuse_large_pictures([each.jpeg])
    embedding, *others = _vectors([data.embedding.float16, *(crop.float16 for crop in data.crops)])
    tracklet = Tracklet(
        key=TrackKey(data.stream_id, data.epoch, data.track_id),
        number=data.number,
        crops=tuple(_crop(*part, codec) for part in zip(data.crops, jpegs, scenes, others, strict=True)),
        scene=scene,
        embedding=embedding,
        first_pts_s=data.first_pts_s,
        last_pts_s=data.last_pts_s,
        decided_pts_s=data.decided_pts_s,
        clock=data.clock,
        engines=dict(data.engines),
        end=data.end,
        lost=data.lost,
    )
    if any(crop.embedding.shape != embedding.shape for crop in tracklet.crops):
        raise InputError("the vectors of the tracklet and its crops differ in length")
    return Arrival(tracklet, data.embedding.engine, site, event.time)


def message_id(site: str, key: TrackKey, number: int) -> str:
    """The same for the same site, stream, epoch, track and number."""
    parts = "\0".join([site, key.stream_id, key.epoch, str(key.track_id)])
    return f"{hashlib.sha256(parts.encode()).hexdigest()[:32]}-{number}"


def tracklet_schema() -> dict[str, Any]:
    """JSON Schema of a tracklet's event; fields may be added to, so unknown ones are allowed."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URN,
        **TrackletEvent.model_json_schema(),
    }


class Slimming:
    """Room in a full outbox of tracklets, from the oldest on; for one thread.

    The scene shrinks to a quarter of its sides and all crops go but the best; vectors, boxes and times stay, so whoever
    is enrolled is found as before.

    Args:
        outbox: Holds events made by `to_message`.
        codec: Opens and writes their pictures.

    Attributes:
        lightened: Tracklets that lost pictures so far.
        problem: None; what cannot be written stays as it was.
    """

    problem: str | None = None

    def __init__(self, outbox: Outbox, codec: Codec) -> None:
        self.lightened = 0
        self._outbox, self._codec = outbox, codec
        self._done_to = 0

    def make_room(self) -> bool:
        """Lightens a few; False when there is nothing left to lighten.

        Raises:
            OutboxError: They are as they were.
        """
        while rows := self._outbox.after(self._done_to, _LIGHTENED_AT_ONCE):
            light = [row._replace(event=_lighter(row.event, self._codec)) for row in rows]
            changed = [new for new, old in zip(light, rows, strict=True) if new.event != old.event]
            self._outbox.replace(changed)
            self._done_to = rows[-1].seq
            if changed:
                if not self.lightened:
                    logger.warning("the outbox is full: tracklets that wait lose pictures, the oldest first")
                self.lightened += len(changed)
                return True
        return False


def _lighter(event: dict[str, Any], codec: Codec) -> dict[str, Any]:
    """The event of a tracklet with a small scene and its best crop alone; the same where it is so already."""
    data = event["data"]
    light = {**data, "crops": data["crops"][:1], "scene": _small(data["scene"], codec)}
    return {**event, "data": light}


def _unpackable(crops: Sequence[Crop], codec: Codec) -> list[Crop]:
    """The best crops that a receiver may unpack together; a best one that is too large alone is made smaller."""
    best, *others = crops
    pixels = _pixels(best.image)
    if pixels > MAX_PIXELS:
        share, size = (MAX_PIXELS / pixels) ** 0.5, (best.image.shape[1], best.image.shape[0])
        return [replace(best, image=codec.resize(best.image, _scaled(size, share)))]
    kept = [best]
    for crop in others:
        pixels += _pixels(crop.image)
        if pixels > MAX_PIXELS:
            break
        kept.append(crop)
    return kept


def _unpackable_scene(scene: Scene, codec: Codec) -> bytes:
    width, height = jpeg_size(scene.jpeg)
    if width * height <= MAX_PIXELS:
        return scene.jpeg
    smaller = codec.resize(
        codec.decode(scene.jpeg), _scaled((width, height), (MAX_PIXELS / (width * height)) ** 0.5)
    )
    return codec.encode(smaller)


def _pixels(image: NDArray[np.uint8]) -> int:
    height, width = image.shape[:2]
    return int(height * width)


def _within_bounds(event: dict[str, Any], tracklet: Tracklet, codec: Codec) -> dict[str, Any]:
    """Shrinks the event in place until it fits."""
    if _fits(event):
        return event
    data = event["data"]
    scenes = [tracklet.scene, *(crop.scene for crop in tracklet.crops[1 : len(data["crops"])])]
    places = [data["scene"], *data["crops"][1:]]
    for smaller in zip(*(_smaller_scenes(scene, codec) for scene in scenes), strict=True):
        for place, name, jpeg in zip(places, ("jpeg", *["scene"] * len(smaller)), smaller, strict=False):
            if jpeg is not None:
                place[name] = _text(jpeg)
        if _fits(event):
            return event
    while len(data["crops"]) > 1:
        data["crops"].pop()
        if _fits(event):
            return event
    image = tracklet.best.image
    while not _fits(event) and min(image.shape[:2]) > 1:
        image = codec.resize(image, _scaled((image.shape[1], image.shape[0]), _CROP_STEP))
        data["crops"][0]["jpeg"] = _text(codec.encode(image))
    return event


def _smaller_scenes(scene: Scene | None, codec: Codec) -> Iterator[bytes | None]:
    if scene is None:
        yield from [None] * len(_SCENE_STEPS)
        return
    image = codec.decode(scene.jpeg)
    size = image.shape[1], image.shape[0]
    for share, quality in _SCENE_STEPS:
        yield codec.encode(codec.resize(image, _scaled(size, share)), quality)


def _small(scene: dict[str, Any], codec: Codec) -> dict[str, Any]:
    width, height = _scaled(scene["size"], _LIGHT_SHARE)
    try:
        image = codec.decode(base64.b64decode(scene["jpeg"]))
    except InputError:  # whoever receives it says so
        return scene
    if image.shape[1] <= width:
        return scene
    jpeg = codec.encode(codec.resize(image, (width, height)), _LIGHT_QUALITY)
    return {**scene, "jpeg": base64.b64encode(jpeg).decode()}


def _scaled(size: tuple[int, int], share: float) -> tuple[int, int]:
    return max(1, int(size[0] * share)), max(1, int(size[1] * share))


def _fits(event: dict[str, Any]) -> bool:
    return len(encode(event)) <= MAX_BYTES


def _crop_message(crop: Crop, codec: Codec) -> dict[str, Any]:
    return {
        "jpeg": _text(codec.encode(crop.image)),
        "box": [float(edge) for edge in crop.box],
        "pts_s": float(crop.pts_s),
        "captured_at": crop.captured_at.isoformat(),
        "quality": float(crop.quality),
        "float16": _vector_text(crop.embedding),
    }


def _other_crop(crop: Crop, codec: Codec) -> dict[str, Any]:
    """The message of a crop behind the best, with its frame where that is kept."""
    message = _crop_message(crop, codec)
    return (
        message if crop.scene is None else {**message, "scene": _text(_unpackable_scene(crop.scene, codec))}
    )


def _other_scene(message: CropMessage, best: Scene) -> Scene | None:
    return None if message.scene is None else Scene(_bytes(message.scene, "scene"), best.size)


def _crop(
    message: CropMessage,
    jpeg: bytes,
    scene: Scene | None,
    embedding: NDArray[np.float32],
    codec: ProbingCodec,
) -> Crop:
    return unopened(
        jpeg,
        codec,
        box=message.box,
        pts_s=message.pts_s,
        captured_at=message.captured_at,
        quality=message.quality,
        embedding=embedding,
        scene=scene,
    )


def _vector_text(vector: NDArray[np.float32]) -> str:
    return _text(vector.astype("<f2").tobytes())


def _vectors(texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """The tracklet's and those of its crops."""
    with np.errstate(all="ignore"):
        return [_vector(text, "crop" if i else "embedding") for i, text in enumerate(texts)]


def _vector(text: str, where: str) -> NDArray[np.float32]:
    """(D,) of unit length."""
    data = _bytes(text, where)
    if len(data) % 2:
        raise InputError(f"the vector of the {where} is cut short")
    vector: NDArray[np.float32] = np.frombuffer(data, "<f2").astype(np.float32)
    length = math.sqrt(np.dot(vector, vector))
    if not 0.9 < length < 1.1:  # NaN fails too
        raise InputError(f"the vector of the {where} is not of unit length")
    return vector / np.float32(length)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str, where: str) -> bytes:
    if len(text) % 4 == 0 and "-" not in text and "_" not in text:  # else pydantic takes more than base64 has
        with suppress(ValidationError):
            return _BASE64.validate_python(text)
    try:
        return binascii.a2b_base64(text.encode(), strict_mode=True)
    except ValueError as error:
        raise InputError(f"the {where} is not base64: {error}") from None


def _first_problem(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, found["loc"]))
    return json.dumps(f"{place}: {found['msg']}" if place else found["msg"], ensure_ascii=True)[1:-1][:300]
