"""The contents row: who the shared watchlist holds as a whole, so that nobody leaves it by a row that got lost.

It lies in the table of all rows under a key that no identity can have, and is written after every change.
"""

from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.bounds import Count
from pipeline.errors import InputError
from pipeline.watchlist.records import IDENTITY_ID, WATCHLIST_ID, Origin

KEY = ".contents"
SCHEMA_URN = "urn:musewatch:contents:1"
MAX_BYTES = 900_000

WatchlistId = Annotated[str, Field(pattern=WATCHLIST_ID)]


class Verdict(Enum):
    """What became of a contents row."""

    TAKEN = "taken over"
    OLDER = "older than one seen before"
    FOREIGN = "another watchlist's"


class Contents(BaseModel):
    """A whole watchlist at one version, by its identities' ids."""

    model_config = ConfigDict(frozen=True, title="musewatch watchlist contents", populate_by_name=True)

    form: Annotated[Literal["musewatch.contents/1"], Field(alias="schema")] = "musewatch.contents/1"
    watchlist: WatchlistId = Field(description="The watchlist's own id.")
    version: Count = Field(description="Of the watchlist when this was published.")
    identities: tuple[Annotated[str, Field(pattern=IDENTITY_ID)], ...] = Field(description="Every live id.")
    replaces: tuple[WatchlistId, ...] = Field(
        default=(), description="Watchlists in whose place this one was published, by request."
    )

    def to_row(self) -> bytes:
        """The row's value.

        Raises:
            InputError: It does not fit into one message.
        """
        body = self.model_dump_json(by_alias=True).encode()
        if len(body) > MAX_BYTES:
            raise InputError(f"{len(self.identities)} identities are too many for one contents row")
        return body


def judge(contents: Contents, origin: Origin) -> Verdict:
    """Whether a contents row counts in a store.

    A store that follows nothing yet takes the first that it meets, and every store one that names the watchlist
    followed so far as replaced.
    """
    if contents.watchlist != origin.follows_id:
        return Verdict.TAKEN if origin.follows_id in (None, *contents.replaces) else Verdict.FOREIGN
    return Verdict.TAKEN if contents.version >= origin.listed_version else Verdict.OLDER


def from_row(value: bytes) -> Contents:
    """A contents row's value, read.

    Raises:
        InputError: It is something else, or of another version.
    """
    try:
        return Contents.model_validate_json(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, found["loc"]))
        raise InputError(f"not a contents row of {SCHEMA_URN}: {place}: {found['msg']}"[:300]) from None
