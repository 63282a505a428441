"""What can be done to a watchlist, and what can be read of it: the values that a roster takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.watchlist.contents import Contents, Verdict
from pipeline.watchlist.records import Enrolment, Identity, NewEnrolment, Origin


@dataclass(frozen=True, slots=True)
class Entry:
    """An identity as it stands in a watchlist.

    Attributes:
        identity: Who.
        enrolments: From what, oldest first.
        listed_at: The newest version of the watchlist followed here that is known to have them; None where none is.
    """

    identity: Identity
    enrolments: tuple[Enrolment, ...]
    listed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Roll:
    """A watchlist, or a part of it, at one version.

    Attributes:
        version: Number of changes so far.
        origin: How it stands to the watchlist that all processes share.
        entries: By id, valid or not.
    """

    version: int
    origin: Origin
    entries: tuple[Entry, ...]

    @property
    def identities(self) -> list[Identity]:
        """Without their enrolments, by id."""
        return [entry.identity for entry in self.entries]

    @property
    def enrolments(self) -> list[Enrolment]:
        """Of everybody, oldest first."""
        found = [enrolment for entry in self.entries for enrolment in entry.enrolments]
        return sorted(found, key=lambda enrolment: enrolment.id)


@dataclass(frozen=True, slots=True)
class Add:
    """Enrols from more pictures and texts; where the identity exists, what it leaves at None stays as it was."""

    identity: Identity
    enrolments: Sequence[NewEnrolment]


@dataclass(frozen=True, slots=True)
class Replace:
    """Puts an identity in place of one of the same id."""

    identity: Identity
    enrolments: Sequence[NewEnrolment]


@dataclass(frozen=True, slots=True)
class Mirror:
    """The same, as a row of the shared watchlist has it; the version grows to that row's instead of by one.

    `watchlist_id` says whose row that is, None where it does not say; only of the watchlist followed here does
    its version count against later contents rows.
    """

    identity: Identity
    enrolments: Sequence[NewEnrolment]
    version: int
    watchlist_id: str | None


@dataclass(frozen=True, slots=True)
class Remove:
    """Erases an identity and all it was enrolled from; nothing where there is none."""

    identity_id: str


@dataclass(frozen=True, slots=True)
class MakeOwn:
    """Gives the watchlist an id of its own, `fresh` where it has none."""

    fresh: str


@dataclass(frozen=True, slots=True)
class Published:
    """Rows of all these people and this contents row are on the shared table."""

    contents: Contents


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Lets those go whom a newer contents row of the watchlist followed here no longer names.

    People stay who came here otherwise, or after that version; where another watchlist is followed from now on,
    everybody does.
    """

    contents: Contents


Change = Add | Replace | Mirror | Remove | MakeOwn | Published | TakeOver


@dataclass(slots=True)
class Applied:
    """What came of changes.

    Attributes:
        enrolment_ids: Of the enrolments made, in order.
        removed: Ids of those removed.
        verdict: What became of the last contents row taken over, if one was.
    """

    enrolment_ids: list[int] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
