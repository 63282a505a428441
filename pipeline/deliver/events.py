"""What leaves musewatch: a hit as a CloudEvents 1.0 object, the same bytes in every sink."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from pipeline.messages import EndReason, Hit, HitState

CONTENT_TYPE = "application/cloudevents+json"
SCHEMA_URN = "urn:musewatch:hit:1"
TEST_TYPE = "musewatch.test"

LAST_REVISION = 1_000_000
"""Lowest revision of a close that does not follow from the stream alone: stopped, stream lost, interrupted.

A clip run again opens the same hit; were these closes numbered like the others, one id could carry two
payloads.
"""

CONTINUED_REVISIONS = 10_000
"""Each track that takes a hit over numbers its revisions from the next multiple of this on."""

RETRACTED_REVISION = 2_000_000
"""Lowest revision of what is taken back: above any close, which it may follow."""


@dataclass(frozen=True, slots=True)
class HitEvent:
    """A hit in its CloudEvents 1.0 envelope; the JSON Schema is made from this."""

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1, description="<hit_id>-<revision>; repeats are dropped by it.")]
    source: Annotated[str, Field(pattern="^/[^/]+/[^/]+$", description="/<site>/<stream id>")]
    type: Literal[
        "musewatch.hit.opened", "musewatch.hit.updated", "musewatch.hit.closed", "musewatch.hit.retracted"
    ]
    subject: Annotated[str, Field(min_length=1, description="Identity id.")]
    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
    datacontenttype: Literal["application/json"]
    dataschema: Literal["urn:musewatch:hit:1"]
    partitionkey: Annotated[str, Field(min_length=1, description="Stream id.")]
    data: Hit


_HIT_EVENT = TypeAdapter(HitEvent)


def to_event(hit: Hit, site: str) -> dict[str, Any]:
    """The event of a hit; it depends on the hit and the site alone.

    Boxes are rounded to 0.1 px, all other numbers to 6 digits.
    """
    data = _plain(hit)
    data["best"]["box"] = [round(float(edge), 1) for edge in hit.best.box]
    return {
        "specversion": "1.0",
        "id": f"{hit.hit_id}-{hit.revision}",
        "source": f"/{site}/{hit.stream_id}",
        "type": f"musewatch.hit.{hit.state}",
        "subject": hit.identity.id,
        "time": rfc3339(hit.captured_at),
        "datacontenttype": "application/json",
        "dataschema": SCHEMA_URN,
        "partitionkey": hit.stream_id,
        "data": data,
    }


def to_hit(event: Mapping[str, Any]) -> Hit:
    """The hit of an event.

    Raises:
        ValueError: It is not a hit's event, or of another version.
    """
    return _HIT_EVENT.validate_python(event).data


def interrupted(event: Mapping[str, Any]) -> dict[str, Any]:
    """The close of a hit whose process died, made from its last event alone."""
    data = event["data"]
    revision = LAST_REVISION + data["revision"]
    closed = {"revision": revision, "state": str(HitState.CLOSED), "reason": str(EndReason.INTERRUPTED)}
    return {
        **event,
        "id": f"{data['hit_id']}-{revision}",
        "type": f"musewatch.hit.{HitState.CLOSED}",
        "data": {**data, **closed},
    }


def trial_event(site: str, now: datetime) -> dict[str, Any]:
    """An event that says nothing, to see whether the sinks take it."""
    return {
        "specversion": "1.0",
        "id": f"test-{now.timestamp():.6f}",
        "source": f"/{site}/test",
        "type": TEST_TYPE,
        "subject": "test",
        "time": rfc3339(now),
        "datacontenttype": "application/json",
        "partitionkey": "test",
        "data": {"message": "sent by musewatch hits test"},
    }


def encode(event: Mapping[str, Any]) -> bytes:
    """The one serialisation: compact UTF-8 JSON, keys in order.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds.

    >>> rfc3339(datetime(2026, 11, 21, 7, 0, 0, 120_000, tzinfo=UTC))
    '2026-11-21T07:00:00.120Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hit_schema() -> dict[str, Any]:
    """JSON Schema of a hit's event; fields may be added to, so unknown ones are allowed."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URN,
        **_HIT_EVENT.json_schema(),
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, np.generic):
        value = value.item()
    return round(float(value), 6) if isinstance(value, float) else value
