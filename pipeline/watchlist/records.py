"""What the watchlist holds: identities, and the pictures and texts they were enrolled from."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_serializer

from pipeline.errors import ConfigError, InputError
from pipeline.watchlist.validity import in_utc

MAX_TEXT = 500  # characters; text towers read fewer
WATCHLIST_ID = r"^[0-9a-f]{32}$"
PICTURE, TEXT = "picture", "text"
IDENTITY_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_IDENTITY_ID = re.compile(IDENTITY_ID)
# Unicode's kinds that break lines, turn text round or show nothing:
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # of the second kind, but Persian names and Indian scripts need them


def is_plain(text: str) -> bool:
    r"""Whether a text is one line of characters that are seen, in the order in which they stand.

    >>> is_plain("Zoé O'Neill"), is_plain("two\nlines"), is_plain("\u202eanna")
    (True, False, False)
    """
    return not any(unicodedata.category(char) in _UNSEEN and char not in _JOINERS for char in text)


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("expected one line of printable text")
    return text


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time that the calendar has in UTC, too") from None


Words = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_plain)]
"""What people write about somebody: one printable line."""
Instant = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""A time with its zone, taken to UTC."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One enrolled person.

    Attributes:
        id: Letters, digits, `.`, `_` and `-`, at most 63.
        name: What people call them, or None.
        purpose: Why they are looked for; copied into every hit.
        valid_until: Aware; from then on nobody is compared with them. None = for ever.
        created_at: Aware.
    """

    id: str
    name: str | None
    purpose: str | None
    valid_until: datetime | None
    created_at: datetime

    def __post_init__(self) -> None:
        check_identity_id(self.id)
        for moment in (self.valid_until, self.created_at):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"identity {self.id!r}: times must carry a time zone")

    def is_valid(self, now: datetime) -> bool:
        """Whether they are still looked for."""
        return self.valid_until is None or now < self.valid_until


class IdentityDocument(BaseModel):
    """An identity without its enrolments, as whatever carries it writes it down."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(pattern=IDENTITY_ID)
    name: Words | None
    purpose: Words | None
    valid_until: Instant | None
    created_at: Instant

    @property
    def identity(self) -> Identity:
        """What it says."""
        return Identity(self.id, self.name, self.purpose, self.valid_until, self.created_at)

    @field_serializer("valid_until", "created_at")
    def _utc(self, moment: datetime | None) -> str | None:
        return None if moment is None else in_utc(moment)


def document_of(identity: Identity) -> dict[str, Any]:
    """The same as plain values; of words from before they were checked, what can be shown."""
    return {
        "id": identity.id,
        "name": _shown(identity.name),
        "purpose": _shown(identity.purpose),
        "valid_until": None if identity.valid_until is None else in_utc(identity.valid_until),
        "created_at": in_utc(identity.created_at),
    }


def _shown(text: str | None) -> str | None:
    if text is None or (is_plain(text) and len(text) <= MAX_TEXT):
        return text
    return "".join(char if is_plain(char) else " " for char in text[:MAX_TEXT])


@dataclass(frozen=True, slots=True)
class Origin:
    """How a store stands to the watchlist that all processes share.

    Attributes:
        own_id: Names the watchlist that was made here; None = nothing of it was ever published.
        follows_id: Names the watchlist that is kept here: the own one, or another's whose copy this is.
        listed_version: Version of the newest contents row that was written or taken over here; 0 = none.
    """

    own_id: str | None
    follows_id: str | None
    listed_version: int

    @property
    def is_author(self) -> bool:
        """Whether contents rows are written here; a copy leaves them to the watchlist it follows."""
        return self.follows_id in (None, self.own_id)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One picture or text of one identity; the bytes of a picture stay in the store.

    `kind` is `PICTURE` or `TEXT`; `text` is None of a picture.
    """

    id: int
    identity_id: str
    kind: str
    sha256: str
    size_bytes: int
    added_at: datetime
    text: str | None = None


@dataclass(frozen=True, slots=True)
class NewPicture:
    """A picture about to be enrolled: file bytes that show one person.

    `engine_digest` and `vector`, (D,), may be left out: the vector is made when a pipeline needs it.
    """

    picture: bytes
    added_at: datetime
    engine_digest: str | None = None
    vector: NDArray[np.float32] | None = None

    kind: ClassVar[str] = PICTURE

    @property
    def content(self) -> bytes:
        """What the store keeps."""
        return self.picture

    @property
    def sha256(self) -> str:
        """Digest of the content, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class NewText:
    """A description of one person about to be enrolled; `engine_digest` and `vector` as of a picture.

    Raises:
        InputError: It is empty, too long, or has line breaks or other control characters.
    """

    text: str
    added_at: datetime
    engine_digest: str | None = None
    vector: NDArray[np.float32] | None = None

    kind: ClassVar[str] = TEXT

    def __post_init__(self) -> None:
        if not self.text.strip() or len(self.text) > MAX_TEXT or not is_plain(self.text):
            raise InputError(
                f"{self.text[:60]!r} cannot be enrolled as a text",
                f"describe the person in one line of 1 to {MAX_TEXT} characters",
            )

    @property
    def content(self) -> bytes:
        """What the store keeps: UTF-8."""
        return self.text.encode()

    @property
    def sha256(self) -> str:
        """Digest of the content, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


NewEnrolment = NewPicture | NewText


def check_identity_id(text: str) -> None:
    """Refuses what cannot be an identity's id.

    Raises:
        ConfigError: It has other characters, or is too long.
    """
    if not _IDENTITY_ID.fullmatch(text):
        raise ConfigError(
            f"{text!r} cannot be the id of an identity",
            "use 1 to 63 letters, digits, '.', '_' or '-', a letter or digit first",
        )
