"""From a config to the parts it names; the only place that wires."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
from pipeline.messages import Detections, Frame
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
from pipeline.remote_bus import RemoteBus
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


class NoDetector:
    """Stands in a process that no frames come to; the engine need not be there."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Nobody."""
        return [Detections.empty() for _ in frames]


@dataclass(frozen=True, slots=True)
class Networks:
    """The plugins that look at pictures."""

    detector: Detector
    embedder: Embedder
    codec: Codec

    @property
    def digests(self) -> dict[str, str | None]:
        """Digest of the engine behind each, None where there is none."""
        roles = {"detector": self.detector, "embedder": self.embedder}
        return {role: getattr(plugin, "engine_digest", None) for role, plugin in roles.items()}


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that one process runs on.

    Attributes:
        verifier: None where another process identifies; so is `masker`.
        bus: Inside this process.
        remote: Where tracklets go to or come from; None where one process does the whole job.
        sinks: By their names in the outbox.
    """

    networks: Networks
    verifier: Verifier | None
    masker: Masker | None
    bus: Bus
    remote: RemoteBus | None
    sinks: dict[str, Sink]
    max_distance: float
    watchlist: WatchlistStore
    outbox: Outbox
    evidence: EvidenceStore


def plugin(config: Config, role: str, choice: PluginChoice, where: str | None = None) -> Any:
    """One plugin of the config."""
    return registry.build(role, choice, config.base_dir, where or role)


def networks(config: Config, *, frames: bool = True) -> Networks:
    """Detector (where frames come), embedder and codec.

    Raises:
        ConfigError: One of them cannot start, or its engine is wrong.
    """
    return Networks(
        plugin(config, "detector", config.detector) if frames else NoDetector(),
        SharedEmbedder(plugin(config, "embedder", config.embedder)),
        plugin(config, "codec", config.codec),
    )


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


@contextmanager
def open_parts(config: Config, *, member: bool = False) -> Iterator[Parts]:
    """Builds all parts, and closes them at the end.

    Where the bus leads out of this process, `run` builds nothing that identifies, and its one sink is the bus.

    Args:
        config: What to build.
        member: Of the group at the other end of the bus: nothing that looks at frames is built.

    Raises:
        ConfigError: A part cannot start, or the bus of a member stays inside the process.
        OutsideError: A file of the data folder cannot be opened.
    """
    with ExitStack() as opened:

        def keep(part: Any) -> Any:
            close = getattr(part, "close", None)
            if close is not None:
                opened.callback(close)
            return part

        bus, remote = _buses(config, member=member)
        for one in (bus, remote):
            keep(one)
        edge = remote is not None and not member
        looking = networks(config, frames=not member)
        for network in (looking.detector, looking.embedder, looking.codec):
            keep(network)
        cut = max_distance(config, looking.embedder)
        make_folder(config.data_dir)
        outgoing: dict[str, Sink] = {"bus": remote} if remote is not None and edge else sinks(config)
        limits = config.evidence
        yield Parts(
            networks=looking,
            verifier=None if edge else keep(plugin(config, "verifier", config.verifier)),
            masker=None if edge else keep(plugin(config, "masker", config.masker)),
            bus=bus,
            remote=remote,
            sinks=outgoing,
            max_distance=cut,
            watchlist=keep(WatchlistStore.in_folder(config.data_dir)),
            outbox=keep(Outbox(config.outbox_path, list(outgoing), config.outbox.max_mb if edge else None)),
            evidence=EvidenceStore(
                config.data_dir / "evidence",
                limits.base_url,
                max_mb=limits.max_mb,
                max_age_days=limits.max_age_days,
            ),
        )


def _buses(config: Config, *, member: bool) -> tuple[Bus, RemoteBus | None]:
    """The bus inside this process, and the one that leads out of it."""
    bus = plugin(config, "bus", config.bus)
    if not bus.in_process:
        return plugin(config, "bus", choose("memory")), bus
    if member:
        raise ConfigError(
            f"the bus {config.bus.use!r} stays inside one process, so there is no group to join",
            'set bus: {use: kafka, bootstrap: "HOST:PORT"}',
        )
    return bus, None


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
    config: Config, looking: Networks, cut: float, on_error: OnError
) -> tuple[DetectStage, TrackStage]:
    """The stages from frames to tracklets."""
    track_stage = TrackStage(
        tracker_factory(config),
        looking.embedder,
        looking.codec,
        TrackBuffer(config.tracks, looking.digests),
        zones(config),
        RELINK_SHARE * cut,
        on_error,
        min_height_px=min_height_px(config, looking.embedder),
    )
    return DetectStage(looking.detector, on_error), track_stage


def identify_stage(config: Config, parts: Parts, wall: Callable[[], float]) -> IdentifyStage:
    """The stage from tracklets to hits."""
    assert parts.verifier is not None
    assert parts.masker is not None
    evidence = Evidence(parts.evidence, parts.networks.codec, parts.masker, wall)
    cooldown = CoolDown(config.decision.cooldown_s)
    return IdentifyStage(
        _matcher(config, parts.max_distance),
        parts.verifier,
        HitBook(config.site, parts.max_distance, cooldown, evidence.show),
        max_distance=parts.max_distance,
        margin=config.decision.margin,
    )


def _matcher(config: Config, cut: float) -> Matcher:
    index = partial(plugin, config, "index", config.matcher.index, "matcher.index")
    of_texts = config.decision.max_distance_text
    if of_texts is None:
        return Matcher(index(), config.matcher.top_c)
    return Matcher(index(), config.matcher.top_c, texts=index(), text_allowance=of_texts - cut)


def follower(parts: Parts) -> WatchlistFollower:
    """Brings the watchlist's changes."""
    return WatchlistFollower(parts.watchlist, parts.networks.embedder, parts.networks.codec)
