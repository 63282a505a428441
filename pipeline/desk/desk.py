"""What people may do with the watchlist: the command line and every other door call these and only show what comes."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline import build
from pipeline.config import Config
from pipeline.desk.enrol import EnrolReport, enrol
from pipeline.desk.equipment import Equipment
from pipeline.desk.portrait import PortraitMaker
from pipeline.errors import ConfigError, InputError, OutsideError
from pipeline.follow.geometry import Box
from pipeline.watchlist.changes import Entry, Roll
from pipeline.watchlist.exchange import Listing, export_watchlist, import_watchlist
from pipeline.watchlist.records import MAX_TEXT, Enrolment, Identity, is_plain
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import publish, publish_all
from pipeline.watchlist.validity import parse_valid_until


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """Somebody to enrol, or to enrol from more.

    Attributes:
        id: New, or known: then what is None stays as it was.
        images: Picture files.
        texts: Descriptions.
        name: What people call them.
        purpose: Why they are looked for.
        valid_until: As people write it, see `parse_valid_until`.
        box: The person in the one picture, xyxy in pixels.
        whole: Each picture already is one person.

    Raises:
        ConfigError: Nothing says who is meant, the box cannot be, the id or the time is none, or a name or purpose
            is no line of printable text.
    """

    id: str
    images: Sequence[Path] = ()
    texts: Sequence[str] = ()
    name: str | None = None
    purpose: str | None = None
    valid_until: str | None = None
    box: Box | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.images and not self.texts:
            raise ConfigError(
                "nothing says who is meant", "give --image FILE, --text TEXT or --attr NAME=VALUE"
            )
        if self.box is not None and self.whole:
            raise ConfigError("--whole and --box contradict each other", "give one of them")
        if self.box is not None and len(self.images) != 1:
            raise ConfigError(f"one --box cannot fit {len(self.images)} pictures", "give one --image with it")
        for what, words in (("name", self.name), ("purpose", self.purpose)):
            if words is not None and not (is_plain(words) and len(words) <= MAX_TEXT):
                fix = f"write one line of at most {MAX_TEXT} printable characters"
                raise ConfigError(f"--{what} {words[:60]!r} cannot be shown as it is", fix)
        self.identity(datetime.now(UTC))

    def identity(self, now: datetime) -> Identity:
        """Whom it is about, where they are new at `now` (aware)."""
        return Identity(self.id, self.name, self.purpose, self.until[0], now)

    @property
    def until(self) -> tuple[datetime | None, str | None]:
        """When they stop being looked for, and what had to be assumed to read that."""
        return (None, None) if self.valid_until is None else parse_valid_until(self.valid_until)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of a request, and the watchlist's version behind it."""

    report: EnrolReport
    version: int


@dataclass(frozen=True, slots=True)
class Removed:
    """What somebody who was removed had been enrolled from, and the watchlist's version behind it."""

    enrolments: tuple[Enrolment, ...]
    version: int


@dataclass(frozen=True, slots=True)
class Published:
    """What the group was told: rows of identities, at which version, and what somebody should look at."""

    rows: int
    version: int
    warnings: tuple[str, ...]


