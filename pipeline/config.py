"""What a config file may say, and from the file to a checked `Config`; unknown keys are refused.

Relative paths start at the config file. A role's `use` is an entry-point name; its other keys are the
plugin's own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from pipeline.secrets import fill_in, remember_those_in
from pipeline.settings import (
    DATA_DIR,
    LARGE,
    LONG_S,
    ConfigPath,
    PluginChoice,
    Settings,
    checked,
    choose,
    place,
    read_yaml,
    refuse_endless,
)

STREAM_ID = r"^[a-z0-9][a-z0-9-]{0,62}$"
MAX_PORT = 65_535
MAX_PROCESSES = 64


Pause = Annotated[float, Field(ge=0, le=LONG_S)]
Point = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]


class StreamConfig(Settings):
    """One feed."""

    id: str = Field(pattern=STREAM_ID)
    source: PluginChoice
    zones: tuple[Annotated[tuple[Point, ...], Field(min_length=3)], ...] = Field(
        default=(),
        description="Polygons in fractions of width, height; feet must be in one. None = everywhere.",
    )
    max_fps: Annotated[float, Field(gt=0, le=1000)] | Literal["auto"] | None = Field(
        default="auto",
        description="Frames inferred per second at most; null = all. auto = about 10 of a live stream with over 15.",
    )


class TracksConfig(Settings):
    """What is kept of a track, and when it is asked against the watchlist."""

    crops: int = Field(default=5, ge=1, le=32, description="Best crops kept of a track.")
    ripe_crops: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Crops from which the whole cut holds; see decision.sure_share...",
    )
    ripe_s: float = Field(default=0.5, ge=0, le=LONG_S, description="...and seconds since the first sight.")
    early: bool = Field(
        default=True,
        description="Ask with each of the first crops too, before a track is ripe; see decision.sure_share.",
    )
    again_s: float = Field(
        default=1.0,
        gt=0,
        le=LONG_S,
        description="Between two questions while the evidence grows; at first it is half of the track's age.",
    )
    idle_s: float = Field(
        default=1.5, gt=0, le=LONG_S, description="Seconds unseen after which a track rests."
    )
    relink_s: float = Field(
        default=4.0, ge=0, le=LONG_S, description="Seconds a resting track can be taken up again."
    )
    min_height_px: int = Field(default=40, ge=1, le=100_000, description="Crops less tall are not evidence.")
    min_quality: float = Field(default=0.15, ge=0, le=1, description="Crops below are not evidence.")
    max_tracks: int = Field(
        default=256, ge=1, le=100_000, description="Tracks kept per stream; the stalest go first."
    )


class MatcherConfig(Settings):
    """The shortlist."""

    top_c: int = Field(
        default=40,
        ge=2,
        le=10_000,
        description="Candidates per tracklet; decision.margin looks at the second.",
    )
    index: PluginChoice = Field(default_factory=lambda: choose("exact"))


class DecisionConfig(Settings):
    """When a candidate becomes a hit."""

    calibration: ConfigPath | None = Field(
        default=None,
        description="File of `musewatch calibrate`: the cuts of every kind of distance, by how many are enrolled.",
    )
    max_distance: Literal["auto"] | Annotated[float, Field(gt=0, le=2)] = Field(
        default="auto",
        description="Largest distance of a hit; auto = the embedder's operating point.",
    )
    sure_share: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Of the cut: so near must be who is found by a track's first sights, before it is ripe, or by a "
        "single one.",
    )
    max_distance_text: Annotated[float, Field(gt=0, le=2)] | None = Field(
        default=None,
        description="The same for people enrolled by a text; none = nobody is compared with texts.",
    )
    margin: float = Field(
        default=0.05,
        ge=0,
        le=2,
        description="Lead over the next identity; counts from two enrolled identities on.",
    )
    cooldown_s: float = Field(
        default=30.0, ge=0, le=LONG_S, description="Per identity and stream, after a hit was opened."
    )

    @model_validator(mode="after")
    def _one_says_where(self) -> Self:
        if self.calibration is not None and (
            self.max_distance != "auto" or self.max_distance_text is not None
        ):
            raise ValueError("a calibration gives the cuts: leave out max_distance and max_distance_text")
        return self


class OutboxConfig(Settings):
    """The durable queue in front of the sinks."""

    drain_s: float = Field(
        default=30.0, ge=0, le=LONG_S, description="Longest wait for the sinks at the end."
    )
    batch: int = Field(default=100, ge=1, le=1000, description="Events handed to a sink at once.")
    answer_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="A sink that does not come back for so long is told of in /readyz.",
    )
    max_mb: float = Field(
        default=8192,
        ge=1,
        le=LARGE,
        description="Of tracklets that wait for a bus; then the oldest lose pictures. Hits have no limit.",
    )


class VerifyConfig(Settings):
    """What a member of the group does with tracklets that come late, or stop coming."""

    late_s: float = Field(
        default=60.0,
        gt=0,
        le=LONG_S,
        description="A tracklet asked so long ago is marked late in what comes of it.",
    )
    forget_s: float = Field(
        default=900.0,
        gt=0,
        le=LONG_S,
        description="A track without a word for so long is closed as interrupted.",
    )


class EvidenceConfig(Settings):
    """Pictures that hits refer to, kept as evidence/<sha256>.jpg."""

    base_url: str | None = Field(
        default=None, description="Put before the file name in events; else a file URI."
    )
    max_mb: float = Field(default=2048, gt=0, le=LARGE)
    max_age_days: float = Field(default=30, gt=0, le=36_500)


class TelemetryConfig(Settings):
    """/metrics, /healthz and /readyz."""

    listen: str | None = Field(
        default="127.0.0.1:9464",
        pattern=r"^.+:\d{1,5}$",
        description="HOST:PORT, of IPv6 [HOST]:PORT; null = off; port 0 = any free.",
    )

    @field_validator("listen")
    @classmethod
    def _possible_port(cls, listen: str | None) -> str | None:
        if listen is not None and int(listen.rpartition(":")[2]) > MAX_PORT:
            raise ValueError(f"a port is at most {MAX_PORT}")
        return listen


class RunnerConfig(Settings):
    """How the stages are driven."""

    max_batch: int = Field(default=8, ge=1, le=256, description="Frames detected together.")
    silent_s: float = Field(
        default=5.0, gt=0, le=LONG_S, description="A live stream without a frame for so long is lost."
    )
    call_s: float = Field(
        default=60.0,
        gt=0,
        le=LONG_S,
        description="Longest call of a detector, tracker, embedder or codec, about up to 8 pictures, more in "
        "proportion; five times as long until its first answer. Then it is given up with its frames, and asked "
        "again when it has come back.",
    )
    spare_call_s: float = Field(
        default=10.0,
        gt=0,
        le=LONG_S,
        description="Longest call of an index, a verifier or a masker; then hits are made without it.",
    )
    backoff_s: tuple[Pause, Pause] = Field(
        default=(0.5, 3.0), description="First and longest pause before reopening."
    )


class SinkChoice(PluginChoice):
    """Where hits go: `use` names the plugin, `as` the form, every other key is the plugin's own."""

    form: str = Field(
        default="hit",
        alias="as",
        min_length=1,
        description="Form of what is delivered, a projection: hit, or that of others.",
    )


