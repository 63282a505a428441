"""The watchlist as one zip file: `watchlist.json`, which holds the texts too, and the pictures; no vectors."""

import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer

from pipeline.bounds import MAX_PICTURE_BYTES
from pipeline.errors import InputError, OutsideError
from pipeline.files import make_private
from pipeline.protocols import Codec
from pipeline.settings import explain
from pipeline.watchlist.records import (
    MAX_TEXT,
    Enrolment,
    Identity,
    IdentityDocument,
    Instant,
    NewEnrolment,
    NewPicture,
    NewText,
    document_of,
)
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.validity import in_utc

LISTING = "watchlist.json"
MAX_LISTING_BYTES = 256 * 1024 * 1024
MAX_RATIO = 100  # unpacked over packed: pictures and lists of them never come near

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip can hold: the same watchlist gives the same bytes
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,  # a version or a kind of encryption that Python does not know
    RuntimeError,  # encrypted
    MemoryError,  # a packing that asks for more than there is
    ValueError,  # a name that is no text, a member that begins before the file
)
_SUFFIXES = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"RIFF": "webp", b"BM": "bmp"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Enrolment(_Part):
    added_at: Instant

    @field_serializer("added_at")
    def _utc(self, moment: datetime) -> str:
        return in_utc(moment)


class ArchivedPicture(_Enrolment):
    """One enrolment by a picture."""

    kind: Literal["picture"]
    file: str = Field(pattern=r"^pictures/[0-9a-f]{64}\.[a-z]{3,4}$", description="Its place in the archive.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the file.")


class ArchivedText(_Enrolment):
    """One enrolment by a text."""

    kind: Literal["text"]
    text: str = Field(min_length=1, max_length=MAX_TEXT, description="Describes the person.")


class ArchivedIdentity(IdentityDocument):
    """One identity and its enrolments, oldest first."""

    model_config = ConfigDict(extra="forbid")

    enrolments: tuple[Annotated[ArchivedPicture | ArchivedText, Field(discriminator="kind")], ...]

    @property
    def pictures(self) -> list[ArchivedPicture]:
        """The enrolments that are pictures."""
        return [each for each in self.enrolments if isinstance(each, ArchivedPicture)]


class Listing(_Part):
    """`watchlist.json`: everything of a watchlist but the pictures themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="musewatch watchlist")

    form: Annotated[Literal["musewatch.watchlist/1"], Field(alias="schema")] = "musewatch.watchlist/1"
    identities: tuple[ArchivedIdentity, ...]


def export_watchlist(store: WatchlistStore, target: Path) -> Listing:
    """Writes the archive, for this user alone; the same watchlist always gives the same bytes.

    Raises:
        OutsideError: It cannot be written.
    """
    part = target.with_name(target.name + ".part")
    try:
        make_private(part)
        with zipfile.ZipFile(part, "w") as archive:
            listing = _write(store, archive)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutsideError(f"{target} cannot be written: {error.strerror or error}") from error
    return listing


def import_watchlist(store: WatchlistStore, source: Path, codec: Codec, *, replace: bool = False) -> Listing:
    """Takes in everyone of an archive, or nobody.

    Args:
        store: Where to.
        source: The archive.
        codec: Opens every picture once.
        replace: Put identities in place of others of the same id.

    Raises:
        InputError: The archive is missing, damaged, unsafe or wrong; or an id is enrolled with other content.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            listing = _read_listing(archive, source)
            incoming = _incoming(store, listing, replace=replace)
            store.replace(_entries(archive, incoming, codec))
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from error
    except _DAMAGED as error:
        raise InputError(f"{source} is not a zip file, or is damaged: {error}", "export it again") from error
    return listing


def _write(store: WatchlistStore, archive: zipfile.ZipFile) -> Listing:
    places: dict[str, str] = {}
    people = []
    for entry in store.read().entries:
        enrolments = tuple(_write_enrolment(store, archive, each, places) for each in entry.enrolments)
        people.append(
            ArchivedIdentity.model_validate(document_of(entry.identity) | {"enrolments": enrolments})
        )
    listing = Listing(identities=tuple(people))
    text = json.dumps(listing.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=1)
    archive.writestr(zipfile.ZipInfo(LISTING, _EPOCH), text + "\n")
    return listing


def _write_enrolment(
    store: WatchlistStore, archive: zipfile.ZipFile, enrolment: Enrolment, places: dict[str, str]
) -> ArchivedPicture | ArchivedText:
    """What the listing says of it; a picture is written once, at its place by digest."""
    added_at = enrolment.added_at
    if enrolment.text is not None:
        return ArchivedText(kind="text", text=enrolment.text, added_at=added_at)
    if enrolment.sha256 not in places:
        places[enrolment.sha256] = _write_picture(store, archive, enrolment)
    place = places[enrolment.sha256]
    return ArchivedPicture(kind="picture", file=place, sha256=enrolment.sha256, added_at=added_at)


