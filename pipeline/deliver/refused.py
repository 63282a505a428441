"""What sinks have refused for good: told, and given to them again; beside a run, too."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.deliver.outbox import Refused
from pipeline.deliver.outbox_file import in_our_words, open_file


def refused(path: Path) -> list[Refused]:
    """Events set aside, oldest first.

    Args:
        path: The outbox; without a file nothing was.

    Raises:
        ConfigError: The file is newer than this program, or damaged.
        OutboxError: It cannot be read.
    """
    query = "SELECT sink, body, refused FROM pending JOIN events USING (seq) WHERE refused IS NOT NULL ORDER BY seq"
    if not path.exists():
        return []
    with _opened(path) as db:
        return [Refused(sink, json.loads(body), reason) for sink, body, reason in db.execute(query)]


def send_again(path: Path) -> int:
    """Has the sinks asked again, at once by a run that goes on, else by the next one; how many events.

    They come behind events of their streams that were delivered meanwhile.

    Args:
        path: The outbox.

    Raises:
        ConfigError: The file is newer than this program, or damaged.
        OutboxError: Nothing was changed.
    """
    if not path.exists():
        return 0
    with _opened(path) as db:
        return db.execute("UPDATE pending SET refused = NULL WHERE refused IS NOT NULL").rowcount


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file without the claim on it: one short statement does not disturb who has it."""
    with in_our_words(path), closing(open_file(path)) as db:
        yield db
