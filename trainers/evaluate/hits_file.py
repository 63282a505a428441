"""Reads hits from a file of events, one CloudEvents object a line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from trainers.metrics.alerts import HitRevision

HIT_TYPES = "musewatch.hit."


def read_events(path: Path) -> list[dict[str, Any]]:
    """The hit events of a file in its order; other events (a test of the sinks) are left out.

    Raises:
        InputError: Unreadable, or a line that is not an event.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    events = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        event = _event(line, f"{path}, line {number}")
        if event["type"].startswith(HIT_TYPES):
            events.append(event)
    return events


def read_hits(path: Path) -> list[HitRevision]:
    """What the scores need of each hit event of a file.

    Raises:
        InputError: Unreadable, a line that is not an event, or a hit that lacks a field.
    """
    return [hit_of(event, f"{path}, event {event.get('id')}") for event in read_events(path)]


def hit_of(event: Mapping[str, Any], where: str = "event") -> HitRevision:
    """What the scores need of one hit event.

    Raises:
        InputError: A field is missing or of the wrong kind.
    """
    try:
        data, best = event["data"], event["data"]["best"]
        left, top, right, bottom = (float(value) for value in best["box"])
        return HitRevision(
            hit_id=str(data["hit_id"]),
            revision=int(data["revision"]),
            stream_id=str(data["stream_id"]),
            identity_id=str(data["identity"]["id"]),
            first_pts_s=float(data["first_pts_s"]),
            last_pts_s=float(data["last_pts_s"]),
            decided_pts_s=float(data["decided_pts_s"]),
            best_pts_s=float(best["pts_s"]),
            best_box=(left, top, right, bottom),
            retracted=data.get("state") == "retracted",
        )
    except KeyError as error:
        raise InputError(f"{where}: a hit without {error.args[0]!r}") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: not a hit: {error}") from None


def _event(line: str, where: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON: {error.msg}") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise InputError(f"{where}: not an event", "give a file that the jsonl sink wrote")
    return event
