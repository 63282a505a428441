"""Tells the members of a group what has changed on the watchlist."""

from collections.abc import Iterable

from pipeline import registry
from pipeline.config import Config
from pipeline.errors import OutsideError
from pipeline.protocols import Codec, RemoteBus
from pipeline.watchlist.shared import publish, publish_all
from pipeline.watchlist.store import WatchlistStore


def announce(
    settings: Config, store: WatchlistStore, identity_ids: Iterable[str] | None = None
) -> int | None:
    """Publishes these identities, or the whole watchlist; how many rows, None where nobody is there to be told.

    Raises:
        OutsideError: The change is in the store, and the group does not know.
    """
    bus: RemoteBus = registry.build("bus", settings.bus, settings.base_dir, "bus")
    if bus.in_process:
        return None
    codec: Codec = registry.build("codec", settings.codec, settings.base_dir, "codec")
    try:
        if identity_ids is None:
            return publish_all(store, bus.watchlist, codec)
        return publish(store, bus.watchlist, codec, identity_ids)
    except OutsideError as error:
        raise OutsideError(
            f"the watchlist here is changed, but the others were not told: {error.problem}",
            "when it can be reached: musewatch watchlist publish",
        ) from error
    finally:
        bus.close()
