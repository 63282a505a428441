"""What the desk works with: plugins of the config, each started when it is first needed."""

from contextlib import ExitStack
from functools import cached_property

from pipeline import build
from pipeline.build import Looks
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.facts import BusFacts, facts
from pipeline.plugged import PluggedCodec, PluggedDetector, PluggedEmbedder
from pipeline.remote_bus import RemoteBus


class Equipment:
    """The parts that enrolling, and telling others of it, take.

    Args:
        config: Names them.
        looks: Those that run already, where a whole pipeline has been built; its group is not told.
    """

    def __init__(self, config: Config, looks: Looks | None = None) -> None:
        self._config, self._looks = config, looks
        self._guests = looks.guests if looks else build.guests(config)
        self._opened = ExitStack()

    def __enter__(self) -> "Equipment":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets everything go that was started here."""
        self._opened.close()

    @cached_property
    def codec(self) -> PluggedCodec:
        """Opens and writes pictures."""
        if self._looks:
            return self._looks.codec
        return build.let_in(PluggedCodec, self._config, self._opened, self._guests, self._config.codec)

    @cached_property
    def embedder(self) -> PluggedEmbedder:
        """Makes the vectors."""
        if self._looks:
            return self._looks.embedder
        return build.let_in(PluggedEmbedder, self._config, self._opened, self._guests, self._config.embedder)

    @cached_property
    def anyone(self) -> PluggedDetector:
        """The config's detector, of any height where it can: too small is another answer than nobody."""
        choice = self._config.detector
        try:
            least = choice.model_copy(update={"min_height_px": 1})
            return build.let_in(PluggedDetector, self._config, self._opened, self._guests, least)
        except ConfigError:
            return build.let_in(PluggedDetector, self._config, self._opened, self._guests, choice)

    @cached_property
    def remote_bus(self) -> RemoteBus | None:
        """Leads to the others who share the watchlist; None where there are none."""
        if self._looks:
            return None
        bus: RemoteBus = build.open_bus(self._config, self._opened)
        return None if facts(BusFacts, bus, f"bus {self.bus_name!r}").in_process else bus

    @property
    def bus_name(self) -> str:
        """Of the bus, as the config says it."""
        return self._config.bus.use

    @property
    def min_height_px(self) -> int:
        """Less tall people are not enrolled: by the detector or the tracks, and by the embedder where it says so."""
        wanted = self._config.detector.settings.get("min_height_px", self._config.tracks.min_height_px)
        return max(int(wanted), self.embedder.facts.min_height_px or 0)

    @property
    def max_distance(self) -> float | None:
        """The largest distance at which two pictures are taken for one person; None where nothing says so."""
        return build.known_max_distance(self._config, self.embedder)

    @property
    def compares_texts(self) -> bool:
        """Whether anybody is compared with people enrolled by a text."""
        known = build.calibration(self._config)
        return self._config.decision.max_distance_text is not None or bool(known and known.text)
