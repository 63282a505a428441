"""From a config to the parts it names; the only place that wires."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline import registry
from pipeline.calls import Guests
from pipeline.config import Config, StreamConfig
from pipeline.deliver.forms import HIT, Form, projected
from pipeline.deliver.outbox import Outbox, sink_names
from pipeline.errors import ConfigError, UnknownPluginError
from pipeline.facts import BusFacts, close_quietly, facts
from pipeline.files import make_folder
from pipeline.follow.buffer import TrackBuffer
from pipeline.follow.detect import DetectStage, OnError
from pipeline.follow.follow import TrackStage
from pipeline.follow.questions import Ripeness
from pipeline.identify.calibration import Calibration, Cuts
from pipeline.identify.decide import CoolDown
from pipeline.identify.hits import HitBook
from pipeline.identify.shortlist import Matcher
from pipeline.identify.show import Evidence
from pipeline.identify.stage import IdentifyStage
from pipeline.plugged import (
    Plugged,
    PluggedCodec,
    PluggedDetector,
    PluggedEmbedder,
    PluggedIndex,
    PluggedMasker,
    PluggedTracker,
    PluggedVerifier,
)
from pipeline.protocols import Bus, Sink
from pipeline.settings import PluginChoice, checked, choose
from pipeline.store.pictures import EvidenceStore
from pipeline.strict_json import JsonError, parse_json
from pipeline.watchlist.follower import WatchlistFollower
from pipeline.watchlist.roster import Store, WatchlistStore

RELINK_SHARE = 0.75  # of the cut: fragments of one track are far nearer than the photo they are searched by

P = TypeVar("P", bound=Plugged)


@dataclass(frozen=True, slots=True)
class Looks:
    """The plugins that tell how people look, and the cut between the same person and another.

    Every process has them: people are enrolled and compared with them, wherever they were detected. `guests` are all
    plugins of the process.
    """

    embedder: PluggedEmbedder
    codec: PluggedCodec
    max_distance: float
    guests: Guests


@dataclass(frozen=True, slots=True)
class Judges:
    """What tells who somebody is."""

    verifier: PluggedVerifier
    masker: PluggedMasker
    watchlist: WatchlistStore
    evidence: EvidenceStore


def plugin(config: Config, role: str, choice: PluginChoice, where: str | None = None) -> Any:
    """One plugin of the config."""
    return registry.build(role, choice, config.base_dir, where or role, config.engines_dir)


def guests(config: Config) -> Guests:
    """The plugins of a process that are asked through the door: none yet, with the limits of the config."""
    return Guests(config.runner.call_s, config.runner.spare_call_s)


def guest(kind: type[P], config: Config, choice: PluginChoice, known: Guests | None = None) -> P:
    """One plugin of the config behind the door.

    Args:
        kind: Of its role.
        config: Whose it is.
        choice: `use` and the plugin's own keys.
        known: The plugins of the process; None = it is alone.

    Raises:
        ConfigError: It cannot start, or what it says of itself cannot be.
    """
    return kind.of(plugin(config, kind.role, choice), known or guests(config), choice.use)


def let_in(kind: type[P], config: Config, opened: ExitStack, known: Guests, choice: PluginChoice) -> P:
    """As `guest`, closed with `opened`.

    Raises:
        ConfigError: It cannot start, or what it says of itself cannot be.
    """
    made = guest(kind, config, choice, known)
    opened.callback(made.close)
    return made


def open_detector(config: Config, opened: ExitStack, known: Guests) -> PluggedDetector:
    """The detector, closed with `opened`.

    Raises:
        ConfigError: It cannot start, or its engine is wrong.
    """
    return let_in(PluggedDetector, config, opened, known, config.detector)


def open_looks(config: Config, opened: ExitStack, known: Guests) -> Looks:
    """Embedder and codec, closed with `opened`, and the cut.

    Raises:
        ConfigError: One of them cannot start, or there is no cut.
    """
    embedder = let_in(PluggedEmbedder, config, opened, known, config.embedder)
    codec = let_in(PluggedCodec, config, opened, known, config.codec)
    return Looks(embedder, codec, max_distance(config, embedder), known)


def open_watchlist(config: Config) -> WatchlistStore:
    """The watchlist, where the config keeps it.

    Raises:
        ConfigError: The store cannot start, or has a newer format.
        InputError: It is damaged.
        OutsideError: It cannot be reached.
    """
    store: Store = plugin(config, "store", config.store)
    return WatchlistStore(store.roster(config.data_dir))


def open_judges(config: Config, opened: ExitStack, known: Guests) -> Judges:
    """Verifier, masker, watchlist and evidence, closed with `opened`.

    Raises:
        ConfigError: A plugin cannot start.
        OutsideError: A file of the data folder cannot be opened.
    """
    verifier = let_in(PluggedVerifier, config, opened, known, config.verifier)
    masker = let_in(PluggedMasker, config, opened, known, config.masker)
    make_folder(config.data_dir)
    watchlist = opened.enter_context(open_watchlist(config))
    limits = config.evidence
    evidence = EvidenceStore(
        config.data_dir / "evidence",
        limits.base_url,
        max_mb=limits.max_mb,
        max_age_days=limits.max_age_days,
    )
    return Judges(verifier, masker, watchlist, evidence)


def notes_of(*parts: PluggedDetector | PluggedEmbedder | None) -> list[str]:
    """What parts say of themselves to whoever sets up a site, each thing once."""
    said = [part.facts.note for part in parts if part is not None and part.facts.note]
    return list(dict.fromkeys(said))


def known_max_distance(config: Config, embedder: PluggedEmbedder) -> float | None:
    """As `max_distance`, None where nothing says it.

    Raises:
        ConfigError: The calibration cannot be read.
    """
    if config.decision.max_distance != "auto":
        return config.decision.max_distance
    if embedder.facts.max_distance is not None:
        return embedder.facts.max_distance
    known = calibration(config)
    return known.picture.cut(1) if known and not known.engines.fuses else None


def max_distance(config: Config, embedder: PluggedEmbedder) -> float:
    """The cut of two pictures: the config's own, the operating point of the embedder's engine, or the calibration's.

    Raises:
        ConfigError: It is `auto` and none of them has one.
    """
    found = known_max_distance(config, embedder)
    if found is None:
        raise ConfigError(
            f"decision.max_distance is auto, but the embedder {config.embedder.use!r} has no operating point",
            "add operating_point.max_distance to its manifest, or give decision.max_distance a number",
        )
    return found


def min_height_px(config: Config, embedder: PluggedEmbedder | None) -> int:
    """Crops less tall are no evidence: by the config, and by the embedder where it says so."""
    return max(config.tracks.min_height_px, (embedder and embedder.facts.min_height_px) or 0)


def sinks(config: Config) -> dict[str, Sink]:
    """The sinks by their names in the outbox.

    Raises:
        ConfigError: One cannot start, or there is no such form.
    """
    names = sink_names(config.sinks)
    return {name: sink(config, i) for i, name in enumerate(names)}


def sink(config: Config, number: int) -> Sink:
    """A sink of the config, that is handed hits in the form that the config says.

    Raises:
        ConfigError: It cannot start, or there is no such form.
    """
    choice, where = config.sinks[number], f"sinks.{number}"
    form = None if choice.form == HIT else _form(config, choice.form, f"{where}.as")
    made: Sink = plugin(config, "sink", choice, where)
    return made if form is None else projected(made, form)


def _form(config: Config, name: str, where: str) -> Form:
    try:
        return Form(plugin(config, "projection", choose(name), where), name)
    except UnknownPluginError as error:
        raise UnknownPluginError(f"{where}: {error.problem}", error.fix) from error


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
    made = plugin(config, "bus", config.bus)
    opened.callback(close_quietly, made)
    facts(BusFacts, made, f"bus {config.bus.use!r}")
    return made


def open_inner_bus(config: Config, opened: ExitStack) -> Bus:
    """A bus inside this process, for one whose own bus leads out of it."""
    made: Bus = plugin(config, "bus", choose("memory"))
    opened.callback(close_quietly, made)
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


def tracker_factory(config: Config, looks: Looks) -> Callable[[], PluggedTracker]:
    """Makes one tracker a stream; the settings are checked now, by making one.

    A tracker that looks at people is told the embedder's own operating point, the config's cut where it has none.

    Raises:
        ConfigError: The tracker's settings are wrong.
    """

    def make() -> PluggedTracker:
        made = guest(PluggedTracker, config, config.tracker, looks.guests)
        if made.facts.use_operating_point is not None:
            made.facts.use_operating_point(looks.embedder.facts.max_distance or looks.max_distance)
        return made

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
    config: Config, detector: PluggedDetector, looks: Looks, on_error: OnError
) -> tuple[DetectStage, TrackStage]:
    """The stages from frames to tracklets.

    Raises:
        ConfigError: The tracker's settings are wrong, or the calibration belongs to another detector.
    """
    need_calibrated(config, detector)
    engines = {
        "detector": detector.facts.engine_digest,
        "embedder": looks.embedder.facts.engine_digest,
    }
    track_stage = TrackStage(
        tracker_factory(config, looks),
        looks.embedder,
        looks.codec,
        TrackBuffer(config.tracks, engines, looks.max_distance),
        zones(config),
        RELINK_SHARE * looks.max_distance,
        on_error,
        min_height_px=min_height_px(config, looks.embedder),
    )
    return DetectStage(detector, on_error, looks.codec.resize), track_stage


def calibration(config: Config) -> Calibration | None:
    """What the config's calibration says, None where it names none.

    Raises:
        ConfigError: It cannot be read, or has another version.
    """
    path = config.decision.calibration
    if path is None:
        return None
    try:
        document = parse_json(path.read_bytes())
    except (OSError, JsonError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read: {reason}", "make it with `musewatch calibrate`") from None
    return checked(Calibration, document, str(path))


def _need_same(path: Path | None, wanted: Mapping[str, object], here: Mapping[str, object]) -> None:
    """Refuses a calibration of other engines.

    Raises:
        ConfigError: One differs; all are named.
    """
    other = [f"{name} {wanted[name]}, here {value}" for name, value in here.items() if wanted[name] != value]
    if other:
        raise ConfigError(
            f"{path} was made with {'; '.join(other)}",
            "calibrate again with `musewatch calibrate`, or use the engines that it was made with",
        )


def need_calibrated(config: Config, detector: PluggedDetector) -> None:
    """Refuses a calibration that was made with what another detector found.

    Raises:
        ConfigError: It was, or it cannot be read.
    """
    known = calibration(config)
    if known is not None and known.engines.detector is not None:
        here = {"detector": detector.facts.engine_digest}
        _need_same(config.decision.calibration, known.engines.model_dump(), here)


def _calibrated(
    config: Config, embedder: PluggedEmbedder, verifier: PluggedVerifier, known: Calibration
) -> Cuts:
    """The cuts of a calibration.

    Raises:
        ConfigError: It belongs to other engines, or another weight of the verifier.
    """
    facts = verifier.facts
    here = {
        "embedder": embedder.digest,
        "verifier": facts.engine_digest,
        "fuses": facts.fuses,
        "alpha": facts.alpha,
        "tau": facts.tau,
    }
    _need_same(config.decision.calibration, known.engines.model_dump(), here)
    return Cuts(max_distance(config, embedder), calibration=known).at((), np.zeros(0, np.bool_))


def cuts(config: Config, embedder: PluggedEmbedder, verifier: PluggedVerifier) -> Cuts:
    """Where a hit begins: the calibration's, the config's own number, or the engines' operating points.

    Raises:
        ConfigError: It is `auto` and a verifier that fuses has none, or none for what it works with here; or the
            calibration belongs to something else.
    """
    decision, known = config.decision, verifier.facts
    calibrated = calibration(config)
    if calibrated is not None:
        return _calibrated(config, embedder, verifier, calibrated)
    if decision.max_distance != "auto" or not known.fuses:
        return Cuts(max_distance(config, embedder), decision.max_distance_text)
    point, who = known.operating_point, f"the verifier {config.verifier.use!r}"
    if point is None:
        raise ConfigError(
            f"decision.max_distance is auto, but {who} has no operating point",
            "add one to its manifest, or give decision.max_distance a number",
        )
    here = {"embedder": embedder.digest, "alpha": known.alpha, "tau": known.tau}
    other = [
        f"{name} {wanted}, here {here[name]}"
        for name, wanted in (("embedder", point.embedder), ("alpha", point.alpha), ("tau", point.tau))
        if wanted is not None and wanted != here[name]
    ]
    if other:
        raise ConfigError(
            f"the operating point of {who} was chosen with {', '.join(other)}",
            "use it with what it was chosen for, or give decision.max_distance a number",
        )
    return Cuts(max_distance(config, embedder), decision.max_distance_text, point.max_distance)


def identify_stage(config: Config, looks: Looks, judges: Judges, wall: Callable[[], float]) -> IdentifyStage:
    """The stage from tracklets to hits.

    Raises:
        ConfigError: Nothing says where a hit begins.
    """
    here = cuts(config, looks.embedder, judges.verifier)
    return IdentifyStage(
        _matcher(config, here, looks.guests),
        judges.verifier,
        HitBook(config.site, CoolDown(config.decision.cooldown_s)),
        Evidence(judges.evidence, looks.codec, judges.masker, wall),
        cuts=here,
        margin=config.decision.margin,
        ripeness=Ripeness.of(config.tracks),
        sure_share=config.decision.sure_share,
    )


def _matcher(config: Config, here: Cuts, known: Guests) -> Matcher:
    def index() -> PluggedIndex:
        choice = config.matcher.index
        return PluggedIndex.of(plugin(config, "index", choice, "matcher.index"), known, choice.use)

    return Matcher(index(), config.matcher.top_c, here, texts=None if here.texts is None else index())


def follower(looks: Looks, judges: Judges) -> WatchlistFollower:
    """Brings the watchlist's changes."""
    return WatchlistFollower(judges.watchlist, looks.embedder, looks.codec)
