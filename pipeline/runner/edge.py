"""A process at the cameras whose tracklets are identified by the members of a group, elsewhere."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from pipeline import build
from pipeline.config import Config
from pipeline.deliver.small_scenes import SmallScenes
from pipeline.deliver.tracklets import Slimming, to_message
from pipeline.messages import Tracklet
from pipeline.protocols import Bus
from pipeline.remote_bus import RemoteBus
from pipeline.runner.assembly import Assembly
from pipeline.runner.back import BusThread
from pipeline.runner.delivery import Delivery
from pipeline.runner.process import Failures
from pipeline.runner.supervisor import open_front

MOST_AT_ONCE = 16  # tracklets handed to the remote bus: each may be near 1 MB


class PublishThread(BusThread):
    """Writes tracklets as messages; nobody is identified here.

    Args:
        bus: Where tracklets arrive.
        delivery: Takes the messages.
        failures: Told of an unforeseen end.
        site: Goes into the messages.
        looks: What they were made with.
    """

    name = "publish"
    most_held = 64

    def __init__(
        self, bus: Bus, delivery: Delivery, failures: Failures, site: str, looks: build.Looks
    ) -> None:
        super().__init__(bus, delivery, failures)
        self._site, self._codec, self._engine = site, looks.codec, looks.embedder.digest
        self._scenes = SmallScenes(looks.codec)

    def work(self, tracklets: Sequence[Tracklet]) -> None:
        """Hands the messages on."""
        for tracklet in tracklets:
            now, sent = datetime.now(UTC), self._scenes.behind_the_best(tracklet)
            self._delivery.add(
                [to_message(sent, site=self._site, engine=self._engine, asked_at=now, codec=self._codec)]
            )


def edge(config: Config, remote: RemoteBus, opened: ExitStack) -> Assembly:
    """Puts the parts together; their one sink is the bus that leads out of the process.

    Args:
        config: What to run.
        remote: Carries tracklets to the group.
        opened: Closes what is opened.

    Raises:
        ConfigError: A part cannot start.
        OutsideError: A file of the data folder cannot be opened.
    """
    bus, sinks = build.open_inner_bus(config, opened), {"bus": remote}
    cameras = open_front(config, bus, opened)
    looks, telemetry = cameras.looks, cameras.telemetry
    outbox = build.open_outbox(config, opened, sinks, config.outbox.max_mb)
    few = config.outbox.model_copy(update={"batch": min(MOST_AT_ONCE, config.outbox.batch)})
    delivery = Delivery(outbox, sinks, few, Slimming(outbox, looks.codec), telemetry, "tracklets")
    back = PublishThread(bus, delivery, cameras.failures, config.site, looks)
    return Assembly(cameras, back, delivery)