class Desk:
    """Changes and shows one watchlist; whoever shares it is told of every change.

    Args:
        store: The watchlist.
        equipment: What is needed for it.
    """

    def __init__(self, store: WatchlistStore, equipment: Equipment) -> None:
        self._store, self._equipment = store, equipment

    def add(self, request: EnrolRequest) -> Enrolled:
        """Enrols what passes and reports the rest; where nothing passes, nothing is changed.

        Raises:
            ConfigError: A plugin cannot start, or the embedder reads no texts.
            InputError: A text is empty, or longer than the embedder reads.
            OutsideError: The store cannot be written; or it is changed, and the group was not told.
        """
        now = datetime.now(UTC)
        equipment = self._equipment
        embedder = equipment.embedder
        searched = bool(request.images) and not request.whole and request.box is None
        maker = PortraitMaker(
            equipment.codec,
            equipment.anyone if searched else None,
            request.box,
            min_height_px=equipment.min_height_px,
        )
        report = enrol(
            self._store,
            request.identity(now),
            request.images,
            maker,
            embedder,
            max_distance=equipment.max_distance,
            now=now,
            texts=request.texts,
        )
        version = self._store.version
        told = self._tell([request.id]) if report.enrolled else None
        report.warnings += self._remarks(request, report, now, told)
        return Enrolled(report, version)

    def roll(self) -> Roll:
        """Everyone."""
        return self._store.read()

    def show(self, identity_id: str) -> Entry:
        """One identity, and what they are enrolled from.

        Raises:
            InputError: Nobody is enrolled so; names near ones.
        """
        for entry in self._store.read([identity_id] if identity_id.isprintable() else ()).entries:
            return entry
        ids = [each.id for each in self._store.identities()]
        near = difflib.get_close_matches(identity_id, ids, n=3) or ids[:5]
        fix = f"enrolled are, among others: {', '.join(near)}" if near else "nobody is enrolled"
        raise InputError(f"nobody is enrolled as {identity_id!r}", fix)

    def remove(self, identity_id: str) -> Removed:
        """Erases an identity with pictures, texts and vectors.

        Raises:
            InputError: Nobody is enrolled so.
            OutsideError: The store cannot be written; or it is changed, and the group was not told.
        """
        enrolments = self.show(identity_id).enrolments
        self._store.remove(identity_id)
        version = self._store.version
        self._tell([identity_id])
        return Removed(enrolments, version)

    def export(self, target: Path) -> Listing:
        """Writes everyone to a zip file, without vectors.

        Raises:
            OutsideError: It cannot be written.
        """
        return export_watchlist(self._store, target)

    def import_(self, source: Path, *, replace: bool = False) -> Listing:
        """Takes in everyone of an exported zip file, or nobody.

        Args:
            source: The file.
            replace: Puts identities in place of others of the same id.

        Raises:
            InputError: The file is damaged, unsafe or wrong; or an id is enrolled with other content.
            OutsideError: The store cannot be written; or it is changed, and the group was not told.
        """
        listing = import_watchlist(self._store, source, self._equipment.codec, replace=replace)
        self._tell([person.id for person in listing.identities])
        return listing

    def backup(self, target: Path) -> int:
        """Copies the whole watchlist, vectors included; returns its version.

        Raises:
            OutsideError: It cannot be written.
        """
        self._store.backup(target)
        return self._store.version

    def restore(self, source: Path) -> int:
        """Puts a backup in place of the whole watchlist; returns the new version.

        Raises:
            ConfigError: The backup has a newer format.
            InputError: It is missing, damaged, or no watchlist.
            OutsideError: The store cannot be written; or it is changed, and the group was not told.
        """
        self._store.restore(source)
        version = self._store.version
        self._tell(None)
        return version

    def publish(self) -> Published:
        """Makes the group's watchlist what this one is.

        Raises:
            ConfigError: There is no group.
            OutsideError: It cannot be reached.
        """
        told = self._tell(None)
        if told is None:
            raise ConfigError(
                f"the bus {self._equipment.bus_name!r} stays inside one process, so there is nobody to tell",
                'set bus: {use: kafka, bootstrap: "HOST:PORT"}',
            )
        return told

    def _tell(self, identity_ids: Iterable[str] | None) -> Published | None:
        """Publishes these identities, or the whole watchlist; None where nobody is there to be told.

        Raises:
            OutsideError: The change is in the store, and the group does not know.
        """
        bus = self._equipment.remote_bus
        if bus is None:
            return None
        table, codec = bus.watchlist, self._equipment.codec
        try:
            if identity_ids is None:
                rows = publish_all(self._store, table, codec)
            else:
                rows = publish(self._store, table, codec, identity_ids)
            warnings = [f"{fault.problem}; {fault.fix}" for fault in table.faults(mend=identity_ids is None)]
        except OutsideError as error:
            raise OutsideError(
                f"the watchlist here is changed, but the others were not told: {error.problem}",
                "when it can be reached: musewatch watchlist publish",
            ) from error
        if not self._store.origin.is_author:
            warnings.append(
                "this is a copy of another watchlist, whose contents row does not name who was added here; "
                "to put this one in its place: musewatch watchlist publish"
            )
        return Published(rows, self._store.version, tuple(warnings))

    def _remarks(
        self, request: EnrolRequest, report: EnrolReport, now: datetime, told: Published | None
    ) -> Iterator[str]:
        if told is not None:
            yield from told.warnings
        until, assumed = request.until
        if assumed is not None:
            yield assumed
        if report.texts and not self._equipment.compares_texts:
            yield "nobody is compared with texts until decision.max_distance_text is set"
        if until is not None and until <= now:
            yield f"--valid-until {request.valid_until} is over: nobody will be compared with them"


@contextmanager
def open_desk(config: Config) -> Iterator[Desk]:
    """The desk of a config; plugins start when they are first needed.

    Raises:
        ConfigError: The store has a newer format.
        InputError: It is damaged.
        OutsideError: It cannot be opened.
    """
    with ExitStack() as opened:
        store = opened.enter_context(build.open_watchlist(config))
        yield Desk(store, opened.enter_context(Equipment(config)))
