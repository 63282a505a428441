"""What a process with cameras consists of, wherever people are identified."""

from dataclasses import dataclass

from pipeline.calls import Guests
from pipeline.runner.back import BusThread
from pipeline.runner.delivery import Delivery
from pipeline.runner.front import Front
from pipeline.runner.process import Failures
from pipeline.runner.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Assembly:
    """The parts, in the order in which work goes through them, and what they share."""

    telemetry: Telemetry
    failures: Failures
    guests: Guests
    front: Front
    back: BusThread
    delivery: Delivery
