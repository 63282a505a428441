"""What a plugin says of itself, in optional attributes: read once, when it is made, and checked.

Nobody else looks at a plugin's attributes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError
from pipeline.settings import explain

F = TypeVar("F", bound="Facts")


class Facts(BaseModel):
    """What a plugin says of itself: attributes of the same names, those with a default optional."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class EngineFacts(Facts):
    """Of a plugin with a network; `engine_digest` None = it names none.

    `note` is a line for whoever sets up a site: what the plugin is good for, and what to take instead.
    """

    engine_digest: str | None = None
    note: str | None = None


class EmbedderFacts(EngineFacts):
    """Of an embedder: length of its vectors, its engine's operating point, least height of a crop in pixels."""

    dimension: int = Field(ge=1)
    max_distance: float | None = Field(default=None, gt=0, le=2)
    min_height_px: int | None = Field(default=None, ge=0)
    reads_text: bool = False


class TrackerFacts(Facts):
    """Of a tracker: whether it looks at everybody, or `asks` for those it wants to look at.

    `use_operating_point(max_distance)` is told what tells people apart, where there is one.
    """

    needs_embeddings: bool = False
    asks: bool = False
    use_operating_point: Callable[[float], None] | None = None


class OperatingPoint(Facts):
    """Where a verifier's cut lies, and with what it was chosen; None = with anything."""

    max_distance: float = Field(gt=0, le=2)
    embedder: str | None = None
    alpha: float | None = Field(default=None, ge=0, le=1)
    tau: float | None = Field(default=None, gt=0)


class VerifierFacts(EngineFacts):
    """Of a verifier: whether it looks at pictures, keeps something of them, and gives a `fused` of its own.

    `alpha` and `tau` are what it works with now. One that says its alpha gives `(1 - alpha) * distance + alpha * 2 *
    p_no`, and is not asked where no p_no could lead to a hit.
    """

    needs_pictures: bool = True
    remembers: bool = False
    fuses: bool = False
    operating_point: OperatingPoint | None = None
    alpha: float | None = None
    tau: float | None = None


class MaskerFacts(EngineFacts):
    """Of a masker: whether it is `guided` by whom it cuts out."""

    guided: bool = False


class SourceFacts(Facts):
    """Of a source: as the protocol says; `note` is of the latest opening."""

    live: bool
    finite: bool = False
    opening_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    note: str | None = None
    raw_frames: Callable[[], Iterator[Any]] | None = None


class BusFacts(Facts):
    """Of a bus: whether it stays inside the process."""

    in_process: bool


class CodecFacts(Facts):
    """Of a codec: `probe(data)` raises what `decode` would, where it can tell for less."""

    probe: Callable[[bytes], None] | None = None


class SinkFacts(Facts):
    """Of a sink: `recent(age_s)` gives the events delivered of late, where it can; `start()` announces a run."""

    recent: Callable[[float], list[dict[str, Any]]] | None = None
    start: Callable[[], object] | None = None


def facts(kind: type[F], plugin: object, name: str) -> F:
    """What a plugin says of itself.

    Args:
        kind: Of its role.
        plugin: The plugin.
        name: In the words of messages: embedder 'onnx'.

    Raises:
        ConfigError: It says something that cannot be.
    """
    try:
        return kind.model_validate(plugin)
    except ValidationError as error:
        raise ConfigError(
            explain(error, kind, name), f"mend the attributes of {type(plugin).__qualname__}"
        ) from None


def closing_of(plugin: object) -> Callable[[], object] | None:
    """A plugin's own way to be closed, None where it has none."""
    close = getattr(plugin, "close", None)
    return close if callable(close) else None


def close_quietly(plugin: object) -> None:
    """Closes a plugin that may be asked by nobody else; never raises."""
    close = closing_of(plugin)
    if close is not None:
        with suppress(Exception, SystemExit):
            close()


@contextmanager
def frames_of(source: Any) -> Iterator[Iterator[Any]]:
    """The frames of a source, given up in the end; any iterator will do."""
    with _given_up(source.frames()) as frames:
        yield frames


@contextmanager
def raw_frames_of(source: Any, told: SourceFacts) -> Iterator[Iterator[Any]]:
    """As `frames_of`, with pictures that are not converted yet where the source has such."""
    with _given_up((told.raw_frames or source.frames)()) as frames:
        yield frames


@contextmanager
def _given_up(frames: Iterator[Any]) -> Iterator[Iterator[Any]]:
    try:
        yield frames
    finally:
        close_quietly(frames)
