"""The thread from the bus to the outbox."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.messages import Tracklet
from pipeline.runner.back import BusThread
from pipeline.runner.process import Failures
from pipeline.runner.telemetry import Telemetry
from pipeline.testing import tracklet
from plugins.bus_memory import MemoryBus


class Mended:
    """Stands in for `Delivery`: refuses until it is mended, from then on takes everything."""

    def __init__(self) -> None:
        self.mended = threading.Event()
        self.refused = threading.Event()
        self.stored: list[Mapping[str, Any]] = []
        self._held: list[Mapping[str, Any]] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, events: Sequence[Mapping[str, Any]]) -> None:
        self._held += events

    def store(self) -> bool:
        if self._held and not self.mended.is_set():
            self.refused.set()
            return False
        self.stored, self._held = self.stored + self._held, []
        return True


class Numbers(BusThread):
    """Makes an event of each tracklet's number."""

    most_held = 1

    def work(self, tracklets: Sequence[Tracklet]) -> None:
        self._delivery.add([{"number": each.number} for each in tracklets])


def test_what_still_waits_on_the_bus_is_stored_when_the_outbox_recovers_at_the_very_end() -> None:
    bus, delivery = MemoryBus(MemoryBus.Config()), Mended()
    thread = Numbers(bus, delivery, Failures(Telemetry(dict)))  # type: ignore[arg-type]
    thread.start()
    bus.publish([tracklet(number=1)])
    assert delivery.refused.wait(10)
    bus.publish([tracklet(number=2)])
    ended: list[bool] = []
    ending = threading.Thread(target=lambda: ended.append(thread.finish(time.monotonic() + 30)))
    ending.start()
    delivery.mended.set()
    ending.join(10)
    assert ended == [True]
    assert [event["number"] for event in delivery.stored] == [1, 2]
