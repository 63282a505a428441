"""Reads hits from a file of events, one CloudEvents object a line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.bounds import Box, Count, Label, StreamSeconds
from pipeline.deliver.forms import need_event
from pipeline.errors import InputError
from pipeline.settings import explain
from pipeline.strict_json import JsonError, parse_json
from trainers.metrics.alerts import HitRevision

HIT_TYPES = "musewatch.hit."


class _Identity(BaseModel):
    id: Label


class _Best(BaseModel):
    pts_s: StreamSeconds
    box: Box


class _Data(BaseModel):
    hit_id: Label
    revision: Count
    state: str = ""
    stream_id: Label
    identity: _Identity
    first_pts_s: StreamSeconds
    last_pts_s: StreamSeconds
    decided_pts_s: StreamSeconds
    best: _Best


class _Hit(BaseModel):
    """What the scores need of a hit event."""

    data: _Data


def read_events(path: Path) -> list[dict[str, Any]]:
    """The hit events of a file in its order; other events (a test of the sinks) are left out.

    Raises:
        InputError: Unreadable, or a line that is not an event.
    """
    return [event for _, event in _numbered(path)]


def read_hits(path: Path) -> list[HitRevision]:
    """What the scores need of each hit event of a file.

    Raises:
        InputError: Unreadable, a line that is not an event, or a hit that lacks a field or has one out of bounds.
    """
    return [hit_of(event, where) for where, event in _numbered(path)]


def hit_of(event: Mapping[str, Any], where: str = "event") -> HitRevision:
    """What the scores need of one hit event.

    Raises:
        InputError: A field is missing, of the wrong kind or out of bounds; all of them are named.
    """
    try:
        data = _Hit.model_validate(event).data
    except ValidationError as error:
        raise InputError(f"not a hit: {explain(error, _Hit, where)}") from None
    return HitRevision(
        hit_id=data.hit_id,
        revision=data.revision,
        stream_id=data.stream_id,
        identity_id=data.identity.id,
        first_pts_s=data.first_pts_s,
        last_pts_s=data.last_pts_s,
        decided_pts_s=data.decided_pts_s,
        best_pts_s=data.best.pts_s,
        best_box=data.best.box,
        retracted=data.state == "retracted",
    )


def _numbered(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Hit events with the place of each; a line ends at LF alone, as names may hold other ends of lines."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    events = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        event = _event(line, where)
        if event["type"].startswith(HIT_TYPES):
            events.append((where, event))
    return events


def _event(line: bytes, where: str) -> dict[str, Any]:
    try:
        event = parse_json(line)
    except JsonError as error:
        raise InputError(f"{where}: {error}") from None
    if not isinstance(event, dict):
        raise InputError(f"{where}: not an event", "give a file that the jsonl sink wrote")
    need_event(event, where)
    return event
