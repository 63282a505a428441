"""What the desk works with: plugins of the config, each started when it is first needed."""

from contextlib import ExitStack
from functools import cached_property
from typing import Any

from pipeline import build
from pipeline.build import Looks
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.protocols import Codec, Detector, Embedder
from pipeline.remote_bus import RemoteBus


class Equipment:
    """The parts that enrolling, and telling others of it, take.

    Args:
        config: Names them.
        looks: Those that run already, where a whole pipeline has been built; its group is not told.
    """

    def __init__(self, config: Config, looks: Looks | None = None) -> None:
        self._config, self._looks = config, looks
        self._opened = ExitStack()

    def __enter__(self) -> "Equipment":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets everything go that was started here."""
        self._opened.close()

    @cached_property
    def codec(self) -> Codec:
        """Opens and writes pictures."""
        codec: Codec = self._looks.codec if self._looks else self._start("codec")
        return codec

    @cached_property
    def embedder(self) -> Embedder:
        """Makes the vectors."""
        embedder: Embedder = self._looks.embedder if self._looks else self._start("embedder")
        return embedder

    @cached_property
    def anyone(self) -> Detector:
        """The config's detector, of any height where it can: too small is another answer than nobody."""
        try:
            least = self._config.detector.model_copy(update={"min_height_px": 1})
            detector: Detector = build.open_plugin(self._config, self._opened, "detector", least)
        except ConfigError:
            detector = self._start("detector")
        return detector

    @cached_property
    def remote_bus(self) -> RemoteBus | None:
        """Leads to the others who share the watchlist; None where there are none."""
        if self._looks:
            return None
        bus: RemoteBus = self._start("bus")
        return None if bus.in_process else bus

    @property
    def bus_name(self) -> str:
        """Of the bus, as the config says it."""
        return self._config.bus.use

    @property
    def min_height_px(self) -> int:
        """Less tall people are not enrolled: by the detector or the tracks, and by the embedder where it says so."""
        wanted = self._config.detector.settings.get("min_height_px", self._config.tracks.min_height_px)
        return max(int(wanted), int(getattr(self.embedder, "min_height_px", None) or 0))

    @property
    def max_distance(self) -> float | None:
        """The largest distance at which two pictures are taken for one person; None where nothing says so."""
        if self._config.decision.max_distance != "auto":
            return self._config.decision.max_distance
        return getattr(self.embedder, "max_distance", None)

    @property
    def compares_texts(self) -> bool:
        """Whether anybody is compared with people enrolled by a text."""
        return self._config.decision.max_distance_text is not None

    def _start(self, role: str) -> Any:
        return build.open_plugin(self._config, self._opened, role, getattr(self._config, role))
