"""A store on disk that follows the watchlist which all processes share."""

import logging

from pipeline.errors import InputError
from pipeline.remote_bus import BusMessage, RemoteBus
from pipeline.watchlist import contents as contents_row
from pipeline.watchlist.contents import Contents
from pipeline.watchlist.records import NewEnrolment
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import SharedIdentity, read_row
from pipeline.watchlist.standing import Remark, faults_of, remarks

logger = logging.getLogger("musewatch.watchlist")


class WatchlistMirror:
    """Brings the shared watchlist into the store of this process, where a follower sees it.

    Who is not in the table is not removed: a person leaves by an empty row, or by a contents row (see
    `WatchlistStore.take_over`). The whole table is read at the first call and whenever the link had failed, since
    rows come and go meanwhile. What is here already stays as it is, vectors included.

    Args:
        remote: Has the table, and takes rows that cannot be read.
        store: Follows; a connection of its own, so that others see its changes. Closed with this.

    Attributes:
        remarks: What somebody should look at, though everything goes on.
    """

    def __init__(self, remote: RemoteBus, store: WatchlistStore) -> None:
        self._remote = remote
        self._store = store
        self._whole = False
        self._version = 0
        self._rows: set[str] = set()  # who has one
        self._contents: Contents | None = None
        self._kept: list[Remark] = []  # on how the table is kept
        self.remarks: tuple[str, ...] = ()

    def __enter__(self) -> "WatchlistMirror":
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def follow(self) -> None:
        """Takes over what has changed.

        Raises:
            OutsideError: The table has not been read whole since the link failed, and cannot be reached; or the store.
        """
        news = self._remote.watchlist.news() if self._whole else None
        if news == []:
            return
        self._whole = False  # news comes once: what of it is not taken over is found in the whole table only
        self._version = self._store.version
        for message in self._read_whole() if news is None else news:
            self._apply(message)
        self._whole = True
        self._tell()

    def _read_whole(self) -> list[BusMessage]:
        """The last row under each key; a contents row first too, for what is followed decides how rows count."""
        last = {message.key: message for message in self._remote.watchlist.rows()}
        self._kept = faults_of(self._remote.watchlist, mend=True)
        self._rows, self._contents = set(), None
        listing = last.pop(contents_row.KEY.encode(), None)
        around = [] if listing is None else [listing]
        first = around if self._store.origin.follows_id is None else []
        return [*first, *last.values(), *around]

    def _apply(self, message: BusMessage) -> None:
        key = (message.key or b"").decode("utf-8", "replace")
        try:
            row = read_row(message)
        except Exception as error:  # whatever one row is, it ends with that row
            reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self._remote.refuse(message, reason[:300])
            logger.warning("dead letter: %s, offset %d: %s", message.topic, message.offset, reason[:300])
            return
        if isinstance(row, Contents):
            self._contents = row
            _, gone = self._store.take_over(row)
            if gone:
                logger.info("version %d of the watchlist no longer names %s", row.version, ", ".join(gone))
        elif row is not None:
            self._rows.add(key)
            self._put(*row)
        elif key == contents_row.KEY:
            self._contents = None
        else:
            self._rows.discard(key)
            self._store.remove(key)

    def _put(self, shared: SharedIdentity, enrolments: list[NewEnrolment]) -> None:
        own = shared.watchlist is not None and shared.watchlist == self._store.origin.own_id
        if own and shared.version <= self._version:
            return  # the echo of what was published here, perhaps of somebody changed or removed since
        known = self._store.identity(shared.id)
        by_kind = sorted(self._store.enrolments(shared.id), key=lambda enrolment: enrolment.kind)
        here = [enrolment.sha256 for enrolment in by_kind]
        enrolled = [each.sha256 for each in (*shared.pictures, *shared.texts)]
        same = here in (enrolled, [each.sha256 for each in enrolments])
        if known != shared.identity or not same:
            self._store.mirror(shared.identity, enrolments, shared.version, shared.watchlist)

    def _tell(self) -> None:
        told = tuple(map(str, [*self._kept, *remarks(self._store.read(), self._rows, self._contents)]))
        for remark in told:
            if remark not in self.remarks:
                logger.warning("%s", remark)
        self.remarks = told
