"""Hits as Frigate's tracked objects: what it publishes on MQTT as `frigate/events`.

Source: https://docs.frigate.video/integrations/mqtt/ (frigate/events).
"""

from collections.abc import Mapping
from typing import Any

from pipeline.settings import Settings
from plugins.projections.reading import hit_in, moment_of, name_of, score_of

TYPES = {"opened": "new", "updated": "update", "closed": "end", "retracted": "end"}


class FrigateProjection:
    """Messages of Frigate's `events` topic: `{"type": "new" | "update" | "end", "before", "after"}`."""

    content_type = "application/json"

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def project(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `frigate_message`."""
        return frigate_message(event)


def frigate_message(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message of a hit; None of an event that is no hit, or a review.

    `before` is never null, and says what one event knows of it: of a `new` object that it was nobody yet, of one that
    ends that it had not ended; of an update nothing else than `after`. A retracted hit ends as a false positive without
    a name. `score` and `top_score` are those of the identification, as in `sub_label`: a hit has none of the detector.
    Left out, since a hit does not know them: region, zones by name, movement, snapshots and clips of Frigate's own.
    """
    hit = hit_in(event)
    if hit is None:
        return None
    named = _object(hit)
    unnamed = {**named, "sub_label": None, "false_positive": True}
    open_ = {**named, "end_time": None}
    before, after = {
        "opened": (unnamed, named),
        "updated": (named, named),
        "closed": (open_, named),
        "retracted": (open_, unnamed),
    }[hit["state"]]
    return {"type": TYPES[hit["state"]], "before": before, "after": after}


def _object(hit: Mapping[str, Any]) -> dict[str, Any]:
    best, score = hit["best"], score_of(hit)
    left, top, right, bottom = (round(edge) for edge in best["box"])
    box, width, height = [left, top, right, bottom], right - left, bottom - top
    frame_time = _seconds(hit, best["pts_s"])
    ended = hit["state"] in ("closed", "retracted")
    return {
        "id": hit["hit_id"],
        "camera": hit["stream_id"],
        "frame_time": frame_time,
        "snapshot": {
            "frame_time": frame_time, "box": box, "area": width * height, "score": score, "attributes": [],
        },
        "label": "person",
        "sub_label": [name_of(hit), score],
        "top_score": score,
        "false_positive": False,
        "start_time": _seconds(hit, hit["first_pts_s"]),
        "end_time": _seconds(hit, hit["last_pts_s"]) if ended else None,
        "score": score,
        "box": box,
        "area": width * height,
        "ratio": round(width / height, 6) if height else None,
        "current_zones": [],
        "entered_zones": [],
        "thumbnail": None,
        "has_snapshot": False,
        "has_clip": False,
        "attributes": {},
        "current_attributes": [],
    }  # fmt: skip


def _seconds(hit: Mapping[str, Any], pts_s: float) -> float:
    return round(moment_of(hit, pts_s).timestamp(), 6)
