"""What a process with cameras consists of, wherever people are identified."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from pipeline import build
from pipeline.build import Looks
from pipeline.config import Config
from pipeline.runner.back import BusThread
from pipeline.runner.delivery import Delivery
from pipeline.runner.front import Front, FrontPart, Outlet
from pipeline.runner.gate import FrameGate
from pipeline.runner.process import Failures
from pipeline.runner.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Cameras:
    """The front, and what the parts behind it share with it."""

    telemetry: Telemetry
    failures: Failures
    looks: Looks
    front: FrontPart
    notes: tuple[str, ...]
    """What the first run here says of its parts."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """All parts, in the order in which work goes through them."""

    cameras: Cameras
    back: BusThread
    delivery: Delivery


def open_cameras(config: Config, bus: Outlet, opened: ExitStack) -> Cameras:
    """Puts together what takes streams to tracklets.

    Args:
        config: What to run.
        bus: Takes the tracklets.
        opened: Closes what is opened.

    Raises:
        ConfigError: A part cannot start.
    """
    gate = FrameGate(time.monotonic)
    telemetry = Telemetry(gate.counts)
    failures, guests = Failures(telemetry), build.guests(config)
    telemetry.watch(guests)
    detector, looks = build.open_detector(config, opened, guests), build.open_looks(config, opened, guests)
    first = not config.outbox_path.exists()
    notes = build.notes_of(detector, looks.embedder) if first else ()
    detect, track = build.front_stages(config, detector, looks, failures.report)
    front = Front(config, gate, detect, track, bus, telemetry, failures)
    return Cameras(telemetry, failures, looks, front, tuple(notes))
