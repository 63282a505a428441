"""Identities as rows of a table that all processes share: key = identity id, None = removed.

A row is JSON of at most 900 kB with pictures and texts in it; while it is larger, or its pictures have too many
pixels, the largest picture is made smaller. Vectors travel with them, so that members compare with the very same
ones and embed nothing again.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.bounds import MAX_PIXELS, Count, Label, refuse_large_pictures
from pipeline.errors import InputError
from pipeline.picture_size import declared_size
from pipeline.protocols import Codec
from pipeline.remote_bus import BusMessage, Table
from pipeline.watchlist import contents
from pipeline.watchlist.contents import Contents, WatchlistId
from pipeline.watchlist.records import (
    MAX_TEXT,
    Enrolment,
    IdentityDocument,
    Instant,
    NewEnrolment,
    NewPicture,
    NewText,
    document_of,
)
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.validity import in_utc

SCHEMA_URN = "urn:musewatch:identity:1"
MAX_BYTES = 900_000
_STEP = 0.7  # of a picture's sides
_AT_ONCE = 20  # rows written together

Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Enrolment(_Part):
    added_at: Instant
    vectors: dict[Label, Base64] = Field(description="Little-endian float16 by engine digest.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="Digest of the file or text that was enrolled."
    )


class SharedPicture(_Enrolment):
    """One enrolment by a picture."""

    file: Base64 = Field(description="File bytes of the picture, or of a smaller one.")


class SharedText(_Enrolment):
    """One enrolment by a text."""

    text: str = Field(min_length=1, max_length=MAX_TEXT)


class SharedIdentity(IdentityDocument):
    """One identity and its enrolments, oldest first of each kind."""

    model_config = ConfigDict(title="musewatch identity")

    form: Annotated[Literal["musewatch.identity/1"], Field(alias="schema")]
    watchlist: WatchlistId | None = Field(default=None, description="The watchlist's own id.")
    version: Count = Field(description="Of the watchlist when this was published.")
    pictures: tuple[SharedPicture, ...]
    texts: tuple[SharedText, ...] = ()


def read_row(message: BusMessage) -> Contents | tuple[SharedIdentity, list[NewEnrolment]] | None:
    """What a message of the table says: the contents row, an identity's, or None where it takes one back.

    Raises:
        InputError: It is neither.
    """
    if message.value is None:
        return None
    if message.key == contents.KEY.encode():
        return contents.from_row(message.value)
    return from_row(message.key, message.value)


def to_row(store: WatchlistStore, identity_id: str, codec: Codec) -> bytes | None:
    """The row of one identity, within `MAX_BYTES`; None when it is not enrolled."""
    roll = store.read([identity_id])
    if not roll.entries:
        return None
    (entry,) = roll.entries
    identity, enrolments = entry.identity, entry.enrolments
    files = store.pictures(each.id for each in enrolments)
    vectors = store.vectors(enrolment_ids=[each.id for each in enrolments])
    row = {
        "schema": "musewatch.identity/1",
        "watchlist": roll.origin.own_id,
        "version": roll.version,
        **document_of(identity),
        "pictures": [
            {"file": _text(files[each.id]), **_facts(each, vectors[each.id])}
            for each in enrolments
            if each.id in files
        ],
        "texts": [
            {"text": each.text, **_facts(each, vectors[each.id])}
            for each in enrolments
            if each.text is not None
        ],
    }
    return _within_bounds(row, codec)


def _facts(enrolment: Enrolment, vectors: dict[str, bytes]) -> dict[str, Any]:
    return {
        "sha256": enrolment.sha256,
        "added_at": in_utc(enrolment.added_at),
        "vectors": {engine: _text(blob) for engine, blob in vectors.items()},
    }


def from_row(key: bytes | None, value: bytes) -> tuple[SharedIdentity, list[NewEnrolment]]:
    """An identity and its enrolments, pictures first; each brings one of its vectors, others are made when needed.

    Raises:
        InputError: Not such a row, of another version, damaged, too large, or under another key.
    """
    if len(value) > MAX_BYTES:
        raise InputError(f"the row has {len(value)} bytes, more than {MAX_BYTES}")
    try:
        shared = SharedIdentity.model_validate_json(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, found["loc"]))
        raise InputError(f"not an identity of {SCHEMA_URN}: {place}: {found['msg']}"[:300]) from None
    if key != shared.id.encode():
        raise InputError(f"the row of {shared.id!r} lies under another key")
    pictures = [NewPicture(_bytes(each.file), each.added_at, *_vector(each)) for each in shared.pictures]
    refuse_large_pictures((each.picture for each in pictures), declared_size)
    texts = [NewText(each.text, each.added_at, *_vector(each)) for each in shared.texts]
    return shared, [*pictures, *texts]


def read_table(table: Table) -> tuple[set[str], Contents | None]:
    """Ids that have a row, and the contents row; what cannot be read is left out.

    Raises:
        OutsideError: The table cannot be reached.
    """
    last = {message.key: message for message in table.rows()}
    ids, listing = set[str](), None
    for message in last.values():
        with suppress(InputError):
            match read_row(message):
                case Contents() as found:
                    listing = found
                case (SharedIdentity(id=identity_id), _):
                    ids.add(identity_id)
    return ids, listing


def publish(store: WatchlistStore, table: Table, codec: Codec, identity_ids: Iterable[str]) -> int:
    """Writes the rows of these identities, None for those not enrolled, and the contents row; returns how many.

    A copy of another watchlist leaves that one's contents row as it is.

    Raises:
        OutsideError: The table cannot be written; the store is as it was.
    """
    count = _write_rows(store, table, codec, identity_ids)
    if store.own().is_author:
        _write_contents(store, table)
    return count


def publish_all(store: WatchlistStore, table: Table, codec: Codec) -> int:
    """Makes the table what the store is, whoever wrote it before; returns how many rows of identities were written.

    Raises:
        OutsideError: The table cannot be read or written.
    """
    there: set[str] = set()
    others: set[str] = set()
    for message in table.rows():
        there.add((message.key or b"").decode("utf-8", "replace"))
        with suppress(InputError):
            match read_row(message):
                case Contents() as listing:
                    there.update(listing.identities)
                    others.add(listing.watchlist)
                case (SharedIdentity(watchlist=str(other)), _):
                    others.add(other)
    there.update(identity.id for identity in store.identities())
    count = _write_rows(store, table, codec, sorted(there - {contents.KEY, ""}))
    _write_contents(store, table, replaces=others - {store.own().own_id or ""})
    return count


def _write_rows(store: WatchlistStore, table: Table, codec: Codec, identity_ids: Iterable[str]) -> int:
    store.own()
    ids = list(identity_ids)
    for start in range(0, len(ids), _AT_ONCE):
        table.write([(id_, to_row(store, id_, codec)) for id_ in ids[start : start + _AT_ONCE]])
    return len(ids)


def _write_contents(store: WatchlistStore, table: Table, replaces: Iterable[str] = ()) -> None:
    """Writes the contents row, and again where others have changed the store meanwhile: the last one must stand."""
    written: Contents | None = None
    while written is None or written.version != store.version:
        own_id = store.own().own_id
        assert own_id is not None
        roll = store.read()
        ids = tuple(identity.id for identity in roll.identities)
        written = Contents(
            watchlist=own_id, version=roll.version, identities=ids, replaces=tuple(sorted(replaces))
        )
        table.write([(contents.KEY, written.to_row())])
        store.published(written)


def _within_bounds(row: dict[str, Any], codec: Codec) -> bytes:
    """The row's bytes; the largest picture is made smaller as long as bytes or pixels are too many."""
    pixels = [math.prod(declared_size(_bytes(picture["file"]))) for picture in row["pictures"]]
    while len(body := _encoded(row)) > MAX_BYTES or sum(pixels) > MAX_PIXELS:
        if not pixels:
            raise InputError(f"{row['id']} has too many texts for one message", "remove some")
        too_long = len(body) > MAX_BYTES
        sizes = [len(picture["file"]) for picture in row["pictures"]] if too_long else pixels
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        picture = row["pictures"][largest]
        image = codec.decode(_bytes(picture["file"]))
        size = max(1, int(image.shape[1] * _STEP)), max(1, int(image.shape[0] * _STEP))
        smaller = _text(codec.encode(codec.resize(image, size)))
        if too_long and len(smaller) >= len(picture["file"]):
            raise InputError(f"{row['id']} has too many pictures for one message", "remove some")
        picture["file"], pixels[largest] = smaller, size[0] * size[1]
    return body


def _encoded(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def _vector(enrolment: _Enrolment) -> tuple[str, NDArray[np.float32]] | tuple[None, None]:
    """The first vector that is one, and its engine."""
    for engine, text in enrolment.vectors.items():
        data = _bytes(text)
        if len(data) % 2:
            raise InputError(f"the vector of engine {engine[:80]!r} is cut short")
        vector = np.frombuffer(data, "<f2").astype(np.float32)
        with np.errstate(all="ignore"):
            length = float(np.linalg.norm(vector))
        if 0.9 < length < 1.1:
            return engine, vector
    return None, None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode(), strict_mode=True)
    except ValueError as error:
        raise InputError(f"a picture is not base64: {error}") from None
