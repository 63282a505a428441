"""From a config to the parts it names; the only place that wires."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline import registry
from pipeline.config import Config, StreamConfig
from pipeline.deliver.outbox import Outbox, sink_names
from pipeline.errors import ConfigError
from pipeline.files import make_folder
from pipeline.follow.buffer import TrackBuffer
from pipeline.follow.detect import DetectStage, OnError
from pipeline.follow.follow import TrackStage
from pipeline.identify.decide import CoolDown
from pipeline.identify.hits import HitBook
from pipeline.identify.shortlist import Matcher
from pipeline.identify.stage import Evidence, IdentifyStage
from pipeline.protocols import (
    Bus,
    Codec,
    Detector,
    Embedder,
    Masker,
    Sink,
    TextEmbedder,
    Tracker,
    Verifier,
)
from pipeline.settings import PluginChoice, choose
from pipeline.store.pictures import EvidenceStore
from pipeline.watchlist.follower import WatchlistFollower
from pipeline.watchlist.roster import WatchlistStore

RELINK_SHARE = 0.75  # of the cut: fragments of one track are far nearer than the photo they are searched by


class SharedEmbedder:
    """An embedder that is asked by one thread at a time, so that a plugin need not be thread-safe.

    It has every attribute of the plugin; `inspect.unwrap` gives the plugin.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.__wrapped__ = embedder
        self.dimension = embedder.dimension
        self._asking = threading.Lock()

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops."""
        with self._asking:
            return self.__wrapped__.embed(crops)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows for N texts; only where the plugin `reads_text`."""
        tower = cast(TextEmbedder, self.__wrapped__)
        with self._asking:
            return tower.embed_text(texts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


@dataclass(frozen=True, slots=True)
class Looks:
    """The plugins that tell how people look, and the cut between the same person and another.

    Every process has them: people are enrolled and compared with them, wherever they were detected.
    """

    embedder: Embedder
    codec: Codec
    max_distance: float


@dataclass(frozen=True, slots=True)
class Judges:
    """What tells who somebody is."""

    verifier: Verifier
    masker: Masker
    watchlist: WatchlistStore
    evidence: EvidenceStore


def plugin(config: Config, role: str, choice: PluginChoice, where: str | None = None) -> Any:
    """One plugin of the config."""
    return registry.build(role, choice, config.base_dir, where or role, config.data_dir)


def open_plugin(config: Config, opened: ExitStack, role: str, choice: PluginChoice) -> Any:
    """One plugin of the config, closed with `opened`.

    Raises:
        ConfigError: It cannot start.
    """
    made = plugin(config, role, choice)
    close = getattr(made, "close", None)
    if close is not None:
        opened.callback(close)
    return made


def open_detector(config: Config, opened: ExitStack) -> Detector:
    """The detector, closed with `opened`.

    Raises:
        ConfigError: It cannot start, or its engine is wrong.
    """
    made: Detector = open_plugin(config, opened, "detector", config.detector)
    return made


def open_looks(config: Config, opened: ExitStack) -> Looks:
    """Embedder and codec, closed with `opened`, and the cut.

    Raises:
        ConfigError: One of them cannot start, or there is no cut.
    """
    embedder = SharedEmbedder(open_plugin(config, opened, "embedder", config.embedder))
    codec = open_plugin(config, opened, "codec", config.codec)
    return Looks(embedder, codec, max_distance(config, embedder))


def open_judges(config: Config, opened: ExitStack) -> Judges:
    """Verifier, masker, watchlist and evidence, closed with `opened`.

    Raises:
        ConfigError: A plugin cannot start.
        OutsideError: A file of the data folder cannot be opened.
    """
    verifier = open_plugin(config, opened, "verifier", config.verifier)
    masker = open_plugin(config, opened, "masker", config.masker)
    make_folder(config.data_dir)
    watchlist = opened.enter_context(WatchlistStore.in_folder(config.data_dir))
    limits = config.evidence
    evidence = EvidenceStore(
        config.data_dir / "evidence",
        limits.base_url,
        max_mb=limits.max_mb,
        max_age_days=limits.max_age_days,
    )
    return Judges(verifier, masker, watchlist, evidence)


def max_distance(config: Config, embedder: Embedder) -> float:
    """The cut: the config's own, or the operating point of the embedder's engine.

    Raises:
        ConfigError: It is `auto` and the engine has none.
    """
    if config.decision.max_distance != "auto":
        return config.decision.max_distance
    found = getattr(embedder, "max_distance", None)
    if found is None:
        raise ConfigError(
            f"decision.max_distance is auto, but the embedder {config.embedder.use!r} has no operating point",
            "add operating_point.max_distance to its manifest, or give decision.max_distance a number",
        )
    return float(found)


def min_height_px(config: Config, embedder: Embedder) -> int:
    """Crops less tall are no evidence: by the config, and by the embedder where it says so."""
    return max(config.tracks.min_height_px, int(getattr(embedder, "min_height_px", None) or 0))


def sinks(config: Config) -> dict[str, Sink]:
    """The sinks by their names in the outbox."""
    names = sink_names(config.sinks)
    return {
        name: plugin(config, "sink", choice, f"sinks.{i}")
        for i, (name, choice) in enumerate(zip(names, config.sinks, strict=True))
    }


def source_factory(config: Config, stream: StreamConfig) -> Callable[[], Any]:
    """Makes sources of one stream; the settings are checked now, by making one.

    Raises:
        ConfigError: The source's settings are wrong.
    """

    def make() -> Any:
        return plugin(config, "source", stream.source, f"streams.{stream.id}.source")

    first = [make()]
    return lambda: first.pop() if first else make()


def open_bus(config: Config, opened: ExitStack) -> Any:
    """The bus of the config, closed with `opened`: a `Bus` where it is `in_process`, else a `RemoteBus`.

    Raises:
        ConfigError: It cannot start.
    """
    return open_plugin(config, opened, "bus", config.bus)


def open_inner_bus(config: Config, opened: ExitStack) -> Bus:
    """A bus inside this process, for one whose own bus leads out of it."""
    made: Bus = open_plugin(config, opened, "bus", choose("memory"))
    return made


def open_outbox(
    config: Config, opened: ExitStack, sinks: Iterable[str], max_mb: float | None = None
) -> Outbox:
    """The outbox, closed with `opened`.

    Args:
        config: Says where.
        opened: Closes it.
        sinks: Names of those who take from it.
        max_mb: Largest size; None = no limit.

    Raises:
        OutsideError: It cannot be opened.
    """
    make_folder(config.data_dir)
    return opened.enter_context(closing(Outbox(config.outbox_path, list(sinks), max_mb)))


def tracker_factory(config: Config) -> Callable[[], Tracker]:
    """Makes one tracker a stream; the settings are checked now, by making one.

    Raises:
        ConfigError: The tracker's settings are wrong.
    """

    def make() -> Tracker:
        tracker: Tracker = plugin(config, "tracker", config.tracker)
        return tracker

    make()
    return make


def zones(config: Config) -> dict[str, list[NDArray[np.float32]]]:
    """Polygons (K, 2) of the streams that have any."""
    return {
        stream.id: [np.array(zone, np.float32) for zone in stream.zones]
        for stream in config.streams
        if stream.zones
    }


def front_stages(
    config: Config, detector: Detector, looks: Looks, on_error: OnError
) -> tuple[DetectStage, TrackStage]:
    """The stages from frames to tracklets."""
    track_stage = TrackStage(
        tracker_factory(config),
        looks.embedder,
        looks.codec,
        TrackBuffer(config.tracks, digests(detector, looks.embedder)),
        zones(config),
        RELINK_SHARE * looks.max_distance,
        on_error,
        min_height_px=min_height_px(config, looks.embedder),
    )
    return DetectStage(detector, on_error, looks.codec.resize), track_stage


def digests(detector: Detector, embedder: Embedder) -> dict[str, str | None]:
    """Digest of the engine behind each, None where there is none."""
    roles = {"detector": detector, "embedder": embedder}
    return {role: getattr(plugin, "engine_digest", None) for role, plugin in roles.items()}


def identify_stage(config: Config, looks: Looks, judges: Judges, wall: Callable[[], float]) -> IdentifyStage:
    """The stage from tracklets to hits."""
    evidence = Evidence(judges.evidence, looks.codec, judges.masker, wall)
    cooldown = CoolDown(config.decision.cooldown_s)
    return IdentifyStage(
        _matcher(config, looks.max_distance),
        judges.verifier,
        HitBook(config.site, looks.max_distance, cooldown, evidence.show),
        max_distance=looks.max_distance,
        margin=config.decision.margin,
    )


def _matcher(config: Config, cut: float) -> Matcher:
    index = partial(plugin, config, "index", config.matcher.index, "matcher.index")
    of_texts = config.decision.max_distance_text
    if of_texts is None:
        return Matcher(index(), config.matcher.top_c)
    return Matcher(index(), config.matcher.top_c, texts=index(), text_allowance=of_texts - cut)


def follower(looks: Looks, judges: Judges) -> WatchlistFollower:
    """Brings the watchlist's changes."""
    return WatchlistFollower(judges.watchlist, looks.embedder, looks.codec)
