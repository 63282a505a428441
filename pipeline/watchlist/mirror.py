"""A store on disk that follows the watchlist which all processes share."""

import logging
from pathlib import Path

from pipeline.errors import InputError
from pipeline.remote_bus import BusMessage, RemoteBus
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import from_row

logger = logging.getLogger("musewatch.watchlist")


class WatchlistMirror:
    """Brings the shared watchlist into the store of this process, where a follower sees it.

    The whole table is read at the first call, since what was removed long ago leaves no trace in it: who is not
    there is removed here too. What is here already stays as it is, vectors included. A table that nobody has
    ever written leaves the store alone.

    Args:
        remote: Has the table, and takes rows that cannot be read.
        data_dir: Where the store is.
    """

    def __init__(self, remote: RemoteBus, data_dir: Path) -> None:
        self._remote = remote
        self._store = WatchlistStore.in_folder(data_dir)  # a connection of its own: others see its changes
        self._whole = False

    def __enter__(self) -> "WatchlistMirror":
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def follow(self) -> None:
        """Takes over what has changed.

        Raises:
            OutsideError: The table has not been read whole yet, and cannot be reached; or the store.
        """
        if self._whole:
            self._whole = (
                False  # news comes once: what of it is not taken over is found in the whole table only
            )
            for message in self._remote.watchlist.news():
                self._apply(message)
            self._whole = True
            return
        rows = {message.key: message for message in self._remote.watchlist.rows()}
        for message in rows.values():
            self._apply(message)
        here = [identity.id for identity in self._store.identities()]
        if rows:
            for identity_id in here:
                if identity_id.encode() not in rows:
                    self._store.remove(identity_id)
        elif here:
            logger.warning(
                "nobody has published a watchlist; the %d identities here count: musewatch watchlist publish",
                len(here),
            )
        self._whole = True

    def _apply(self, message: BusMessage) -> None:
        if message.value is None:
            self._store.remove((message.key or b"").decode("utf-8", "replace"))
            return
        try:
            shared, enrolments = from_row(message.key, message.value)
        except InputError as error:
            self._remote.refuse(message, str(error))
            logger.warning("dead letter: %s, offset %d: %s", message.topic, message.offset, error)
            return
        known = self._store.identity(shared.id)
        by_kind = sorted(self._store.enrolments(shared.id), key=lambda enrolment: enrolment.kind)
        here = [enrolment.sha256 for enrolment in by_kind]
        enrolled = [each.sha256 for each in (*shared.pictures, *shared.texts)]
        same = here in (enrolled, [each.sha256 for each in enrolments])
        if known != shared.identity or not same:
            self._store.mirror(shared.identity, enrolments, shared.version)