def choose_sink(name: str, /, **settings: Any) -> SinkChoice:
    """A sink chosen in code."""
    return SinkChoice.model_validate({"use": name, **settings})


def _hits_file() -> tuple[SinkChoice, ...]:
    return (choose_sink("jsonl", path="hits.jsonl"),)


class Config(Settings):
    """A whole config file."""

    version: Literal[1]
    site: str = Field(default="site", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    data_dir: ConfigPath = Field(default=DATA_DIR, validate_default=True)
    streams: tuple[StreamConfig, ...] = ()
    processes: Annotated[int, Field(ge=1, le=MAX_PROCESSES)] | Literal["auto"] = Field(
        default=1,
        description="Of `run`: groups of streams in processes of their own where more than 1, at most one per stream; "
        "auto = one per core less one.",
    )
    detector: PluginChoice = Field(default_factory=lambda: choose("hog"))
    tracker: PluginChoice = Field(default_factory=lambda: choose("appearance"))
    embedder: PluginChoice = Field(default_factory=lambda: choose("colour"))
    tracks: TracksConfig = TracksConfig()
    matcher: MatcherConfig = Field(default_factory=MatcherConfig)
    verifier: PluginChoice = Field(default_factory=lambda: choose("distance"))
    masker: PluginChoice = Field(default_factory=lambda: choose("box"))
    codec: PluginChoice = Field(default_factory=lambda: choose("opencv"))
    decision: DecisionConfig = DecisionConfig()
    bus: PluginChoice = Field(default_factory=lambda: choose("memory"))
    store: PluginChoice = Field(default_factory=lambda: choose("sqlite"))
    outbox: OutboxConfig = OutboxConfig()
    verify: VerifyConfig = VerifyConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    sinks: tuple[SinkChoice, ...] = Field(default_factory=_hits_file)
    telemetry: TelemetryConfig = TelemetryConfig()
    runner: RunnerConfig = RunnerConfig()

    _base_dir: Path = PrivateAttr(default=Path())
    _engines_dir: Path = PrivateAttr(default=DATA_DIR)

    @field_validator("streams")
    @classmethod
    def _ids_differ(cls, streams: tuple[StreamConfig, ...]) -> tuple[StreamConfig, ...]:
        ids = [stream.id for stream in streams]
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if twice:
            raise ValueError(f"two streams are called {', '.join(twice)}")
        return streams

    @model_validator(mode="after")
    def _remember_folders(self, info: ValidationInfo) -> Self:
        self._base_dir = Path((info.context or {}).get("base_dir") or ".")
        self._engines_dir = self.data_dir
        return self

    @property
    def outbox_path(self) -> Path:
        """The durable queue's file."""
        return self.data_dir / "outbox.db"

    @property
    def base_dir(self) -> Path:
        """Folder of the config file."""
        return self._base_dir

    @property
    def engines_dir(self) -> Path:
        """The data folder that the file names, where engines are found by name; a copy with another one keeps it."""
        return self._engines_dir


def load_config(path: Path) -> Config:
    """Reads and checks a config file; plugins' own keys are checked when the plugins are built.

    Raises:
        ConfigError: The file is missing, not YAML, or says something that it may not.
    """
    return parse_config(read_yaml(path), path.resolve().parent, str(path))


def parse_config(document: Any, base_dir: Path, where: str = "config") -> Config:
    """Checks a config already read; relative paths start at `base_dir`.

    Raises:
        ConfigError: It says something that it may not.
    """
    filled = _fill_in(document, where, [], base_dir)
    remember_those_in(filled)
    refuse_endless(filled, where)
    return checked(Config, filled, where, {"base_dir": base_dir})


def _fill_in(value: Any, where: str, keys: list[str], base_dir: Path) -> Any:
    if isinstance(value, str):
        return fill_in(value, place(where, keys), base_dir)
    if isinstance(value, Mapping):
        return {key: _fill_in(inner, where, [*keys, str(key)], base_dir) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill_in(inner, where, [*keys, str(i)], base_dir) for i, inner in enumerate(value)]
    return value
