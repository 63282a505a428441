"""The thread from the bus to the outbox."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.messages import Tracklet
from pipeline.runner.telemetry import Telemetry
from pipeline.runner.threads import BusThread, Failures
from pipeline.testing import tracklet
from plugins.bus_memory import MemoryBus


class Mended:
    """Stands in for `Storing`: refuses until it is mended, from then on takes everything."""

    def __init__(self) -> None:
        self.mended = threading.Event()
        self.refused = threading.Event()
        self.stored: list[Mapping[str, Any]] = []
        self._held: list[Mapping[str, Any]] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, tracklets: Sequence[Tracklet]) -> None:
        self._held += [{"number": t.number} for t in tracklets]

    def store(self) -> bool:
        if self._held and not self.mended.is_set():
            self.refused.set()
            return False
        self.stored, self._held = self.stored + self._held, []
        return True


def test_what_still_waits_on_the_bus_is_stored_when_the_outbox_recovers_at_the_very_end() -> None:
    bus, storing = MemoryBus(MemoryBus.Config()), Mended()
    thread = BusThread(bus, storing.add, storing, Failures(Telemetry(dict)), "publish", most_held=1)  # type: ignore[arg-type]
    thread.start()
    bus.publish([tracklet(number=1)])
    assert storing.refused.wait(10)
    bus.publish([tracklet(number=2)])
    thread.finish(time.monotonic() + 30)
    storing.mended.set()
    assert thread.join(10)
    assert [event["number"] for event in storing.stored] == [1, 2]
