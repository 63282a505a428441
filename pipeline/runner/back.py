"""The back half of a run: it identifies the tracklets, or sends them to the members of a group."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pipeline import build
from pipeline.config import Config
from pipeline.deliver.relay import RelayThread
from pipeline.deliver.slimming import Slimming
from pipeline.deliver.tracklets import to_message
from pipeline.messages import Tracklet
from pipeline.runner.identifying import Identifying
from pipeline.runner.storing import Storing, by_deleting
from pipeline.runner.telemetry import Telemetry
from pipeline.runner.threads import BusThread, Failures
from pipeline.watchlist.vectors import digest_of

MOST_HELD = (
    64  # tracklets in memory while the outbox takes none; then the streams' frames are dropped instead
)


class Back:
    """A thread from the bus inside this process to the outbox.

    Where the config's bus leads out of the process, the outbox holds tracklets and nobody is identified here.
    """

    def __init__(
        self,
        config: Config,
        parts: build.Parts,
        relays: Sequence[RelayThread],
        telemetry: Telemetry,
        failures: Failures,
    ) -> None:
        self._identifying: Identifying | None = None
        self._slimming: Slimming | None = None
        if parts.remote is None:
            self._storing = Storing(parts.outbox, by_deleting(parts.evidence), relays)
            self._identifying = Identifying(
                config.site,
                build.identify_stage(config, parts, time.time),
                build.follower(parts),
                self._storing,
                telemetry,
            )
            self._thread = BusThread(parts.bus, self._identify, self._storing, failures, "identify")
        else:
            self._slimming = Slimming(parts.outbox, parts.networks.codec)
            self._storing = Storing(parts.outbox, self._slimming.make_room, relays, "tracklets")
            send = _sender(config, parts, self._storing)
            self._thread = BusThread(parts.bus, send, self._storing, failures, "publish", MOST_HELD)

    @property
    def held(self) -> str | None:
        """Why events are held in memory, or None."""
        return self._storing.held

    @property
    def lightened(self) -> int:
        """Tracklets that had to lose pictures, so far."""
        return self._slimming.lightened if self._slimming else 0

    @property
    def hits_opened(self) -> int:
        """So far, in this process."""
        return self._identifying.hits_opened if self._identifying else 0

    def prepare(self) -> None:
        """Takes the watchlist as it is, where people are identified here.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist cannot be read.
        """
        if self._identifying:
            self._identifying.follow()

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def finish(self, deadline_s: float) -> None:
        """Ends when the bus is empty and all events are in the outbox, or at `deadline_s` of the monotonic clock."""
        self._thread.finish(deadline_s)

    def join(self, timeout_s: float) -> bool:
        """Waits for the end; False when it takes longer."""
        return self._thread.join(timeout_s)

    def _identify(self, tracklets: Sequence[Tracklet]) -> None:
        assert self._identifying is not None
        self._identifying.follow_if_possible()
        self._identifying.ask(tracklets)


def _sender(config: Config, parts: build.Parts, storing: Storing) -> Callable[[Sequence[Tracklet]], None]:
    engine = digest_of(parts.networks.embedder)

    def send(tracklets: Sequence[Tracklet]) -> None:
        for tracklet in tracklets:
            now = datetime.now(UTC)
            message = to_message(
                tracklet, site=config.site, engine=engine, asked_at=now, codec=parts.networks.codec
            )
            storing.add([message])

    return send
