"""What hits keep of people, found and erased beside a run that goes on: waiting events, and evidence pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipeline.deliver.outbox import OUTBOX
from pipeline.errors import OutsideError
from pipeline.store.room import EVIDENCE, make_room
from pipeline.store.sqlite import Database

_OF = "json_extract(CAST(body AS TEXT), '$.data.identity.id') = ?"


class OutboxHolder:
    """A `Holder`: hits that a sink has not acknowledged or has refused, and hits that are open.

    Who is forgotten while a hit of theirs is open gets no closing event of it.

    Args:
        path: The outbox; without a file it holds nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def traces(self, identity_id: str) -> list[str]:
        """Ids of the events and of the open hits.

        Raises:
            OutboxError: It cannot be read.
        """
        with _opened(self._path) as file:
            if file is None:
                return []
            with file.reading() as db:
                events = db.execute(
                    f"SELECT id FROM events WHERE {_OF} ORDER BY seq", (identity_id,)
                ).fetchall()
                hits = db.execute(f"SELECT hit_id FROM open_hits WHERE {_OF}", (identity_id,)).fetchall()
        name = self._path.name
        return [f"{name}: event {id_}" for (id_,) in events] + [f"{name}: open hit {id_}" for (id_,) in hits]

    def forget(self, identity_id: str) -> None:
        """Erases them, from the log of the file too, also on a full disk.

        Raises:
            OutboxError: It cannot be written.
        """
        with _opened(self._path) as file:
            if file is not None:
                file.with_room(partial(_erase, file, identity_id))
                file.forget_deleted()


class EvidenceHolder:
    """A `Holder`: pictures that hits of somebody refer to, as the outbox beside them knows it.

    A frame shows whoever was in view: who shares it with somebody forgotten loses it too.

    Args:
        data_dir: Has the evidence and the outbox.
        outbox: The outbox.
    """

    def __init__(self, data_dir: Path, outbox: Path) -> None:
        self._folder, self._outbox = data_dir / EVIDENCE, outbox

    def traces(self, identity_id: str) -> list[str]:
        """Names of the pictures that are there.

        Raises:
            OutboxError: The outbox cannot be read.
        """
        return [f"{EVIDENCE}: {path.name}" for path in self._pictures(identity_id) if path.exists()]

    def forget(self, identity_id: str) -> None:
        """Deletes them; a run that has them in its books bears it.

        Raises:
            OutboxError: The outbox cannot be read or written.
            OutsideError: A picture cannot be deleted.
        """
        for path in self._pictures(identity_id):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutsideError(f"{path} cannot be deleted: {error.strerror}") from error
        with _opened(self._outbox) as file:
            if file is not None:
                with file.changing() as db:
                    db.execute("DELETE FROM shown WHERE identity_id = ?", (identity_id,))
                file.forget_deleted()

    def _pictures(self, identity_id: str) -> list[Path]:
        with _opened(self._outbox) as file:
            if file is None:
                return []
            query = "SELECT sha256 FROM shown WHERE identity_id = ? ORDER BY sha256"
            with file.reading() as db:
                return [self._folder / f"{digest}.jpg" for (digest,) in db.execute(query, (identity_id,))]


@contextmanager
def _opened(path: Path) -> Iterator[Database | None]:
    """The file, unclaimed: short statements do not disturb the run that has it. None where there is none."""
    if not path.exists():
        yield None
        return
    file = Database(path, OUTBOX, partial(make_room, path.parent))
    try:
        yield file
    finally:
        file.close()


def _erase(file: Database, identity_id: str) -> None:
    with file.changing() as db:
        seqs = db.execute(f"SELECT seq FROM events WHERE {_OF}", (identity_id,)).fetchall()
        db.executemany("DELETE FROM pending WHERE seq = ?", seqs)
        db.executemany("DELETE FROM events WHERE seq = ?", seqs)
        db.execute(f"DELETE FROM open_hits WHERE {_OF}", (identity_id,))