def _write_picture(store: WatchlistStore, archive: zipfile.ZipFile, enrolment: Enrolment) -> str:
    picture = store.pictures([enrolment.id]).get(enrolment.id)
    if picture is None:
        raise OutsideError(
            f"{enrolment.identity_id} was removed while the watchlist was written", "try again"
        )
    suffix = next((name for magic, name in _SUFFIXES.items() if picture.startswith(magic)), "data")
    place = f"pictures/{enrolment.sha256}.{suffix}"
    archive.writestr(zipfile.ZipInfo(place, _EPOCH), picture)
    return place


def _read_listing(archive: zipfile.ZipFile, source: Path) -> Listing:
    _check_members(archive, source)
    try:
        listing = Listing.model_validate_json(_read(archive, LISTING, MAX_LISTING_BYTES))
    except ValidationError as error:
        raise InputError(explain(error, Listing, f"{source}: {LISTING}")) from None
    ids = [person.id for person in listing.identities]
    if len(set(ids)) < len(ids):
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        raise InputError(f"{source}: {LISTING}: two identities are called {', '.join(twice)}")
    wanted = {LISTING} | {picture.file for person in listing.identities for picture in person.pictures}
    there = {name for name in archive.namelist() if name != "pictures/"}
    if wanted != there:
        missing, extra = sorted(wanted - there)[:3], sorted(there - wanted)[:3]
        problem = f"it lacks {', '.join(missing)}" if missing else f"it also holds {', '.join(extra)}"
        raise InputError(f"{source} is not what 'watchlist export' wrote: {problem}", "export it again")
    return listing


def _check_members(archive: zipfile.ZipFile, source: Path) -> None:
    """Refuses an archive that would unpack to far more than it is, before anything is unpacked."""
    names = archive.namelist()
    if LISTING not in names or len(set(names)) < len(names):
        raise InputError(f"{source} is not what 'watchlist export' wrote", f"it must hold one {LISTING}")
    members = archive.infolist()
    if sum(member.compress_size for member in members) > source.stat().st_size:
        raise InputError(f"{source} is damaged: its members overlap", "export it again")
    for member in members:
        limit = MAX_LISTING_BYTES if member.filename == LISTING else MAX_PICTURE_BYTES
        if member.file_size > min(limit, MAX_RATIO * max(member.compress_size, 1)):
            raise InputError(
                f"{source}: {member.filename!r} would unpack to {member.file_size} bytes", "export it again"
            )


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    with archive.open(name) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"{name!r} unpacks to more than {limit} bytes")
    return data


def _incoming(store: WatchlistStore, listing: Listing, *, replace: bool) -> list[ArchivedIdentity]:
    """Those to be put in; people who are here already, just so, are left out."""
    here = {known.id: known for known in store.identities()}
    incoming, other = [], []
    for person in listing.identities:
        if person.id not in here:
            incoming.append(person)
        elif not _is_same(store, here[person.id], person):
            incoming.append(person)
            other.append(person.id)
    if other and not replace:
        raise InputError(
            f"already enrolled, with other content: {', '.join(other[:5])}{' ...' if other[5:] else ''}",
            "remove them first, or import with --replace",
        )
    return incoming


def _is_same(store: WatchlistStore, known: Identity, person: ArchivedIdentity) -> bool:
    here = [enrolment.text or enrolment.sha256 for enrolment in store.enrolments(known.id)]
    there = [each.text if isinstance(each, ArchivedText) else each.sha256 for each in person.enrolments]
    return known == person.identity and here == there


def _entries(
    archive: zipfile.ZipFile, people: Sequence[ArchivedIdentity], codec: Codec
) -> Iterator[tuple[Identity, list[NewEnrolment]]]:
    for person in people:
        yield person.identity, [_enrolment(archive, each, codec) for each in person.enrolments]


def _enrolment(
    archive: zipfile.ZipFile, archived: ArchivedPicture | ArchivedText, codec: Codec
) -> NewEnrolment:
    if isinstance(archived, ArchivedText):
        return NewText(archived.text, archived.added_at)
    new = NewPicture(_read(archive, archived.file, MAX_PICTURE_BYTES), archived.added_at)
    if new.sha256 != archived.sha256:
        raise InputError(f"{archived.file} is not the picture that {LISTING} names", "export it again")
    try:
        codec.decode(new.picture)
    except InputError as error:
        raise InputError(f"{archived.file}: {error.problem}", error.fix) from error
    return new
